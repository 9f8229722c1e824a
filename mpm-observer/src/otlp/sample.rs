//! Which requests become spans.
//!
//! Of a share, by OpenTelemetry's consistent probability sampling: the last 56 bits of a trace's
//! random number are compared with a threshold, which the spans carry, so that a backend can
//! reckon how many requests a span stands for. Beside that, those slower than nearly all of the
//! last minute, a few a second at most.

use super::Rate;

/// The random bits that are compared.
const RANDOM_BITS: u32 = 56;
/// Slow requests a second, at most: in an incident all are.
const SLOW_PER_S: f64 = 10.0;
/// What slow is compared with, nanoseconds.
const MINUTE_NS: u64 = 60_000_000_000;
/// Requests that a minute must have for its p99 to mean something.
const ENOUGH: u32 = 200;
/// Steps of a bucket's bound within each power of two.
const STEPS: u32 = 8;
const BUCKETS: usize = (64 * STEPS) as usize;

/// Why a request became a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// By its share of all.
    Share,
    /// By the rate.
    Rate,
    /// It took longer than 99 % of the minute before.
    Slow,
}

impl Why {
    /// Its name in the spans.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Share => "share",
            Self::Rate => "rate",
            Self::Slow => "slow",
        }
    }
}

/// Decides for one request after another.
#[derive(Debug)]
pub struct Sampler {
    head: Head,
    slow: Option<Slow>,
}

#[derive(Debug)]
enum Head {
    /// Those whose random bits reach this.
    Share {
        threshold: u64,
    },
    Rate(Bucket),
}

impl Sampler {
    /// One for a rate; with `slow`, slow requests beside it.
    #[must_use]
    pub fn new(rate: Rate, slow: bool) -> Self {
        let head = match rate {
            Rate::Share(share) => {
                let all = (1_u64 << RANDOM_BITS) as f64;
                Head::Share {
                    threshold: ((1.0 - share) * all) as u64,
                }
            }
            Rate::PerSecond(rate) => Head::Rate(Bucket::new(rate)),
        };
        Self {
            head,
            slow: slow.then(Slow::default),
        }
    }

    /// Whether the request becomes a span that ended at `at_ns`, took `length_ns` and has the
    /// random number `trace`.
    pub fn decide(&mut self, trace: u128, at_ns: u64, length_ns: u64) -> Option<Why> {
        let is_slow = self
            .slow
            .as_mut()
            .is_some_and(|slow| slow.count(at_ns, length_ns));
        let by_head = match &mut self.head {
            Head::Share { threshold } => {
                let random = trace as u64 & ((1 << RANDOM_BITS) - 1);
                (random >= *threshold && *threshold < 1 << RANDOM_BITS).then_some(Why::Share)
            }
            Head::Rate(bucket) => bucket.take(at_ns).then_some(Why::Rate),
        };
        by_head.or_else(|| {
            let slow = self.slow.as_mut().filter(|_| is_slow)?;
            slow.room.take(at_ns).then_some(Why::Slow)
        })
    }

    /// The threshold as the state of a trace carries it (`ot=th:…`); `None` with a rate.
    #[must_use]
    pub fn trace_state(&self) -> Option<String> {
        let Head::Share { threshold } = self.head else {
            return None;
        };
        let digits = format!("{threshold:014x}");
        let digits = digits.trim_end_matches('0');
        Some(format!(
            "th:{}",
            if digits.is_empty() { "0" } else { digits }
        ))
    }
}

/// So many a second, and as many at once after a pause.
#[derive(Debug)]
struct Bucket {
    per_s: f64,
    tokens: f64,
    at_ns: u64,
}

impl Bucket {
    fn new(per_s: f64) -> Self {
        Self {
            per_s,
            tokens: per_s.min(1.0),
            at_ns: 0,
        }
    }

    fn take(&mut self, at_ns: u64) -> bool {
        if self.at_ns != 0 {
            let passed_s = at_ns.saturating_sub(self.at_ns) as f64 / 1e9;
            let most = self.per_s.max(1.0);
            self.tokens = (self.tokens + passed_s * self.per_s).min(most);
        }
        // Records of several CPUs are not quite in order.
        self.at_ns = self.at_ns.max(at_ns);
        let has_one = self.tokens >= 1.0;
        if has_one {
            self.tokens -= 1.0;
        }
        has_one
    }
}

/// The lengths of a minute's requests, and the p99 of the minute before.
#[derive(Debug)]
struct Slow {
    counts: Vec<u32>,
    total: u32,
    minute_ends_ns: u64,
    /// `None`: not known yet, or too few requests.
    p99_ns: Option<u64>,
    room: Bucket,
}

impl Default for Slow {
    fn default() -> Self {
        Self {
            counts: vec![0; BUCKETS],
            total: 0,
            minute_ends_ns: 0,
            p99_ns: None,
            room: Bucket::new(SLOW_PER_S),
        }
    }
}

impl Slow {
    /// Counts a request; whether it is slow.
    fn count(&mut self, at_ns: u64, length_ns: u64) -> bool {
        if at_ns >= self.minute_ends_ns {
            self.p99_ns = self.p99();
            self.counts.fill(0);
            self.total = 0;
            self.minute_ends_ns = at_ns + MINUTE_NS;
        }
        self.total = self.total.saturating_add(1);
        if let Some(count) = self.counts.get_mut(bucket_of(length_ns)) {
            *count = count.saturating_add(1);
        }
        self.p99_ns.is_some_and(|p99_ns| length_ns > p99_ns)
    }

    /// The upper bound of the bucket in which the p99 lies.
    fn p99(&self) -> Option<u64> {
        if self.total < ENOUGH {
            return None;
        }
        let wanted = u64::from(self.total) * 99 / 100;
        let mut counted = 0;
        let index = self.counts.iter().position(|&count| {
            counted += u64::from(count);
            counted >= wanted
        })?;
        Some(end_of(index))
    }
}

/// The bucket of a length: eight for each power of two.
fn bucket_of(length_ns: u64) -> usize {
    let length = length_ns.max(u64::from(STEPS));
    let exponent = length.ilog2();
    let step = (length >> (exponent - STEPS.ilog2())) as u32 & (STEPS - 1);
    (exponent * STEPS + step) as usize
}

/// The longest length of a bucket.
fn end_of(index: usize) -> u64 {
    let (exponent, step) = (index as u32 / STEPS, index as u64 % u64::from(STEPS));
    let width = 1_u128 << (exponent - STEPS.ilog2().min(exponent));
    let end = (u128::from(STEPS) + u128::from(step) + 1) * width - 1;
    u64::try_from(end).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers without a pattern, always the same.
    fn random(seed: u64) -> impl Iterator<Item = u128> {
        let mut state = seed;
        std::iter::repeat_with(move || {
            // SplitMix64.
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = state;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            u128::from(z ^ (z >> 31))
        })
    }

    fn taken(rate: Rate, requests: usize, every_ns: u64) -> usize {
        let mut sampler = Sampler::new(rate, false);
        let traces = random(7).take(requests).enumerate();
        traces
            .filter(|(index, trace)| {
                let at_ns = 1 + *index as u64 * every_ns;
                sampler.decide(*trace, at_ns, 1000).is_some()
            })
            .count()
    }

    #[test]
    fn a_share_takes_all_none_or_about_that_share() {
        assert_eq!(taken(Rate::Share(1.0), 1000, 1000), 1000);
        assert_eq!(taken(Rate::Share(0.0), 1000, 1000), 0);
        // Six standard deviations of 2500 of 10,000 are 260.
        let quarter = taken(Rate::Share(0.25), 10_000, 1000);
        assert!(quarter.abs_diff(2500) < 260, "{quarter}");
    }

    #[test]
    fn a_rate_takes_so_many_a_second_whatever_comes() {
        // 10 s of 1000 requests a second, and of 2.
        assert!(taken(Rate::PerSecond(5.0), 10_000, 1_000_000).abs_diff(50) <= 1);
        assert_eq!(taken(Rate::PerSecond(5.0), 20, 500_000_000), 20);
        assert_eq!(taken(Rate::PerSecond(0.0), 1000, 1_000_000), 0);
        assert!(taken(Rate::PerSecond(0.5), 10_000, 1_000_000).abs_diff(5) <= 1);
    }

    #[test]
    fn the_threshold_is_written_as_the_specification_does() {
        let state = |share| Sampler::new(Rate::Share(share), false).trace_state();
        assert_eq!(state(1.0).as_deref(), Some("th:0"));
        assert_eq!(state(0.5).as_deref(), Some("th:8"));
        assert_eq!(state(0.25).as_deref(), Some("th:c"));
        assert_eq!(
            Sampler::new(Rate::PerSecond(1.0), false).trace_state(),
            None
        );
    }

    #[test]
    fn those_slower_than_the_minute_before_are_taken_but_not_all_at_once() {
        let mut sampler = Sampler::new(Rate::Share(0.0), true);
        // The first minute: 1 to 1000 us, evenly.
        for index in 0..1000 {
            let at_ns = 1 + index * MINUTE_NS / 1000;
            assert_eq!(sampler.decide(0, at_ns, (index + 1) * 1000), None);
        }
        let second = 2 + MINUTE_NS;
        // The bucket of the p99 ends within an eighth of it.
        assert_eq!(sampler.decide(0, second, 980_000), None);
        assert_eq!(sampler.decide(0, second, 1_120_000), Some(Why::Slow));
        let burst = (0..100).filter(|_| sampler.decide(0, second, 9_000_000).is_some());
        assert!(burst.count() <= SLOW_PER_S as usize);
    }

    #[test]
    fn after_a_minute_of_few_requests_none_is_slow() {
        let mut sampler = Sampler::new(Rate::Share(0.0), true);
        for index in 0..u64::from(ENOUGH) - 1 {
            assert_eq!(sampler.decide(0, 1 + index, 10), None);
        }
        assert_eq!(sampler.decide(0, 2 + MINUTE_NS, u64::MAX), None);
    }

    #[test]
    fn each_length_lies_in_its_bucket() {
        for length_ns in [
            0,
            1,
            7,
            8,
            9,
            15,
            16,
            1000,
            1023,
            1024,
            123_456_789,
            u64::MAX,
        ] {
            let bucket = bucket_of(length_ns);
            assert!(bucket < BUCKETS);
            assert!(end_of(bucket) >= length_ns, "{length_ns}");
            if length_ns > 8 {
                assert!(end_of(bucket) <= length_ns.saturating_add(length_ns / 8));
            }
        }
    }
}
