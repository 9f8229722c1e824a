//! Counts by second, of the last of them, and of the whole run.

use std::ops::Range;

use super::scale::{BINS, bin_of, upper_ns};
use crate::summary::OutcomeCounts;
use crate::{Histogram, Outcome, Row};

/// Seconds that are kept.
pub const WINDOW_S: u64 = 120;

/// After this time the rows of a moment have come: they are handed over at the latest
/// after a second, at a tick of the load threads.
pub const ROWS_LATE_NS: u64 = 1_200_000_000;

const NS_PER_S: u64 = 1_000_000_000;

/// What the rows of a run came to so far; its size does not grow.
#[derive(Debug)]
pub struct Model {
    origin_ns: u64,
    /// Second number n is at `n % WINDOW_S`.
    seconds: Vec<Second>,
    outcomes: OutcomeCounts,
    latencies: Histogram,
    last_failure: Option<Failure>,
}

/// What ended in one second of the run.
#[derive(Debug, Clone)]
struct Second {
    /// Which second it is, from 0; `None` while nothing of it was counted.
    number: Option<u64>,
    outcomes: OutcomeCounts,
    latencies: [u32; BINS],
}

impl Second {
    const EMPTY: Self = Self {
        number: None,
        outcomes: OutcomeCounts::ZERO,
        latencies: [0; BINS],
    };
}

/// Counts of some seconds together.
#[derive(Debug, Clone)]
pub struct Stretch {
    /// How many seconds it has.
    pub seconds: u64,
    /// How the attempts that ended in it ended.
    pub outcomes: OutcomeCounts,
    /// Answered requests by the [bin](super::bin_of) of their latency.
    pub latencies: [u64; BINS],
}

/// An attempt that was not answered with a status below 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failure {
    /// When it ended, CLOCK_MONOTONIC.
    pub at_ns: u64,
    /// How.
    pub outcome: Outcome,
    /// Status of the answer, 0 for none.
    pub status: u16,
    /// The system's error number, 0 for none.
    pub errno: u16,
}

impl Model {
    /// Nothing counted yet; seconds count from `origin_ns`, CLOCK_MONOTONIC.
    #[must_use]
    pub fn new(origin_ns: u64) -> Self {
        Self {
            origin_ns,
            seconds: vec![Second::EMPTY; WINDOW_S as usize],
            outcomes: OutcomeCounts::default(),
            latencies: Histogram::new(),
            last_failure: None,
        }
    }

    /// Counts a row. One that ended before the seconds that are kept is in the figures
    /// of the whole run only; one of the warm-up in those of its second only.
    pub fn add(&mut self, row: &Row) {
        let latency_ns = row
            .outcome
            .is_answered()
            .then(|| row.last_byte_ns.saturating_sub(row.intended_ns));
        if !row.is_warm_up() {
            self.outcomes.add(row.outcome, 1);
            if let Some(latency_ns) = latency_ns {
                self.latencies.record(latency_ns);
            }
        }
        if row.outcome.is_failure() || row.outcome == Outcome::Non2xx {
            self.note(row);
        }
        let number = row.end_ns.saturating_sub(self.origin_ns) / NS_PER_S;
        let second = &mut self.seconds[(number % WINDOW_S) as usize];
        if second.number != Some(number) {
            if second.number > Some(number) {
                return;
            }
            *second = Second::EMPTY;
            second.number = Some(number);
        }
        second.outcomes.add(row.outcome, 1);
        if let Some(latency_ns) = latency_ns {
            second.latencies[bin_of(latency_ns)] += 1;
        }
    }

    fn note(&mut self, row: &Row) {
        // Load threads hand over in turn, so that an older one may come later.
        if self
            .last_failure
            .is_none_or(|last| last.at_ns <= row.end_ns)
        {
            self.last_failure = Some(Failure {
                at_ns: row.end_ns,
                outcome: row.outcome,
                status: row.status,
                errno: row.errno,
            });
        }
    }

    /// How all attempts so far ended, without those of the warm-up.
    #[must_use]
    pub fn outcomes(&self) -> &OutcomeCounts {
        &self.outcomes
    }

    /// Latencies of all requests answered so far, without those of the warm-up.
    #[must_use]
    pub fn latencies(&self) -> &Histogram {
        &self.latencies
    }

    /// The last attempt that failed or had an error status.
    #[must_use]
    pub fn last_failure(&self) -> Option<Failure> {
        self.last_failure
    }

    /// The numbers of the seconds that are kept and of which, at `now_ns`, all rows have
    /// come.
    #[must_use]
    pub fn complete(&self, now_ns: u64) -> Range<u64> {
        let end = now_ns.saturating_sub(self.origin_ns + ROWS_LATE_NS) / NS_PER_S;
        end.saturating_sub(WINDOW_S)..end
    }

    /// What ended in these seconds.
    #[must_use]
    pub fn stretch(&self, numbers: Range<u64>) -> Stretch {
        let mut sum = Stretch {
            seconds: numbers.end.saturating_sub(numbers.start),
            outcomes: OutcomeCounts::default(),
            latencies: [0; BINS],
        };
        for number in numbers {
            let second = &self.seconds[(number % WINDOW_S) as usize];
            if second.number != Some(number) {
                continue;
            }
            for (outcome, count) in second.outcomes.iter() {
                sum.outcomes.add(outcome, count);
            }
            for (sum, count) in sum.latencies.iter_mut().zip(second.latencies) {
                *sum += u64::from(count);
            }
        }
        sum
    }
}

impl Stretch {
    /// Complete answers.
    #[must_use]
    pub fn answered(&self) -> u64 {
        self.outcomes.sum_where(Outcome::is_answered)
    }

    /// Attempts that failed or had an error status.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.outcomes
            .sum_where(|outcome| outcome.is_failure() || outcome == Outcome::Non2xx)
    }

    /// Complete answers per second.
    #[must_use]
    pub fn answers_per_second(&self) -> f64 {
        self.answered() as f64 / self.seconds.max(1) as f64
    }

    /// The latency that `percentile` of 100 did not exceed, to within 4.4 %; `None`
    /// without an answer.
    #[must_use]
    pub fn percentile_ns(&self, percentile: f64) -> Option<u64> {
        let rank = (self.answered() as f64 * percentile / 100.0)
            .ceil()
            .max(1.0) as u64;
        let mut up_to = 0;
        let bin = self.latencies.iter().position(|count| {
            up_to += count;
            up_to >= rank
        })?;
        Some(upper_ns(bin))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORIGIN_NS: u64 = 5 * NS_PER_S;

    fn row(outcome: Outcome, end_s: f64, latency_ms: u64) -> Row {
        let end_ns = ORIGIN_NS + (end_s * 1e9) as u64;
        Row {
            outcome,
            end_ns,
            last_byte_ns: end_ns,
            intended_ns: end_ns - latency_ms * 1_000_000,
            ..Row::EMPTY
        }
    }

    fn within(ns: Option<u64>, expected_ms: f64) -> bool {
        let ms = ns.expect("some") as f64 / 1e6;
        (expected_ms..=expected_ms * 1.045).contains(&ms)
    }

    #[test]
    fn rows_are_counted_in_the_second_in_which_they_ended() {
        let mut model = Model::new(ORIGIN_NS);
        for (end_s, latency_ms) in [(0.0, 1), (0.999, 2), (1.0, 3), (3.5, 100)] {
            model.add(&row(Outcome::Ok, end_s, latency_ms));
        }
        let answered: Vec<u64> = (0..4).map(|n| model.stretch(n..n + 1).answered()).collect();
        assert_eq!(answered, [2, 1, 0, 1]);
        let all = model.stretch(0..4);
        assert_eq!((all.answered(), all.answers_per_second()), (4, 1.0));
        assert!(within(all.percentile_ns(50.0), 2.0));
        assert!(within(all.percentile_ns(99.0), 100.0));
        assert_eq!(model.stretch(2..3).percentile_ns(50.0), None);
    }

    #[test]
    fn only_seconds_whose_rows_have_come_are_complete() {
        let model = Model::new(ORIGIN_NS);
        let after = |s: f64| model.complete(ORIGIN_NS + (s * 1e9) as u64);
        assert_eq!(after(0.0), 0..0);
        assert_eq!(after(2.1), 0..0);
        assert_eq!(after(2.3), 0..1);
        assert_eq!(after(500.3), 379..499);
    }

    #[test]
    fn old_seconds_give_way_and_late_rows_do_not_come_back_as_new() {
        let mut model = Model::new(ORIGIN_NS);
        model.add(&row(Outcome::Ok, 1.0, 1));
        model.add(&row(Outcome::Refused, 121.5, 1));
        assert_eq!(model.stretch(1..2).answered(), 0);
        assert_eq!(model.stretch(121..122).failed(), 1);
        model.add(&row(Outcome::Ok, 1.5, 1));
        assert_eq!(model.stretch(121..122).answered(), 0);
        // The whole run has them all.
        assert_eq!(model.outcomes().get(Outcome::Ok), 2);
        assert_eq!(model.latencies().count(), 2);
    }

    #[test]
    fn the_warm_up_is_seen_in_its_seconds_only() {
        let mut model = Model::new(ORIGIN_NS);
        model.add(&Row {
            flags: Row::WARM_UP,
            ..row(Outcome::Ok, 0.5, 1)
        });
        assert_eq!(model.stretch(0..1).answered(), 1);
        assert_eq!(model.outcomes().get(Outcome::Ok), 0);
        assert_eq!(model.latencies().count(), 0);
    }

    #[test]
    fn the_last_failure_is_the_last_by_time() {
        let mut model = Model::new(ORIGIN_NS);
        assert_eq!(model.last_failure(), None);
        model.add(&row(Outcome::Timeout, 3.0, 1));
        model.add(&row(Outcome::Refused, 2.0, 1));
        model.add(&row(Outcome::StaleKeepAlive, 4.0, 1));
        model.add(&row(Outcome::Ok, 5.0, 1));
        let last = model.last_failure().expect("one failed");
        assert_eq!(last.outcome, Outcome::Timeout);
        model.add(&Row {
            status: 503,
            ..row(Outcome::Non2xx, 6.0, 1)
        });
        assert_eq!(model.last_failure().map(|last| last.status), Some(503));
        assert_eq!(model.stretch(0..7).failed(), 3);
    }
}
