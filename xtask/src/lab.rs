//! Runs the lab.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::process::ExitCode;

use anyhow::{Context as _, Result};

use crate::environment;
use crate::paths::Paths;

/// Becomes `mpm-observer lab`, so that signals and the exit status need no passing on; returns
/// only when it cannot be started.
pub fn run(paths: &Paths, args: &[OsString]) -> Result<ExitCode> {
    let observer = paths.observer();
    let mut command = environment::command(paths, &observer);
    command.arg("lab").args(args);
    let error = command.exec();
    Err(error).with_context(|| format!("cannot run {}", observer.display()))
}
