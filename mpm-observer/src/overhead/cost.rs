//! What was measured, and what follows from it.

use serde::{Deserialize, Serialize};

use super::Watcher;
use crate::{scenario::Mpm, statistics::Interval};

/// One load, or two slices of one, watched or not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Half {
    /// Requests that were answered.
    pub answered: u64,
    /// Requests that failed.
    pub failed: u64,
    /// Answers per second.
    pub throughput_per_s: f64,
    /// Median of the client's latencies, nanoseconds.
    pub p50_ns: f64,
    /// 99th percentile of the client's latencies, nanoseconds.
    pub p99_ns: f64,
    /// CPU time of httpd's tasks per request, nanoseconds; missing if one ended meanwhile.
    pub server_cpu_ns: Option<f64>,
    /// CPU time of the client's threads per request, nanoseconds. On loopback the arrival of
    /// bytes at the server is the client's work, and so are the programs that see it.
    pub client_cpu_ns: f64,
    /// CPU time of the watcher itself per request, nanoseconds. Between the slices in which it
    /// is on, the observer's collector goes on reading an empty ring buffer and writing.
    pub watcher_cpu_ns: f64,
    /// The share of the CPUs of httpd and client that all other programs took, 0 to 1 (to about a
    /// clock tick). The more, the less the half tells.
    pub others_cpu_share: f64,
}

/// Two halves, one right after the other, or four slices in which they change places.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Pair {
    /// Nobody watched.
    pub off: Half,
    /// The watcher did.
    pub on: Half,
    /// Whether the watched half came first, or had the first and the last of four slices.
    pub on_first: bool,
}

impl Pair {
    /// Watched divided by not watched; `None` if one of them is missing or zero.
    pub(super) fn ratio(&self, figure: fn(&Half) -> Option<f64>) -> Option<f64> {
        let (on, off) = (figure(&self.on)?, figure(&self.off)?);
        (on > 0.0 && off > 0.0).then(|| on / off)
    }
}

/// Median ratios of watched to not watched, with their intervals. `None` where there are fewer
/// than [`Interval::MIN_VALUES`] pairs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Costs {
    /// Of the throughput: below 1 is a cost.
    pub throughput: Option<Interval>,
    /// Of the median latency: above 1 is a cost.
    pub p50: Option<Interval>,
    /// Of the 99th percentile of the latencies.
    pub p99: Option<Interval>,
    /// Of the server's CPU time per request.
    pub server_cpu: Option<Interval>,
    /// Of the client's CPU time per request.
    pub client_cpu: Option<Interval>,
}

impl Costs {
    /// Of these pairs.
    #[must_use]
    pub fn of<'a>(pairs: impl IntoIterator<Item = &'a Pair> + Clone) -> Self {
        let interval = |figure: fn(&Half) -> Option<f64>| {
            let pairs = pairs.clone().into_iter();
            Interval::of_median(pairs.filter_map(|pair| pair.ratio(figure)))
        };
        Self {
            throughput: interval(|half| Some(half.throughput_per_s)),
            p50: interval(|half| Some(half.p50_ns)),
            p99: interval(|half| Some(half.p99_ns)),
            server_cpu: interval(|half| half.server_cpu_ns),
            client_cpu: interval(|half| Some(half.client_cpu_ns)),
        }
    }
}

/// One MPM under one kind of load, with one watcher.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Case {
    /// The MPM.
    pub mpm: Mpm,
    /// Whether connections were kept for further requests.
    pub keep_alive: bool,
    /// Who watched in the one half of each pair.
    pub watcher: Watcher,
    /// What follows from the pairs.
    pub costs: Costs,
    /// The pairs in the order in which they were made.
    pub pairs: Vec<Pair>,
}

/// A whole measurement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Overhead {
    /// Format of the file, that of the recording.
    pub format: u32,
    /// Version of the observer.
    pub observer_version: String,
    /// Kernel release.
    pub kernel: String,
    /// CPUs of httpd.
    pub server_cpus: Vec<usize>,
    /// CPUs of client and watcher.
    pub client_cpus: Vec<usize>,
    /// Connections at once.
    pub connections: u32,
    /// Size of the file that was asked for, bytes.
    pub body_bytes: u64,
    /// Length of each half of a pair with a load of its own for each half, milliseconds.
    pub half_ms: u64,
    /// Length of each of the four slices of a pair within one load, milliseconds; missing if it
    /// was measured before there were slices.
    #[serde(default)]
    pub slice_ms: Option<u64>,
    /// Each MPM, kind of load and watcher that has a pair.
    pub cases: Vec<Case>,
}

/// Whether a goal is reached, as far as an interval tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The whole interval is within the goal.
    Reached,
    /// The whole interval is outside.
    NotReached,
    /// The goal lies within the interval, or there is none.
    Undecided,
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Reached => "reached",
            Self::NotReached => "not reached",
            Self::Undecided => "undecided",
        })
    }
}

/// What the observer may cost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Goal {
    /// The ratio is to be at least this.
    AtLeast(f64),
    /// The ratio is to be at most this.
    AtMost(f64),
}

impl Goal {
    /// At most 1 % of the throughput.
    pub const THROUGHPUT: Self = Self::AtLeast(0.99);
    /// At most 3 % of the 99th percentile.
    pub const P99: Self = Self::AtMost(1.03);

    /// Whether it is reached.
    #[must_use]
    pub fn judge(self, interval: Option<Interval>) -> Verdict {
        let Some(Interval { low, high, .. }) = interval else {
            return Verdict::Undecided;
        };
        let (all, none) = match self {
            Self::AtLeast(limit) => (low >= limit, high < limit),
            Self::AtMost(limit) => (high <= limit, low > limit),
        };
        match (all, none) {
            (true, _) => Verdict::Reached,
            (_, true) => Verdict::NotReached,
            _ => Verdict::Undecided,
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A pair whose watched half has `factor` times the throughput, and the inverse in all else.
    pub(crate) fn pair(factor: f64) -> Pair {
        let half = |factor: f64| Half {
            answered: 1000,
            failed: 0,
            throughput_per_s: 5000.0 * factor,
            p50_ns: 1e6 / factor,
            p99_ns: 4e6 / factor,
            server_cpu_ns: Some(8e4 / factor),
            client_cpu_ns: 2e4 / factor,
            watcher_cpu_ns: 0.0,
            others_cpu_share: 0.25,
        };
        Pair {
            off: half(1.0),
            on: half(factor),
            on_first: false,
        }
    }

    #[test]
    fn costs_are_medians_of_the_pairs_own_ratios() {
        // The machine gets slower all the time; within a pair the watcher takes a tenth.
        let pairs: Vec<Pair> = (0..8)
            .map(|index| {
                let mut pair = pair(0.9);
                let drift = 1.0 / f64::from(index + 1);
                for half in [&mut pair.off, &mut pair.on] {
                    half.throughput_per_s *= drift;
                }
                pair
            })
            .collect();
        let throughput = Costs::of(&pairs).throughput.unwrap();
        assert!((throughput.median - 0.9).abs() < 1e-12, "{throughput:?}");
        assert!((throughput.high - throughput.low).abs() < 1e-12);
        assert_eq!(throughput.n, 8);
    }

    #[test]
    fn a_pair_without_a_figure_counts_for_the_others() {
        let mut pairs = vec![pair(0.9); 7];
        pairs[3].off.server_cpu_ns = None;
        pairs[4].on.p99_ns = 0.0;
        let costs = Costs::of(&pairs);
        assert_eq!(costs.server_cpu.unwrap().n, 6);
        assert_eq!(costs.p99.unwrap().n, 6);
        assert_eq!(costs.throughput.unwrap().n, 7);
    }

    #[test]
    fn a_goal_is_decided_only_by_a_whole_interval() {
        let judge = |goal: Goal, low, high| {
            goal.judge(Some(Interval {
                median: (low + high) / 2.0,
                low,
                high,
                n: 10,
            }))
        };
        assert_eq!(judge(Goal::THROUGHPUT, 0.991, 1.01), Verdict::Reached);
        assert_eq!(judge(Goal::THROUGHPUT, 0.95, 0.98), Verdict::NotReached);
        assert_eq!(judge(Goal::THROUGHPUT, 0.95, 1.0), Verdict::Undecided);
        assert_eq!(judge(Goal::P99, 0.97, 1.02), Verdict::Reached);
        assert_eq!(judge(Goal::P99, 1.04, 1.2), Verdict::NotReached);
        assert_eq!(judge(Goal::P99, 0.9, 1.2), Verdict::Undecided);
        assert_eq!(Goal::P99.judge(None), Verdict::Undecided);
    }
}
