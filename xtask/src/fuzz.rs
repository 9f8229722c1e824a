//! Fuzzes loadgen's parser of answers for a bounded time.

use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context as _, Result};

use crate::build;
use crate::environment;
use crate::failure::Failure;
use crate::paths::Paths;
use crate::step::{self, Step};

/// What cargo-fuzz passes, without a sanitizer: counters at every edge and traced comparisons,
/// which guide the search. A stable compiler takes them all.
const RUSTFLAGS: &str = "-Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares \
    -Ccodegen-units=1 --cfg fuzzing";

/// What an input may take; a parser that needs more hangs or grows.
const LIMITS: [&str; 3] = ["-timeout=5", "-rss_limit_mb=512", "-max_len=8192"];

/// Lines of the fuzzer that a user wants to see: its begin, each doubling of its inputs, its end,
/// and where a crash's input is.
const SHOWN: [&str; 5] = [
    "\tINITED ",
    "\tpulse ",
    "\tDONE ",
    "panicked at",
    "Test unit written to",
];

/// Builds the target and runs it for `seconds`. What it finds interesting is kept below the target
/// directory, and the next run begins with it.
pub fn run(paths: &Paths, seconds: u32) -> Result<ExitCode> {
    let dir = paths.target.join("fuzz");
    let (corpus, crashes) = (dir.join("corpus"), dir.join("crashes"));
    for dir in [&corpus, &crashes] {
        fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    }
    Step {
        what: "building the fuzz target",
        expected: "about 30 s the first time; needs a C++ compiler",
        log: "build-fuzz",
    }
    .run(paths, &mut cargo(paths, "build"))?;

    let mut fuzzer = cargo(paths, "run");
    fuzzer
        .arg("--quiet")
        .arg("--")
        .args([&corpus, &paths.fuzz_crate().join("seeds")])
        .arg(format!("-artifact_prefix={}/", crashes.display()))
        .arg(format!("-max_total_time={seconds}"))
        .args(LIMITS);
    let log = paths.logs().join("fuzz.log");
    let status = watch(&mut fuzzer, &log)?;
    if !status.success() {
        return Err(Failure::Program {
            what: format!(
                "fuzzing; the input is in {} (log: {})",
                crashes.display(),
                log.display()
            ),
            status: step::exit_code(status),
        }
        .into());
    }
    println!("no crash, no hang, no growth in {seconds} s");
    Ok(ExitCode::SUCCESS)
}

/// A cargo command for the fuzz crate, which has a lock file and flags of its own. The target is
/// named so that the flags leave build scripts alone.
fn cargo(paths: &Paths, subcommand: &str) -> Command {
    let mut command = environment::workspace_cargo(paths);
    command
        .current_dir(paths.fuzz_crate())
        .args([subcommand, "--release", "--target", "host-tuple"])
        .arg("--target-dir")
        .arg(paths.target.join("fuzz-build"))
        .args(build::lock_arguments())
        .env("RUSTFLAGS", RUSTFLAGS);
    command
}

/// Runs the fuzzer; all it says goes to the log, and what matters to the terminal.
fn watch(fuzzer: &mut Command, log: &Path) -> Result<std::process::ExitStatus> {
    let mut log_file =
        File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
    let mut child = fuzzer
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot run the fuzz target")?;
    let said = child.stderr.take().context("the fuzz target is silent")?;
    for line in BufReader::new(said).split(b'\n') {
        let mut line = line.context("cannot read what the fuzz target says")?;
        line.push(b'\n');
        log_file.write_all(&line).context("cannot write the log")?;
        let text = String::from_utf8_lossy(&line);
        if SHOWN.iter().any(|mark| text.contains(mark)) {
            // A terminal that went away is no reason to stop.
            let _ = io::stdout().write_all(&line);
        }
    }
    child.wait().context("cannot wait for the fuzz target")
}
