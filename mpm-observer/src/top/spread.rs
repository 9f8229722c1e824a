//! How long something took, over many requests.

use hdrhistogram::Histogram;
use serde::Serialize;

/// Longest duration told apart, one hour; longer ones count as this long.
const MAX_NS: u64 = 3_600_000_000_000;
/// Significant digits that are kept: values are right to within 1 %.
const DIGITS: u8 = 2;

/// Durations, kept by their size. Those of no length are not kept: who reads them says how many
/// there are in all.
#[derive(Clone, Debug)]
pub(super) struct Durations {
    values: Histogram<u32>,
    sum_ns: u64,
    longest_ns: u64,
}

impl Default for Durations {
    fn default() -> Self {
        Self {
            // It grows with the longest duration.
            values: Histogram::new(DIGITS).expect("a number of digits that is allowed"),
            sum_ns: 0,
            longest_ns: 0,
        }
    }
}

impl Durations {
    /// Adds one.
    pub(super) fn record(&mut self, length_ns: u64) {
        if length_ns == 0 {
            return;
        }
        // Cannot fail: it grows.
        let _ = self.values.record(length_ns.min(MAX_NS));
        self.sum_ns = self.sum_ns.saturating_add(length_ns);
        self.longest_ns = self.longest_ns.max(length_ns);
    }

    /// Adds all of another one.
    pub(super) fn merge(&mut self, other: &Self) {
        let _ = self.values.add(&other.values);
        self.sum_ns = self.sum_ns.saturating_add(other.sum_ns);
        self.longest_ns = self.longest_ns.max(other.longest_ns);
    }

    /// All of them together.
    pub(super) const fn sum_ns(&self) -> u64 {
        self.sum_ns
    }

    /// How many have a length.
    pub(super) fn count(&self) -> u64 {
        self.values.len()
    }

    /// Their spread among `of`, of which those that are not here had no length.
    pub(super) fn spread(&self, of: u64) -> Spread {
        let count = of.max(self.count());
        Spread {
            count,
            mean_ns: self.sum_ns.checked_div(count).unwrap_or(0),
            p50_ns: self.percentile_ns(count, 0.5),
            p99_ns: self.percentile_ns(count, 0.99),
            p999_ns: self.percentile_ns(count, 0.999),
            max_ns: self.longest_ns,
        }
    }

    fn percentile_ns(&self, count: u64, quantile: f64) -> u64 {
        let (known, rank) = (self.count(), (quantile * count as f64).ceil());
        let rank_here = rank - (count - known) as f64;
        if known == 0 || rank_here <= 0.0 {
            return 0;
        }
        let value_ns = self.values.value_at_quantile(rank_here / known as f64);
        // The end of its class may lie beyond the longest.
        value_ns.min(self.longest_ns)
    }
}

/// Durations in figures; all 0 when there were none. Right to within 1 %.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Spread {
    /// How many.
    pub count: u64,
    /// Their mean.
    pub mean_ns: u64,
    /// What half of them did not exceed.
    pub p50_ns: u64,
    /// … 99 %.
    pub p99_ns: u64,
    /// … 99.9 %.
    pub p999_ns: u64,
    /// The longest.
    pub max_ns: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: impl IntoIterator<Item = u64>) -> Durations {
        let mut durations = Durations::default();
        values.into_iter().for_each(|value| durations.record(value));
        durations
    }

    fn assert_near(value: u64, expected: u64) {
        let near = value.abs_diff(expected) * 100 <= expected;
        assert!(near, "{value} is not {expected}");
    }

    #[test]
    fn percentiles_are_right_within_a_hundredth() {
        let spread = of((1..=10_000).map(|us| us * 1_000)).spread(10_000);
        assert_near(spread.p50_ns, 5_000_000);
        assert_near(spread.p99_ns, 9_900_000);
        assert_near(spread.p999_ns, 9_990_000);
        assert_eq!(spread.max_ns, 10_000_000);
        assert_eq!((spread.count, spread.mean_ns), (10_000, 5_000_500));
    }

    #[test]
    fn those_of_no_length_count_among_all() {
        let durations = of([1_000; 10].into_iter().chain([0; 990]));
        let spread = durations.spread(1_000);
        assert_eq!((spread.count, spread.p50_ns, spread.p99_ns), (1_000, 0, 0));
        assert_near(spread.p999_ns, 1_000);
        assert_eq!(spread.mean_ns, 10);
    }

    #[test]
    fn nothing_and_the_longest_are_no_trouble() {
        assert_eq!(Durations::default().spread(0), Spread::default());
        let endless = of([u64::MAX, u64::MAX]).spread(2);
        assert_eq!(endless.max_ns, u64::MAX);
        assert_near(endless.p50_ns, MAX_NS);
    }

    #[test]
    fn two_together_are_as_one() {
        let mut first = of((1..500).map(|us| us * 1_000));
        first.merge(&of((500..=1_000).map(|us| us * 1_000)));
        let all = of((1..=1_000).map(|us| us * 1_000));
        assert_eq!(first.spread(1_000), all.spread(1_000));
        assert_eq!(first.sum_ns(), all.sum_ns());
    }
}
