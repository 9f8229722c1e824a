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
use crate::summary::OutcomeCounts;
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
pub(super) struct Watch<'a> {
    pub(super) pool: &'a RowPool,
    pub(super) progress: &'a Progress,
    /// From this time on, mere progress is not enough; CLOCK_MONOTONIC.
    pub(super) overdue_ns: &'a AtomicU64,
}

/// A worker's run as the coordinator sees it.
pub(super) struct Follower<'a> {
    watch: &'a Watch<'a>,
    part: Part,
    clock: ClockOffset,
    /// Rows that came.
    rows: u64,
    /// When the last of them were taken in, CLOCK_MONOTONIC.
    rows_taken_ns: u64,
    completed: u64,
    failed: u64,
    outcomes: OutcomeCounts,
}

impl<'a> Follower<'a> {
    pub(super) fn new(watch: &'a Watch<'a>, part: Part, clock: ClockOffset) -> Self {
        Self {
            watch,
            part,
            clock,
            rows: 0,
            rows_taken_ns: 0,
            completed: 0,
            failed: 0,
            outcomes: OutcomeCounts::default(),
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
                Frame::Message(Message::Progress {
                    completed,
                    failed,
                    outcomes,
                }) => {
                    self.progress(completed, failed, &outcomes)?;
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
        self.watch.pool.take(&rows);
        self.rows_taken_ns = monotonic_ns();
        Ok(())
    }

    /// Whether it should have ended, and is not busy with sending its rows either.
    fn is_overdue(&self) -> bool {
        let overdue_ns = self.watch.overdue_ns.load(Ordering::Relaxed);
        let sending_until_ns = self.rows_taken_ns.saturating_add(nanos(ENDING));
        monotonic_ns() > overdue_ns.max(sending_until_ns)
    }

    fn progress(
        &mut self,
        completed: u64,
        failed: u64,
        outcomes: &OutcomeCounts,
    ) -> Result<(), Trouble> {
        let more = completed.checked_sub(self.completed);
        let more_failed = failed.checked_sub(self.failed);
        let more_outcomes = outcomes.since(&self.outcomes);
        let (Some(more), Some(more_failed), Some(more_outcomes)) =
            (more, more_failed, more_outcomes)
        else {
            return Err(Trouble::Contradiction("its progress went back".to_owned()));
        };
        (self.completed, self.failed, self.outcomes) = (completed, failed, *outcomes);
        self.watch.progress.add(more, more_failed);
        self.watch.progress.add_outcomes(&more_outcomes);
        Ok(())
    }
}
