//! A sink that writes something by the second.

use std::io;

use super::About;
use super::seconds::{Second, Seconds};
use crate::{Config, Row, RowSink};

/// Writes what happened in each second of a run, when it is over.
pub trait SecondWriter: Send {
    /// Called once before the first second, with its begin on CLOCK_MONOTONIC.
    ///
    /// # Errors
    /// After the first error nothing more is given.
    fn begin(&mut self, started_ns: u64, about: &About) -> io::Result<()>;

    /// Takes the next second; they come in order and without gaps.
    ///
    /// # Errors
    /// Like those of [`SecondWriter::begin`].
    fn second(&mut self, second: &Second) -> io::Result<()>;
}

/// Makes a sink of a [`SecondWriter`]. A second is written 3 s after its end, as rows come
/// late; [`Second`] tells what becomes of those that come even later.
pub struct BySecond<S> {
    writer: S,
    about: About,
    seconds: Seconds,
}

impl<S: SecondWriter> BySecond<S> {
    /// For the rows of a run of `config`.
    pub const fn new(writer: S, config: &Config, about: About) -> Self {
        Self {
            writer,
            about,
            seconds: Seconds::new(config.retry_stale),
        }
    }
}

impl<S: SecondWriter> RowSink for BySecond<S> {
    fn begin(&mut self, started_ns: u64) -> io::Result<()> {
        self.seconds.begin(started_ns);
        self.writer.begin(started_ns, &self.about)
    }

    fn rows(&mut self, rows: &[Row]) -> io::Result<()> {
        for row in rows {
            self.seconds.add(row, |second| self.writer.second(second))?;
        }
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        self.seconds.finish(|second| self.writer.second(second))
    }
}
