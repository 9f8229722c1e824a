//! An experiment: which runs, in which order, and what happens around them.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use nix::sys::utsname::uname;

use super::{
    CpuSplit, Interrupt, LabError, allowed_cpus, cpus, progress::Progress, run::Surroundings,
    run::make_run,
};
use crate::{
    httpd::{Installation, RuntimeDir, clean_up_stale, user},
    kernel::Kernel,
    overhead::{Ground, PairsPlan, measure},
    recording::{Experiment, FORMAT, Machine, Manifest, RunDir, ScenarioNotes, Status},
    resources::{RunCgroup, memory_cgroup_version},
    scenario::{Mpm, Scenario, Size},
};

/// What the user asked for.
#[derive(Clone, Debug)]
pub struct LabOptions {
    /// The scenarios, in order.
    pub scenarios: Vec<Scenario>,
    /// The MPMs; a scenario that leaves one out is not run with it.
    pub mpms: Vec<Mpm>,
    /// Quick or full.
    pub size: Size,
    /// Repetitions; `None`: as the scenario says.
    pub repetitions: Option<u32>,
    /// Where the experiment goes; made if it is not there.
    pub out: PathBuf,
    /// httpd's binary, if the user named one.
    pub httpd: Option<PathBuf>,
    /// User of httpd's children, if the user named one.
    pub user: Option<String>,
    /// CPUs of httpd, if the user named them.
    pub server_cpus: Option<Vec<usize>>,
    /// CPUs of client and observer, if the user named them.
    pub client_cpus: Option<Vec<usize>>,
    /// How long all events of the first repetition of each run are kept; `None`: not at all.
    pub trace: Option<Duration>,
    /// Whether the observer's own cost is measured after the runs.
    pub overhead: bool,
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
    /// Whether the user ended it early.
    pub interrupted: bool,
}

/// One run to be made.
struct Planned<'a> {
    scenario: &'a Scenario,
    mpm: Mpm,
    repetition: u32,
}

/// Interleaves: each repetition goes over all MPMs before the next begins, each time beginning
/// with another one, so that a drift of the machine meets all alike.
fn plan<'a>(options: &'a LabOptions) -> Vec<Planned<'a>> {
    let mut runs = Vec::new();
    for scenario in &options.scenarios {
        let mut mpms: Vec<Mpm> = scenario
            .mpms()
            .filter(|mpm| options.mpms.contains(mpm))
            .collect();
        let repetitions = options
            .repetitions
            .unwrap_or(scenario.numbers(options.size).repetitions);
        for repetition in 1..=repetitions {
            runs.extend(mpms.iter().map(|&mpm| Planned {
                scenario,
                mpm,
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
/// # Errors
/// When something is missing that every run needs, or the recording cannot be written.
pub fn run_experiment(options: &LabOptions, interrupt: &Interrupt) -> Result<Outcome, LabError> {
    let kernel = Kernel::read()?;
    let installation = Installation::find(options.httpd.as_deref())?;
    let runs = plan(options);
    for run in &runs {
        installation.require(run.mpm)?;
    }
    let user = user::choose(options.user.as_deref())?;
    let allowed = allowed_cpus().map_err(|source| LabError::System {
        what: "the CPUs of this process cannot be read",
        source,
    })?;
    let split = CpuSplit::choose(
        &allowed,
        options.server_cpus.clone(),
        options.client_cpus.clone(),
    )?;
    let stale = clean_up_stale();
    for failure in &stale.failures {
        log::warn!("{failure}");
    }
    RunCgroup::remove_stale();
    fs::create_dir_all(&options.out).map_err(|source| LabError::System {
        what: "the directory of the experiment cannot be made",
        source,
    })?;
    let mut experiment = Experiment {
        format: FORMAT,
        scenarios: options
            .scenarios
            .iter()
            .map(|scenario| ScenarioNotes {
                name: scenario.name.clone(),
                title: scenario.title.clone(),
                what: scenario.what.clone(),
                tutorial: scenario.tutorial.clone(),
            })
            .collect(),
        command: options.command.clone(),
        runs: Vec::new(),
        planned: u32::try_from(runs.len()).unwrap_or(u32::MAX),
        interrupted: false,
    };
    experiment.write(&options.out)?;
    let runtime = RuntimeDir::create()?;
    let machine = machine(allowed.len());
    // The observer's threads stay off httpd's CPUs; httpd's first process sets its own.
    cpus::stay_on(&split.client).map_err(|source| LabError::System {
        what: "the observer cannot be bound to its CPUs",
        source,
    })?;
    let around = Surroundings {
        kernel: &kernel,
        installation: &installation,
        runtime: &runtime,
        user: user.as_ref(),
        cpus: &split,
        allowed_cpus: &allowed,
        machine: &machine,
        interrupt,
    };
    let result = make_runs(&around, &runs, options, &mut experiment);
    if options.overhead && result.is_ok() {
        measure_overhead(&around, &runs, options);
    }
    // The report may use all CPUs again; if not, it only takes longer.
    let _ = cpus::stay_on(&allowed);
    experiment.interrupted = interrupt.is_set();
    experiment.write(&options.out)?;
    let made = result?;
    Ok(Outcome {
        planned: runs.len(),
        made,
        interrupted: interrupt.is_set(),
    })
}

fn make_runs(
    around: &Surroundings<'_>,
    runs: &[Planned<'_>],
    options: &LabOptions,
    experiment: &mut Experiment,
) -> Result<usize, LabError> {
    let order = runs.iter().map(|run| run.scenario.name.clone()).collect();
    let mut progress = Progress::new(order);
    let mut made = 0;
    for run in runs {
        if around.interrupt.is_set() {
            break;
        }
        let name = RunDir::name(&run.scenario.name, run.mpm, run.repetition);
        let dir = RunDir::create(&options.out, &name)?;
        experiment.runs.push(name.clone());
        experiment.write(&options.out)?;
        let plan = run.scenario.plan(run.mpm, options.size);
        progress.begin(&name);
        let manifest = {
            let tell = |doing: &str| progress.step(&name, doing);
            let trace = options.trace.filter(|_| run.repetition == 1);
            make_run(around, &plan, run.repetition, trace, &dir, &tell)
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
fn measure_overhead(around: &Surroundings<'_>, runs: &[Planned<'_>], options: &LabOptions) {
    if around.interrupt.is_set() {
        return;
    }
    let ground = Ground {
        kernel: around.kernel,
        installation: around.installation,
        runtime: around.runtime,
        user: around.user,
        cpus: around.cpus,
        interrupt: around.interrupt,
    };
    let mpms = Mpm::ALL
        .into_iter()
        .filter(|mpm| runs.iter().any(|run| run.mpm == *mpm));
    let measured = measure(ground, &PairsPlan::short(mpms.collect(), options.size));
    let written = measured.and_then(|overhead| match around.interrupt.is_set() {
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

fn machine(cpus: usize) -> Machine {
    let kernel = uname().map_or_else(
        |_| "unknown".into(),
        |name| name.release().to_string_lossy().into_owned(),
    );
    let memory_bytes = fs::read_to_string("/proc/meminfo")
        .ok()
        .and_then(|text| {
            let rest = text
                .lines()
                .find_map(|line| line.strip_prefix("MemTotal:"))?;
            let kilobytes: u64 = rest.trim().strip_suffix("kB")?.trim().parse().ok()?;
            Some(kilobytes * 1024)
        })
        .unwrap_or(0);
    Machine {
        kernel,
        cpus: u32::try_from(cpus).unwrap_or(u32::MAX),
        memory_bytes,
        memory_cgroup: memory_cgroup_version(),
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

    fn options(repetitions: u32) -> LabOptions {
        LabOptions {
            scenarios: builtin().into_iter().take(2).collect(),
            mpms: Mpm::ALL.to_vec(),
            size: Size::Quick,
            repetitions: Some(repetitions),
            out: PathBuf::from("unused"),
            httpd: None,
            user: None,
            server_cpus: None,
            client_cpus: None,
            trace: None,
            overhead: false,
            command: vec![],
        }
    }

    #[test]
    fn repetitions_are_interleaved_over_the_mpms_with_a_changing_first_one() {
        let options = options(3);
        let runs = plan(&options);
        let order: Vec<(Mpm, u32)> = runs[..9]
            .iter()
            .map(|run| (run.mpm, run.repetition))
            .collect();
        use Mpm::{Event, Prefork, Worker};
        assert_eq!(
            order,
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
        assert_eq!(runs.len(), 18);
    }

    #[test]
    fn an_mpm_that_was_not_asked_for_is_left_out() {
        let options = LabOptions {
            mpms: vec![Mpm::Event],
            ..options(2)
        };
        assert!(plan(&options).iter().all(|run| run.mpm == Mpm::Event));
        assert_eq!(plan(&options).len(), 4);
    }
}
