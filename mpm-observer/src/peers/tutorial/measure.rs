//! Runs the commands.

use std::{
    fs,
    time::{Duration, Instant},
};

use loadgen::report::JsonReport;

use super::{
    COMMANDS, Command, LoadgenSaid, Side, SideResults, Tool, ToolSaid, Watched, stand::Stand,
};
use crate::{
    lab::{LabError, Progress},
    overhead::Ground,
    peers::{
        AbAccount, AbSaid, Program, Programs,
        process::{self, Order, Ran},
    },
    recording::FORMAT,
    scenario::Mpm,
};

/// When a tool is taken for hung.
const AT_MOST: Duration = Duration::from_secs(300);
/// How often the server's memory is looked at.
const MEMORY_EVERY: Duration = Duration::from_millis(250);

/// Makes loadgen tell what ab would have counted.
const AB_COUNTS: &str = "--ab-counts";

/// What to run.
#[derive(Clone, Debug)]
pub struct TutorialPlan {
    /// Numbers of the commands.
    pub commands: Vec<u32>,
    /// The MPMs.
    pub mpms: Vec<Mpm>,
    /// How often each is run with each tool.
    pub repetitions: u32,
}

/// Runs the commands with both tools in turn, each on an httpd of its own; with what was run
/// until then if the user interrupts.
///
/// # Errors
/// When a tool is missing, or httpd cannot be run at all.
pub fn measure_tutorial(
    ground: Ground<'_>,
    plan: &TutorialPlan,
    programs: &Programs,
    kernel: String,
) -> Result<SideResults, LabError> {
    for tool in [Tool::Ab, Tool::Loadgen] {
        program(programs, tool)?;
    }
    let mut results = SideResults {
        format: FORMAT,
        observer_version: env!("CARGO_PKG_VERSION").into(),
        kernel,
        httpd: ground.installation.version.clone(),
        ab: programs.version(Program::Ab).unwrap_or_default(),
        server_cpus: ground.cpus.server.clone(),
        client_cpus: ground.cpus.client.clone(),
        sides: Vec::new(),
    };
    let commands: Vec<Command> = COMMANDS
        .into_iter()
        .filter(|command| plan.commands.contains(&command.number))
        .collect();
    let mut runs = Vec::new();
    for repetition in 1..=plan.repetitions {
        for command in &commands {
            for &mpm in &plan.mpms {
                let mut tools = [Tool::Ab, Tool::Loadgen];
                if repetition.is_multiple_of(2) {
                    tools.reverse();
                }
                runs.extend(tools.map(|tool| (*command, mpm, tool, repetition)));
            }
        }
    }
    let names = runs.iter().map(|(command, ..)| command.number.to_string());
    let mut progress = Progress::new(names.collect());
    for (command, mpm, tool, repetition) in runs {
        let name = format!("{}. {mpm} with {}", command.number, tool.name());
        progress.begin(&name);
        let Some(side) = run(ground, command, mpm, tool, repetition, programs)? else {
            break;
        };
        progress.end(&name, &super::table::one_line(&side));
        results.sides.push(side);
    }
    progress.finish();
    // By command and MPM, so that the tools stand one below the other.
    results
        .sides
        .sort_by_key(|side| (side.command, side.mpm, side.repetition));
    Ok(results)
}

fn program(programs: &Programs, tool: Tool) -> Result<&std::path::Path, LabError> {
    let program = match tool {
        Tool::Ab => Program::Ab,
        Tool::Loadgen => Program::Loadgen,
    };
    programs
        .path(program)
        .ok_or(LabError::Missing(program.name()))
}

fn run(
    ground: Ground<'_>,
    command: Command,
    mpm: Mpm,
    tool: Tool,
    repetition: u32,
    programs: &Programs,
) -> Result<Option<Side>, LabError> {
    let plan = command.plan(mpm);
    let mut arguments = Command::arguments(&plan);
    let name = format!(
        "tutorial-{}-{mpm}-{}-{repetition}",
        command.number,
        tool.name()
    );
    let Some(stand) = Stand::start(ground, plan, &name)? else {
        return Ok(None);
    };
    let json = stand.dir().join("loadgen.json");
    if tool == Tool::Loadgen {
        arguments.extend(["--json".to_owned(), json.display().to_string()]);
        if programs.loadgen_has(AB_COUNTS) {
            arguments.push(AB_COUNTS.to_owned());
        }
    }
    arguments.push(stand.url());
    let order = Order {
        program: program(programs, tool)?,
        arguments: &arguments,
        cpus: &ground.cpus.client,
        open_files: None,
        at_most: AT_MOST,
        dir: stand.dir(),
    };
    let cpu_before = stand.cpu();
    let mut watched = Watched::default();
    let mut due = Instant::now();
    let ran = process::run(&order, ground.interrupt, || {
        if command.watched && Instant::now() >= due {
            stand.look_at_memory(&mut watched);
            due = Instant::now() + MEMORY_EVERY;
        }
        Ok(())
    })?;
    let Some(ran) = ran else {
        return Ok(None);
    };
    watched.cpu_s = stand.cpu().since(&cpu_before).map(|ns| ns as f64 / 1e9);
    let said = match tool {
        Tool::Ab => ToolSaid::Ab(AbSaid::read(&ran.output, &ran.errors)),
        Tool::Loadgen => ToolSaid::Loadgen(loadgen_said(&json, &ran)?),
    };
    let not_started = stand.not_started.clone();
    let served = stand.stop()?;
    Ok(Some(Side {
        command: command.number,
        mpm,
        repetition,
        said,
        served,
        not_started,
        watched: command.watched.then_some(watched),
    }))
}

fn loadgen_said(json: &std::path::Path, ran: &Ran) -> Result<LoadgenSaid, LabError> {
    let failed = |why: &dyn std::fmt::Display| LabError::Run {
        run: "loadgen".into(),
        message: format!("{why}; it said: {}", ran.errors.trim()),
    };
    let text = fs::read_to_string(json).map_err(|error| failed(&error))?;
    let report: JsonReport = serde_json::from_str(&text).map_err(|error| failed(&error))?;
    Ok(LoadgenSaid::new(
        &report.summary,
        AbAccount::read(&ran.output),
    ))
}
