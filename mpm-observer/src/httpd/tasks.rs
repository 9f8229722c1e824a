//! The tasks of an httpd, as /proc shows them.

use std::io;

use procfs::process::Process;
use serde::{Deserialize, Serialize};

use super::process;
use super::role::{Facts, Role, role};
use crate::kernel::LiveTask;
use crate::scenario::Mpm;

/// A process or thread of httpd.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// The process.
    pub pid: u32,
    /// The thread; the same as `pid` for the first task of a process.
    pub tid: u32,
    /// The process that is its parent.
    pub ppid: u32,
    /// When it started, in clock ticks since the system did.
    pub start_ticks: u64,
    /// What it is for, as far as /proc shows: a further thread is [`Role::Thread`], and
    /// [`role`] with the kernel's counts says which kind.
    pub role: Role,
}

impl From<Task> for LiveTask {
    fn from(task: Task) -> Self {
        Self {
            tid: task.tid,
            pid: task.pid,
            parent_pid: task.ppid,
        }
    }
}

/// All tasks of the session that httpd's first process leads, by process and thread. Tasks that
/// end meanwhile are left out; empty when the session has ended.
///
/// # Errors
/// When /proc cannot be read.
pub fn tasks(session: u32, mpm: Mpm) -> io::Result<Vec<Task>> {
    let mut tasks = Vec::new();
    for pid in process::of_session(session)? {
        let Ok(threads) = i32::try_from(pid)
            .map_err(io::Error::other)
            .and_then(|pid| Process::new(pid).map_err(io::Error::other))
            .and_then(|process| process.tasks().map_err(io::Error::other))
        else {
            continue;
        };
        for thread in threads.flatten() {
            let Ok(stat) = thread.stat() else { continue };
            let tid = thread.tid.unsigned_abs();
            tasks.push(Task {
                pid,
                tid,
                ppid: stat.ppid.unsigned_abs(),
                start_ticks: stat.starttime,
                role: role(Facts {
                    mpm,
                    of_first_process: pid == session,
                    of_helper: false,
                    first_of_process: tid == pid,
                    accept_attempts: 0,
                    requests_served: 0,
                }),
            });
        }
    }
    tasks.sort_by_key(|task| (task.pid, task.tid));
    Ok(tasks)
}
