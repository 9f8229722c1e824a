//! A cold start: connections that wait until enough children have been made.

use super::{CLIENT, FAILURES, KERNEL, Rule, TASKS, sentence};
use crate::{
    findings::{
        Change, Remedy,
        evidence::RunEvidence,
        observation::{Claimed, Observation, Seen},
        occupancy::Waits,
    },
    recording::FailureKind,
    scenario::{RunPlan, Start},
    wording::children,
};

pub(super) const RULE: Rule = Rule {
    name: "fork-ramp",
    looks_for: "connections that waited in a cold start until httpd had made enough children",
    needs: &[TASKS, CLIENT, KERNEL, FAILURES],
    observe,
    tell,
    remedies,
};

const SECOND_NS: u64 = 1_000_000_000;

/// Slots that the load asks for.
fn wanted(plan: &RunPlan) -> u32 {
    let load = &plan.load;
    let held = load.held.as_ref().map_or(0, |held| held.connections);
    let clients = load.concurrency.saturating_add(held);
    clients.min(plan.server.max_request_workers)
}

/// Whether most of the waits were at a time when there were fewer slots than wanted.
pub(super) fn is_ramp(run: &RunEvidence<'_>, waits: &Waits) -> bool {
    let refused = run.failures(FailureKind::Call).next().is_some();
    // A live server is past its start, and what it should have is not known.
    let Some(plan) = run.plan() else {
        return false;
    };
    if plan.server.start != Start::Cold || refused || run.run.ends.is_empty() {
        return false;
    }
    let wanted = wanted(plan);
    let fewer = waits
        .moments_ns
        .iter()
        .filter(|t_ns| run.slots_at(**t_ns) < wanted);
    2 * fewer.count() > waits.moments_ns.len()
}

fn observe(run: &RunEvidence<'_>, _: &Claimed) -> Option<Observation> {
    // What was refused is no ramp.
    if !run.knows_failures() {
        return None;
    }
    let waits = Waits::long(run)?;
    if !is_ramp(run, &waits) {
        return None;
    }
    let (load_begin_ns, load_end_ns) = run.run.load_ns();
    let mut made_ns: Vec<u64> = run
        .processes()
        .filter(|row| !row.is_first)
        .map(|row| row.created_ns)
        .filter(|t_ns| *t_ns <= load_end_ns)
        .collect();
    made_ns.sort_unstable();
    let first_ns = *made_ns.first()?;
    let seconds = |t_ns: u64| (t_ns - first_ns) / SECOND_NS;
    let last = seconds(*made_ns.last()?);
    let each: Vec<String> = (0..=last)
        .map(|second| {
            made_ns
                .iter()
                .filter(|t_ns| seconds(**t_ns) == second)
                .count()
                .to_string()
        })
        .collect();
    let wanted = wanted(run.plan()?);
    let enough_ns = made_ns
        .iter()
        .copied()
        .find(|t_ns| run.slots_at(*t_ns) >= wanted);
    let mut seen = Observation::default();
    seen.word("each", each.join("-"))
        .figure("at_first", f64::from(run.slots_at(load_begin_ns)))
        .figure("wanted", f64::from(wanted))
        .figure("waited", waits.waits_ns.len() as f64)
        .figure("connections", waits.connections as f64)
        .figure("median_wait", waits.median_s())
        .figure("longest_wait", waits.longest_s());
    seen.figure("at_end", f64::from(run.slots_at(load_end_ns)));
    if let Some(t_ns) = enough_ns {
        seen.figure(
            "enough_after",
            t_ns.saturating_sub(load_begin_ns) as f64 / 1e9,
        );
    }
    seen.rests_on(
        TASKS,
        made_ns.len(),
        format!(
            "{} made",
            children(u32::try_from(made_ns.len()).unwrap_or(u32::MAX))
        ),
    );
    seen.rests_on(
        KERNEL,
        waits.waits_ns.len(),
        format!("a wait of {:.1} s before the first read", waits.longest_s()),
    );
    seen.weight = waits.waits_ns.len() as f64 / waits.connections.max(1) as f64;
    seen.clients = waits.clients;
    Some(seen)
}

fn tell(seen: &Seen<'_>) -> String {
    let reached = seen.runs_with("enough_after");
    let enough = if reached == seen.all.len() {
        format!("reached them {} into it", seen.seconds("enough_after"))
    } else {
        let but = match reached {
            0 => String::new(),
            reached => format!(" (it had them all in {reached} of {} runs)", seen.of_runs),
        };
        format!("had {} of them when it ended{but}", seen.count("at_end"))
    };
    let cause = format!(
        "{} of {} waited a second or more, {} (median) and {} at most, for a child to be \
         made{}: httpd had {} of the {} slots that the load asked for when it began and {enough}, by \
         making {} children in successive seconds",
        seen.count("waited"),
        seen.plural("connections", "connection"),
        seen.seconds("median_wait"),
        seen.seconds("longest_wait"),
        seen.in_runs(),
        seen.count("at_first"),
        seen.count("wanted"),
        seen.word("each"),
    );
    sentence(&cause, &seen.consequences(), "")
}

fn remedies(seen: &Seen<'_>) -> Vec<Remedy> {
    let (Some(plan), Some(wanted)) = (seen.plan, seen.most("wanted")) else {
        return Vec::new();
    };
    let server = &plan.server;
    let children = (wanted as u32).div_ceil(server.threads_per_child.max(1));
    if children <= server.start_servers {
        return Vec::new();
    }
    vec![Remedy {
        text: format!(
            "StartServers {children}: all of the slots that this load asks for are there from the \
             first moment.",
        ),
        change: Some(Change::StartServers(children)),
    }]
}
