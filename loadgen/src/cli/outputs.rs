//! The files of a run: opened before it, completed after it.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use loadgen::cluster::FleetReport;
use loadgen::output::{
    About, BySecond, HdrLog, RowFormat, Series, SeriesFormat, SharedCourse, picture,
};
use loadgen::report::{Gnuplot, JsonReport, percentages_csv};
use loadgen::{Config, Row, RowSink, Summary, Tee};

use super::args::Args;

/// Files that are written when the run is over.
pub(super) struct Outputs {
    json: Option<(PathBuf, File)>,
    csv: Option<(PathBuf, File)>,
    plot: Option<(PathBuf, File, SharedCourse)>,
}

impl Outputs {
    /// Creates all files, so that a bad path fails in the first second and not after the
    /// last. The sink writes those that are written while the run goes on, and passes the
    /// rows on to `sinks`.
    pub(super) fn create(
        args: &Args,
        config: &Config,
        mut sinks: Vec<Box<dyn RowSink>>,
    ) -> anyhow::Result<(Self, Option<Box<dyn RowSink>>)> {
        let (args, ab) = (&args.output, &args.ab);
        let about = About::new(config);
        for path in &args.rows {
            let sink = RowFormat::of(path).sink(create(path)?, &about);
            let sink = sink.with_context(|| format!("cannot write {}", path.display()))?;
            sinks.push(Named::boxed(path, sink));
        }
        for path in &args.series {
            let series = Series::new(create(path)?, SeriesFormat::of(path));
            let sink = BySecond::new(series, config, about.clone());
            sinks.push(Named::boxed(path, Box::new(sink)));
        }
        if let Some(path) = &args.hdr_log {
            let sink = BySecond::new(HdrLog::new(create(path)?), config, about);
            sinks.push(Named::boxed(path, Box::new(sink)));
        }
        if let Some(path) = &ab.gnuplot {
            let sink = Gnuplot::new(create(path)?);
            sinks.push(Named::boxed(path, Box::new(sink)));
        }
        let mut outputs = Self {
            json: None,
            csv: None,
            plot: None,
        };
        if let Some(path) = &args.json {
            outputs.json = Some((path.clone(), create(path)?));
        }
        if let Some(path) = &ab.csv {
            outputs.csv = Some((path.clone(), create(path)?));
        }
        if let Some(path) = &args.plot {
            let course = SharedCourse::default();
            sinks.push(Box::new(course.clone()));
            outputs.plot = Some((path.clone(), create(path)?, course));
        }
        let sink = (!sinks.is_empty()).then(|| Box::new(Tee::new(sinks)) as Box<dyn RowSink>);
        Ok((outputs, sink))
    }

    /// Writes what waits for the end of the run; returns what could not be written.
    pub(super) fn complete(
        self,
        config: &Config,
        summary: &Summary,
        workers: Option<FleetReport>,
    ) -> Vec<anyhow::Error> {
        let mut errors = Vec::new();
        let mut written = |path: &Path, result: anyhow::Result<()>| {
            let result = result.with_context(|| format!("cannot write {}", path.display()));
            errors.extend(result.err());
        };
        if let Some((path, file)) = self.json {
            let report = JsonReport {
                workers,
                ..JsonReport::new(config, summary.clone())
            };
            written(&path, write_json(file, &report).map_err(Into::into));
        }
        if let Some((path, mut file)) = self.csv {
            let text = percentages_csv(&summary.latencies.total);
            written(&path, file.write_all(text.as_bytes()).map_err(Into::into));
        }
        if let Some((path, mut file, course)) = self.plot {
            let png = picture(config, summary, course.take());
            let result = png.map_err(anyhow::Error::from);
            written(&path, result.and_then(|png| Ok(file.write_all(&png)?)));
        }
        errors
    }
}

fn create(path: &Path) -> anyhow::Result<File> {
    File::create(path).with_context(|| format!("cannot create {}", path.display()))
}

fn write_json(file: File, report: &JsonReport) -> io::Result<()> {
    let mut file = BufWriter::new(file);
    serde_json::to_writer_pretty(&mut file, report)?;
    file.write_all(b"\n")?;
    file.flush()
}

/// A sink whose errors name its file.
struct Named {
    path: PathBuf,
    sink: Box<dyn RowSink>,
}

impl Named {
    fn boxed(path: &Path, sink: Box<dyn RowSink>) -> Box<dyn RowSink> {
        let path = path.to_owned();
        Box::new(Self { path, sink })
    }

    fn named(&self, result: io::Result<()>) -> io::Result<()> {
        result.map_err(|error| {
            io::Error::new(error.kind(), format!("{}: {error}", self.path.display()))
        })
    }
}

impl RowSink for Named {
    fn begin(&mut self, started_ns: u64) -> io::Result<()> {
        let result = self.sink.begin(started_ns);
        self.named(result)
    }

    fn rows(&mut self, rows: &[Row]) -> io::Result<()> {
        let result = self.sink.rows(rows);
        self.named(result)
    }

    fn finish(&mut self) -> io::Result<()> {
        let result = self.sink.finish();
        self.named(result)
    }
}
