//! Runs the benches.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::ValueEnum;

use crate::environment;
use crate::paths::Paths;

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Bench {
    /// What watching costs httpd, in pairs, beside bpftrace and strace
    Overhead,
    /// What each eBPF program costs per request
    Probes,
}

impl Bench {
    fn name(self) -> &'static str {
        match self {
            Self::Overhead => "overhead",
            Self::Probes => "probes",
        }
    }
}

/// Becomes the bench, so that signals and the exit status need no passing on; returns only when
/// it cannot be started.
pub fn run(paths: &Paths, bench: Bench, args: &[OsString]) -> Result<ExitCode> {
    let observer = paths.observer();
    let mut command = environment::command(paths, &observer);
    command.args(["__bench", bench.name()]);
    if bench == Bench::Overhead {
        // What the user says later takes its place.
        command.arg("--out").arg(paths.target.join("bench"));
    }
    command.args(args);
    let error = command.exec();
    Err(error).with_context(|| format!("cannot run {}", observer.display()))
}
