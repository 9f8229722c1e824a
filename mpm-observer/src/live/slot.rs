//! What a slot does at a moment.

use mpm_observer_common::{BlockedIn, ConnState, OffCpu, TaskState};
use serde::{Deserialize, Serialize};

use crate::{httpd::Role, scenario::Mpm};

/// What a slot, a task that can serve one request at a time, does at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SlotState {
    /// Serves a request and runs.
    OnCpu,
    /// Serves a request, could run, and waits for a CPU.
    RunQueue,
    /// Serves a request and is blocked in a lock: a futex, or a lock of the kernel.
    Lock,
    /// Serves a request and waits for a device: a file's contents, or a page.
    Disk,
    /// Waits for the rest of a request, or for the first byte of a new connection's first one.
    ReadingClient,
    /// Has sent as much as the client's socket takes and waits for the client to read.
    Sending,
    /// Holds a connection whose last request is answered, and waits for the next.
    KeepAlive,
    /// Serves a request and is blocked in something else, such as a backend or a child program.
    Other,
    /// Has no connection.
    Idle,
}

impl SlotState {
    /// All states, those of a request under way first.
    pub const ALL: [Self; 9] = [
        Self::OnCpu,
        Self::RunQueue,
        Self::Lock,
        Self::Disk,
        Self::ReadingClient,
        Self::Sending,
        Self::KeepAlive,
        Self::Other,
        Self::Idle,
    ];

    /// Its name in metrics and scripts.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::OnCpu => "on_cpu",
            Self::RunQueue => "run_queue",
            Self::Lock => "lock",
            Self::Disk => "disk",
            Self::ReadingClient => "reading_client",
            Self::Sending => "sending",
            Self::KeepAlive => "keep_alive",
            Self::Other => "other",
            Self::Idle => "idle",
        }
    }

    /// Whether the slot can take no other connection.
    #[must_use]
    pub const fn is_busy(self) -> bool {
        !matches!(self, Self::Idle)
    }

    /// The state of a task that can serve, from what it does and the connection that it worked on
    /// last, if that still stands. A task's state is kept at its switches, so of one that was
    /// woken and has no CPU yet it is still what it was blocked in.
    #[must_use]
    pub fn of(task: &TaskState, connection: Option<&ConnState>, mpm: Mpm) -> Self {
        let blocked = (task.off_cpu == OffCpu::Blocked as u32).then_some(task.blocked_in);
        let polls = blocked == Some(BlockedIn::Poll as u32);
        let Some(connection) = connection else {
            // A worker that was given a connection, and has not read from it, polls for it; one
            // without waits in a queue. Prefork's children poll for new ones.
            return if polls && mpm != Mpm::Prefork {
                Self::ReadingClient
            } else {
                Self::Idle
            };
        };
        if !connection.is_picked_up() {
            return Self::ReadingClient;
        }
        if connection.is_answered() && connection.full == 0 {
            // Its answer may go on, or be complete; who polls then waits for the next request.
            return match blocked {
                Some(_) if polls => Self::KeepAlive,
                Some(_) => Self::waiting_elsewhere(task, mpm),
                None => Self::running(task),
            };
        }
        let sending = connection.full != 0;
        match blocked {
            None => Self::running(task),
            Some(kind) => match BlockedIn::ALL.get(kind as usize) {
                Some(BlockedIn::Poll) if sending => Self::Sending,
                Some(BlockedIn::Poll | BlockedIn::Receive) if connection.request.sends == 0 => {
                    Self::ReadingClient
                }
                Some(BlockedIn::Send) => Self::Sending,
                Some(BlockedIn::Futex | BlockedIn::KernelLock) => Self::Lock,
                Some(BlockedIn::File | BlockedIn::Fault) => Self::Disk,
                _ => Self::Other,
            },
        }
    }

    fn running(task: &TaskState) -> Self {
        if task.off_cpu == OffCpu::Running as u32 {
            Self::OnCpu
        } else {
            Self::RunQueue
        }
    }

    /// Blocked, and not in poll, with an answered connection. In event the connection was given
    /// back to the listener, and the worker waits in the queue for another one.
    fn waiting_elsewhere(task: &TaskState, mpm: Mpm) -> Self {
        match BlockedIn::ALL.get(task.blocked_in as usize) {
            Some(BlockedIn::Futex) if mpm == Mpm::Event => Self::Idle,
            Some(BlockedIn::Futex | BlockedIn::KernelLock) => Self::Lock,
            Some(BlockedIn::File | BlockedIn::Fault) => Self::Disk,
            Some(BlockedIn::Send) => Self::Sending,
            _ => Self::Other,
        }
    }
}

/// Whether a task of a role is a slot.
#[must_use]
pub(super) fn is_slot(role: Role, task: &TaskState, mpm: Mpm) -> bool {
    match role {
        Role::Worker => true,
        // A listener that has not accepted yet polls; a worker without work waits in a queue.
        Role::Thread => {
            task.off_cpu != OffCpu::Blocked as u32 || task.blocked_in != BlockedIn::Poll as u32
        }
        Role::Child => matches!(mpm, Mpm::Prefork),
        Role::Parent | Role::Listener => false,
    }
}
