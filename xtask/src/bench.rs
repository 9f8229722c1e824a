//! Runs the benches.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::ValueEnum;

use crate::environment;
use crate::paths::Paths;

/// What the overhead is compared with, each in the package of its name.
const TRACERS: [&str; 2] = ["bpftrace", "strace"];

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Bench {
    /// What the collector takes, and whether it keeps up
    Collector,
    /// What watching costs httpd, in pairs, beside bpftrace and strace
    Overhead,
    /// What each eBPF program costs per request
    Probes,
}

impl Bench {
    fn name(self) -> &'static str {
        match self {
            Self::Collector => "collector",
            Self::Overhead => "overhead",
            Self::Probes => "probes",
        }
    }
}

/// The programs that a bench compares with, and needs installed.
pub fn needs(bench: Bench, args: &[OsString]) -> Vec<&'static str> {
    if bench != Bench::Overhead {
        return Vec::new();
    }
    let against = against(args);
    let mut tracers = TRACERS.to_vec();
    tracers.retain(|tracer| {
        let asked = against.as_deref();
        asked.is_none_or(|list| list.split(',').any(|watcher| watcher == *tracer))
    });
    tracers
}

/// The value of `--against`, which says with what is compared.
fn against(args: &[OsString]) -> Option<String> {
    let mut args = args.iter().map(|arg| arg.to_string_lossy());
    args.by_ref()
        .find_map(|arg| {
            let rest = arg.strip_prefix("--against")?.to_owned();
            Some(rest.strip_prefix('=').map(str::to_owned))
        })?
        .or_else(|| args.next().map(|value| value.into_owned()))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn needed(args: &[&str]) -> Vec<&'static str> {
        let args: Vec<OsString> = args.iter().map(OsString::from).collect();
        needs(Bench::Overhead, &args)
    }

    #[test]
    fn only_the_tracers_that_are_compared_with_are_needed() {
        assert_eq!(needed(&["--pairs", "3"]), TRACERS);
        assert_eq!(needed(&["--against", "observer,strace"]), ["strace"]);
        assert_eq!(
            needed(&["--against=bpftrace", "--pairs", "3"]),
            ["bpftrace"]
        );
        assert!(needed(&["--against", "observer"]).is_empty());
        assert!(needs(Bench::Probes, &[]).is_empty());
    }
}
