//! What the rules look at: one run with all its rows.

use std::{collections::HashMap, io};

use super::error_log_lines::{self, CLOCK_BOUND_NS, TimedLine};
use crate::{
    correlate::RunAnalysis,
    recording::{
        ClientRow, FailureKind, FailureRow, KernelRow, Purpose, RunDir, TableRow, TaskRow,
    },
    scenario::{Mpm, RunPlan, Start},
};

/// Tables that every run has, if only without rows.
const TABLES: [&str; 3] = [FailureRow::TABLE, TaskRow::TABLE, ClientRow::TABLE];

/// What came of httpd's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartResult {
    /// With all that was asked for.
    Whole,
    /// With fewer slots. Where all had been waited for, the lab gave it up then.
    Degraded {
        /// How many.
        slots: u32,
        /// Whether the run ended while threads of a child were still being started.
        going_on: bool,
    },
    /// It came up, and ended by itself before it was told to.
    Ended,
    /// It did not come up.
    Died,
}

/// A run with its error log.
pub struct RunEvidence<'a> {
    /// Name of the run's directory.
    pub name: &'a str,
    /// Its rows.
    pub run: &'a RunAnalysis,
    log: Result<Vec<TimedLine>, String>,
    stop_ns: u64,
    absent_tables: Vec<&'static str>,
}

impl<'a> RunEvidence<'a> {
    /// Reads what an analysed run does not hold.
    #[must_use]
    pub fn read(dir: &RunDir, name: &'a str, run: &'a RunAnalysis) -> Self {
        let is_live = run.manifest.live().is_some();
        let log = match is_live {
            true => Err(io::Error::new(
                io::ErrorKind::NotFound,
                "it is no part of the recording of a live server",
            )),
            false => error_log_lines::read(dir.path(), &run.manifest),
        };
        // A live server's clients may be anywhere.
        let needed = |table: &&str| !(is_live && *table == ClientRow::TABLE);
        let absent = |table: &&str| needed(table) && !dir.path().join(table).exists();
        Self {
            absent_tables: TABLES.into_iter().filter(absent).collect(),
            ..Self::new(name, run, log)
        }
    }

    /// A run with its log or the reason why it cannot be read.
    pub(super) fn new(
        name: &'a str,
        run: &'a RunAnalysis,
        log: io::Result<Vec<TimedLine>>,
    ) -> Self {
        let stop_ns = match run.manifest.stop_ns {
            0 => u64::MAX,
            stop_ns => stop_ns,
        };
        Self {
            name,
            run,
            log: log.map_err(|error| format!("the error log cannot be read: {error}")),
            stop_ns,
            absent_tables: Vec::new(),
        }
    }

    /// The plan; `None` of a live server, of whose configuration nothing is known.
    #[must_use]
    pub fn plan(&self) -> Option<&'a RunPlan> {
        self.run.manifest.plan()
    }

    /// The MPM.
    #[must_use]
    pub fn mpm(&self) -> Mpm {
        self.run.manifest.mpm
    }

    /// When httpd was told to stop.
    #[must_use]
    pub fn stop_ns(&self) -> u64 {
        self.stop_ns
    }

    /// Failures of one kind before httpd was told to stop, with their places in the table.
    pub fn failures(&self, kind: FailureKind) -> impl Iterator<Item = (usize, &'a FailureRow)> {
        let stop_ns = self.stop_ns;
        let rows = self.run.failures.iter().enumerate();
        rows.filter(move |(_, row)| row.kind == kind && row.t_ns < stop_ns)
    }

    /// Failures after httpd was told to stop.
    pub fn failures_while_stopping(&self) -> impl Iterator<Item = (usize, &'a FailureRow)> {
        let stop_ns = self.stop_ns;
        let rows = self.run.failures.iter().enumerate();
        rows.filter(move |(_, row)| row.t_ns >= stop_ns)
    }

    /// Whether the whole table of failures can be read: without it nobody knows that nothing was
    /// refused.
    #[must_use]
    pub fn knows_failures(&self) -> bool {
        let of_table = format!("/{}/", FailureRow::TABLE);
        let mut unreadable = self.run.unreadable.iter();
        !self.absent_tables.contains(&FailureRow::TABLE)
            && !unreadable.any(|part| part.contains(&of_table))
    }

    /// httpd's processes at their end, the first one among them.
    pub fn processes(&self) -> impl Iterator<Item = &'a TaskRow> {
        self.run.ends.iter().filter(|row| !row.is_thread)
    }

    /// When the process that all others come from ended, if it did before it was told to.
    #[must_use]
    pub fn parent_end_ns(&self) -> Option<u64> {
        let mut parents = self.processes().filter(|row| is_parent(row) && !row.alive);
        let end_ns = parents.next()?.exited_ns;
        (end_ns < self.stop_ns).then_some(end_ns)
    }

    /// The process of each task.
    #[must_use]
    pub fn process_of_task(&self) -> HashMap<u32, u32> {
        let ends = self.run.ends.iter();
        ends.map(|row| (row.tid, row.pid)).collect()
    }

    /// The measured requests with their places in the client's table; attempts on stale
    /// connections, which were sent again, are none.
    pub fn requests(&self) -> impl Iterator<Item = (usize, &'a ClientRow)> {
        let rows = self.run.client.iter().enumerate();
        rows.filter(|(_, row)| row.measured && row.outcome != "stale_keep_alive")
    }

    /// Those that failed.
    pub fn failed_requests(&self) -> impl Iterator<Item = (usize, &'a ClientRow)> {
        self.requests().filter(|(_, row)| is_failed(row))
    }

    /// How many requests were made.
    #[must_use]
    pub fn request_count(&self) -> u64 {
        self.requests().count() as u64
    }

    /// The kernel's row of each request of the client that has one.
    #[must_use]
    pub fn kernel_rows(&self) -> HashMap<usize, &'a KernelRow> {
        let pairs = self.run.join.pairs.iter();
        pairs
            .map(|pair| (pair.client, &self.run.kernel[pair.kernel]))
            .collect()
    }

    /// Why the log is not there; `None` if it is.
    #[must_use]
    pub fn log_missing(&self) -> Option<&str> {
        self.log.as_ref().err().map(String::as_str)
    }

    /// Warnings and errors of the log from a moment on, until httpd was told to stop.
    pub fn log_since(&self, since_ns: u64) -> impl Iterator<Item = &TimedLine> {
        let from_ns = since_ns.saturating_sub(CLOCK_BOUND_NS);
        let span = from_ns..self.stop_ns.saturating_add(CLOCK_BOUND_NS);
        let lines = self.log.iter().flatten();
        lines.filter(move |line| {
            line.line.is_serious() && line.t_ns.is_none_or(|t_ns| span.contains(&t_ns))
        })
    }

    /// Slots that were there at a moment: children in prefork, threads that serve otherwise.
    #[must_use]
    pub fn slots_at(&self, t_ns: u64) -> u32 {
        slots_at(self.run, t_ns)
    }

    /// What came of the start.
    #[must_use]
    pub fn start_result(&self) -> StartResult {
        start_result(self.run)
    }

    /// Whether the lab gave httpd up because it came up with fewer slots than were waited for:
    /// then the requests were refused by nobody but the lab.
    #[must_use]
    pub fn was_given_up(&self) -> bool {
        !self.run.manifest.start.answered
            && matches!(self.start_result(), StartResult::Degraded { .. })
    }

    /// What keeps failures of this run from being known, each in one line.
    #[must_use]
    pub fn blind_spots(&self) -> Vec<String> {
        let manifest = &self.run.manifest;
        let mut spots: Vec<String> = self
            .run
            .unreadable
            .iter()
            .map(|part| format!("cannot be read: {part}"))
            .collect();
        spots.extend(self.log_missing().map(str::to_owned));
        for table in &self.absent_tables {
            spots.push(format!("there is no table {table}"));
        }
        if !manifest.absent_programs.is_empty() {
            spots.push(format!(
                "the kernel refused the programs {}",
                manifest.absent_programs.join(", ")
            ));
        }
        let left_out = manifest.counters.failures_left_out;
        if left_out > 0 {
            spots.push(format!(
                "{left_out} further failures were counted and not kept"
            ));
        }
        let lost = manifest.counters.lost();
        if lost > 0 {
            spots.push(format!("{lost} records of the probes were lost"));
        }
        spots
    }
}

/// Whether a request ended without success; one that the end of the run cut off did not.
pub(super) fn is_failed(row: &ClientRow) -> bool {
    !row.is_ok() && !["aborted", "stale_keep_alive"].contains(&row.outcome.as_str())
}

/// Whether a live server was stopped while it was recorded: httpd's first process ends with status
/// 0 only if it was told to end. The lab stops its httpd itself, and later.
pub(crate) fn was_stopped(run: &RunAnalysis) -> bool {
    let mut ends = run.ends.iter();
    let orderly = |row: &TaskRow| !row.alive && row.exit_signal == 0 && row.exit_status == 0;
    run.manifest.live().is_some()
        && ends.any(|row| !row.is_thread && is_parent(row) && orderly(row))
}

/// What came of a run's start. A cold start that was refused nothing is whole, however many
/// children it had no need of.
#[must_use]
pub fn start_result(run: &RunAnalysis) -> StartResult {
    let manifest = &run.manifest;
    let start = &manifest.start;
    let before_stop = |t_ns: u64| manifest.stop_ns == 0 || t_ns < manifest.stop_ns;
    if let (false, Some(slots @ 1..)) = (start.answered, start.slots) {
        // It answered, but the slots that were waited for never came, so the lab gave it up.
        return StartResult::Degraded {
            slots,
            going_on: false,
        };
    }
    let mut ends = run.ends.iter();
    let ended_by_itself =
        ends.any(|row| is_parent(row) && !row.alive && before_stop(row.exited_ns));
    if !start.answered {
        return StartResult::Died;
    }
    // Its sockets close some time before the process is gone; only then is a client refused.
    let mut client = run.client.iter();
    let refused = client.any(|row| row.measured && row.outcome == "refused");
    if (ended_by_itself || refused) && !was_stopped(run) {
        return StartResult::Ended;
    }
    // How many slots a live server should have is not known.
    let Some(plan) = manifest.plan() else {
        return StartResult::Whole;
    };
    let server = &plan.server;
    let wanted = server.max_request_workers;
    let mut failures = run.failures.iter();
    // glibc does without an arena that it is refused.
    let denied = failures.any(|row| {
        let call = row.kind == FailureKind::Call && row.purpose != Purpose::MallocArena;
        call && before_stop(row.t_ns)
    });
    let slots = match server.start {
        Start::Warm if start.all_slots => wanted,
        Start::Warm => start.slots.unwrap_or_else(|| slots_most(run)),
        // Without tasks there is nothing to count.
        Start::Cold if !denied || run.ends.is_empty() => wanted,
        Start::Cold => slots_most(run),
    };
    if slots < wanted {
        StartResult::Degraded {
            slots,
            going_on: server.start == Start::Cold && is_starting(run, server.threads_per_child),
        }
    } else {
        StartResult::Whole
    }
}

/// Whether it is the process that all others come from.
fn is_parent(row: &TaskRow) -> bool {
    row.is_first || (row.role == "parent" && !row.is_thread)
}

fn slot_tasks(run: &RunAnalysis) -> impl Iterator<Item = &TaskRow> {
    let role = match run.manifest.mpm {
        Mpm::Prefork => "child",
        Mpm::Worker | Mpm::Event => "worker",
    };
    // A thread of a live server that served nothing in its time is a worker that was not needed,
    // as its listener accepts what comes.
    let idle = (run.manifest.live().is_some() && role == "worker").then_some("thread");
    run.ends
        .iter()
        .filter(move |row| row.role == role || idle == Some(row.role.as_str()))
}

fn slots_at(run: &RunAnalysis, t_ns: u64) -> u32 {
    let there =
        slot_tasks(run).filter(|row| row.created_ns <= t_ns && (row.alive || row.exited_ns > t_ns));
    u32::try_from(there.count()).unwrap_or(u32::MAX)
}

/// Whether a child that outlived the load had not started all of its threads.
fn is_starting(run: &RunAnalysis, threads_per_child: u32) -> bool {
    let manifest = &run.manifest;
    let stop_ns = match manifest.stop_ns {
        0 => u64::MAX,
        stop_ns => stop_ns,
    };
    let mut threads: HashMap<u32, u32> = HashMap::new();
    for row in slot_tasks(run).filter(|row| row.created_ns < stop_ns) {
        *threads.entry(row.pid).or_default() += 1;
    }
    let mut children = run.ends.iter().filter(|row| {
        let there = row.alive || row.exited_ns >= stop_ns;
        !row.is_thread && !is_parent(row) && row.created_ns < stop_ns && there
    });
    manifest.mpm.is_threaded()
        && children.any(|row| {
            let threads = threads.get(&row.pid).copied().unwrap_or(0);
            threads < threads_per_child
        })
}

/// The most slots that were there at once.
fn slots_most(run: &RunAnalysis) -> u32 {
    let begins = slot_tasks(run).map(|row| row.created_ns);
    begins.map(|t_ns| slots_at(run, t_ns)).max().unwrap_or(0)
}
