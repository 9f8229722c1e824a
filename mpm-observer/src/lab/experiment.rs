//! An experiment: which runs, in which order, and what happens around them.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    ExposeOptions, Interrupt, LabError, Place, PlaceOptions, possible::part, progress::Progress,
};
use crate::{
    overhead::{PairsPlan, measure},
    recording::{Experiment, FORMAT, Manifest, RunDir, ScenarioNotes, Skipped, Status},
    scenario::{Mpm, RunPlan, Scenario, Size},
};

/// What is to be run, and what is to be known of it.
#[derive(Clone, Debug)]
pub struct LabOptions {
    /// The scenarios that the runs are of, in the order of the report.
    pub scenarios: Vec<ScenarioNotes>,
    /// The runs, in their order.
    pub runs: Vec<PlannedRun>,
    /// What was asked for and cannot be run here.
    pub skipped: Vec<Skipped>,
    /// Quick or full.
    pub size: Size,
    /// Where the experiment goes; made if it is not there.
    pub out: PathBuf,
    /// What the user said of httpd, user and CPUs.
    pub place: PlaceOptions,
    /// How long all events of the first repetition of each run are kept; `None`: not at all.
    pub trace: Option<Duration>,
    /// Whether the observer's own cost is measured after the runs.
    pub overhead: bool,
    /// Whether the metrics are served while it runs, and how.
    pub expose: Option<ExposeOptions>,
    /// The command line, for the record.
    pub command: Vec<String>,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Runs that were planned.
    pub planned: usize,
    /// Runs that were made to their end.
    pub made: usize,
    /// What this machine cannot run.
    pub skipped: Vec<Skipped>,
    /// Whether the user ended it early.
    pub interrupted: bool,
}

/// One run to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedRun {
    /// All its numbers.
    pub plan: RunPlan,
    /// Which repetition, from 1.
    pub repetition: u32,
}

/// What the report has to know of a scenario.
impl From<&Scenario> for ScenarioNotes {
    fn from(scenario: &Scenario) -> Self {
        Self {
            name: scenario.name.clone(),
            title: scenario.title.clone(),
            what: scenario.what.clone(),
            tutorial: scenario.tutorial.clone(),
            expects: scenario.expects.clone(),
        }
    }
}

/// The runs of scenarios, interleaved: each repetition goes over all MPMs before the next begins,
/// each time beginning with another one, so that a drift of the machine meets all alike.
/// `repetitions` goes before what the scenario says.
#[must_use]
pub fn interleaved(
    scenarios: &[Scenario],
    mpms: &[Mpm],
    size: Size,
    repetitions: Option<u32>,
) -> Vec<PlannedRun> {
    let mut runs = Vec::new();
    for scenario in scenarios {
        let mut mpms: Vec<Mpm> = scenario.mpms().filter(|mpm| mpms.contains(mpm)).collect();
        let repetitions = repetitions.unwrap_or(scenario.numbers(size).repetitions);
        for repetition in 1..=repetitions {
            runs.extend(mpms.iter().map(|&mpm| PlannedRun {
                plan: scenario.plan(mpm, size),
                repetition,
            }));
            if !mpms.is_empty() {
                mpms.rotate_left(1);
            }
        }
    }
    runs
}

/// Makes all runs. An experiment that the user interrupts ends after the current run has been
/// wound up; what was recorded stays.
///
/// What this machine cannot run is told and skipped.
///
/// # Errors
/// When something is missing that every run needs, nothing can be run at all, or the recording
/// cannot be written.
pub fn run_experiment(options: &LabOptions, interrupt: &Interrupt) -> Result<Outcome, LabError> {
    let mpms = options.runs.iter().map(|run| run.plan.mpm);
    let mut place = Place::open(&options.place, mpms)?;
    let (runs, found) = part(&options.runs, |plan| place.possible(plan));
    let mut skipped = options.skipped.clone();
    skipped.extend(found);
    if runs.is_empty() && !skipped.is_empty() {
        return Err(LabError::NothingPossible(skipped));
    }
    for skip in &skipped {
        eprintln!("skipped {skip}");
    }
    fs::create_dir_all(&options.out).map_err(|source| LabError::System {
        what: "the directory of the experiment cannot be made",
        source,
    })?;
    let mut experiment = Experiment {
        format: FORMAT,
        scenarios: options.scenarios.clone(),
        command: options.command.clone(),
        runs: Vec::new(),
        planned: u32::try_from(runs.len()).unwrap_or(u32::MAX),
        skipped: skipped.clone(),
        interrupted: false,
    };
    experiment.write(&options.out)?;
    if let Some(expose) = &options.expose {
        place.expose(expose, &options.out, interrupt)?;
    }
    let result = make_runs(&place, &runs, options, interrupt, &mut experiment);
    // What was recorded stays, whatever Prometheus says.
    if let Err(error) = place.cover(&options.out, &experiment.runs) {
        log::warn!("what Prometheus showed is not known: {error}");
    }
    if options.overhead && result.is_ok() {
        measure_overhead(&place, &runs, options, interrupt);
    }
    experiment.interrupted = interrupt.is_set();
    experiment.write(&options.out)?;
    let made = result?;
    Ok(Outcome {
        planned: runs.len(),
        made,
        skipped,
        interrupted: interrupt.is_set(),
    })
}

fn make_runs(
    place: &Place,
    runs: &[PlannedRun],
    options: &LabOptions,
    interrupt: &Interrupt,
    experiment: &mut Experiment,
) -> Result<usize, LabError> {
    let order = runs.iter().map(|run| run.plan.scenario.clone());
    let mut progress = Progress::new(order.collect());
    let mut made = 0;
    for run in runs {
        if interrupt.is_set() {
            break;
        }
        let name = RunDir::name(&run.plan.scenario, run.plan.mpm, run.repetition);
        let dir = RunDir::create(&options.out, &name)?;
        experiment.runs.push(name.clone());
        experiment.write(&options.out)?;
        progress.begin(&name);
        let manifest = {
            let tell = |doing: &str| progress.step(&name, doing);
            let trace = options.trace.filter(|_| run.repetition == 1);
            place.run(&run.plan, run.repetition, trace, &dir, interrupt, &tell)
        };
        match manifest {
            Ok(manifest) => {
                made += usize::from(manifest.status != Status::Interrupted);
                progress.end(&name, &in_one_line(&manifest));
            }
            Err(error) => {
                progress.finish();
                return Err(error);
            }
        }
    }
    progress.finish();
    Ok(made)
}

/// Measures what the observer costs on this machine, for each MPM of the lab. It is no part of
/// the runs: if it fails, they stay.
fn measure_overhead(
    place: &Place,
    runs: &[PlannedRun],
    options: &LabOptions,
    interrupt: &Interrupt,
) {
    if interrupt.is_set() {
        return;
    }
    let mpms = Mpm::ALL
        .into_iter()
        .filter(|mpm| runs.iter().any(|run| run.plan.mpm == *mpm));
    let plan = PairsPlan::short(mpms.collect(), options.size);
    let measured = measure(place.ground(interrupt), &plan);
    let written = measured.and_then(|overhead| match interrupt.is_set() {
        true => Ok(()),
        false => Ok(overhead.write(&options.out)?),
    });
    if let Err(error) = written {
        log::warn!("the observer's cost was not measured: {error}");
    }
}

/// What came of a run, for the terminal.
fn in_one_line(manifest: &Manifest) -> String {
    let mut lost = match manifest.counters.lost() {
        0 => String::new(),
        lost => format!(", {lost} EVENTS LOST"),
    };
    if manifest.trace.is_some() {
        let kept = manifest.counters.events_received();
        lost += &format!(", {kept} events traced");
        match manifest.counters.events_lost() {
            0 => {}
            events => lost += &format!(", {events} OF THE TRACE LOST"),
        }
    }
    if !manifest.server_gone {
        lost += ", HTTPD IS NOT GONE";
    }
    match (&manifest.status, &manifest.load) {
        (Status::NotStarted, _) => "httpd did not start".into(),
        (_, Some(load)) => {
            let summary = &load.summary;
            let ok = summary.outcomes.get(loadgen::Outcome::Ok);
            let p99_ms = summary.latencies.total.percentile_ns(99.0) as f64 / 1e6;
            format!(
                "{ok} of {} ok, {:.0}/s, p99 {p99_ms:.1} ms{lost}",
                summary.requests,
                summary.answers_per_second(),
            )
        }
        (status, None) => format!("{status:?}").to_lowercase(),
    }
}

/// A directory for a new experiment: `results/` and the time, with a number if need be.
#[must_use]
pub fn new_directory(base: &Path, stamp: &str) -> PathBuf {
    let mut path = base.join(stamp);
    let mut number = 2;
    while path.exists() {
        path = base.join(format!("{stamp}-{number}"));
        number += 1;
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::builtin;

    fn order(mpms: &[Mpm], repetitions: u32) -> Vec<(Mpm, u32)> {
        let scenarios: Vec<Scenario> = builtin().into_iter().take(2).collect();
        interleaved(&scenarios, mpms, Size::Quick, Some(repetitions))
            .iter()
            .map(|run| (run.plan.mpm, run.repetition))
            .collect()
    }

    #[test]
    fn repetitions_are_interleaved_over_the_mpms_with_a_changing_first_one() {
        use Mpm::{Event, Prefork, Worker};
        let order = order(&Mpm::ALL, 3);
        assert_eq!(
            order[..9],
            [
                (Prefork, 1),
                (Worker, 1),
                (Event, 1),
                (Worker, 2),
                (Event, 2),
                (Prefork, 2),
                (Event, 3),
                (Prefork, 3),
                (Worker, 3),
            ]
        );
        assert_eq!(order.len(), 18);
    }

    #[test]
    fn an_mpm_that_was_not_asked_for_is_left_out() {
        let order = order(&[Mpm::Event], 2);
        assert!(order.iter().all(|(mpm, _)| *mpm == Mpm::Event));
        assert_eq!(order.len(), 4);
    }
}
