//! Set-up, build and tests of mpm-observer, as `cargo xtask COMMAND`.

mod bench;
mod build;
mod check;
mod environment;
mod failure;
mod fuzz;
mod lab;
mod paths;
mod setup;
mod step;
mod tally;
mod test;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::paths::Paths;
use crate::setup::Extent;

/// Sets up, builds, runs and tests mpm-observer.
#[derive(Parser)]
#[command(
    bin_name = "cargo xtask",
    after_help = "Exit status: 2 for wrong usage, 3 when something is missing that could not be \
                  installed, otherwise that of the program that was run."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Set up, build, and run `mpm-observer lab` with the given arguments
    #[command(disable_help_flag = true)]
    Lab {
        /// Arguments for `mpm-observer lab`; `--help` lists them
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Set up, build, and run all tests
    Test {
        /// Run only the tests whose names contain one of these
        filters: Vec<String>,
    },
    /// Set up, build, and measure the observer and the load generator
    Bench {
        /// What to measure
        name: bench::Bench,
        /// Arguments for the bench; `--help` lists them
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Feed loadgen's parser of answers with what chance and its own coverage come up with
    Fuzz {
        /// How long
        #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
        seconds: u32,
    },
    /// Install what is missing on this machine
    Setup,
    /// Set up, and build the eBPF programs and the release binaries
    Build,
    /// Set up, and build only the eBPF programs
    Ebpf,
    /// Check format, lints and documentation
    Check,
    /// What CI does: check, then test
    Ci,
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(code) => code,
        Err(error) => failure::report(&error),
    }
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    let paths = Paths::find()?;
    match command {
        Command::Lab { args } => {
            let tools = setup::ensure(&paths, Extent::Build)?;
            build::ebpf(&paths, &tools)?;
            build::release(&paths)?;
            lab::set_up(&paths, &args);
            return lab::run(&paths, &args);
        }
        Command::Test { filters } => {
            let tools = setup::ensure(&paths, Extent::Test)?;
            build::ebpf(&paths, &tools)?;
            return test::run(&paths, &filters);
        }
        Command::Bench {
            name: bench::Bench::Truth,
            ..
        } => {
            let tools = setup::ensure(&paths, Extent::Test)?;
            build::ebpf(&paths, &tools)?;
            return bench::truth(&paths);
        }
        Command::Bench { name, args } => {
            let tools = setup::ensure(&paths, Extent::Build)?;
            build::ebpf(&paths, &tools)?;
            bench::set_up(&paths, name, &args)?;
            build::release(&paths)?;
            return bench::run(&paths, name, &args);
        }
        Command::Fuzz { seconds } => return fuzz::run(&paths, seconds),
        Command::Setup => {
            let tools = setup::ensure(&paths, Extent::Build)?;
            println!("set up: {tools}");
        }
        Command::Build => {
            let tools = setup::ensure(&paths, Extent::Build)?;
            build::ebpf(&paths, &tools)?;
            build::release(&paths)?;
        }
        Command::Ebpf => {
            let tools = setup::ensure(&paths, Extent::Build)?;
            build::ebpf(&paths, &tools)?;
            println!("{}", paths.ebpf_object().display());
        }
        Command::Check => {
            let tools = setup::ensure(&paths, Extent::Check)?;
            check::run(&paths, &tools)?;
        }
        Command::Ci => {
            let tools = setup::ensure(&paths, Extent::Check)?;
            check::run(&paths, &tools)?;
            setup::ensure(&paths, Extent::Test)?;
            return test::run(&paths, &[]);
        }
    }
    Ok(ExitCode::SUCCESS)
}
