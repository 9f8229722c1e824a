//! How much two MPMs differ, with the interval that holds the true difference.

use serde::Serialize;

use crate::statistics::{Ends, Interval, newcombe};

/// What an [`Effect`] is measured in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// How many times as much: 1 is no difference.
    Ratio,
    /// Difference of two shares, -1 to 1: 0 is no difference.
    ShareDifference,
}

/// How much the first of two MPMs has against the second.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Effect {
    /// What the numbers are.
    pub measure: Measure,
    /// The best guess.
    pub value: f64,
    /// The 95 % interval; `None` if there are too few values for one.
    pub interval: Option<Ends>,
    /// Repetitions that it rests on; of two shares, those of the MPM that has fewer.
    pub n: usize,
}

/// A ratio to or from nothing is taken as this many times, so that it is beyond any margin and
/// still a number.
pub(super) const BEYOND_ALL: f64 = 1e9;

impl Effect {
    /// The median of the paired ratios with its bootstrap interval. `pairs` has the amounts, of 0
    /// or more, of both MPMs in the same repetition.
    ///
    /// Pairs, and not the ratio of the two medians: the runs of a repetition are made one after
    /// the other, so that what the machine does to all (its clock, its neighbours, a warm cache)
    /// divides out of a pair, while it widens the spread of either MPM for itself. The median is
    /// taken of the logarithms, so that the ratios of swapped MPMs are the inverse ones for an
    /// even number of pairs too. `None` without pairs.
    #[must_use]
    pub fn of_pairs(pairs: &[(f64, f64)]) -> Option<Self> {
        let most = BEYOND_ALL.ln();
        let log_ratio = |&(one, other): &(f64, f64)| {
            if one == other {
                return 0.0;
            }
            (one.ln() - other.ln()).clamp(-most, most)
        };
        let mut logs: Vec<f64> = pairs.iter().map(log_ratio).collect();
        logs.sort_by(f64::total_cmp);
        let n = logs.len();
        let (upper, lower) = (*logs.get(n / 2)?, *logs.get(n.checked_sub(1)? / 2)?);
        let interval = Interval::of_median(logs.iter().copied()).map(|interval| Ends {
            low: interval.low.exp(),
            high: interval.high.exp(),
        });
        Some(Self {
            measure: Measure::Ratio,
            value: ((lower + upper) / 2.0).exp(),
            interval,
            n,
        })
    }

    /// The difference of the mean shares of two MPMs with Newcombe's interval for as many
    /// independent trials as there are runs. A run is the trial, not a request: requests of one
    /// run fail together. `None` if one of them has no run.
    #[must_use]
    pub fn of_shares(one: &[f64], other: &[f64]) -> Option<Self> {
        let mean = |shares: &[f64]| {
            let n = shares.len();
            (n > 0).then(|| (shares.iter().sum::<f64>() / n as f64, n))
        };
        let (one, other) = (mean(one)?, mean(other)?);
        Some(Self {
            measure: Measure::ShareDifference,
            value: one.0 - other.0,
            interval: Some(newcombe(one, other)),
            n: one.1.min(other.1),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(ratios: &[f64]) -> Vec<(f64, f64)> {
        ratios.iter().map(|ratio| (10.0 * ratio, 10.0)).collect()
    }

    #[test]
    fn a_drift_that_meets_both_alike_does_not_widen_the_interval() {
        let drifting: Vec<(f64, f64)> = (1..=8)
            .map(|k| (2.0 * f64::from(k), f64::from(k)))
            .collect();
        let effect = Effect::of_pairs(&drifting).unwrap();
        let interval = effect.interval.unwrap();
        for number in [effect.value, interval.low, interval.high] {
            assert!((number - 2.0).abs() < 1e-12, "{effect:?}");
        }
        assert_eq!(effect.n, 8);
    }

    #[test]
    fn swapped_mpms_have_the_inverse_ratios() {
        let there = pairs(&[1.1, 0.9, 1.3, 1.2, 1.25, 1.0, 1.15, 1.4]);
        let back: Vec<(f64, f64)> = there.iter().map(|&(a, b)| (b, a)).collect();
        let (there, back) = (
            Effect::of_pairs(&there).unwrap(),
            Effect::of_pairs(&back).unwrap(),
        );
        let (a, b) = (there.interval.unwrap(), back.interval.unwrap());
        for (number, inverse) in [(there.value, back.value), (a.low, b.high), (a.high, b.low)] {
            assert!((number * inverse - 1.0).abs() < 1e-12);
        }
    }

    #[test]
    fn fewer_than_six_pairs_have_a_value_and_no_interval() {
        let effect = Effect::of_pairs(&pairs(&[2.0, 3.0, 2.5, 2.0, 2.0])).unwrap();
        assert!((effect.value - 2.0).abs() < 1e-12);
        assert_eq!((effect.interval, effect.n), (None, 5));
        assert_eq!(Effect::of_pairs(&[]), None);
    }

    #[test]
    fn nothing_against_nothing_is_equal_and_against_something_beyond_all() {
        let equal = Effect::of_pairs(&[(0.0, 0.0); 6]).unwrap();
        assert_eq!(equal.value, 1.0);
        let beyond = Effect::of_pairs(&[(1.0, 0.0); 6]).unwrap();
        assert!(beyond.value > 0.99 * BEYOND_ALL && beyond.value.is_finite());
        let back = Effect::of_pairs(&[(0.0, 1.0); 6]).unwrap();
        assert!((beyond.value * back.value - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_share_counts_runs_and_not_requests() {
        let effect = Effect::of_shares(&[0.0; 6], &[0.0; 6]).unwrap();
        let interval = effect.interval.unwrap();
        // As of 0 of 6 against 0 of 6, however many requests a run had.
        assert!((interval.high - 0.3903).abs() < 1e-4, "{interval:?}");
        assert_eq!((effect.value, interval.low), (0.0, -interval.high));
        assert_eq!(Effect::of_shares(&[0.0], &[]), None);
    }
}
