//! Connections that waited because every slot was taken.

use super::{CLIENT, KERNEL, MANIFEST, Rule, TASKS, fork_ramp::is_ramp, sentence};
use crate::{
    findings::{
        Change, Remedy,
        evidence::RunEvidence,
        observation::{Claimed, Observation, Seen},
        occupancy::{HALF_HEAD, KEPT, LongWaits, Occupancy, SLOW_READER, Slots},
    },
    scenario::{HeldKind, Mpm},
    wording::plural,
};

pub(super) const RULE: Rule = Rule {
    name: "slots-taken",
    looks_for: "connections that waited a second or more while all slots were taken, and by what",
    needs: &[KERNEL, CLIENT, TASKS, MANIFEST],
    observe,
    tell,
    remedies,
};

/// Codes by which httpd tells that it has no more slots.
const CODES: [&str; 5] = ["AH00161", "AH00286", "AH00484", "AH00288", "AH03490"];

/// What was found of the slots at the moments of the waits.
struct Taken {
    by: &'static str,
    slots: u32,
    shown_by: Vec<(&'static str, usize, String)>,
}

fn observe(run: &RunEvidence<'_>, _: &Claimed) -> Option<Observation> {
    let waits = LongWaits::of(run)?;
    if is_ramp(run, &waits) {
        return None;
    }
    let taken = taken(run, &waits)?;
    let mut seen = Observation::default();
    seen.word("by", taken.by)
        .figure("slots", f64::from(taken.slots))
        .figure("waited", waits.waits_ns.len() as f64)
        .figure("connections", waits.connections as f64)
        .figure("middle_wait", waits.middle_s())
        .figure("longest_wait", waits.longest_s())
        .figure("never_read", waits.never_read as f64);
    seen.rests_on(
        KERNEL,
        waits.waits_ns.len(),
        format!("a wait of {:.1} s before the first read", waits.longest_s()),
    );
    for (table, rows, example) in taken.shown_by {
        seen.rests_on(table, rows, example);
    }
    for line in run.log_since(0) {
        if let Some(code) = &line.line.code
            && CODES.contains(&code.as_str())
            && !seen.codes.contains(code)
        {
            seen.codes.push(code.clone());
        }
    }
    seen.weight = waits.waits_ns.len() as f64 / waits.connections.max(1) as f64;
    seen.clients = waits.clients;
    Some(seen)
}

/// Whether all slots were taken while connections waited, and by what. `None` if they were not.
fn taken(run: &RunEvidence<'_>, waits: &LongWaits) -> Option<Taken> {
    let occupancy = Occupancy::of(run);
    let wanted = run.plan().server.max_request_workers;
    let there = |t_ns: u64| match run.slots_at(t_ns) {
        // Without tasks the plan has to do.
        0 => wanted,
        slots => slots,
    };
    let mut sum = Slots::default();
    let (mut full, mut slots) = (0, 0);
    for t_ns in &waits.moments_ns {
        let at = occupancy.at(*t_ns);
        let there = there(*t_ns);
        slots = there.max(slots);
        // One slot may be between two connections, or serve the look at mod_status.
        full += usize::from(at.busy() + 2 >= u64::from(there) && at.busy() > 0);
        sum += at;
    }
    let mut shown_by = Vec::new();
    let held = held(run);
    if let Some((_, count)) = held.filter(|(_, count)| *count > 0) {
        let example = format!("slow clients that reached their wait: {count}");
        shown_by.push((MANIFEST, 1, example));
    }
    if occupancy.is_known() && 2 * full > waits.moments_ns.len() {
        let busy = format!("{full} of {} looks: all taken", waits.moments_ns.len());
        shown_by.push((KERNEL, full, busy));
        return Some(Taken {
            by: sum.mostly(),
            slots,
            shown_by,
        });
    }
    // A connection that nobody ever read leaves no record while it waits; those that hold the
    // slots may last beyond the recording. Then the count of those who hold them tells.
    let (by, count) = held?;
    (count >= slots.min(wanted)).then_some(Taken {
        by,
        slots,
        shown_by,
    })
}

/// What the slow clients take slots with, and how many do.
fn held(run: &RunEvidence<'_>) -> Option<(&'static str, u32)> {
    let kind = run.plan().load.held.as_ref()?.kind;
    let held = run.run.manifest.held?.held;
    let by = match kind {
        HeldKind::HalfHeader => HALF_HEAD,
        HeldKind::IdleKeepAlive if run.mpm() == Mpm::Event => return None,
        HeldKind::IdleKeepAlive => KEPT,
        HeldKind::SlowReader if run.mpm() == Mpm::Event && run.plan().server.sendfile => {
            return None;
        }
        HeldKind::SlowReader => SLOW_READER,
    };
    Some((by, held))
}

fn tell(seen: &Seen<'_>) -> String {
    let never = match seen.most("never_read") {
        Some(most) if most > 0.0 => format!("; {} never read at all", seen.count("never_read")),
        _ => String::new(),
    };
    let each = if seen.all.len() > 1 { " of a run" } else { "" };
    let cause = format!(
        "{} of {}{each} waited {} in the middle, {} at most, before a task read from them{}{never}, \
         because all {} {}",
        seen.count("waited"),
        seen.plural("connections", "connection"),
        seen.seconds("middle_wait"),
        seen.seconds("longest_wait"),
        seen.in_runs(),
        seen.plural("slots", "slot"),
        seen.word("by"),
    );
    sentence(&cause, &seen.consequences(), "no request failed of it")
}

fn remedies(seen: &Seen<'_>) -> Vec<Remedy> {
    let plan = seen.plan;
    let server = &plan.server;
    let held = plan.load.held.as_ref().map_or(0, |held| held.connections);
    let clients = plan.load.concurrency.saturating_add(held);
    let threads = server.threads_per_child.max(1);
    let enough = clients.div_ceil(threads).saturating_mul(threads);
    let mut remedies = Vec::new();
    match seen.word("by") {
        KEPT => {
            remedies.push(Remedy {
                text: format!(
                    "KeepAliveTimeout 1 instead of {}: an idle connection gives its slot back \
                     sooner.",
                    server.keep_alive_timeout_s
                ),
                change: Some(Change::KeepAliveTimeout(1))
                    .filter(|_| server.keep_alive_timeout_s > 1),
            });
            remedies.push(Remedy {
                text: "The event MPM: it keeps idle connections without a slot.".into(),
                change: None,
            });
        }
        HALF_HEAD => remedies.push(Remedy {
            text: "mod_reqtimeout with RequestReadTimeout header=5-10,MinRate=500: a head that \
                   does not come to its end is given up."
                .into(),
            change: None,
        }),
        SLOW_READER if plan.mpm == Mpm::Event => remedies.push(Remedy {
            text: "EnableSendfile On: event then waits for slow readers without a slot.".into(),
            change: Some(Change::Sendfile(true)),
        }),
        SLOW_READER => remedies.push(Remedy {
            text: "The event MPM with EnableSendfile On: it waits for slow readers without a slot."
                .into(),
            change: None,
        }),
        _ => {}
    }
    if enough > server.max_request_workers {
        remedies.push(Remedy {
            text: format!(
                "MaxRequestWorkers {enough}: a slot for each of {} that come at once.",
                plural(u64::from(clients), "connection")
            ),
            change: Some(Change::MaxRequestWorkers(enough)),
        });
    }
    remedies
}
