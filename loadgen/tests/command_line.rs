//! The program itself: what it prints and writes, and how it ends.

mod common;

use std::process::{Command, Output, Stdio};
use std::sync::mpsc::channel;

use common::{OK, Server};
use loadgen::report::JsonReport;
use loadgen::{Outcome, Row, RowReader};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

fn loadgen(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadgen"));
    command.args(args).stdin(Stdio::null());
    command
}

fn output(args: &[&str]) -> (Option<i32>, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = loadgen(args).output().expect("started");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (status.code(), text(stdout), text(stderr))
}

#[test]
fn figures_rows_and_json_of_a_good_run_agree() {
    let server = Server::answering(OK);
    let dir = tempfile::tempdir().expect("temporary directory");
    let path = |name| dir.path().join(name).display().to_string();
    let (rows, json) = (path("rows"), path("json"));
    let url = server.url();
    let (code, stdout, stderr) = output(&[
        "-n", "200", "-c", "5", "-k", "--rows", &rows, "--json", &json, &url,
    ]);
    assert_eq!(code, Some(0), "{stderr}");
    let transferred = format!("Total transferred:      {} bytes", 200 * OK.len());
    for line in [
        &transferred,
        "Server Software:        test",
        "Document Length:        5 bytes",
        "Concurrency Level:      5",
        "Complete requests:      200",
        "Failed requests:        0",
        "Keep-Alive requests:    200",
        "HTML transferred:       1000 bytes",
        "Connection Times (ms)",
        "(longest request)",
        "       200  answered with 2xx or 3xx",
        "; none failed.",
    ] {
        assert!(stdout.contains(line), "{line:?} is missing in\n{stdout}");
    }
    let file = std::fs::read(rows).expect("rows");
    assert_eq!(file.len(), 200 * Row::SIZE);
    assert!(RowReader::new(&file[..]).all(|row| row.expect("a row").outcome == Outcome::Ok));
    let report: JsonReport =
        serde_json::from_slice(&std::fs::read(json).expect("JSON")).expect("a report");
    assert_eq!((report.summary.requests, report.url), (200, url));
    assert_eq!(report.summary.latencies.total.count(), 200);
}

#[test]
fn failed_requests_and_error_statuses_show_in_the_exit_code() {
    let closing = Server::start(|mut connection| {
        connection.request();
    });
    let (code, stdout, _) = output(&["-n", "10", "-c", "2", "-q", &closing.url()]);
    assert_eq!(code, Some(1));
    assert!(stdout.contains("Failed requests:        10"), "{stdout}");
    assert!(stdout.contains("(Connect: 0, Receive: 10, Length: 0, Exceptions: 0)"));
    assert!(stdout.contains("        10  closed without an answer"));

    let failing = Server::answering(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n");
    let (code, stdout, _) = output(&["-n", "10", "-q", &failing.url()]);
    assert_eq!(code, Some(1));
    assert!(stdout.contains("Non-2xx/3xx responses:  10"), "{stdout}");
}

#[test]
fn bad_usage_is_told_apart_from_a_run_that_cannot_be() {
    let (code, _, stderr) = output(&["-n", "1", "ftp://127.0.0.1/"]);
    assert_eq!(code, Some(2));
    assert!(stderr.contains("only http://"), "{stderr}");
    let (code, _, stderr) = output(&["-t", "1", "-c", "4294967295", "http://127.0.0.1/"]);
    assert_eq!(code, Some(2));
    assert!(stderr.contains("ulimit -n"), "{stderr}");
    let rows = "/nonexistent/rows";
    let (code, _, stderr) = output(&["--rows", rows, "http://127.0.0.1/"]);
    assert_eq!(code, Some(3));
    assert!(
        stderr.contains("cannot create /nonexistent/rows"),
        "{stderr}"
    );
    let (code, _, stderr) = output(&["--cpus", "1000", "http://127.0.0.1/"]);
    assert_eq!(code, Some(3));
    assert!(stderr.contains("CPU 1000"), "{stderr}");
}

#[test]
fn a_reader_that_left_is_no_error() {
    let server = Server::answering(OK);
    let mut child = loadgen(&["-n", "5", "-q", &server.url()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("started");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("ended");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn ctrl_c_prints_what_was_measured() {
    let (tell, told) = channel();
    let server = Server::start(move |mut connection| {
        connection.request();
        connection.send(OK);
        connection.request();
        let _ = tell.send(());
        connection.stall();
    });
    let child = loadgen(&["-t", "60", "-k", "-q", &server.url()])
        .stdout(Stdio::piped())
        .spawn()
        .expect("started");
    told.recv().expect("the second request");
    let pid = Pid::from_raw(i32::try_from(child.id()).expect("a process id"));
    kill(pid, Signal::SIGINT).expect("alive");
    let output = child.wait_with_output().expect("ended");
    assert_eq!(output.status.code(), Some(130));
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(stdout.contains("Complete requests:      1\n"), "{stdout}");
    assert!(
        stdout.contains("         1  still under way at the end"),
        "{stdout}"
    );
}
