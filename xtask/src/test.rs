//! Runs all tests and counts them.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::process::{ExitCode, Stdio};
use std::thread;

use anyhow::{Context as _, Result};

use crate::build;
use crate::environment;
use crate::paths::Paths;
use crate::setup::{self, AB, GRAFANA_TYPES, PROMETHEUS, ROTEL, TRANSLATION, UNIT_TOOLS};
use crate::step::{self, Step};
use crate::tally::Tally;

/// Tells the tests that they must fail where they would otherwise be skipped.
const REQUIRE_ALL: &str = "MPM_OBSERVER_REQUIRE_ALL";

/// The tests in the order they run: cargo's selection and the harness's arguments. Integration
/// tests start servers and watch the CPUs they share, so they run one at a time.
const PHASES: [(&[&str], &[&str]); 3] = [
    (&["--lib", "--bins"], &[]),
    (&["--test", "*"], &["--test-threads=1"]),
    (&["--doc"], &[]),
];

/// Builds and runs all tests, or those whose names contain one of `filters`. The last line on
/// standard output is "N passed, N failed, N skipped".
pub fn run(paths: &Paths, filters: &[String]) -> Result<ExitCode> {
    // Without one of them the tests that need it are skipped, which only CI forbids.
    for ensured in [
        setup::ensure_programs(paths, &[AB], "to hold loadgen's counts against"),
        setup::ensure_programs(paths, &UNIT_TOOLS, "to check the systemd unit"),
        setup::ensure_programs(
            paths,
            &[TRANSLATION],
            "to translate addresses between two hosts",
        ),
        setup::ensure_unpacked(paths, &PROMETHEUS),
        setup::ensure_python_package(paths, &GRAFANA_TYPES),
        setup::ensure_python_package(paths, &ROTEL),
        setup::ensure_httpd_configuration(paths),
    ] {
        if let Err(error) = ensured {
            eprintln!("{error:#}");
        }
    }
    // The lab's binaries as well: integration tests run them.
    build::release(paths)?;
    let mut compile = environment::workspace_cargo(paths);
    compile
        .args(["test", "--release", "--workspace", "--no-run"])
        .args(build::lock_arguments());
    Step {
        what: "building the tests",
        expected: "about 5 min the first time",
        log: "build-tests",
    }
    .run(paths, &mut compile)?;

    let log = paths.logs().join("tests.log");
    let mut log_file =
        File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
    let mut tally = Tally::default();
    let mut first_failure = None;
    for (selection, harness) in PHASES {
        let mut tests = environment::workspace_cargo(paths);
        tests
            .args(["test", "--quiet", "--release", "--workspace"])
            .args(["--no-fail-fast"])
            .args(build::lock_arguments())
            .args(selection)
            .arg("--")
            .args(["--show-output", "--format=pretty"])
            .args(harness)
            .args(filters)
            .env("PATH", setup::path_with_tools(paths)?)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if environment::on_ci() {
            tests.env(REQUIRE_ALL, "1");
        }
        let mut child = tests.spawn().context("cannot run cargo test")?;
        let output = child.stdout.take().context("cargo test has no output")?;
        let errors = child.stderr.take().context("cargo test has no output")?;
        // Both are read at once, or a test that fills one pipe would wait for ever.
        let errors = thread::spawn(move || pass_on_errors(errors));
        copy(output, &mut log_file, &mut tally)?;
        for line in errors.join().unwrap_or_default() {
            tally.take_stderr(&line);
        }
        let status = child.wait().context("cannot wait for cargo test")?;
        if !status.success() && first_failure.is_none() {
            first_failure = Some(step::exit_code(status));
        }
    }

    let counts = tally.finish();
    let mut stdout = io::stdout().lock();
    let forbidden_skips = environment::on_ci() && counts.skipped > 0;
    if forbidden_skips {
        writeln!(stdout, "error: CI skips no test")?;
    }
    writeln!(
        stdout,
        "{} passed, {} failed, {} skipped",
        counts.passed, counts.failed, counts.skipped
    )?;
    Ok(match first_failure {
        Some(code) => ExitCode::from(code),
        None if forbidden_skips || counts.failed > 0 => ExitCode::FAILURE,
        None => ExitCode::SUCCESS,
    })
}

/// Copies a test program's output to the log and, as far as a user wants it, to the terminal.
fn copy(output: impl io::Read, log: &mut File, tally: &mut Tally) -> Result<()> {
    let mut reader = BufReader::new(output);
    let mut stdout = io::stdout().lock();
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? > 0 {
        log.write_all(&line).context("cannot write the test log")?;
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end_matches(['\n', '\r']);
        if tally.take(text) {
            writeln!(stdout, "{text}")?;
        }
        line.clear();
    }
    Ok(())
}

/// Shows standard error as it comes, and returns its lines.
fn pass_on_errors(errors: impl io::Read) -> Vec<String> {
    BufReader::new(errors)
        .split(b'\n')
        .map_while(Result::ok)
        .map(|line| {
            let line = String::from_utf8_lossy(&line).into_owned();
            eprintln!("{line}");
            line
        })
        .collect()
}
