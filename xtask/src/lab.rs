//! Runs the lab.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::process::ExitCode;

use anyhow::{Context as _, Result};

use crate::environment;
use crate::paths::Paths;
use crate::setup;

/// The option with which a Prometheus watches.
const SERVE: &str = "--serve";

/// Sets up what only some of the lab's options need. Without Prometheus the lab says so and goes
/// on.
pub fn set_up(paths: &Paths, args: &[OsString]) {
    let serves = args.iter().any(|arg| {
        let arg = arg.to_string_lossy();
        arg.strip_prefix(SERVE)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
    });
    if serves && let Err(error) = setup::ensure_unpacked(paths, &setup::PROMETHEUS) {
        eprintln!("{error:#}");
    }
}

/// Becomes `mpm-observer lab`, so that signals and the exit status need no passing on; returns
/// only when it cannot be started.
pub fn run(paths: &Paths, args: &[OsString]) -> Result<ExitCode> {
    let observer = paths.observer();
    let mut command = environment::command(paths, &observer);
    command
        .arg("lab")
        .args(args)
        .env("PATH", setup::path_with_tools(paths)?);
    let error = command.exec();
    Err(error).with_context(|| format!("cannot run {}", observer.display()))
}
