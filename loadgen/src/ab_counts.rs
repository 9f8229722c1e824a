//! What ab 2.4 would have counted, told from the rows.
//!
//! ab reads HTTP by rules of its own: the close of a connection ends an answer, whatever
//! was announced; the first answer's length is the right one; one event can be counted
//! in several places. The rules here are those of ab 2.4's behaviour, checked against ab
//! itself in `tests/ab_counts.rs`.
//!
//! What rows do not tell is assumed: that the server would have answered ab's HTTP/1.0
//! request with the same bytes, that each answer came in one piece, and that chunk
//! framing and bytes after the end, which ab takes for parts of the body, are as long in
//! each answer.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use crate::{Outcome, Row, RowSink};

/// Requests that ab sets itself when it gets a time limit.
const REQUESTS_MAX: u64 = 50_000;

/// Longest head that ab finds the end of, in bytes.
const HEAD_MAX_BYTES: u32 = 8191;

/// After more failures than these, some errors end ab's run.
const FAILURES_MAX: u64 = 10;

/// The flags of ab that its counts depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AbRules {
    /// `-n`; with a time limit alone, ab takes 50000.
    pub requests: Option<u64>,
    /// `-k`.
    pub keep_alive: bool,
    /// `-r`: an error of receiving does not end the run.
    pub goes_on_after_errors: bool,
    /// `-l`: the length of answers may vary.
    pub length_may_vary: bool,
}

/// What would have ended ab's run early, without any figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AbEnd {
    /// An error of receiving, without `-r`: the system's error number.
    Receive(u16),
    /// Nothing happened on any connection for as long as `-s` says.
    Timeout,
    /// More than ten failures of a kind that counts towards ab's limit.
    TenFailures,
}

/// ab's figures, and how many of them have which reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AbCounts {
    /// "Complete requests".
    pub complete: u64,
    /// "Failed requests": the sum of the next four, which are not disjoint.
    pub failed: u64,
    /// "Connect".
    pub connect: u64,
    /// "Receive".
    pub receive: u64,
    /// "Length".
    pub length: u64,
    /// "Exceptions".
    pub exceptions: u64,
    /// "Write errors".
    pub write_errors: u64,
    /// "Non-2xx responses".
    pub non2xx: u64,
    /// "Keep-Alive requests".
    pub keep_alive_requests: u64,
    /// "Document Length", in bytes.
    pub document_bytes: u64,
    /// What would have ended the run before its time.
    pub ended_by: Option<AbEnd>,
    /// Complete for ab without a complete answer: closed before or inside one.
    pub complete_closed: u64,
    /// Complete for ab without a complete answer: a stale keep-alive connection.
    pub complete_stale: u64,
    /// Complete for ab without a complete answer: an error of the connection.
    pub complete_errors: u64,
    /// Complete answers with another length than the first.
    pub length_of_answers: u64,
    /// Non-2xx for ab: status 3xx.
    pub redirects: u64,
    /// Answers whose head is too long for ab.
    pub heads_too_long: u64,
    /// Requests that timed out while others went on: ab would have waited on.
    pub waited_on: u64,
    /// Malformed answers: what ab makes of them depends on bytes that were not read.
    pub untold: u64,
}

/// Counts row by row.
#[derive(Debug, Clone)]
pub struct AbFold {
    rules: AbRules,
    counts: AbCounts,
    /// Answers that ab takes for good, which decide when the document's length is learnt.
    good: u64,
    /// When the last attempt ended that did not time out.
    last_end_ns: u64,
    /// The last refusal was the first of a pair that ab meets in one go.
    refused_once: bool,
}

impl AbFold {
    /// Nothing counted yet.
    #[must_use]
    pub fn new(rules: AbRules) -> Self {
        Self {
            rules,
            counts: AbCounts::default(),
            good: 0,
            last_end_ns: 0,
            refused_once: false,
        }
    }

    /// What was counted.
    #[must_use]
    pub fn counts(&self) -> AbCounts {
        self.counts
    }

    /// Whether ab's run is over.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.counts.ended_by.is_some() || self.counts.complete >= self.requests()
    }

    /// Counts the next row, in the order of their ends.
    pub fn row(&mut self, row: &Row) {
        if self.is_over() || row.is_warm_up() {
            return;
        }
        self.outcome(row);
        if row.outcome != Outcome::Timeout {
            self.last_end_ns = self.last_end_ns.max(row.end_ns);
        }
    }

    fn requests(&self) -> u64 {
        self.rules.requests.unwrap_or(REQUESTS_MAX)
    }

    fn outcome(&mut self, row: &Row) {
        match row.outcome {
            _ if row.header_bytes > HEAD_MAX_BYTES => self.head_too_long(),
            Outcome::Ok | Outcome::Non2xx | Outcome::WrongBody => {
                if self.rules.keep_alive && row.is_kept() {
                    self.counts.keep_alive_requests += 1;
                }
                self.head(row);
                self.ended(row);
            }
            // Any close ends an answer.
            Outcome::ShortBody | Outcome::ClosedEarly => {
                self.head(row);
                self.ended(row);
            }
            Outcome::StaleKeepAlive => match i32::from(row.errno) {
                0 => self.ended(row),
                libc::EPIPE => {
                    self.counts.write_errors += 1;
                    self.close(row);
                }
                _ => self.receive_error(row),
            },
            Outcome::ResetConnecting | Outcome::ResetBeforeFirstByte | Outcome::ResetInBody => {
                self.head(row);
                self.receive_error(row);
            }
            Outcome::Refused => self.refused(row),
            Outcome::ConnectFailed if i32::from(row.errno) == libc::EHOSTUNREACH => {
                self.receive_error(row);
            }
            Outcome::ConnectFailed => {
                if self.fail_of_ten() {
                    self.counts.connect += 1;
                }
            }
            // The kernel gave up: an error as any other.
            Outcome::Timeout if i32::from(row.errno) == libc::ETIMEDOUT => self.receive_error(row),
            Outcome::Timeout if self.last_end_ns <= row.start_ns => {
                self.counts.ended_by = Some(AbEnd::Timeout);
            }
            Outcome::Timeout => self.counts.waited_on += 1,
            Outcome::Malformed => self.counts.untold += 1,
            Outcome::Aborted => {}
        }
    }

    /// A head was read whole.
    fn head(&mut self, row: &Row) {
        if row.status != 0 && row.status / 100 != 2 {
            self.counts.non2xx += 1;
            self.counts.redirects += u64::from(row.status / 100 == 3);
        }
    }

    /// An answer that ab takes for good.
    fn ended(&mut self, row: &Row) {
        self.good += 1;
        self.close(row);
    }

    /// The end of a request, good or not.
    fn close(&mut self, row: &Row) {
        let answered = row.outcome.is_answered();
        if self.good == 1 {
            self.counts.document_bytes = row.body_bytes;
        } else if row.body_bytes != self.counts.document_bytes && !self.rules.length_may_vary {
            self.counts.failed += 1;
            self.counts.length += 1;
            self.counts.length_of_answers += u64::from(answered);
        }
        self.counts.complete += 1;
        let counts = &mut self.counts;
        let reason = match row.outcome {
            _ if answered => return,
            Outcome::ShortBody | Outcome::ClosedEarly => &mut counts.complete_closed,
            Outcome::StaleKeepAlive => &mut counts.complete_stale,
            _ => &mut counts.complete_errors,
        };
        *reason += 1;
    }

    /// An error of receiving, which the poll reports once more.
    fn receive_error(&mut self, row: &Row) {
        self.receive_error_alone(row);
        if self.counts.ended_by.is_none() {
            self.counts.failed += 1;
            self.counts.exceptions += 1;
        }
    }

    fn receive_error_alone(&mut self, row: &Row) {
        self.counts.receive += 1;
        if !self.rules.goes_on_after_errors {
            self.counts.ended_by = Some(AbEnd::Receive(row.errno));
            return;
        }
        self.counts.failed += 1;
        self.close(row);
    }

    /// A refused connection. On one machine the refusal of the next one is there already
    /// when ab has counted the first, and is counted in the same go, without an exception.
    fn refused(&mut self, row: &Row) {
        let second = std::mem::take(&mut self.refused_once);
        if second {
            self.receive_error_alone(row);
        } else {
            self.receive_error(row);
            self.refused_once = row.remote().ip().is_loopback();
        }
    }

    fn head_too_long(&mut self) {
        self.counts.non2xx += 1;
        if self.fail_of_ten() {
            self.counts.heads_too_long += 1;
        }
    }

    /// A failure of the kinds that may happen eleven times; whether the run goes on.
    fn fail_of_ten(&mut self) -> bool {
        let goes_on = self.counts.failed <= FAILURES_MAX;
        self.counts.failed += 1;
        if !goes_on {
            self.counts.ended_by = Some(AbEnd::TenFailures);
        }
        goes_on
    }
}

/// A sink for the rows of a run, whose counts can be read after it.
#[derive(Debug, Clone)]
pub struct AbCounter(Arc<Mutex<AbFold>>);

impl AbCounter {
    /// Nothing counted yet. A clone counts into the same figures.
    #[must_use]
    pub fn new(rules: AbRules) -> Self {
        Self(Arc::new(Mutex::new(AbFold::new(rules))))
    }

    /// What was counted.
    #[must_use]
    pub fn counts(&self) -> AbCounts {
        let fold = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        fold.counts()
    }
}

impl RowSink for AbCounter {
    fn rows(&mut self, rows: &[Row]) -> io::Result<()> {
        let mut fold = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for row in rows {
            fold.row(row);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
