//! What the tests of failures share: a program under limits, and what it was seen to fail at.

use std::{
    io::Write,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use mpm_observer::{
    kernel::{Options, Watch},
    recording::{FailureKind, FailureRow},
};

use super::{Seen, kernel, workloads::WORKLOAD};

/// A followed program that waits for its input before it begins.
pub struct Followed {
    pub watch: Watch,
    pub child: Child,
}

impl Followed {
    /// This test program, doing one of its workloads; `None` if the test cannot run.
    pub fn workload(name: &str) -> Option<Self> {
        let kernel = kernel()?;
        let mut watch = Watch::start(&kernel, Options::for_port(1)).unwrap();
        // The shell becomes this program once it is followed: its threads are followed then.
        let child = Command::new("sh")
            .args(["-c", "read go; exec \"$@\"", "sh"])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "workloads::workload", "--ignored"])
            .env(WORKLOAD, name)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        watch.follow(child.id()).unwrap();
        Some(Self { watch, child })
    }

    /// Lets it begin.
    pub fn go(&mut self) {
        let mut input = self.child.stdin.take().unwrap();
        input.write_all(b"go\n").unwrap();
    }

    /// Lets it begin and waits for its end; what failed, by time.
    pub fn run(mut self) -> Vec<FailureRow> {
        self.go();
        self.end()
    }

    /// Waits for its end.
    pub fn end(self) -> Vec<FailureRow> {
        self.end_with_tasks().0
    }

    /// The same, with the thread ids of its tasks.
    pub fn end_with_tasks(mut self) -> (Vec<FailureRow>, Vec<u32>) {
        self.child.wait().unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        while !self.watch.live_tasks().unwrap().is_empty() {
            assert!(Instant::now() < deadline, "tasks without an end");
            std::thread::sleep(Duration::from_millis(5));
        }
        let mut seen = Seen::default();
        seen.take(&mut self.watch);
        let counters = self.watch.counters().unwrap();
        assert!(counters.balanced(), "{counters:?}");
        assert_eq!(counters.lost(), 0);
        assert_eq!(counters.failures_sent() as usize, seen.failures.len());
        let tids = seen.tasks.iter().map(|task| task.pid).collect();
        (rows(&seen), tids)
    }
}

/// The failures as they would be recorded, by time.
pub fn rows(seen: &Seen) -> Vec<FailureRow> {
    let mut rows: Vec<FailureRow> = seen
        .failures
        .iter()
        .map(|record| FailureRow::new(record, String::new()).unwrap())
        .collect();
    rows.sort_by_key(|row| row.t_ns);
    rows
}

/// Those of one kind.
pub fn of_kind(rows: &[FailureRow], kind: FailureKind) -> Vec<&FailureRow> {
    rows.iter().filter(|row| row.kind == kind).collect()
}

/// Those of one call.
pub fn of_call<'a>(rows: &'a [FailureRow], call: &str) -> Vec<&'a FailureRow> {
    rows.iter().filter(|row| row.call == call).collect()
}
