//! Runs the benches.

use std::ffi::OsString;
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use clap::ValueEnum;

use crate::environment;
use crate::paths::Paths;
use crate::test;

/// What the overhead is compared with, each in the package of its name.
const TRACERS: [&str; 2] = ["bpftrace", "strace"];

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Bench {
    /// What the collector takes, and whether it keeps up
    Collector,
    /// Whether the time of every request adds up, every request is seen, every count is right
    Conservation,
    /// Whether each limit that is run into is named, and nothing where nothing failed
    Limits,
    /// What watching costs httpd, in pairs, beside bpftrace and strace
    Overhead,
    /// What each eBPF program costs per request
    Probes,
    /// Whether delays that were put in on purpose are found in the phase that should carry them
    Truth,
}

impl Bench {
    fn name(self) -> &'static str {
        match self {
            Self::Collector => "collector",
            Self::Conservation => "conservation",
            Self::Limits => "limits",
            Self::Overhead => "overhead",
            Self::Probes => "probes",
            Self::Truth => "truth",
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

/// The names of the tests that measure the truth begin with this.
const TRUTH_TESTS: &str = "truth_of_";

/// Runs the tests of injected truth and prints their table.
pub fn truth(paths: &Paths) -> Result<ExitCode> {
    let code = test::run(paths, &[TRUTH_TESTS.to_owned()])?;
    let table = paths.target.join("bench/truth.md");
    let text =
        fs::read_to_string(&table).with_context(|| format!("cannot read {}", table.display()))?;
    println!("\n{text}");
    Ok(code)
}

/// Becomes the bench, so that signals and the exit status need no passing on; returns only when
/// it cannot be started.
pub fn run(paths: &Paths, bench: Bench, args: &[OsString]) -> Result<ExitCode> {
    let observer = paths.observer();
    let mut command = environment::command(paths, &observer);
    command.args(["__bench", bench.name()]);
    // What the user says later takes their place.
    let results = paths.target.join("bench");
    match bench {
        Bench::Overhead => {
            command.arg("--out").arg(results);
        }
        Bench::Conservation | Bench::Limits => {
            let seconds = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
            let out = results.join(format!("{}-{seconds}", bench.name()));
            command.arg("--out").arg(out);
        }
        Bench::Collector | Bench::Probes | Bench::Truth => {}
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
