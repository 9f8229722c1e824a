//! Durations in an HDR histogram: nanoseconds, three significant digits.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Longest duration told apart, one hour; longer ones count as this long.
const MAX_NS: u64 = 3_600_000_000_000;

/// The percentiles that are written beside the values.
const PERCENTILES: [f64; 11] = [
    50.0, 66.0, 75.0, 80.0, 90.0, 95.0, 98.0, 99.0, 99.9, 99.99, 100.0,
];

/// Durations in nanoseconds, each kept to within 0.1 %.
///
/// Serialised as `{count, min_ns, max_ns, mean_ns, stdev_ns, percentiles: [[p, ns]],
/// values: [[ns, count]]}`; `values` holds the whole histogram and is what is read back.
#[derive(Debug, Clone, PartialEq)]
pub struct Histogram(hdrhistogram::Histogram<u64>);

impl Default for Histogram {
    fn default() -> Self {
        Self::new()
    }
}

impl Histogram {
    /// An empty histogram.
    #[must_use]
    pub fn new() -> Self {
        Self(
            hdrhistogram::Histogram::new_with_bounds(1, MAX_NS, 3)
                .expect("the bounds are constants that fit"),
        )
    }

    /// Adds one duration.
    pub fn record(&mut self, duration_ns: u64) {
        self.0.saturating_record(duration_ns);
    }

    /// Adds the same duration many times.
    pub fn record_n(&mut self, duration_ns: u64, count: u64) {
        self.0.saturating_record_n(duration_ns, count);
    }

    /// Adds all durations of another histogram, exactly.
    pub fn merge(&mut self, other: &Self) {
        self.0
            .add(&other.0)
            .expect("all histograms have the same bounds");
    }

    /// Forgets all durations.
    pub(crate) fn clear(&mut self) {
        self.0.reset();
    }

    /// The histogram itself, for its own formats.
    pub(crate) const fn inner(&self) -> &hdrhistogram::Histogram<u64> {
        &self.0
    }

    /// Number of durations.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// The shortest, 0 when empty.
    #[must_use]
    pub fn min_ns(&self) -> u64 {
        self.0.min()
    }

    /// The longest, 0 when empty.
    #[must_use]
    pub fn max_ns(&self) -> u64 {
        self.0.max()
    }

    /// The mean, 0 when empty.
    #[must_use]
    pub fn mean_ns(&self) -> f64 {
        self.0.mean()
    }

    /// The standard deviation, 0 when empty.
    #[must_use]
    pub fn stdev_ns(&self) -> f64 {
        self.0.stdev()
    }

    /// The duration that `percentile` of 100 did not exceed; 0 when empty.
    #[must_use]
    pub fn percentile_ns(&self, percentile: f64) -> u64 {
        self.0.value_at_percentile(percentile)
    }

    /// All durations that occurred, ascending, each with its count.
    pub fn values(&self) -> impl Iterator<Item = (u64, u64)> {
        self.0
            .iter_recorded()
            .map(|step| (step.value_iterated_to(), step.count_since_last_iteration()))
    }
}

#[derive(Serialize)]
struct Written {
    count: u64,
    min_ns: u64,
    max_ns: u64,
    mean_ns: f64,
    stdev_ns: f64,
    percentiles: Vec<(f64, u64)>,
    values: Vec<(u64, u64)>,
}

#[derive(Deserialize)]
struct Read {
    values: Vec<(u64, u64)>,
}

impl Serialize for Histogram {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Written {
            count: self.count(),
            min_ns: self.min_ns(),
            max_ns: self.max_ns(),
            mean_ns: self.mean_ns(),
            stdev_ns: self.stdev_ns(),
            percentiles: PERCENTILES
                .into_iter()
                .map(|p| (p, self.percentile_ns(p)))
                .collect(),
            values: self.values().collect(),
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Histogram {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut histogram = Self::new();
        let mut total = 0_u64;
        for (duration_ns, count) in Read::deserialize(deserializer)?.values {
            total = total
                .checked_add(count)
                .ok_or_else(|| D::Error::custom("the counts of a histogram overflow"))?;
            histogram.record_n(duration_ns, count);
        }
        Ok(histogram)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_within_a_thousandth() {
        let mut histogram = Histogram::new();
        for ms in 1..=1000 {
            histogram.record(ms * 1_000_000);
        }
        for p in [1.0, 50.0, 90.0, 99.0, 100.0] {
            let expected_ns = p * 10.0 * 1e6;
            let error = (histogram.percentile_ns(p) as f64 - expected_ns).abs() / expected_ns;
            assert!(error <= 0.001, "p{p} is off by {error}");
        }
    }

    #[test]
    fn merging_equals_recording_in_one() {
        let (mut a, mut b, mut both) = (Histogram::new(), Histogram::new(), Histogram::new());
        for i in 0..1000 {
            let ns = i * i * 977;
            if i % 3 == 0 { &mut a } else { &mut b }.record(ns);
            both.record(ns);
        }
        a.merge(&b);
        assert_eq!(a, both);
    }

    #[test]
    fn json_brings_the_same_histogram_back() {
        let mut histogram = Histogram::new();
        for ns in [0, 1, 999, 123_456, 7_000_000_001, u64::MAX] {
            histogram.record_n(ns, 3);
        }
        let json = serde_json::to_string(&histogram).expect("serialisable");
        let back: Histogram = serde_json::from_str(&json).expect("readable");
        assert_eq!(back.count(), 18);
        assert_eq!(
            back.values().collect::<Vec<_>>(),
            histogram.values().collect::<Vec<_>>()
        );
        assert_eq!(back.percentile_ns(50.0), histogram.percentile_ns(50.0));
    }

    #[test]
    fn an_empty_histogram_says_zero() {
        let empty = Histogram::new();
        assert_eq!(
            (
                empty.count(),
                empty.min_ns(),
                empty.max_ns(),
                empty.percentile_ns(99.0)
            ),
            (0, 0, 0, 0)
        );
        assert!(empty.mean_ns() == 0.0 && empty.stdev_ns() == 0.0);
    }
}
