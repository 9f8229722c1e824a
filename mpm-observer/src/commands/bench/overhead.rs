//! `cargo xtask bench overhead`

use std::{fs, path::PathBuf, time::Duration};

use clap::Args;

use super::{Common, failed};
use crate::{
    commands::exit::{CommandResult, Exit},
    overhead::{Lines, PairsPlan, Watcher, measure, table},
};

/// Options of `overhead`.
#[derive(Debug, Args)]
pub(super) struct OverheadArguments {
    #[command(flatten)]
    common: Common,
    /// Pairs of four slices of each MPM, kind of load and watcher that can be switched
    #[arg(long, value_name = "N", default_value_t = 250, value_parser = clap::value_parser!(u32).range(1..))]
    sliced_pairs: u32,
    /// Length of each slice in milliseconds
    #[arg(long, value_name = "MS", default_value_t = PairsPlan::SLICE.as_millis() as u64, value_parser = clap::value_parser!(u64).range(5..))]
    slice_ms: u64,
    /// Pairs of halves of each MPM, kind of load and watcher that cannot: bpftrace and strace
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    pairs: u32,
    /// Length of each half in seconds
    #[arg(long, value_name = "S", default_value_t = 1.0)]
    seconds: f64,
    /// Watchers, separated by commas
    #[arg(
        long,
        value_name = "LIST",
        value_delimiter = ',',
        default_value = "observer,bpftrace,strace"
    )]
    against: Vec<Watcher>,
    /// Directory for overhead.json
    #[arg(
        long,
        value_name = "DIR",
        default_value = "target/bench",
        overrides_with = "out"
    )]
    out: PathBuf,
}

/// Runs it.
pub(super) fn run(arguments: &OverheadArguments) -> CommandResult {
    let half = Duration::try_from_secs_f64(arguments.seconds)
        .map_err(|error| (Exit::Usage, format!("--seconds: {error}")))?;
    let interrupt = arguments.common.prepare()?;
    let place = arguments.common.open()?;
    let out = &arguments.out;
    fs::create_dir_all(out)
        .map_err(|error| (Exit::Failed, format!("{}: {error}", out.display())))?;
    let plan = PairsPlan {
        mpms: arguments.common.mpm.clone(),
        watchers: arguments.against.clone(),
        sliced_pairs: arguments.sliced_pairs,
        slice: Duration::from_millis(arguments.slice_ms),
        pairs: arguments.pairs,
        half,
        lines: Lines::EachRound,
    };
    let overhead = measure(place.ground(&interrupt), &plan).map_err(failed)?;
    overhead
        .write(out)
        .map_err(|error| (Exit::Failed, error.to_string()))?;
    println!(
        "Watched against not watched: median of the pairs' ratios with its 95 % bootstrap interval;\n\
         {} connections, {} bytes, slices of {} ms, four a pair (bpftrace and strace: halves of {} ms),\n\
         httpd on CPU {:?}, client and watcher on CPU {:?}\n",
        overhead.connections,
        overhead.body_bytes,
        arguments.slice_ms,
        overhead.half_ms,
        overhead.server_cpus,
        overhead.client_cpus
    );
    println!("{}", table(&overhead));
    println!("pairs: {}", out.join("overhead.json").display());
    Ok(if interrupt.is_set() {
        Exit::Interrupted
    } else {
        Exit::Done
    })
}
