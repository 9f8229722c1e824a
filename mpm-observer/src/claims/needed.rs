//! How many further repetitions would decide.

use serde::{Serialize, Serializer};

use super::{Effect, Measure, Threshold, Verdict, effect::BEYOND_ALL};
use crate::statistics::{Ends, Interval, newcombe};

/// More further repetitions than this are not counted out.
pub const MOST_FURTHER: usize = 100;

/// Repetitions that would be expected to decide a claim, if they turn out like those made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Needed {
    /// This many further ones.
    Further(usize),
    /// More than [`MOST_FURTHER`].
    TooMany,
    /// However many there are, they would not decide: the client was the bottleneck, or an MPM
    /// never came up.
    WouldNotHelp,
}

impl Serialize for Needed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Further(count) => serializer.serialize_u64(*count as u64),
            Self::TooMany => serializer.collect_str(&format_args!("more than {MOST_FURTHER}")),
            Self::WouldNotHelp => serializer.serialize_str("would not help"),
        }
    }
}

/// The further repetitions that would decide an undecided effect. `yield_per_run` is the share of
/// the repetitions that gave a value, above 0.
///
/// The interval of a median is taken to shrink to either side with the square root of the number
/// of values; that of shares is computed for the same shares in more runs. Both suppose that the
/// best guess stays where it is, so the number is a guide and no promise.
pub(super) fn needed(
    effect: &Effect,
    shares: Option<(f64, f64)>,
    threshold: &Threshold,
    yield_per_run: f64,
) -> Needed {
    let repetitions = |values: usize| {
        let further = (values as f64 / yield_per_run).ceil() as usize;
        if further > MOST_FURTHER {
            Needed::TooMany
        } else {
            Needed::Further(further)
        }
    };
    let Some(interval) = effect.interval else {
        return repetitions(Interval::MIN_VALUES.saturating_sub(effect.n));
    };
    let decided = |further: &usize| {
        let n = effect.n + further;
        let ends = match (effect.measure, shares) {
            (Measure::ShareDifference, Some((one, other))) => newcombe((one, n), (other, n)),
            _ => shrunk(effect.value, interval, effect.n as f64 / n as f64),
        };
        threshold.decide(threshold.toward(ends)) != Verdict::Undecided
    };
    (1..=MOST_FURTHER)
        .find(decided)
        .map_or(Needed::TooMany, repetitions)
}

/// The interval of a ratio when there are `1 / share` times as many values.
fn shrunk(value: f64, interval: Ends, share: f64) -> Ends {
    let toward = |end: f64| {
        let distance = (end / value).ln() * share.sqrt();
        (value * distance.exp()).clamp(1.0 / BEYOND_ALL, BEYOND_ALL)
    };
    Ends {
        low: toward(interval.low),
        high: toward(interval.high),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ratio(value: f64, low: f64, high: f64, n: usize) -> Effect {
        Effect {
            measure: Measure::Ratio,
            value,
            interval: Some(Ends { low, high }),
            n,
        }
    }

    fn more() -> Threshold {
        Threshold::new(Measure::Ratio, true, 5, None)
    }

    #[test]
    fn the_interval_shrinks_with_the_root_of_the_number_of_values() {
        // From 1.1 the lower end of 1.0 has to rise above 1.05, to less than 0.488 of its
        // distance: 10 / 0.488^2 = 41.98, so 42 values.
        let effect = ratio(1.1, 1.0, 1.21, 10);
        assert_eq!(needed(&effect, None, &more(), 1.0), Needed::Further(32));
    }

    #[test]
    fn a_guess_on_the_boundary_never_gets_off_it() {
        let effect = ratio(1.05, 0.9, 1.2, 10);
        assert_eq!(needed(&effect, None, &more(), 1.0), Needed::TooMany);
    }

    #[test]
    fn without_an_interval_those_are_needed_that_make_one() {
        let mut effect = ratio(2.0, 1.0, 3.0, 3);
        effect.interval = None;
        assert_eq!(needed(&effect, None, &more(), 1.0), Needed::Further(3));
        // Only half of the starts succeed.
        assert_eq!(needed(&effect, None, &more(), 0.5), Needed::Further(6));
    }

    #[test]
    fn all_against_none_needs_eight_runs_to_be_half_or_more() {
        let effect = Effect::of_shares(&[1.0; 6], &[0.0; 6]).unwrap();
        let threshold = Threshold::new(Measure::ShareDifference, true, 5, Some(50));
        assert_eq!(
            needed(&effect, Some((1.0, 0.0)), &threshold, 1.0),
            Needed::Further(2)
        );
    }

    #[test]
    fn the_number_is_written_as_one_and_the_rest_in_words() {
        let json = |needed: Needed| serde_json::to_string(&needed).unwrap();
        assert_eq!(json(Needed::Further(7)), "7");
        assert_eq!(json(Needed::TooMany), "\"more than 100\"");
        assert_eq!(json(Needed::WouldNotHelp), "\"would not help\"");
    }
}
