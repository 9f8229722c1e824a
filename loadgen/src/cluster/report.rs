//! Who did what, in a run on several machines.

use std::fmt::Write;

use serde::{Deserialize, Serialize};

use super::ClockOffset;

/// The workers of a run, and how well their clocks agree.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FleetReport {
    /// In the order in which they were given.
    pub workers: Vec<WorkerReport>,
    /// The first requests of all threads began at most so far apart, uncertainty of the
    /// clocks included; `None` when nothing began.
    pub start_spread_ns: Option<u64>,
    /// Times in rows are the coordinator's CLOCK_MONOTONIC, wrong by so much at most.
    pub clock_bound_ns: u64,
}

/// What a worker did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkerReport {
    /// Its address, as it was given.
    pub address: String,
    /// Number of its first thread in rows and summary.
    pub first_thread: u16,
    /// Number of its threads.
    pub threads: u16,
    /// Its clock against the coordinator's before the run.
    pub clock: ClockOffset,
    /// Its times are wrong by so much at most, drift during the run included.
    pub clock_bound_ns: u64,
    /// Requests it sent; `None` when its summary is missing, and with it everything it
    /// counted.
    pub requests: Option<u64>,
    /// Rows that came from it.
    pub rows: u64,
    /// Why its part is not complete.
    pub trouble: Option<String>,
}

impl FleetReport {
    /// Whether every worker did its part.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.workers.iter().all(|worker| worker.trouble.is_none())
    }

    /// One line per worker, one about the clocks, and what is missing.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = format!("\nWorkers ({})\n", self.workers.len());
        let width = self.workers.iter().map(|worker| worker.address.len());
        let width = width.max().unwrap_or_default();
        for worker in &self.workers {
            let threads = worker.numbers();
            let requests = match worker.requests {
                Some(requests) => format!("{requests} requests"),
                None => format!("no figures, {} rows", worker.rows),
            };
            let clock = ms(worker.clock_bound_ns);
            // Writing to a String cannot fail.
            let _ = writeln!(
                out,
                "{:>width$}  {threads}  {requests}, clock known to {clock} ms",
                worker.address
            );
        }
        if let Some(spread_ns) = self.start_spread_ns {
            let _ = writeln!(
                out,
                "The first requests of all threads began at most {} ms apart; times are the \
                 coordinator's to within {} ms.",
                ms(spread_ns),
                ms(self.clock_bound_ns)
            );
        }
        for worker in &self.workers {
            if let Some(trouble) = &worker.trouble {
                let _ = writeln!(out, "INCOMPLETE: worker {}: {trouble}", worker.address);
            }
        }
        out
    }
}

impl WorkerReport {
    /// The numbers of its threads, in words.
    fn numbers(&self) -> String {
        match self.threads {
            1 => format!("thread {}", self.first_thread),
            more => {
                let last = self.first_thread.saturating_add(more.saturating_sub(1));
                format!("threads {} to {last}", self.first_thread)
            }
        }
    }
}

fn ms(ns: u64) -> String {
    format!("{:.3}", ns as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker(address: &str, first_thread: u16, requests: Option<u64>) -> WorkerReport {
        WorkerReport {
            address: address.to_owned(),
            first_thread,
            threads: 2,
            clock: ClockOffset {
                worker_ahead_ns: -5,
                bound_ns: 20_000,
            },
            clock_bound_ns: 31_000,
            requests,
            rows: 12,
            trouble: requests.is_none().then(|| "it is gone".to_owned()),
        }
    }

    #[test]
    fn the_text_names_each_worker_and_what_is_missing() {
        let mut report = FleetReport {
            workers: vec![worker("a:1", 0, Some(500)), worker("long:22", 2, None)],
            start_spread_ns: Some(1_234_567),
            clock_bound_ns: 31_000,
        };
        assert!(!report.is_complete());
        assert_eq!(
            report.text(),
            "\nWorkers (2)\n    a:1  threads 0 to 1  500 requests, clock known to 0.031 ms\n\
             long:22  threads 2 to 3  no figures, 12 rows, clock known to 0.031 ms\n\
             The first requests of all threads began at most 1.235 ms apart; times are the \
             coordinator's to within 0.031 ms.\n\
             INCOMPLETE: worker long:22: it is gone\n"
        );
        report.workers.pop();
        report.workers[0].threads = 1;
        assert!(report.text().contains("a:1  thread 0  500"));
        assert!(report.is_complete() && !report.text().contains("INCOMPLETE"));
    }
}
