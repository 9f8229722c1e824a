//! Connections that found the accept queue full.

use std::collections::{HashMap, HashSet};

use super::{CLIENT, FAILURES, Rule, SAMPLES, number, sentence};
use crate::{
    findings::{
        Change, Remedy,
        evidence::{RunEvidence, is_failed},
        observation::{Claimed, Observation, Seen},
    },
    recording::FailureKind,
    wording::whole,
};

pub(super) const RULE: Rule = Rule {
    name: "accept-queue-full",
    looks_for: "connections that found the accept queue full, and how long their clients waited",
    needs: &[FAILURES, CLIENT, SAMPLES],
    observe,
    tell,
    remedies,
};

/// TCP sends again after 1, 2, 4, … seconds: what was dropped once waits for a second at least.
const RETRANSMISSION_NS: u64 = 1_000_000_000;

fn observe(run: &RunEvidence<'_>, _: &Claimed) -> Option<Observation> {
    let drops: Vec<_> = run.failures(FailureKind::AcceptQueueFull).collect();
    let overflows = run.run.sampled.listen_overflows;
    let mut seen = Observation::default();
    seen.figure("requests", run.request_count() as f64);
    let Some((_, first)) = drops.first() else {
        if overflows == 0 || drops_are_recorded(run) {
            return None;
        }
        // Only the kernel's own count, of all sockets of this machine's network.
        seen.figure("drops", overflows as f64);
        let limit = run
            .run
            .samples
            .iter()
            .find_map(|row| row.accept_queue_limit);
        // Of a live server it is that of all its queues together, of which one was full.
        if let Some(limit) = limit.filter(|_| run.run.manifest.live().is_none()) {
            seen.figure("limit", f64::from(limit));
        }
        seen.rests_on(SAMPLES, 1, format!("ListenOverflows rose by {overflows}"));
        seen.missing.push(
            "which connections were dropped: no drop was recorded, the count is the system's"
                .into(),
        );
        return Some(seen);
    };
    seen.failures = drops.iter().map(|(place, _)| *place).collect();
    seen.figure("drops", drops.len() as f64);
    if let Some(limit) = first.queue_limit {
        seen.figure("limit", f64::from(limit));
    }
    let longest = drops.iter().filter_map(|(_, row)| row.queue_length).max();
    if let Some(longest) = longest {
        seen.figure("longest", f64::from(longest));
    }
    seen.rests_on(
        FAILURES,
        drops.len(),
        format!("a packet from port {}", first.remote_port),
    );
    waits(
        run,
        &mut seen,
        &drops
            .iter()
            .map(|(_, row)| (row.remote_port, row.t_ns))
            .collect::<Vec<_>>(),
    );
    Some(seen)
}

/// Programs that record a drop.
const RECORDERS: [&str; 2] = ["kfree_skb", "consume_skb"];

/// Whether a drop of this httpd would have been recorded: then what the kernel counted was that of
/// another server of this machine.
fn drops_are_recorded(run: &RunEvidence<'_>) -> bool {
    let manifest = &run.run.manifest;
    let counters = &manifest.counters;
    let mut absent = manifest.absent_programs.iter();
    !absent.any(|program| RECORDERS.contains(&program.as_str()))
        && counters.failures_left_out == 0
        && counters.lost() == 0
}

/// What became of the connections whose packets were dropped.
fn waits(run: &RunEvidence<'_>, seen: &mut Observation, drops: &[(u16, u64)]) {
    let mut dropped: HashMap<u16, Vec<u64>> = HashMap::new();
    for (port, t_ns) in drops {
        dropped.entry(*port).or_default().push(*t_ns);
    }
    let ports: HashSet<u16> = dropped.keys().copied().filter(|port| *port != 0).collect();
    if ports.is_empty() {
        seen.missing
            .push("the ports of the dropped packets are not known".into());
        return;
    }
    seen.figure("connections", ports.len() as f64);
    let (mut waited, mut longest_ns, mut failed) = (0_u64, 0, 0_u64);
    for (place, row) in run.requests() {
        let under_way = row.connect_start_ns..=row.end_ns;
        let met = dropped
            .get(&row.local_port)
            .is_some_and(|times| times.iter().any(|t_ns| under_way.contains(t_ns)));
        if !met || row.ordinal != 0 {
            continue;
        }
        let answered_ns = match row.first_byte_ns {
            0 => row.end_ns,
            first_byte_ns => first_byte_ns,
        };
        let wait_ns = answered_ns.saturating_sub(row.connect_start_ns);
        if is_failed(row) {
            failed += 1;
            seen.clients.push(place);
        } else if wait_ns >= RETRANSMISSION_NS {
            waited += 1;
            seen.clients.push(place);
        }
        longest_ns = longest_ns.max(wait_ns);
    }
    seen.figure("waited", waited as f64)
        .figure("failed", failed as f64)
        .figure("longest_wait", longest_ns as f64 / 1e9);
    seen.weight = (waited + failed) as f64 / run.request_count().max(1) as f64;
}

fn tell(seen: &Seen<'_>) -> String {
    let of = match seen.middle("limit") {
        Some(limit) => {
            let backlog = seen.plan.map(|plan| plan.server.listen_backlog);
            let by = match backlog {
                Some(backlog) if limit < f64::from(backlog) => "net.core.somaxconn",
                Some(_) => "ListenBacklog",
                None => "the lesser of ListenBacklog and net.core.somaxconn",
            };
            format!(" of {} connections ({by})", whole(number(limit)))
        }
        None => String::new(),
    };
    let from = match seen.middle("connections") {
        Some(_) => format!(" of {}", seen.plural("connections", "connection")),
        None => String::new(),
    };
    let each = if seen.all.len() > 1 { " a run" } else { "" };
    let cause = format!(
        "the accept queue{of} was full and {}{from} dropped{each}{}",
        seen.plural("drops", "packet"),
        seen.in_runs(),
    );
    let mut followed = Vec::new();
    if seen.most("waited").is_some_and(|most| most > 0.0) {
        followed.push(format!(
            "{} waited a second or more for TCP to send again, the longest {}",
            seen.plural("waited", "client"),
            seen.seconds("longest_wait"),
        ));
    }
    followed.extend(seen.consequences());
    sentence(
        &cause,
        &followed,
        "no client is known to have waited for it",
    )
}

fn remedies(seen: &Seen<'_>) -> Vec<Remedy> {
    let Some(limit) = seen.middle("limit") else {
        return Vec::new();
    };
    let Some(plan) = seen.plan else {
        return vec![Remedy {
            text: "A greater ListenBacklog, and net.core.somaxconn of as much at least; where the \
                   queue stays full, more slots."
                .into(),
            change: None,
        }];
    };
    let held = plan.load.held.as_ref().map_or(0, |held| held.connections);
    let clients = plan.load.concurrency.saturating_add(held);
    let needed = clients.max(limit as u32 + 1);
    let backlog = plan.server.listen_backlog;
    let mut remedies = Vec::new();
    if limit < f64::from(backlog) {
        remedies.push(Remedy {
            text: format!(
                "net.core.somaxconn {needed} (sysctl), with ListenBacklog {needed}: the queue was \
                 cut to {} by somaxconn, not by the ListenBacklog of {backlog}.",
                number(limit)
            ),
            change: None,
        });
    } else {
        remedies.push(Remedy {
            text: format!(
                "ListenBacklog {needed}, and net.core.somaxconn of as much at least: room for all \
                 {clients} connections that come at once."
            ),
            change: Some(Change::ListenBacklog(needed)),
        });
    }
    remedies
}
