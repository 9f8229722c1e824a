//! Conditions that end a run while it goes on.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::condition::LiveCounts;
use crate::{Config, Outcome, Progress};

/// Looks at the progress of a run for its [`stop_if`](Config::stop_if). The load threads
/// do so when they bring the progress up to date.
pub(crate) struct EarlyEnd<'a> {
    config: &'a Config,
    progress: &'a Progress,
    began_ns: OnceLock<u64>,
    met: AtomicBool,
    reason: OnceLock<String>,
}

impl<'a> EarlyEnd<'a> {
    pub(crate) fn new(config: &'a Config, progress: &'a Progress) -> Self {
        Self {
            config,
            progress,
            began_ns: OnceLock::new(),
            met: AtomicBool::new(false),
            reason: OnceLock::new(),
        }
    }

    /// The measured part of the run begins at `began_ns`.
    pub(crate) fn begin(&self, began_ns: u64) {
        let _ = self.began_ns.set(began_ns);
    }

    /// Set when the run is to end.
    pub(crate) const fn met(&self) -> &AtomicBool {
        &self.met
    }

    /// Which condition it was, and what was measured.
    pub(crate) fn into_reason(self) -> Option<String> {
        self.reason.into_inner()
    }

    pub(crate) fn look(&self, now_ns: u64) {
        if self.config.stop_if.is_empty() || self.met.load(Ordering::Relaxed) {
            return;
        }
        let outcomes = self.progress.outcomes();
        // Without retries a stale connection is where its request ends.
        let unretried = match self.config.retry_stale {
            true => 0,
            false => outcomes.get(Outcome::StaleKeepAlive),
        };
        let counts = LiveCounts {
            completed: self.progress.completed() + unretried,
            failed: outcomes.sum_where(Outcome::is_failure) + unretried,
            outcomes,
        };
        let mut conditions = self.config.stop_if.iter();
        if let Some(violation) = conditions.find_map(|condition| condition.check_live(&counts)) {
            let began_ns = self.began_ns.get().copied().unwrap_or(now_ns);
            let after_s = now_ns.saturating_sub(began_ns) as f64 / 1e9;
            // Only the first thread to see it tells.
            let _ = self
                .reason
                .set(format!("{violation}, after {after_s:.1} s"));
            self.met.store(true, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Target;
    use crate::summary::OutcomeCounts;

    #[test]
    fn it_tells_the_first_condition_that_holds_and_no_other() {
        let mut config = Config::new(Target::parse("http://127.0.0.1/").expect("good"));
        config.stop_if = ["timeout>2", "failed>2"]
            .map(|c| c.parse().expect(c))
            .into();
        let progress = Progress::new();
        let early_end = EarlyEnd::new(&config, &progress);
        early_end.begin(1_000_000_000);
        let mut counts = OutcomeCounts::default();
        counts.add(Outcome::Refused, 2);
        progress.add(2, 2);
        progress.add_outcomes(&counts);
        early_end.look(2_000_000_000);
        assert!(!early_end.met().load(Ordering::Relaxed));
        progress.add(2, 2);
        progress.add_outcomes(&counts);
        early_end.look(3_500_000_000);
        assert!(early_end.met().load(Ordering::Relaxed));
        early_end.look(9_000_000_000);
        let reason = early_end.into_reason().expect("told");
        assert_eq!(reason, "failed>2: there were 4 of 4, after 2.5 s");
    }
}
