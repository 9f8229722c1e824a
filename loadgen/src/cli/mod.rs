//! The command line: arguments to a run, a run to text, files and an exit code.

mod args;
mod fleet;
mod live;
mod outputs;
mod signals;
mod slow_clients;
mod verbose;

use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use loadgen::{
    AbCounter, Condition, Config, Error, Outcome, Progress, RowSink, Summary, Violation, report,
};

use args::Args;
use args::cluster::WorkerArgs;
use live::Live;
use outputs::Outputs;
use slow_clients::SlowClients;

/// All requests were answered with a status below 400.
const EXIT_OK: u8 = 0;
/// Some were not, an output file is not complete, a worker was lost, or a slow client was
/// not held.
const EXIT_FAILED: u8 = 1;
/// Bad usage.
const EXIT_USAGE: u8 = 2;
/// The run could not be carried out.
const EXIT_NO_RUN: u8 = 3;
/// A condition of `--fail-if` or `--stop-if` held.
const EXIT_CONDITION: u8 = 4;
/// Ended by Ctrl-C or SIGTERM; what was measured until then was printed.
const EXIT_INTERRUPTED: u8 = 130;

/// Runs the program. Bad arguments end it right here, with exit code 2.
pub fn main() -> ExitCode {
    let code = if WorkerArgs::are_given() {
        fleet::serve().map(|()| EXIT_OK)
    } else {
        run(&Args::parse())
    };
    ExitCode::from(code.unwrap_or_else(|error| {
        tell(&format!("{error:#}"));
        match error.downcast_ref::<Error>() {
            Some(
                Error::BadUrl { .. }
                | Error::BadConfig(_)
                | Error::TooFewFiles { .. }
                | Error::TooFewPorts { .. }
                | Error::EngineUnavailable { .. },
            ) => EXIT_USAGE,
            _ if signals::was_interrupted() => EXIT_INTERRUPTED,
            _ => EXIT_NO_RUN,
        }
    }))
}

fn run(args: &Args) -> anyhow::Result<u8> {
    let config = args.config()?;
    loadgen::raise_open_file_limit().context("cannot raise the limit of open files")?;
    let ab_counter = args.ab.rules(&config).map(AbCounter::new);
    let mut sinks: Vec<Box<dyn RowSink>> = Vec::new();
    if let Some(counter) = &ab_counter {
        sinks.push(Box::new(counter.clone()));
    }
    let level = args.ab.verbosity;
    if level >= 1 {
        sinks.push(Box::new(verbose::Verbose { level }));
    }
    // The rows of workers on other machines come after the run: nothing to draw of them.
    let is_local = args.cluster.workers.is_empty();
    let live = (!args.ab.quiet).then(|| Live::new(args.view.plain || !is_local));
    sinks.extend(live.iter().filter(|_| is_local).map(Live::sink));
    let (outputs, sink) = Outputs::create(args, &config, sinks)?;
    if level >= 2 {
        print(&verbose::request(&config))?;
    }
    let stop = signals::stop_at_interrupt().context("cannot catch Ctrl-C")?;

    let slow = SlowClients::start(&args.hold, &config, args.ab.quiet, stop)?;
    if let Some(duration) = args.hold.alone(&config) {
        slow.wait(duration, args.ab.quiet, stop);
        let (text, all_held) = slow.finish()?;
        print(&text)?;
        return Ok(match all_held {
            _ if signals::was_interrupted() => EXIT_INTERRUPTED,
            true => EXIT_OK,
            false => EXIT_FAILED,
        });
    }

    let progress = Progress::new();
    let (summary, workers) = std::thread::scope(|scope| {
        let shown = live
            .as_ref()
            .map(|live| live.show(scope, &config, &progress));
        let run = if is_local {
            let summary = loadgen::run(&config, sink, &progress, stop);
            summary.map(|summary| (summary, None)).map_err(Into::into)
        } else {
            let threads_each = args.threads_per_worker();
            fleet::run(&args.cluster, threads_each, &config, sink, &progress, stop)
                .map(|(summary, report)| (summary, Some(report)))
        };
        drop(shown);
        run
    })?;

    let mut text = figures(args, &config, &summary, ab_counter.as_ref());
    let mut code = exit_code(&args.output.fail_if, &summary);
    for violation in violations(&args.output.fail_if, &summary) {
        tell(&format!("--fail-if {violation}"));
    }
    let (slow_text, all_held) = slow.finish()?;
    text.push_str(&slow_text);
    if !all_held {
        code = code.max(EXIT_FAILED);
    }
    if let Some(workers) = &workers {
        text.push_str(&workers.text());
        if !workers.is_complete() {
            code = code.max(EXIT_FAILED);
        }
    }
    for error in outputs.complete(&config, &summary, workers) {
        tell(&format!("{error:#}"));
        code = code.max(EXIT_FAILED);
    }
    print(&text)?;
    Ok(code)
}

fn figures(args: &Args, config: &Config, summary: &Summary, ab: Option<&AbCounter>) -> String {
    let ab_table = ab.map(|ab| report::ab_table(&ab.counts(), summary));
    let ab_table = ab_table.unwrap_or_default();
    match args.ab.html() {
        Some(attributes) => {
            let table = report::html(config, summary, &attributes);
            match ab_table.is_empty() {
                true => table,
                false => format!("{table}<pre>{ab_table}</pre>\n"),
            }
        }
        None => report::text(config, summary, args.ab.layout()) + &ab_table,
    }
}

fn exit_code(fail_if: &[Condition], summary: &Summary) -> u8 {
    let bad = summary.failed() + summary.outcomes.get(Outcome::Non2xx);
    // Who names conditions says by them what is bad.
    let is_bad = fail_if.is_empty() && bad > 0;
    if signals::was_interrupted() {
        EXIT_INTERRUPTED
    } else if violations(fail_if, summary).next().is_some() || summary.stopped_by.is_some() {
        EXIT_CONDITION
    } else if is_bad || summary.rows.error.is_some() {
        EXIT_FAILED
    } else {
        EXIT_OK
    }
}

fn violations(fail_if: &[Condition], summary: &Summary) -> impl Iterator<Item = Violation> {
    fail_if
        .iter()
        .filter_map(|condition| condition.check(summary))
}

/// A line to standard error; that nobody reads it is no error.
fn tell(text: &str) {
    let _ = writeln!(io::stderr(), "loadgen: {text}");
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
