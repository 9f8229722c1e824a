//! The paired measurement: watched and not watched in turn.

use std::time::Duration;

use loadgen::Summary;
use nix::sys::utsname::uname;

use super::{
    Case, Costs, Ground, Half, Overhead, Pair, Watcher,
    file::load_name,
    stand::{Stand, plan},
};
use crate::{
    lab::{LabError, Progress},
    recording::FORMAT,
    scenario::{Mpm, Size},
};

/// How much is told while it goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lines {
    /// A line for each round.
    EachRound,
    /// A line for each MPM.
    EachMpm,
}

/// What to measure.
#[derive(Clone, Debug)]
pub struct PairsPlan {
    /// The MPMs, one after the other.
    pub mpms: Vec<Mpm>,
    /// The watchers, interleaved.
    pub watchers: Vec<Watcher>,
    /// Pairs of each MPM, kind of load and watcher.
    pub pairs: u32,
    /// Length of each half.
    pub half: Duration,
    /// How much is told.
    pub lines: Lines,
}

impl PairsPlan {
    /// A short look at the observer alone, some 20 s for three MPMs in the quick size: enough
    /// for an interval that says how little it knows.
    #[must_use]
    pub fn short(mpms: Vec<Mpm>, size: Size) -> Self {
        let (pairs, half_ms) = match size {
            Size::Quick => (6, 150),
            Size::Full => (15, 400),
        };
        Self {
            mpms,
            watchers: vec![Watcher::Observer],
            pairs,
            half: Duration::from_millis(half_ms),
            lines: Lines::EachMpm,
        }
    }
}

/// A step of a round: which case, and which half of its pair comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Step {
    case: usize,
    on_first: bool,
}

/// A round makes one pair of each case, each time beginning with another one. Which half comes
/// first changes from round to round and from case to case, so that neither a drift of the
/// machine nor what the first load leaves behind favours one side.
fn round(number: usize, cases: usize) -> impl Iterator<Item = Step> {
    (0..cases).map(move |index| {
        let case = (index + number) % cases;
        Step {
            case,
            on_first: (case + number) % 2 == 1,
        }
    })
}

/// Makes all pairs. When the user interrupts, the pairs that were made to their end stay.
///
/// # Errors
/// When httpd, the client or a watcher fails.
pub fn measure(ground: Ground<'_>, pairs_plan: &PairsPlan) -> Result<Overhead, LabError> {
    let rounds = pairs_plan
        .mpms
        .iter()
        .flat_map(|mpm| (0..pairs_plan.pairs).map(|_| mpm.to_string()));
    let mut progress = Progress::new(rounds.collect());
    let mut cases = Vec::new();
    let mut result = Ok(());
    for &mpm in &pairs_plan.mpms {
        let mut of_mpm = empty_cases(mpm, &pairs_plan.watchers);
        result = measure_mpm(ground, pairs_plan, &mut of_mpm, &mut progress);
        of_mpm.retain(|case| !case.pairs.is_empty());
        cases.extend(of_mpm);
        if result.is_err() || ground.interrupt.is_set() {
            break;
        }
    }
    progress.finish();
    result?;
    let load = plan(Mpm::Event).load;
    Ok(Overhead {
        format: FORMAT,
        observer_version: env!("CARGO_PKG_VERSION").into(),
        kernel: uname().map_or_else(
            |_| "unknown".into(),
            |name| name.release().to_string_lossy().into_owned(),
        ),
        server_cpus: ground.cpus.server.clone(),
        client_cpus: ground.cpus.client.clone(),
        connections: load.concurrency,
        body_bytes: load.body_bytes,
        half_ms: u64::try_from(pairs_plan.half.as_millis()).unwrap_or(u64::MAX),
        cases,
    })
}

fn empty_cases(mpm: Mpm, watchers: &[Watcher]) -> Vec<Case> {
    let loads = [true, false];
    let cases = loads.into_iter().flat_map(|keep_alive| {
        watchers.iter().map(move |&watcher| Case {
            mpm,
            keep_alive,
            watcher,
            costs: Costs::default(),
            pairs: Vec::new(),
        })
    });
    cases.collect()
}

fn measure_mpm(
    ground: Ground<'_>,
    pairs_plan: &PairsPlan,
    cases: &mut [Case],
    progress: &mut Progress,
) -> Result<(), LabError> {
    let Some(mpm) = cases.first().map(|case| case.mpm) else {
        return Ok(());
    };
    progress.begin(&format!("overhead {mpm}"));
    let Some(stand) = Stand::start(ground, mpm)? else {
        return Ok(());
    };
    for number in 0..pairs_plan.pairs {
        let name = match pairs_plan.lines {
            Lines::EachRound => format!("overhead {mpm} {}", number + 1),
            Lines::EachMpm => format!("overhead {mpm}"),
        };
        let mut changes = Vec::new();
        for step in round(number as usize, cases.len()) {
            let case = &mut cases[step.case];
            let load = load_name(case.keep_alive);
            let watcher = case.watcher;
            progress.step(&name, &format!("{load}, {}", watcher.name()));
            let pair = make_pair(&stand, watcher, case.keep_alive, step, pairs_plan.half)?;
            let Some(pair) = pair else {
                return stand.stop();
            };
            changes.push((step.case, in_short(case, &pair)));
            case.pairs.push(pair);
            case.costs = Costs::of(&case.pairs);
        }
        match pairs_plan.lines {
            Lines::EachRound => {
                changes.sort();
                let changes: Vec<String> = changes.into_iter().map(|(_, text)| text).collect();
                progress.end(&name, &changes.join("; "));
            }
            Lines::EachMpm if number + 1 == pairs_plan.pairs => {
                let lines: Vec<String> = cases.iter().map(Case::one_line).collect();
                progress.end(&name, &lines.join("; "));
            }
            Lines::EachMpm => progress.pass(),
        }
    }
    stand.stop()
}

/// A pair's change of throughput and server CPU time, for the terminal.
fn in_short(case: &Case, pair: &Pair) -> String {
    let change = |on: f64, off: f64| (on / off - 1.0) * 100.0;
    let throughput = change(pair.on.throughput_per_s, pair.off.throughput_per_s);
    let cpu = match (pair.on.server_cpu_ns, pair.off.server_cpu_ns) {
        (Some(on), Some(off)) => format!("{:+.1} % CPU", change(on, off)),
        _ => "CPU unknown".to_owned(),
    };
    let load = load_name(case.keep_alive);
    let watcher = case.watcher.name();
    format!("{watcher}, {load}: {throughput:+.1} %, {cpu}")
}

fn make_pair(
    stand: &Stand<'_>,
    watcher: Watcher,
    keep_alive: bool,
    step: Step,
    duration: Duration,
) -> Result<Option<Pair>, LabError> {
    let half = |watcher| make_half(stand, watcher, keep_alive, duration);
    let (first, second) = if step.on_first {
        (watcher, Watcher::Nothing)
    } else {
        (Watcher::Nothing, watcher)
    };
    let Some(first) = half(first)? else {
        return Ok(None);
    };
    let Some(second) = half(second)? else {
        return Ok(None);
    };
    let (on, off) = if step.on_first {
        (first, second)
    } else {
        (second, first)
    };
    Ok(Some(Pair {
        off,
        on,
        on_first: step.on_first,
    }))
}

fn make_half(
    stand: &Stand<'_>,
    watcher: Watcher,
    keep_alive: bool,
    duration: Duration,
) -> Result<Option<Half>, LabError> {
    let watching = watcher.start(stand)?;
    let (server_before, watcher_before_ns) = (stand.server_cpu()?, watching.cpu_ns()?);
    let loaded = stand.load(keep_alive, duration)?;
    let (server_after, watcher_after_ns) = (stand.server_cpu()?, watching.cpu_ns()?);
    watching.stop(loaded.as_ref().map_or(0, Summary::answered))?;
    Ok(loaded.map(|summary| {
        half_of(
            &summary,
            server_after.since(&server_before),
            watcher_after_ns.saturating_sub(watcher_before_ns),
        )
    }))
}

fn half_of(summary: &Summary, server_cpu_ns: Option<u64>, watcher_cpu_ns: u64) -> Half {
    let answered = summary.answered();
    let per_request = |ns: f64| ns / answered as f64;
    let latencies = &summary.latencies.total;
    Half {
        answered,
        failed: summary.failed(),
        throughput_per_s: summary.answers_per_second(),
        p50_ns: latencies.percentile_ns(50.0) as f64,
        p99_ns: latencies.percentile_ns(99.0) as f64,
        server_cpu_ns: server_cpu_ns.map(|ns| per_request(ns as f64)),
        client_cpu_ns: per_request(summary.cpu_seconds() * 1e9),
        watcher_cpu_ns: per_request(watcher_cpu_ns as f64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_makes_one_pair_of_each_case() {
        for number in 0..7 {
            let mut made: Vec<usize> = round(number, 4).map(|step| step.case).collect();
            made.sort_unstable();
            assert_eq!(made, [0, 1, 2, 3]);
        }
    }

    #[test]
    fn the_first_half_alternates_between_rounds_and_between_cases() {
        for cases in 1..6 {
            for case in 0..cases {
                let firsts: Vec<bool> = (0..6)
                    .map(|number| {
                        round(number, cases)
                            .find(|step| step.case == case)
                            .unwrap()
                            .on_first
                    })
                    .collect();
                let expected: Vec<bool> = (0..6).map(|number| (number + case) % 2 == 1).collect();
                assert_eq!(firsts, expected);
            }
        }
    }

    #[test]
    fn each_round_begins_with_another_case() {
        let first = |number| round(number, 3).next().unwrap().case;
        assert_eq!([0, 1, 2, 3].map(first), [0, 1, 2, 0]);
    }
}
