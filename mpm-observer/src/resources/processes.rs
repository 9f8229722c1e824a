//! Processes of httpd, from /proc.

use std::{fs, io};

/// What `/proc/PID/stat` tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProcessStat {
    /// CPU time of the process, all threads, clock ticks.
    pub cpu_ticks: u64,
    /// CPU time of its children that ended and were waited for, clock ticks.
    pub ended_children_ticks: u64,
    /// Threads.
    pub threads: u32,
    /// Virtual size, bytes.
    pub virtual_bytes: u64,
}

/// Reads a process's stat.
///
/// # Errors
/// When it has ended.
pub fn process_stat(pid: u32) -> io::Result<ProcessStat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    parse_stat(&text).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
}

fn parse_stat(text: &str) -> Option<ProcessStat> {
    // The command may hold spaces and parentheses; the rest begins after its last one.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    // proc(5) counts from 1, with pid and command as 1 and 2.
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    Some(ProcessStat {
        cpu_ticks: field(14)? + field(15)?,
        ended_children_ticks: field(16)? + field(17)?,
        threads: u32::try_from(field(20)?).ok()?,
        virtual_bytes: field(23)?,
    })
}

/// The direct children of a process.
///
/// # Errors
/// When it has ended, or the kernel does not list children (CONFIG_PROC_CHILDREN).
pub fn children_of(pid: u32) -> io::Result<Vec<u32>> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
    Ok(text
        .split_whitespace()
        .filter_map(|child| child.parse().ok())
        .collect())
}

/// CPU time of a parent, its live children and those that ended, nanoseconds (in steps of a
/// clock tick).
#[must_use]
pub fn cpu_ns_with_ended(parent: &ProcessStat, children: &[ProcessStat]) -> u64 {
    let ticks = parent.cpu_ticks
        + parent.ended_children_ticks
        + children
            .iter()
            .map(|child| child.cpu_ticks + child.ended_children_ticks)
            .sum::<u64>();
    ticks * (1_000_000_000 / procfs::ticks_per_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_with_spaces_and_parentheses_does_not_shift_the_fields() {
        let text = "4711 (a) b (c) S 1 4711 4711 0 -1 4194560 315 2000 8 0 11 22 33 44 20 0 27 0 \
            193042 1183000000 1079 18446744073709551615 0 0";
        assert_eq!(
            parse_stat(text),
            Some(ProcessStat {
                cpu_ticks: 33,
                ended_children_ticks: 77,
                threads: 27,
                virtual_bytes: 1_183_000_000,
            })
        );
    }

    #[test]
    fn a_short_line_is_refused() {
        assert_eq!(parse_stat("1 (init) S 0 1"), None);
    }

    #[test]
    fn a_child_is_listed_and_its_stat_can_be_read() {
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        // The children of a process hang on the thread that made them.
        let tid = nix::unistd::gettid();
        let path = format!("/proc/self/task/{tid}/children");
        let listed = fs::read_to_string(path).unwrap();
        assert!(
            listed
                .split_whitespace()
                .any(|pid| pid == child.id().to_string())
        );
        assert_eq!(process_stat(child.id()).unwrap().threads, 1);
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
