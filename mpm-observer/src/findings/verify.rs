//! Making the runs again with what would have helped: what to run, and what came of it.

use std::path::Path;

use serde::Serialize;

use super::{
    Change, Group, Look, RunEvidence, StartResult, experiment::group, look,
    observation::LEAST_WEIGHT,
};
use crate::{
    correlate::load_run,
    lab::PlannedRun,
    recording::{FailureKind, RecordingError, RunDir, ScenarioNotes, Status},
    scenario::{Mpm, RunPlan},
};

/// Repetitions on each side, if nobody says otherwise and the experiment has no fewer.
const MOST_REPETITIONS: u32 = 5;

/// What is to be run to see what changes do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verification {
    /// What the runs are of.
    pub scenarios: Vec<ScenarioNotes>,
    /// The runs: before and after a change in turn.
    pub runs: Vec<PlannedRun>,
    tried: Vec<Trial>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Trial {
    rule: String,
    text: String,
    before: Variant,
    after: Variant,
}

/// Runs that are alike.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Variant {
    scenario: String,
    mpm: Mpm,
    repetitions: u32,
}

/// What came of runs that are alike.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Effect {
    /// Runs that were made.
    pub runs: u32,
    /// … in which httpd came up.
    pub started: u32,
    /// … with all of its slots.
    pub whole: u32,
    /// Requests in all.
    pub requests: u64,
    /// … that failed.
    pub failed: u64,
    /// Failures in the kernel, before the stop.
    pub failures: u64,
    /// Runs in which the rule found the same again.
    pub found: u32,
    /// Whether that harmed no start and no request in any of them.
    pub harmless: bool,
}

/// A change with what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Tried {
    /// The rule that recommended it.
    pub rule: String,
    /// The scenario, as it was.
    pub scenario: String,
    /// The MPM.
    pub mpm: Mpm,
    /// The recommendation.
    pub text: String,
    /// Without the change, made again beside.
    pub before: Effect,
    /// With it.
    pub after: Effect,
}

/// The runs that show what the recommended changes do: for each MPM of a scenario the same again
/// and each change, in turn. `repetitions`: of each, if not as many as before, five at most.
#[must_use]
pub fn plan_verification(groups: &[Group], repetitions: Option<u32>) -> Verification {
    let mut verification = Verification::default();
    for group in groups {
        verification.add(group, repetitions);
    }
    verification
}

impl Verification {
    /// Whether there is no change that a run can be made with.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// How many changes are tried.
    #[must_use]
    pub fn changes(&self) -> usize {
        let mut changes: Vec<&Variant> = Vec::new();
        for trial in &self.tried {
            if !changes.contains(&&trial.after) {
                changes.push(&trial.after);
            }
        }
        changes.len()
    }

    fn add(&mut self, group: &Group, repetitions: Option<u32>) {
        // A live server cannot be run again.
        let Some(planned) = &group.plan else {
            return;
        };
        let repetitions = repetitions.unwrap_or(group.runs.min(MOST_REPETITIONS));
        let variant = |suffix: &str| Variant {
            scenario: format!("{}-{suffix}", group.scenario),
            mpm: group.mpm,
            repetitions,
        };
        let before = variant("before");
        let mut variants: Vec<(Variant, RunPlan)> = Vec::new();
        let mut changes: Vec<(&Change, Variant)> = Vec::new();
        for finding in &group.findings {
            for remedy in &finding.remedies {
                let Some(change) = &remedy.change else {
                    continue;
                };
                let known = changes.iter().find(|(known, _)| *known == change);
                let after = if let Some((_, known)) = known {
                    known.clone()
                } else {
                    let after = variant(&format!("{}-change-{}", group.mpm, changes.len() + 1));
                    let mut plan = planned.clone();
                    change.apply(&mut plan);
                    self.note(&after.scenario, format!("{}: {}", group.title, remedy.text));
                    variants.push((after.clone(), plan));
                    changes.push((change, after.clone()));
                    after
                };
                self.tried.push(Trial {
                    rule: finding.rule.clone(),
                    text: remedy.text.clone(),
                    before: before.clone(),
                    after,
                });
            }
        }
        if variants.is_empty() {
            return;
        }
        self.note(&before.scenario, format!("{}: as it was", group.title));
        variants.insert(0, (before, planned.clone()));
        for repetition in 1..=repetitions {
            for (variant, plan) in &variants {
                let mut plan = plan.clone();
                plan.scenario.clone_from(&variant.scenario);
                plan.repetitions = repetitions;
                self.runs.push(PlannedRun { plan, repetition });
            }
            variants.rotate_left(1);
        }
    }

    fn note(&mut self, name: &str, title: String) {
        if self.scenarios.iter().any(|notes| notes.name == name) {
            return;
        }
        self.scenarios.push(ScenarioNotes {
            name: name.to_owned(),
            what: title.clone(),
            title,
            tutorial: None,
            expects: None,
        });
    }

    /// Reads what came of the runs, which lie in `dir`. A run that was not made does not count.
    ///
    /// # Errors
    /// When the recording of a run cannot be read.
    pub fn effects(&self, dir: &Path) -> Result<Vec<Tried>, RecordingError> {
        let mut tried = Vec::new();
        for trial in &self.tried {
            let before = &trial.before.scenario;
            tried.push(Tried {
                rule: trial.rule.clone(),
                scenario: before.strip_suffix("-before").unwrap_or(before).to_owned(),
                mpm: trial.before.mpm,
                text: trial.text.clone(),
                before: trial.before.effect(dir, &trial.rule)?,
                after: trial.after.effect(dir, &trial.rule)?,
            });
        }
        Ok(tried)
    }
}

impl Variant {
    fn effect(&self, dir: &Path, rule: &str) -> Result<Effect, RecordingError> {
        let mut effect = Effect::default();
        let mut looks: Vec<Look> = Vec::new();
        for repetition in 1..=self.repetitions {
            let name = RunDir::name(&self.scenario, self.mpm, repetition);
            let run_dir = RunDir::of(dir, &name);
            if !run_dir.path().exists() {
                continue;
            }
            let run = load_run(&run_dir)?;
            // The user interrupted it: it shows nothing of the change.
            if !matches!(run.manifest.status, Status::Complete | Status::NotStarted) {
                continue;
            }
            let evidence = RunEvidence::read(&run_dir, &name, &run);
            effect.add(&evidence);
            looks.push(look(&evidence));
        }
        let found = group(&self.scenario, &looks)
            .into_iter()
            .flat_map(|group| group.findings)
            .find(|finding| finding.rule == rule);
        if let Some(finding) = found {
            effect.found = finding.runs.len() as u32;
            // Each run in which it was found weighs at least that much.
            let least = LEAST_WEIGHT * f64::from(effect.found) / f64::from(finding.of_runs.max(1));
            effect.harmless = finding.weight <= least * 1.001;
        }
        Ok(effect)
    }
}

impl Effect {
    fn add(&mut self, run: &RunEvidence<'_>) {
        let start = run.start_result();
        self.runs += 1;
        self.started += u32::from(start != StartResult::Died);
        self.whole += u32::from(start == StartResult::Whole);
        self.requests += run.request_count();
        self.failed += run.failed_requests().count() as u64;
        let kinds = [
            FailureKind::Call,
            FailureKind::OomKill,
            FailureKind::AcceptQueueFull,
        ];
        let failures = kinds.into_iter().map(|kind| run.failures(kind).count());
        self.failures += failures.sum::<usize>() as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        findings::{Finding, Remedy},
        scenario::{Size, builtin},
    };

    fn finding(rule: &str, change: Option<Change>) -> Finding {
        Finding {
            rule: rule.into(),
            scenario: "high-load".into(),
            mpm: Mpm::Worker,
            runs: vec![1],
            of_runs: 8,
            weight: 1.0,
            sentence: String::new(),
            evidence: Vec::new(),
            missing: Vec::new(),
            remedies: vec![Remedy {
                text: "do".into(),
                change,
            }],
        }
    }

    fn groups(findings: Vec<Finding>) -> Vec<Group> {
        let scenario = builtin()
            .into_iter()
            .find(|scenario| scenario.name == "high-load")
            .unwrap();
        vec![Group {
            scenario: "high-load".into(),
            title: "High load".into(),
            mpm: Mpm::Worker,
            runs: 8,
            plan: Some(scenario.plan(Mpm::Worker, Size::Quick)),
            findings,
            blind: Vec::new(),
        }]
    }

    #[test]
    fn before_and_after_are_made_in_turn_and_at_most_five_times() {
        let groups = groups(vec![
            finding("a", Some(Change::ListenBacklog(1024))),
            finding("b", Some(Change::Sendfile(true))),
            finding("c", Some(Change::ListenBacklog(1024))),
            finding("d", None),
        ]);
        let verification = plan_verification(&groups, None);
        let order: Vec<(&str, u32)> = verification
            .runs
            .iter()
            .map(|run| (run.plan.scenario.as_str(), run.repetition))
            .collect();
        assert_eq!(
            order[..6],
            [
                ("high-load-before", 1),
                ("high-load-worker-change-1", 1),
                ("high-load-worker-change-2", 1),
                ("high-load-worker-change-1", 2),
                ("high-load-worker-change-2", 2),
                ("high-load-before", 2),
            ]
        );
        assert_eq!(order.len(), 15);
        assert_eq!(verification.runs[0].plan.server.listen_backlog, 511);
        assert_eq!(verification.runs[1].plan.server.listen_backlog, 1024);
        assert_eq!(verification.tried.len(), 3);
        assert_eq!(verification.tried[2].after, verification.tried[0].after);
    }

    #[test]
    fn without_a_change_there_is_nothing_to_run() {
        assert!(plan_verification(&groups(vec![finding("d", None)]), Some(2)).is_empty());
        assert!(plan_verification(&groups(vec![]), None).is_empty());
    }
}
