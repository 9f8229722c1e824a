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
use crate::setup::{self, AB, Package};
use crate::test;

/// What the overhead is compared with.
const TRACERS: [Package; 2] = [
    Package::of_its_name("bpftrace"),
    Package::of_its_name("strace"),
];
/// What loadgen is compared with, beside what set-up builds.
const CLIENTS: [Package; 4] = [
    AB,
    Package::of_its_name("wrk"),
    Package::of_its_name("hey"),
    Package {
        program: "h2load",
        package: "nghttp2-client",
    },
];

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Bench {
    /// What ab, loadgen and the server count in the tutorial's commands, side by side
    Ab,
    /// What the collector takes, and whether it keeps up
    Collector,
    /// Whether the time of every request adds up, every request is seen, every count is right
    Conservation,
    /// Whether each limit that is run into is named, and nothing where nothing failed
    Limits,
    /// What loadgen costs its own machine, in pairs, beside wrk, ab and oha
    Loadgen,
    /// What watching costs httpd, in pairs, beside bpftrace and strace
    Overhead,
    /// What each eBPF program costs per request
    Probes,
    /// Whether anything grows while children, connections and whole servers come and go
    Soak,
    /// Whether delays that were put in on purpose are found in the phase that should carry them
    Truth,
}

impl Bench {
    fn name(self) -> &'static str {
        match self {
            Self::Ab => "ab",
            Self::Collector => "collector",
            Self::Conservation => "conservation",
            Self::Limits => "limits",
            Self::Loadgen => "loadgen",
            Self::Overhead => "overhead",
            Self::Probes => "probes",
            Self::Soak => "soak",
            Self::Truth => "truth",
        }
    }
}

/// Sets up what a bench compares with. What loadgen's lacks it leaves out and names.
pub fn set_up(paths: &Paths, bench: Bench, args: &[OsString]) -> Result<()> {
    match bench {
        Bench::Overhead => setup::ensure_programs(paths, &tracers(args), "to compare with"),
        Bench::Ab => setup::ensure_programs(paths, &[AB], "to compare with"),
        Bench::Loadgen => {
            setup::ensure_unpacked(paths, &setup::NGINX)?;
            if let Err(error) = setup::ensure_programs(paths, &CLIENTS, "to compare with") {
                eprintln!("{error:#}");
            }
            if let Err(error) = setup::ensure_oha(paths) {
                eprintln!("{error:#}");
            }
            Ok(())
        }
        Bench::Collector
        | Bench::Conservation
        | Bench::Limits
        | Bench::Probes
        | Bench::Soak
        | Bench::Truth => Ok(()),
    }
}

/// The tracers that the overhead is compared with.
fn tracers(args: &[OsString]) -> Vec<Package> {
    let against = against(args);
    let mut tracers = TRACERS.to_vec();
    tracers.retain(|tracer| {
        let asked = against.as_deref();
        asked.is_none_or(|list| list.split(',').any(|watcher| watcher == tracer.program))
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
        Bench::Ab | Bench::Overhead => {
            command.arg("--out").arg(results);
        }
        Bench::Loadgen => {
            command.arg("--out").arg(results);
            command.env("PATH", setup::path_with_tools(paths)?);
        }
        Bench::Conservation | Bench::Limits => {
            let seconds = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
            let out = results.join(format!("{}-{seconds}", bench.name()));
            command.arg("--out").arg(out);
        }
        Bench::Collector | Bench::Probes | Bench::Soak | Bench::Truth => {}
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
        let tracers = tracers(&args).into_iter();
        tracers.map(|tracer| tracer.program).collect()
    }

    #[test]
    fn only_the_tracers_that_are_compared_with_are_needed() {
        assert_eq!(needed(&["--pairs", "3"]), ["bpftrace", "strace"]);
        assert_eq!(needed(&["--against", "observer,strace"]), ["strace"]);
        assert_eq!(
            needed(&["--against=bpftrace", "--pairs", "3"]),
            ["bpftrace"]
        );
        assert!(needed(&["--against", "observer"]).is_empty());
    }
}
