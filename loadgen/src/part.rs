//! A run shared out over several processes.

use serde::{Deserialize, Serialize};

use crate::{Config, Error};

/// Which of a run's load threads are carried out here, and when they begin.
///
/// The load threads of all parts are numbered through. Requests, connections and the
/// schedule of an open loop are divided by thread, so that the parts of one [`Config`]
/// together do exactly what one process with all the threads would do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Number of the first thread here.
    pub first_thread: u16,
    /// Threads here.
    pub threads: u16,
    /// Threads of all parts together.
    pub threads_in_all: u16,
    /// When to begin, CLOCK_MONOTONIC; `None`: as soon as the threads are ready.
    pub begin_ns: Option<u64>,
}

impl Part {
    /// The whole run, at once, with the threads of the config.
    #[must_use]
    pub fn whole(config: &Config) -> Self {
        let slots = usize::try_from(config.slots()).unwrap_or(usize::MAX);
        let threads = u16::try_from(config.threads.min(slots)).unwrap_or(u16::MAX);
        Self {
            first_thread: 0,
            threads,
            threads_in_all: threads,
            begin_ns: None,
        }
    }

    /// Finds parts that cannot be.
    ///
    /// # Errors
    /// [`Error::BadConfig`] says what is wrong.
    pub fn check(&self, config: &Config) -> Result<(), Error> {
        let bad = |text: &str| Err(Error::BadConfig(text.to_owned()));
        let end = self.first_thread.checked_add(self.threads);
        if self.threads == 0 || end.is_none_or(|end| end > self.threads_in_all) {
            return bad("a part must have at least one of the run's threads, and only of those");
        }
        if u32::from(self.threads_in_all) > config.slots() {
            return bad("there are more load threads than connections or requests");
        }
        Ok(())
    }

    /// What falls to the thread with this index here when `total` is divided by thread:
    /// shares differ by one at most.
    pub(crate) fn share(&self, total: u64, index: usize) -> u64 {
        let threads = u64::from(self.threads_in_all);
        let number = u64::from(self.first_thread) + index as u64;
        total / threads + u64::from(number < total % threads)
    }

    /// What falls to this part.
    pub(crate) fn share_of_all(&self, total: u64) -> u64 {
        (0..usize::from(self.threads))
            .map(|index| self.share(total, index))
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Target;

    fn part(first_thread: u16, threads: u16, threads_in_all: u16) -> Part {
        Part {
            first_thread,
            threads,
            threads_in_all,
            begin_ns: None,
        }
    }

    #[test]
    fn shares_add_up_and_differ_by_one_at_most() {
        for total in [1_u64, 5, 1000, 10_007] {
            for threads in 1..=7 {
                let whole = part(0, threads, threads);
                let shares: Vec<u64> = (0..usize::from(threads))
                    .map(|index| whole.share(total, index))
                    .collect();
                assert_eq!(shares.iter().sum::<u64>(), total);
                assert_eq!(whole.share_of_all(total), total);
                let (min, max) = (shares.iter().min(), shares.iter().max());
                assert!(max.expect("some") - min.expect("some") <= 1);
                let parts = part(0, 1, threads).share_of_all(total)
                    + part(1, threads - 1, threads).share_of_all(total);
                assert_eq!(parts, total);
            }
        }
    }

    #[test]
    fn parts_outside_of_the_run_are_refused() {
        let mut config = Config::new(Target::parse("http://127.0.0.1/").expect("good"));
        config.concurrency = 4;
        for good in [part(0, 4, 4), part(1, 2, 3)] {
            good.check(&config).expect("good");
        }
        for bad in [
            part(0, 0, 4),
            part(3, 2, 4),
            part(u16::MAX, 2, 4),
            part(0, 5, 5),
        ] {
            bad.check(&config).expect_err("must be refused");
        }
    }
}
