//! Whether the requests of an open loop began when they were due.

use super::RunAnalysis;

/// A rate below this share of the asked one is missed.
const KEPT_SHARE: f64 = 0.98;
/// So many of the requests may have waited for a free connection.
const WAITED_SHARE: f64 = 0.01;

/// The schedule of an open loop, and what the load generator made of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RateKept {
    /// Requests due each second by the schedule.
    pub asked_per_s: f64,
    /// Requests begun each second, from the first to the last; `None` with fewer than two.
    pub reached_per_s: Option<f64>,
    /// Requests that were due and never began.
    pub unsent: u64,
    /// Share of the answered requests that had to wait for a free connection of the client.
    pub waited_share: f64,
}

impl RateKept {
    /// Of a run; `None` of a closed loop, and where the load generator has no summary.
    #[must_use]
    pub fn of(run: &RunAnalysis) -> Option<Self> {
        let open = run.manifest.plan()?.load.open?;
        let summary = &run.manifest.load.as_ref()?.summary;
        let mut begun = 0_u64;
        let (mut first_ns, mut last_ns) = (u64::MAX, 0);
        // A retry keeps the begin of its first attempt.
        for row in run.client.iter().filter(|row| row.measured && !row.retried) {
            begun += 1;
            first_ns = first_ns.min(row.start_ns);
            last_ns = last_ns.max(row.start_ns);
        }
        let seconds = last_ns.saturating_sub(first_ns) as f64 / 1e9;
        let latencies = &summary.latencies;
        Some(Self {
            asked_per_s: open.requests_per_s.into(),
            reached_per_s: (begun > 1 && seconds > 0.0).then(|| (begun - 1) as f64 / seconds),
            unsent: summary.unsent,
            waited_share: latencies.slot_wait.count() as f64
                / latencies.total.count().max(1) as f64,
        })
    }

    /// Whether the load was not what was asked for.
    #[must_use]
    pub fn is_missed(&self) -> bool {
        self.unsent > 0
            || self.waited_share > WAITED_SHARE
            || self
                .reached_per_s
                .is_some_and(|reached| reached < self.asked_per_s * KEPT_SHARE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_missed_by_each_of_its_signs_alone() {
        let kept = RateKept {
            asked_per_s: 100.0,
            reached_per_s: Some(99.0),
            unsent: 0,
            waited_share: 0.005,
        };
        assert!(!kept.is_missed());
        let missed = [
            RateKept {
                reached_per_s: Some(97.0),
                ..kept
            },
            RateKept { unsent: 1, ..kept },
            RateKept {
                waited_share: 0.02,
                ..kept
            },
        ];
        assert!(missed.iter().all(RateKept::is_missed));
    }
}
