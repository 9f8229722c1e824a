//! Runs a search in the lab: one trial of each MPM in turn, each a recorded run.

use std::{fs, path::PathBuf, time::Instant};

use super::{
    error::LimitError,
    found::{Found, Searched, Trial},
    kind::Kind,
    search::{Effort, Range, Search},
    trial::{Counts, Signs},
};
use crate::{
    lab::{Interrupt, LabError, Place, PlaceOptions, Progress},
    recording::{Experiment, FORMAT, RunDir, ScenarioNotes, Status},
    scenario::{RunPlan, StartAs},
};

/// What is to be found.
#[derive(Clone, Debug)]
pub struct LimitOptions {
    /// The limit.
    pub kind: &'static Kind,
    /// What a trial of each MPM runs, without the limit; see [`load::plans`](super::load::plans).
    pub plans: Vec<RunPlan>,
    /// How thoroughly.
    pub effort: Effort,
    /// What counts as a failure.
    pub counts: Counts,
    /// Where the result goes; made if it is not there.
    pub out: PathBuf,
    /// What the user said of httpd, user and CPUs.
    pub place: PlaceOptions,
    /// Whether the recordings of all trials are kept, not only those of both sides of the border.
    pub keep: bool,
    /// The command line, for the record.
    pub command: Vec<String>,
}

/// Searches until the border of each MPM is found, or the user interrupts; then what was found
/// until then is returned. `limit.json` is up to date after each trial.
///
/// # Errors
/// When the limit cannot be set here, when something is missing that every run needs, or when the
/// result cannot be written.
pub fn find(options: &LimitOptions, interrupt: &Interrupt) -> Result<Found, LimitError> {
    let range = options.kind.range_here().map_err(LimitError::CannotBeSet)?;
    let mpms = options.plans.iter().map(|plan| plan.mpm);
    let place = Place::open(&options.place, mpms)?;
    for plan in &options.plans {
        place
            .possible(&plan_with(plan, options.kind, range.highest))
            .map_err(LimitError::CannotBeSet)?;
    }
    fs::create_dir_all(&options.out).map_err(|source| LimitError::Write {
        path: options.out.clone(),
        source,
    })?;
    let mut hunt = Hunt::new(options, range);
    let result = hunt.run(&place, interrupt);
    hunt.progress.finish();
    hunt.found.interrupted = interrupt.is_set();
    hunt.tidy();
    // What was found is kept also when a trial could not be made; that error tells more.
    let written = hunt.write();
    result?;
    written?;
    Ok(hunt.found)
}

/// One MPM's search under way.
struct Hunted {
    plan: RunPlan,
    search: Search,
    trials: Vec<Trial>,
}

struct Hunt<'a> {
    options: &'a LimitOptions,
    hunted: Vec<Hunted>,
    found: Found,
    experiment: Experiment,
    progress: Progress,
}

impl<'a> Hunt<'a> {
    fn new(options: &'a LimitOptions, range: Range) -> Self {
        let begin = |plan: &RunPlan| Hunted {
            plan: plan.clone(),
            search: Search::new(range, options.effort),
            trials: Vec::new(),
        };
        let found = Found::begin(options.kind, options.counts, &options.command);
        Self {
            options,
            hunted: options.plans.iter().map(begin).collect(),
            found: Found {
                repetitions: options.effort.repetitions,
                precision: options.effort.precision,
                ..found
            },
            experiment: Experiment {
                format: FORMAT,
                scenarios: Vec::new(),
                command: options.command.clone(),
                runs: Vec::new(),
                planned: 0,
                skipped: Vec::new(),
                interrupted: false,
            },
            progress: Progress::new(Vec::new()),
        }
    }

    /// One trial of each MPM in turn, each time beginning with another one, so that a drift of the
    /// machine meets all alike.
    fn run(&mut self, place: &Place, interrupt: &Interrupt) -> Result<(), LimitError> {
        let count = self.hunted.len();
        let mut first = 0;
        loop {
            let mut tried = false;
            for index in (0..count).map(|i| (first + i) % count) {
                if interrupt.is_set() {
                    return Ok(());
                }
                if let Some(value) = self.hunted[index].search.next() {
                    self.trial(place, index, value, interrupt)?;
                    tried = true;
                }
            }
            if !tried {
                return Ok(());
            }
            first = (first + 1) % count.max(1);
        }
    }

    fn trial(
        &mut self,
        place: &Place,
        index: usize,
        value: u64,
        interrupt: &Interrupt,
    ) -> Result<(), LimitError> {
        self.expect();
        let kind = self.options.kind;
        let hunted = &self.hunted[index];
        let plan = plan_with(&hunted.plan, kind, value);
        let earlier = hunted.search.tallies().get(&value);
        let repetition = earlier.map_or(0, |tally| tally.trials) + 1;
        let name = RunDir::name(&plan.scenario, plan.mpm, repetition);
        let dir = RunDir::create(&self.options.out, &name)?;
        self.note_run(&name, &plan, value)?;
        self.progress.begin(&name);
        let began = Instant::now();
        let made = {
            let tell = |doing: &str| self.progress.step(&name, doing);
            place.run(&plan, repetition, None, &dir, interrupt, &tell)
        };
        let signs = match made {
            Ok(manifest) if manifest.status == Status::Interrupted => return Ok(()),
            Ok(manifest) => {
                self.found.machine = manifest.machine.clone();
                self.found.httpd_version.clone_from(&manifest.httpd_version);
                Signs::read(&plan, &manifest, &dir)?
            }
            // Under a very low limit not even the program can be loaded. With more than one would
            // begin with, something else is wrong.
            Err(LabError::Run { message, .. }) if value < kind.start => {
                Signs::of_no_start(plan.load.requests, message)
            }
            Err(error) => return Err(error.into()),
        };
        let failed = signs.failed(self.options.counts);
        let verdict = if failed { "failed: " } else { "" };
        let line = format!("{verdict}{}", shortened(&signs.in_one_line()));
        let hunted = &mut self.hunted[index];
        hunted.search.note(value, failed);
        hunted.trials.push(Trial {
            value,
            repetition,
            run: name.clone(),
            kept: true,
            took_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
            failed,
            signs,
        });
        self.progress.end(&name, &line);
        self.write()
    }

    /// Tells the progress how many trials are to come.
    fn expect(&mut self) {
        let rest = self.hunted.iter().flat_map(|hunted| {
            let remaining = hunted.search.remaining() as usize;
            std::iter::repeat_n(hunted.plan.mpm.to_string(), remaining)
        });
        self.progress.expect(rest.collect());
    }

    fn note_run(&mut self, name: &str, plan: &RunPlan, value: u64) -> Result<(), LimitError> {
        let experiment = &mut self.experiment;
        experiment.runs.push(name.to_owned());
        if experiment.scenarios.iter().all(|s| s.name != plan.scenario) {
            experiment
                .scenarios
                .push(notes(self.options.kind, plan, value));
        }
        experiment.planned = u32::try_from(experiment.runs.len()).unwrap_or(u32::MAX);
        Ok(experiment.write(&self.options.out)?)
    }

    /// Writes what is known by now.
    fn write(&mut self) -> Result<(), LimitError> {
        let searched =
            |one: &Hunted| Searched::of(one.plan.clone(), &one.search, one.trials.clone());
        self.found.searches = self.hunted.iter().map(searched).collect();
        self.experiment.interrupted = self.found.interrupted;
        self.experiment.write(&self.options.out)?;
        Ok(self.found.write(&self.options.out)?)
    }

    /// Takes away the recordings that are not wanted: of some hundred trials only those at both
    /// sides of each border tell something that `limit.json` does not.
    fn tidy(&mut self) {
        if self.options.keep {
            return;
        }
        for hunted in &mut self.hunted {
            let border = hunted.search.border();
            let sides = [border.smallest_served(), border.highest_failing()];
            for trial in &mut hunted.trials {
                trial.kept = sides.contains(&Some(trial.value));
            }
        }
        let trials = self.hunted.iter().flat_map(|hunted| &hunted.trials);
        let kept: Vec<&str> = trials
            .filter(|trial| trial.kept)
            .map(|trial| &*trial.run)
            .collect();
        let (keep, go): (Vec<String>, Vec<String>) = std::mem::take(&mut self.experiment.runs)
            .into_iter()
            .partition(|run| kept.contains(&&**run));
        for run in go {
            let dir = RunDir::of(&self.options.out, &run);
            if let Err(error) = fs::remove_dir_all(dir.path()) {
                log::warn!("{} cannot be removed: {error}", dir.path().display());
            }
        }
        self.experiment.planned = u32::try_from(keep.len()).unwrap_or(u32::MAX);
        self.experiment.scenarios.retain(|scenario| {
            let of_it = |run: &String| run.starts_with(&format!("{}.", scenario.name));
            keep.iter().any(of_it)
        });
        self.experiment.runs = keep;
    }
}

/// The plan of a trial. Each value is a scenario of its own: trials under different limits are no
/// repetitions of each other.
fn plan_with(plan: &RunPlan, kind: &Kind, value: u64) -> RunPlan {
    let mut plan = plan.clone();
    plan.scenario = format!("{}-{value}", kind.name);
    plan.limits = kind.set(&plan.limits, value);
    if kind.start_as != StartAs::Root {
        plan.server.start_as = kind.start_as;
    }
    plan
}

fn notes(kind: &Kind, plan: &RunPlan, value: u64) -> ScenarioNotes {
    ScenarioNotes {
        name: plan.scenario.clone(),
        title: format!("{} {}", kind.read(value), kind.of_what),
        what: format!(
            "{} requests, {} at once, under `{}`.",
            plan.load.requests,
            plan.load.concurrency,
            kind.command(value)
        ),
        tutorial: None,
        expects: None,
    }
}

/// What fits beside the name of a run.
fn shortened(text: &str) -> String {
    const MOST: usize = 100;
    if text.chars().count() <= MOST {
        return text.to_owned();
    }
    let begin: String = text.chars().take(MOST).collect();
    format!("{} …", begin.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        limit::load::{Changes, plans},
        scenario::Mpm,
    };

    #[test]
    fn a_trial_s_plan_has_the_limit_and_the_value_in_its_name() {
        let plan = plans(None, &[Mpm::Event], Changes::default())
            .unwrap()
            .remove(0);
        let space = Kind::named("rlimit-as").unwrap();
        let tried = plan_with(&plan, space, 480_000);
        assert_eq!(tried.scenario, "rlimit-as-480000");
        assert_eq!(tried.limits.address_space_kb, Some(480_000));
        assert_eq!(tried.server, plan.server);
        let user = plan_with(&plan, Kind::named("nproc").unwrap(), 50);
        assert_eq!(user.server.start_as, StartAs::User);
        let notes = notes(space, &tried, 480_000);
        assert_eq!(notes.title, "492 MB of address space per process");
        assert!(
            notes.what.ends_with("under `ulimit -v 480000`."),
            "{}",
            notes.what
        );
    }

    #[test]
    fn a_long_reason_is_cut() {
        assert_eq!(shortened("served"), "served");
        assert!(shortened(&"x".repeat(300)).ends_with("x …"));
    }
}
