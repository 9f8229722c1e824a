//! `explain` on recordings of made-up runs.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use mpm_observer::{
    recording::{ClientRow, FailureRow, Purpose, RunDir},
    scenario::Mpm,
};
use serde_json::Value;

mod made_up;

use made_up::{
    rows::{self, BEGIN_NS, Figures, Rows},
    write_experiment, write_run,
};

/// A run in which nothing failed.
fn clean(mpm: Mpm, repetition: u32) -> Rows {
    let figures = Figures {
        failed: 0,
        ..Figures::default()
    };
    let mut rows = rows::rows(mpm, repetition, &figures);
    rows.client.retain(ClientRow::is_ok);
    for sample in &mut rows.samples {
        sample.listen_overflows = 10;
    }
    rows
}

/// A start at the limit of address space.
fn refused(mpm: Mpm, repetition: u32) -> Rows {
    let mut rows = rows::rows_not_started(mpm, repetition);
    rows.failures.push(FailureRow {
        t_ns: BEGIN_NS,
        tid: 101,
        pid: 100,
        role: "child".into(),
        call: "mmap".into(),
        purpose: Purpose::ThreadStack,
        errno: 12,
        bytes: 8_392_704,
        address_space_limit: Some(512_000_000),
        address_space: Some(510_000_000),
        malloc_arenas: 5,
        malloc_arena_bytes: 5 * 67_108_864,
        thread_stacks: 15,
        thread_stack_bytes: 15 * 8_392_704,
        ..FailureRow::default()
    });
    rows
}

/// An experiment of these runs, each with the log.
fn experiment(dir: &Path, runs: &[Rows]) -> Vec<RunDir> {
    let mut names = Vec::new();
    let log = "[2026-02-02 02:40:01.250000] [mpm_worker:alert] [pid 100:tid 101] \
               (11)Resource temporarily unavailable: AH03142: ap_thread_create: unable\n";
    let dirs = runs.iter().map(|run| {
        let run = write_run(dir, &mut names, run);
        fs::write(run.path().join("error.log"), log).unwrap();
        run
    });
    let dirs = dirs.collect();
    write_experiment(dir, names, "High load", "lab");
    dirs
}

fn explain(dir: &Path, options: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_mpm-observer"))
        .arg("explain")
        .arg(dir)
        .args(options)
        .output()
        .unwrap()
}

fn text(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    // Lines are broken for the terminal wherever it is.
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    assert!(
        text.lines().all(|line| line.chars().count() <= 100),
        "{text}"
    );
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn what_failed_is_told_with_its_evidence_and_what_did_not_fail_too() {
    let dir = tempfile::tempdir().unwrap();
    let runs = [
        clean(Mpm::Prefork, 1),
        clean(Mpm::Worker, 1),
        refused(Mpm::Worker, 2),
    ];
    experiment(dir.path(), &runs);
    let told = text(&explain(dir.path(), &[]));
    for part in [
        "High load (high-load)",
        "prefork: nothing failed in 1 run.",
        "worker: mmap of a thread's stack (8,392,704 B) by a starting child failed with ENOMEM",
        "in 1 of 2 runs, at 510.0 MB of 512.0 MB of address space (ulimit -v 500000)",
        "httpd did not start in 1 of 2 starts",
        "AH03142 in the error log",
        "high-load.worker.2/failures: 1 row, such as: mmap of a thread's stack",
        "would have helped: MALLOC_ARENA_MAX=1",
    ] {
        assert!(told.contains(part), "“{part}” is not in: {told}");
    }
}

#[test]
fn the_same_is_there_for_programs() {
    let dir = tempfile::tempdir().unwrap();
    experiment(dir.path(), &[refused(Mpm::Worker, 1)]);
    let output = explain(dir.path(), &["--json", "--scenario", "high-load"]);
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    let finding = &json["explained"]["groups"][0]["findings"][0];
    assert_eq!(finding["rule"], "address-space");
    assert_eq!(finding["weight"], 1.0);
    assert_eq!(finding["evidence"][0]["table"], "failures");
    let change = &finding["remedies"][0]["change"]["environment"];
    assert_eq!(change["name"], "MALLOC_ARENA_MAX");
}

#[test]
fn a_table_that_cannot_be_read_is_said_and_nothing_is_claimed_about_it() {
    let dir = tempfile::tempdir().unwrap();
    let dirs = experiment(dir.path(), &[clean(Mpm::Event, 1)]);
    let damaged = dirs[0].path().join("failures/part-00000.parquet");
    fs::write(damaged, b"not parquet").unwrap();
    let told = text(&explain(dir.path(), &[]));
    assert!(
        told.contains("event: no failure is known in 1 run."),
        "{told}"
    );
    assert!(
        told.contains("not known: high-load.event.1: cannot be read:"),
        "{told}"
    );
    assert!(told.contains("part-00000.parquet"), "{told}");
}

#[test]
fn a_run_that_cannot_be_read_is_left_out_and_named() {
    let dir = tempfile::tempdir().unwrap();
    let dirs = experiment(dir.path(), &[clean(Mpm::Event, 1), clean(Mpm::Event, 2)]);
    fs::write(dirs[1].path().join("manifest.json"), b"{ half").unwrap();
    let told = text(&explain(dir.path(), &[]));
    assert!(told.contains("event: nothing failed in 1 run."), "{told}");
    assert!(told.contains("high-load.event.2 was left out"), "{told}");
}

#[test]
fn what_cannot_be_explained_ends_with_its_code() {
    let dir = tempfile::tempdir().unwrap();
    let output = explain(dir.path(), &[]);
    assert_eq!(output.status.code(), Some(4));
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        error.contains("experiment.json") && error.contains("`lab`"),
        "{error}"
    );

    experiment(dir.path(), &[clean(Mpm::Event, 1)]);
    let output = explain(dir.path(), &["--scenario", "no-such"]);
    assert_eq!(output.status.code(), Some(2));
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        error.contains("\"no-such\"; there are high-load"),
        "{error}"
    );

    let live = tempfile::tempdir().unwrap();
    fs::write(live.path().join("manifest.json"), b"{}").unwrap();
    let output = explain(live.path(), &["--scenario", "high-load"]);
    assert_eq!(output.status.code(), Some(2));
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(error.contains("recording of a live server"), "{error}");
}

#[test]
fn without_a_change_to_try_nothing_is_run() {
    let dir = tempfile::tempdir().unwrap();
    experiment(dir.path(), &[clean(Mpm::Event, 1)]);
    let told = text(&explain(dir.path(), &["--verify"]));
    assert!(
        told.contains("No finding has a change that a run can be made with."),
        "{told}"
    );
    assert!(!dir.path().join("verify").exists());
}
