//! A worker's run as the coordinator sees it.

use std::sync::atomic::{AtomicU64, Ordering};

use super::clock_offset::ClockOffset;
use super::error::Trouble;
use super::link::measure_clock;
use super::protocol::{FRAME_MAX_BYTES, Frame, FrameReader, FrameWriter, Message};
use super::row_pool::RowPool;
use super::{ENDING, SILENCE, merge};
use crate::clock::monotonic_ns;
use crate::engine::nanos;
use crate::{Part, Progress, Row, Summary};

/// What a worker delivered.
pub(super) struct Delivery {
    /// In the coordinator's clock, as everything.
    pub(super) summary: Summary,
    /// Somebody stopped it on the worker itself.
    pub(super) stopped_there: bool,
    /// The clocks compared once more.
    pub(super) clock: Option<ClockOffset>,
}

/// What is the same for a run's workers while they run.
pub(super) struct Shared<'a> {
    pub(super) pool: &'a RowPool,
    pub(super) progress: &'a Progress,
    /// From this time on, mere progress is not enough; CLOCK_MONOTONIC.
    pub(super) overdue_ns: &'a AtomicU64,
}

/// A worker's run as the coordinator sees it.
pub(super) struct Follower<'a> {
    shared: &'a Shared<'a>,
    part: Part,
    clock: ClockOffset,
    /// Rows that came.
    rows: u64,
    /// When the last of them were taken in, CLOCK_MONOTONIC.
    rows_taken_ns: u64,
    completed: u64,
    failed: u64,
}

impl<'a> Follower<'a> {
    pub(super) fn new(shared: &'a Shared<'a>, part: Part, clock: ClockOffset) -> Self {
        Self {
            shared,
            part,
            clock,
            rows: 0,
            rows_taken_ns: 0,
            completed: 0,
            failed: 0,
        }
    }

    /// Rows that came so far.
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// Takes in what the worker sends until its run is over.
    pub(super) fn follow(
        &mut self,
        reader: &mut FrameReader,
        writer: &FrameWriter,
    ) -> Result<Delivery, Trouble> {
        let (mut summary, stopped_there) = loop {
            match reader.next(SILENCE, FRAME_MAX_BYTES, None)? {
                Frame::Rows(rows) => self.take(rows)?,
                Frame::Message(Message::Progress { completed, failed }) => {
                    self.progress(completed, failed)?;
                    if self.is_overdue() {
                        return Err(Trouble::Overdue);
                    }
                }
                Frame::Message(Message::Done {
                    summary,
                    stopped_there,
                }) => break (*summary, stopped_there),
                Frame::Message(Message::Failed { reason }) => return Err(Trouble::Failed(reason)),
                Frame::Message(_) => return Err(Trouble::OutOfTurn("no part of a run")),
            }
        };
        merge::check(&summary, &self.part).map_err(Trouble::Contradiction)?;
        if summary.rows.written != self.rows {
            return Err(Trouble::Contradiction(format!(
                "it sent {} rows and says {}",
                self.rows, summary.rows.written
            )));
        }
        merge::to_coordinator(&mut summary, self.clock);
        // Its figures are here; without this the drift of its clock is unknown.
        let clock = measure_clock(reader, writer).ok();
        let _ = writer.message(&Message::Bye);
        Ok(Delivery {
            summary,
            stopped_there,
            clock,
        })
    }

    fn take(&mut self, mut rows: Vec<Row>) -> Result<(), Trouble> {
        let first = self.part.first_thread;
        for row in &mut rows {
            if row.thread < first || row.thread - first >= self.part.threads {
                return Err(Trouble::Contradiction(
                    "rows of threads that are not its own".to_owned(),
                ));
            }
            self.clock.convert(row);
        }
        self.rows += rows.len() as u64;
        self.shared.pool.take(&rows);
        self.rows_taken_ns = monotonic_ns();
        Ok(())
    }

    /// Whether it should have ended, and is not busy with sending its rows either.
    fn is_overdue(&self) -> bool {
        let overdue_ns = self.shared.overdue_ns.load(Ordering::Relaxed);
        let sending_until_ns = self.rows_taken_ns.saturating_add(nanos(ENDING));
        monotonic_ns() > overdue_ns.max(sending_until_ns)
    }

    fn progress(&mut self, completed: u64, failed: u64) -> Result<(), Trouble> {
        let more = completed.checked_sub(self.completed);
        let more_failed = failed.checked_sub(self.failed);
        let (Some(more), Some(more_failed)) = (more, more_failed) else {
            return Err(Trouble::Contradiction("its progress went back".to_owned()));
        };
        (self.completed, self.failed) = (completed, failed);
        self.shared.progress.add(more, more_failed);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::super::protocol::split;
    use super::*;
    use crate::EngineKind;
    use crate::run::empty_summary;

    const PART: Part = Part {
        first_thread: 2,
        threads: 1,
        threads_in_all: 4,
        begin_ns: None,
    };

    /// What becomes of a worker that says this, with its rows and the progress told.
    fn follow(
        said: impl FnOnce(&FrameWriter),
        overdue_ns: u64,
    ) -> (Result<Delivery, Trouble>, u64, u64) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let near = TcpStream::connect(listener.local_addr().expect("bound")).expect("connected");
        let (far, _) = listener.accept().expect("accepted");
        let (_, worker) = split(far).expect("split");
        said(&worker);
        worker.close();
        let (mut reader, writer) = split(near).expect("split");
        let (pool, progress) = (RowPool::new(None), Progress::new());
        let shared = Shared {
            pool: &pool,
            progress: &progress,
            overdue_ns: &AtomicU64::new(overdue_ns),
        };
        let clock = ClockOffset {
            worker_ahead_ns: 0,
            bound_ns: 0,
        };
        let mut follower = Follower::new(&shared, PART, clock);
        let end = follower.follow(&mut reader, &writer);
        (end, follower.rows(), progress.completed())
    }

    fn trouble(said: impl FnOnce(&FrameWriter), overdue_ns: u64) -> String {
        match follow(said, overdue_ns).0 {
            Ok(_) => panic!("the worker must not be believed"),
            Err(trouble) => trouble.to_string(),
        }
    }

    fn progress(completed: u64) -> Message {
        let failed = 0;
        Message::Progress { completed, failed }
    }

    fn row(thread: u16) -> Row {
        Row {
            thread,
            ..Row::EMPTY
        }
    }

    #[test]
    fn a_worker_that_leaves_has_told_what_it_told() {
        let (end, rows, completed) = follow(
            |worker| {
                worker.message(&progress(5)).expect("sent");
                worker.rows(&[row(2), row(2)]).expect("sent");
                worker.message(&progress(8)).expect("sent");
            },
            u64::MAX,
        );
        assert_eq!((rows, completed), (2, 8));
        let text = end.err().expect("gone").to_string();
        assert!(text.contains("closed"), "{text}");
    }

    #[test]
    fn lies_are_found() {
        let says = |messages: Vec<Message>| {
            trouble(
                |worker| {
                    for message in &messages {
                        worker.message(message).expect("sent");
                    }
                },
                u64::MAX,
            )
        };
        assert!(says(vec![progress(5), progress(4)]).contains("went back"));
        assert!(says(vec![Message::Ready]).contains("no part of a run"));
        let reason = "no file".to_owned();
        assert!(says(vec![Message::Failed { reason }]).contains("no file"));
        let done = |change: fn(&mut Summary)| {
            let mut summary = Box::new(empty_summary(5, EngineKind::Epoll));
            change(&mut summary);
            Message::Done {
                summary,
                stopped_there: false,
            }
        };
        assert!(says(vec![done(|s| s.requests = 1)]).contains("contradict"));
        assert!(says(vec![done(|_| {})]).contains("threads"));
        for thread in [1, 3] {
            let foreign = trouble(
                |worker| worker.rows(&[row(thread)]).expect("sent"),
                u64::MAX,
            );
            assert!(foreign.contains("not its own"), "{foreign}");
        }
    }

    #[test]
    fn progress_after_the_time_is_not_enough() {
        let say = |worker: &FrameWriter| worker.message(&progress(1)).expect("sent");
        let overdue = trouble(say, 0);
        // A machine that was switched on within the grace has not waited long enough.
        if monotonic_ns() > nanos(ENDING) {
            assert!(overdue.contains("in time"), "{overdue}");
        }
    }
}
