//! `mpm-observer explain`

use std::{fmt::Write as _, path::PathBuf};

use clap::Args;
use serde_json::json;

use super::{
    exit::{CommandResult, Exit, failed},
    place::PlaceArguments,
};
use crate::{
    findings::{Effect, Explained, Finding, FindingsError, Tried, explain, plan_verification},
    kernel::KernelError,
    lab::{Interrupt, LabOptions, new_directory, run_experiment},
    scenario::Size,
    wording::{plural, whole},
};

/// Width of the text.
const COLUMNS: usize = 100;

/// Options of `explain`.
#[derive(Debug, Args)]
pub(super) struct ExplainArguments {
    /// Directory of the experiment, or of the recording of a live server
    experiment: PathBuf,
    /// Only this scenario
    #[arg(long, value_name = "NAME")]
    scenario: Option<String>,
    /// As JSON, with all figures
    #[arg(long)]
    json: bool,
    /// Make the runs again, without and with each change that would have helped, and show what it
    /// does; needs root. The runs go into the directory `verify` of the experiment
    #[arg(long)]
    verify: bool,
    /// Repetitions without and with each change [default: as many as there were, at most 5]
    #[arg(
        long,
        value_name = "N",
        requires = "verify",
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    repetitions: Option<u32>,
    #[command(flatten)]
    place: PlaceArguments,
}

/// Runs it.
pub(super) fn run(arguments: ExplainArguments) -> CommandResult {
    // Told before the findings, which may be long.
    if arguments.verify && !nix::unistd::geteuid().is_root() {
        return Err((Exit::Missing, KernelError::NotRoot.to_string()));
    }
    let explained = explain(&arguments.experiment, arguments.scenario.as_deref()).map_err(
        |error| match error {
            FindingsError::Scenario { .. } | FindingsError::NoScenario(_) => {
                (Exit::Usage, error.to_string())
            }
            _ => (Exit::Failed, error.to_string()),
        },
    )?;
    if arguments.verify && explained.groups.iter().all(|group| group.plan.is_none()) {
        return Err((
            Exit::Usage,
            "--verify: a live server cannot be run again; the runs of an experiment can".into(),
        ));
    }
    if !arguments.json {
        print!("{}", text(&explained));
    }
    let (mut tried, mut exit) = (Vec::new(), Exit::Done);
    if arguments.verify {
        (tried, exit) = verify(&arguments, &explained)?;
    }
    if arguments.json {
        let value = json!({ "explained": explained, "tried": tried });
        let text = serde_json::to_string_pretty(&value)
            .map_err(|error| (Exit::Failed, error.to_string()))?;
        println!("{text}");
    } else if arguments.verify {
        print!("{}", effects(&tried));
    }
    Ok(exit)
}

fn verify(
    arguments: &ExplainArguments,
    explained: &Explained,
) -> Result<(Vec<Tried>, Exit), (Exit, String)> {
    let verification = plan_verification(&explained.groups, arguments.repetitions);
    if verification.is_empty() {
        return Ok((Vec::new(), Exit::Done));
    }
    let interrupt = Interrupt::on_signals()
        .map_err(|error| (Exit::Failed, format!("signals cannot be caught: {error}")))?;
    let out = new_directory(&arguments.experiment, "verify");
    let size = verification
        .runs
        .first()
        .map_or(Size::Quick, |run| run.plan.size);
    let options = LabOptions {
        scenarios: verification.scenarios.clone(),
        runs: verification.runs.clone(),
        skipped: Vec::new(),
        size,
        out: out.clone(),
        place: arguments.place.clone().into(),
        trace: None,
        overhead: false,
        expose: None,
        command: std::env::args().collect(),
    };
    eprintln!(
        "making {} for {} in {} …",
        plural(options.runs.len() as u64, "run"),
        plural(verification.changes() as u64, "change"),
        out.display()
    );
    let outcome = run_experiment(&options, &interrupt)
        .map_err(|error| failed(error.is_prerequisite(), &error))?;
    let tried = verification
        .effects(&out)
        .map_err(|error| (Exit::Failed, error.to_string()))?;
    let exit = if outcome.interrupted {
        Exit::Interrupted
    } else {
        Exit::Done
    };
    Ok((tried, exit))
}

/// All findings for a terminal.
fn text(explained: &Explained) -> String {
    let mut text = String::new();
    let mut scenario = None;
    for group in &explained.groups {
        if scenario != Some(&group.scenario) {
            scenario = Some(&group.scenario);
            let _ = match group.scenario.as_str() {
                "" => writeln!(text, "{}\n", group.title),
                name => writeln!(text, "{} ({name})\n", group.title),
            };
        }
        if group.findings.is_empty() {
            let runs = plural(u64::from(group.runs), "run");
            let known = if group.blind.is_empty() {
                "nothing failed"
            } else {
                "no failure is known"
            };
            let _ = writeln!(text, "  {}: {known} in {runs}.", group.mpm);
        }
        for finding in &group.findings {
            text += &told(finding);
        }
        for spot in &group.blind {
            text += &wrapped(&format!("not known: {spot}"), "    ");
        }
        text.push('\n');
    }
    for (run, why) in &explained.left_out {
        text += &wrapped(&format!("{run} was left out: {why}"), "");
    }
    for skipped in &explained.skipped {
        text += &wrapped(&format!("not run: {skipped}"), "");
    }
    if explained.groups.is_empty() {
        text.push_str("No run came to its end; there is nothing to explain.\n");
    }
    text
}

/// A finding with what it rests on.
fn told(finding: &Finding) -> String {
    /// Runs whose rows are named; the others are counted.
    const RUNS: usize = 2;
    let mut text = wrapped(&finding.sentence, "  ");
    let mut runs: Vec<&str> = Vec::new();
    let mut further = 0_u64;
    for evidence in &finding.evidence {
        if !runs.contains(&evidence.run.as_str()) {
            runs.push(&evidence.run);
        }
        if runs.len() > RUNS {
            further += 1;
            continue;
        }
        let line = format!(
            "{}/{}: {}, such as: {}",
            evidence.run,
            evidence.table,
            plural(evidence.rows, "row"),
            evidence.example
        );
        text += &wrapped(&line, "      ");
    }
    if further > 0 {
        let of = plural((runs.len() - RUNS) as u64, "further run");
        text += &wrapped(&format!("and the rows of {of}"), "      ");
    }
    for missing in &finding.missing {
        text += &wrapped(&format!("not known: {missing}"), "    ");
    }
    for remedy in &finding.remedies {
        text += &wrapped(&format!("would have helped: {}", remedy.text), "    ");
    }
    text
}

/// The effects of changes for a terminal.
fn effects(tried: &[Tried]) -> String {
    if tried.is_empty() {
        return "No finding has a change that a run can be made with.\n".into();
    }
    let mut text = String::new();
    for one in tried {
        let heading = format!("{} with {}: {}", one.scenario, one.mpm, one.text);
        text += &wrapped(&heading, "");
        text += &wrapped(&format!("before: {}", effect(&one.before, &one.rule)), "  ");
        text += &wrapped(&format!("after:  {}", effect(&one.after, &one.rule)), "  ");
        if one.before.runs > 0 && one.before.found == 0 {
            let advice = "it did not come again without the change, so this shows nothing of it: \
                          make more --repetitions";
            text += &wrapped(advice, "  ");
        }
    }
    text
}

fn effect(effect: &Effect, rule: &str) -> String {
    if effect.runs == 0 {
        return "no run was made".into();
    }
    let harm = if effect.harmless {
        ", without harm"
    } else {
        ""
    };
    format!(
        "started in {} of {} ({} with all slots); {} of {} failed; {} in the kernel; “{rule}” \
         found in {}{harm}",
        effect.started,
        plural(u64::from(effect.runs), "run"),
        effect.whole,
        whole(effect.failed),
        plural(effect.requests, "request"),
        plural(effect.failures, "failure"),
        plural(u64::from(effect.found), "run"),
    )
}

/// Text in lines, the first indented by `indent`, the others by four more.
fn wrapped(text: &str, indent: &str) -> String {
    let further = format!("{indent}    ");
    let options = textwrap::Options::new(COLUMNS)
        .initial_indent(indent)
        .subsequent_indent(&further)
        .break_words(false)
        // Paths and names of runs stay whole.
        .word_splitter(textwrap::WordSplitter::NoHyphenation);
    let mut wrapped = textwrap::fill(text, options);
    wrapped.push('\n');
    wrapped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Mpm;

    #[test]
    fn an_effect_says_what_did_no_harm_and_what_did_not_come_again() {
        let found = |found, harmless| Effect {
            runs: 5,
            started: 5,
            whole: 5,
            requests: 1000,
            found,
            harmless,
            ..Effect::default()
        };
        let tried = |before, after| {
            effects(&[Tried {
                rule: "address-space".into(),
                scenario: "memory-limit".into(),
                mpm: Mpm::Worker,
                text: "ThreadStackSize 1048576.".into(),
                before,
                after,
            }])
            .replace("\n      ", " ")
        };
        let cured = tried(found(5, false), found(2, true));
        assert!(
            cured.contains("found in 5 runs\n")
                && cured.contains("found in 2 runs, without harm\n"),
            "{cured}"
        );
        assert!(!cured.contains("did not come again"), "{cured}");
        let unseen = tried(found(0, false), found(0, false));
        assert!(unseen.contains("did not come again"), "{unseen}");
        let not_made = tried(Effect::default(), Effect::default());
        assert!(!not_made.contains("did not come again"), "{not_made}");
    }

    #[test]
    fn names_of_runs_and_paths_are_not_parted_at_their_hyphens() {
        let name = "some/long-path/of-an-experiment/runs/memory-limit.event.12/manifest.json";
        let text = wrapped(&format!("{} {name} cannot be read", "word ".repeat(16)), "");
        assert!(text.contains(name), "{text}");
    }
}
