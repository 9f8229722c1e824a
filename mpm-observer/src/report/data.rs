//! What an experiment's directory holds: which runs belong together, and which are left out.

use std::path::Path;

use super::{ReportError, text::plural};
use crate::{
    overhead::Overhead,
    recording::{Experiment, Manifest, RunDir, ScenarioNotes, Status},
    scenario::{Mpm, RunPlan},
    witness::Witness,
};

/// A run that has no part in the statistics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LeftOut {
    /// Its directory.
    pub run: String,
    /// Why.
    pub why: String,
}

/// A run that can be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RunRef {
    /// Its directory's name.
    pub name: String,
    /// Its MPM.
    pub mpm: Mpm,
    /// Which repetition.
    pub repetition: u32,
    /// What was to be done.
    pub plan: RunPlan,
}

/// A scenario with its runs, ordered by MPM and repetition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Group {
    /// What the scenario is.
    pub notes: ScenarioNotes,
    /// Its runs.
    pub runs: Vec<RunRef>,
}

/// Facts of the manifests that hold for the experiment as a whole: each distinct value once, in
/// the order of the runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Setting {
    /// Versions of the observer.
    pub observer: Vec<String>,
    /// Versions of httpd, with its binary.
    pub httpd: Vec<String>,
    /// Users of httpd's children.
    pub users: Vec<String>,
    /// Kernel, CPUs and memory.
    pub machines: Vec<String>,
    /// CPUs of httpd and of the client.
    pub cpus: Vec<String>,
    /// Sizes.
    pub sizes: Vec<String>,
    /// Optional programs that the kernel refused.
    pub absent_programs: Vec<String>,
    /// Begin of the first run, seconds since 1970.
    pub began_unix_s: Option<u64>,
}

/// An experiment, before its tables are read.
#[derive(Clone, Debug)]
pub(super) struct Contents {
    /// Its own file.
    pub experiment: Experiment,
    /// Scenarios with at least one comparable run, in the order of the experiment.
    pub groups: Vec<Group>,
    /// The other runs.
    pub left_out: Vec<LeftOut>,
    /// What the manifests say.
    pub setting: Setting,
    /// What watching cost on this machine, if it was measured.
    pub overhead: Option<Overhead>,
    /// What a Prometheus showed meanwhile, if one watched.
    pub witness: Option<Witness>,
}

/// Reads the manifests of all runs. One that cannot be read leaves its run out.
pub(super) fn read_contents(dir: &Path) -> Result<Contents, ReportError> {
    let experiment = Experiment::read(dir)?;
    let mut groups: Vec<Group> = experiment
        .scenarios
        .iter()
        .map(|notes| Group {
            notes: notes.clone(),
            runs: Vec::new(),
        })
        .collect();
    let mut left_out = Vec::new();
    let mut setting = Setting::default();
    for name in &experiment.runs {
        let mut leave_out = |why: String| {
            left_out.push(LeftOut {
                run: name.clone(),
                why,
            });
        };
        // The manifest holds histograms: it is dropped before the next one is read.
        let manifest = match RunDir::of(dir, name).read_manifest() {
            Ok(manifest) => manifest,
            Err(error) => {
                leave_out(format!("its manifest cannot be read: {error}"));
                continue;
            }
        };
        setting.add(&manifest);
        if let Some(why) = why_not(&manifest.status) {
            leave_out(why);
            continue;
        }
        let Some(plan) = manifest.plan() else {
            leave_out("it is of a live server: name its own directory".into());
            continue;
        };
        let run = RunRef {
            name: name.clone(),
            mpm: manifest.mpm,
            repetition: manifest.repetition,
            plan: plan.clone(),
        };
        group_of(&mut groups, &plan.scenario).runs.push(run);
    }
    for group in &mut groups {
        group.runs.sort_by_key(|run| (run.mpm, run.repetition));
    }
    groups.retain(|group| !group.runs.is_empty());
    Ok(Contents {
        experiment,
        groups,
        left_out,
        setting,
        overhead: Overhead::read(dir)?,
        witness: Witness::read(dir)?,
    })
}

/// The group of a scenario; one that the experiment does not describe gets a group of its own.
fn group_of<'a>(groups: &'a mut Vec<Group>, scenario: &str) -> &'a mut Group {
    let found = groups.iter().position(|group| group.notes.name == scenario);
    let index = found.unwrap_or_else(|| {
        groups.push(Group {
            notes: ScenarioNotes {
                name: scenario.to_owned(),
                title: scenario.to_owned(),
                what: String::new(),
                tutorial: None,
                expects: None,
            },
            runs: Vec::new(),
        });
        groups.len() - 1
    });
    &mut groups[index]
}

/// Why a run of this status cannot be compared with others; `None` if it can.
fn why_not(status: &Status) -> Option<String> {
    match status {
        Status::Complete | Status::NotStarted => None,
        Status::Running => Some("cut off: the lab ended before the run did".into()),
        Status::Interrupted => Some("interrupted by the user".into()),
        Status::Failed(why) => Some(format!("the observer failed: {why}")),
    }
}

impl Setting {
    fn add(&mut self, manifest: &Manifest) {
        let machine = &manifest.machine;
        note(&mut self.observer, manifest.observer_version.clone());
        note(
            &mut self.httpd,
            format!("{} ({})", manifest.httpd_version, manifest.httpd_path),
        );
        note(&mut self.users, manifest.httpd_user.clone());
        note(
            &mut self.machines,
            format!(
                "Linux {}, {} online, {:.1} GB of memory, memory cgroup {}",
                machine.kernel,
                plural(u64::from(machine.cpus), "CPU"),
                machine.memory_bytes as f64 / 1e9,
                match machine.memory_cgroup {
                    0 => "not available".to_owned(),
                    version => format!("v{version}"),
                },
            ),
        );
        note(
            &mut self.cpus,
            format!(
                "httpd on {}, client and observer on {}",
                cpu_set(&manifest.server_cpus),
                cpu_set(&manifest.client_cpus)
            ),
        );
        if let Some(plan) = manifest.plan() {
            note(&mut self.sizes, plan.size.to_string());
        }
        for program in &manifest.absent_programs {
            note(&mut self.absent_programs, program.clone());
        }
        let earliest = self.began_unix_s.unwrap_or(u64::MAX);
        self.began_unix_s = Some(earliest.min(manifest.began_unix_s));
    }
}

fn note(values: &mut Vec<String>, value: String) {
    if !values.contains(&value) {
        values.push(value);
    }
}

fn cpu_set(cpus: &[usize]) -> String {
    match cpus {
        [] => "all CPUs".into(),
        [cpu] => format!("CPU {cpu}"),
        cpus => {
            let names: Vec<String> = cpus.iter().map(usize::to_string).collect();
            format!("CPUs {}", names.join(", "))
        }
    }
}
