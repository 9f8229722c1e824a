//! Kept connections that the server ended while the client still used them.

use super::{CLIENT, FAILURES, Rule, sentence};
use crate::{
    findings::{
        Change, Remedy,
        evidence::RunEvidence,
        observation::{Claimed, Observation, Seen},
        occupancy::Occupancy,
        words::after,
    },
    recording::{ClientRow, FailureKind, FailureRow},
    scenario::Mpm,
};

pub(super) const RULE: Rule = Rule {
    name: "kept-connections-closed",
    looks_for: "kept connections that the server reset, and the requests that met them",
    needs: &[FAILURES, CLIENT],
    observe,
    tell,
    remedies,
};

fn observe(run: &RunEvidence<'_>, claimed: &Claimed) -> Option<Observation> {
    let stale: Vec<(usize, &ClientRow)> = run
        .run
        .client
        .iter()
        .enumerate()
        .filter(|(_, row)| row.measured && row.outcome == "stale_keep_alive")
        .collect();
    let failed: Vec<(usize, &ClientRow)> = run
        .failed_requests()
        .filter(|(place, row)| row.reused && !claimed.clients.contains(place))
        .collect();
    // A reset after the whole answer harms nobody.
    let resets: Vec<_> = run
        .failures(FailureKind::ResetSent)
        .filter(|(place, _)| !claimed.failures.contains(place))
        .filter(|(_, reset)| {
            let mut met = stale.iter().chain(&failed);
            met.any(|(_, row)| meets(row, reset))
        })
        .collect();
    let hit: Vec<usize> = failed
        .iter()
        .filter(|(_, row)| resets.iter().any(|(_, reset)| meets(row, reset)))
        .map(|(place, _)| *place)
        .collect();
    if stale.is_empty() && hit.is_empty() {
        return None;
    }
    let mut seen = Observation::default();
    seen.figure("resets", resets.len() as f64)
        .figure("again", stale.len() as f64)
        .figure("hit", hit.len() as f64);
    if busy(run, &stale) {
        seen.word("busy", "all slots were busy");
    } else if run.mpm() == Mpm::Event {
        seen.missing
            .push("that all slots were busy when it closed them is not shown".into());
    }
    if let Some((_, first)) = resets.first() {
        let begin_ns = run.run.manifest.began_ns;
        let example = format!("port {} {}", first.remote_port, after(first.t_ns, begin_ns));
        seen.rests_on(FAILURES, resets.len(), example);
    }
    seen.rests_on(
        CLIENT,
        stale.len(),
        "a request sent again on a new connection",
    );
    seen.failures = resets.iter().map(|(place, _)| *place).collect();
    seen.weight = stale.len() as f64 / run.request_count().max(1) as f64;
    seen.clients = hit;
    Some(seen)
}

/// A connection may have been reset so long before the request that meets it fails.
const IDLE_NS: u64 = 1_000_000_000;
/// And so long after it, by the order of the records of two programs.
const LATER_NS: u64 = 10_000_000;

/// Whether a request met a reset of its connection.
fn meets(request: &ClientRow, reset: &FailureRow) -> bool {
    let span = request.start_ns.saturating_sub(IDLE_NS)..=request.end_ns + LATER_NS;
    request.local_port == reset.remote_port && span.contains(&reset.t_ns)
}

/// Whether event's slots were all in use at most of these moments.
fn busy(run: &RunEvidence<'_>, moments: &[(usize, &ClientRow)]) -> bool {
    if run.mpm() != Mpm::Event || moments.is_empty() {
        return false;
    }
    let occupancy = Occupancy::of(run);
    let step = moments.len().div_ceil(32);
    let looks: Vec<bool> = moments
        .iter()
        .step_by(step)
        .map(|(_, row)| {
            let slots = run.slots_at(row.end_ns);
            slots > 0 && occupancy.at(row.end_ns).busy() + 2 >= u64::from(slots)
        })
        .collect();
    2 * looks.iter().filter(|full| **full).count() > looks.len()
}

fn tell(seen: &Seen<'_>) -> String {
    let why = match seen.word("busy") {
        "" => String::new(),
        busy => format!(", which event does when {}", busy.replace("were", "are")),
    };
    let each = if seen.all.len() > 1 { " a run" } else { "" };
    let resets = match seen.most("resets") {
        Some(most) if most > 0.0 => format!(" ({} sent)", seen.plural("resets", "reset")),
        _ => String::new(),
    };
    let again = seen.most("again").is_some_and(|most| most > 0.0);
    let (name, and) = match again {
        true => ("again", " and were sent again on a new one"),
        false => ("hit", ""),
    };
    let cause = format!(
        "{}{each} met a kept connection that httpd had closed{resets}{and}{}{why}",
        seen.plural(name, "request"),
        seen.in_runs(),
    );
    sentence(&cause, &seen.consequences(), "none of them failed")
}

fn remedies(seen: &Seen<'_>) -> Vec<Remedy> {
    let Some(plan) = seen.plan else {
        return Vec::new();
    };
    let server = &plan.server;
    let threads = server.threads_per_child.max(1);
    let enough = plan.load.concurrency.div_ceil(threads) * threads;
    if !seen.has_word("busy") || enough <= server.max_request_workers {
        return Vec::new();
    }
    vec![Remedy {
        text: format!("MaxRequestWorkers {enough}: then event need not close idle connections."),
        change: Some(Change::MaxRequestWorkers(enough)),
    }]
}
