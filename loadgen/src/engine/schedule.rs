//! The times at which the requests of an open loop are due.

use super::Plan;
use crate::pace::{Arrivals, Profile};

/// One thread's part of the schedule, ascending.
pub(super) struct Schedule<'a> {
    rate: &'a Profile,
    arrivals: Arrivals,
    chance: fastrand::Rng,
    origin_ns: u64,
    threads: f64,
    /// Requests of all threads that are due before this thread's next one.
    before: f64,
}

impl<'a> Schedule<'a> {
    pub(super) fn new(arrivals: Arrivals, rate: &'a Profile, plan: &Plan<'_>) -> Self {
        let mut schedule = Self {
            rate,
            arrivals,
            chance: fastrand::Rng::with_seed(!plan.config.seed ^ (u64::from(plan.thread) << 32)),
            origin_ns: plan.origin_ns,
            threads: f64::from(plan.threads),
            before: f64::from(plan.thread),
        };
        if arrivals == Arrivals::Poisson {
            schedule.before = schedule.distance();
        }
        schedule
    }

    /// When the next request is due, CLOCK_MONOTONIC; `None` when the rate stays at 0.
    pub(super) fn next_ns(&mut self) -> Option<u64> {
        let at_s = self.rate.time_of_area(self.before)?;
        self.before += self.distance();
        Some(self.origin_ns.saturating_add((at_s * 1e9) as u64))
    }

    /// Takes all requests that are due by `end_ns` and says how many. Much faster than one by
    /// one: a rate that nobody could keep leaves many.
    pub(super) fn take_until(&mut self, end_ns: u64) -> u64 {
        let until_s = end_ns.saturating_sub(self.origin_ns) as f64 / 1e9;
        let due = self.rate.area_to(until_s);
        let mut count = 0;
        while self.before <= due {
            self.before += self.distance();
            count += 1;
        }
        count
    }

    /// The distance to the thread's next request, in requests of all threads.
    fn distance(&mut self) -> f64 {
        match self.arrivals {
            Arrivals::Constant => self.threads,
            // 1 - x, as the logarithm of 0 is none.
            Arrivals::Poisson => -(1.0 - self.chance.f64()).ln() * self.threads,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Config, Target};

    fn times(arrivals: Arrivals, rate: f64, thread: u16, threads: u16, count: usize) -> Vec<u64> {
        let config = Config::new(Target::parse("http://127.0.0.1/").expect("good"));
        let mut plan = Plan::of_test(&config);
        (plan.thread, plan.threads, plan.origin_ns) = (thread, threads, 1000);
        let rate = Profile::constant(rate);
        let mut schedule = Schedule::new(arrivals, &rate, &plan);
        std::iter::from_fn(|| schedule.next_ns())
            .take(count)
            .collect()
    }

    #[test]
    fn threads_share_an_even_schedule_without_gaps() {
        let mut all: Vec<u64> = (0..3)
            .flat_map(|thread| times(Arrivals::Constant, 1000.0, thread, 3, 10))
            .collect();
        all.sort_unstable();
        let expected: Vec<u64> = (0..30).map(|index| 1000 + index * 1_000_000).collect();
        for (time_ns, expected_ns) in all.iter().zip(&expected) {
            assert!(
                time_ns.abs_diff(*expected_ns) <= 1,
                "{time_ns} {expected_ns}"
            );
        }
    }

    #[test]
    fn independent_arrivals_have_the_rate_and_the_spread_of_chance() {
        let count = 20_000;
        for threads in [1, 4] {
            let times = times(Arrivals::Poisson, 1000.0, threads - 1, threads, count);
            let gaps: Vec<f64> = times
                .windows(2)
                .map(|pair| (pair[1] - pair[0]) as f64)
                .collect();
            let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
            let variance =
                gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
            let expected = 1e6 * f64::from(threads);
            // The mean of 20 000 exponential distances strays by 0.7 %.
            assert!((mean / expected - 1.0).abs() < 0.04, "{mean}");
            assert!((variance.sqrt() / mean - 1.0).abs() < 0.05, "{variance}");
        }
    }

    #[test]
    fn a_rate_that_ends_at_zero_ends_the_schedule() {
        let config = Config::new(Target::parse("http://127.0.0.1/").expect("good"));
        let plan = Plan::of_test(&config);
        let rate = Profile::new(vec![crate::pace::Stage {
            from: 10.0,
            to: 0.0,
            duration: std::time::Duration::from_secs(2),
        }])
        .expect("good");
        let mut schedule = Schedule::new(Arrivals::Constant, &rate, &plan);
        // 10 requests under the triangle; the one at its very end is the eleventh.
        let count = std::iter::from_fn(|| schedule.next_ns()).count();
        assert!((10..=11).contains(&count), "{count}");
    }
}
