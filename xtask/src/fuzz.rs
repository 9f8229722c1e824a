//! Fuzzes loadgen's parser of answers for a bounded time.

use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, ExitCode, ExitStatus, Stdio};

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
/// and what it has found.
const SHOWN: [&str; 5] = [
    "\tINITED ",
    "\tpulse ",
    "\tDONE ",
    PANIC,
    "ERROR: libFuzzer",
];

/// Stands in the line before a panic's message.
const PANIC: &str = "panicked at";

/// Stands before the name of the file with an input that made the target fail.
const INPUT: &str = "Test unit written to ";

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
    let (status, input) = watch(&mut fuzzer, &log)?;
    if !status.success() {
        let log = log.display();
        let what = match input {
            Some(input) => format!("the parser, given the bytes in {input} (log: {log}),"),
            None => format!("fuzzing (log: {log})"),
        };
        let status = step::exit_code(status);
        return Err(Failure::Program { what, status }.into());
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

/// Runs the fuzzer; all it says goes to the log, and what matters to the terminal. Returns how it
/// ended, and the file with the input on which the target failed.
fn watch(fuzzer: &mut Command, log: &Path) -> Result<(ExitStatus, Option<String>)> {
    let mut log_file =
        File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
    let mut child = fuzzer
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot run the fuzz target")?;
    let said = child.stderr.take().context("the fuzz target is silent")?;
    let (mut input, mut is_message) = (None, false);
    for line in BufReader::new(said).split(b'\n') {
        let mut line = line.context("cannot read what the fuzz target says")?;
        line.push(b'\n');
        log_file.write_all(&line).context("cannot write the log")?;
        let text = String::from_utf8_lossy(&line);
        input = input_of(&text).map(str::to_owned).or(input);
        if is_message || SHOWN.iter().any(|mark| text.contains(mark)) {
            // A terminal that went away is no reason to stop.
            let _ = io::stdout().write_all(&line);
        }
        is_message = text.contains(PANIC);
    }
    let status = child.wait().context("cannot wait for the fuzz target")?;
    Ok((status, input))
}

/// The file that a line of the fuzzer names as the input on which the target failed.
fn input_of(line: &str) -> Option<&str> {
    line.split_once(INPUT).map(|(_, path)| path.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_input_is_found_in_what_the_fuzzer_says() {
        let line = "artifact_prefix='/a b/'; Test unit written to /a b/crash-0f\n";
        assert_eq!(input_of(line), Some("/a b/crash-0f"));
        assert_eq!(input_of("Base64: AAA=\n"), None);
    }
}
