//! The way of the rows from the load threads to wherever they are kept.
//!
//! A load thread fills a batch and hands it to the writer thread through a channel;
//! emptied batches come back to be filled again. Handing over never waits. When the
//! sink falls behind, batches pile up to [`BACKLOG_MAX_BATCHES`]; rows beyond that are
//! dropped, and counted.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;

use crate::clock::thread_cpu_ns;
use crate::summary::RowsSummary;
use crate::{Error, Row};

/// Rows in a full batch.
const BATCH_ROWS: usize = 1024;

/// Batches that may wait for the sink, over all threads: some 280 MB of rows.
const BACKLOG_MAX_BATCHES: usize = 2048;

/// Takes the rows of a run, in batches, on a thread of its own.
pub trait RowSink: Send {
    /// Called once before the first row: when the measured part of the run begins, in
    /// nanoseconds of CLOCK_MONOTONIC. Rows of the warm-up lie before it.
    ///
    /// # Errors
    /// Like those of [`RowSink::rows`].
    fn begin(&mut self, started_ns: u64) -> io::Result<()> {
        let _ = started_ns;
        Ok(())
    }

    /// Takes the next rows. Those of one load thread come in the order of their `end_ns`.
    /// A batch comes when it is full, or after about a second.
    ///
    /// # Errors
    /// After the first error no more rows are given; the run goes on.
    fn rows(&mut self, rows: &[Row]) -> io::Result<()>;

    /// Called once after the last row, unless `rows` failed.
    ///
    /// # Errors
    /// Is reported in the summary like an error of `rows`.
    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes encoded rows, each batch with one write.
#[derive(Debug)]
pub struct RowWriter<W> {
    target: W,
    encoded: Vec<u8>,
}

impl<W: Write + Send> RowWriter<W> {
    /// Writes to `target`; it needs no buffer of its own.
    pub fn new(target: W) -> Self {
        Self {
            target,
            encoded: Vec::new(),
        }
    }
}

impl<W: Write + Send> RowSink for RowWriter<W> {
    fn rows(&mut self, rows: &[Row]) -> io::Result<()> {
        self.encoded.clear();
        for row in rows {
            self.encoded.extend_from_slice(&row.encode());
        }
        self.target.write_all(&self.encoded)
    }

    fn finish(&mut self) -> io::Result<()> {
        self.target.flush()
    }
}

struct Batch {
    thread: usize,
    rows: Vec<Row>,
}

/// The end of the way that a load thread holds.
pub(crate) struct RowPort {
    thread: usize,
    rows: Vec<Row>,
    full: Sender<Batch>,
    emptied: Receiver<Vec<Row>>,
    backlog: Arc<AtomicUsize>,
    recorded: u64,
}

impl RowPort {
    pub(crate) fn push(&mut self, row: &Row) {
        self.rows.push(*row);
        self.recorded += 1;
        if self.rows.len() == BATCH_ROWS {
            self.hand_over();
        }
    }

    /// Gives what there is to the writer, without waiting.
    pub(crate) fn hand_over(&mut self) {
        if self.rows.is_empty() {
            return;
        }
        if self.backlog.load(Ordering::Relaxed) >= BACKLOG_MAX_BATCHES {
            self.rows.clear();
            return;
        }
        self.backlog.fetch_add(1, Ordering::Relaxed);
        let empty = self
            .emptied
            .try_recv()
            .unwrap_or_else(|_| Vec::with_capacity(BATCH_ROWS));
        let batch = Batch {
            thread: self.thread,
            rows: std::mem::replace(&mut self.rows, empty),
        };
        // Fails only when the writer thread died; its rows then miss in `written`.
        let _ = self.full.send(batch);
    }

    /// Hands over the rest and returns how many rows there were in all.
    pub(crate) fn finish(mut self) -> u64 {
        self.hand_over();
        self.recorded
    }
}

/// The writer thread; ends when all ports are gone.
pub(crate) struct RowPump {
    thread: JoinHandle<(Option<io::Error>, u64)>,
    written: Arc<AtomicU64>,
    started_ns: Arc<OnceLock<u64>>,
}

impl RowPump {
    /// Starts the writer thread, with a port for each of `threads` load threads.
    pub(crate) fn start(
        sink: Box<dyn RowSink>,
        threads: usize,
    ) -> Result<(Self, Vec<RowPort>), Error> {
        let (full, batches) = channel();
        let backlog = Arc::new(AtomicUsize::new(0));
        let written = Arc::new(AtomicU64::new(0));
        let (returns, ports) = (0..threads)
            .map(|thread| {
                let (back, emptied) = channel();
                let port = RowPort {
                    thread,
                    rows: Vec::with_capacity(BATCH_ROWS),
                    full: full.clone(),
                    emptied,
                    backlog: Arc::clone(&backlog),
                    recorded: 0,
                };
                (back, port)
            })
            .unzip();
        let counter = Arc::clone(&written);
        let started_ns = Arc::new(OnceLock::new());
        let begin_ns = Arc::clone(&started_ns);
        let thread = std::thread::Builder::new()
            .name("rows".to_owned())
            .spawn(move || pump(sink, &begin_ns, &batches, returns, &backlog, &counter))
            .map_err(Error::Thread)?;
        let pump = Self {
            thread,
            written,
            started_ns,
        };
        Ok((pump, ports))
    }

    /// Where the begin of the measured part is to be put, before the first row is made.
    pub(crate) fn started_ns(&self) -> Arc<OnceLock<u64>> {
        Arc::clone(&self.started_ns)
    }

    /// Waits for the last row; `recorded` is what the ports counted.
    pub(crate) fn finish(self, recorded: u64) -> RowsSummary {
        let (error, cpu_ns) = match self.thread.join() {
            Ok((error, cpu_ns)) => (error.map(|e| e.to_string()), cpu_ns),
            Err(_) => (Some("the sink panicked".to_owned()), 0),
        };
        let written = self.written.load(Ordering::Relaxed);
        let not_written = recorded.saturating_sub(written);
        let error = error.or_else(|| {
            (not_written > 0).then(|| "the sink was too slow, rows were dropped".to_owned())
        });
        RowsSummary {
            recorded,
            written,
            not_written,
            error,
            sink_cpu_ns: cpu_ns,
        }
    }
}

fn pump(
    mut sink: Box<dyn RowSink>,
    started_ns: &OnceLock<u64>,
    batches: &Receiver<Batch>,
    returns: Vec<Sender<Vec<Row>>>,
    backlog: &AtomicUsize,
    written: &AtomicU64,
) -> (Option<io::Error>, u64) {
    let mut failed = None;
    let mut begun = false;
    // Also without a row, as long as the run began.
    let mut begin = |sink: &mut Box<dyn RowSink>| match started_ns.get() {
        Some(started_ns) if !std::mem::replace(&mut begun, true) => sink.begin(*started_ns),
        _ => Ok(()),
    };
    for Batch { thread, mut rows } in batches {
        if failed.is_none() {
            match begin(&mut sink).and_then(|()| sink.rows(&rows)) {
                Ok(()) => {
                    written.fetch_add(rows.len() as u64, Ordering::Relaxed);
                }
                Err(error) => failed = Some(error),
            }
        }
        rows.clear();
        backlog.fetch_sub(1, Ordering::Relaxed);
        // Fails when that load thread has ended and needs no more batches.
        let _ = returns[thread].send(rows);
    }
    if failed.is_none() {
        failed = begin(&mut sink).and_then(|()| sink.finish()).err();
    }
    (failed, thread_cpu_ns())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(port: &mut RowPort, rows: u32) {
        for ordinal in 0..rows {
            port.push(&Row {
                ordinal,
                ..Row::EMPTY
            });
        }
    }

    /// Hands what it gets to the test, so that the test may look while the run goes on.
    struct Tell(Sender<Vec<Row>>);

    impl RowSink for Tell {
        fn rows(&mut self, rows: &[Row]) -> io::Result<()> {
            self.0.send(rows.to_vec()).map_err(io::Error::other)
        }
    }

    #[test]
    fn every_row_arrives_once_and_in_order() {
        let (tell, told) = channel();
        let (pump, mut ports) = RowPump::start(Box::new(Tell(tell)), 1).expect("started");
        let mut port = ports.remove(0);
        fill(&mut port, 5000);
        let summary = pump.finish(port.finish());
        assert_eq!(
            (summary.recorded, summary.written, summary.not_written),
            (5000, 5000, 0)
        );
        assert_eq!(summary.error, None);
        let ordinals: Vec<u32> = told.iter().flatten().map(|row| row.ordinal).collect();
        assert_eq!(ordinals, (0..5000).collect::<Vec<_>>());
    }

    #[test]
    fn a_partial_batch_can_be_handed_over_at_once() {
        let (tell, told) = channel();
        let (pump, mut ports) = RowPump::start(Box::new(Tell(tell)), 1).expect("started");
        let mut port = ports.remove(0);
        fill(&mut port, 3);
        port.hand_over();
        assert_eq!(told.recv().expect("handed over").len(), 3);
        assert_eq!(pump.finish(port.finish()).written, 3);
    }

    #[test]
    fn a_failing_sink_is_reported_with_the_rows_it_missed() {
        struct Full(u32);
        impl RowSink for Full {
            fn rows(&mut self, _: &[Row]) -> io::Result<()> {
                self.0 += 1;
                if self.0 > 1 {
                    return Err(io::Error::other("disk full"));
                }
                Ok(())
            }
        }
        let (pump, mut ports) = RowPump::start(Box::new(Full(0)), 1).expect("started");
        let mut port = ports.remove(0);
        fill(&mut port, 3000);
        let summary = pump.finish(port.finish());
        assert_eq!(summary.error.as_deref(), Some("disk full"));
        assert_eq!((summary.written, summary.not_written), (1024, 1976));
    }

    #[test]
    fn a_sink_that_blocks_holds_back_nobody_and_drops_are_counted() {
        struct Stuck(Receiver<()>);
        impl RowSink for Stuck {
            fn rows(&mut self, _: &[Row]) -> io::Result<()> {
                // Goes on once the test has dropped its end.
                let _ = self.0.recv();
                Ok(())
            }
        }
        let (release, stuck) = channel::<()>();
        let (pump, mut ports) = RowPump::start(Box::new(Stuck(stuck)), 1).expect("started");
        let mut port = ports.remove(0);
        let batches = BACKLOG_MAX_BATCHES + 5;
        for _ in 0..batches {
            fill(&mut port, 1);
            port.hand_over();
        }
        drop(release);
        let summary = pump.finish(port.finish());
        assert_eq!(summary.recorded, batches as u64);
        assert_eq!(
            (summary.written, summary.not_written),
            (BACKLOG_MAX_BATCHES as u64, 5)
        );
        assert!(summary.error.expect("said").contains("too slow"));
    }
}
