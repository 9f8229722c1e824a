//! Made-up runs, analysed.

pub(crate) mod rows;

pub(super) use rows::Figures;

use super::data::{Group, RunRef};
use crate::{
    self as observer,
    correlate::{RunAnalysis, analyse},
    recording::{RunDir, ScenarioNotes},
    scenario::{Mpm, builtin},
};

/// A run that came to its end.
pub(crate) fn run(mpm: Mpm, repetition: u32, figures: &Figures) -> RunAnalysis {
    analysed(rows::rows(mpm, repetition, figures))
}

/// A run in which httpd did not come up.
pub(crate) fn not_started(mpm: Mpm, repetition: u32) -> RunAnalysis {
    analysed(rows::rows_not_started(mpm, repetition))
}

pub(crate) fn analysed(rows: rows::Rows) -> RunAnalysis {
    let mut run = analyse(
        rows.manifest,
        rows.client,
        rows.kernel,
        &rows.tasks,
        rows.samples,
        rows.memory,
        rows.status,
    );
    run.failures = rows.failures;
    run
}

/// The group of these runs, all of the high-load scenario.
pub(super) fn group(runs: &[RunAnalysis]) -> Group {
    let scenario = builtin()
        .into_iter()
        .find(|scenario| scenario.name == "high-load")
        .expect("high-load is built in");
    let named = |run: &RunAnalysis| {
        let (mpm, repetition) = (run.manifest.mpm, run.manifest.repetition);
        RunRef {
            name: RunDir::name(&scenario.name, mpm, repetition),
            mpm,
            repetition,
            plan: run.manifest.plan().expect("a run of the lab").clone(),
        }
    };
    Group {
        runs: runs.iter().map(named).collect(),
        notes: ScenarioNotes {
            name: scenario.name.clone(),
            title: scenario.title.clone(),
            what: scenario.what.clone(),
            tutorial: scenario.tutorial.clone(),
            expects: None,
        },
    }
}

/// So many repetitions of each MPM, each with figures of its own.
pub(super) fn of_each(repetitions: u32, figures: impl Fn(Mpm, u32) -> Figures) -> Vec<RunAnalysis> {
    let mut runs = Vec::new();
    for mpm in Mpm::ALL {
        let one = |repetition| run(mpm, repetition, &figures(mpm, repetition));
        runs.extend((1..=repetitions).map(one));
    }
    runs
}

/// Three repetitions of each MPM.
pub(super) fn three_of_each(figures: impl Fn(Mpm, u32) -> Figures) -> Vec<RunAnalysis> {
    of_each(3, figures)
}
