//! A client that is stopped while its answer comes, until its time is over.

use std::process::{Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use loadgen::Summary;
use loadgen::report::JsonReport;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// The time that its request has.
pub const TIMEOUT: Duration = Duration::from_secs(5);

/// How often a machine may be too busy for the request to come to the server in time.
const TRIES: u32 = 10;

/// A process of loadgen that sends one request, to be stopped by the server that has it.
#[derive(Clone, Default)]
pub struct StoppedClient(Arc<(Mutex<Of>, Condvar)>);

#[derive(Default)]
struct Of {
    /// The process, and when it had not begun yet.
    process: Option<(Pid, Instant)>,
    was_in_time: bool,
}

impl StoppedClient {
    /// Stops it; the caller then sends the answer, waits for [`TIMEOUT`] and lets it go on.
    pub fn stop(&self) -> Going {
        let (of, started) = &*self.0;
        let of = of.lock().expect("not poisoned");
        let mut of = started
            .wait_while(of, |of| of.process.is_none())
            .expect("not poisoned");
        let (pid, before) = of.process.take().expect("waited for");
        kill(pid, Signal::SIGSTOP).expect("it is there");
        let stopped = waitpid(pid, Some(WaitPidFlag::WUNTRACED)).expect("a child");
        assert_eq!(stopped, WaitStatus::Stopped(pid, Signal::SIGSTOP));
        of.was_in_time = before.elapsed() < TIMEOUT;
        Going(pid)
    }

    /// Runs it until it was stopped before its time was over.
    pub fn run(&self, args: &[&str]) -> Summary {
        (0..TRIES)
            .find_map(|_| self.run_once(args))
            .expect("a machine that is not always busy")
    }

    fn run_once(&self, args: &[&str]) -> Option<Summary> {
        let dir = tempfile::tempdir().expect("temporary directory");
        let json = dir.path().join("json");
        let timeout = TIMEOUT.as_secs().to_string();
        let (of, started) = &*self.0;
        let before = Instant::now();
        let mut child = Command::new(env!("CARGO_BIN_EXE_loadgen"))
            .args(["-q", "-n", "1", "-s", &timeout, "--json"])
            .arg(&json)
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("started");
        *of.lock().expect("not poisoned") = Of {
            process: Some((Pid::from_raw(child.id().cast_signed()), before)),
            was_in_time: false,
        };
        started.notify_all();
        child.wait().expect("a child");
        let report: JsonReport =
            serde_json::from_slice(&std::fs::read(json).expect("JSON")).expect("a report");
        let was_in_time = of.lock().expect("not poisoned").was_in_time;
        was_in_time.then_some(report.summary)
    }
}

/// A stopped process that goes on when this is dropped.
pub struct Going(Pid);

impl Drop for Going {
    fn drop(&mut self) {
        kill(self.0, Signal::SIGCONT).expect("it is stopped");
    }
}
