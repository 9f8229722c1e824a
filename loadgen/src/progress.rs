//! How far a run is, for another thread to look at.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters that the load threads bring up to date about ten times a second.
#[derive(Debug, Default)]
pub struct Progress {
    completed: AtomicU64,
    failed: AtomicU64,
}

impl Progress {
    /// Both counters at zero.
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

    pub(crate) fn add(&self, completed: u64, failed: u64) {
        self.completed.fetch_add(completed, Ordering::Relaxed);
        self.failed.fetch_add(failed, Ordering::Relaxed);
    }
}
