//! `mpm-observer lab`

use std::{
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use clap::Args;

use super::exit::{CommandResult, Exit};
use crate::{
    kernel::provide_tracefs,
    lab::{Interrupt, LabOptions, new_directory, run_experiment},
    report,
    scenario::{Mpm, Scenario, Size, builtin},
};

/// A trace keeps every event, some hundred thousand a second.
const MOST_TRACED_MS: u64 = 10_000;

/// Options of `lab`.
#[derive(Debug, Args)]
pub(super) struct LabArguments {
    /// The tutorial's own numbers instead of the quick ones
    #[arg(long)]
    full: bool,
    /// A built-in scenario by name, a TOML file, or a directory of them; may be repeated
    /// [default: all built-in scenarios]
    #[arg(long = "scenario", value_name = "NAME|PATH")]
    scenarios: Vec<String>,
    /// MPMs to run, separated by commas
    #[arg(long, value_delimiter = ',', default_value = "prefork,worker,event")]
    mpm: Vec<Mpm>,
    /// Repetitions of each run [default: as the scenario says]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    repetitions: Option<u32>,
    /// Directory for the recording and the report [default: results/DATE-TIME]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// The httpd to run [default: the one installed]
    #[arg(long, value_name = "PATH")]
    httpd: Option<PathBuf>,
    /// The user that httpd's children and the load generator run as [default: nobody]
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// CPUs of httpd, as 0,2 [default: the first half]
    #[arg(long, value_delimiter = ',', value_name = "LIST")]
    server_cpus: Option<Vec<usize>>,
    /// CPUs of the load generator and the observer [default: the second half]
    #[arg(long, value_delimiter = ',', value_name = "LIST")]
    client_cpus: Option<Vec<usize>>,
    /// Keep all events of so many milliseconds from the begin of the load on, of the first
    /// repetition of each run: a timeline and a Perfetto trace in the report
    #[arg(
        long,
        value_name = "MS",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "300",
        value_parser = clap::value_parser!(u64).range(1..=MOST_TRACED_MS)
    )]
    trace: Option<u64>,
    /// Do not measure the observer's own cost after the runs
    #[arg(long)]
    no_overhead: bool,
    /// List the built-in scenarios and end
    #[arg(long)]
    list: bool,
}

/// Runs it.
pub(super) fn run(arguments: LabArguments) -> CommandResult {
    if arguments.list {
        for scenario in builtin() {
            println!("{:20} {}", scenario.name, scenario.what);
        }
        return Ok(Exit::Done);
    }
    let scenarios = choose(&arguments.scenarios).map_err(|text| (Exit::Usage, text))?;
    // Before any thread: they would not share the mount.
    if nix::unistd::geteuid().is_root() {
        provide_tracefs().map_err(|error| (Exit::Missing, error.to_string()))?;
    }
    let interrupt = Interrupt::on_signals()
        .map_err(|error| (Exit::Failed, format!("signals cannot be caught: {error}")))?;
    let out = arguments
        .out
        .unwrap_or_else(|| new_directory(Path::new("results"), &stamp()));
    let options = LabOptions {
        scenarios,
        mpms: arguments.mpm,
        size: if arguments.full {
            Size::Full
        } else {
            Size::Quick
        },
        repetitions: arguments.repetitions,
        out: out.clone(),
        httpd: arguments.httpd,
        user: arguments.user,
        server_cpus: arguments.server_cpus,
        client_cpus: arguments.client_cpus,
        trace: arguments.trace.map(Duration::from_millis),
        overhead: !arguments.no_overhead,
        command: std::env::args().collect(),
    };
    let outcome = run_experiment(&options, &interrupt).map_err(|error| {
        let exit = if error.is_prerequisite() {
            Exit::Missing
        } else {
            Exit::Failed
        };
        (exit, error.to_string())
    })?;
    if outcome.made == 0 {
        return Err((
            Exit::Interrupted,
            format!("interrupted before a run had ended; {}", out.display()),
        ));
    }
    eprintln!("drawing the report …");
    let report = report::make_report(&out).map_err(|error| (Exit::Failed, error.to_string()))?;
    println!("{}", report.summary);
    println!(
        "{} of {} runs recorded in {}",
        outcome.made,
        outcome.planned,
        out.display()
    );
    println!("report: {}", report.html.display());
    Ok(if outcome.interrupted {
        Exit::Interrupted
    } else {
        Exit::Done
    })
}

fn choose(wanted: &[String]) -> Result<Vec<Scenario>, String> {
    if wanted.is_empty() {
        return Ok(builtin());
    }
    let mut chosen: Vec<Scenario> = Vec::new();
    for name in wanted {
        let found = match builtin()
            .into_iter()
            .find(|scenario| scenario.name == *name)
        {
            Some(scenario) => vec![scenario],
            None if Path::new(name).exists() => {
                Scenario::load_all(Path::new(name)).map_err(|error| error.to_string())?
            }
            None => {
                let names: Vec<String> = builtin().into_iter().map(|known| known.name).collect();
                return Err(format!(
                    "there is no scenario or file {name:?}; built in are {}",
                    names.join(", ")
                ));
            }
        };
        for scenario in found {
            if chosen.iter().any(|other| other.name == scenario.name) {
                return Err(format!("the scenario {:?} was named twice", scenario.name));
            }
            chosen.push(scenario);
        }
    }
    Ok(chosen)
}

/// Date and time of now in UTC, fit for a file name.
fn stamp() -> String {
    let seconds = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    report::utc(seconds).replace([':', ' '], "-")
}
