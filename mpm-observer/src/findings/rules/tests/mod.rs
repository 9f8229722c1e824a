//! The rules on made-up runs.

mod endings;
mod limits;
mod waits;

use std::{collections::BTreeSet, io};

use loadgen::Outcome;

use super::RULES;
use crate::{
    correlate::RunAnalysis,
    findings::{Finding, Group, Look, RunEvidence, TimedLine, error_log_lines, group, look},
    recording::{ClientRow, FailureRow, Status, TaskRow},
    report::made_up::{
        analysed,
        rows::{BEGIN_NS, Figures, Rows, rows, rows_not_started},
    },
    scenario::Mpm,
};

const SECOND: u64 = 1_000_000_000;
/// When the made-up runs are told to stop.
const STOP_NS: u64 = BEGIN_NS + 30 * SECOND;

/// Rows of a run in which nothing went wrong.
fn clean_rows(mpm: Mpm) -> Rows {
    let figures = Figures {
        failed: 0,
        ..Figures::default()
    };
    let mut rows = rows(mpm, 1, &figures);
    rows.client.retain(ClientRow::is_ok);
    for sample in &mut rows.samples {
        sample.listen_overflows = 10;
    }
    rows.manifest.stop_ns = STOP_NS;
    rows
}

/// A run in which nothing went wrong, with its log's text.
struct MadeUp {
    run: RunAnalysis,
    log: String,
}

impl MadeUp {
    fn clean(mpm: Mpm) -> Self {
        Self::of(clean_rows(mpm))
    }

    fn not_started(mpm: Mpm) -> Self {
        let mut rows = rows_not_started(mpm, 1);
        rows.manifest.stop_ns = STOP_NS;
        assert_eq!(rows.manifest.status, Status::NotStarted);
        Self::of(rows)
    }

    fn of(rows: Rows) -> Self {
        Self {
            run: analysed(rows),
            log: String::new(),
        }
    }

    fn with_failures(mut self, rows: impl IntoIterator<Item = FailureRow>) -> Self {
        self.run.failures.extend(rows);
        self
    }

    /// A line of the log so many seconds after the begin of the load.
    fn logged(mut self, after_s: u64, text: &str) -> Self {
        // The made-up manifests begin a second before the load, at this time of the day.
        let unix = 1_770_000_000 + 1 + after_s;
        let stamp = crate::report::utc(unix);
        self.log += &format!("[{stamp}.250000] [mpm:error] [pid 10:tid 10] {text}\n");
        self
    }

    fn look(&self) -> Look {
        let lines = error_log_lines::lines(&self.log, &self.run.manifest);
        self.look_with(Ok(lines))
    }

    fn look_with(&self, log: io::Result<Vec<TimedLine>>) -> Look {
        look(&RunEvidence::new("made-up.1", &self.run, log))
    }

    fn group(&self) -> Group {
        group("Made up", &[self.look()]).unwrap()
    }

    /// The names of the rules that found something, the strongest finding first.
    fn found(&self) -> Vec<String> {
        let findings = self.group().findings;
        findings.into_iter().map(|finding| finding.rule).collect()
    }

    fn finding(&self, rule: &str) -> Finding {
        let findings = self.group().findings;
        let names: Vec<String> = findings.iter().map(|one| one.rule.clone()).collect();
        let found = findings.into_iter().find(|finding| finding.rule == rule);
        found.unwrap_or_else(|| panic!("no {rule} among {names:?}"))
    }
}

/// A task that is alive at the end.
fn task(tid: u32, pid: u32, role: &str, created_ns: u64) -> TaskRow {
    TaskRow {
        tid,
        pid,
        role: role.into(),
        is_thread: tid != pid,
        is_first: role == "parent",
        created_ns,
        exited_ns: STOP_NS + SECOND,
        ..TaskRow::default()
    }
}

/// A parent and children of prefork, all there from the begin.
fn prefork(children: u32) -> Vec<TaskRow> {
    let mut tasks = vec![task(10, 10, "parent", 1)];
    tasks.extend((0..children).map(|n| task(100 + n, 100 + n, "child", 2)));
    tasks
}

/// A failed request, a second long, from so many seconds after the load's begin on.
fn failed(port: u16, after_s: u64, outcome: Outcome, status: u16) -> ClientRow {
    let start_ns = BEGIN_NS + after_s * SECOND;
    ClientRow {
        measured: true,
        local_addr: "127.0.0.1".into(),
        local_port: port,
        remote_addr: "127.0.0.1".into(),
        remote_port: 8080,
        start_ns,
        connect_start_ns: start_ns,
        connected_ns: start_ns + 20_000,
        sent_ns: start_ns + 25_000,
        end_ns: start_ns + SECOND,
        status,
        outcome: outcome.name().into(),
        ..ClientRow::default()
    }
}

fn contains(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "“{part}” is not in: {text}");
    }
}

#[test]
fn a_run_without_a_failure_yields_no_finding() {
    for mpm in Mpm::ALL {
        let group = MadeUp::clean(mpm).group();
        assert!(group.findings.is_empty(), "{:?}", group.findings);
        assert_eq!(group.blind, [] as [&str; 0]);
        assert_eq!((group.mpm, group.runs), (mpm, 1));
    }
}

#[test]
fn each_rule_has_a_name_of_its_own_and_says_what_it_looks_for_and_needs() {
    let names: BTreeSet<&str> = RULES.iter().map(|rule| rule.name).collect();
    assert_eq!(names.len(), RULES.len());
    for rule in RULES {
        assert!(
            !rule.looks_for.is_empty() && !rule.needs.is_empty(),
            "{}",
            rule.name
        );
        let plain = |c: char| c.is_ascii_lowercase() || c == '-';
        assert!(rule.name.chars().all(plain), "{}", rule.name);
    }
}

#[test]
fn the_docs_have_each_rule_as_the_table_has_it() {
    let docs = include_str!("../../../../../docs/findings.md");
    let rows: Vec<&str> = docs.lines().filter(|line| line.starts_with("| ")).collect();
    let table: Vec<String> = RULES
        .iter()
        .map(|rule| {
            format!(
                "| {} | {} | {} |",
                rule.name,
                rule.looks_for,
                rule.needs.join(", ")
            )
        })
        .collect();
    assert_eq!(rows[1..], table);
}

#[test]
fn requests_that_nothing_explains_are_told_as_such() {
    let mut rows = clean_rows(Mpm::Event);
    let timeouts = (0..3).map(|n| ClientRow {
        // It was never connected, so that it did not wait in the accept queue either.
        connected_ns: 0,
        sent_ns: 0,
        ..failed(50_000 + n, 1, Outcome::Timeout, 0)
    });
    rows.client.extend(timeouts);
    let finding = MadeUp::of(rows).finding("unexplained");
    assert_eq!(
        finding.sentence,
        "event: 3 of the 103 requests failed: timed out. No failure that would explain it was \
         recorded in the kernel."
    );
    assert!((finding.weight - 3.0 / 103.0).abs() < 1e-9);
}

#[test]
fn a_start_that_nothing_explains_is_told_as_such() {
    let made_up = MadeUp::not_started(Mpm::Worker);
    assert_eq!(made_up.found(), ["unexplained"]);
    contains(
        &made_up.finding("unexplained").sentence,
        &[
            "httpd did not start",
            "100 of the 100 requests failed: connection refused",
        ],
    );
}

#[test]
fn a_log_that_cannot_be_read_is_said_to_be_missing() {
    let made_up = MadeUp::clean(Mpm::Event);
    let unreadable = io::Error::from(io::ErrorKind::PermissionDenied);
    let group = group("Made up", &[made_up.look_with(Err(unreadable))]).unwrap();
    assert!(group.findings.is_empty(), "{:?}", group.findings);
    contains(&group.blind[0], &["made-up.1", "error log cannot be read"]);
}
