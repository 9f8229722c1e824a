//! From the runs of an experiment to findings.

use std::path::Path;

use serde::Serialize;
use thiserror::Error;

use super::{
    Evidence, Finding, RunEvidence,
    evidence::was_stopped,
    observation::{Claimed, Observation, Seen},
    rules::{RULES, Rule},
};
use crate::{
    correlate::load_run,
    recording::{Experiment, RecordingError, RunDir, Skipped, Status, is_of_one_server},
    scenario::{Mpm, RunPlan},
    wording::plural,
};

/// Why findings cannot be told.
#[derive(Debug, Error)]
pub enum FindingsError {
    /// The directory is no experiment, or its own file is broken.
    #[error("cannot read the recording: {0}; name the directory that `lab` or `record` wrote")]
    Experiment(#[from] RecordingError),
    /// No run is of the scenario that was asked for.
    #[error("no run is of the scenario {wanted:?}; there are {}", .known.join(", "))]
    Scenario {
        /// Its name.
        wanted: String,
        /// Scenarios that have runs.
        known: Vec<String>,
    },
    /// A scenario was asked for, and the recording is of a live server.
    #[error("there is no scenario {0:?}: this is the recording of a live server; leave it out")]
    NoScenario(String),
}

/// What was found of one MPM in one scenario.
#[derive(Clone, Debug, Serialize)]
pub struct Group {
    /// The scenario; empty of a live server.
    pub scenario: String,
    /// Its title.
    pub title: String,
    /// The MPM.
    pub mpm: Mpm,
    /// Repetitions that were looked at.
    pub runs: u32,
    /// The plan of these runs; `None` of a live server.
    pub plan: Option<RunPlan>,
    /// The findings, the strongest first. None: nothing failed, as far as `blind` does not say
    /// otherwise.
    pub findings: Vec<Finding>,
    /// What keeps failures from being known, each in one line with its run.
    pub blind: Vec<String>,
}

/// What was found in an experiment.
#[derive(Clone, Debug, Serialize)]
pub struct Explained {
    /// By scenario in the order of the experiment, and by MPM.
    pub groups: Vec<Group>,
    /// Runs that were not looked at, with the reason.
    pub left_out: Vec<(String, String)>,
    /// What this machine could not run.
    pub skipped: Vec<Skipped>,
}

/// Explains the runs of an experiment, of one scenario if one is named, or the recording of a
/// live server. One run after the other is read, so that the rows of only one are in memory.
///
/// # Errors
/// When the directory is no experiment, or has no run of the scenario, as that of a live server
/// never has. A run that cannot be read is left out and named.
pub fn explain(dir: &Path, scenario: Option<&str>) -> Result<Explained, FindingsError> {
    if is_of_one_server(dir) {
        return match scenario {
            Some(wanted) => Err(FindingsError::NoScenario(wanted.to_owned())),
            None => explain_server(dir),
        };
    }
    let experiment = Experiment::read(dir)?;
    let mut left_out = Vec::new();
    let mut runs: Vec<(String, RunPlan, u32)> = Vec::new();
    for name in &experiment.runs {
        let manifest = match RunDir::of(dir, name).read_manifest() {
            Ok(manifest) => manifest,
            Err(error) => {
                left_out.push((
                    name.clone(),
                    format!("its manifest cannot be read: {error}"),
                ));
                continue;
            }
        };
        let why = match &manifest.status {
            Status::Complete | Status::NotStarted => None,
            Status::Running => Some("cut off: the lab ended before the run did".to_owned()),
            Status::Interrupted => Some("interrupted by the user".to_owned()),
            Status::Failed(why) => Some(format!("the observer failed: {why}")),
        };
        match why {
            Some(why) => left_out.push((name.clone(), why)),
            None => match manifest.plan() {
                Some(plan) => runs.push((name.clone(), plan.clone(), manifest.repetition)),
                None => left_out.push((
                    name.clone(),
                    "it is of a live server: name its own directory".to_owned(),
                )),
            },
        }
    }
    let mut scenarios: Vec<String> = Vec::new();
    for (_, plan, _) in &runs {
        if !scenarios.contains(&plan.scenario) {
            scenarios.push(plan.scenario.clone());
        }
    }
    if let Some(wanted) = scenario {
        if !scenarios.iter().any(|name| name == wanted) {
            return Err(FindingsError::Scenario {
                wanted: wanted.to_owned(),
                known: scenarios,
            });
        }
        scenarios.retain(|name| name == wanted);
    }
    let mut groups = Vec::new();
    for scenario in &scenarios {
        let notes = experiment
            .scenarios
            .iter()
            .find(|notes| notes.name == *scenario);
        let title = notes.map_or_else(|| scenario.clone(), |notes| notes.title.clone());
        for mpm in Mpm::ALL {
            let of_mpm = runs
                .iter()
                .filter(|(_, plan, _)| plan.scenario == *scenario && plan.mpm == mpm);
            let mut looks = Vec::new();
            for (name, ..) in of_mpm {
                let run_dir = RunDir::of(dir, name);
                match load_run(&run_dir) {
                    Ok(run) => looks.push(look(&RunEvidence::read(&run_dir, name, &run))),
                    Err(error) => {
                        left_out
                            .push((name.clone(), format!("its tables cannot be read: {error}")));
                    }
                }
            }
            groups.extend(group(&title, &looks));
        }
    }
    Ok(Explained {
        groups,
        left_out,
        skipped: experiment.skipped,
    })
}

/// The one recording of a live server.
fn explain_server(dir: &Path) -> Result<Explained, FindingsError> {
    let run_dir = RunDir::at(dir);
    let run = load_run(&run_dir)?;
    let pid = run.manifest.live().map_or(0, |live| live.pid);
    let stopped = match was_stopped(&run) {
        true => ", which was stopped while it was recorded",
        false => "",
    };
    let title = format!("httpd, {} (pid {pid}){stopped}", run.manifest.mpm);
    let look = look(&RunEvidence::read(&run_dir, "recording", &run));
    Ok(Explained {
        groups: group(&title, &[look]).into_iter().collect(),
        left_out: Vec::new(),
        skipped: Vec::new(),
    })
}

/// What the rules saw in one run.
#[derive(Clone, Debug)]
pub struct Look {
    name: String,
    repetition: u32,
    mpm: Mpm,
    plan: Option<RunPlan>,
    /// For each of the rules.
    seen: Vec<Option<Observation>>,
    blind: Vec<String>,
}

/// Lets all rules look at a run.
#[must_use]
pub fn look(run: &RunEvidence<'_>) -> Look {
    let mut claimed = Claimed::default();
    let mut seen = Vec::new();
    for rule in RULES {
        let mut observation = (rule.observe)(run, &claimed);
        if let Some(observation) = &mut observation {
            observation.settle(run);
            claimed.add(observation);
        }
        seen.push(observation);
    }
    Look {
        name: run.name.to_owned(),
        repetition: run.run.manifest.repetition,
        mpm: run.mpm(),
        plan: run.plan().cloned(),
        seen,
        blind: run.blind_spots(),
    }
}

/// The findings of one MPM in one scenario from the looks at its repetitions; `None` without any.
#[must_use]
pub fn group(title: &str, looks: &[Look]) -> Option<Group> {
    let first = looks.first()?;
    let plan = first.plan.clone();
    let of_runs = u32::try_from(looks.len()).unwrap_or(u32::MAX);
    let mut findings: Vec<Finding> = RULES
        .iter()
        .enumerate()
        .filter_map(|(place, rule)| finding(rule, place, looks, of_runs))
        .collect();
    findings.sort_by(|a, b| b.weight.total_cmp(&a.weight));
    Some(Group {
        scenario: scenario_of(plan.as_ref()),
        title: title.to_owned(),
        mpm: first.mpm,
        runs: of_runs,
        findings,
        blind: blind(looks, |_| true),
        plan,
    })
}

fn finding(rule: &Rule, place: usize, looks: &[Look], of_runs: u32) -> Option<Finding> {
    let first = looks.first()?;
    let plan = first.plan.as_ref();
    let seen_in: Vec<(&Look, &Observation)> = looks
        .iter()
        .filter_map(|look| Some((look, look.seen[place].as_ref()?)))
        .collect();
    if seen_in.is_empty() {
        return None;
    }
    let all: Vec<Observation> = seen_in.iter().map(|(_, seen)| (*seen).clone()).collect();
    let seen = Seen {
        mpm: first.mpm,
        plan,
        of_runs,
        all: &all,
    };
    let mut missing: Vec<String> = Vec::new();
    for what in all.iter().flat_map(|one| &one.missing) {
        if !missing.contains(what) {
            missing.push(what.clone());
        }
    }
    // What cannot be read is said where a rule would have needed it.
    missing.extend(blind(looks, |spot| {
        let of = |table: &&str| {
            spot.contains(&format!("/{table}/")) || spot.ends_with(&format!(" table {table}"))
        };
        rule.needs.iter().any(of)
    }));
    let evidence = seen_in.iter().flat_map(|(look, seen)| {
        seen.evidence.iter().map(|(table, rows, example)| Evidence {
            run: look.name.clone(),
            table: (*table).to_owned(),
            rows: *rows,
            example: example.clone(),
        })
    });
    Some(Finding {
        rule: rule.name.to_owned(),
        scenario: scenario_of(plan),
        mpm: first.mpm,
        runs: seen_in.iter().map(|(look, _)| look.repetition).collect(),
        of_runs,
        weight: all.iter().map(|one| one.weight).sum::<f64>() / f64::from(of_runs.max(1)),
        sentence: format!("{}: {}", first.mpm, (rule.tell)(&seen)),
        evidence: evidence.collect(),
        missing,
        remedies: (rule.remedies)(&seen),
    })
}

/// The scenario of a plan; a live server has none.
fn scenario_of(plan: Option<&RunPlan>) -> String {
    plan.map_or_else(String::new, |plan| plan.scenario.clone())
}

/// What keeps failures from being known, each once with the runs that it is so in.
fn blind(looks: &[Look], wanted: impl Fn(&str) -> bool) -> Vec<String> {
    let mut spots: Vec<(&str, &str, usize)> = Vec::new();
    for look in looks {
        for spot in look.blind.iter().filter(|spot| wanted(spot)) {
            match spots.iter_mut().find(|(_, known, _)| known == spot) {
                Some((_, _, runs)) => *runs += 1,
                None => spots.push((&look.name, spot, 1)),
            }
        }
    }
    let told = spots.into_iter().map(|(run, spot, runs)| match runs {
        1 => format!("{run}: {spot}"),
        runs => format!(
            "{run} and {}: {spot}",
            plural(runs as u64 - 1, "further run")
        ),
    });
    told.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::made_up::rows::{Figures, of_live_server, rows};

    #[test]
    fn a_live_server_has_no_scenario_to_be_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let live = of_live_server(rows(Mpm::Event, 1, &Figures::default()));
        let run_dir = RunDir::at(dir.path());
        run_dir.write_manifest(&live.manifest).unwrap();
        let error = explain(dir.path(), Some("high-load")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "there is no scenario \"high-load\": this is the recording of a live server; leave it \
             out"
        );
    }
}
