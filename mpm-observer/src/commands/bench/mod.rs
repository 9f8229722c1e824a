//! `mpm-observer __bench`: measurements of the observer and the load generator, one file each.
//!
//! They are subcommands and no benches of cargo, because httpd's guard and the client are this
//! program's hidden subcommands too; and another executable would link all libraries once more.

mod ab;
mod collector;
mod conservation;
mod limits;
mod loadgen;
mod overhead;
mod probes;
mod soak;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::exit::{self, CommandResult, Exit};
use crate::{
    kernel::provide_tracefs,
    lab::{Interrupt, LabError, LabOptions, Place, PlaceOptions, interleaved, run_experiment},
    recording::ScenarioNotes,
    scenario::{Mpm, Scenario, Size},
};

/// Options of `__bench`.
#[derive(Debug, Args)]
pub(super) struct BenchArguments {
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Debug, Subcommand)]
enum Bench {
    /// What ab, loadgen and the server count in the tutorial's commands, side by side
    Ab(ab::AbArguments),
    /// What the collector takes, and whether it keeps up
    Collector(collector::CollectorArguments),
    /// Whether the time of every request adds up, every request is seen, every count is right
    Conservation(conservation::ConservationArguments),
    /// Whether each limit that is run into is named, and nothing where nothing failed
    Limits(limits::LimitsArguments),
    /// What loadgen costs its own machine, in pairs, beside wrk, ab and oha
    Loadgen(loadgen::LoadgenArguments),
    /// What watching costs httpd, in pairs, beside bpftrace and strace
    Overhead(overhead::OverheadArguments),
    /// What each eBPF program costs per request
    Probes(probes::ProbesArguments),
    /// Whether anything grows while children, connections and whole servers come and go
    Soak(soak::SoakArguments),
}

/// What all benches take.
#[derive(Debug, Args)]
struct Common {
    /// MPMs to measure, separated by commas
    #[arg(long, value_delimiter = ',', default_value = "prefork,worker,event")]
    mpm: Vec<Mpm>,
    /// The httpd to run [default: the one installed]
    #[arg(long, value_name = "PATH")]
    httpd: Option<PathBuf>,
}

impl Common {
    /// Gets ready, and takes the signals that end a bench. To be called before any thread is
    /// started.
    fn prepare(&self) -> Result<Interrupt, (Exit, String)> {
        if nix::unistd::geteuid().is_root() {
            provide_tracefs().map_err(|error| (Exit::Missing, error.to_string()))?;
        }
        Interrupt::on_signals()
            .map_err(|error| (Exit::Failed, format!("signals cannot be caught: {error}")))
    }

    /// What the user says of where the bench is made.
    fn place(&self) -> PlaceOptions {
        PlaceOptions {
            httpd: self.httpd.clone(),
            ..PlaceOptions::default()
        }
    }

    /// Where a bench is made that is no experiment.
    fn open(&self) -> Result<Place, (Exit, String)> {
        Place::open(&self.place(), self.mpm.iter().copied()).map_err(failed)
    }

    /// Makes an experiment of `repetitions` in `out`; `None` if the user interrupted it.
    fn experiment(
        &self,
        scenarios: &[Scenario],
        size: Size,
        repetitions: u32,
        out: Option<&Path>,
    ) -> Result<Option<PathBuf>, (Exit, String)> {
        let interrupt = self.prepare()?;
        let Some(out) = out else {
            return Err((
                Exit::Usage,
                "--out or --from is needed: where the experiment goes, or where one is".into(),
            ));
        };
        let options = LabOptions {
            scenarios: scenarios.iter().map(ScenarioNotes::from).collect(),
            runs: interleaved(scenarios, &self.mpm, size, Some(repetitions)),
            skipped: Vec::new(),
            size,
            out: out.to_owned(),
            place: self.place(),
            overhead: false,
            trace: None,
            expose: None,
            command: std::env::args().collect(),
        };
        let outcome = run_experiment(&options, &interrupt).map_err(failed)?;
        Ok((!outcome.interrupted).then(|| out.to_owned()))
    }
}

/// Runs it.
pub(super) fn run(arguments: &BenchArguments) -> CommandResult {
    match &arguments.bench {
        Bench::Ab(arguments) => ab::run(arguments),
        Bench::Collector(arguments) => collector::run(arguments),
        Bench::Conservation(arguments) => conservation::run(arguments),
        Bench::Limits(arguments) => limits::run(arguments),
        Bench::Loadgen(arguments) => loadgen::run(arguments),
        Bench::Overhead(arguments) => overhead::run(arguments),
        Bench::Probes(arguments) => probes::run(arguments),
        Bench::Soak(arguments) => soak::run(arguments),
    }
}

fn failed(error: LabError) -> (Exit, String) {
    exit::failed(error.is_prerequisite(), &error)
}
