//! `cargo xtask bench limits`

use std::path::PathBuf;

use clap::Args;

use super::Common;
use crate::{
    commands::exit::{CommandResult, Exit},
    correlate::load_run,
    findings::{Compared, RunEvidence, group, look},
    recording::{Experiment, RunDir},
    scenario::{Mpm, Scenario, Set, Size, of_set},
    text_table::aligned,
};

/// Options of `limits`.
#[derive(Debug, Args)]
pub(super) struct LimitsArguments {
    #[command(flatten)]
    common: Common,
    /// How often each limit is run into with each MPM
    #[arg(long, value_name = "N", default_value_t = 20)]
    tries: u32,
    /// A scenario of the set `limits`; may be repeated [default: all]
    #[arg(long = "scenario", value_name = "NAME")]
    scenarios: Vec<String>,
    /// Look at an experiment that is there instead of making one
    #[arg(long, value_name = "DIR")]
    from: Option<PathBuf>,
    /// Where the experiment goes
    #[arg(long, value_name = "DIR", overrides_with = "out")]
    out: Option<PathBuf>,
}

/// The tries of one scenario with one MPM.
struct Line {
    scenario: String,
    mpm: Mpm,
    tries: u32,
    /// Tries in which all that was expected was named.
    named: u32,
    /// Tries in which nothing else was.
    alone: u32,
    /// What is expected, and what was found besides.
    expected: String,
    others: Vec<String>,
    /// What went wrong in the first try that was not named.
    wrong: Option<String>,
}

/// Runs it.
pub(super) fn run(arguments: &LimitsArguments) -> CommandResult {
    let scenarios: Vec<Scenario> = of_set(Set::Limits)
        .into_iter()
        .filter(|scenario| {
            let asked = &arguments.scenarios;
            asked.is_empty() || asked.contains(&scenario.name)
        })
        .collect();
    if scenarios.is_empty() {
        return Err((
            Exit::Usage,
            "there is no such scenario in the set `limits`".into(),
        ));
    }
    let dir = match &arguments.from {
        Some(dir) => dir.clone(),
        None => {
            let made = arguments.common.experiment(
                &scenarios,
                Size::Quick,
                arguments.tries,
                arguments.out.as_deref(),
            )?;
            match made {
                Some(dir) => dir,
                None => return Ok(Exit::Interrupted),
            }
        }
    };
    let unreadable = |error: crate::recording::RecordingError| (Exit::Failed, error.to_string());
    let experiment = Experiment::read(&dir).map_err(unreadable)?;
    let mut lines: Vec<Line> = Vec::new();
    for name in &experiment.runs {
        let run_dir = RunDir::of(&dir, name);
        let run = load_run(&run_dir).map_err(unreadable)?;
        let Some(plan) = run.manifest.plan() else {
            continue;
        };
        let Some(scenario) = scenarios.iter().find(|known| known.name == plan.scenario) else {
            continue;
        };
        let look = look(&RunEvidence::read(&run_dir, name, &run));
        let Some(found) = group(&scenario.title, &[look]) else {
            continue;
        };
        add(
            &mut lines,
            &Compared::new(scenario, plan.mpm, &found),
            scenario,
            plan.mpm,
            name,
        );
    }
    println!("{}", table(&lines));
    for line in &lines {
        if let Some(wrong) = &line.wrong {
            println!("{wrong}");
        }
    }
    for skipped in &experiment.skipped {
        println!("not run: {}: {}", skipped.scenario, skipped.why);
    }
    println!("recording: {}", dir.display());
    Ok(Exit::Done)
}

fn add(lines: &mut Vec<Line>, compared: &Compared, scenario: &Scenario, mpm: Mpm, run: &str) {
    let place = lines
        .iter()
        .position(|line| line.scenario == scenario.name && line.mpm == mpm);
    let place = place.unwrap_or_else(|| {
        let rules: Vec<&str> = compared
            .expected
            .iter()
            .map(|(rule, _)| rule.as_str())
            .collect();
        lines.push(Line {
            scenario: scenario.name.clone(),
            mpm,
            tries: 0,
            named: 0,
            alone: 0,
            expected: if rules.is_empty() {
                "nothing".to_owned()
            } else {
                rules.join(", ")
            },
            others: Vec::new(),
            wrong: None,
        });
        lines.len() - 1
    });
    let line = &mut lines[place];
    line.tries += 1;
    line.named += u32::from(compared.is_named());
    line.alone += u32::from(compared.is_alone());
    for (rule, sentence) in &compared.others {
        if !line.others.contains(rule) {
            line.others.push(rule.clone());
            if line.expected == "nothing" {
                line.wrong
                    .get_or_insert_with(|| format!("{run}: {rule} was not expected: {sentence}"));
            }
        }
    }
    for (rule, named) in &compared.expected {
        if let Err(why) = named {
            line.wrong
                .get_or_insert_with(|| format!("{run}: {rule}: {why}"));
        }
    }
}

fn table(lines: &[Line]) -> String {
    let head = [
        "scenario",
        "MPM",
        "expected",
        "named",
        "nothing else",
        "found besides",
    ];
    let mut rows = vec![head.map(str::to_owned)];
    for line in lines {
        rows.push([
            line.scenario.clone(),
            line.mpm.to_string(),
            line.expected.clone(),
            format!("{} of {}", line.named, line.tries),
            format!("{} of {}", line.alone, line.tries),
            if line.others.is_empty() {
                "\u{2013}".to_owned()
            } else {
                line.others.join(", ")
            },
        ]);
    }
    aligned(&rows)
}
