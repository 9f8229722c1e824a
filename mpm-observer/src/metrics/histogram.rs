//! A distribution over fixed buckets.

use super::{Value, family::seconds};

/// Bounds of times, seconds.
pub(super) const TIMES: &[f64] = &[
    0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
    0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
];
/// Bounds of the phases' times, seconds. There are many phases, so they have fewer buckets.
pub(super) const PHASES: &[f64] = &[
    0.00001, 0.00005, 0.00025, 0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10.0,
];
/// Bounds of what is received, bytes.
pub(super) const RECEIVED: &[f64] = &[
    256.0,
    512.0,
    1024.0,
    2048.0,
    4096.0,
    8192.0,
    16384.0,
    32768.0,
    65536.0,
    1_048_576.0,
    16_777_216.0,
];
/// Bounds of what is sent, bytes.
pub(super) const SENT: &[f64] = &[
    256.0,
    1024.0,
    4096.0,
    16384.0,
    65536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
];

/// What was observed so far.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Histogram {
    bounds: &'static [f64],
    /// One more than there are bounds: what lies above the last.
    counts: Vec<u64>,
    sum: f64,
}

impl Histogram {
    /// One with these upper bounds, ascending.
    pub(super) fn new(bounds: &'static [f64]) -> Self {
        Self {
            bounds,
            counts: vec![0; bounds.len() + 1],
            sum: 0.0,
        }
    }

    /// Counts a value into the first bucket whose bound is not below it.
    pub(super) fn observe(&mut self, value: f64) {
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        self.counts[bucket] += 1;
        self.sum += value;
    }

    /// Counts a time.
    pub(super) fn observe_ns(&mut self, ns: u64) {
        self.observe(seconds(ns));
    }

    /// How much was observed.
    pub(super) fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    pub(super) fn value(&self) -> Value {
        let bounds = self.bounds.iter().copied().chain([f64::INFINITY]);
        Value::Distribution {
            sum: self.sum,
            count: self.count(),
            buckets: bounds.zip(self.counts.iter().copied()).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_at_a_bound_lies_in_its_bucket_and_one_above_all_in_the_last() {
        let mut histogram = Histogram::new(&[1.0, 2.0]);
        for value in [0.0, 1.0, 1.5, 2.0, 2.5] {
            histogram.observe(value);
        }
        let expected = Value::Distribution {
            sum: 7.0,
            count: 5,
            buckets: vec![(1.0, 2), (2.0, 2), (f64::INFINITY, 1)],
        };
        assert_eq!(histogram.value(), expected);
    }

    #[test]
    fn all_bounds_ascend() {
        for bounds in [TIMES, PHASES, RECEIVED, SENT] {
            assert!(bounds.is_sorted_by(|lower, upper| lower < upper));
        }
    }
}
