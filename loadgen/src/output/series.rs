//! The time series: a line a second.

use std::io::{self, Write};

use serde_json::{Map, Value};

use super::{About, Second, SecondWriter, SeriesFormat};
use crate::Outcome;

/// A figure of a second; `None` where there is none, as of latencies without an answer.
type Figure = (&'static str, fn(&Second) -> Option<u64>);

/// The columns before those of the outcomes.
const BEFORE: [Figure; 8] = [
    ("second", |s| Some(s.index)),
    ("length_ns", |s| Some(s.length_ns)),
    ("started", |s| Some(s.started)),
    ("started_earlier", |s| Some(s.started_earlier)),
    ("waited", |s| Some(s.waited)),
    ("wait_max_ns", |s| Some(s.wait_max_ns)),
    ("answered", |s| Some(s.answered())),
    ("failed", |s| Some(s.failed)),
];

/// The columns after them.
const AFTER: [Figure; 10] = [
    ("request_bytes", |s| Some(s.request_bytes)),
    ("header_bytes", |s| Some(s.header_bytes)),
    ("body_bytes", |s| Some(s.body_bytes)),
    ("p50_ns", |s| percentile(s, 50.0)),
    ("p90_ns", |s| percentile(s, 90.0)),
    ("p99_ns", |s| percentile(s, 99.0)),
    ("max_ns", |s| percentile(s, 100.0)),
    ("connections", |s| Some(s.connections)),
    ("connections_earlier", |s| Some(s.connections_earlier)),
    ("late", |s| Some(s.late)),
];

fn percentile(second: &Second, percentile: f64) -> Option<u64> {
    let latencies = &second.latencies;
    (latencies.count() > 0).then(|| latencies.percentile_ns(percentile))
}

/// Writes the figures of each second: those of [`Second`] by their names there, each
/// outcome by its own, and percentiles of the latencies from when a request was due.
/// Each line is flushed, so that the file can be followed.
pub struct Series<W> {
    target: W,
    format: SeriesFormat,
    line: Vec<u8>,
}

impl<W: Write> Series<W> {
    /// Writes to `target`.
    pub fn new(target: W, format: SeriesFormat) -> Self {
        Self {
            target,
            format,
            line: Vec::new(),
        }
    }

    fn csv_line(&mut self, fields: impl Iterator<Item = String>) -> io::Result<()> {
        let mut line = csv::Writer::from_writer(&mut self.line);
        line.write_record(fields.collect::<Vec<_>>())?;
        line.flush()
    }

    fn write_line(&mut self) -> io::Result<()> {
        self.target.write_all(&self.line)?;
        self.line.clear();
        self.target.flush()
    }
}

/// All figures of a second, by name.
fn figures(second: &Second) -> impl Iterator<Item = (&'static str, Option<u64>)> {
    let outcomes = second.outcomes.iter();
    let outcomes = outcomes.map(|(outcome, count)| (outcome.name(), Some(count)));
    let of = |(name, of): Figure| (name, of(second));
    (BEFORE.into_iter().map(of))
        .chain(outcomes)
        .chain(AFTER.into_iter().map(of))
}

impl<W: Write + Send> SecondWriter for Series<W> {
    fn begin(&mut self, _started_ns: u64, _about: &About) -> io::Result<()> {
        if self.format == SeriesFormat::Csv {
            let outcomes = Outcome::ALL.map(Outcome::name).into_iter();
            let names = (BEFORE.iter().map(|(name, _)| *name))
                .chain(outcomes)
                .chain(AFTER.iter().map(|(name, _)| *name));
            self.csv_line(names.map(str::to_owned))?;
            self.write_line()?;
        }
        Ok(())
    }

    fn second(&mut self, second: &Second) -> io::Result<()> {
        match self.format {
            SeriesFormat::Csv => {
                let text = |value: Option<u64>| value.map_or(String::new(), |v| v.to_string());
                self.csv_line(figures(second).map(|(_, value)| text(value)))?;
            }
            SeriesFormat::JsonLines => {
                let object: Map<String, Value> = figures(second)
                    .map(|(name, value)| (name.to_owned(), value.into()))
                    .collect();
                serde_json::to_writer(&mut self.line, &object)?;
                self.line.push(b'\n');
            }
        }
        self.write_line()
    }
}
