//! The course of a run in a bounded number of parts, to be drawn when it is over.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use crate::summary::OutcomeCounts;
use crate::{Row, RowSink};

/// Parts at first are so long …
const FIRST_WIDTH_NS: u64 = 100_000_000;

/// … and twice as long each time that there would be more than so many.
const PARTS_MAX: usize = 240;

/// Figures of a run over time, in parts of equal length. A part holds the requests that
/// ended in it.
#[derive(Debug, Clone)]
pub struct Course {
    started_ns: u64,
    width_ns: u64,
    parts: Vec<Part>,
}

/// What ended in one part of a [`Course`].
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) outcomes: OutcomeCounts,
    /// As of [`Second::latencies`](super::Second::latencies), to within 1 %.
    latencies: hdrhistogram::Histogram<u32>,
}

impl Part {
    fn new() -> Self {
        let mut latencies = hdrhistogram::Histogram::new_with_bounds(1000, 1_000_000, 2)
            .expect("the bounds are constants that fit");
        // There are many of them: each is as large as its latencies need it.
        latencies.auto(true);
        Self {
            outcomes: OutcomeCounts::default(),
            latencies,
        }
    }

    fn merge(&mut self, other: &Self) {
        for (outcome, count) in other.outcomes.iter() {
            self.outcomes.add(outcome, count);
        }
        // It resizes itself, so this cannot fail.
        let _ = self.latencies.add(&other.latencies);
    }

    /// The latency that `percentile` of 100 did not exceed; `None` without an answer.
    pub(super) fn percentile_ns(&self, percentile: f64) -> Option<u64> {
        let latencies = &self.latencies;
        (!latencies.is_empty()).then(|| latencies.value_at_percentile(percentile))
    }
}

impl Default for Course {
    fn default() -> Self {
        Self::new()
    }
}

impl Course {
    /// Nothing yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            started_ns: 0,
            width_ns: FIRST_WIDTH_NS,
            parts: Vec::new(),
        }
    }

    /// The first part begins at `started_ns` of CLOCK_MONOTONIC.
    pub const fn begin(&mut self, started_ns: u64) {
        self.started_ns = started_ns;
    }

    /// Counts a row, in any order.
    pub fn add(&mut self, row: &Row) {
        if row.is_warm_up() {
            return;
        }
        let since_ns = row.end_ns.saturating_sub(self.started_ns);
        while since_ns / self.width_ns >= PARTS_MAX as u64 {
            self.coarsen();
        }
        let place = (since_ns / self.width_ns) as usize;
        if place >= self.parts.len() {
            self.parts.resize_with(place + 1, Part::new);
        }
        let part = &mut self.parts[place];
        part.outcomes.add(row.outcome, 1);
        if row.outcome.is_answered() {
            // Only beyond 2^64 ns.
            let _ = (part.latencies).record(row.last_byte_ns.saturating_sub(row.intended_ns));
        }
    }

    /// Makes one part of each two.
    pub(super) fn coarsen(&mut self) {
        self.width_ns *= 2;
        let mut pairs = std::mem::take(&mut self.parts).into_iter();
        while let Some(mut part) = pairs.next() {
            if let Some(second) = pairs.next() {
                part.merge(&second);
            }
            self.parts.push(part);
        }
    }

    /// Length of a part in seconds.
    pub(super) fn width_s(&self) -> f64 {
        self.width_ns as f64 / 1e9
    }

    /// The parts of a run of this length, each with its begin and end in seconds. The last
    /// one ends with the run; one of less than half the length joins the one before.
    pub(super) fn parts(&self, length_s: f64) -> Vec<(f64, f64, Part)> {
        let mut parts: Vec<(f64, f64, Part)> = (0..)
            .zip(&self.parts)
            .map(|(index, part)| {
                let begin_s = f64::from(index) * self.width_s();
                (begin_s, begin_s + self.width_s(), part.clone())
            })
            .collect();
        let is_short = parts
            .last()
            .is_some_and(|(begin_s, _, _)| length_s - begin_s < self.width_s() / 2.0);
        if is_short
            && parts.len() > 1
            && let Some((_, _, last)) = parts.pop()
            && let Some((_, _, before)) = parts.last_mut()
        {
            before.merge(&last);
        }
        if let Some((begin_s, end_s, _)) = parts.last_mut() {
            *end_s = length_s.max(*begin_s + 1e-9);
        }
        parts
    }

    /// How many parts there are.
    pub(super) const fn len(&self) -> usize {
        self.parts.len()
    }
}

/// A [`Course`] that a run fills and that can be taken when it is over.
#[derive(Debug, Clone, Default)]
pub struct SharedCourse(Arc<Mutex<Course>>);

impl SharedCourse {
    /// What was gathered; nothing is left.
    #[must_use]
    pub fn take(&self) -> Course {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl RowSink for SharedCourse {
    fn begin(&mut self, started_ns: u64) -> io::Result<()> {
        let mut course = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        course.begin(started_ns);
        Ok(())
    }

    fn rows(&mut self, rows: &[Row]) -> io::Result<()> {
        let mut course = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rows.iter().for_each(|row| course.add(row));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Outcome;

    fn row(end_ms: u64) -> Row {
        Row {
            outcome: Outcome::Ok,
            intended_ns: 1,
            last_byte_ns: 3_000_001,
            end_ns: 5_000_000_000 + end_ms * 1_000_000,
            ..Row::EMPTY
        }
    }

    fn course(ends_ms: impl Iterator<Item = u64>) -> Course {
        let mut course = Course::new();
        course.begin(5_000_000_000);
        ends_ms.for_each(|end_ms| course.add(&row(end_ms)));
        course
    }

    fn counts(course: &Course, length_s: f64) -> Vec<u64> {
        let parts = course.parts(length_s);
        let of = |(_, _, part): &(f64, f64, Part)| part.outcomes.get(Outcome::Ok);
        parts.iter().map(of).collect()
    }

    #[test]
    fn rows_fall_into_the_parts_in_which_they_end() {
        let course = course([20, 99, 100, 301, 350].into_iter());
        assert_eq!(counts(&course, 0.36), [2, 1, 0, 2]);
        let parts = course.parts(0.36);
        assert_eq!(parts[3].1, 0.36);
        let median_ns = parts[0].2.percentile_ns(50.0).expect("answers");
        assert!(median_ns.abs_diff(3_000_000) <= 30_000, "{median_ns}");
        assert_eq!(parts[2].2.percentile_ns(50.0), None);
    }

    #[test]
    fn a_short_last_part_joins_the_one_before() {
        let course = course([20, 150, 201].into_iter());
        assert_eq!(counts(&course, 0.21), [1, 2]);
        assert_eq!(course.parts(0.21)[1].1, 0.21);
    }

    #[test]
    fn a_long_run_has_coarser_parts_and_loses_nothing() {
        // Out of order, as several threads hand them over.
        let ends_ms = (0..20_000).map(|i| (i * 7919) % 20_000 * 50);
        let course = course(ends_ms);
        assert!(course.len() <= PARTS_MAX);
        assert_eq!(course.width_s(), 6.4);
        assert_eq!(counts(&course, 1000.0).iter().sum::<u64>(), 20_000);
        assert_eq!(counts(&course, 1000.0)[0], 128);
    }
}
