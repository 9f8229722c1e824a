//! What the kernel itself counts of each program's runs.

use std::{
    fs,
    os::fd::{AsFd, AsRawFd, OwnedFd},
};

use aya::{
    programs::Program,
    sys::{Stats, enable_stats},
};

use super::KernelError;

/// Runs of one program since it was loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProgramRuns {
    /// The program's name.
    pub program: String,
    /// Runs while [`count_run_time`] was on.
    pub runs: u64,
    /// Time of these runs, nanoseconds. The cost of coming to the program is not in it.
    pub time_ns: u64,
    /// Runs that the kernel skipped because the program was already running on that CPU.
    pub missed: u64,
}

impl ProgramRuns {
    /// Of a loaded program, from its descriptor's entry in /proc; `None` if it is not loaded.
    pub(super) fn of(name: &str, program: &Program) -> Option<Self> {
        let fd = program.fd().ok()?.as_fd().as_raw_fd();
        let text = fs::read_to_string(format!("/proc/self/fdinfo/{fd}")).ok()?;
        Some(Self::parse(name, &text))
    }

    fn parse(name: &str, fdinfo: &str) -> Self {
        let value = |key: &str| {
            let mut lines = fdinfo.lines();
            lines
                .find_map(|line| {
                    line.strip_prefix(key)?
                        .strip_prefix(':')?
                        .trim()
                        .parse()
                        .ok()
                })
                .unwrap_or(0)
        };
        Self {
            program: name.to_owned(),
            runs: value("run_cnt"),
            time_ns: value("run_time_ns"),
            missed: value("recursion_misses"),
        }
    }

    /// What came in since `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            program: self.program.clone(),
            runs: self.runs.saturating_sub(earlier.runs),
            time_ns: self.time_ns.saturating_sub(earlier.time_ns),
            missed: self.missed.saturating_sub(earlier.missed),
        }
    }
}

/// Makes the kernel count the runs and the run time of all eBPF programs on this machine
/// (`kernel.bpf_stats_enabled`) for as long as what it returns is held. The kernel ends it by
/// itself when this process does, however that happens. Counting costs each run two clock reads.
///
/// # Errors
/// Without root.
pub fn count_run_time() -> Result<OwnedFd, KernelError> {
    enable_stats(Stats::RunTime).map_err(|error| KernelError::RunTime(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FDINFO: &str = "pos:\t0\nflags:\t02000002\nprog_type:\t26\nprog_jited:\t1\n\
        memlock:\t4096\nprog_id:\t41\nrun_time_ns:\t9500\nrun_cnt:\t38\nrecursion_misses:\t2\n";

    #[test]
    fn runs_are_read_from_the_descriptors_entry() {
        let runs = ProgramRuns::parse("sched_switch", FDINFO);
        assert_eq!((runs.runs, runs.time_ns, runs.missed), (38, 9500, 2));
    }

    #[test]
    fn a_difference_is_taken_field_by_field() {
        let later = ProgramRuns::parse("sched_switch", FDINFO);
        let earlier = ProgramRuns {
            runs: 30,
            time_ns: 500,
            ..later.clone()
        };
        let between = later.since(&earlier);
        assert_eq!(
            (between.runs, between.time_ns, between.missed),
            (8, 9000, 0)
        );
    }
}
