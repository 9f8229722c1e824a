//! What the rules about refused calls have in common.

use std::collections::{BTreeMap, HashSet};

use super::memory_killed::clients_of;
use crate::{
    findings::{
        evidence::{RunEvidence, StartResult},
        observation::{Observation, Seen},
        reached::Reached,
        words,
    },
    recording::{FailureKind, FailureRow, Purpose, TaskRow},
};

/// Messages of httpd that tell of a refused resource without an error number: that it gives up,
/// and that a child ended as it does when it is short of something.
const GIVES_UP: [&str; 7] = [
    "AH02325", "AH02324", "AH02179", "AH00156", "AH00529", "AH00132", "AH00050",
];

const SIGABRT: u8 = 6;

/// The refused calls of a run that had reached one limit.
pub(super) struct Refused<'a> {
    /// Places and rows, in the order of the table; at least one.
    pub rows: Vec<(usize, &'a FailureRow)>,
    /// The first one that is like most of them.
    pub typical: &'a FailureRow,
}

/// Looks for refused calls before the stop.
pub(super) fn refused<'a>(
    run: &RunEvidence<'a>,
    at: impl Fn(&FailureRow) -> bool,
) -> Option<Refused<'a>> {
    let rows: Vec<(usize, &FailureRow)> = run
        .failures(FailureKind::Call)
        .filter(|(_, row)| at(row))
        .collect();
    // glibc tries an arena first and does without: what else failed tells more.
    let telling = |row: &FailureRow| row.purpose != Purpose::MallocArena;
    let any = rows.iter().any(|(_, row)| telling(row));
    let mut counts = BTreeMap::new();
    for (_, row) in rows.iter().filter(|(_, row)| !any || telling(row)) {
        *counts.entry(kind_of(row)).or_insert(0_u64) += 1;
    }
    let (most, _) = counts.into_iter().max_by_key(|(_, count)| *count)?;
    let (_, typical) = *rows.iter().find(|(_, row)| kind_of(row) == most)?;
    Some(Refused { rows, typical })
}

/// Looks for calls that had reached `limit`.
pub(super) fn refused_at<'a>(run: &RunEvidence<'a>, limit: Reached) -> Option<Refused<'a>> {
    refused(run, |row| Reached::of(row) == limit)
}

fn kind_of(row: &FailureRow) -> (String, String, u64, u32) {
    (row.call.clone(), row.role.clone(), row.bytes, row.errno)
}

impl Refused<'_> {
    /// The observation with the calls, their messages in the log, and what came of the start.
    pub fn observation(&self, run: &RunEvidence<'_>) -> Observation {
        let mut seen = Observation {
            failures: self.rows.iter().map(|(place, _)| *place).collect(),
            ..Observation::default()
        };
        let row = self.typical;
        let who = match (row.role.as_str(), run.mpm().is_threaded()) {
            // It is the one that starts the threads.
            ("thread" | "child", true) => "a starting child".to_owned(),
            (role, _) => words::who(role),
        };
        let arenas_tell = row.purpose == Purpose::MallocArena;
        let telling: Vec<&FailureRow> = self
            .rows
            .iter()
            .map(|(_, row)| *row)
            .filter(|row| arenas_tell || row.purpose != Purpose::MallocArena)
            .collect();
        let calls = words::by_frequency(telling.iter().map(|row| words::call(row)));
        seen.word("calls", calls)
            .word("errno", words::errno_name(row.errno))
            .word("who", who)
            .figure("times", telling.len() as f64)
            .figure("arenas_refused", (self.rows.len() - telling.len()) as f64);
        // Short of memory, httpd and its libraries end the process.
        let short: HashSet<u32> = self.rows.iter().map(|(_, row)| row.pid).collect();
        let aborted: Vec<&TaskRow> = run
            .processes()
            .filter(|row| row.exit_signal == SIGABRT && short.contains(&row.pid))
            .collect();
        let ends: Vec<(u64, u64)> = aborted
            .iter()
            .map(|row| (row.exited_ns, row.exited_ns))
            .collect();
        seen.processes = aborted.iter().map(|row| row.pid).collect();
        if !aborted.is_empty() {
            let gone = seen.processes.iter().copied().collect();
            seen.clients = clients_of(run, &gone, &ends);
        }
        seen.figure("aborted", seen.processes.len() as f64);
        let begin_ns = run.run.manifest.began_ns;
        seen.rests_on(
            super::FAILURES,
            self.rows.len(),
            words::call_example(row, begin_ns),
        );
        seen.codes = self.codes(run);
        if !seen.codes.is_empty() {
            let example = seen.codes.join(", ");
            seen.rests_on(super::LOG, seen.codes.len(), example);
        }
        seen.missing.extend(run.log_missing().map(str::to_owned));
        seen.start = Some(run.start_result()).filter(|start| *start != StartResult::Whole);
        seen
    }

    /// Codes of messages that are about these calls: with the same error number (the thread
    /// library makes EAGAIN of ENOMEM), or of the process whose call failed, or that httpd gives
    /// up.
    fn codes(&self, run: &RunEvidence<'_>) -> Vec<String> {
        let Some(since_ns) = self.rows.iter().map(|(_, row)| row.t_ns).min() else {
            return Vec::new();
        };
        let about = |errno: i32| {
            let errno = u32::try_from(errno).unwrap_or(0);
            let again = nix::errno::Errno::EAGAIN as u32;
            let no_memory = nix::errno::Errno::ENOMEM as u32;
            let mut rows = self.rows.iter();
            rows.any(|(_, row)| row.errno == errno || (row.errno == no_memory && errno == again))
        };
        let mut codes = Vec::new();
        for line in run.log_since(since_ns) {
            let Some(code) = &line.line.code else {
                continue;
            };
            let told = line.line.errno.is_some_and(about) || GIVES_UP.contains(&code.as_str());
            if told && !codes.contains(code) {
                codes.push(code.clone());
            }
        }
        codes
    }
}

/// `mmap of … by a child failed with ENOMEM, 3 times`.
pub(super) fn told(seen: &Seen<'_>) -> String {
    let times = match seen.count("times").as_str() {
        "1" => "once".to_owned(),
        times => format!("{times} times"),
    };
    let each = if seen.all.len() > 1 { " a run" } else { "" };
    let beside = match seen.most("arenas_refused") {
        Some(most) if most > 0.0 => format!(
            " (beside {} that glibc does without)",
            seen.plural("arenas_refused", "refused malloc arena")
        ),
        _ => String::new(),
    };
    format!(
        "{} by {} failed with {} {times}{each}{}{beside}",
        seen.word("calls"),
        seen.word("who"),
        seen.word("errno"),
        seen.in_runs(),
    )
}
