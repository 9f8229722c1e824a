//! Resource limits of a scenario: those of a process, named and measured as the shell's `ulimit`
//! does, and those of a control group.

use serde::{Deserialize, Serialize};

/// Limits that httpd's first process is started with and all its tasks inherit. What is left out
/// stays as the lab itself has it. Each sets the soft and the hard limit, as `ulimit` does.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Address space of one process in units of 1024 bytes (`ulimit -v`, `RLIMIT_AS`). This
    /// bounds what is mapped, not what is in memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address_space_kb: Option<u64>,
    /// Private writable memory of one process in units of 1024 bytes (`ulimit -d`, `RLIMIT_DATA`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_kb: Option<u64>,
    /// Stack of the first thread, and the default size of each other thread's stack, in units of
    /// 1024 bytes (`ulimit -s`, `RLIMIT_STACK`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack_kb: Option<u64>,
    /// Open files of one process (`ulimit -n`, `RLIMIT_NOFILE`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_files: Option<u64>,
    /// Tasks of httpd's user on the whole machine (`ulimit -u`, `RLIMIT_NPROC`). It does not bind
    /// root, so a parent that runs as root can still fork.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processes: Option<u64>,
    /// Tasks of httpd in its control group (`pids.max`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cgroup_tasks: Option<u64>,
    /// Memory of httpd in its control group in units of 1024 bytes (`memory.max`, in version 1
    /// `memory.limit_in_bytes`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cgroup_memory_kb: Option<u64>,
}

/// One limit with a value, in the kernel's own unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// The key in the scenario file.
    pub key: &'static str,
    /// The option of the shell's `ulimit`.
    pub ulimit: char,
    /// The value as the scenario has it.
    pub value: u64,
    /// Bytes or a count: 1024 times the value for the keys that end in `_kb`.
    pub kernel_value: u64,
}

impl Limits {
    /// The limits of `ulimit` that are set, in the order of the fields.
    pub fn iter(&self) -> impl Iterator<Item = Limit> {
        [
            ("address_space_kb", 'v', self.address_space_kb, 1024),
            ("data_kb", 'd', self.data_kb, 1024),
            ("stack_kb", 's', self.stack_kb, 1024),
            ("open_files", 'n', self.open_files, 1),
            ("processes", 'u', self.processes, 1),
        ]
        .into_iter()
        .filter_map(|(key, ulimit, value, unit)| {
            value.map(|value| Limit {
                key,
                ulimit,
                value,
                kernel_value: value.saturating_mul(unit),
            })
        })
    }

    /// Sets the limit of this key in the scenario file, or takes it away. False if there is no
    /// such key.
    pub fn set(&mut self, key: &str, value: Option<u64>) -> bool {
        let limit = match key {
            "address_space_kb" => &mut self.address_space_kb,
            "data_kb" => &mut self.data_kb,
            "stack_kb" => &mut self.stack_kb,
            "open_files" => &mut self.open_files,
            "processes" => &mut self.processes,
            "cgroup_tasks" => &mut self.cgroup_tasks,
            "cgroup_memory_kb" => &mut self.cgroup_memory_kb,
            _ => return false,
        };
        *limit = value;
        true
    }

    /// The shell command that sets the same, such as `ulimit -v 500000`; empty without limits.
    pub fn as_ulimit(&self) -> String {
        let options: Vec<String> = self
            .iter()
            .map(|limit| format!("-{} {}", limit.ulimit, limit.value))
            .collect();
        if options.is_empty() {
            String::new()
        } else {
            format!("ulimit {}", options.join(" "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_kibibytes_and_counts_are_counts() {
        let limits = Limits {
            address_space_kb: Some(500_000),
            open_files: Some(24),
            ..Limits::default()
        };
        let kernel: Vec<(char, u64)> = limits.iter().map(|l| (l.ulimit, l.kernel_value)).collect();
        assert_eq!(kernel, [('v', 512_000_000), ('n', 24)]);
        assert_eq!(limits.as_ulimit(), "ulimit -v 500000 -n 24");
    }

    #[test]
    fn no_limits_is_no_command() {
        assert_eq!(Limits::default().as_ulimit(), "");
    }
}
