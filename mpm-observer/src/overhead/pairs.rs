//! The paired measurement: watched and not watched in turn.

use std::time::Duration;

use nix::sys::utsname::uname;

use super::{
    Case, Costs, Ground, Half, Overhead, Pair, Watcher,
    file::load_name,
    halves::make_pair,
    sliced::{self, Slicing},
    stand::{Stand, plan},
};
use crate::{
    lab::{LabError, Progress},
    recording::FORMAT,
    scenario::{Mpm, Size},
    statistics::Spread,
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
    /// Pairs of slices of each MPM, kind of load and watcher that can be switched under load.
    pub sliced_pairs: u32,
    /// Length of each slice; a pair has four of them.
    pub slice: Duration,
    /// Pairs of halves of each MPM, kind of load and watcher that cannot.
    pub pairs: u32,
    /// Length of each half.
    pub half: Duration,
    /// How much is told.
    pub lines: Lines,
}

/// Pairs of slices that one load gives at the most: some seconds, so that all cases see the same
/// machine even if it changes slowly.
const PAIRS_OF_A_LOAD: u32 = 25;

impl PairsPlan {
    /// The usual length of a slice. The machine's speed changes from one tenth of a second to the
    /// next, so that more and shorter slices tell more than fewer and longer ones.
    pub const SLICE: Duration = Duration::from_millis(20);

    /// A short look at the observer alone, some 20 s for three MPMs in the quick size: enough
    /// for an interval that says how little it knows.
    #[must_use]
    pub fn short(mpms: Vec<Mpm>, size: Size) -> Self {
        let sliced_pairs = match size {
            Size::Quick => 10,
            Size::Full => 50,
        };
        Self {
            mpms,
            watchers: vec![Watcher::Observer],
            sliced_pairs,
            slice: Self::SLICE,
            pairs: 0,
            half: Duration::ZERO,
            lines: Lines::EachMpm,
        }
    }

    /// A round makes one pair of halves, or one load of slices, of each case.
    fn rounds(&self) -> u32 {
        let has = |switched| {
            let mut watchers = self.watchers.iter();
            watchers.any(|watcher| watcher.is_switched() == switched)
        };
        let of_slices = if has(true) {
            self.sliced_pairs.div_ceil(PAIRS_OF_A_LOAD)
        } else {
            0
        };
        of_slices.max(if has(false) { self.pairs } else { 0 })
    }

    /// Pairs of slices in one round: all of them, spread evenly.
    fn sliced_in(&self, round: u32) -> usize {
        let until = |round: u32| {
            u64::from(self.sliced_pairs) * u64::from(round) / u64::from(self.rounds().max(1))
        };
        (until(round + 1) - until(round)) as usize
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
        .flat_map(|mpm| (0..pairs_plan.rounds()).map(|_| mpm.to_string()));
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
        half_ms: milliseconds(pairs_plan.half),
        slice_ms: Some(milliseconds(pairs_plan.slice)),
        cases,
    })
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
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
    let rounds = pairs_plan.rounds();
    for number in 0..rounds {
        let name = match pairs_plan.lines {
            Lines::EachRound => format!("overhead {mpm} {}", number + 1),
            Lines::EachMpm => format!("overhead {mpm}"),
        };
        let mut changes = Vec::new();
        for step in round(number as usize, cases.len()) {
            let case = &mut cases[step.case];
            let (load, watcher) = (load_name(case.keep_alive), case.watcher);
            progress.step(&name, &format!("{load}, {}", watcher.name()));
            let made = make(&stand, pairs_plan, case, number, step.on_first)?;
            if !made.is_empty() {
                changes.push((step.case, in_short(case, &made)));
            }
            case.pairs.extend(made);
            case.costs = Costs::of(&case.pairs);
            if ground.interrupt.is_set() {
                return stand.stop();
            }
        }
        match pairs_plan.lines {
            Lines::EachRound => {
                changes.sort();
                let changes: Vec<String> = changes.into_iter().map(|(_, text)| text).collect();
                progress.end(&name, &changes.join("; "));
            }
            Lines::EachMpm if number + 1 == rounds => {
                let lines: Vec<String> = cases.iter().map(Case::one_line).collect();
                progress.end(&name, &lines.join("; "));
            }
            Lines::EachMpm => progress.pass(),
        }
    }
    stand.stop()
}

/// The pairs of one case in one round.
fn make(
    stand: &Stand<'_>,
    pairs_plan: &PairsPlan,
    case: &Case,
    number: u32,
    on_first: bool,
) -> Result<Vec<Pair>, LabError> {
    let Case {
        watcher,
        keep_alive,
        ref pairs,
        ..
    } = *case;
    if watcher.is_switched() {
        let slicing = Slicing {
            pairs: pairs_plan.sliced_in(number),
            slice: pairs_plan.slice,
            first_number: pairs.len(),
        };
        return match slicing.pairs {
            0 => Ok(Vec::new()),
            _ => sliced::make_pairs(stand, watcher, keep_alive, slicing),
        };
    }
    if number >= pairs_plan.pairs {
        return Ok(Vec::new());
    }
    let pair = make_pair(stand, watcher, keep_alive, on_first, pairs_plan.half)?;
    Ok(pair.into_iter().collect())
}

/// Some pairs' median change of throughput and server CPU time, for the terminal.
fn in_short(case: &Case, pairs: &[Pair]) -> String {
    let median = |figure: fn(&Half) -> Option<f64>| {
        let ratios = pairs.iter().filter_map(|pair| pair.ratio(figure));
        Spread::of(ratios).map(|ratios| (ratios.median - 1.0) * 100.0)
    };
    let shown = |percent: Option<f64>| {
        percent.map_or_else(
            || "unknown".to_owned(),
            |percent| format!("{percent:+.1} %"),
        )
    };
    let throughput = shown(median(|half| Some(half.throughput_per_s)));
    let cpu = shown(median(|half| half.server_cpu_ns));
    let load = load_name(case.keep_alive);
    let watcher = case.watcher.name();
    format!("{watcher}, {load}: {throughput}, CPU {cpu}")
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

    fn a_plan(watchers: &[Watcher], sliced_pairs: u32, pairs: u32) -> PairsPlan {
        PairsPlan {
            watchers: watchers.to_vec(),
            sliced_pairs,
            pairs,
            ..PairsPlan::short(vec![Mpm::Event], Size::Quick)
        }
    }

    #[test]
    fn the_rounds_have_all_pairs_whichever_watchers_there_are() {
        for (sliced_pairs, pairs) in [(8, 20), (95, 3), (1, 1), (0, 4)] {
            let both = [Watcher::Observer, Watcher::Strace];
            let plan = a_plan(&both, sliced_pairs, pairs);
            let made: usize = (0..plan.rounds()).map(|round| plan.sliced_in(round)).sum();
            assert_eq!(made, sliced_pairs as usize);
            assert!(plan.rounds() >= pairs);
        }
    }

    #[test]
    fn no_round_is_made_for_watchers_that_are_not_there() {
        assert_eq!(a_plan(&[Watcher::Nothing], 60, 70).rounds(), 3);
        assert_eq!(a_plan(&[Watcher::Bpftrace], 500, 7).rounds(), 7);
        let long = a_plan(&[Watcher::WithoutAccept], 52, 0);
        assert_eq!([0, 1, 2].map(|round| long.sliced_in(round)), [17, 17, 18]);
    }
}
