//! `cargo xtask bench soak`

use std::time::Duration;

use clap::Args;

use super::{Common, failed};
use crate::{
    commands::exit::{CommandResult, Exit},
    soak::{SoakPlan, soak},
};

/// Options of `soak`.
#[derive(Debug, Args)]
pub(super) struct SoakArguments {
    #[command(flatten)]
    common: Common,
    /// How long for each MPM, in seconds
    #[arg(long, value_name = "S", default_value_t = 60.0)]
    seconds: f64,
    /// Time between graceful restarts, in seconds
    #[arg(long, value_name = "S", default_value_t = 2.0)]
    graceful_every: f64,
    /// Every which restart is a whole one, with a new first process
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(2..))]
    whole_every: u32,
}

/// Runs it.
pub(super) fn run(arguments: &SoakArguments) -> CommandResult {
    let seconds = |name: &str, value: f64| {
        Duration::try_from_secs_f64(value)
            .map_err(|error| (Exit::Usage, format!("--{name}: {error}")))
    };
    let duration = seconds("seconds", arguments.seconds)?;
    let graceful_every = seconds("graceful-every", arguments.graceful_every)?;
    let interrupt = arguments.common.prepare()?;
    let place = arguments.common.open()?;
    let mut are_all_flat = true;
    for &mpm in &arguments.common.mpm {
        let plan = SoakPlan {
            mpm,
            duration,
            graceful_every,
            whole_every: arguments.whole_every,
        };
        let Some(soaked) = soak(place.ground(&interrupt), &plan).map_err(failed)? else {
            return Ok(Exit::Interrupted);
        };
        println!("{soaked}");
        are_all_flat &= soaked.is_flat();
    }
    if are_all_flat {
        Ok(Exit::Done)
    } else {
        Err((Exit::Failed, "something grows, or was lost".to_owned()))
    }
}
