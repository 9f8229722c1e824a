//! The rows of all workers on their way into one sink.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::summary::RowsSummary;
use crate::{Row, RowSink};

/// Takes rows from several threads, one batch at a time. Who waits here reads nothing
/// from its worker meanwhile, so a slow sink makes the workers keep their rows, and
/// count the ones that they had to drop.
pub(super) struct RowPool(Mutex<State>);

struct State {
    sink: Option<Box<dyn RowSink>>,
    written: u64,
    error: Option<String>,
}

impl RowPool {
    pub(super) fn new(sink: Option<Box<dyn RowSink>>) -> Self {
        Self(Mutex::new(State {
            sink,
            written: 0,
            error: None,
        }))
    }

    /// Whether rows are wanted at all.
    pub(super) fn has_sink(&self) -> bool {
        self.lock().sink.is_some()
    }

    /// Tells the sink when the measured part begins.
    pub(super) fn begin(&self, started_ns: u64) {
        let mut state = self.lock();
        if let Some(sink) = &mut state.sink {
            let begun = sink.begin(started_ns);
            state.error = begun.err().map(|error| error.to_string());
        }
    }

    /// Gives rows to the sink, unless it has failed.
    pub(super) fn take(&self, rows: &[Row]) {
        let mut state = self.lock();
        if state.error.is_some() {
            return;
        }
        if let Some(sink) = &mut state.sink {
            match sink.rows(rows) {
                Ok(()) => state.written += rows.len() as u64,
                Err(error) => state.error = Some(error.to_string()),
            }
        }
    }

    /// Ends the sink and adds what the coordinator knows to what the workers tell.
    pub(super) fn finish(self, of_workers: RowsSummary) -> RowsSummary {
        let mut state = self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Some(mut sink) = state.sink.take()
            && state.error.is_none()
        {
            state.error = sink.finish().err().map(|error| error.to_string());
        }
        RowsSummary {
            written: state.written,
            not_written: of_workers.recorded.saturating_sub(state.written),
            error: state.error.or(of_workers.error),
            ..of_workers
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A sink that panicked leaves only a count behind.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    struct OneBatch(bool);

    impl RowSink for OneBatch {
        fn rows(&mut self, _: &[Row]) -> io::Result<()> {
            if self.0 {
                return Err(io::Error::other("disk full"));
            }
            self.0 = true;
            Ok(())
        }
    }

    fn of_workers(recorded: u64) -> RowsSummary {
        RowsSummary {
            recorded,
            ..RowsSummary::default()
        }
    }

    #[test]
    fn rows_that_the_sink_did_not_take_are_counted() {
        let pool = RowPool::new(Some(Box::new(OneBatch(false))));
        assert!(pool.has_sink());
        for _ in 0..3 {
            pool.take(&[Row::EMPTY; 5]);
        }
        let summary = pool.finish(of_workers(17));
        assert_eq!((summary.written, summary.not_written), (5, 12));
        assert_eq!(summary.error.as_deref(), Some("disk full"));
    }

    #[test]
    fn a_workers_error_is_kept() {
        let pool = RowPool::new(Some(Box::new(OneBatch(false))));
        pool.take(&[Row::EMPTY; 5]);
        let summary = pool.finish(RowsSummary {
            error: Some("too slow".to_owned()),
            ..of_workers(7)
        });
        assert_eq!((summary.written, summary.not_written), (5, 2));
        assert_eq!(summary.error.as_deref(), Some("too slow"));
    }
}
