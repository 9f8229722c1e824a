//! CPU time of httpd, to the nanosecond, from its tasks' `schedstat` or its processes' clocks.

use std::{
    collections::{BTreeSet, HashMap},
    fs, io,
    time::Duration,
};

use nix::{time::ClockId, unistd::Pid};

use crate::httpd::Task;

/// CPU time of each task since its start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ServerCpu {
    /// Nanoseconds by thread id and start time.
    of_task: HashMap<(u32, u64), u64>,
}

impl ServerCpu {
    /// Reads it of all `tasks`; those that end meanwhile are left out. The kernel brings the
    /// figure of a running task up to date at each of its switches and ticks, so it is exact for
    /// a server that is idle.
    pub(crate) fn read(tasks: &[Task]) -> Self {
        let cpu_ns = |task: &Task| {
            let path = format!("/proc/{}/task/{}/schedstat", task.pid, task.tid);
            on_cpu_ns(&fs::read_to_string(path).ok()?)
        };
        let of_task = tasks
            .iter()
            .filter_map(|task| Some(((task.tid, task.start_ticks), cpu_ns(task)?)))
            .collect();
        Self { of_task }
    }

    /// CPU time used since `earlier`, nanoseconds. `None` if a task has ended between, and has
    /// taken its figure with it.
    pub(crate) fn since(&self, earlier: &Self) -> Option<u64> {
        if earlier
            .of_task
            .keys()
            .any(|task| !self.of_task.contains_key(task))
        {
            return None;
        }
        let used = self.of_task.iter().map(|(task, now_ns)| {
            let before_ns = earlier.of_task.get(task).copied().unwrap_or(0);
            now_ns.saturating_sub(before_ns)
        });
        Some(used.sum())
    }
}

/// The CPU clocks of some processes. Reading them takes about a microsecond each, so it can be
/// done under load.
#[derive(Clone, Debug)]
pub(crate) struct ProcessClocks(Vec<ClockId>);

impl ProcessClocks {
    /// Of the processes of `pids`.
    ///
    /// # Errors
    /// When one of them has ended.
    pub(crate) fn of(pids: impl IntoIterator<Item = u32>) -> io::Result<Self> {
        let pids: BTreeSet<u32> = pids.into_iter().collect();
        let clocks = pids.into_iter().map(|pid| {
            let pid = i32::try_from(pid).map_err(io::Error::other)?;
            Ok(ClockId::pid_cpu_clock_id(Pid::from_raw(pid))?)
        });
        Ok(Self(clocks.collect::<io::Result<_>>()?))
    }

    /// CPU time of all their threads, also of those that have ended, nanoseconds. Of a thread
    /// that runs, up to its last switch or tick. `None` if a process has ended.
    pub(crate) fn read_ns(&self) -> Option<u64> {
        let times = self.0.iter().map(|clock| {
            let time = Duration::from(clock.now().ok()?);
            u64::try_from(time.as_nanos()).ok()
        });
        times.sum()
    }
}

/// CPU time of all threads of a process, nanoseconds.
pub(crate) fn process_cpu_ns(pid: u32) -> io::Result<u64> {
    let mut sum = 0;
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        let text = fs::read_to_string(thread?.path().join("schedstat"))?;
        sum += on_cpu_ns(&text).ok_or(io::ErrorKind::InvalidData)?;
    }
    Ok(sum)
}

/// The first field of `schedstat`: time on a CPU.
fn on_cpu_ns(schedstat: &str) -> Option<u64> {
    schedstat.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn cpu(tasks: &[(u32, u64, u64)]) -> ServerCpu {
        ServerCpu {
            of_task: tasks
                .iter()
                .map(|&(tid, start, ns)| ((tid, start), ns))
                .collect(),
        }
    }

    #[test]
    fn the_first_field_is_the_time_on_a_cpu() {
        assert_eq!(on_cpu_ns("123456789 42 7\n"), Some(123_456_789));
        assert_eq!(on_cpu_ns(""), None);
        assert_eq!(on_cpu_ns("x 1 2"), None);
    }

    #[test]
    fn new_tasks_count_from_their_start() {
        let before = cpu(&[(1, 10, 100), (2, 10, 50)]);
        let after = cpu(&[(1, 10, 130), (2, 10, 50), (3, 99, 7)]);
        assert_eq!(after.since(&before), Some(37));
    }

    #[test]
    fn a_task_that_ended_leaves_no_figure_even_if_its_number_is_used_again() {
        let before = cpu(&[(1, 10, 100), (2, 10, 50)]);
        assert_eq!(cpu(&[(1, 10, 130)]).since(&before), None);
        assert_eq!(cpu(&[(1, 10, 130), (2, 77, 60)]).since(&before), None);
    }

    #[test]
    fn a_process_clock_goes_on_while_the_process_works_and_is_gone_with_it() {
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let clocks = ProcessClocks::of([std::process::id(), child.id()]).unwrap();
        let before_ns = clocks.read_ns().unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        while clocks.read_ns().unwrap() < before_ns + 2_000_000 {
            assert!(Instant::now() < deadline, "the clock stands still");
            std::hint::black_box((0..10_000_u64).sum::<u64>());
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(clocks.read_ns(), None);
    }

    #[test]
    fn this_process_has_used_cpu_time() {
        // The kernel tells whole ticks, and a young process has used none.
        let used_ns = || process_cpu_ns(std::process::id()).unwrap();
        let until = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while used_ns() == 0 {
            assert!(std::time::Instant::now() < until);
        }
    }
}
