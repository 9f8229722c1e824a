//! The rows of each table. Times are nanoseconds of `CLOCK_MONOTONIC` (`_ns`); a time of 0 means
//! that it did not happen. Sizes are bytes.

use std::net::{IpAddr, Ipv6Addr};

use mpm_observer_common::{Address, BlockedIn, RequestFlags, RequestRecord};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// A row type with the name of its table.
pub trait TableRow: Serialize + DeserializeOwned + Clone + Send + 'static {
    /// Name of the table's directory.
    const TABLE: &'static str;
}

/// An address as text, mapped IPv4 addresses as IPv4.
fn address_text(address: Address) -> String {
    IpAddr::V6(Ipv6Addr::from(address))
        .to_canonical()
        .to_string()
}

/// One attempt at a request, as the client saw it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientRow {
    /// Whether it belongs to the measured load (else: warming up, or a slow client beside it).
    pub measured: bool,
    /// The client's address.
    pub local_addr: String,
    /// The client's port; 0 if none was assigned.
    pub local_port: u16,
    /// The server's address.
    pub remote_addr: String,
    /// The server's port.
    pub remote_port: u16,
    /// Which request of its connection, from 0.
    pub ordinal: u32,
    /// When the request was due: in an open loop what its schedule says, otherwise its begin.
    /// 0 in a recording that was made before there was an open loop.
    #[serde(default)]
    pub intended_ns: u64,
    /// When the request began: the connect on a new connection, the write on a reused one.
    pub start_ns: u64,
    /// When the connection's connect was called.
    pub connect_start_ns: u64,
    /// When the connection was usable.
    pub connected_ns: u64,
    /// When the write of the request began.
    pub sent_ns: u64,
    /// When the first byte of the answer was read.
    pub first_byte_ns: u64,
    /// When the last byte of a complete answer was read.
    pub last_byte_ns: u64,
    /// When the outcome was known.
    pub end_ns: u64,
    /// When the client's event loop woke for the first byte.
    pub loop_wake_ns: u64,
    /// HTTP status, 0 for none.
    pub status: u16,
    /// Bytes of the answer's head.
    pub header_bytes: u32,
    /// Bytes of the answer's body.
    pub body_bytes: u64,
    /// Bytes of the request.
    pub request_bytes: u32,
    /// `loadgen::Outcome` in snake case; of a slow client beside the load
    /// `loadgen::hold::Fate`: `held`, `held_ended`, `held_finished` or `not_held`.
    pub outcome: String,
    /// The system's error number, 0 for none.
    pub errno: u16,
    /// The retry of a request that met a stale keep-alive connection.
    pub retried: bool,
    /// Sent on a connection that had answered before.
    pub reused: bool,
}

impl TableRow for ClientRow {
    const TABLE: &'static str = "client_requests";
}

impl ClientRow {
    /// The row of the load generator's record; one of its warm-up is not `measured`.
    #[must_use]
    pub fn new(row: &loadgen::Row, measured: bool) -> Self {
        Self {
            measured: measured && !row.is_warm_up(),
            local_addr: address_text(row.local_ip),
            local_port: row.local_port,
            remote_addr: address_text(row.remote_ip),
            remote_port: row.remote_port,
            ordinal: row.ordinal,
            intended_ns: row.intended_ns,
            start_ns: row.start_ns,
            connect_start_ns: row.connect_start_ns,
            connected_ns: row.connected_ns,
            sent_ns: row.sent_ns,
            first_byte_ns: row.first_byte_ns,
            last_byte_ns: row.last_byte_ns,
            end_ns: row.end_ns,
            loop_wake_ns: row.loop_wake_ns,
            status: row.status,
            header_bytes: row.header_bytes,
            body_bytes: row.body_bytes,
            request_bytes: row.request_bytes,
            outcome: row.outcome.name().to_owned(),
            errno: row.errno,
            retried: row.flags & loadgen::Row::RETRIED != 0,
            reused: row.flags & loadgen::Row::REUSED != 0,
        }
    }

    /// Whether a complete answer below 400 came.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.outcome == loadgen::Outcome::Ok.name()
    }

    /// Whether it is a slow client beside the load.
    #[must_use]
    pub fn is_slow_client(&self) -> bool {
        !self.measured
            && loadgen::hold::Fate::ALL
                .iter()
                .any(|fate| self.outcome == fate.name())
    }

    /// When the request was due.
    #[must_use]
    pub const fn due_ns(&self) -> u64 {
        match self.intended_ns {
            0 => self.start_ns,
            intended_ns => intended_ns,
        }
    }

    /// From when the request was due to its last byte; 0 if there was none.
    #[must_use]
    pub fn latency_ns(&self) -> u64 {
        self.last_byte_ns.saturating_sub(self.due_ns())
    }
}

/// One request, as the kernel saw it: [`RequestRecord`] with addresses as text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelRow {
    /// The server's address.
    pub local_addr: String,
    /// The server's port.
    pub local_port: u16,
    /// The client's address.
    pub remote_addr: String,
    /// The client's port.
    pub remote_port: u16,
    /// Which request of its connection, from 0.
    pub ordinal: u32,
    /// When the connection was established (with `TCP_DEFER_ACCEPT`: its first bytes arrived).
    pub established_ns: u64,
    /// When it was put into the accept queue.
    pub queued_ns: u64,
    /// When `accept4` returned it.
    pub accepted_ns: u64,
    /// When the request's first bytes arrived.
    pub arrival_ns: u64,
    /// When a task first read bytes of it.
    pub pickup_ns: u64,
    /// When the first send returned.
    pub first_send_ns: u64,
    /// When the last send returned.
    pub last_send_ns: u64,
    /// When the kernel's record was made.
    pub end_ns: u64,
    /// Bytes read by the server.
    pub bytes_in: u64,
    /// Bytes sent by the server.
    pub bytes_out: u64,
    /// From pick-up to last send: on a CPU.
    pub on_cpu_ns: u64,
    /// … woken and waiting for a CPU.
    pub woken_wait_ns: u64,
    /// … preempted and waiting for a CPU.
    pub preempted_ns: u64,
    /// … blocked in none of the following.
    pub blocked_other_ns: u64,
    /// … blocked in a futex: a mutex or condition variable.
    pub blocked_futex_ns: u64,
    /// … blocked in poll, select or epoll.
    pub blocked_poll_ns: u64,
    /// … blocked in a call that writes to a socket or pipe.
    pub blocked_send_ns: u64,
    /// … blocked in a call that reads from one, or accepts.
    pub blocked_receive_ns: u64,
    /// … blocked for a device that reads a file.
    pub blocked_file_ns: u64,
    /// … blocked for a device in a page fault.
    pub blocked_fault_ns: u64,
    /// … blocked in a call that sleeps for a time.
    pub blocked_sleep_ns: u64,
    /// … stopped by a signal.
    pub blocked_stopped_ns: u64,
    /// … blocked for a lock in the kernel.
    pub blocked_kernel_lock_ns: u64,
    /// … between two tasks.
    pub handover_ns: u64,
    /// … waiting for the client to send the rest of the request.
    pub client_sends_ns: u64,
    /// … waiting for the client to read, with the socket's send buffer full.
    pub client_reads_ns: u64,
    /// When the task that picked it up had last read or sent on any connection before.
    pub worker_free_ns: u64,
    /// When that task was last woken before the pick-up.
    pub worker_woken_ns: u64,
    /// When it then ran.
    pub worker_running_ns: u64,
    /// How long it was preempted between then and the pick-up.
    pub worker_preempted_ns: u64,
    /// Task that accepted the connection.
    pub acceptor: u32,
    /// Task that picked the request up.
    pub first_task: u32,
    /// Task that sent last.
    pub last_task: u32,
    /// How often another task took over.
    pub handovers: u32,
    /// Reads that returned bytes.
    pub recvs: u32,
    /// Sends that took bytes.
    pub sends: u32,
    /// Voluntary context switches of the serving tasks.
    pub voluntary: u32,
    /// Involuntary ones.
    pub involuntary: u32,
    /// Minor page faults of the serving tasks.
    pub faults_minor: u32,
    /// Major page faults of the serving tasks.
    pub faults_major: u32,
    /// The arrival of the bytes was not seen, or perhaps not that of all.
    pub no_arrival: bool,
    /// An earlier record of the connection was lost.
    pub after_loss: bool,
    /// The connection ended with this request.
    pub conn_ended: bool,
    /// It ended with the socket's send buffer full: since the last send the client had not read.
    pub unread_by_client: bool,
}

impl TableRow for KernelRow {
    const TABLE: &'static str = "kernel_requests";
}

impl KernelRow {
    /// Whether the row can be relied on: no record of its connection was lost before it, and the
    /// arrival of its bytes was seen.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        !self.after_loss && !self.no_arrival
    }
}

impl From<&RequestRecord> for KernelRow {
    fn from(record: &RequestRecord) -> Self {
        Self {
            local_addr: address_text(record.local_addr),
            remote_addr: address_text(record.remote_addr),
            ..Self::without_addresses(record)
        }
    }
}

impl KernelRow {
    /// The row without its two addresses, whose text costs more than all the rest.
    #[must_use]
    pub fn without_addresses(record: &RequestRecord) -> Self {
        let flag = |bit| record.flags & bit != 0;
        let blocked = |kind: BlockedIn| record.blocked_ns[kind as usize];
        Self {
            local_addr: String::new(),
            local_port: record.local_port,
            remote_addr: String::new(),
            remote_port: record.remote_port,
            ordinal: record.ordinal,
            established_ns: record.established_ns,
            queued_ns: record.queued_ns,
            accepted_ns: record.accepted_ns,
            arrival_ns: record.arrival_ns,
            pickup_ns: record.pickup_ns,
            first_send_ns: record.first_send_ns,
            last_send_ns: record.last_send_ns,
            end_ns: record.end_ns,
            bytes_in: record.bytes_in,
            bytes_out: record.bytes_out,
            on_cpu_ns: record.on_cpu_ns,
            woken_wait_ns: record.woken_wait_ns,
            preempted_ns: record.preempted_ns,
            blocked_other_ns: blocked(BlockedIn::Other),
            blocked_futex_ns: blocked(BlockedIn::Futex),
            blocked_poll_ns: blocked(BlockedIn::Poll),
            blocked_send_ns: blocked(BlockedIn::Send),
            blocked_receive_ns: blocked(BlockedIn::Receive),
            blocked_file_ns: blocked(BlockedIn::File),
            blocked_fault_ns: blocked(BlockedIn::Fault),
            blocked_sleep_ns: blocked(BlockedIn::Sleep),
            blocked_stopped_ns: blocked(BlockedIn::Stopped),
            blocked_kernel_lock_ns: blocked(BlockedIn::KernelLock),
            handover_ns: record.handover_ns,
            client_sends_ns: record.client_sends_ns,
            client_reads_ns: record.client_reads_ns,
            worker_free_ns: record.worker_free_ns,
            worker_woken_ns: record.worker_woken_ns,
            worker_running_ns: record.worker_running_ns,
            worker_preempted_ns: record.worker_preempted_ns,
            acceptor: record.acceptor,
            first_task: record.first_task,
            last_task: record.last_task,
            handovers: record.handovers,
            recvs: record.recvs,
            sends: record.sends,
            voluntary: record.voluntary,
            involuntary: record.involuntary,
            faults_minor: record.faults_minor,
            faults_major: record.faults_major,
            // The begin of one that was seen in part may have arrived before.
            no_arrival: flag(RequestFlags::NO_ARRIVAL | RequestFlags::IN_PART),
            after_loss: flag(RequestFlags::AFTER_LOSS),
            conn_ended: flag(RequestFlags::CONN_ENDED),
            unread_by_client: flag(RequestFlags::UNREAD_BY_CLIENT),
        }
    }
}

/// The state of server and queue at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SampleRow {
    /// When.
    pub t_ns: u64,
    /// httpd's processes.
    pub processes: u32,
    /// httpd's tasks, threads counted one by one.
    pub tasks: u32,
    /// CPU time of all httpd tasks since its start, ended ones included.
    pub server_cpu_ns: u64,
    /// CPU time of the load generator since its start.
    pub client_cpu_ns: u64,
    /// Connections in the accept queues of all ports and addresses; missing while nothing listens.
    pub accept_queue: Option<u32>,
    /// The limit of all these together; missing if one is not known.
    pub accept_queue_limit: Option<u32>,
    /// The kernel's `ListenOverflows`, all sockets of this network namespace.
    pub listen_overflows: u64,
    /// The kernel's `ListenDrops`, likewise.
    pub listen_drops: u64,
    /// Memory charged to the run's own cgroup, where there is one.
    pub cgroup_bytes: Option<u64>,
    /// Tasks in the run's own cgroup, where there is one.
    pub cgroup_tasks: Option<u32>,
}

impl TableRow for SampleRow {
    const TABLE: &'static str = "samples";
}

/// Memory of one role's processes at one moment. Threads share their process's memory, so only
/// `parent` and `child` occur.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryRow {
    /// When.
    pub t_ns: u64,
    /// `parent` or `child`.
    pub role: String,
    /// Processes that were read.
    pub processes: u32,
    /// Tasks in them.
    pub tasks: u32,
    /// Sum of the proportional set sizes: shared pages are divided among their users.
    pub pss_bytes: u64,
    /// Sum of the unique set sizes: pages that no other process has.
    pub uss_bytes: u64,
    /// Sum of the resident set sizes: shared pages are counted once for each process.
    pub rss_bytes: u64,
    /// Sum of the virtual sizes.
    pub virtual_bytes: u64,
}

impl TableRow for MemoryRow {
    const TABLE: &'static str = "memory";
}

/// One look at mod_status. The look itself is a request and needs a free slot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusRow {
    /// When the look began.
    pub t_ns: u64,
    /// How long it took, until the answer or until it was given up.
    pub took_ns: u64,
    /// The looker's port, by which the kernel's record of it is known.
    pub local_port: u16,
    /// Whether an answer came in time.
    pub answered: bool,
    /// `BusyWorkers`
    pub busy_workers: Option<u32>,
    /// `IdleWorkers`
    pub idle_workers: Option<u32>,
    /// `Total Accesses`
    pub accesses: Option<u64>,
    /// `ConnsAsyncKeepAlive`, event only.
    pub conns_keep_alive: Option<u32>,
}

impl TableRow for StatusRow {
    const TABLE: &'static str = "mod_status";
}
