//! Processes that a signal ended, while httpd was to run.

use std::collections::HashSet;

use super::{FAILURES, LOG, Rule, TASKS, memory_killed::clients_of, sentence};
use crate::{
    findings::{
        evidence::{RunEvidence, StartResult},
        observation::{Claimed, Observation, Seen},
        words::{after, by_frequency, signal_name, who},
    },
    recording::{FailureKind, FailureRow, TaskRow},
};

pub(super) const KILLED: Rule = Rule {
    name: "killed",
    looks_for: "processes ended by a signal that somebody sent, and who did",
    needs: &[FAILURES, TASKS, LOG],
    observe: |run, claimed| observe(run, claimed, false),
    tell,
    remedies: super::no_remedy,
};

pub(super) const CRASHED: Rule = Rule {
    name: "crashed",
    looks_for: "processes ended by a fault of their own: SIGSEGV, SIGBUS, SIGABRT and the like",
    needs: &[FAILURES, TASKS, LOG],
    observe: |run, claimed| observe(run, claimed, true),
    tell,
    remedies: super::no_remedy,
};

/// SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV, SIGXCPU, SIGXFSZ, SIGSYS.
const FAULTS: [u8; 9] = [4, 5, 6, 7, 8, 11, 24, 25, 31];

/// Whether a signal tells of a fault of the process itself.
pub(super) fn is_fault(signal: u8) -> bool {
    FAULTS.contains(&signal)
}

fn observe(run: &RunEvidence<'_>, claimed: &Claimed, faults: bool) -> Option<Observation> {
    let signals: Vec<(usize, &FailureRow)> = run.failures(FailureKind::Signal).collect();
    let taken: HashSet<u32> = signals
        .iter()
        .filter(|(place, _)| claimed.failures.contains(place))
        .map(|(_, row)| row.pid)
        .chain(claimed.processes.iter().copied())
        .collect();
    let own: HashSet<u32> = run.run.ends.iter().map(|row| row.tid).collect();
    let sent_to = |victim: &TaskRow| {
        let mut signals = signals.iter();
        signals.find(|(_, row)| row.pid == victim.pid && row.signal == victim.exit_signal)
    };
    let started = run.run.manifest.start.answered;
    // What is left without its parent the lab ends.
    let parent_ended_ns = run.parent_ended_ns().unwrap_or(u64::MAX);
    let victims: Vec<&TaskRow> = run
        .processes()
        .filter(|row| !row.alive && row.exit_signal != 0 && row.exited_ns < run.stop_ns())
        .filter(|row| is_fault(row.exit_signal) == faults && !taken.contains(&row.pid))
        .filter(|row| faults || row.exited_ns <= parent_ended_ns)
        .filter(|row| {
            let sender = sent_to(row).map(|(_, signal)| signal);
            let from_httpd = sender.is_some_and(|signal| own.contains(&signal.by_tid));
            // httpd's parent ends children that it has no need of, and the lab an httpd that
            // does not come up.
            let order = matches!(row.exit_signal, 1 | 2 | 10 | 15);
            faults || (started && !(order && (from_httpd || sender.is_none())))
        })
        .collect();
    let first = victims.iter().min_by_key(|row| row.exited_ns)?;
    let mut seen = Observation::default();
    let pids: HashSet<u32> = victims.iter().map(|row| row.pid).collect();
    seen.failures = signals
        .iter()
        .filter(|(_, row)| pids.contains(&row.pid))
        .map(|(place, _)| *place)
        .collect();
    let by = |victim: &&TaskRow| match sent_to(victim).map(|(_, row)| row) {
        None => "by an unknown sender".to_owned(),
        Some(row) if row.by_kernel => "by the kernel".to_owned(),
        Some(row) if own.contains(&row.by_tid) => {
            let sender = run.run.ends.iter().find(|task| task.tid == row.by_tid);
            format!("by {} of httpd", who(sender.map_or("", |task| &task.role)))
        }
        Some(row) => format!("by task {}, which is none of httpd's", row.by_tid),
    };
    let senders = by_frequency(victims.iter().map(by));
    if senders.contains("unknown") {
        let what = "who sent the signal was not recorded";
        seen.missing.push(what.into());
    }
    seen.figure("victims", victims.len() as f64)
        .word(
            "roles",
            by_frequency(victims.iter().map(|row| row.role.clone())),
        )
        .word(
            "signal",
            by_frequency(victims.iter().map(|row| signal_name(row.exit_signal))),
        );
    if !faults {
        seen.word("by", senders);
    }
    let begin_ns = run.run.manifest.began_ns;
    let example = format!(
        "{} (process {}) ended by {} {}",
        who(&first.role),
        first.pid,
        signal_name(first.exit_signal),
        after(first.exited_ns, begin_ns)
    );
    seen.rests_on(TASKS, victims.len(), example);
    for line in run.log_since(first.exited_ns) {
        let told = ["AH00051", "AH00052"];
        let code = line.line.code.as_ref();
        if let Some(code) = code.filter(|code| told.contains(&code.as_str()))
            && !seen.codes.contains(code)
        {
            seen.codes.push(code.clone());
        }
    }
    let ends: Vec<(u64, u64)> = victims
        .iter()
        .map(|row| (row.exited_ns, row.exited_ns))
        .collect();
    seen.clients = clients_of(run, &pids, &ends);
    let gone = |start: &StartResult| matches!(start, StartResult::Died | StartResult::Ended);
    seen.start = Some(run.start_result()).filter(gone);
    seen.weight = victims.len() as f64 / run.processes().count().max(1) as f64;
    Some(seen)
}

fn tell(seen: &Seen<'_>) -> String {
    let victims = seen.count("victims");
    let roles = match (seen.word("roles"), victims.as_str()) {
        ("child", "1") => "child",
        ("child", _) => "children",
        (roles, _) => roles,
    };
    let each = if seen.all.len() > 1 { " a run" } else { "" };
    let by = match seen.word("by") {
        "" => String::new(),
        by => format!(", sent {by}"),
    };
    let cause = format!(
        "{victims} {roles}{each} ended by {}{by}{}",
        seen.word("signal"),
        seen.in_runs()
    );
    sentence(&cause, &seen.consequences(), "")
}
