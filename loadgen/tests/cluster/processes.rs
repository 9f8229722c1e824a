//! The programs themselves: `loadgen --worker` and `loadgen --workers`.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::sync::mpsc::channel;

use loadgen::report::JsonReport;
use loadgen::{Row, RowReader};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::PATIENCE;
use crate::common::{OK, Server};

/// `loadgen --worker` in a process of its own, ended with this value.
pub struct Process {
    pub child: Child,
    pub address: String,
    stderr: BufReader<ChildStderr>,
}

impl Process {
    pub fn start(args: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_loadgen"));
        command.args(args);
        Self::spawn(command)
    }

    /// Waits until it listens.
    pub fn spawn(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("started");
        let mut stderr = BufReader::new(child.stderr.take().expect("piped"));
        let mut line = String::new();
        stderr.read_line(&mut line).expect("readable");
        let address = line
            .strip_prefix("loadgen: worker listening on ")
            .and_then(|rest| rest.split(',').next())
            .unwrap_or_else(|| panic!("{line:?} is no address"))
            .to_owned();
        Self {
            child,
            address,
            stderr,
        }
    }

    /// The next line on standard error.
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stderr.read_line(&mut line).expect("readable");
        line
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn coordinator(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadgen"));
    command.args(args).stdin(Stdio::null());
    command
}

/// Exit code, standard output and standard error.
pub fn text(output: Output) -> (Option<i32>, String, String) {
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

/// Two workers of one thread and one connection each, and a run of theirs that goes on.
struct UnderWay {
    workers: [Process; 2],
    coordinator: Child,
    /// Of the server, which tells each connection's hundredth request.
    server: Server,
}

impl UnderWay {
    /// Returns when each of the two has sent a hundred requests.
    fn start(args: &[&str]) -> Self {
        let (tell, told) = channel();
        let server = Server::start(move |mut connection| {
            for number in 1_u32.. {
                if connection.request().is_none() {
                    return;
                }
                connection.send(OK);
                if number == 100 {
                    let _ = tell.send(());
                }
            }
        });
        let workers = [(), ()].map(|()| {
            let args = ["--worker", "127.0.0.1:0", "--threads", "1"];
            Process::start(&args)
        });
        let addresses = workers.each_ref().map(|worker| worker.address.as_str());
        let coordinator = coordinator(args)
            .args(["-c", "2", "-k", "-q", "--workers", &addresses.join(",")])
            .arg(server.url())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("started");
        for _ in &workers {
            told.recv_timeout(PATIENCE).expect("requests of both");
        }
        Self {
            workers,
            coordinator,
            server,
        }
    }

    /// Waits for the end; what is left are the workers and the server.
    fn end(self) -> ((Option<i32>, String, String), [Process; 2], Server) {
        let output = self.coordinator.wait_with_output().expect("ended");
        (text(output), self.workers, self.server)
    }
}

fn signal(process: &Child, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(process.id()).expect("a process id"));
    kill(pid, signal).expect("alive");
}

/// Where a run writes to.
pub struct Files {
    dir: tempfile::TempDir,
    pub rows: String,
    pub json: String,
}

impl Files {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = |name| dir.path().join(name).display().to_string();
        let (rows, json) = (path("rows"), path("json"));
        Self { dir, rows, json }
    }

    /// A file with this content.
    pub fn with(&self, name: &str, content: &str) -> String {
        let path = self.dir.path().join(name);
        std::fs::write(&path, content).expect("written");
        path.display().to_string()
    }

    pub fn rows(&self) -> Vec<Row> {
        let file = std::fs::read(&self.rows).expect("rows");
        RowReader::new(&file[..])
            .collect::<Result<_, _>>()
            .expect("readable")
    }

    pub fn report(&self) -> JsonReport {
        serde_json::from_slice(&std::fs::read(&self.json).expect("JSON")).expect("a report")
    }
}

#[test]
fn all_outputs_are_those_of_one_machine_with_the_workers_named() {
    let server = Server::answering(OK);
    let files = Files::new();
    let key = files.with("key", "a secret for the test\n");
    let worker = [
        "--worker",
        "127.0.0.1:0",
        "--threads",
        "2",
        "--worker-key",
        &key,
    ];
    let (mut a, b) = (Process::start(&worker), Process::start(&worker));
    let workers = format!("{},{}", a.address, b.address);
    let (rows, json) = (&files.rows, &files.json);
    let url = server.url();
    let args = [
        "-n",
        "400",
        "-c",
        "8",
        "-k",
        "--rows",
        rows,
        "--json",
        json,
        "--workers",
        &workers,
        "--worker-key",
        &key,
        &url,
    ];
    for run in 1..=2 {
        let (code, stdout, stderr) = text(coordinator(&args).output().expect("started"));
        assert_eq!(code, Some(0), "{stderr}");
        for line in [
            "Complete requests:      400",
            "Concurrency Level:      8",
            "Keep-Alive requests:    400",
            "Workers (2)",
            "threads 0 to 1  200 requests",
            "threads 2 to 3  200 requests",
            "began at most",
        ] {
            assert!(stdout.contains(line), "{line:?} is missing in\n{stdout}");
        }
        assert_eq!(server.requests(), 400 * run);
        assert_eq!(files.rows().len(), 400);
        let report = files.report();
        assert_eq!(report.summary.requests, 400);
        assert!(report.workers.expect("workers").is_complete());
    }
    assert!(a.line().contains("2 of 4 threads"));
    signal(&a.child, Signal::SIGINT);
    assert_eq!(a.child.wait().expect("ended").code(), Some(0));
}

#[test]
fn a_worker_killed_in_the_middle_costs_its_own_figures_only() {
    let files = Files::new();
    let run = UnderWay::start(&["-t", "12", "--rows", &files.rows, "--json", &files.json]);
    signal(&run.workers[1].child, Signal::SIGKILL);
    let ((code, stdout, stderr), [_, victim], server) = run.end();
    assert_eq!(code, Some(1), "{stderr}");
    let lost = format!("worker {} is lost: ", victim.address);
    assert!(stderr.contains(&lost), "{stderr}");
    let incomplete = format!("INCOMPLETE: worker {}: ", victim.address);
    assert!(stdout.contains(&incomplete), "{stdout}");
    assert!(stdout.contains("no figures"), "{stdout}");
    let report = files.report();
    let workers = report.workers.expect("workers").workers;
    assert_eq!(workers[0].requests, Some(report.summary.requests));
    assert_eq!(
        (workers[1].requests, workers[0].trouble.as_ref()),
        (None, None)
    );
    assert!(report.summary.requests > 0 && report.summary.requests < server.requests());
    let rows = files.rows();
    for (thread, worker) in workers.iter().enumerate() {
        let own = rows.iter().filter(|row| usize::from(row.thread) == thread);
        assert_eq!(own.count() as u64, worker.rows);
    }
    assert_eq!(report.summary.rows.written, rows.len() as u64);
}

#[test]
fn a_worker_that_freezes_is_given_up_and_the_others_count() {
    let run = UnderWay::start(&["-t", "12"]);
    signal(&run.workers[0].child, Signal::SIGSTOP);
    let ((code, stdout, _), [frozen, _], _) = run.end();
    assert_eq!(code, Some(1));
    let incomplete = format!(
        "INCOMPLETE: worker {}: nothing came from it for 10 s",
        frozen.address
    );
    assert!(stdout.contains(&incomplete), "{stdout}");
    assert!(stdout.contains("thread 1  "), "{stdout}");
}

#[test]
fn a_worker_stopped_by_ctrl_c_hands_over_what_it_measured() {
    let files = Files::new();
    let run = UnderWay::start(&["-t", "12", "--rows", &files.rows, "--json", &files.json]);
    signal(&run.workers[1].child, Signal::SIGINT);
    let ((code, stdout, stderr), [_, mut stopped], _) = run.end();
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stdout.contains("it was stopped there"), "{stdout}");
    assert_eq!(stopped.child.wait().expect("ended").code(), Some(0));
    let report = files.report();
    let workers = report.workers.expect("workers").workers;
    let requests: u64 = workers.iter().filter_map(|worker| worker.requests).sum();
    assert_eq!(requests, report.summary.requests);
    assert_eq!(files.rows().len() as u64, report.summary.rows.written);
    assert_eq!(report.summary.rows.not_written, 0);
}

#[test]
fn ctrl_c_at_the_coordinator_prints_what_all_workers_measured() {
    let run = UnderWay::start(&["-t", "600"]);
    signal(&run.coordinator, Signal::SIGINT);
    let ((code, stdout, stderr), _, _) = run.end();
    assert_eq!((code, stderr.as_str()), (Some(130), ""));
    assert!(stdout.contains("Workers (2)"), "{stdout}");
    assert!(!stdout.contains("INCOMPLETE"), "{stdout}");
}

#[test]
fn an_open_door_is_warned_of() {
    let mut open = Process::start(&["--worker", "0.0.0.0:0"]);
    assert!(open.line().contains("--worker-key FILE"));
    let files = Files::new();
    let short = files.with("short", "abc");
    for (args, code, words) in [
        (vec!["--worker", "-n", "5"], 2, "-n"),
        (
            vec!["--worker", "192.0.2.1:1"],
            3,
            "cannot listen on 192.0.2.1:1",
        ),
        (vec!["--worker", "--worker-key", &short], 3, "at least 16"),
        (
            vec!["--workers", "127.0.0.1:1", "http://127.0.0.1/"],
            3,
            "worker 127.0.0.1:1: it cannot be reached",
        ),
    ] {
        let (ended, _, stderr) = text(coordinator(&args).output().expect("started"));
        assert_eq!(ended, Some(code), "{args:?}: {stderr}");
        assert!(stderr.contains(words), "{stderr}");
    }
}
