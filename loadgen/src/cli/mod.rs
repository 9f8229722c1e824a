//! The command line: arguments to a run, a run to text, files and an exit code.

mod args;
mod live;
mod signals;

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use loadgen::report::{self, JsonReport};
use loadgen::{Error, Outcome, Progress, RowSink, RowWriter, Summary, Tee};

use args::Args;
use live::Live;

/// All requests were answered with a status below 400.
const EXIT_OK: u8 = 0;
/// Some were not, or an output file is not complete.
const EXIT_FAILED: u8 = 1;
/// Bad usage.
const EXIT_USAGE: u8 = 2;
/// The run could not be carried out.
const EXIT_NO_RUN: u8 = 3;
/// Ended by Ctrl-C or SIGTERM; what was measured until then was printed.
const EXIT_INTERRUPTED: u8 = 130;

/// Runs the program. Bad arguments end it right here, with exit code 2.
pub fn main() -> ExitCode {
    let args = Args::parse();
    ExitCode::from(run(&args).unwrap_or_else(|error| {
        let _ = writeln!(io::stderr(), "loadgen: {error:#}");
        match error.downcast_ref::<Error>() {
            Some(Error::BadUrl { .. } | Error::BadConfig(_) | Error::TooFewFiles { .. }) => {
                EXIT_USAGE
            }
            _ => EXIT_NO_RUN,
        }
    }))
}

fn run(args: &Args) -> anyhow::Result<u8> {
    let config = args.config()?;
    loadgen::raise_open_file_limit().context("cannot raise the limit of open files")?;
    // Before the run: a bad path fails in the first second, not after the last.
    let json = args.output.json.as_deref().map(create).transpose()?;
    let rows = args.output.rows.as_deref().map(create).transpose()?;
    let mut sinks: Vec<Box<dyn RowSink>> = Vec::new();
    if let Some(file) = rows {
        sinks.push(Box::new(RowWriter::new(file)));
    }
    let live = (!args.is_quiet()).then(|| Live::new(args.view.plain));
    sinks.extend(live.iter().map(Live::sink));
    let sink = (!sinks.is_empty()).then(|| Box::new(Tee(sinks)) as Box<dyn RowSink>);
    let stop = signals::stop_at_interrupt().context("cannot catch Ctrl-C")?;

    let progress = Progress::new();
    let summary = std::thread::scope(|scope| {
        let shown = live
            .as_ref()
            .map(|live| live.show(scope, &config, &progress));
        let summary = loadgen::run(&config, sink, &progress, stop);
        drop(shown);
        summary
    })?;

    let text = report::text(&config, &summary);
    let mut code = exit_code(&summary, signals::was_interrupted());
    if let (Some(file), Some(path)) = (json, &args.output.json) {
        let report = JsonReport::new(&config, summary);
        if let Err(error) = write_json(file, &report) {
            let _ = writeln!(
                io::stderr(),
                "loadgen: cannot write {}: {error}",
                path.display()
            );
            code = code.max(EXIT_FAILED);
        }
    }
    print(&text)?;
    Ok(code)
}

fn exit_code(summary: &Summary, interrupted: bool) -> u8 {
    let bad = summary.failed() + summary.outcomes.get(Outcome::Non2xx);
    if interrupted {
        EXIT_INTERRUPTED
    } else if bad > 0 || summary.rows.error.is_some() {
        EXIT_FAILED
    } else {
        EXIT_OK
    }
}

fn create(path: &std::path::Path) -> anyhow::Result<File> {
    File::create(path).with_context(|| format!("cannot create {}", path.display()))
}

fn write_json(file: File, report: &JsonReport) -> io::Result<()> {
    let mut file = io::BufWriter::new(file);
    serde_json::to_writer_pretty(&mut file, report)?;
    file.write_all(b"\n")?;
    file.flush()
}

/// Prints to standard output; that nobody reads it any more is no error.
fn print(text: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout();
    match stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
    {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(error).context("cannot write to standard output")
        }
        _ => Ok(()),
    }
}
