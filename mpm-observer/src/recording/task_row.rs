//! The rows of httpd's tasks.

use mpm_observer_common::{BlockedIn, TaskFlags, TaskRecord};
use serde::{Deserialize, Serialize};

use super::TableRow;

/// When a task's cumulative figures were read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Moment {
    /// Just before the measured load, of a live server at the begin of the recording; the task was
    /// alive.
    LoadBegin,
    /// Just after it, or at the end of that; the task was alive.
    LoadEnd,
    /// At the task's end, or at the end of the recording if it was still alive.
    #[default]
    End,
}

/// One task of httpd at one moment: what the probes counted, beside the kernel's own counters
/// (which are filled in at its end only).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskRow {
    /// The moment.
    pub moment: Moment,
    /// Thread id.
    pub tid: u32,
    /// Process id.
    pub pid: u32,
    /// Process id of the task that made it.
    pub parent_pid: u32,
    /// `httpd::Role` in lower case.
    pub role: String,
    /// Whether it is a thread of its maker's process.
    pub is_thread: bool,
    /// Whether it is httpd's first task.
    pub is_first: bool,
    /// Still alive at the end of the recording; then the exit columns mean nothing.
    pub alive: bool,
    /// When it was made.
    pub created_ns: u64,
    /// When it ended.
    pub exited_ns: u64,
    /// Exit status, if it was not killed.
    pub exit_status: u8,
    /// Signal that killed it, or 0.
    pub exit_signal: u8,
    /// Time on a CPU.
    pub on_cpu_ns: u64,
    /// Time woken and waiting for a CPU.
    pub woken_wait_ns: u64,
    /// Time preempted and waiting for a CPU.
    pub preempted_ns: u64,
    /// Time blocked in none of the following.
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
    /// Voluntary switches.
    pub voluntary: u64,
    /// Involuntary switches.
    pub involuntary: u64,
    /// Page faults in user mode.
    pub faults_user: u64,
    /// Page faults in kernel mode.
    pub faults_kernel: u64,
    /// A page of a file was mapped.
    pub faults_file: u64,
    /// An anonymous page was mapped.
    pub faults_anon: u64,
    /// A page of shared memory was mapped.
    pub faults_shmem: u64,
    /// Copy on write.
    pub faults_cow: u64,
    /// Connections accepted.
    pub accepts: u64,
    /// `accept4` with `EAGAIN`.
    pub accepts_again: u64,
    /// `accept4` ended by a signal.
    pub accepts_interrupted: u64,
    /// `accept4` failed otherwise.
    pub accepts_failed: u64,
    /// Errno of the last of these.
    pub accept_errno: u32,
    /// Requests picked up.
    pub requests: u64,
    /// The kernel's count of voluntary switches.
    pub kernel_voluntary: u64,
    /// … of involuntary switches.
    pub kernel_involuntary: u64,
    /// … of minor faults.
    pub kernel_faults_minor: u64,
    /// … of major faults.
    pub kernel_faults_major: u64,
}

impl TableRow for TaskRow {
    const TABLE: &'static str = "tasks";
}

impl TaskRow {
    /// The row of a kernel record; the role follows from all tasks of the run and is given.
    #[must_use]
    pub fn new(record: &TaskRecord, moment: Moment, role: String) -> Self {
        let flag = |bit| record.flags & bit != 0;
        let totals = &record.totals;
        let blocked = |kind: BlockedIn| totals.sched.blocked_ns[kind as usize];
        Self {
            moment,
            tid: record.pid,
            pid: record.tgid,
            parent_pid: record.parent_tgid,
            role,
            is_thread: flag(TaskFlags::THREAD),
            is_first: flag(TaskFlags::FIRST),
            alive: flag(TaskFlags::ALIVE),
            created_ns: record.created_ns,
            exited_ns: record.exited_ns,
            exit_status: (record.exit_code >> 8) as u8,
            exit_signal: (record.exit_code & 0x7f) as u8,
            on_cpu_ns: totals.sched.on_cpu_ns,
            woken_wait_ns: totals.sched.woken_wait_ns,
            preempted_ns: totals.sched.preempted_ns,
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
            voluntary: totals.sched.voluntary,
            involuntary: totals.sched.involuntary,
            faults_user: totals.faults_user,
            faults_kernel: totals.faults_kernel,
            faults_file: totals.faults_file,
            faults_anon: totals.faults_anon,
            faults_shmem: totals.faults_shmem,
            faults_cow: totals.faults_cow,
            accepts: totals.accepts,
            accepts_again: totals.accepts_again,
            accepts_interrupted: totals.accepts_interrupted,
            accepts_failed: totals.accepts_failed,
            accept_errno: record.accept_errno,
            requests: totals.requests,
            kernel_voluntary: record.kernel_voluntary,
            kernel_involuntary: record.kernel_involuntary,
            kernel_faults_minor: record.kernel_faults_minor,
            kernel_faults_major: record.kernel_faults_major,
        }
    }
}
