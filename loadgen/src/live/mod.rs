//! The last minutes of a run by seconds, for whoever looks on while it goes on.
//!
//! A [`LiveSink`] takes the rows on the writer thread, as any other [`RowSink`]; the
//! load threads do nothing more for it. What it has counted so far is in a [`Model`] of
//! fixed size.

mod model;
mod scale;

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use model::{Failure, Model, ROWS_LATE_NS, Stretch, WINDOW_S};
pub use scale::{BINS, bin_of, upper_ns};

use crate::{Row, RowSink};

/// A model that one thread feeds and another reads.
#[derive(Debug, Clone)]
pub struct LiveModel(Arc<Mutex<Model>>);

impl LiveModel {
    /// Nothing counted yet; seconds count from `origin_ns`, CLOCK_MONOTONIC.
    #[must_use]
    pub fn new(origin_ns: u64) -> Self {
        Self(Arc::new(Mutex::new(Model::new(origin_ns))))
    }

    /// What feeds it.
    #[must_use]
    pub fn sink(&self) -> LiveSink {
        LiveSink(self.clone())
    }

    /// The model, as it is now. Rows wait for as long as this is held.
    pub fn look(&self) -> MutexGuard<'_, Model> {
        // A model that a panic left half counted is still one to look at.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts rows for a [`LiveModel`].
#[derive(Debug)]
pub struct LiveSink(LiveModel);

impl RowSink for LiveSink {
    fn rows(&mut self, rows: &[Row]) -> io::Result<()> {
        let mut model = self.0.look();
        for row in rows {
            model.add(row);
        }
        Ok(())
    }
}
