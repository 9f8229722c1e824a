//! Compares phases with truths. Pure.
//!
//! Each thing is done several times: a single request can be hit by a late timer, by other programs
//! or by the machine's host, an error of the observer is in all of them. So a phase is right if it is
//! in a quarter of them. What a request costs that does nothing is taken off first. Of the phases
//! that should have got nothing the least surplus counts, for the same reason.

use mpm_observer::correlate::{Phase, Phases};

use crate::span::Span;

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
    pub carries: Vec<(Phase, Span)>,
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
    /// Medians of both ends.
    pub truth: Span,
    /// Of the phase, without what a plain request has in it: the median.
    pub measured_ns: i64,
    /// How far measured is outside of the truth, in the best quarter.
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

/// The lower quartile by size: a quarter is as good as that or better.
fn quartile(mut differences: Vec<i64>) -> i64 {
    differences.sort_unstable_by_key(|ns| ns.unsigned_abs());
    differences[(differences.len() - 1) / 4]
}

/// What is known of a phase; nothing: it is zero.
fn truth_of(carries: &[(Phase, Span)], phase: Phase) -> Span {
    let found = carries.iter().find(|(of, _)| *of == phase);
    found.map_or_else(Span::default, |(_, span)| *span)
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
            let truths: Vec<Span> = cases
                .iter()
                .map(|(truth, _)| truth_of(&truth.carries, phase))
                .collect();
            let measured: Vec<i64> = cases
                .iter()
                .map(|(_, phases)| surplus_ns(phases, phase))
                .collect();
            let differences: Vec<i64> = truths
                .iter()
                .zip(&measured)
                .map(|(truth, measured_ns)| truth.distance_ns(*measured_ns))
                .collect();
            let truth = Span::between(
                median(truths.iter().map(|truth| truth.least_ns)),
                median(truths.iter().map(|truth| truth.most_ns)),
            );
            lines.push(Line {
                what: what.to_owned(),
                phase,
                truth,
                measured_ns: median(measured),
                range_ns: (
                    differences.iter().min().copied().unwrap_or(0),
                    differences.iter().max().copied().unwrap_or(0),
                ),
                difference_ns: quartile(differences),
                limit_ns: ((truth.least_ns as f64 * SHARE) as u64).max(LEAST_NS),
            });
        }
        let all_ns = |(truth, _): &&(Truth, Phases)| {
            let lengths = truth.carries.iter().map(|(_, span)| span.least_ns);
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
    fn judged(truth: Span, measured: [Phases; 5]) -> (Vec<Line>, Vec<Stray>) {
        let plain = Truth {
            what: "plain".into(),
            ..Truth::default()
        };
        let truth = Truth {
            what: "sleep".into(),
            plain: "plain",
            carries: vec![(Phase::Sleep, truth)],
            ..Truth::default()
        };
        let mut cases = vec![(plain, slept(5_000, 0))];
        cases.extend(measured.map(|phases| (truth.clone(), phases)));
        judge(&cases)
    }

    const TEN_MS: u64 = 10_000_000;

    #[test]
    fn a_truth_that_is_carried_holds_within_one_per_cent_in_a_quarter() {
        let [right, late] = [slept(10_105_000, 0), slept(99_000_000, 0)];
        let (lines, strays) = judged(TEN_MS.into(), [right, right, late, slept(0, 0), late]);
        assert_eq!(lines.len(), 1);
        assert_eq!(
            (lines[0].difference_ns, lines[0].limit_ns),
            (100_000, 100_000)
        );
        assert!(lines[0].holds());
        assert_eq!(strays, []);
        let (lines, _) = judged(TEN_MS.into(), [right, late, late, slept(0, 0), late]);
        assert!(!lines[0].holds());
        let (lines, _) = judged(TEN_MS.into(), [slept(10_105_001, 0); 5]);
        assert!(!lines[0].holds());
        let (lines, _) = judged(TEN_MS.into(), [slept(9_904_999, 0); 5]);
        assert!(!lines[0].holds());
    }

    #[test]
    fn a_truth_with_two_ends_is_no_wider_than_these() {
        let truth = Span::between(TEN_MS, TEN_MS + 500_000);
        for (sleep_ns, holds) in [
            (9_905_000, true),
            (9_904_999, false),
            (10_605_000, true),
            (10_605_001, false),
        ] {
            let (lines, _) = judged(truth, [slept(sleep_ns, 0); 5]);
            assert_eq!(lines[0].holds(), holds, "{sleep_ns}");
        }
    }

    #[test]
    fn a_truth_that_is_in_another_phase_is_found_there() {
        let (lines, strays) = judged(TEN_MS.into(), [slept(5_000, 10_000_000); 5]);
        assert!(!lines[0].holds());
        let [stray] = &strays[..] else {
            panic!("{strays:?}")
        };
        assert_eq!((stray.phase, stray.surplus_ns), (Phase::Futex, 10_000_000));
    }
}
