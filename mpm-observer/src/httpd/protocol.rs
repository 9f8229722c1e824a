//! What the lab, the guard and the launcher say to each other: one line of JSON each.
//!
//! ```text
//! lab                      guard                       launcher, then httpd
//!  |-- GuardSpec ----------->|-- LaunchSpec ------------->| session, CPUs, limits, user
//!  |                         |<------------ LauncherSays::Waiting
//!  |<--------- Report::Waiting
//!  |-- Order::Go ----------->|-- one byte --------------->| becomes httpd
//!  |<--------- Report::Started      (its end of the pipe closes)
//!  |-- Order::Stop --------->|-- SIGTERM, then SIGKILL -->|
//!  |<--------- Report::Exited, Report::Stopped
//! ```
//!
//! The lab's end of the guard's standard input is never closed before: when it closes, the lab is
//! gone.

use std::fmt;
use std::io::{self, Write};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::process::ProcessId;
use super::user::ServerUser;
use crate::scenario::Limits;

/// What the guard needs to know. The first line that it reads.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct GuardSpec {
    pub(super) launch: LaunchSpec,
    /// The process whose end ends httpd.
    pub(super) lab: ProcessId,
    /// The directory that is removed when the lab is gone.
    pub(super) runtime_dir: PathBuf,
    /// The directory that is removed when httpd has ended.
    pub(super) server_dir: PathBuf,
    /// The file that says what to end, should the guard be killed.
    pub(super) state_file: PathBuf,
    /// How long httpd gets to end when the lab is gone, in milliseconds.
    pub(super) orphan_grace_ms: u64,
}

/// What the launcher needs to know. The first line that it reads.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct LaunchSpec {
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<String>,
    /// The whole environment.
    pub(super) environment: Vec<(String, String)>,
    pub(super) limits: Limits,
    /// The CPUs to run on; empty for all.
    pub(super) cpus: Vec<usize>,
    /// The user to become first; `None`: stay.
    pub(super) user: Option<ServerUser>,
    /// Where standard output goes.
    pub(super) output: PathBuf,
    /// Where standard error goes.
    pub(super) errors: PathBuf,
    /// The process that must still be the parent; set by the guard.
    pub(super) guard_pid: u32,
}

/// What the launcher says to the guard.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum LauncherSays {
    /// All is set; it waits for the byte.
    Waiting,
    /// It cannot become httpd.
    Failed(String),
}

/// What the lab orders.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Order {
    /// Start httpd.
    Go,
    /// End httpd, with force after `grace_ms`.
    Stop { grace_ms: u64 },
}

/// What the guard reports.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Report {
    /// The launcher waits. It is the leader of its session, and becomes httpd's first process.
    Waiting { httpd: ProcessId },
    /// httpd's program runs.
    Started,
    /// It could not be started.
    Failed(String),
    /// httpd's first process has ended.
    Exited(ExitStatus),
    /// Everything has ended, and the guard does now.
    Stopped {
        how: How,
        /// Processes that had to be killed.
        killed: Vec<u32>,
        /// Processes that are still there.
        left: Vec<u32>,
    },
}

/// How httpd's first process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExitStatus {
    /// By itself, with this status.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

impl fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ExitStatus::Code(code) => write!(f, "exit status {code}"),
            ExitStatus::Signal(number) => match nix::sys::signal::Signal::try_from(*number) {
                Ok(signal) => write!(f, "{signal}"),
                Err(_) => write!(f, "signal {number}"),
            },
        }
    }
}

/// What it took to end httpd.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// It had ended by itself before.
    Itself,
    /// SIGTERM was enough.
    Term,
    /// Something was left after the grace and got SIGKILL.
    Kill,
}

/// Writes one message as a line.
pub(super) fn send(to: &mut impl Write, message: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    to.write_all(&line)?;
    to.flush()
}
