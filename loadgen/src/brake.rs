//! Whether the client itself was the brake, told from its own times.

use std::fmt;

use crate::{Histogram, Summary};

/// From this share of the median latency on, the client's own delay at the 99th percentile
/// is too large a part of the figures. A convention: with it, the delay of one request in
/// a hundred is a fifth of a whole typical latency.
const DELAY_SHARE: f64 = 0.2;

/// With fewer times than this, a 99th percentile is only the longest of them.
const TIMES_MIN: u64 = 100;

/// A way in which the client itself held back the run, or shows in its figures.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Brake {
    /// A load thread used or waited for its CPU most of the time.
    Cpu {
        /// Share of the time, from 0 to 1.
        share: f64,
    },
    /// Answers lay in the socket while the loop was busy with others.
    LateReading {
        /// 99th percentile of the delay.
        p99_ns: u64,
        /// Median latency.
        median_ns: u64,
    },
    /// Requests began later than they were due although there was a free slot.
    LateStart {
        /// 99th percentile of the delay.
        p99_ns: u64,
        /// Median latency.
        median_ns: u64,
    },
}

impl Brake {
    /// All that the summary shows.
    #[must_use]
    pub fn all_of(summary: &Summary) -> Vec<Self> {
        let mut brakes = Vec::new();
        if summary.client_was_busy() {
            let share = summary.busiest_thread_share();
            brakes.push(Self::Cpu { share });
        }
        let latencies = &summary.latencies;
        let median_ns = latencies.total.percentile_ns(50.0);
        let large = |delay: &Histogram| {
            let p99_ns = delay.percentile_ns(99.0);
            let is_large = p99_ns as f64 >= DELAY_SHARE * median_ns as f64;
            (delay.count() >= TIMES_MIN && is_large).then_some(p99_ns)
        };
        if let Some(p99_ns) = large(&latencies.client_delay) {
            brakes.push(Self::LateReading { p99_ns, median_ns });
        }
        if let Some(p99_ns) = large(&latencies.loop_delay) {
            brakes.push(Self::LateStart { p99_ns, median_ns });
        }
        brakes
    }
}

impl fmt::Display for Brake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let us = |ns: u64| ns as f64 / 1e3;
        match *self {
            Self::Cpu { share } => write!(
                f,
                "a load thread used or waited for its CPU {:.0} % of the time: the client was the \
                 brake, the server may be faster. Give it CPUs of its own, or more of them, with \
                 --cpus.",
                share * 100.0
            ),
            Self::LateReading { p99_ns, median_ns } => write!(
                f,
                "1 % of the answers were read {:.0} us or more after the client's loop had woken \
                 for them, with a median latency of {:.0} us: part of the latency is the client's \
                 own. Fewer connections per load thread (--cpus) lessen it.",
                us(p99_ns),
                us(median_ns)
            ),
            Self::LateStart { p99_ns, median_ns } => write!(
                f,
                "1 % of the requests began {:.0} us or more after they were due, though a \
                 connection was free, with a median latency of {:.0} us: part of the latency is \
                 the client's own; the column raw is without it.",
                us(p99_ns),
                us(median_ns)
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::summary::ThreadSummary;

    fn summary(median_ns: u64, count: u64) -> Summary {
        let mut summary = Summary::empty(0, crate::EngineKind::Epoll);
        summary.latencies.total.record_n(median_ns, count);
        summary
    }

    #[test]
    fn a_loop_in_time_is_no_brake() {
        let mut summary = summary(1_000_000, 1000);
        summary.latencies.client_delay.record_n(20_000, 1000);
        summary.latencies.loop_delay.record_n(60_000, 1000);
        assert_eq!(Brake::all_of(&summary), []);
        assert_eq!(
            Brake::all_of(&Summary::empty(0, crate::EngineKind::Epoll)),
            []
        );
    }

    #[test]
    fn a_late_loop_is_named_once_its_delay_is_large_beside_the_latency() {
        let mut late = summary(1_000_000, 1000);
        late.latencies.client_delay.record_n(10_000, 900);
        late.latencies.client_delay.record_n(250_000, 100);
        late.latencies.loop_delay.record_n(300_000, 1000);
        let brakes = Brake::all_of(&late);
        assert!(
            matches!(
                brakes[..],
                [Brake::LateReading { .. }, Brake::LateStart { .. }]
            ),
            "{brakes:?}"
        );
        assert!(brakes[0].to_string().contains("read 250 us or more"));
        // Of few times, one is no percentile.
        let mut few = summary(1_000_000, 50);
        few.latencies.client_delay.record_n(900_000, 50);
        assert_eq!(Brake::all_of(&few), []);
    }

    #[test]
    fn a_busy_thread_is_named_with_its_share() {
        let mut summary = summary(1_000_000, 1000);
        summary.threads.push(ThreadSummary {
            thread: 0,
            cpu: None,
            wall_ns: 100,
            cpu_ns: 80,
            run_delay_ns: Some(15),
            requests: 1000,
            begin_late_ns: None,
        });
        let brakes = Brake::all_of(&summary);
        assert_eq!(brakes, [Brake::Cpu { share: 0.95 }]);
        assert!(brakes[0].to_string().contains("95 % of the time"));
    }
}
