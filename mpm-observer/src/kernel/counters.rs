//! What the programs counted, above all what was lost.

use mpm_observer_common::{Counter, FailureSource, RequestFlags, TraceKind, TraceSource};
use serde::{Deserialize, Serialize};

use super::Record;

/// Runs of a program that the kernel skipped because the same program was already running on that
/// CPU.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missed {
    /// The program's name.
    pub program: String,
    /// How often.
    pub runs: u64,
}

/// What one program sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Book {
    /// The program's name.
    pub program: String,
    /// What: `requests`, `tasks`, `failures` or `events` of a trace.
    pub what: String,
    /// Records that it made.
    pub sent: u64,
    /// … that did not fit the ring buffer.
    pub lost: u64,
    /// … that the reader received.
    pub received: u64,
}

impl Book {
    /// Whether it closes: sent = received + lost.
    #[must_use]
    pub fn is_balanced(&self) -> bool {
        self.sent == self.received + self.lost
    }

    /// Whether it is about the events of a trace.
    #[must_use]
    pub fn is_of_trace(&self) -> bool {
        self.what == EVENTS
    }
}

/// The books of one watch, for each program that sends.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// For each program that sends records, and once more for the events of a trace.
    pub books: Vec<Book>,
    /// Entries of the ring buffer that were no record.
    pub unreadable: u64,
    /// Connections established.
    pub conns_established: u64,
    /// … not followed for want of room in the table.
    pub conns_unfollowed: u64,
    /// Connections that stood before the watch began and are followed.
    #[serde(default)]
    pub conns_stood: u64,
    /// Tasks not followed for want of room in the table.
    pub tasks_unfollowed: u64,
    /// Connections whose end was not seen, found without a socket. A request that was current on
    /// one has no record.
    #[serde(default)]
    pub conns_reaped: u64,
    /// Tasks whose end was not seen, found to have ended; they have no record.
    #[serde(default)]
    pub tasks_reaped: u64,
    /// Failures that were received and are not in the recording, for their number.
    #[serde(default)]
    pub failures_left_out: u64,
    /// Skipped runs, by program; empty if there were none.
    pub missed: Vec<Missed>,
}

impl Counters {
    fn sum(&self, what: &str, figure: fn(&Book) -> u64) -> u64 {
        let books = self.books.iter().filter(|book| book.what == what);
        books.map(figure).sum()
    }

    /// Request records that the programs made.
    #[must_use]
    pub fn requests_sent(&self) -> u64 {
        self.sum(REQUESTS, |book| book.sent)
    }

    /// … that did not fit the ring buffer.
    #[must_use]
    pub fn requests_lost(&self) -> u64 {
        self.sum(REQUESTS, |book| book.lost)
    }

    /// Records of tasks that did not fit the ring buffer.
    #[must_use]
    pub fn tasks_lost(&self) -> u64 {
        self.sum(TASKS, |book| book.lost)
    }

    /// Records of failures that did not fit the ring buffer.
    #[must_use]
    pub fn failures_lost(&self) -> u64 {
        self.sum(FAILURES, |book| book.lost)
    }

    /// Events of a trace that were received.
    #[must_use]
    pub fn events_received(&self) -> u64 {
        self.sum(EVENTS, |book| book.received)
    }

    /// Events of a trace that did not fit the ring buffer.
    #[must_use]
    pub fn events_lost(&self) -> u64 {
        self.sum(EVENTS, |book| book.lost)
    }

    /// Failures that the programs saw.
    #[must_use]
    pub fn failures_sent(&self) -> u64 {
        self.sum(FAILURES, |book| book.sent)
    }

    /// Everything of the server that was lost on the way, as one number. Skipped runs are not in
    /// it (see [`Counters::skipped`]), nor are events of a trace, which no figure rests on.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.requests_lost()
            + self.tasks_lost()
            + self.failures_lost()
            + self.unreadable
            + self.conns_unfollowed
            + self.tasks_unfollowed
    }

    /// Runs of programs that the kernel skipped. Nobody can tell which task or socket a skipped
    /// run was for; most are not the server's. One that is shows in its request: it has no
    /// arrival, or was not queued, or is not joined.
    #[must_use]
    pub fn skipped(&self) -> u64 {
        self.missed.iter().map(|missed| missed.runs).sum()
    }

    /// Whether the books close: sent = received + lost for each program.
    #[must_use]
    pub fn balanced(&self) -> bool {
        self.books.iter().all(Book::is_balanced)
    }
}

const REQUESTS: &str = "requests";
const TASKS: &str = "tasks";
const FAILURES: &str = "failures";
const EVENTS: &str = "events";

/// What the reader received, by what told it where a record came from.
#[derive(Clone, Debug, Default)]
pub(super) struct Received {
    requests: u64,
    last_requests: u64,
    tasks: u64,
    events: [u64; TraceSource::ALL.len()],
    failures: [u64; FailureSource::ALL.len()],
    unreadable: u64,
}

impl Received {
    /// Counts an entry of the ring buffer.
    pub(super) fn count(&mut self, record: Option<&Record>) {
        match record {
            Some(Record::Request(request)) if request.flags & RequestFlags::AT_END != 0 => {
                self.last_requests += 1;
            }
            Some(Record::Request(_)) => self.requests += 1,
            Some(Record::Task(_)) => self.tasks += 1,
            Some(Record::Trace(event)) => match TraceKind::from_word(event.event) {
                Some(kind) => self.events[kind.source() as usize] += 1,
                None => self.unreadable += 1,
            },
            Some(Record::Failure(failure)) => match FailureSource::from_word(failure.source) {
                Some(source) => self.failures[source as usize] += 1,
                None => self.unreadable += 1,
            },
            None => self.unreadable += 1,
        }
    }

    /// The books: what was received beside what the programs counted, by index of their counters.
    pub(super) fn books(&self, value_at: impl Fn(u32) -> u64) -> Counters {
        let value_of = |counter: Counter| value_at(counter as u32);
        let book = |program: &str, what: &str, [sent, lost]: [u64; 2], received: u64| Book {
            program: program.into(),
            what: what.into(),
            sent,
            lost,
            received,
        };
        let mut books = vec![
            book(
                TraceSource::Read.program(),
                REQUESTS,
                [Counter::RequestsSent, Counter::RequestsLost].map(value_of),
                self.requests,
            ),
            book(
                TraceSource::SetState.program(),
                REQUESTS,
                [Counter::LastRequestsSent, Counter::LastRequestsLost].map(value_of),
                self.last_requests,
            ),
            book(
                TraceSource::Exit.program(),
                TASKS,
                [Counter::TasksSent, Counter::TasksLost].map(value_of),
                self.tasks,
            ),
        ];
        books.extend(TraceSource::ALL.into_iter().filter_map(|source| {
            let counts = [source.sent(), source.lost()].map(&value_at);
            let received = self.events[source as usize];
            (counts[0] > 0).then(|| book(source.program(), EVENTS, counts, received))
        }));
        books.extend(FailureSource::ALL.into_iter().filter_map(|source| {
            let counts = [source.sent(), source.lost()].map(&value_at);
            let received = self.failures[source as usize];
            (counts[0] > 0).then(|| book(source.program(), FAILURES, counts, received))
        }));
        Counters {
            books,
            unreadable: self.unreadable,
            conns_established: value_of(Counter::ConnsEstablished),
            conns_unfollowed: value_of(Counter::ConnsUnfollowed)
                + value_of(Counter::ConnsStoodUnfollowed),
            conns_stood: value_of(Counter::ConnsStood),
            tasks_unfollowed: value_of(Counter::TasksUnfollowed),
            conns_reaped: 0,
            tasks_reaped: 0,
            failures_left_out: 0,
            missed: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use mpm_observer_common::{FailureRecord, RequestRecord, TraceEvent};

    use super::*;

    #[test]
    fn the_books_close_only_if_each_programs_sent_is_received_and_lost() {
        let mut received = Received::default();
        let ended = RequestRecord {
            flags: RequestFlags::AT_END,
            ..RequestRecord::default()
        };
        let wake = TraceEvent {
            event: TraceKind::Wake as u32,
            ..TraceEvent::default()
        };
        for record in [
            Record::Request(RequestRecord::default()),
            Record::Request(RequestRecord::default()),
            Record::Request(ended),
            Record::Trace(wake),
            Record::Failure(FailureRecord {
                source: FailureSource::OomKill as u32,
                ..FailureRecord::default()
            }),
        ] {
            received.count(Some(&record));
        }
        let kernel_side = |index: u32| match index {
            index if index == Counter::RequestsSent as u32 => 5,
            index if index == Counter::RequestsLost as u32 => 3,
            index if index == Counter::LastRequestsSent as u32 => 1,
            index if index == TraceSource::Waking.sent() => 2,
            index if index == TraceSource::Waking.lost() => 1,
            index if index == FailureSource::OomKill.sent() => 5,
            index if index == FailureSource::OomKill.lost() => 4,
            _ => 0,
        };
        let counters = received.books(kernel_side);
        assert!(counters.balanced(), "{counters:?}");
        assert_eq!((counters.requests_sent(), counters.requests_lost()), (6, 3));
        assert_eq!((counters.lost(), counters.events_lost()), (3 + 4, 1));
        assert_eq!(counters.failures_sent(), 5);

        // One more in one book and one less in another do not make up for each other.
        received.count(Some(&Record::Request(ended)));
        let uneven =
            |index: u32| kernel_side(index) + u64::from(index == Counter::RequestsSent as u32);
        assert!(!received.books(uneven).balanced());
        received.count(None);
        assert_eq!(received.books(kernel_side).unreadable, 1);
    }
}
