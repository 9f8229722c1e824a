//! Compares phases with truths. Pure.
//!
//! Each thing is done several times, and the medians are compared: a single request can be hit
//! by a late timer or by the machine's host, an error of the observer is in all of them. What a
//! request costs that does nothing is taken off first. Of the phases that should have got nothing
//! the least surplus counts, for the same reason: other programs may take the CPU for a while.

use mpm_observer::correlate::{Phase, Phases};

/// Allowed difference of a phase from its truth: this share of it …
const SHARE: f64 = 0.01;
/// … or this, whichever is larger.
const LEAST_NS: u64 = 20_000;
/// What another phase may have: this share of all truths …
const OTHER_SHARE: f64 = 0.1;
/// … or this, whichever is larger.
const OTHER_LEAST_NS: u64 = 200_000;

/// What is known of one request.
#[derive(Clone, Debug, Default)]
pub struct Truth {
    /// The name of the thing, the same for each repetition.
    pub what: String,
    /// The name of those that cost as much but for the thing; empty: nothing is compared.
    pub plain: &'static str,
    /// How long which phase is in truth.
    pub carries: Vec<(Phase, u64)>,
    /// The least of the differences counts, not their median: the truth itself is known only
    /// without a delay that varies.
    pub best: bool,
    /// What is known of other phases, such as the wait for a CPU after a sleep.
    pub explains: Vec<(Phase, u64)>,
}

/// One comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The thing.
    pub what: String,
    /// The phase that is to carry it.
    pub phase: Phase,
    /// Medians.
    pub truth_ns: u64,
    /// Of the phase, without what a plain request has in it.
    pub measured_ns: i64,
    /// Of measured minus truth, or the least of these.
    pub difference_ns: i64,
    /// Least and greatest difference.
    pub range_ns: (i64, i64),
    /// What the difference may be.
    pub limit_ns: u64,
}

impl Line {
    pub fn holds(&self) -> bool {
        self.difference_ns.unsigned_abs() <= self.limit_ns
    }
}

/// Another phase that has got something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stray {
    pub what: String,
    pub phase: Phase,
    pub surplus_ns: i64,
    pub limit_ns: u64,
}

fn median<T: Ord + Copy>(values: impl IntoIterator<Item = T>) -> T {
    let mut values: Vec<T> = values.into_iter().collect();
    values.sort_unstable();
    values[values.len() / 2]
}

fn of(list: &[(Phase, u64)], phase: Phase) -> u64 {
    let same = list.iter().filter(|(of, _)| *of == phase);
    same.map(|(_, length_ns)| length_ns).sum()
}

/// Compares all things with their truths; returns also what is where it should not be.
pub fn judge(cases: &[(Truth, Phases)]) -> (Vec<Line>, Vec<Stray>) {
    let mut whats: Vec<&str> = Vec::new();
    for (truth, _) in cases {
        if !truth.plain.is_empty() && !whats.contains(&truth.what.as_str()) {
            whats.push(&truth.what);
        }
    }
    let named = |what: &str| -> Vec<&(Truth, Phases)> {
        let same = cases.iter().filter(|(truth, _)| truth.what == what);
        same.collect()
    };
    let mut lines = Vec::new();
    let mut strays = Vec::new();
    for what in whats {
        let cases = named(what);
        let plain = named(cases[0].0.plain);
        assert!(!plain.is_empty(), "no {}", cases[0].0.plain);
        let surplus_ns = |phases: &Phases, phase| {
            let plain_ns = median(plain.iter().map(|(_, plain)| plain.get(phase)));
            phases.get(phase).cast_signed() - plain_ns.cast_signed()
        };
        let carried: Vec<Phase> = cases[0].0.carries.iter().map(|(phase, _)| *phase).collect();
        for &phase in &carried {
            let difference_ns = |(truth, phases): &&(Truth, Phases)| {
                surplus_ns(phases, phase) - of(&truth.carries, phase).cast_signed()
            };
            let truth_ns = median(cases.iter().map(|(truth, _)| of(&truth.carries, phase)));
            let differences = || cases.iter().map(difference_ns);
            lines.push(Line {
                what: what.to_owned(),
                phase,
                truth_ns,
                measured_ns: median(cases.iter().map(|(_, phases)| surplus_ns(phases, phase))),
                difference_ns: if cases[0].0.best {
                    differences().min_by_key(|ns| ns.abs()).unwrap_or(0)
                } else {
                    median(differences())
                },
                range_ns: (
                    differences().min().unwrap_or(0),
                    differences().max().unwrap_or(0),
                ),
                limit_ns: ((truth_ns as f64 * SHARE) as u64).max(LEAST_NS),
            });
        }
        let all_ns = |(truth, _): &&(Truth, Phases)| {
            let lengths = truth.carries.iter().map(|(_, length_ns)| *length_ns);
            lengths.sum::<u64>()
        };
        let limit_ns = (median(cases.iter().map(all_ns)) as f64 * OTHER_SHARE) as u64;
        let limit_ns = limit_ns.max(OTHER_LEAST_NS);
        for phase in Phase::ALL {
            if carried.contains(&phase) {
                continue;
            }
            let unexplained_ns = |(truth, phases): &&(Truth, Phases)| {
                surplus_ns(phases, phase) - of(&truth.explains, phase).cast_signed()
            };
            let surplus_ns = cases.iter().map(unexplained_ns).min().unwrap_or(0);
            if surplus_ns > limit_ns.cast_signed() {
                strays.push(Stray {
                    what: what.to_owned(),
                    phase,
                    surplus_ns,
                    limit_ns,
                });
            }
        }
    }
    (lines, strays)
}

#[cfg(test)]
mod tests {
    use mpm_observer::{
        correlate::phases,
        recording::{ClientRow, KernelRow},
    };

    use super::*;

    fn slept(sleep_ns: u64, futex_ns: u64) -> Phases {
        let kernel = KernelRow {
            blocked_sleep_ns: sleep_ns,
            blocked_futex_ns: futex_ns,
            ..KernelRow::default()
        };
        phases(&ClientRow::default(), &kernel)
    }

    /// Of a sleep of 10 ms, beside a request that sleeps 5 µs anyway.
    fn judged(measured: [Phases; 3]) -> (Vec<Line>, Vec<Stray>) {
        let plain = Truth {
            what: "plain".into(),
            ..Truth::default()
        };
        let truth = Truth {
            what: "sleep".into(),
            plain: "plain",
            carries: vec![(Phase::Sleep, 10_000_000)],
            ..Truth::default()
        };
        let mut cases = vec![(plain, slept(5_000, 0))];
        cases.extend(measured.map(|phases| (truth.clone(), phases)));
        judge(&cases)
    }

    #[test]
    fn a_truth_that_is_carried_holds_within_one_per_cent() {
        let (lines, strays) = judged([slept(10_105_000, 0), slept(0, 0), slept(99_000_000, 0)]);
        assert_eq!(lines.len(), 1);
        assert_eq!(
            (lines[0].difference_ns, lines[0].limit_ns),
            (100_000, 100_000)
        );
        assert!(lines[0].holds());
        assert_eq!(strays, []);
        let (lines, _) = judged([slept(10_105_001, 0); 3]);
        assert!(!lines[0].holds());
    }

    #[test]
    fn a_truth_that_is_in_another_phase_is_found_there() {
        let (lines, strays) = judged([slept(5_000, 10_000_000); 3]);
        assert!(!lines[0].holds());
        let [stray] = &strays[..] else {
            panic!("{strays:?}")
        };
        assert_eq!((stray.phase, stray.surplus_ns), (Phase::Futex, 10_000_000));
    }
}
