//! What was measured, and what follows from it.

use serde::{Deserialize, Serialize};

use super::{Case, Client, Cost, Said, most::MostResult};
use crate::{
    overhead::{Goal, Verdict},
    statistics::{Interval, Spread},
};

/// One client's load.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Half {
    /// CPU time of the client's process, nanoseconds.
    pub cpu_ns: u64,
    /// From its start to its end, nanoseconds.
    pub wall_ns: u64,
    /// Requests that the server counted.
    pub requests: u64,
    /// Bytes of the large document that the server sent.
    pub large_bytes: u64,
    /// How unevenly the requests for the timed document came: variance of their number in 2 ms,
    /// divided by its mean; 1 for arrivals by chance.
    pub burstiness: Option<f64>,
    /// The client's own count; `None` if its output was not understood.
    pub said: Option<Said>,
    /// The most memory of the client that was resident.
    pub peak_rss_bytes: u64,
    /// The share of the server's and the client's CPU that the rest of the machine took, 0 to 1.
    /// The kernel's work for the network that no process pays for is among it.
    pub others_cpu_share: f64,
}

impl Half {
    /// The cost in the unit of `cost`; `None` if nothing was served.
    #[must_use]
    pub fn cost(&self, cost: Cost) -> Option<f64> {
        let per = |count: u64| (count > 0).then(|| self.cpu_ns as f64 / count as f64);
        match cost {
            Cost::PerRequest => per(self.requests).map(|ns| ns / 1e3),
            // Nanoseconds for a byte are seconds for 10^9.
            Cost::PerGigabyte => per(self.large_bytes),
        }
    }
}

/// Length of the windows in which arrivals are counted, ms.
const WINDOW_MS: u64 = 2;

/// Variance of the number of arrivals in 2 ms, divided by its mean: 0 if all windows have as many,
/// 1 for arrivals by chance (Poisson), n where they always come n at a time. `None` for fewer than
/// two windows.
#[must_use]
pub fn burstiness(times_ms: &[u64]) -> Option<f64> {
    let (&first, &last) = (times_ms.iter().min()?, times_ms.iter().max()?);
    let windows = usize::try_from((last - first) / WINDOW_MS).ok()?;
    if windows < 2 {
        return None;
    }
    // The last one is not a whole one.
    let mut counts = vec![0_u32; windows];
    for time_ms in times_ms {
        let window = (time_ms - first) / WINDOW_MS;
        if let Some(count) = usize::try_from(window).ok().and_then(|w| counts.get_mut(w)) {
            *count += 1;
        }
    }
    let n = windows as f64;
    let mean = counts.iter().map(|&count| f64::from(count)).sum::<f64>() / n;
    let squares = counts
        .iter()
        .map(|&count| (f64::from(count) - mean).powi(2));
    (mean > 0.0).then(|| squares.sum::<f64>() / n / mean)
}

/// Two halves, one right after the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Pair {
    /// loadgen's.
    pub ours: Half,
    /// The other client's.
    pub theirs: Half,
    /// Whether loadgen's came first.
    pub ours_first: bool,
}

/// loadgen beside one other client, in one case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// The other client.
    pub client: Client,
    /// What the ratio may be at most.
    pub at_most: Option<f64>,
    /// loadgen's cost divided by the other's: median of the pairs with its 95 % interval.
    pub ratio: Option<Interval>,
    /// Whether the other one kept the rate that was asked for; `None` where there was none.
    pub kept_rate: Option<bool>,
    /// The pairs in the order in which they were made.
    pub pairs: Vec<Pair>,
}

/// How far the requests of a half may be from the rate for it to count as kept.
const RATE_TOLERANCE: f64 = 0.01;

impl Comparison {
    /// Of these pairs, each half of which had so many seconds.
    #[must_use]
    pub fn of(case: &Case, client: Client, at_most: Option<f64>, s: u32, pairs: Vec<Pair>) -> Self {
        let ratio = Interval::of_median(pairs.iter().filter_map(|pair| {
            let (ours, theirs) = (pair.ours.cost(case.cost)?, pair.theirs.cost(case.cost)?);
            (theirs > 0.0).then(|| ours / theirs)
        }));
        let kept_rate = case.load.rate_per_s.and_then(|rate| {
            let due = f64::from(rate) * f64::from(s);
            let share = Spread::of(pairs.iter().map(|pair| pair.theirs.requests as f64 / due))?;
            Some((share.median - 1.0).abs() <= RATE_TOLERANCE)
        });
        Self {
            client,
            at_most,
            ratio,
            kept_rate,
            pairs,
        }
    }

    /// Whether the goal is reached; `None` where there is none, or where the other one did not do
    /// what was asked.
    #[must_use]
    pub fn verdict(&self) -> Option<Verdict> {
        if self.kept_rate == Some(false) {
            return None;
        }
        Some(Goal::AtMost(self.at_most?).judge(self.ratio))
    }

    /// The other client's cost: median and range of its halves.
    #[must_use]
    pub fn their_cost(&self, cost: Cost) -> Option<Spread> {
        Spread::of(self.pairs.iter().filter_map(|pair| pair.theirs.cost(cost)))
    }

    /// How unevenly loadgen's and the other's requests came: the medians. `None` where the times
    /// were not noted.
    #[must_use]
    pub fn burstiness(&self) -> Option<[f64; 2]> {
        let of = |half: fn(&Pair) -> &Half| {
            let halves = self.pairs.iter().filter_map(|pair| half(pair).burstiness);
            Spread::of(halves).map(|spread| spread.median)
        };
        Some([of(|pair| &pair.ours)?, of(|pair| &pair.theirs)?])
    }

    /// What the rest of the machine took meanwhile: median and range of the halves' shares.
    #[must_use]
    pub fn others(&self) -> Option<Spread> {
        let halves = self.pairs.iter().flat_map(|pair| [pair.ours, pair.theirs]);
        Spread::of(halves.map(|half| half.others_cpu_share))
    }
}

/// A case with all its comparisons.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CaseResult {
    /// Its name.
    pub name: String,
    /// Its name in tables.
    pub title: String,
    /// What is counted.
    pub cost: Cost,
    /// loadgen, as it was used.
    pub ours: Client,
    /// What its cost may be at most.
    pub cost_at_most: Option<f64>,
    /// The requests per second that were asked for.
    pub rate_per_s: Option<u32>,
    /// What it was compared with.
    pub comparisons: Vec<Comparison>,
}

impl CaseResult {
    /// loadgen's halves of all pairs.
    pub fn our_halves(&self) -> impl Iterator<Item = &Half> {
        let pairs = self.comparisons.iter().flat_map(|with| &with.pairs);
        pairs.map(|pair| &pair.ours)
    }

    /// loadgen's cost over all its halves.
    #[must_use]
    pub fn our_cost(&self) -> Option<Interval> {
        Interval::of_median(self.our_halves().filter_map(|half| half.cost(self.cost)))
    }

    /// Whether the goal for the cost itself is reached; `None` where there is none.
    #[must_use]
    pub fn verdict(&self) -> Option<Verdict> {
        Some(Goal::AtMost(self.cost_at_most?).judge(self.our_cost()))
    }
}

/// The memory of a client that has run for so long.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct MemoryResult {
    /// The client.
    pub client: Client,
    /// How long, seconds.
    pub seconds: u32,
    /// Requests that the server counted.
    pub requests: u64,
    /// The most that was resident.
    pub peak_rss_bytes: u64,
}

/// What loadgen may have resident with [`MEMORY_CONNECTIONS`], however long it runs.
pub const MEMORY_AT_MOST_BYTES: u64 = 12 << 20;
/// Connections with which memory is looked at.
pub const MEMORY_CONNECTIONS: u32 = 1000;

/// A whole measurement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClientResults {
    /// Format of the file.
    pub format: u32,
    /// Version of the observer.
    pub observer_version: String,
    /// Kernel release.
    pub kernel: String,
    /// The processor, as it names itself.
    pub processor: String,
    /// CPUs that may be used.
    pub cpus: usize,
    /// The server's.
    pub server_cpu: usize,
    /// The clients'.
    pub client_cpu: usize,
    /// Length of each half, seconds.
    pub seconds: u32,
    /// Names and versions of the programs.
    pub programs: Vec<String>,
    /// What was left out, and why.
    pub left_out: Vec<String>,
    /// The comparisons.
    pub cases: Vec<CaseResult>,
    /// The memory of the clients.
    pub memory: Vec<MemoryResult>,
    /// The most connections at once.
    pub most: Option<MostResult>,
}

impl ClientResults {
    /// loadgen's memory, shortest run first.
    pub fn our_memory(&self) -> impl Iterator<Item = &MemoryResult> {
        let ours = |result: &&MemoryResult| result.client == Client::LOADGEN;
        self.memory.iter().filter(ours)
    }

    /// Whether the goal for memory is reached; `None` if it was not measured.
    #[must_use]
    pub fn memory_verdict(&self) -> Option<Verdict> {
        let most = self
            .our_memory()
            .map(|result| result.peak_rss_bytes)
            .max()?;
        Some(if most <= MEMORY_AT_MOST_BYTES {
            Verdict::Reached
        } else {
            Verdict::NotReached
        })
    }

    /// All verdicts on goals.
    #[must_use]
    pub fn verdicts(&self) -> Vec<Verdict> {
        let mut verdicts: Vec<Verdict> = self
            .cases
            .iter()
            .flat_map(|case| {
                let ratios = case.comparisons.iter().filter_map(Comparison::verdict);
                case.verdict().into_iter().chain(ratios)
            })
            .collect();
        verdicts.extend(self.memory_verdict());
        verdicts.extend(self.most.as_ref().map(MostResult::verdict));
        verdicts
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::peers::CASES;

    pub(in crate::peers) fn half(cpu_ns: u64, requests: u64) -> Half {
        Half {
            cpu_ns,
            wall_ns: 2_000_000_000,
            requests,
            large_bytes: requests * 10_000,
            burstiness: None,
            said: Some(Said {
                requests,
                failed: 0,
            }),
            peak_rss_bytes: 3 << 20,
            others_cpu_share: 0.25,
        }
    }

    /// Pairs in which loadgen costs `ratio` times what the other does.
    pub(in crate::peers) fn pairs(ratio: f64, count: usize) -> Vec<Pair> {
        let pair = Pair {
            ours: half((1e9 * ratio) as u64, 100_000),
            theirs: half(1_000_000_000, 100_000),
            ours_first: true,
        };
        vec![pair; count]
    }

    fn case(name: &str) -> Case {
        *CASES.iter().find(|case| case.name == name).unwrap()
    }

    #[test]
    fn costs_are_in_microseconds_and_in_seconds_for_a_gigabyte() {
        let half = half(2_000_000_000, 100_000);
        assert_eq!(half.cost(Cost::PerRequest), Some(20.0));
        assert_eq!(half.cost(Cost::PerGigabyte), Some(2.0));
        assert_eq!(Half::default().cost(Cost::PerRequest), None);
    }

    #[test]
    fn a_goal_is_reached_if_the_whole_interval_is_within() {
        let verdict = |ratio, count| {
            let pairs = pairs(ratio, count);
            let with = Comparison::of(&case("keep-alive-64"), Client::Wrk, Some(0.8), 2, pairs);
            with.verdict().unwrap()
        };
        assert_eq!(verdict(0.79, 7), Verdict::Reached);
        assert_eq!(verdict(0.81, 7), Verdict::NotReached);
        // Too few pairs tell nothing.
        assert_eq!(verdict(0.5, 5), Verdict::Undecided);
    }

    #[test]
    fn burstiness_tells_an_even_stream_from_bursts() {
        let even: Vec<u64> = (0..1000).map(|i| 5000 + i / 5).collect();
        assert!(burstiness(&even).unwrap() < 0.1);
        // Fifty at once, each 10 ms: a window of five has them all.
        let bursts: Vec<u64> = (0..1000).map(|i| 5000 + i / 50 * 10).collect();
        assert!((burstiness(&bursts).unwrap() - 40.0).abs() < 1.0);
        assert_eq!(burstiness(&[7, 7, 8]), None);
        assert_eq!(burstiness(&[]), None);
    }

    #[test]
    fn a_peer_that_does_not_keep_the_rate_decides_nothing() {
        let at_rate = |requests| {
            let mut pairs = pairs(0.5, 7);
            for pair in &mut pairs {
                pair.theirs.requests = requests;
            }
            Comparison::of(&case("rate"), Client::Hey, Some(1.0), 2, pairs)
        };
        assert_eq!(at_rate(9_950).kept_rate, Some(true));
        assert!(at_rate(9_950).verdict().is_some());
        assert_eq!(at_rate(9_000).kept_rate, Some(false));
        assert_eq!(at_rate(9_000).verdict(), None);
        assert_eq!(at_rate(11_000).verdict(), None);
    }
}
