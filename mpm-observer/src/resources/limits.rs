//! What a server uses of the limits that it runs under.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use procfs::process::{LimitValue, Process};

use super::cgroup::{CgroupUse, nearest_limit};

/// A limit and what is used of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitUse {
    /// What is used.
    pub used: u64,
    /// How much may be; `None`: it is not limited.
    pub limit: Option<u64>,
}

impl LimitUse {
    /// The used part, 0 to 1; 0 without a limit.
    #[must_use]
    pub fn ratio(&self) -> f64 {
        match self.limit {
            Some(0) => 1.0,
            Some(limit) => self.used as f64 / limit as f64,
            None => 0.0,
        }
    }

    /// The one that is nearer to its limit; without limits, the one that uses more.
    fn nearer(self, other: Self) -> Self {
        let key = |of: &Self| (of.ratio(), of.used);
        if key(&other) > key(&self) {
            other
        } else {
            self
        }
    }
}

/// The limits of a server. Of those that each process has, the process nearest to its own.
/// What could not be read is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LimitsLook {
    /// Open files, `RLIMIT_NOFILE`.
    pub open_files: Option<LimitUse>,
    /// Bytes of address space, `RLIMIT_AS`.
    pub address_space: Option<LimitUse>,
    /// Tasks of the user that the children run as, `RLIMIT_NPROC`.
    pub user_tasks: Option<LimitUse>,
    /// Tasks of the control group nearest to its limit, `pids.max`.
    pub cgroup_tasks: Option<LimitUse>,
    /// Bytes of memory of the control group nearest to its limit, `memory.max`, without the pages of
    /// files that were not used lately: those are taken back before the limit refuses anything.
    pub cgroup_memory: Option<LimitUse>,
    /// Resident bytes of all processes; a page counts once for each that shares it.
    pub resident_bytes: Option<u64>,
}

/// Looks at the limits of a server with these processes, the first one first. A process that ends
/// meanwhile is left out.
#[must_use]
pub fn limits_look(pids: &[u32]) -> LimitsLook {
    let mut look = LimitsLook::default();
    let page_bytes = procfs::page_size();
    let mut user_tasks_of = None;
    for &pid in pids {
        let Some(process) = i32::try_from(pid)
            .ok()
            .and_then(|pid| Process::new(pid).ok())
        else {
            continue;
        };
        if let Ok(statm) = process.statm() {
            *look.resident_bytes.get_or_insert(0) += statm.resident * page_bytes;
            if let Ok(limits) = process.limits() {
                let of_process = LimitUse {
                    used: statm.size * page_bytes,
                    limit: value(limits.max_address_space.soft_limit),
                };
                merge(&mut look.address_space, Some(of_process));
                let open_files = open_files(pid).map(|used| LimitUse {
                    used,
                    limit: value(limits.max_open_files.soft_limit),
                });
                merge(&mut look.open_files, open_files);
                // The limit does not bind root, as which the first process runs.
                if let Some(uid) = process.uid().ok().filter(|uid| *uid != 0) {
                    user_tasks_of.get_or_insert((uid, value(limits.max_processes.soft_limit)));
                }
            }
        }
    }
    look.user_tasks = user_tasks_of.map(|(uid, limit)| LimitUse {
        used: tasks_of_user(uid),
        limit,
    });
    if let Some(&first) = pids.first() {
        let CgroupUse { tasks, memory } = nearest_limit(first);
        (look.cgroup_tasks, look.cgroup_memory) = (tasks, memory);
    }
    look
}

fn merge(nearest: &mut Option<LimitUse>, other: Option<LimitUse>) {
    *nearest = match (*nearest, other) {
        (Some(nearest), Some(other)) => Some(nearest.nearer(other)),
        (nearest, other) => nearest.or(other),
    };
}

const fn value(limit: LimitValue) -> Option<u64> {
    match limit {
        LimitValue::Unlimited => None,
        LimitValue::Value(value) => Some(value),
    }
}

/// How many files a process has open; `None` if its descriptors may not be read.
fn open_files(pid: u32) -> Option<u64> {
    let path = PathBuf::from(format!("/proc/{pid}/fd"));
    // From Linux 6.2 on the directory's size is their number.
    match fs::metadata(&path).ok()?.size() {
        0 => Some(fs::read_dir(&path).ok()?.count() as u64),
        size => Some(size),
    }
}

/// How many tasks a user has on this machine.
fn tasks_of_user(uid: u32) -> u64 {
    let Ok(entries) = fs::read_dir("/proc") else {
        return 0;
    };
    let is_process = |path: &Path| {
        let name = path.file_name().map(|name| name.to_string_lossy());
        name.is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let of_user = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| is_process(path))
        .filter(|path| fs::metadata(path).is_ok_and(|of| of.uid() == uid));
    // A link for each thread, beside `.` and `..`.
    of_user
        .filter_map(|path| fs::metadata(path.join("task")).ok())
        .map(|tasks| tasks.nlink().saturating_sub(2))
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn of(used: u64, limit: Option<u64>) -> LimitUse {
        LimitUse { used, limit }
    }

    #[test]
    fn the_process_nearest_to_its_limit_is_told() {
        let mut nearest = None;
        for other in [
            of(900, None),
            of(5, Some(10)),
            of(60, Some(100)),
            of(2, Some(10)),
        ] {
            merge(&mut nearest, Some(other));
        }
        merge(&mut nearest, None);
        assert_eq!(nearest, Some(of(60, Some(100))));
        assert_eq!(of(1, None).nearer(of(2, None)), of(2, None));
        assert_eq!(of(3, Some(0)).ratio(), 1.0);
    }

    #[test]
    fn the_look_at_a_process_agrees_with_the_system() {
        let own = std::process::id();
        let _file = fs::File::open("/proc/version").unwrap();
        let look = limits_look(&[own]);
        let files = look.open_files.unwrap();
        let (soft, _) =
            nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE).unwrap();
        assert_eq!(files.limit, Some(soft));
        assert!(files.used >= 4, "{files:?}");
        assert!(look.resident_bytes.unwrap() > 100_000);
        assert!(look.address_space.unwrap().used >= look.resident_bytes.unwrap());
    }

    #[test]
    fn the_threads_of_a_users_processes_are_counted() {
        let uid = nix::unistd::geteuid().as_raw();
        let (ready, wait) = std::sync::mpsc::channel::<()>();
        let (started, told) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            started.send(()).unwrap();
            let _ = wait.recv();
        });
        told.recv().unwrap();
        // This test's two threads at the least.
        assert!(tasks_of_user(uid) >= 2);
        drop(ready);
        thread.join().unwrap();
        assert_eq!(tasks_of_user(u32::MAX - 7), 0);
    }

    #[test]
    fn a_process_that_is_gone_is_left_out() {
        let look = limits_look(&[u32::MAX]);
        assert_eq!((look.open_files, look.resident_bytes), (None, None));
    }
}
