//! What a server does at one moment.

use std::{
    collections::HashMap,
    net::{Ipv6Addr, SocketAddr},
};

use mpm_observer_common::{ConnState, OffCpu, TaskFlags, TaskRecord, TaskState};

use super::{
    Server, SlotState,
    doing::{Doing, Wait},
    now::{Beside, Nobody, Polls, SocketNow, canonical},
    roles::roles,
    slot::{Partner, has_stood, is_slot},
};
use crate::{
    httpd::Role,
    kernel::{Counters, ProgramRuns},
    resources::ListenCounters,
    scenario::Mpm,
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
    /// The accept queues of the ports that are watched, ascending; none of one where nothing listens.
    pub queues: Vec<QueueLook>,
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
    /// Since when it is blocked or waits for a CPU; of one that was woken and waits for a CPU, since
    /// the bytes arrived that it is to read, or else since this look. Of a task that has not been
    /// switched since it is followed, since then.
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
    /// … whose current request is under way: read, and not answered to its end.
    pub serving: u32,
    /// … that have sent bytes which no task has read.
    pub unread: u32,
    /// … that no task has accepted.
    pub unaccepted: u32,
    /// … that are answered and held by no slot: event's listener waits for the client.
    pub parked: u32,
    /// … that are answered and idle, and hold a slot.
    pub holding: u32,
    /// … that are answered, and whose slot has something left to do: to write the log, or to close.
    pub finishing: u32,
    /// Since when the first one waits whose bytes nobody has read; 0 for none.
    pub unread_since_ns: u64,
}

/// An accept queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueLook {
    /// Its port.
    pub port: u16,
    /// Connections in it.
    pub length: u32,
    /// How many it takes; 0: not known.
    pub limit: u32,
}

impl QueueLook {
    /// How much of it is used, 0 to 1 or a little more; `None`: its limit is not known.
    #[must_use]
    pub fn used(self) -> Option<f64> {
        (self.limit > 0).then(|| f64::from(self.length) / f64::from(self.limit))
    }
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
    /// The accept queue that is full to the largest part, as far as limits are known; `None` while
    /// nothing listens.
    #[must_use]
    pub fn fullest_queue(&self) -> Option<QueueLook> {
        let used = |queue: &QueueLook| queue.used().unwrap_or(0.0);
        let fuller = |one: QueueLook, other: QueueLook| {
            let order = used(&other).total_cmp(&used(&one));
            // Of equal ones the first.
            match order.then(other.length.cmp(&one.length)).is_gt() {
                true => other,
                false => one,
            }
        };
        self.queues.iter().copied().reduce(fuller)
    }

    /// A look from the tables of the programs alone; what does not come from there is left empty.
    #[must_use]
    pub fn new(
        at_ns: u64,
        server: &Server,
        tasks: &[TaskState],
        connections: &[ConnState],
    ) -> Self {
        Self::with(at_ns, server, tasks, connections, &Nobody)
    }

    /// The same, with what `beside` knows of tasks that the tables leave open.
    #[must_use]
    pub fn with(
        at_ns: u64,
        server: &Server,
        tasks: &[TaskState],
        connections: &[ConnState],
        beside: &dyn Beside,
    ) -> Self {
        let first = server.process.pid;
        let doings: Vec<Doing> = tasks
            .iter()
            .map(|state| {
                let (pid, tid) = (state.record.tgid, state.record.pid);
                // Nobody asks what the first process does, nor a child of a threaded server, nor
                // another program.
                let may_serve = pid != first
                    && (server.mpm == Mpm::Prefork || pid != tid)
                    && state.record.flags & TaskFlags::OTHER_PROGRAM == 0;
                let asked = may_serve && state.off_cpu == OffCpu::Blocked as u32;
                Doing::of(state, asked.then(|| beside.task(pid, tid)).flatten())
            })
            .collect();
        let roles = roles(server, tasks, &doings);
        let known = Known::of(connections, server.mpm);
        let mut look = Self {
            at_ns,
            ..Self::default()
        };
        let mut holders = HashMap::new();
        for ((state, doing), role) in tasks.iter().zip(doings).zip(roles) {
            let task = known.task_look(state, doing, role, server, at_ns, beside);
            if let (Some(client), Some(slot)) = (task.client, task.slot)
                && slot.is_busy()
            {
                holders.insert(client, slot);
            }
            look.tasks.push(task);
        }
        look.connections = connections_look(connections, &holders);
        look
    }
}

/// The connections, by what finds them.
struct Known<'a> {
    /// The connection that each task worked on last.
    last: HashMap<u32, &'a ConnState>,
    by_client: HashMap<SocketAddr, &'a ConnState>,
}

impl<'a> Known<'a> {
    fn of(connections: &'a [ConnState], mpm: Mpm) -> Self {
        let mut last: HashMap<u32, &ConnState> = HashMap::new();
        for connection in connections {
            let task = match connection.base_task {
                // In prefork the task that accepted is the one that will read.
                0 if mpm == Mpm::Prefork => connection.request.acceptor,
                task => task,
            };
            let newer = |other: &&ConnState| worked_ns(other) <= worked_ns(connection);
            if task != 0 && last.get(&task).is_none_or(newer) {
                last.insert(task, connection);
            }
        }
        let by_client = connections
            .iter()
            .map(|connection| (client_of(connection), connection));
        Self {
            last,
            by_client: by_client.collect(),
        }
    }

    fn task_look(
        &self,
        state: &TaskState,
        doing: Doing,
        role: Role,
        server: &Server,
        at_ns: u64,
        beside: &dyn Beside,
    ) -> TaskLook {
        let mut connection = self
            .last
            .get(&state.record.pid)
            .copied()
            // One that a task of the same number worked on, which has ended, is not its own.
            .filter(|held| held.base_task == 0 || held.base_created_ns == state.record.created_ns)
            // The tasks were read before the connections: what it did since is left out.
            .filter(|held| !is_off_cpu(state) || worked_ns(held) <= state.since_ns);
        let first_of_process = state.record.flags & TaskFlags::THREAD == 0;
        let is_slot = is_slot(role, first_of_process, server.mpm);
        let mut client = connection.map(client_of);
        let mut partner = Partner::Unknown;
        if is_slot
            && let Doing::Blocked(Wait::One(polls)) = doing
            && !is_plain(connection, polls, server.mpm)
            && let Some(socket) = beside.socket(state.record.tgid, polls.fd)
        {
            partner = partner_of(&socket, server);
            if partner != Partner::Another {
                client = socket.peer.or(client);
                connection = client.and_then(|client| self.by_client.get(&client).copied());
            }
        }
        let slot = is_slot.then(|| SlotState::of(doing, connection, partner, server.mpm));
        let is_idle = slot == Some(SlotState::Idle);
        let serving = connection.filter(|held| {
            let parked = is_idle || slot == Some(SlotState::KeepAlive);
            held.is_picked_up() && !parked
        });
        TaskLook {
            record: state.record,
            role,
            slot,
            blocked_in: doing.wait().map(|wait| wait.kind() as u32),
            since_ns: since_ns(state, doing, connection, at_ns),
            client: client.filter(|_| is_slot),
            request_since_ns: serving.map_or(0, |held| held.request.pickup_ns),
        }
    }
}

/// When its task last worked on a connection.
fn worked_ns(connection: &ConnState) -> u64 {
    connection.counted_ns.max(connection.request.accepted_ns)
}

fn is_off_cpu(state: &TaskState) -> bool {
    state.off_cpu != OffCpu::Running as u32
}

/// Whether what a task polls for is clear from the connection alone.
fn is_plain(connection: Option<&ConnState>, polls: Polls, mpm: Mpm) -> bool {
    let answered = connection.is_some_and(ConnState::is_answered);
    answered && (polls.to_write || mpm != Mpm::Event)
}

fn partner_of(socket: &SocketNow, server: &Server) -> Partner {
    let listens = server.listens.iter().map(SocketAddr::port);
    match socket.local.map(|local| local.port()) {
        Some(port) if listens.into_iter().any(|own| own == port) => {}
        _ => return Partner::Another,
    }
    if socket.is_closing {
        Partner::ClosingClient
    } else {
        Partner::Client
    }
}

fn since_ns(state: &TaskState, doing: Doing, connection: Option<&ConnState>, at_ns: u64) -> u64 {
    let was_woken = doing == Doing::WaitsForCpu && state.off_cpu == OffCpu::Blocked as u32;
    if !was_woken {
        return state.since_ns;
    }
    let arrived_ns = connection.map_or(0, |held| held.unread_since_ns);
    if arrived_ns > state.since_ns {
        arrived_ns
    } else {
        at_ns
    }
}

fn client_of(connection: &ConnState) -> SocketAddr {
    let address = Ipv6Addr::from(connection.request.remote_addr);
    canonical(address, connection.request.remote_port)
}

/// Whether a part of the answer waits for the client to read.
fn has_more_to_send(connection: &ConnState, slot: SlotState) -> bool {
    slot == SlotState::Sending || connection.full != 0
}

/// `holders`: the states of the busy slots by the clients whose connections they hold.
fn connections_look(
    connections: &[ConnState],
    holders: &HashMap<SocketAddr, SlotState>,
) -> ConnectionsLook {
    let mut look = ConnectionsLook {
        open: connections.len() as u32,
        ..ConnectionsLook::default()
    };
    for connection in connections {
        // One that was accepted before the watch began has no time of it.
        let stood = has_stood(connection);
        if connection.request.accepted_ns == 0 && !stood && !connection.is_picked_up() {
            look.unaccepted += 1;
        }
        if connection.has_unread() {
            look.unread += 1;
            look.unread_since_ns = match look.unread_since_ns {
                0 => connection.unread_since_ns,
                since_ns => since_ns.min(connection.unread_since_ns),
            };
            continue;
        }
        match holders.get(&client_of(connection)) {
            Some(SlotState::KeepAlive) => look.holding += 1,
            None if connection.is_answered() || (stood && !connection.is_picked_up()) => {
                look.parked += 1;
            }
            Some(state) if has_more_to_send(connection, *state) => look.serving += 1,
            Some(_) if connection.is_answered() => look.finishing += 1,
            Some(_) if stood => look.serving += 1,
            _ if connection.is_picked_up() => look.serving += 1,
            // Nothing of a request has come.
            _ => {}
        }
    }
    look
}

#[cfg(test)]
#[path = "look_tests.rs"]
mod tests;
