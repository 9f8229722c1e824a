//! `cargo xtask bench conservation`

use std::{collections::BTreeMap, path::PathBuf};

use clap::Args;

use super::Common;
use crate::{
    commands::exit::{CommandResult, Exit},
    correlate::{
        Conservation, CountCheck, GOAL_JOINED, GOAL_RESIDUAL_MEDIAN, GOAL_RESIDUAL_P99, load_run,
    },
    recording::{Experiment, RunDir},
    scenario::{Mpm, Scenario, Set, Size, of_set},
    text_table::aligned,
};

/// Options of `conservation`.
#[derive(Debug, Args)]
pub(super) struct ConservationArguments {
    #[command(flatten)]
    common: Common,
    /// Least concurrency of every scenario
    #[arg(long, value_name = "N", default_value_t = 1000)]
    concurrency: u32,
    /// The quick size instead of the tutorial's own
    #[arg(long)]
    quick: bool,
    /// Look at an experiment that is there instead of making one
    #[arg(long, value_name = "DIR")]
    from: Option<PathBuf>,
    /// Where the experiment goes
    #[arg(long, value_name = "DIR", overrides_with = "out")]
    out: Option<PathBuf>,
}

/// What is printed in a line.
#[derive(Default)]
struct Line {
    conservation: Conservation,
    counts: CountCheck,
    runs: usize,
    strangers: u64,
}

/// Runs it.
pub(super) fn run(arguments: &ConservationArguments) -> CommandResult {
    let dir = match &arguments.from {
        Some(dir) => dir.clone(),
        None => match make(arguments)? {
            Some(dir) => dir,
            None => return Ok(Exit::Interrupted),
        },
    };
    let unreadable = |error: crate::recording::RecordingError| (Exit::Failed, error.to_string());
    let experiment = Experiment::read(&dir).map_err(unreadable)?;
    let mut lines: BTreeMap<(String, Mpm), Line> = BTreeMap::new();
    for name in &experiment.runs {
        let run = load_run(&RunDir::of(&dir, name)).map_err(unreadable)?;
        let Some(plan) = run.manifest.plan() else {
            continue;
        };
        let line = lines.entry((plan.scenario.clone(), plan.mpm)).or_default();
        line.strangers += run.join.strangers();
        line.conservation.add(&Conservation::of(&run));
        line.counts.add(run.counts);
        line.runs += 1;
    }
    println!("{}", table(&lines));
    println!(
        "goals: residual median \u{2264} {} %, p99 \u{2264} {} %; joined \u{2265} {} %; no phase \
         negative or longer than the whole; counts of each task within one of the kernel's",
        GOAL_RESIDUAL_MEDIAN * 100.0,
        GOAL_RESIDUAL_P99 * 100.0,
        GOAL_JOINED * 100.0
    );
    println!("recording: {}", dir.display());
    Ok(Exit::Done)
}

/// Makes an experiment; `None` if the user interrupted it.
fn make(arguments: &ConservationArguments) -> Result<Option<PathBuf>, (Exit, String)> {
    let size = if arguments.quick {
        Size::Quick
    } else {
        Size::Full
    };
    let scenarios: Vec<Scenario> = of_set(Set::Tutorial)
        .into_iter()
        // Where slow clients hold all slots, hardly a request comes to its end.
        .filter(|scenario| scenario.load.held.is_none())
        .map(|mut scenario| {
            let numbers = match size {
                Size::Full => &mut scenario.size.full,
                Size::Quick => &mut scenario.size.quick,
            };
            numbers.concurrency = numbers.concurrency.max(arguments.concurrency);
            numbers.requests = numbers.requests.max(u64::from(numbers.concurrency));
            scenario
        })
        .collect();
    let out = arguments.out.as_deref();
    arguments.common.experiment(&scenarios, size, 1, out)
}

fn table(lines: &BTreeMap<(String, Mpm), Line>) -> String {
    let head = [
        "scenario",
        "MPM",
        "ok",
        "joined",
        "missing",
        "touched",
        "lost",
        "skipped",
        "strangers",
        "residual p50",
        "p99",
        "max",
        "negative",
        "too long",
        "tasks",
        "switches off",
        "faults off",
        "goals",
    ];
    let mut rows = vec![head.map(str::to_owned)];
    for ((scenario, mpm), line) in lines {
        let of = &line.conservation;
        let percent = |share: Option<f64>, digits: usize| {
            share.map_or_else(
                || "\u{2013}".to_owned(),
                |share| format!("{:.digits$} %", share * 100.0),
            )
        };
        let missing: Vec<String> = of
            .missing
            .iter()
            .map(|(cause, count)| format!("{cause:?} {count}").to_lowercase())
            .collect();
        let good = of.reaches_goals() && line.counts.reaches_goals();
        rows.push([
            scenario.clone(),
            mpm.to_string(),
            of.ok.to_string(),
            percent(of.joined_share(), 3),
            if missing.is_empty() {
                "none".into()
            } else {
                missing.join(", ")
            },
            of.touched.to_string(),
            of.lost.to_string(),
            of.skipped.to_string(),
            line.strangers.to_string(),
            percent(of.residual(0.5), 4),
            percent(of.residual(0.99), 4),
            percent(of.residual(1.0), 2),
            of.negative.to_string(),
            of.too_long.to_string(),
            line.counts.tasks.to_string(),
            line.counts
                .voluntary
                .max(line.counts.involuntary)
                .to_string(),
            line.counts.faults.to_string(),
            if good { "reached" } else { "NOT REACHED" }.to_owned(),
        ]);
    }
    aligned(&rows)
}
