//! `mpm-observer lab`

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use clap::Args;

use super::{
    exit::{CommandResult, Exit, failed},
    place::PlaceArguments,
};
use crate::{
    lab::{ExposeOptions, Interrupt, LabOptions, interleaved, new_directory, run_experiment},
    recording::ScenarioNotes,
    report,
    scenario::{Mpm, Scenario, Set, Size, builtin, of_set},
};

/// A trace keeps every event, some hundred thousand a second.
const MOST_TRACED_MS: u64 = 10_000;

/// Options of `lab`.
#[derive(Debug, Args)]
pub(super) struct LabArguments {
    /// The tutorial's own numbers instead of the quick ones
    #[arg(long)]
    full: bool,
    /// A built-in scenario or a set of them (tutorial, limits) by name, a TOML file, or a
    /// directory of them; may be repeated [default: tutorial; with --full, all that are built in]
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
    #[command(flatten)]
    place: PlaceArguments,
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
    /// Serve the metrics of all runs meanwhile, let a Prometheus watch, and report what it showed
    /// of each incident
    #[arg(
        long,
        value_name = "ADDRESS:PORT",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "127.0.0.1:9117"
    )]
    serve: Option<SocketAddr>,
    /// The program of that Prometheus [default: the first on the PATH, if there is one]
    #[arg(long, value_name = "PATH", requires = "serve")]
    prometheus: Option<PathBuf>,
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
        for set in Set::ALL {
            println!("{}:", set.name());
            for scenario in of_set(set) {
                println!("  {:20} {}", scenario.name, scenario.what);
            }
        }
        return Ok(Exit::Done);
    }
    let size = if arguments.full {
        Size::Full
    } else {
        Size::Quick
    };
    let scenarios = choose(&arguments.scenarios, size).map_err(|text| (Exit::Usage, text))?;
    let interrupt = Interrupt::on_signals()
        .map_err(|error| (Exit::Failed, format!("signals cannot be caught: {error}")))?;
    let out = arguments
        .out
        .unwrap_or_else(|| new_directory(Path::new("results"), &stamp()));
    let options = LabOptions {
        scenarios: scenarios.iter().map(ScenarioNotes::from).collect(),
        runs: interleaved(&scenarios, &arguments.mpm, size, arguments.repetitions),
        skipped: Vec::new(),
        size,
        out: out.clone(),
        place: arguments.place.into(),
        trace: arguments.trace.map(Duration::from_millis),
        overhead: !arguments.no_overhead,
        expose: arguments.serve.map(|listen| ExposeOptions {
            listen,
            prometheus: arguments.prometheus,
        }),
        command: std::env::args().collect(),
    };
    let outcome = run_experiment(&options, &interrupt)
        .map_err(|error| failed(error.is_prerequisite(), &error))?;
    if outcome.made == 0 {
        return Err((
            Exit::Interrupted,
            format!("interrupted before a run had ended; {}", out.display()),
        ));
    }
    eprintln!("drawing the report …");
    let report = report::make_report(&out).map_err(|error| (Exit::Failed, error.to_string()))?;
    if !report.table.is_empty() {
        println!("{}", report.table);
    }
    println!("{}", report.summary);
    let skipped = match outcome.skipped.len() {
        0 => String::new(),
        skipped => format!(" ({skipped} skipped: cannot be run here, see above)"),
    };
    println!(
        "{} of {} runs recorded in {}{skipped}",
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

fn choose(wanted: &[String], size: Size) -> Result<Vec<Scenario>, String> {
    if wanted.is_empty() {
        return Ok(match size {
            Size::Quick => of_set(Set::Tutorial),
            Size::Full => builtin(),
        });
    }
    let mut chosen: Vec<Scenario> = Vec::new();
    for name in wanted {
        for scenario in named(name)? {
            if chosen.iter().any(|other| other.name == scenario.name) {
                return Err(format!("the scenario {:?} was named twice", scenario.name));
            }
            chosen.push(scenario);
        }
    }
    Ok(chosen)
}

/// The scenarios of a name: of a set, one that is built in, or those of a file or directory.
pub(super) fn named(name: &str) -> Result<Vec<Scenario>, String> {
    if let Some(set) = Set::ALL.into_iter().find(|set| set.name() == name) {
        return Ok(of_set(set));
    }
    let known = builtin();
    if let Some(scenario) = known.iter().find(|scenario| scenario.name == name) {
        return Ok(vec![scenario.clone()]);
    }
    if Path::new(name).exists() {
        return Scenario::load_all(Path::new(name)).map_err(|error| error.to_string());
    }
    let names: Vec<&str> = known.iter().map(|known| &*known.name).collect();
    Err(format!(
        "there is no scenario, set or file {name:?}; built in are {}",
        names.join(", ")
    ))
}

/// Date and time of now in UTC, fit for a file name.
pub(super) fn stamp() -> String {
    let seconds = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    report::utc(seconds).replace([':', ' '], "-")
}
