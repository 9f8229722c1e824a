//! What a run came to.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{EngineKind, Histogram, Outcome};

/// From this share of a CPU on, a load thread counts as a brake on the run.
pub const BUSY_SHARE: f64 = 0.9;

/// How many attempts ended how; serialised as a map by name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "BTreeMap<Outcome, u64>", into = "BTreeMap<Outcome, u64>")]
pub struct OutcomeCounts([u64; Outcome::ALL.len()]);

impl OutcomeCounts {
    /// None of any.
    pub(crate) const ZERO: Self = Self([0; Outcome::ALL.len()]);

    /// Attempts with this outcome.
    #[must_use]
    pub fn get(&self, outcome: Outcome) -> u64 {
        self.0[outcome as usize]
    }

    /// All outcomes with their counts, zeros included.
    pub fn iter(&self) -> impl Iterator<Item = (Outcome, u64)> {
        Outcome::ALL.into_iter().zip(self.0)
    }

    /// Attempts whose outcome fulfils a condition.
    pub fn sum_where(&self, condition: impl Fn(Outcome) -> bool) -> u64 {
        self.iter()
            .filter(|(outcome, _)| condition(*outcome))
            .map(|(_, count)| count)
            .sum()
    }

    /// What has come since an `earlier` state of the same counts; `None` if they are not.
    pub(crate) fn since(&self, earlier: &Self) -> Option<Self> {
        let mut more = Self::default();
        for ((count, earlier), more) in self.0.iter().zip(earlier.0).zip(&mut more.0) {
            *more = count.checked_sub(earlier)?;
        }
        Some(more)
    }

    pub(crate) fn add(&mut self, outcome: Outcome, count: u64) {
        self.0[outcome as usize] += count;
    }
}

impl From<OutcomeCounts> for BTreeMap<Outcome, u64> {
    fn from(counts: OutcomeCounts) -> Self {
        counts.iter().collect()
    }
}

impl From<BTreeMap<Outcome, u64>> for OutcomeCounts {
    fn from(map: BTreeMap<Outcome, u64>) -> Self {
        let mut counts = Self::default();
        for (outcome, count) in map {
            counts.add(outcome, count);
        }
        counts
    }
}

/// Durations of the answered requests ([`Outcome::is_answered`]).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Latencies {
    /// From when the request was due to the last byte. In a closed loop a request is
    /// due when it begins (when its first attempt did, if it was sent again).
    pub total: Histogram,
    /// From the start of the request to the last byte, as a generator measures that
    /// does not see its own lateness. Only in an open loop.
    #[serde(default)]
    pub raw: Histogram,
    /// From when a request was due to its start, of those that found a free slot: the
    /// lateness of the client's own loop. Only in an open loop.
    #[serde(default)]
    pub loop_delay: Histogram,
    /// From when a request was due to its start, of those that had to wait for a free
    /// slot. Only in an open loop.
    #[serde(default)]
    pub slot_wait: Histogram,
    /// From connect to connected, of the requests that opened a connection.
    pub connect: Histogram,
    /// From the request being sent to the first byte of the answer.
    pub first_byte: Histogram,
    /// From the first byte to the last.
    pub body: Histogram,
    /// From the request being sent to the last byte.
    pub processing: Histogram,
    /// From the event loop's wake-up to the first byte being read: the client's own
    /// delay, contained in the others.
    pub client_delay: Histogram,
}

impl Latencies {
    pub(crate) fn merge(&mut self, other: Self) {
        self.total.merge(other.total);
        self.raw.merge(other.raw);
        self.loop_delay.merge(other.loop_delay);
        self.slot_wait.merge(other.slot_wait);
        self.connect.merge(other.connect);
        self.first_byte.merge(other.first_byte);
        self.body.merge(other.body);
        self.processing.merge(other.processing);
        self.client_delay.merge(other.client_delay);
    }
}

/// What one load thread used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThreadSummary {
    /// Its number, as in the rows.
    pub thread: u16,
    /// The CPU it was bound to.
    pub cpu: Option<usize>,
    /// From its first request to its last outcome.
    pub wall_ns: u64,
    /// CPU time it used.
    pub cpu_ns: u64,
    /// Time it was ready to run and waited for a CPU, where the kernel says so.
    pub run_delay_ns: Option<u64>,
    /// Requests it sent; stale attempts not counted.
    pub requests: u64,
    /// How long after it could its first request began: after the begin of the run, in
    /// an open loop after it was due. `None` without any request.
    #[serde(default)]
    pub begin_late_ns: Option<u64>,
}

impl ThreadSummary {
    /// Share of the time in which it used a CPU or waited for one, from 0 to 1.
    #[must_use]
    pub fn busy_share(&self) -> f64 {
        if self.wall_ns == 0 {
            return 0.0;
        }
        let busy_ns = self.cpu_ns + self.run_delay_ns.unwrap_or(0);
        (busy_ns as f64 / self.wall_ns as f64).min(1.0)
    }
}

/// What came of one of several URLs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UrlCounts {
    /// Complete answers, whatever their status.
    pub answered: u64,
    /// Those of them with a status of 400 or above.
    pub non2xx: u64,
    /// Failed attempts.
    pub failed: u64,
    /// Bytes of the bodies of the complete answers.
    pub bytes_body: u64,
}

impl UrlCounts {
    pub(crate) fn add(&mut self, other: Self) {
        for (sum, more) in [
            (&mut self.answered, other.answered),
            (&mut self.non2xx, other.non2xx),
            (&mut self.failed, other.failed),
            (&mut self.bytes_body, other.bytes_body),
        ] {
            *sum = sum.saturating_add(more);
        }
    }
}

/// What became of the rows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowsSummary {
    /// Rows that were made for the sink; 0 without one.
    pub recorded: u64,
    /// Rows that the sink took.
    pub written: u64,
    /// Rows that it did not take.
    pub not_written: u64,
    /// The sink's first error, or why rows are missing.
    pub error: Option<String>,
    /// CPU time of the thread that fed the sink.
    pub sink_cpu_ns: u64,
}

/// The figures of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// When the first request could start, CLOCK_MONOTONIC.
    pub started_ns: u64,
    /// When the last outcome was known, CLOCK_MONOTONIC.
    pub ended_ns: u64,
    /// The time between the two.
    pub wall_ns: u64,
    /// What moved the bytes.
    #[serde(default = "epoll")]
    pub engine: EngineKind,
    /// Requests sent: the sum of all outcomes without the attempts that were followed by
    /// a retry.
    pub requests: u64,
    /// Attempts of the warm-up; they are in no other figure.
    #[serde(default)]
    pub warm_up_attempts: u64,
    /// Requests of an open loop that were due before the end and never began.
    #[serde(default)]
    pub unsent: u64,
    /// How the attempts ended.
    pub outcomes: OutcomeCounts,
    /// Requests that were sent again because of a stale keep-alive connection.
    pub stale_retries: u64,
    /// Complete answers that were followed by bytes nobody asked for. They count as
    /// answered; their connection is closed.
    pub surplus: u64,
    /// Complete answers after which the server kept the connection open.
    pub keep_alive_answers: u64,
    /// Connections that were established.
    pub connections_opened: u64,
    /// All bytes received: heads, bodies, chunk framing, broken answers.
    pub bytes_received: u64,
    /// Bytes of bodies, without framing; of broken answers too.
    pub bytes_body: u64,
    /// All bytes of requests that the kernel accepted.
    pub bytes_sent: u64,
    /// Shortest body of an `Ok` answer.
    pub body_min_bytes: Option<u64>,
    /// Longest body of an `Ok` answer.
    pub body_max_bytes: Option<u64>,
    /// The Server header of the first answer that had one.
    pub server_software: Option<String>,
    /// The first reason why TLS did not come about.
    #[serde(default)]
    pub tls_failure: Option<String>,
    /// Durations of the answered requests.
    pub latencies: Latencies,
    /// The URLs in their order, when there are several.
    #[serde(default)]
    pub urls: Vec<UrlCounts>,
    /// What each load thread used.
    pub threads: Vec<ThreadSummary>,
    /// What became of the rows.
    pub rows: RowsSummary,
    /// The condition that ended the run early, with what was measured then.
    #[serde(default)]
    pub stopped_by: Option<String>,
}

/// What moved the bytes before there was a choice.
const fn epoll() -> EngineKind {
    EngineKind::Epoll
}

impl Summary {
    /// The summary of a run that ended when it began.
    pub(crate) fn empty(started_ns: u64, engine: EngineKind) -> Self {
        Self {
            started_ns,
            ended_ns: started_ns,
            wall_ns: 0,
            engine,
            requests: 0,
            warm_up_attempts: 0,
            unsent: 0,
            outcomes: Default::default(),
            stale_retries: 0,
            surplus: 0,
            keep_alive_answers: 0,
            connections_opened: 0,
            bytes_received: 0,
            bytes_body: 0,
            bytes_sent: 0,
            body_min_bytes: None,
            body_max_bytes: None,
            server_software: None,
            tls_failure: None,
            latencies: Default::default(),
            urls: Vec::new(),
            threads: Vec::new(),
            rows: Default::default(),
            stopped_by: None,
        }
    }

    /// Adds the counts of each URL.
    pub(crate) fn add_urls(&mut self, urls: &[UrlCounts]) {
        let known = self.urls.len().max(urls.len());
        self.urls.resize(known, UrlCounts::default());
        for (sum, more) in self.urls.iter_mut().zip(urls) {
            sum.add(*more);
        }
    }

    /// Requests with a complete answer, whatever its status.
    #[must_use]
    pub fn answered(&self) -> u64 {
        self.outcomes.sum_where(Outcome::is_answered)
    }

    /// Requests that ended without the right answer; aborted ones do not count, stale
    /// ones do if they were not sent again.
    #[must_use]
    pub fn failed(&self) -> u64 {
        let unretried = self.outcomes.get(Outcome::StaleKeepAlive) - self.stale_retries;
        self.outcomes.sum_where(Outcome::is_failure) + unretried
    }

    /// Complete answers per second.
    #[must_use]
    pub fn answers_per_second(&self) -> f64 {
        if self.wall_ns == 0 {
            return 0.0;
        }
        self.answered() as f64 / self.wall_seconds()
    }

    /// Length of the run in seconds.
    #[must_use]
    pub fn wall_seconds(&self) -> f64 {
        self.wall_ns as f64 / 1e9
    }

    /// CPU time of all load threads and of the row writer, in seconds.
    #[must_use]
    pub fn cpu_seconds(&self) -> f64 {
        let threads_ns: u64 = self.threads.iter().map(|thread| thread.cpu_ns).sum();
        (threads_ns + self.rows.sink_cpu_ns) as f64 / 1e9
    }

    /// Share of a CPU that the busiest load thread used or waited for. From
    /// [`BUSY_SHARE`] on, the client was the brake.
    #[must_use]
    pub fn busiest_thread_share(&self) -> f64 {
        self.threads
            .iter()
            .map(ThreadSummary::busy_share)
            .fold(0.0, f64::max)
    }

    /// Whether the client itself was too busy for the figures to be the server's alone.
    #[must_use]
    pub fn client_was_busy(&self) -> bool {
        self.busiest_thread_share() >= BUSY_SHARE
    }
}
