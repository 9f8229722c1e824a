//! What went wrong after httpd was told to stop. It is no failure of the run.

use super::{FAILURES, Rule, TASKS, signals::is_fault};
use crate::{
    findings::{
        evidence::RunEvidence,
        observation::{Claimed, Observation, Seen},
        words::{by_frequency, errno_name, signal_name, who},
    },
    recording::FailureKind,
};

pub(super) const RULE: Rule = Rule {
    name: "crashed-while-stopping",
    looks_for: "crashes and refused calls after httpd was told to stop",
    needs: &[FAILURES, TASKS],
    observe,
    tell,
    remedies: super::no_remedy,
};

fn observe(run: &RunEvidence<'_>, _: &Claimed) -> Option<Observation> {
    let crashed: Vec<_> = run
        .processes()
        .filter(|row| !row.alive && row.exited_ns >= run.stop_ns() && is_fault(row.exit_signal))
        .collect();
    let refused: Vec<_> = run
        .failures_while_stopping()
        .filter(|(_, row)| matches!(row.kind, FailureKind::Call | FailureKind::OomKill))
        .collect();
    let mut what = Vec::new();
    let mut seen = Observation::default();
    if let Some(first) = crashed.first() {
        what.push(format!(
            "{} of {} ended by {}",
            crashed.len(),
            run.processes().count(),
            by_frequency(crashed.iter().map(|row| signal_name(row.exit_signal))),
        ));
        let example = format!("{} (process {})", who(&first.role), first.pid);
        seen.rests_on(TASKS, crashed.len(), example);
    }
    if let Some((_, first)) = refused.first() {
        let calls = refused.iter().map(|(_, row)| match row.kind {
            FailureKind::OomKill => "a kill for want of memory".to_owned(),
            _ => format!("{} with {}", row.call, errno_name(row.errno)),
        });
        what.push(format!("failures of {}", by_frequency(calls)));
        seen.rests_on(FAILURES, refused.len(), who(&first.role));
    }
    if what.is_empty() {
        return None;
    }
    seen.failures = run
        .failures_while_stopping()
        .map(|(place, _)| place)
        .collect();
    seen.word("what", what.join(", "));
    Some(seen)
}

fn tell(seen: &Seen<'_>) -> String {
    format!(
        "while httpd was being stopped, after the load{}: processes: {}. This harmed no request.",
        seen.in_runs(),
        seen.word("what"),
    )
}
