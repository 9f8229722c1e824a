//! `cargo xtask bench probes`

use std::time::Duration;

use clap::Args;

use super::{Common, failed};
use crate::{
    commands::exit::{CommandResult, Exit},
    overhead::program_costs,
};

/// Options of `probes`.
#[derive(Debug, Args)]
pub(super) struct ProbesArguments {
    #[command(flatten)]
    common: Common,
    /// Length of each load in seconds
    #[arg(long, value_name = "S", default_value_t = 3.0)]
    seconds: f64,
}

/// Runs it.
pub(super) fn run(arguments: &ProbesArguments) -> CommandResult {
    let duration = Duration::try_from_secs_f64(arguments.seconds)
        .map_err(|error| (Exit::Usage, format!("--seconds: {error}")))?;
    let interrupt = arguments.common.prepare()?;
    let place = arguments.common.open()?;
    println!(
        "Run time of the eBPF programs, calls for other tasks and sockets included. Counting it\n\
         adds some tens of ns to a call; the cost of coming to a program is not in it.\n"
    );
    for &mpm in &arguments.common.mpm {
        let costs = program_costs(place.ground(&interrupt), mpm, duration).map_err(failed)?;
        let Some(costs) = costs else {
            return Ok(Exit::Interrupted);
        };
        for cost in costs {
            println!("{}", cost.table());
        }
    }
    Ok(Exit::Done)
}
