//! Recordings of made-up runs.

use std::path::Path;

use mpm_observer::{
    self as observer,
    recording::{Experiment, FORMAT, RunDir, ScenarioNotes, TableRow, TableWriter},
    scenario::builtin,
};

#[path = "../../src/report/made_up/rows.rs"]
#[allow(dead_code, reason = "the unit tests use the rest")]
pub mod rows;

use rows::Rows;

fn write_table<R: TableRow>(dir: &RunDir, rows: &[R]) {
    let mut writer = TableWriter::create(dir.path()).unwrap();
    for row in rows {
        writer.push(row.clone()).unwrap();
    }
    writer.finish().unwrap();
}

/// Writes a run and adds its name.
pub fn write_run(experiment: &Path, names: &mut Vec<String>, rows: &Rows) -> RunDir {
    let manifest = &rows.manifest;
    let plan = manifest.plan().unwrap();
    let name = RunDir::name(&plan.scenario, plan.mpm, manifest.repetition);
    let dir = RunDir::create(experiment, &name).unwrap();
    dir.write_manifest(manifest).unwrap();
    write_table(&dir, &rows.client);
    write_table(&dir, &rows.kernel);
    write_table(&dir, &rows.tasks);
    write_table(&dir, &rows.samples);
    write_table(&dir, &rows.memory);
    write_table(&dir, &rows.status);
    write_table(&dir, &rows.failures);
    names.push(name);
    dir
}

/// Writes the experiment's own file: all runs are of the high-load scenario.
pub fn write_experiment(dir: &Path, runs: Vec<String>, title: &str, command: &str) {
    let scenario = builtin()
        .into_iter()
        .find(|scenario| scenario.name == "high-load")
        .unwrap();
    let experiment = Experiment {
        format: FORMAT,
        scenarios: vec![ScenarioNotes {
            name: scenario.name,
            title: title.into(),
            what: scenario.what,
            tutorial: scenario.tutorial,
            expects: None,
        }],
        command: vec![command.into()],
        planned: 27,
        skipped: vec![],
        runs,
        interrupted: true,
    };
    experiment.write(dir).unwrap();
}
