//! What a server does at one moment.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr, SocketAddr},
};

use mpm_observer_common::{ConnState, TaskFlags, TaskRecord, TaskState};

use super::{Server, SlotState, slot::is_slot};
use crate::{
    httpd::{Facts, Role, role},
    kernel::{Counters, ProgramRuns},
    resources::ListenCounters,
};

/// One look. Times are nanoseconds of `CLOCK_MONOTONIC`.
#[derive(Clone, Debug, Default)]
pub struct Look {
    /// When.
    pub at_ns: u64,
    /// All tasks that live.
    pub tasks: Vec<TaskLook>,
    /// All connections that are followed.
    pub connections: ConnectionsLook,
    /// The accept queue; `None` while nothing listens.
    pub queue: Option<QueueLook>,
    /// The kernel's counters of what listeners turned away, all sockets of the network namespace.
    pub listen: Option<ListenCounters>,
    /// What the probes counted and lost since they were attached.
    pub counters: Counters,
    /// What watching took since then.
    pub effort: Effort,
}

/// One task.
#[derive(Clone, Debug)]
pub struct TaskLook {
    /// Its counts since the watch began, or since it was made.
    pub record: TaskRecord,
    /// Its role, from what it did so far.
    pub role: Role,
    /// What it does, if it is a slot.
    pub slot: Option<SlotState>,
    /// A [`BlockedIn`](mpm_observer_common::BlockedIn) number, if it is blocked.
    pub blocked_in: Option<u32>,
    /// Since when it runs, waits for a CPU, or is blocked.
    pub since_ns: u64,
    /// The client of the request that it serves or served last on a connection that stands.
    pub client: Option<SocketAddr>,
    /// Since when it serves that request; 0 if it serves none.
    pub request_since_ns: u64,
}

/// The connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectionsLook {
    /// All that stand.
    pub open: u32,
    /// … whose current request is under way: read, and not answered.
    pub serving: u32,
    /// … that have sent bytes which no task has read.
    pub unread: u32,
    /// … that no task has accepted.
    pub unaccepted: u32,
    /// … that are answered and idle, held by no slot: event's listener waits for them.
    pub parked: u32,
    /// … that are answered and idle, and hold a slot.
    pub holding: u32,
    /// Since when the first one waits whose bytes nobody has read; 0 for none.
    pub unread_since_ns: u64,
}

/// The accept queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueLook {
    /// Connections in it.
    pub length: u32,
    /// How many it takes; 0: not known.
    pub limit: u32,
}

/// What watching took so far.
#[derive(Clone, Debug, Default)]
pub struct Effort {
    /// CPU time of the observer's process, nanoseconds.
    pub cpu_ns: u64,
    /// The programs' runs, as far as the kernel counts them.
    pub programs: Vec<ProgramRuns>,
    /// Resident memory of the observer's process.
    pub resident_bytes: u64,
    /// Memory of the programs and their maps in the kernel, which is in no process's.
    pub kernel_bytes: u64,
}

/// Resident memory of this process; 0 if it cannot be read.
#[must_use]
pub fn resident_bytes() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm")
        .ok()
        .and_then(|text| text.split_whitespace().nth(1)?.parse::<u64>().ok());
    pages.unwrap_or(0) * procfs::page_size()
}

impl Look {
    /// A look from the tables of the programs; what does not come from there is left empty.
    #[must_use]
    pub fn new(
        at_ns: u64,
        server: &Server,
        tasks: &[TaskState],
        connections: &[ConnState],
    ) -> Self {
        // The connection that each task worked on last.
        let mut last: HashMap<u32, &ConnState> = HashMap::new();
        for connection in connections {
            // In prefork the task that accepted is the one that will read.
            let task = match connection.base_task {
                0 => connection.request.acceptor,
                task => task,
            };
            let newer = |other: &&ConnState| other.counted_ns <= connection.counted_ns;
            if task != 0 && last.get(&task).is_none_or(newer) {
                last.insert(task, connection);
            }
        }
        let mut look = Self {
            at_ns,
            ..Self::default()
        };
        for state in tasks {
            look.tasks.push(task_look(
                state,
                last.get(&state.record.pid).copied(),
                server,
            ));
        }
        look.connections = connections_look(connections, &look.tasks);
        look
    }
}

fn task_look(state: &TaskState, connection: Option<&ConnState>, server: &Server) -> TaskLook {
    let totals = &state.record.totals;
    let role = role(Facts {
        mpm: server.mpm,
        of_first_process: state.record.tgid == server.process.pid,
        first_of_process: state.record.flags & TaskFlags::THREAD == 0,
        accept_attempts: totals.accepts
            + totals.accepts_again
            + totals.accepts_interrupted
            + totals.accepts_failed,
        requests_served: totals.requests,
    });
    // A connection that was worked on by a task of the same number that has ended is not its own.
    let connection = connection
        .filter(|held| held.base_task == 0 || held.base_created_ns == state.record.created_ns);
    let serving = connection.filter(|held| held.is_picked_up() && !held.is_answered());
    TaskLook {
        record: state.record,
        role,
        slot: is_slot(role, state, server.mpm)
            .then(|| SlotState::of(state, connection, server.mpm)),
        blocked_in: (state.off_cpu == mpm_observer_common::OffCpu::Blocked as u32)
            .then_some(state.blocked_in),
        since_ns: state.since_ns,
        client: connection.map(|held| client_of(held)),
        request_since_ns: serving.map_or(0, |held| held.request.pickup_ns),
    }
}

fn client_of(connection: &ConnState) -> SocketAddr {
    let address = Ipv6Addr::from(connection.request.remote_addr);
    SocketAddr::new(
        IpAddr::V6(address).to_canonical(),
        connection.request.remote_port,
    )
}

fn connections_look(connections: &[ConnState], tasks: &[TaskLook]) -> ConnectionsLook {
    let holding = tasks
        .iter()
        .filter(|task| task.slot == Some(SlotState::KeepAlive))
        .count() as u32;
    let mut look = ConnectionsLook {
        open: connections.len() as u32,
        holding,
        ..ConnectionsLook::default()
    };
    let mut idle = 0;
    for connection in connections {
        if connection.request.accepted_ns == 0 && !connection.is_picked_up() {
            look.unaccepted += 1;
        }
        if connection.has_unread() {
            look.unread += 1;
            look.unread_since_ns = match look.unread_since_ns {
                0 => connection.unread_since_ns,
                since_ns => since_ns.min(connection.unread_since_ns),
            };
        } else if connection.is_answered() && connection.full == 0 {
            idle += 1;
        } else if connection.is_picked_up() {
            look.serving += 1;
        }
    }
    look.parked = u32::saturating_sub(idle, holding);
    look
}
