//! `cargo xtask bench ab`

use std::{fs, path::PathBuf};

use clap::Args;
use nix::sys::utsname::uname;

use super::{Common, failed};
use crate::{
    commands::exit::{CommandResult, Exit},
    peers::{Programs, TutorialPlan, measure_tutorial, side_markdown, side_text},
    recording::write_json,
};

/// Options of `ab`.
#[derive(Debug, Args)]
pub(super) struct AbArguments {
    #[command(flatten)]
    common: Common,
    /// Numbers of the tutorial's commands, separated by commas
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "1,2,3,4,5,6",
          value_parser = clap::value_parser!(u32).range(1..=6))]
    commands: Vec<u32>,
    /// How often each command is run with each tool
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    repetitions: u32,
    /// Directory for ab.json and ab.md
    #[arg(
        long,
        value_name = "DIR",
        default_value = "target/bench",
        overrides_with = "out"
    )]
    out: PathBuf,
}

/// Runs it.
pub(super) fn run(arguments: &AbArguments) -> CommandResult {
    let interrupt = arguments.common.prepare()?;
    let place = arguments.common.open()?;
    let out = &arguments.out;
    fs::create_dir_all(out)
        .map_err(|error| (Exit::Failed, format!("{}: {error}", out.display())))?;
    let plan = TutorialPlan {
        commands: arguments.commands.clone(),
        mpms: arguments.common.mpm.clone(),
        repetitions: arguments.repetitions,
    };
    let kernel = uname().map_or_else(
        |_| "unknown".into(),
        |name| name.release().to_string_lossy().into_owned(),
    );
    let ground = place.ground(&interrupt);
    let results = measure_tutorial(ground, &plan, &Programs::find(), kernel).map_err(failed)?;
    write_json(&out.join("ab.json"), &results)
        .map_err(|error| (Exit::Failed, error.to_string()))?;
    let page = out.join("ab.md");
    fs::write(&page, side_markdown(&results))
        .map_err(|error| (Exit::Failed, format!("{}: {error}", page.display())))?;
    print!("{}", side_text(&results));
    println!("written: {}, ab.json beside it", page.display());
    Ok(if interrupt.is_set() {
        Exit::Interrupted
    } else {
        Exit::Done
    })
}
