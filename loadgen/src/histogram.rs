//! Durations in an HDR histogram: nanoseconds, three significant digits.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Longest duration told apart, one hour; longer ones count as this long.
const MAX_NS: u64 = 3_600_000_000_000;

/// The percentiles that are written beside the values.
const PERCENTILES: [f64; 11] = [
    50.0, 66.0, 75.0, 80.0, 90.0, 95.0, 98.0, 99.0, 99.9, 99.99, 100.0,
];

/// Up to here, about a second, a histogram has its counts from its first duration on: 172 kB.
/// It grows when a longer one comes, to 270 kB at most.
const SHORT_NS: u64 = (1 << 30) - 1;

/// Durations in nanoseconds, each kept to within 0.1 %.
///
/// Takes no memory as long as it is empty: of the many that a run has for every thread, some
/// never get a duration.
///
/// Serialised as `{count, min_ns, max_ns, mean_ns, stdev_ns, percentiles: [[p, ns]],
/// values: [[ns, count]]}`; `values` holds the whole histogram and is what is read back.
#[derive(Debug, Clone, Default)]
pub struct Histogram(Option<hdrhistogram::Histogram<u64>>);

impl Histogram {
    /// An empty histogram.
    #[must_use]
    pub const fn new() -> Self {
        Self(None)
    }

    /// Adds one duration.
    pub fn record(&mut self, duration_ns: u64) {
        self.record_n(duration_ns, 1);
    }

    /// Adds the same duration many times.
    pub fn record_n(&mut self, duration_ns: u64, count: u64) {
        self.0
            .get_or_insert_with(|| growing(SHORT_NS))
            .record_n(duration_ns.min(MAX_NS), count)
            .expect("it grows to what is recorded");
    }

    /// Adds all durations of another histogram, exactly.
    pub fn merge(&mut self, other: Self) {
        let Some(other) = other.0 else {
            return;
        };
        match &mut self.0 {
            None => self.0 = Some(other),
            Some(counts) => counts
                .add(&other)
                .expect("it grows to what the other has recorded"),
        }
    }

    /// Forgets all durations, and keeps the memory for the next ones.
    pub(crate) fn clear(&mut self) {
        if let Some(counts) = &mut self.0 {
            counts.reset();
        }
    }

    /// A histogram of the crate's own, for its formats: one that has room for all durations,
    /// so that all that are written have the same bounds.
    pub(crate) fn of_all_lengths() -> hdrhistogram::Histogram<u64> {
        growing(MAX_NS)
    }

    /// Makes `counts`, made by [`Histogram::of_all_lengths`], the same as this one.
    pub(crate) fn copy_to(&self, counts: &mut hdrhistogram::Histogram<u64>) {
        counts.reset();
        if let Some(own) = &self.0 {
            counts.add(own).expect("it has room for all durations");
        }
    }

    /// Number of durations.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.as_ref().map_or(0, |counts| counts.len())
    }

    /// The shortest, 0 when empty.
    #[must_use]
    pub fn min_ns(&self) -> u64 {
        self.0.as_ref().map_or(0, |counts| counts.min())
    }

    /// The longest, 0 when empty.
    #[must_use]
    pub fn max_ns(&self) -> u64 {
        self.0.as_ref().map_or(0, |counts| counts.max())
    }

    /// The mean, 0 when empty.
    #[must_use]
    pub fn mean_ns(&self) -> f64 {
        self.0.as_ref().map_or(0.0, |counts| counts.mean())
    }

    /// The standard deviation, 0 when empty.
    #[must_use]
    pub fn stdev_ns(&self) -> f64 {
        self.0.as_ref().map_or(0.0, |counts| counts.stdev())
    }

    /// The duration that `percentile` of 100 did not exceed; 0 when empty.
    #[must_use]
    pub fn percentile_ns(&self, percentile: f64) -> u64 {
        self.0
            .as_ref()
            .map_or(0, |counts| counts.value_at_percentile(percentile))
    }

    /// All durations that occurred, ascending, each with its count.
    pub fn values(&self) -> impl Iterator<Item = (u64, u64)> {
        self.0
            .iter()
            .flat_map(|counts| counts.iter_recorded())
            .map(|step| (step.value_iterated_to(), step.count_since_last_iteration()))
    }
}

impl PartialEq for Histogram {
    /// Whether the same durations occurred equally often; how far each has grown is no matter.
    fn eq(&self, other: &Self) -> bool {
        self.values().eq(other.values())
    }
}

/// An empty one with room for durations up to `high_ns`; longer ones make it grow.
fn growing(high_ns: u64) -> hdrhistogram::Histogram<u64> {
    let mut counts = hdrhistogram::Histogram::new_with_bounds(1, high_ns, 3)
        .expect("the bounds are constants that fit");
    counts.auto(true);
    counts
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
        a.merge(b);
        assert_eq!(a, both);
        let mut taken_over = Histogram::new();
        taken_over.merge(Histogram::new());
        taken_over.merge(a);
        assert_eq!(taken_over, both);
    }

    #[test]
    fn long_and_short_durations_are_merged_either_way() {
        let (mut short, mut long) = (Histogram::new(), Histogram::new());
        short.record_n(1_000, 3);
        long.record_n(90_000_000_000, 2);
        let (mut a, mut b) = (short.clone(), long.clone());
        a.merge(long);
        b.merge(short);
        for both in [&a, &b] {
            assert_eq!((both.count(), both.min_ns()), (5, 1_000));
            let off = both.max_ns() as f64 / 90e9 - 1.0;
            assert!((0.0..=0.001).contains(&off), "off by {off}");
        }
        assert_eq!(a, b);
    }

    #[test]
    fn longer_than_an_hour_counts_as_an_hour() {
        let (mut hour, mut longer) = (Histogram::new(), Histogram::new());
        hour.record(MAX_NS);
        for ns in [MAX_NS + 1, u64::MAX] {
            longer.clear();
            longer.record(ns);
            assert_eq!(longer, hour);
        }
        assert_ne!(longer, Histogram::new());
        longer.clear();
        assert_eq!(longer, Histogram::new());
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
