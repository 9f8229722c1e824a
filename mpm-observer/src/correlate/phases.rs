//! Where a request's time went, from when it was due at the client to its last byte.
//!
//! ```text
//! client   due ─ start ─ connected ─ sent                                            last byte
//! kernel                                arrival ─ accept ─ pick-up ─ … ─ last send
//! phase    late │connect│client     │to server│accept   │slot     │serving  │to client
//!          start                                queue     wait
//! ```
//!
//! Slot wait and serving are split further by what the task that serves it did. A request that met
//! a stale keep-alive connection begins with that attempt.

use crate::recording::{ClientRow, KernelRow};

/// A part of a request's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// Due by the schedule of an open loop and not yet begun: no connection was free, or the
    /// client's loop was late.
    LateStart,
    /// An attempt on a kept connection that the server had closed (retries).
    StaleAttempt,
    /// The client connects (first request of a connection).
    Connect,
    /// Connected, and the request not yet written: the client's own delay.
    ClientDelay,
    /// From the client's write to the arrival at the server's socket.
    ToServer,
    /// In the accept queue (first request of a connection).
    AcceptQueue,
    /// Arrived and accepted, and the task that will read it still busy with another request: no
    /// worker was free.
    NoFreeWorker,
    /// Arrived and accepted, with a free worker: on the way to it, such as from the listener, and
    /// the worker's own way to the read.
    HandOff,
    /// … the worker is woken and waits for a CPU.
    WorkerRunQueue,
    /// A task serves it and runs.
    OnCpu,
    /// … is woken and waits for a CPU.
    Woken,
    /// … was preempted and waits for a CPU.
    Preempted,
    /// … is blocked in a futex.
    Futex,
    /// … is blocked in poll, select or epoll, and not for this client.
    Poll,
    /// … is blocked in a write to a socket or pipe.
    Send,
    /// … is blocked in a read from a socket or pipe.
    Receive,
    /// … is blocked for a device that reads a file.
    FileRead,
    /// … is blocked for a device in a page fault.
    PageFault,
    /// … sleeps for a time.
    Sleep,
    /// … is stopped by a signal.
    Stopped,
    /// … is blocked for a lock in the kernel.
    KernelLock,
    /// … is blocked in something else.
    Other,
    /// The server waits for the client to send the rest of the request.
    ClientSends,
    /// The server waits for the client to read what was sent.
    ClientReads,
    /// Between two tasks that serve it.
    Handover,
    /// From the last send until the client's loop looks for the answer: the network, what was
    /// still on its way, and the client's being busy.
    ToClient,
    /// From the client's look to its last byte: the client's own reading.
    InClient,
}

impl Phase {
    /// All phases in the order of time.
    pub const ALL: [Self; 27] = [
        Self::LateStart,
        Self::StaleAttempt,
        Self::Connect,
        Self::ClientDelay,
        Self::ToServer,
        Self::AcceptQueue,
        Self::NoFreeWorker,
        Self::HandOff,
        Self::WorkerRunQueue,
        Self::OnCpu,
        Self::Woken,
        Self::Preempted,
        Self::Futex,
        Self::Poll,
        Self::Send,
        Self::Receive,
        Self::FileRead,
        Self::PageFault,
        Self::Sleep,
        Self::Stopped,
        Self::KernelLock,
        Self::Other,
        Self::ClientSends,
        Self::ClientReads,
        Self::Handover,
        Self::ToClient,
        Self::InClient,
    ];

    /// Its name in tables and plots.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::LateStart => "late start",
            Self::StaleAttempt => "stale attempt",
            Self::Connect => "connect",
            Self::ClientDelay => "client delay",
            Self::ToServer => "to server",
            Self::AcceptQueue => "accept queue",
            Self::NoFreeWorker => "no free worker",
            Self::HandOff => "hand-off",
            Self::WorkerRunQueue => "worker's run queue",
            Self::OnCpu => "on CPU",
            Self::Woken => "woken, run queue",
            Self::Preempted => "preempted",
            Self::Futex => "futex",
            Self::Poll => "poll",
            Self::Send => "socket send",
            Self::Receive => "socket receive",
            Self::FileRead => "file read",
            Self::PageFault => "page fault",
            Self::Sleep => "sleep",
            Self::Stopped => "stopped",
            Self::KernelLock => "kernel lock",
            Self::Other => "blocked, other",
            Self::ClientSends => "client sends",
            Self::ClientReads => "client reads",
            Self::Handover => "between tasks",
            Self::ToClient => "to client",
            Self::InClient => "in client",
        }
    }
}

impl Phase {
    /// What it is, in a few words.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::LateStart => {
                "due, and not yet begun: no connection of the client was free, or it was late"
            }
            Self::StaleAttempt => "an attempt on a kept connection that the server had closed",
            Self::Connect => "the client connects",
            Self::ClientDelay => "connected, and the request not yet written",
            Self::ToServer => "from the client's write to the arrival at the server's socket",
            Self::AcceptQueue => "arrived, and no task has accepted the connection",
            Self::NoFreeWorker => {
                "arrived and accepted, and the task that will read it busy with another request"
            }
            Self::HandOff => "on the way to a free worker, such as from the listener",
            Self::WorkerRunQueue => "the free worker is woken and waits for a CPU",
            Self::OnCpu => "a task serves it and runs",
            Self::Woken => "the serving task is woken and waits for a CPU",
            Self::Preempted => "the serving task was preempted and waits for a CPU",
            Self::Futex => "the serving task is blocked in a mutex or condition variable",
            Self::Poll => "the serving task polls, and not for this client",
            Self::Send => "the serving task is blocked in a write to a socket or pipe",
            Self::Receive => "the serving task is blocked in a read from a socket or pipe",
            Self::FileRead => "the serving task waits for a device that reads a file",
            Self::PageFault => "the serving task waits for a device in a page fault",
            Self::Sleep => "the serving task sleeps for a time",
            Self::Stopped => "the serving task is stopped by a signal",
            Self::KernelLock => "the serving task waits for a lock in the kernel",
            Self::Other => "the serving task is blocked in something else",
            Self::ClientSends => "the server waits for the rest of the request",
            Self::ClientReads => "the server waits for the client to read what was sent",
            Self::Handover => "between two tasks that serve it",
            Self::ToClient => "from the last send until the client looks for the answer",
            Self::InClient => "from the client's look to its last byte",
        }
    }
}

/// The phases of the server's part of a request, from its arrival to the last send, and their names
/// in metrics and spans, in the order of time.
pub const SERVER_PHASES: [(Phase, &str); 20] = [
    (Phase::AcceptQueue, "accept_queue"),
    (Phase::NoFreeWorker, "no_free_worker"),
    (Phase::HandOff, "hand_off"),
    (Phase::WorkerRunQueue, "worker_run_queue"),
    (Phase::OnCpu, "on_cpu"),
    (Phase::Woken, "woken"),
    (Phase::Preempted, "preempted"),
    (Phase::Futex, "futex"),
    (Phase::Poll, "poll"),
    (Phase::Send, "socket_send"),
    (Phase::Receive, "socket_receive"),
    (Phase::FileRead, "file_read"),
    (Phase::PageFault, "page_fault"),
    (Phase::Sleep, "sleep"),
    (Phase::Stopped, "stopped"),
    (Phase::KernelLock, "kernel_lock"),
    (Phase::Other, "other"),
    (Phase::ClientSends, "client_sends"),
    (Phase::ClientReads, "client_reads"),
    (Phase::Handover, "between_tasks"),
];

/// The phases of one request in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Phases {
    by_phase: [u64; Phase::ALL.len()],
    /// From when it was due to its last byte.
    pub wall_ns: u64,
    /// Phases whose end lies before their begin; each counts as no time.
    pub negative: u32,
}

impl Phases {
    /// Length of a phase.
    #[must_use]
    pub const fn get(&self, phase: Phase) -> u64 {
        self.by_phase[phase as usize]
    }

    /// The longest phase.
    #[must_use]
    pub fn longest(&self) -> (Phase, u64) {
        Phase::ALL
            .into_iter()
            .map(|phase| (phase, self.get(phase)))
            .max_by_key(|(_, length_ns)| *length_ns)
            .unwrap_or((Phase::OnCpu, 0))
    }

    /// Wall time minus the sum of the phases: what is not accounted for; negative when the phases
    /// overlap.
    #[must_use]
    pub fn residual_ns(&self) -> i64 {
        let sum: u64 = self.by_phase.iter().sum();
        self.wall_ns.cast_signed() - sum.cast_signed()
    }

    /// The residual's share of the wall time, without its sign; 0 of a request without length.
    #[must_use]
    pub fn residual_share(&self) -> f64 {
        if self.wall_ns == 0 {
            return 0.0;
        }
        self.residual_ns().unsigned_abs() as f64 / self.wall_ns as f64
    }

    fn set(&mut self, phase: Phase, length_ns: u64) {
        self.by_phase[phase as usize] = length_ns;
    }

    /// A phase by its two ends.
    fn set_between(&mut self, phase: Phase, from_ns: u64, to_ns: u64) {
        self.negative += u32::from(to_ns < from_ns);
        self.set(phase, between(from_ns, to_ns));
    }

    /// Takes up to `length_ns` off a phase; returns what is left to take.
    fn take(&mut self, phase: Phase, length_ns: u64) -> u64 {
        let taken_ns = length_ns.min(self.get(phase));
        self.by_phase[phase as usize] -= taken_ns;
        length_ns - taken_ns
    }
}

const fn between(from_ns: u64, to_ns: u64) -> u64 {
    to_ns.saturating_sub(from_ns)
}

/// The phases of a request that was answered, joined from both sides.
#[must_use]
pub fn phases(client: &ClientRow, kernel: &KernelRow) -> Phases {
    let mut phases = Phases {
        wall_ns: client.latency_ns(),
        ..Phases::default()
    };
    before_the_server(&mut phases, client, kernel);
    slot_wait(&mut phases, kernel);
    serving(&mut phases, kernel);
    after_the_server(&mut phases, client, kernel);
    phases
}

/// The server's part of a request, from the arrival of its bytes to the last send; the phases
/// before and after it are zero. Of a request that was not answered, all are.
#[must_use]
pub fn server_phases(kernel: &KernelRow) -> Phases {
    let mut phases = Phases {
        wall_ns: between(kernel.arrival_ns, kernel.last_send_ns),
        ..Phases::default()
    };
    if kernel.pickup_ns != 0 && kernel.last_send_ns != 0 {
        slot_wait(&mut phases, kernel);
        serving(&mut phases, kernel);
    } else {
        phases.wall_ns = 0;
    }
    phases
}

fn before_the_server(phases: &mut Phases, client: &ClientRow, kernel: &KernelRow) {
    phases.set_between(Phase::LateStart, client.due_ns(), client.start_ns);
    if client.reused {
        phases.set_between(Phase::ClientDelay, client.start_ns, client.sent_ns);
    } else {
        // A retry keeps the begin of its first attempt.
        let connect_ns = client.connect_start_ns.max(client.start_ns);
        phases.set_between(Phase::StaleAttempt, client.start_ns, connect_ns);
        phases.set_between(Phase::Connect, connect_ns, client.connected_ns);
        phases.set_between(Phase::ClientDelay, client.connected_ns, client.sent_ns);
    }
    phases.set_between(Phase::ToServer, client.sent_ns, kernel.arrival_ns);
}

/// From the arrival to the pick-up.
fn slot_wait(phases: &mut Phases, kernel: &KernelRow) {
    let pickup_ns = kernel.pickup_ns.max(kernel.arrival_ns);
    // A connection may be accepted before or after its first bytes arrive.
    let accepted_ns = if kernel.ordinal == 0 && kernel.accepted_ns != 0 {
        kernel.accepted_ns.clamp(kernel.arrival_ns, pickup_ns)
    } else {
        kernel.arrival_ns
    };
    phases.set_between(Phase::AcceptQueue, kernel.arrival_ns, accepted_ns);
    let free_ns = kernel.worker_free_ns.clamp(accepted_ns, pickup_ns);
    phases.set_between(Phase::NoFreeWorker, accepted_ns, free_ns);
    // Of the rest, what lies between the worker's last wake-up and its running, and what it was
    // preempted since.
    let woken_ns = kernel.worker_woken_ns.clamp(free_ns, pickup_ns);
    let running_ns = kernel.worker_running_ns.clamp(woken_ns, pickup_ns);
    let preempted_ns = kernel
        .worker_preempted_ns
        .min(between(running_ns, pickup_ns));
    let run_queue_ns = between(woken_ns, running_ns) + preempted_ns;
    phases.set(Phase::WorkerRunQueue, run_queue_ns);
    phases.set(Phase::HandOff, between(free_ns, pickup_ns) - run_queue_ns);
}

/// From the pick-up to the last send.
fn serving(phases: &mut Phases, kernel: &KernelRow) {
    phases.set(Phase::OnCpu, kernel.on_cpu_ns);
    phases.set(Phase::Woken, kernel.woken_wait_ns);
    phases.set(Phase::Preempted, kernel.preempted_ns);
    phases.set(Phase::Futex, kernel.blocked_futex_ns);
    phases.set(Phase::Poll, kernel.blocked_poll_ns);
    phases.set(Phase::Send, kernel.blocked_send_ns);
    phases.set(Phase::Receive, kernel.blocked_receive_ns);
    phases.set(Phase::FileRead, kernel.blocked_file_ns);
    phases.set(Phase::PageFault, kernel.blocked_fault_ns);
    phases.set(Phase::Sleep, kernel.blocked_sleep_ns);
    phases.set(Phase::Stopped, kernel.blocked_stopped_ns);
    phases.set(Phase::KernelLock, kernel.blocked_kernel_lock_ns);
    phases.set(Phase::Other, kernel.blocked_other_ns);
    phases.set(Phase::ClientSends, kernel.client_sends_ns);
    phases.set(Phase::ClientReads, kernel.client_reads_ns);
    phases.set(Phase::Handover, kernel.handover_ns);
}

fn after_the_server(phases: &mut Phases, client: &ClientRow, kernel: &KernelRow) {
    // The client can have its last byte before the server's send has returned. What the server
    // does in that call afterwards is not the request's: it runs, or was preempted or interrupted
    // on its way out.
    let overlap_ns = between(client.last_byte_ns, kernel.last_send_ns);
    let left_ns = phases.take(Phase::OnCpu, overlap_ns);
    phases.take(Phase::Preempted, left_ns);
    if overlap_ns > 0 {
        return;
    }
    // The loop's waking is that for the first byte: of an answer in several parts it tells nothing
    // of the last one, unless it came after that was sent.
    let looked_ns = if client.loop_wake_ns > kernel.last_send_ns {
        client.loop_wake_ns.min(client.last_byte_ns)
    } else if kernel.sends == 1 && client.loop_wake_ns != 0 {
        kernel.last_send_ns
    } else {
        client.last_byte_ns
    };
    phases.set_between(Phase::ToClient, kernel.last_send_ns, looked_ns);
    phases.set_between(Phase::InClient, looked_ns, client.last_byte_ns);
}

#[cfg(test)]
#[path = "phases_tests.rs"]
mod tests;
