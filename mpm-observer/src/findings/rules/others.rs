//! What no other rule accounts for, told plainly.

use super::{CLIENT, FAILURES, LOG, Rule, sentence};
use crate::{
    findings::{
        evidence::{RunEvidence, StartResult, was_stopped},
        observation::{Claimed, Observation},
        words::{by_frequency, call_example, errno_name},
    },
    recording::{FailureKind, FailureRow},
};

pub(super) const CALLS: Rule = Rule {
    name: "other-failed-calls",
    looks_for: "refused calls that no other rule accounts for",
    needs: &[FAILURES, LOG],
    observe: observe_calls,
    tell: |seen| {
        let cause = format!(
            "calls failed, and no limit is known that would explain it{}: {}",
            seen.in_runs(),
            seen.word("calls")
        );
        sentence(&cause, &seen.consequences(), "no request failed of it")
    },
    remedies: super::no_remedy,
};

pub(super) const REQUESTS: Rule = Rule {
    name: "unexplained",
    looks_for: "failed requests, and starts that failed, that no failure in the kernel explains",
    needs: &[CLIENT, FAILURES],
    observe: observe_requests,
    tell: |seen| {
        let followed = seen.consequences().join("; ");
        let why = match seen.has_word("stopped") {
            true => "httpd was stopped in that time",
            false => "No failure that would explain it was recorded in the kernel",
        };
        format!(
            "{followed}{}. {why}.",
            // The part about the start says in how many runs.
            if seen.all.iter().any(|one| one.start.is_some()) {
                String::new()
            } else {
                seen.in_runs()
            }
        )
    },
    remedies: super::no_remedy,
};

/// Longest example, in characters.
const EXAMPLE: usize = 200;

fn observe_calls(run: &RunEvidence<'_>, claimed: &Claimed) -> Option<Observation> {
    let rows: Vec<(usize, &FailureRow)> = run
        .failures(FailureKind::Call)
        .filter(|(place, _)| !claimed.failures.contains(place))
        .collect();
    let (_, first) = rows.first()?;
    let calls = rows
        .iter()
        .map(|(_, row)| format!("{} with {}", row.call, errno_name(row.errno)));
    let mut seen = Observation {
        failures: rows.iter().map(|(place, _)| *place).collect(),
        ..Observation::default()
    };
    seen.word("calls", by_frequency(calls));
    let begin_ns = run.run.manifest.began_ns;
    seen.rests_on(FAILURES, rows.len(), call_example(first, begin_ns));
    if let Some(unread) = unread(first) {
        seen.missing.push(unread);
    }
    // It bears on the start only if nothing better explains that.
    if !claimed.start {
        seen.start = Some(run.start_result()).filter(|start| *start != StartResult::Whole);
    }
    Some(seen)
}

/// The limits that are set and whose use could not be read.
fn unread(row: &FailureRow) -> Option<String> {
    let limits = [
        ("RLIMIT_AS", row.address_space_limit, row.address_space),
        ("RLIMIT_DATA", row.data_limit, row.data),
        ("RLIMIT_NPROC", row.processes_limit, row.processes),
        ("pids.max", row.cgroup_tasks_limit, row.cgroup_tasks),
        ("memory.max", row.cgroup_memory_limit, row.cgroup_memory),
    ];
    let unread: Vec<String> = limits
        .into_iter()
        .filter(|(_, limit, used)| limit.is_some() && used.is_none())
        .map(|(name, ..)| name.to_owned())
        .collect();
    (!unread.is_empty()).then(|| {
        format!(
            "the use of {} was not read",
            crate::wording::listing(&unread)
        )
    })
}

fn observe_requests(run: &RunEvidence<'_>, claimed: &Claimed) -> Option<Observation> {
    let clients: Vec<usize> = run
        .failed_requests()
        .map(|(place, _)| place)
        .filter(|place| !claimed.clients.contains(place))
        .collect();
    let start = run.start_result();
    let fewer = matches!(start, StartResult::Died | StartResult::Ended) || run.was_given_up();
    let start = Some(start).filter(|_| fewer && !claimed.start);
    if start.is_none() && (clients.is_empty() || run.was_given_up()) {
        return None;
    }
    let mut seen = Observation {
        clients,
        start,
        ..Observation::default()
    };
    if start.is_some()
        && let Some(failure) = &run.run.manifest.start.failure
    {
        let begin: String = failure.chars().take(EXAMPLE).collect();
        seen.rests_on(super::MANIFEST, 1, begin);
    }
    if was_stopped(run.run) {
        seen.word("stopped", "yes");
    }
    seen.missing.extend(run.blind_spots());
    Some(seen)
}
