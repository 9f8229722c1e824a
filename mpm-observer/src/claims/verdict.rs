//! What an interval says to a claim.

use serde::Serialize;

use super::Measure;
use crate::statistics::Ends;

/// What the figures say to a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It is so.
    Confirmed,
    /// It is not so: the contrary, or much less than stated.
    Refuted,
    /// There is no difference worth the name.
    NoDifference,
    /// The figures do not decide.
    Undecided,
    /// There is nothing to judge, or nothing to judge it from.
    NotJudged,
}

impl Verdict {
    /// All of them, in the order in which they are counted.
    pub const ALL: [Self; 5] = [
        Self::Confirmed,
        Self::Refuted,
        Self::NoDifference,
        Self::Undecided,
        Self::NotJudged,
    ];

    /// In words.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::Refuted => "refuted",
            Self::NoDifference => "no difference",
            Self::Undecided => "undecided",
            Self::NotJudged => "not judged",
        }
    }

    /// The verdict on "more than each of the others" from the verdicts on each of them. One other
    /// that refutes it, or equals the subject, is enough against it; for it, all are needed.
    #[must_use]
    pub fn of_all(each: &[Self]) -> Self {
        let any = |verdict: Self| each.contains(&verdict);
        if each.is_empty() {
            Self::NotJudged
        } else if any(Self::Refuted) {
            Self::Refuted
        } else if any(Self::NoDifference) {
            Self::NoDifference
        } else if each.iter().all(|verdict| *verdict == Self::Confirmed) {
            Self::Confirmed
        } else {
            Self::Undecided
        }
    }
}

/// How far an effect must lie from "no difference" to count.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Threshold {
    /// Up to here a difference is none; on the scale of [`Threshold::toward`], above 0.
    margin: f64,
    /// From here on it is as large as stated, if the statement says how large.
    least: Option<f64>,
    /// 1 if the claim is of more, -1 if of less.
    sign: f64,
    measure: Measure,
}

/// Rounding of a logarithm must not push a value off a boundary that it lies on.
const EPSILON: f64 = 1e-12;

impl Threshold {
    /// Thresholds in per cent: of the smaller amount for a ratio, in points for shares.
    #[must_use]
    pub fn new(measure: Measure, more: bool, margin: u32, least: Option<u32>) -> Self {
        let distance = |percent: u32| match measure {
            Measure::Ratio => (f64::from(percent) / 100.0).ln_1p(),
            Measure::ShareDifference => f64::from(percent) / 100.0,
        };
        Self {
            margin: distance(margin),
            least: least.map(distance),
            sign: if more { 1.0 } else { -1.0 },
            measure,
        }
    }

    /// The ends on a scale on which 0 is no difference and the claimed side is above it: of a
    /// ratio the logarithm, so that a half is as far as the double.
    #[must_use]
    pub fn toward(&self, ends: Ends) -> Ends {
        let scaled = |number: f64| match self.measure {
            Measure::Ratio => number.ln(),
            Measure::ShareDifference => number,
        };
        let (a, b) = (self.sign * scaled(ends.low), self.sign * scaled(ends.high));
        Ends {
            low: a.min(b),
            high: a.max(b),
        }
    }

    /// The verdict on an interval that [`Threshold::toward`] made.
    ///
    /// A statement that says how large ("far ahead") is refuted by an interval wholly below that,
    /// also where the rest is no difference.
    #[must_use]
    pub fn decide(&self, toward: Ends) -> Verdict {
        let Ends { low, high } = toward;
        let within = low >= -self.margin - EPSILON && high <= self.margin + EPSILON;
        let as_stated = self.least.is_none_or(|least| low >= least - EPSILON);
        if self.least.is_some_and(|least| high < least - EPSILON) {
            Verdict::Refuted
        } else if within {
            Verdict::NoDifference
        } else if low > self.margin + EPSILON && as_stated {
            Verdict::Confirmed
        } else if high < 0.0 {
            Verdict::Refuted
        } else {
            Verdict::Undecided
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Verdict::{Confirmed, NoDifference, NotJudged, Refuted, Undecided};

    fn ratio(more: bool, least: Option<u32>, low: f64, high: f64) -> Verdict {
        let threshold = Threshold::new(Measure::Ratio, more, 5, least);
        threshold.decide(threshold.toward(Ends { low, high }))
    }

    #[test]
    fn each_place_of_an_interval_has_its_verdict() {
        for (low, high, verdict) in [
            (1.06, 1.2, Confirmed),
            // On the margin is within it.
            (1.05, 1.05, NoDifference),
            (1.0 / 1.05, 1.05, NoDifference),
            (1.01, 1.04, NoDifference),
            (0.96, 0.99, NoDifference),
            (1.05, 1.2, Undecided),
            (1.04, 1.2, Undecided),
            (0.9, 1.02, Undecided),
            (0.9, 1.2, Undecided),
            (0.9, 0.99, Refuted),
            (0.5, 0.6, Refuted),
        ] {
            assert_eq!(ratio(true, None, low, high), verdict, "{low} to {high}");
            // What is said of less is judged as the same of the inverse.
            let (low, high) = (1.0 / high, 1.0 / low);
            assert_eq!(
                ratio(false, None, low, high),
                verdict,
                "less, {low} to {high}"
            );
        }
    }

    #[test]
    fn a_stated_size_has_to_be_reached_by_the_whole_interval() {
        for (low, high, verdict) in [
            (1.5, 1.6, Confirmed),
            (1.49, 1.6, Undecided),
            (1.4, 1.5, Undecided),
            (1.06, 1.49, Refuted),
            // "Far ahead", but by 3 %, or not at all.
            (1.02, 1.04, Refuted),
            (0.99, 1.01, Refuted),
            (0.5, 1.2, Refuted),
        ] {
            assert_eq!(ratio(true, Some(50), low, high), verdict, "{low} to {high}");
        }
        assert_eq!(ratio(false, Some(50), 0.6, 0.66), Confirmed);
        assert_eq!(ratio(false, Some(50), 0.6, 0.7), Undecided);
        assert_eq!(ratio(false, Some(50), 0.7, 0.8), Refuted);
    }

    #[test]
    fn shares_are_judged_in_points() {
        let threshold = Threshold::new(Measure::ShareDifference, true, 5, Some(50));
        let decide = |low, high| threshold.decide(threshold.toward(Ends { low, high }));
        assert_eq!(decide(0.54, 1.0), Confirmed);
        assert_eq!(decide(0.45, 1.0), Undecided);
        assert_eq!(decide(-0.39, 0.39), Refuted);
        assert_eq!(decide(-1.0, -0.6), Refuted);
        assert_eq!(decide(-0.1, 0.56), Undecided);
    }

    #[test]
    fn for_more_than_each_all_are_needed_and_one_is_enough_against_it() {
        for (each, verdict) in [
            (vec![Confirmed, Confirmed], Confirmed),
            (vec![Confirmed, Undecided], Undecided),
            (vec![Confirmed, NoDifference], NoDifference),
            (vec![Undecided, NoDifference], NoDifference),
            (vec![Confirmed, Refuted], Refuted),
            (vec![NoDifference, Refuted], Refuted),
            (vec![], NotJudged),
        ] {
            assert_eq!(Verdict::of_all(&each), verdict, "{each:?}");
        }
    }
}
