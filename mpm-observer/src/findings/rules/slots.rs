//! Connections that waited because every slot was taken.

use super::{CLIENT, KERNEL, MANIFEST, Rule, TASKS, fork_ramp::is_ramp, sentence};
use crate::{
    findings::{
        Change, Remedy,
        evidence::RunEvidence,
        observation::{Claimed, Observation, Seen},
        occupancy::{HALF_HEAD, KEPT, Occupancy, SLOW_READER, Slots, Waits},
    },
    scenario::{HeldKind, Mpm},
    wording::plural,
};

pub(super) const RULE: Rule = Rule {
    name: "slots-taken",
    looks_for: "connections that waited a second, or longer than they were served, while all slots \
                were taken, and by what",
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
    long(run).or_else(|| short(run))
}

/// Connections that waited a second or more.
fn long(run: &RunEvidence<'_>) -> Option<Observation> {
    let waits = Waits::long(run)?;
    if is_ramp(run, &waits) {
        return None;
    }
    let taken = seen_taken(run, &waits).or_else(|| counted_taken(run, &waits))?;
    let mut seen = observation(run, &waits, taken);
    seen.weight = waits.waits_ns.len() as f64 / waits.connections.max(1) as f64;
    seen.clients = waits.clients;
    Some(seen)
}

/// A load of more connections than slots, most of which wait longer than they are served. Nobody
/// waits long, so that it weighs little.
fn short(run: &RunEvidence<'_>) -> Option<Observation> {
    let plan = run.plan()?;
    let slots = plan.server.max_request_workers;
    let held = held(run).map_or(0, |(_, count)| count);
    if plan.load.concurrency.saturating_add(held) <= slots {
        return None;
    }
    let waits = Waits::longer_than_service(run)?;
    // Where there are fewer slots than were asked for, something else kept them away.
    let all_there = |t_ns: &u64| run.slots_at(*t_ns) >= slots;
    let whole = waits.moments_ns.iter().filter(|t_ns| all_there(t_ns));
    if 2 * whole.count() <= waits.moments_ns.len() && !run.run.ends.is_empty() {
        return None;
    }
    let looks = Looks::of(run, &waits)?;
    // With most of the slots free it was not they that the connections waited for.
    if 2.0 * looks.mean < f64::from(looks.slots) {
        return None;
    }
    let mut seen = observation(run, &waits, looks.taken(run));
    seen.figure("median_served", waits.median_served_s())
        .figure("mean_taken", looks.mean);
    Some(seen)
}

fn observation(run: &RunEvidence<'_>, waits: &Waits, taken: Taken) -> Observation {
    let mut seen = Observation::default();
    seen.word("by", taken.by)
        .figure("slots", f64::from(taken.slots))
        .figure("waited", waits.waits_ns.len() as f64)
        .figure("connections", waits.connections as f64)
        .figure("median_wait", waits.median_s())
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
    seen
}

/// Slots that were there at a moment.
fn there(run: &RunEvidence<'_>, t_ns: u64) -> u32 {
    match run.slots_at(t_ns) {
        // Without tasks the plan has to do.
        0 => run.plan().map_or(0, |plan| plan.server.max_request_workers),
        slots => slots,
    }
}

/// What the kernel's records show of the slots while connections waited.
struct Looks {
    count: usize,
    /// Looks at which all were taken.
    full: usize,
    /// The most slots there were.
    slots: u32,
    /// Slots taken, on average.
    mean: f64,
    by: &'static str,
}

impl Looks {
    /// `None` where no connection was recorded.
    fn of(run: &RunEvidence<'_>, waits: &Waits) -> Option<Self> {
        let occupancy = Occupancy::of(run);
        let mut sum = Slots::default();
        let (mut full, mut slots, mut taken) = (0, 0, 0);
        for t_ns in &waits.moments_ns {
            let at = occupancy.at(*t_ns);
            let there = there(run, *t_ns);
            slots = there.max(slots);
            // Some slots may be between two connections, and one serve the look at mod_status.
            let between = u64::from(there / 10).max(2);
            full += usize::from(at.busy() + between >= u64::from(there) && at.busy() > 0);
            taken += at.busy().min(u64::from(there));
            sum += at;
        }
        let count = waits.moments_ns.len();
        occupancy.is_known().then(|| Self {
            count,
            full,
            slots,
            mean: taken as f64 / count.max(1) as f64,
            by: sum.mostly(),
        })
    }

    fn taken(&self, run: &RunEvidence<'_>) -> Taken {
        let mut shown_by = held_by_client(run);
        let example = format!("{} of {} looks: all taken", self.full, self.count);
        shown_by.push((KERNEL, self.full, example));
        Taken {
            by: self.by,
            slots: self.slots,
            shown_by,
        }
    }
}

/// Whether all slots were taken while most of the connections waited, and by what.
fn seen_taken(run: &RunEvidence<'_>, waits: &Waits) -> Option<Taken> {
    let looks = Looks::of(run, waits)?;
    (2 * looks.full > looks.count).then(|| looks.taken(run))
}

/// Whether so many slow clients hold slots that none is left. A connection that nobody ever read
/// leaves no record while it waits, and those that hold the slots may last beyond the recording.
fn counted_taken(run: &RunEvidence<'_>, waits: &Waits) -> Option<Taken> {
    let (by, count) = held(run)?;
    let slots = waits
        .moments_ns
        .iter()
        .map(|t_ns| there(run, *t_ns))
        .max()?;
    (count >= slots.min(run.plan()?.server.max_request_workers)).then(|| Taken {
        by,
        slots,
        shown_by: held_by_client(run),
    })
}

fn held_by_client(run: &RunEvidence<'_>) -> Vec<(&'static str, usize, String)> {
    match held(run) {
        Some((_, count @ 1..)) => {
            let example = format!("slow clients that reached their wait: {count}");
            vec![(MANIFEST, 1, example)]
        }
        _ => Vec::new(),
    }
}

/// What the slow clients take slots with, and how many do.
fn held(run: &RunEvidence<'_>) -> Option<(&'static str, u32)> {
    let plan = run.plan()?;
    let kind = plan.load.held.as_ref()?.kind;
    let held = run.run.manifest.held?.held;
    let by = match kind {
        HeldKind::HalfHeader => HALF_HEAD,
        HeldKind::IdleKeepAlive if run.mpm() == Mpm::Event => return None,
        HeldKind::IdleKeepAlive => KEPT,
        HeldKind::SlowReader if run.mpm() == Mpm::Event && plan.server.sendfile => {
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
    let limit = seen.plan.map(|plan| plan.server.max_request_workers);
    let of_limit = match (seen.middle("slots"), limit) {
        (Some(slots), Some(limit)) if slots >= f64::from(limit) => {
            " (MaxRequestWorkers)".to_owned()
        }
        (_, Some(limit)) => format!(" that existed (MaxRequestWorkers {limit})"),
        (_, None) => " that existed".to_owned(),
    };
    let slots = seen.plural("slots", "slot");
    let by = seen.word("by");
    let waited = if seen.runs_with("median_served") == seen.all.len() {
        format!(
            "longer for a slot than they were then served, {} against {} (medians){}, with {} of \
             {slots}{of_limit} taken on average, most of which {by}",
            seen.seconds("median_wait"),
            seen.seconds("median_served"),
            seen.in_runs(),
            seen.decimal("mean_taken"),
        )
    } else {
        format!(
            "{} (median), {} at most, before a task read from them{}{never}, because all \
             {slots}{of_limit} {by}",
            seen.seconds("median_wait"),
            seen.seconds("longest_wait"),
            seen.in_runs(),
        )
    };
    let cause = format!(
        "{} of {}{each} waited {waited}",
        seen.count("waited"),
        seen.plural("connections", "connection"),
    );
    sentence(&cause, &seen.consequences(), "no request failed of it")
}

fn remedies(seen: &Seen<'_>) -> Vec<Remedy> {
    let by = seen.word("by");
    let Some(plan) = seen.plan else {
        return remedies_of(by, seen.mpm, None);
    };
    let server = &plan.server;
    let held = plan.load.held.as_ref().map_or(0, |held| held.connections);
    let clients = plan.load.concurrency.saturating_add(held);
    let threads = server.threads_per_child.max(1);
    let enough = clients.div_ceil(threads).saturating_mul(threads);
    let mut remedies = remedies_of(by, plan.mpm, Some(server.keep_alive_timeout_s));
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

/// What helps against what the slots were taken by.
fn remedies_of(by: &str, mpm: Mpm, keep_alive_timeout_s: Option<u32>) -> Vec<Remedy> {
    let mut remedies = Vec::new();
    match by {
        KEPT => {
            let instead = keep_alive_timeout_s
                .map_or_else(String::new, |timeout_s| format!(" instead of {timeout_s}"));
            remedies.push(Remedy {
                text: format!(
                    "KeepAliveTimeout 1{instead}: an idle connection gives its slot back sooner."
                ),
                change: keep_alive_timeout_s
                    .filter(|timeout_s| *timeout_s > 1)
                    .map(|_| Change::KeepAliveTimeout(1)),
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
        SLOW_READER if mpm == Mpm::Event => remedies.push(Remedy {
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
    remedies
}
