//! How far a run is, for another thread to look at.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::Outcome;
use crate::summary::OutcomeCounts;

/// Counters that the load threads bring up to date about ten times a second.
#[derive(Debug, Default)]
pub struct Progress {
    completed: AtomicU64,
    failed: AtomicU64,
    outcomes: [AtomicU64; Outcome::ALL.len()],
}

impl Progress {
    /// All counters at zero.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Requests that have an outcome, failed ones included; without stale attempts
    /// and without those that the end of the run aborted.
    #[must_use]
    pub fn completed(&self) -> u64 {
        self.completed.load(Ordering::Relaxed)
    }

    /// Of these, those that were not answered with a status below 400.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    /// How attempts have ended so far, without those of the warm-up.
    #[must_use]
    pub fn outcomes(&self) -> OutcomeCounts {
        let mut counts = OutcomeCounts::default();
        for (outcome, count) in Outcome::ALL.into_iter().zip(&self.outcomes) {
            counts.add(outcome, count.load(Ordering::Relaxed));
        }
        counts
    }

    pub(crate) fn add_outcomes(&self, counts: &OutcomeCounts) {
        for ((_, count), sum) in counts.iter().zip(&self.outcomes) {
            if count > 0 {
                sum.fetch_add(count, Ordering::Relaxed);
            }
        }
    }

    pub(crate) fn add(&self, completed: u64, failed: u64) {
        self.completed.fetch_add(completed, Ordering::Relaxed);
        self.failed.fetch_add(failed, Ordering::Relaxed);
    }
}
