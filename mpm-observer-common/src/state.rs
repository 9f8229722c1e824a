//! What the programs keep between events.

use crate::record::{RequestRecord, SchedTotals, TaskRecord};

/// Where a task is, and what the time since [`TaskState::since_ns`] will count as.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffCpu {
    /// On a CPU.
    Running = 0,
    /// Off it, though it could run.
    Preempted = 1,
    /// Off it because it blocked; from its wake-up on it waits for a CPU.
    Blocked = 2,
}

/// One live task of the server.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct TaskState {
    /// What is emitted at its end; `totals` is kept up to date in place.
    pub record: TaskRecord,
    /// Until when its time has been counted.
    pub since_ns: u64,
    /// Length of the last blocked interval, not yet split at the wake-up, or 0. The kernel adds
    /// to `run_delay` only after the tracepoint of the switch, so it is split at the next event.
    pub unsplit_ns: u64,
    /// `run_delay` when it was last read.
    pub run_delay_ns: u64,
    /// Kernel counters when the watch began.
    pub base_voluntary: u64,
    /// …
    pub base_involuntary: u64,
    /// …
    pub base_faults_minor: u64,
    /// …
    pub base_faults_major: u64,
    /// An [`OffCpu`].
    pub off_cpu: u32,
    /// 1 while a fault on a page that is not present waits to be told what was mapped.
    pub fault_open: u32,
}

/// One live connection of the server.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct ConnState {
    /// The current request, ready to be emitted.
    pub request: RequestRecord,
    /// Arrival of bytes after the current request was picked up: the next request's, if it was
    /// answered by then.
    pub next_arrival_ns: u64,
    /// Until when the current request's time has been counted.
    pub counted_ns: u64,
    /// Totals of [`ConnState::base_task`] at that moment.
    pub base: SchedTotals,
    /// `min_flt` of it at that moment.
    pub base_faults_minor: u64,
    /// `maj_flt` of it at that moment.
    pub base_faults_major: u64,
    /// The task that worked on the connection last.
    pub base_task: u32,
    /// Zero.
    pub reserved: u32,
}

/// Index of a per-CPU counter. Each is counted up by one program only.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counter {
    /// Request records made when the next request was picked up.
    RequestsSent = 0,
    /// … of which did not fit the ring buffer.
    RequestsLost = 1,
    /// Task records made.
    TasksSent = 2,
    /// … of which did not fit the ring buffer.
    TasksLost = 3,
    /// Connections not followed because the table was full.
    ConnsUnfollowed = 4,
    /// Tasks not followed because the table was full.
    TasksUnfollowed = 5,
    /// Connections established.
    ConnsEstablished = 6,
    /// Request records made when their connection ended.
    LastRequestsSent = 7,
    /// … of which did not fit the ring buffer.
    LastRequestsLost = 8,
}

impl Counter {
    /// How many there are.
    pub const COUNT: u32 = 9;
}
