//! What a slot does at a moment.

use mpm_observer_common::{BlockedIn, ConnState, RequestFlags};
use serde::{Deserialize, Serialize};

use super::doing::{Doing, Wait};
use crate::{httpd::Role, scenario::Mpm};

/// What a slot, a task that can serve one request at a time, does at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SlotState {
    /// Runs: serves a request, or is on its way from one or to one.
    OnCpu,
    /// The same, but waits for a CPU.
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
    /// Waits for the client to close a connection that it has closed itself.
    Closing,
    /// Serves a request and is blocked in something else, such as a backend or a child program.
    Other,
    /// Has no connection.
    Idle,
}

/// Who is at the other end of the one socket that a task polls for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Partner {
    /// It is not known.
    Unknown,
    /// A client of the server.
    Client,
    /// A client whose connection the server has closed on its side.
    ClosingClient,
    /// Somebody else, such as a backend.
    Another,
}

impl SlotState {
    /// All states, those of a request under way first.
    pub const ALL: [Self; 10] = [
        Self::OnCpu,
        Self::RunQueue,
        Self::Lock,
        Self::Disk,
        Self::ReadingClient,
        Self::Sending,
        Self::KeepAlive,
        Self::Closing,
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
            Self::Closing => "closing",
            Self::Other => "other",
            Self::Idle => "idle",
        }
    }

    /// Whether the slot can take no other connection.
    #[must_use]
    pub const fn is_busy(self) -> bool {
        !matches!(self, Self::Idle)
    }

    /// The state of a task that can serve, from what it does, the connection that it works on or
    /// worked on last, if that still stands, and the other end of what it polls for.
    #[must_use]
    pub fn of(doing: Doing, connection: Option<&ConnState>, partner: Partner, mpm: Mpm) -> Self {
        let wait = match doing {
            Doing::Runs => return Self::OnCpu,
            Doing::WaitsForCpu => return Self::RunQueue,
            Doing::Blocked(wait) => wait,
        };
        let progress = Progress::of(connection);
        match wait {
            Wait::Accept => Self::Idle,
            Wait::Events => match (mpm, progress) {
                // It listens on several sockets.
                (Mpm::Prefork, Progress::None) => Self::Idle,
                _ => Self::Other,
            },
            Wait::One(polls) if polls.to_write => match (partner, progress) {
                (Partner::Another, _) => Self::Other,
                // It connects to a backend.
                (Partner::Unknown, Progress::Read) => Self::Other,
                _ => Self::Sending,
            },
            Wait::One(_) => match (partner, progress) {
                (Partner::Another, _) => Self::Other,
                (Partner::ClosingClient, _) => Self::Closing,
                // A client whose connection is older than the watch.
                (Partner::Client, Progress::None) | (_, Progress::Stood) => Self::stood(mpm),
                (_, Progress::None | Progress::New | Progress::Read) => Self::ReadingClient,
                (_, Progress::Answered | Progress::Full) => Self::kept(mpm),
            },
            Wait::In(kind) => Self::blocked(kind, progress, mpm),
        }
    }

    /// It waits for something to read of a client that is answered. Event does so without a slot.
    fn kept(mpm: Mpm) -> Self {
        match mpm {
            Mpm::Prefork | Mpm::Worker => Self::KeepAlive,
            Mpm::Event => Self::Other,
        }
    }

    /// It waits for something to read on a connection of which nothing is known. In event a slot does
    /// so only for the rest of a request.
    fn stood(mpm: Mpm) -> Self {
        match mpm {
            Mpm::Prefork | Mpm::Worker => Self::KeepAlive,
            Mpm::Event => Self::ReadingClient,
        }
    }

    /// Blocked in something of which no more is known.
    fn blocked(kind: BlockedIn, progress: Progress, mpm: Mpm) -> Self {
        match kind {
            BlockedIn::File | BlockedIn::Fault => Self::Disk,
            BlockedIn::KernelLock => Self::Lock,
            BlockedIn::Futex => match progress {
                // Workers wait for connections in a queue, prefork's children for their turn to
                // accept.
                Progress::None => Self::Idle,
                // Event has given it back to the listener.
                Progress::Answered | Progress::Full if mpm == Mpm::Event => Self::Idle,
                _ => Self::Lock,
            },
            BlockedIn::Poll => match progress {
                // Prefork's children may poll for new connections.
                Progress::None if mpm == Mpm::Prefork => Self::Idle,
                Progress::None | Progress::New | Progress::Read => Self::ReadingClient,
                Progress::Full => Self::Sending,
                Progress::Answered => Self::kept(mpm),
                Progress::Stood => Self::stood(mpm),
            },
            BlockedIn::Send
            | BlockedIn::Receive
            | BlockedIn::Sleep
            | BlockedIn::Stopped
            | BlockedIn::Other => match progress {
                // In accept, or in a lock around it.
                Progress::None => Self::Idle,
                // httpd's sockets do not block: this is a pipe, or a child program.
                _ => Self::Other,
            },
        }
    }
}

/// How far the current request of a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// There is no connection.
    None,
    /// It stood before the watch began, and nothing was read since.
    Stood,
    /// Nothing was read.
    New,
    /// Some of it was read, and nothing sent.
    Read,
    /// Some or all of the answer was sent.
    Answered,
    /// … and the socket takes no more.
    Full,
}

impl Progress {
    fn of(connection: Option<&ConnState>) -> Self {
        match connection {
            None => Self::None,
            Some(held) if !held.is_picked_up() && has_stood(held) => Self::Stood,
            Some(held) if !held.is_picked_up() => Self::New,
            Some(held) if held.full != 0 => Self::Full,
            Some(held) if held.is_answered() => Self::Answered,
            Some(_) => Self::Read,
        }
    }
}

/// Whether a connection had been accepted before the watch began, and its first request since has
/// not ended.
pub(super) const fn has_stood(connection: &ConnState) -> bool {
    connection.request.flags & RequestFlags::IN_PART != 0
}

/// Whether a task of a role is a slot. A further thread in a child of prefork is some module's own.
#[must_use]
pub(super) fn is_slot(role: Role, first_of_process: bool, mpm: Mpm) -> bool {
    match role {
        Role::Worker | Role::Thread => true,
        Role::Child => mpm == Mpm::Prefork && first_of_process,
        Role::Parent | Role::Listener | Role::Helper => false,
    }
}

#[cfg(test)]
#[path = "slot_tests.rs"]
mod tests;
