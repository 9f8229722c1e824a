//! Counting: from rows to one thread's share of the summary.

use crate::early_end::EarlyEnd;
use crate::sink::RowPort;
use crate::summary::{Latencies, OutcomeCounts, Summary, UrlCounts};
use crate::{Outcome, Progress, Row};

/// How often rows that do not fill a batch are handed over.
const ROWS_INTERVAL_NS: u64 = 1_000_000_000;

/// Counts of one thread; nothing is shared with the others until it ends.
pub(crate) struct Recorder<'a> {
    tally: Tally,
    rows: Option<RowPort>,
    progress: &'a Progress,
    /// Completed and failed since `progress` was told.
    untold: (u64, u64),
    untold_outcomes: OutcomeCounts,
    early_end: Option<&'a EarlyEnd<'a>>,
    rows_handed_over_ns: u64,
}

/// What is counted, mergeable over the threads.
#[derive(Default)]
pub(crate) struct Tally {
    /// Whether requests have a time at which they were due.
    is_open_loop: bool,
    outcomes: OutcomeCounts,
    latencies: Latencies,
    /// Empty when there is only one URL.
    urls: Vec<UrlCounts>,
    retries: u64,
    warm_up: u64,
    bytes_body: u64,
    bytes_sent: u64,
    body_bytes_range: Option<(u64, u64)>,
    /// When the first request began, and when it was due.
    first: Option<(u64, u64)>,
    pub(crate) ended_ns: u64,
    pub(crate) rows_recorded: u64,
    /// Counted by the engine.
    pub(crate) events: EngineCounts,
}

/// What only the engine sees, as it does not stand in any row.
#[derive(Default)]
pub(crate) struct EngineCounts {
    pub(crate) bytes_received: u64,
    pub(crate) connections_opened: u64,
    pub(crate) keep_alive_answers: u64,
    pub(crate) surplus: u64,
    /// Requests of an open loop that were due and never began.
    pub(crate) unsent: u64,
    pub(crate) server_software: Option<String>,
    /// The first reason why TLS did not come about.
    pub(crate) tls_failure: Option<String>,
}

impl<'a> Recorder<'a> {
    pub(crate) fn new(
        rows: Option<RowPort>,
        progress: &'a Progress,
        is_open_loop: bool,
        urls: usize,
    ) -> Self {
        Self {
            tally: Tally {
                is_open_loop,
                urls: match urls {
                    1 => Vec::new(),
                    _ => vec![UrlCounts::default(); urls],
                },
                ..Tally::default()
            },
            rows,
            progress,
            untold: (0, 0),
            untold_outcomes: OutcomeCounts::default(),
            early_end: None,
            rows_handed_over_ns: 0,
        }
    }

    /// From now on, each time that the progress is told, the conditions are looked at.
    pub(crate) fn end_early_by(&mut self, early_end: &'a EarlyEnd<'a>) {
        self.early_end = Some(early_end);
    }

    /// The counts that the engine keeps by itself.
    pub(crate) fn events(&mut self) -> &mut EngineCounts {
        &mut self.tally.events
    }

    /// Takes the row of an attempt whose outcome is known.
    pub(crate) fn record(&mut self, row: &Row) {
        self.tally.count(row);
        if !row.is_warm_up() {
            self.untold_outcomes.add(row.outcome, 1);
        }
        let ended = !matches!(row.outcome, Outcome::StaleKeepAlive | Outcome::Aborted);
        if ended && !row.is_warm_up() {
            self.untold.0 += 1;
            self.untold.1 += u64::from(row.outcome != Outcome::Ok);
        }
        if let Some(rows) = &mut self.rows {
            rows.push(row);
        }
    }

    /// To be called a few times a second.
    pub(crate) fn tick(&mut self, now_ns: u64) {
        let (completed, failed) = std::mem::take(&mut self.untold);
        self.progress.add(completed, failed);
        let outcomes = std::mem::take(&mut self.untold_outcomes);
        self.progress.add_outcomes(&outcomes);
        if let Some(early_end) = self.early_end {
            early_end.look(now_ns);
        }
        if now_ns.saturating_sub(self.rows_handed_over_ns) >= ROWS_INTERVAL_NS {
            self.rows_handed_over_ns = now_ns;
            if let Some(rows) = &mut self.rows {
                rows.hand_over();
            }
        }
    }

    /// Hands over what is left.
    pub(crate) fn finish(mut self) -> Tally {
        self.early_end = None;
        self.tick(0);
        if let Some(rows) = self.rows.take() {
            self.tally.rows_recorded = rows.finish();
        }
        self.tally
    }
}

impl Tally {
    /// Requests that have an outcome of their own.
    pub(crate) fn requests(&self) -> u64 {
        self.outcomes.sum_where(|_| true) - self.retries
    }

    /// How long after it could the first request of a run that began at `origin_ns` did
    /// begin.
    pub(crate) fn begin_late_ns(&self, origin_ns: u64) -> Option<u64> {
        let (start_ns, intended_ns) = self.first?;
        let due_ns = if self.is_open_loop {
            intended_ns
        } else {
            origin_ns
        };
        Some(start_ns.saturating_sub(due_ns))
    }

    fn count(&mut self, row: &Row) {
        if self
            .first
            .is_none_or(|(start_ns, _)| row.start_ns < start_ns)
        {
            self.first = Some((row.start_ns, row.intended_ns));
        }
        if row.is_warm_up() {
            self.warm_up += 1;
            return;
        }
        self.outcomes.add(row.outcome, 1);
        self.retries += u64::from(row.is_retry());
        self.bytes_body += row.body_bytes;
        self.bytes_sent += u64::from(row.request_bytes);
        self.ended_ns = self.ended_ns.max(row.end_ns);
        if let Some(url) = self.urls.get_mut(usize::from(row.url)) {
            let answered = row.outcome.is_answered();
            url.add(UrlCounts {
                answered: u64::from(answered),
                non2xx: u64::from(row.outcome == Outcome::Non2xx),
                failed: u64::from(row.outcome.is_failure()),
                bytes_body: if answered { row.body_bytes } else { 0 },
            });
        }
        if !row.outcome.is_answered() {
            return;
        }
        if row.outcome == Outcome::Ok {
            let (min, max) = self.body_bytes_range.unwrap_or((u64::MAX, 0));
            self.body_bytes_range = Some((min.min(row.body_bytes), max.max(row.body_bytes)));
        }
        let between = |from_ns: u64, to_ns: u64| to_ns.saturating_sub(from_ns);
        let durations = &mut self.latencies;
        durations
            .total
            .record(between(row.intended_ns, row.last_byte_ns));
        if self.is_open_loop {
            let late_ns = between(row.intended_ns, row.start_ns);
            durations
                .raw
                .record(between(row.start_ns, row.last_byte_ns));
            if row.has_waited() {
                durations.slot_wait.record(late_ns);
            } else {
                durations.loop_delay.record(late_ns);
            }
        }
        if !row.is_reused() {
            durations
                .connect
                .record(between(row.connect_start_ns, row.connected_ns));
        }
        durations
            .first_byte
            .record(between(row.sent_ns, row.first_byte_ns));
        durations
            .body
            .record(between(row.first_byte_ns, row.last_byte_ns));
        durations
            .processing
            .record(between(row.sent_ns, row.last_byte_ns));
        durations
            .client_delay
            .record(between(row.loop_wake_ns, row.first_byte_ns));
    }

    /// Adds one thread's counts to the summary of the run.
    pub(crate) fn add_to(self, summary: &mut Summary) {
        summary.requests += self.requests();
        for (outcome, count) in self.outcomes.iter() {
            summary.outcomes.add(outcome, count);
        }
        summary.latencies.merge(self.latencies);
        summary.add_urls(&self.urls);
        summary.stale_retries += self.retries;
        summary.warm_up_attempts += self.warm_up;
        summary.bytes_body += self.bytes_body;
        summary.bytes_sent += self.bytes_sent;
        if let Some((min, max)) = self.body_bytes_range {
            let known_min = summary.body_min_bytes.unwrap_or(min);
            let known_max = summary.body_max_bytes.unwrap_or(max);
            summary.body_min_bytes = Some(known_min.min(min));
            summary.body_max_bytes = Some(known_max.max(max));
        }
        summary.ended_ns = summary.ended_ns.max(self.ended_ns);
        let events = self.events;
        summary.bytes_received += events.bytes_received;
        summary.connections_opened += events.connections_opened;
        summary.keep_alive_answers += events.keep_alive_answers;
        summary.surplus += events.surplus;
        summary.unsent += events.unsent;
        if summary.server_software.is_none() {
            summary.server_software = events.server_software;
        }
        if summary.tls_failure.is_none() {
            summary.tls_failure = events.tls_failure;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(start_ns: u64) -> Row {
        Row {
            outcome: Outcome::Ok,
            status: 200,
            intended_ns: start_ns,
            start_ns,
            connect_start_ns: start_ns,
            connected_ns: start_ns + 100,
            sent_ns: start_ns + 150,
            loop_wake_ns: start_ns + 990,
            first_byte_ns: start_ns + 1000,
            last_byte_ns: start_ns + 1500,
            end_ns: start_ns + 1500,
            body_bytes: 10,
            header_bytes: 20,
            request_bytes: 30,
            ..Row::EMPTY
        }
    }

    #[test]
    fn an_answer_is_counted_in_every_duration() {
        let progress = Progress::new();
        let mut recorder = Recorder::new(None, &progress, false, 1);
        recorder.record(&answered(5000));
        let tally = recorder.finish();
        let expected = [
            (&tally.latencies.total, 1500),
            (&tally.latencies.connect, 100),
            (&tally.latencies.first_byte, 850),
            (&tally.latencies.body, 500),
            (&tally.latencies.processing, 1350),
            (&tally.latencies.client_delay, 10),
        ];
        for (histogram, ns) in expected {
            assert_eq!((histogram.count(), histogram.max_ns()), (1, ns));
        }
        assert_eq!(
            (tally.bytes_body, tally.bytes_sent, tally.ended_ns),
            (10, 30, 6500)
        );
    }

    #[test]
    fn a_reused_connection_adds_no_connect_time() {
        let progress = Progress::new();
        let mut recorder = Recorder::new(None, &progress, false, 1);
        recorder.record(&Row {
            flags: Row::REUSED,
            ..answered(1)
        });
        let tally = recorder.finish();
        assert_eq!(tally.latencies.connect.count(), 0);
        assert_eq!(tally.latencies.total.count(), 1);
    }

    #[test]
    fn stale_and_aborted_attempts_are_no_progress_and_failures_no_latency() {
        let progress = Progress::new();
        let mut recorder = Recorder::new(None, &progress, false, 1);
        for outcome in Outcome::ALL {
            recorder.record(&Row {
                outcome,
                ..answered(1)
            });
        }
        let tally = recorder.finish();
        assert_eq!((progress.completed(), progress.failed()), (12, 11));
        assert_eq!(tally.requests(), 14);
        assert_eq!(tally.latencies.total.count(), 2);
    }
    #[test]
    fn a_retried_request_is_one_request() {
        let progress = Progress::new();
        let mut recorder = Recorder::new(None, &progress, false, 1);
        let stale = Outcome::StaleKeepAlive;
        for (outcome, flags) in [
            (stale, Row::REUSED),
            (Outcome::Ok, Row::RETRIED),
            (stale, 0),
        ] {
            recorder.record(&Row {
                outcome,
                flags,
                ..answered(1)
            });
        }
        // The last one was not sent again: it ended as it is.
        assert_eq!(recorder.finish().requests(), 2);
    }

    #[test]
    fn the_first_requests_lateness_is_told() {
        let progress = Progress::new();
        for (is_open_loop, late_ns) in [(false, 1000), (true, 300)] {
            let mut recorder = Recorder::new(None, &progress, is_open_loop, 1);
            for start_ns in [7000, 5000, 6000] {
                recorder.record(&Row {
                    intended_ns: start_ns - 300,
                    ..answered(start_ns)
                });
            }
            assert_eq!(recorder.finish().begin_late_ns(4000), Some(late_ns));
        }
        let idle = Recorder::new(None, &progress, false, 1);
        assert_eq!(idle.finish().begin_late_ns(4000), None);
    }

    #[test]
    fn what_was_due_while_warming_up_is_in_no_figure() {
        let progress = Progress::new();
        let mut recorder = Recorder::new(None, &progress, true, 1);
        recorder.record(&Row {
            flags: Row::WARM_UP,
            ..answered(1)
        });
        let tally = recorder.finish();
        assert_eq!((tally.requests(), tally.warm_up), (0, 1));
        assert_eq!((tally.latencies.total.count(), tally.bytes_body), (0, 0));
        assert_eq!(progress.completed(), 0);
    }

    #[test]
    fn several_urls_are_counted_apart() {
        let progress = Progress::new();
        let mut summary = Summary::empty(0, crate::EngineKind::Epoll);
        for _ in 0..2 {
            let mut recorder = Recorder::new(None, &progress, false, 2);
            for (url, outcome) in [
                (0, Outcome::Ok),
                (1, Outcome::Non2xx),
                (1, Outcome::ShortBody),
            ] {
                recorder.record(&Row {
                    url,
                    outcome,
                    ..answered(1)
                });
            }
            recorder.finish().add_to(&mut summary);
        }
        let counts = |answered, non2xx, failed| UrlCounts {
            answered,
            non2xx,
            failed,
            bytes_body: 10 * answered,
        };
        assert_eq!(summary.urls, [counts(2, 0, 0), counts(2, 2, 2)]);
    }

    #[test]
    fn an_open_loop_counts_from_the_intended_start_and_tells_whose_delay_it_was() {
        let progress = Progress::new();
        let mut recorder = Recorder::new(None, &progress, true, 1);
        for (flags, late_ns) in [(0, 20), (Row::WAITED, 500)] {
            recorder.record(&Row {
                flags,
                intended_ns: 5000 - late_ns,
                ..answered(5000)
            });
        }
        let latencies = recorder.finish().latencies;
        assert_eq!(
            (latencies.total.min_ns(), latencies.total.max_ns()),
            (1520, 2000)
        );
        assert_eq!(
            (latencies.raw.min_ns(), latencies.raw.max_ns()),
            (1500, 1500)
        );
        assert_eq!(
            (latencies.loop_delay.count(), latencies.loop_delay.max_ns()),
            (1, 20)
        );
        assert_eq!(
            (latencies.slot_wait.count(), latencies.slot_wait.max_ns()),
            (1, 500)
        );
    }
}
