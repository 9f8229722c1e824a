//! Processes that the kernel killed for want of memory.

use std::collections::HashSet;

use nix::errno::Errno;

use super::{FAILURES, LOG, MANIFEST, Rule, TASKS, sentence};
use crate::{
    findings::{
        Change, Remedy,
        evidence::{RunEvidence, StartResult},
        observation::{Claimed, Observation, Seen},
        reached::Reached,
        words::{after, by_frequency, call_example, errno_name, mb, who},
    },
    recording::FailureKind,
    wording::plural,
};

pub(super) const RULE: Rule = Rule {
    name: "killed-for-memory",
    looks_for: "OOM kills and what was refused besides, with the control group's memory and its limit",
    needs: &[FAILURES, TASKS, LOG, MANIFEST],
    observe,
    tell,
    remedies,
};

fn observe(run: &RunEvidence<'_>, _: &Claimed) -> Option<Observation> {
    let kills: Vec<_> = run.failures(FailureKind::OomKill).collect();
    let counted = run.run.manifest.cgroup.and_then(|counts| counts.oom_kills);
    let mut seen = Observation::default();
    let Some((_, first)) = kills.first() else {
        // The group counted what no probe saw.
        let kills = counted.filter(|kills| *kills > 0)?;
        seen.figure("victims", kills as f64)
            .word("role", "process")
            .missing
            .push("no kill was recorded; the count is the control group's own".into());
        seen.rests_on(MANIFEST, 1, format!("memory.events: {kills} killed"));
        let killed = run
            .processes()
            .filter(|row| row.exit_signal == 9 && row.exited_ns < run.stop_ns());
        let killed: Vec<u32> = killed.map(|row| row.pid).collect();
        // As many as were counted: it was these.
        if killed.len() as u64 == kills {
            seen.processes = killed;
        }
        seen.start = Some(run.start_result()).filter(|start| *start != StartResult::Whole);
        return Some(seen);
    };
    let victims: HashSet<u32> = kills.iter().map(|(_, row)| row.pid).collect();
    seen.failures = kills.iter().map(|(place, _)| *place).collect();
    seen.processes = victims.iter().copied().collect();
    // The kill is also a signal.
    let signals = run.failures(FailureKind::Signal);
    let of_victims = signals.filter(|(_, row)| victims.contains(&row.pid) && row.signal == 9);
    seen.failures.extend(of_victims.map(|(place, _)| place));
    refused_besides(run, &mut seen, &victims);
    let role = by_frequency(kills.iter().map(|(_, row)| match row.role.as_str() {
        "" => "process".to_owned(),
        role => role.to_owned(),
    }));
    seen.figure("victims", victims.len() as f64)
        .word("role", role);
    match (first.cgroup_memory_limit, first.cgroup_memory) {
        (Some(limit), Some(used)) => {
            seen.figure("limit", limit as f64)
                .figure("used", used as f64);
            let slots = run.slots_at(first.t_ns.saturating_sub(1));
            if slots > 0 {
                seen.figure("slots_then", f64::from(slots))
                    .figure("per_slot", used as f64 / f64::from(slots));
            }
        }
        (Some(limit), None) => {
            seen.figure("limit", limit as f64)
                .missing
                .push("the memory of the control group was not read".into());
        }
        (None, _) => {
            seen.word("machine", "all of the machine's memory");
        }
    }
    let begin_ns = run.run.manifest.began_ns;
    let example = format!(
        "{} (process {}) {}",
        who(&first.role),
        first.pid,
        after(first.t_ns, begin_ns)
    );
    seen.rests_on(FAILURES, kills.len(), example);
    // The group's own count has those of the stop too.
    let all = run.run.failures.iter();
    let of_kills = all.filter(|row| row.kind == FailureKind::OomKill);
    let recorded = of_kills.map(|row| row.pid).collect::<HashSet<u32>>().len() as u64;
    if let Some(counted) = counted.filter(|counted| *counted != recorded) {
        seen.missing.push(format!(
            "the control group counted {}, {recorded} recorded",
            plural(counted, "kill"),
        ));
    }
    log(run, &mut seen, &victims, first.t_ns);
    // From the kernel's choice to the end of the process.
    let ends: Vec<(u64, u64)> = kills
        .iter()
        .map(|(_, kill)| {
            let mut processes = run.processes().filter(|row| row.exited_ns >= kill.t_ns);
            let end = processes.find(|row| row.pid == kill.pid);
            (kill.t_ns, end.map_or(kill.t_ns, |row| row.exited_ns))
        })
        .collect();
    seen.clients = clients_of(run, &victims, &ends);
    let gone = |start: &StartResult| matches!(start, StartResult::Died | StartResult::Ended);
    seen.start = Some(run.start_result()).filter(gone);
    Some(seen)
}

/// The calls for which the kernel had no memory either, and those of processes that it had chosen.
fn refused_besides(run: &RunEvidence<'_>, seen: &mut Observation, victims: &HashSet<u32>) {
    let calls: Vec<_> = run
        .failures(FailureKind::Call)
        .filter(|(_, row)| {
            let no_memory = [Errno::ENOMEM as u32, Errno::ENFILE as u32].contains(&row.errno);
            no_memory && victims.contains(&row.pid) || Reached::of(row) == Reached::CgroupMemory
        })
        .collect();
    seen.failures.extend(calls.iter().map(|(place, _)| *place));
    seen.figure("refused", calls.len() as f64);
    if let Some((_, first)) = calls.first() {
        let names = calls
            .iter()
            .map(|(_, row)| format!("{} with {}", row.call, errno_name(row.errno)));
        seen.word("refused_calls", by_frequency(names));
        let begin_ns = run.run.manifest.began_ns;
        seen.rests_on(FAILURES, calls.len(), call_example(first, begin_ns));
    }
}

/// Whether a line of the log tells of a victim.
fn log(run: &RunEvidence<'_>, seen: &mut Observation, victims: &HashSet<u32>, since_ns: u64) {
    if let Some(missing) = run.log_missing() {
        seen.missing.push(missing.to_owned());
        return;
    }
    let names = |text: &str| {
        let mut words = text.split(|c: char| !c.is_ascii_digit());
        words.any(|word| word.parse().is_ok_and(|pid| victims.contains(&pid)))
    };
    for line in run.log_since(since_ns) {
        let told = names(&line.line.message) || line.line.message.contains("Killed");
        if let Some(code) = line.line.code.as_ref().filter(|_| told)
            && !seen.codes.contains(code)
        {
            seen.codes.push(code.clone());
        }
    }
    if seen.codes.is_empty() {
        seen.word("silent", "none of it in the error log");
    }
}

/// What a process had open is closed so long after its end at the latest.
const CLOSING_NS: u64 = 10_000_000;

/// The failed requests that were with one of these processes, or, where the kernel has no row of
/// them, under way when one ended: `ended_ns` has the spans of that.
pub(super) fn clients_of(
    run: &RunEvidence<'_>,
    processes: &HashSet<u32>,
    ended_ns: &[(u64, u64)],
) -> Vec<usize> {
    let process_of = run.process_of_task();
    let kernel = run.kernel_rows();
    let with_one = |task: u32| {
        process_of
            .get(&task)
            .is_some_and(|pid| processes.contains(pid))
    };
    let cut_off = [
        "reset_before_first_byte",
        "reset_in_body",
        "reset_connecting",
        "closed_early",
        "short_body",
    ];
    let rows = run.failed_requests().filter(|(place, row)| {
        match kernel.get(place).filter(|kernel| kernel.acceptor != 0) {
            Some(kernel) => {
                with_one(kernel.last_task)
                    || with_one(kernel.first_task)
                    || with_one(kernel.acceptor)
            }
            None => {
                cut_off.contains(&row.outcome.as_str())
                    && ended_ns.iter().any(|(begin_ns, end_ns)| {
                        row.start_ns <= end_ns + CLOSING_NS && row.end_ns >= *begin_ns
                    })
            }
        }
    });
    rows.map(|(place, _)| place).collect()
}

fn tell(seen: &Seen<'_>) -> String {
    let victims = seen.count("victims");
    let role = match (seen.word("role"), victims.as_str()) {
        (role, "1") => role.to_owned(),
        ("child", _) => "children".to_owned(),
        ("process", _) => "processes".to_owned(),
        (role, _) => role.to_owned(),
    };
    let each = if seen.all.len() > 1 { " a run" } else { "" };
    let by = if seen.has_word("machine") {
        ", which had used up all memory of the machine".to_owned()
    } else if let Some(limit) = seen.middle("limit") {
        let at = match seen.middle("used") {
            Some(_) => format!(" at {} of", seen.mb("used")),
            None => " at its limit of".to_owned(),
        };
        format!(
            ", the memory of the control group being{at} {} (memory.max)",
            mb(limit)
        )
    } else {
        String::new()
    };
    let cause = format!(
        "{victims} {role}{each} killed by the kernel (SIGKILL) for want of memory{}{by}",
        seen.in_runs()
    );
    let mut followed = seen.consequences();
    if seen.most("refused").is_some_and(|most| most > 0.0) {
        followed.insert(
            0,
            format!(
                "{}{each} refused besides ({})",
                seen.plural("refused", "call"),
                seen.word("refused_calls")
            ),
        );
    }
    if seen.has_word("silent")
        && !followed
            .iter()
            .any(|part| part.contains("in the error log"))
    {
        followed.insert(0, seen.word("silent").to_owned());
    }
    sentence(&cause, &followed, "")
}

fn remedies(seen: &Seen<'_>) -> Vec<Remedy> {
    let figures = (seen.plan, seen.middle("limit"), seen.most("per_slot"));
    let (Some(plan), Some(limit), Some(per_slot)) = figures else {
        return Vec::new();
    };
    let server = &plan.server;
    let threads = server.threads_per_child.max(1);
    let mut remedies = Vec::new();
    // A tenth to spare, and whole children.
    let slots = (0.9 * limit / per_slot) as u32 / threads * threads;
    let measured = format!(
        "{} for each of the {} there when the first one was killed",
        mb(per_slot),
        seen.plural("slots_then", "slot")
    );
    if slots > 0 && slots < server.max_request_workers {
        remedies.push(Remedy {
            text: format!(
                "MaxRequestWorkers {slots}: measured {measured}; so many fit with a tenth to spare."
            ),
            change: Some(Change::MaxRequestWorkers(slots)),
        });
    }
    let all = 1.1 * per_slot * f64::from(server.max_request_workers);
    if all > limit {
        let kib = (all / 1024.0) as u64 + 1;
        remedies.push(Remedy {
            text: format!(
                "A memory limit of {} for the control group: {measured}, times {}, and a tenth to \
                 spare.",
                mb(all),
                plural(u64::from(server.max_request_workers), "slot")
            ),
            change: Some(Change::Limit {
                key: "cgroup_memory_kb".into(),
                value: Some(kib),
            }),
        });
    }
    remedies
}
