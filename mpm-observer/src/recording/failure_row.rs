//! The rows of what failed in the kernel.

use mpm_observer_common::{FailureFlags, FailureRecord, FailureSource, Mapping};
use nix::libc;
use serde::{Deserialize, Serialize};

use super::TableRow;
use crate::kernel::call_name;

/// What a failure is.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// A system call of httpd was refused a resource.
    #[default]
    Call,
    /// The kernel chose one of httpd's processes to be killed for want of memory.
    OomKill,
    /// A signal that ends a process was sent to one of httpd's.
    Signal,
    /// A connection found the accept queue full.
    AcceptQueueFull,
    /// The kernel reset a connection of httpd's port, from httpd's side.
    ResetSent,
}

/// What a refused system call was for, as far as its arguments tell.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Nothing of the following.
    #[default]
    Other,
    /// A process (fork).
    Process,
    /// A thread.
    Thread,
    /// The stack of a thread.
    ThreadStack,
    /// An arena of glibc's malloc.
    MallocArena,
    /// Anonymous memory of another use.
    AnonymousMemory,
    /// A file in memory.
    FileMap,
    /// The heap (brk).
    Heap,
    /// A connection (accept).
    Connection,
    /// An open file.
    File,
    /// A socket, a pipe or another descriptor that is no file.
    Descriptor,
}

/// One failure, with the limits of the task at that moment and what it used of them. A limit that
/// is missing is not set (unlimited); a use that is missing could not be read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureRow {
    /// When.
    pub t_ns: u64,
    /// What.
    pub kind: FailureKind,
    /// Thread id of the task whose call failed, that is to be killed, or that got the signal; 0
    /// for connections.
    pub tid: u32,
    /// Its process.
    pub pid: u32,
    /// Its role: `httpd::Role` in lower case; empty for connections.
    pub role: String,
    /// Its effective user.
    pub uid: u32,
    /// Name of the system call, such as `mmap`; empty for other kinds.
    pub call: String,
    /// What the call was for.
    pub purpose: Purpose,
    /// The system's error number; 0 for other kinds.
    pub errno: u32,
    /// What was asked for: bytes to map or to grow by, size of a stack; 0 where it does not apply.
    pub bytes: u64,
    /// Flags of the call: of `mmap` its fourth argument, of `clone` and `clone3` the clone flags,
    /// of `openat` and `accept4` theirs.
    pub call_flags: u64,
    /// The signal, for [`FailureKind::Signal`] (and SIGKILL for an OOM kill).
    pub signal: u8,
    /// Task that sent the signal, or in which memory ran out; 0: the kernel.
    pub by_tid: u32,
    /// Whether the signal was the kernel's own (a fault, a limit, an OOM kill).
    pub by_kernel: bool,
    /// The client's port, for connections; 0: unknown.
    pub remote_port: u16,
    /// Length of the accept queue, for connections.
    pub queue_length: Option<u32>,
    /// Its limit: the smaller one of ListenBacklog and somaxconn.
    pub queue_limit: Option<u32>,
    /// `RLIMIT_AS`, bytes.
    pub address_space_limit: Option<u64>,
    /// Address space in use, bytes.
    pub address_space: Option<u64>,
    /// `RLIMIT_DATA`, bytes.
    pub data_limit: Option<u64>,
    /// Private writable memory in use, bytes.
    pub data: Option<u64>,
    /// `RLIMIT_STACK`, bytes.
    pub stack_limit: Option<u64>,
    /// `RLIMIT_NOFILE`.
    pub open_files_limit: Option<u64>,
    /// Open files.
    pub open_files: Option<u64>,
    /// `RLIMIT_NPROC`.
    pub processes_limit: Option<u64>,
    /// Tasks of the user.
    pub processes: Option<u64>,
    /// `pids.max` of the task's cgroup or of the nearest one above that has a limit.
    pub cgroup_tasks_limit: Option<u64>,
    /// Tasks in that cgroup.
    pub cgroup_tasks: Option<u64>,
    /// `memory.max` of the task's cgroup or of the nearest one above that has a limit, bytes.
    pub cgroup_memory_limit: Option<u64>,
    /// Memory charged to that cgroup, bytes.
    pub cgroup_memory: Option<u64>,
    /// Resident memory of the process, bytes.
    pub resident: Option<u64>,
    /// Thread stacks that the process has mapped so far.
    pub thread_stacks: u32,
    /// Bytes of these.
    pub thread_stack_bytes: u64,
    /// Arenas of glibc's malloc that the process has reserved so far.
    pub malloc_arenas: u32,
    /// Bytes of these, as they stay after glibc has trimmed them.
    pub malloc_arena_bytes: u64,
}

impl TableRow for FailureRow {
    const TABLE: &'static str = "failures";
}

/// What the kernel's own counts of memory are in: the programs read the registers of x86-64, whose
/// pages have this size.
const PAGE_BYTES: u64 = 4096;
const CLONE_THREAD: u64 = 0x1_0000;

impl FailureRow {
    /// The row of a kernel record; the role follows from all tasks of the run and is given.
    /// `None` if the record's source is unknown.
    #[must_use]
    pub fn new(record: &FailureRecord, role: String) -> Option<Self> {
        let kind = match FailureSource::from_word(record.source)? {
            FailureSource::Call => FailureKind::Call,
            FailureSource::OomKill => FailureKind::OomKill,
            FailureSource::Signal => FailureKind::Signal,
            FailureSource::QueueFull | FailureSource::SynRefused => FailureKind::AcceptQueueFull,
            FailureSource::Reset => FailureKind::ResetSent,
        };
        let mut row = Self {
            t_ns: record.time_ns,
            kind,
            tid: record.pid,
            pid: record.tgid,
            role,
            uid: record.uid,
            errno: record.errno,
            signal: record.signal as u8,
            by_tid: record.by_pid,
            by_kernel: record.flags & FailureFlags::BY_KERNEL != 0,
            remote_port: record.remote_port as u16,
            queue_length: known(record.queue_length),
            queue_limit: known(record.queue_limit),
            ..Self::default()
        };
        if kind == FailureKind::Call {
            row.set_call(record);
        }
        if !matches!(kind, FailureKind::AcceptQueueFull | FailureKind::ResetSent) {
            row.set_limits(record);
        }
        Some(row)
    }

    fn set_call(&mut self, record: &FailureRecord) {
        self.call = call_name(record.call);
        let [first, second, third, fourth] = record.arguments;
        let of_place = if record.flags & FailureFlags::IN_THREAD_STACK != 0 {
            Purpose::ThreadStack
        } else if record.flags & FailureFlags::IN_MALLOC_ARENA != 0 {
            Purpose::MallocArena
        } else {
            Purpose::Other
        };
        let of_clone = if first & CLONE_THREAD != 0 {
            Purpose::Thread
        } else {
            Purpose::Process
        };
        (self.purpose, self.bytes, self.call_flags) = match libc::c_long::from(record.call) {
            libc::SYS_clone => (of_clone, 0, first),
            libc::SYS_clone3 => (of_clone, second, first),
            libc::SYS_fork | libc::SYS_vfork => (Purpose::Process, 0, 0),
            libc::SYS_mmap => (mapping(second, third, fourth), second, fourth),
            libc::SYS_mprotect => (of_place, second, 0),
            libc::SYS_munmap | libc::SYS_mlock => (of_place, second, 0),
            libc::SYS_mremap => (Purpose::AnonymousMemory, third.saturating_sub(second), 0),
            libc::SYS_brk => {
                // It has no error number; this is what the C library makes of it.
                self.errno = libc::ENOMEM.unsigned_abs();
                let grown = first.saturating_sub(record.returned.unsigned_abs());
                (Purpose::Heap, grown, 0)
            }
            libc::SYS_accept4 => (Purpose::Connection, 0, fourth),
            libc::SYS_accept => (Purpose::Connection, 0, 0),
            libc::SYS_openat => (Purpose::File, 0, third),
            libc::SYS_open => (Purpose::File, 0, second),
            libc::SYS_openat2 | libc::SYS_creat => (Purpose::File, 0, 0),
            libc::SYS_write | libc::SYS_pwrite64 => (Purpose::File, third, 0),
            libc::SYS_writev | libc::SYS_pwritev => (Purpose::File, 0, 0),
            libc::SYS_socket
            | libc::SYS_socketpair
            | libc::SYS_pipe
            | libc::SYS_pipe2
            | libc::SYS_dup
            | libc::SYS_dup2
            | libc::SYS_dup3
            | libc::SYS_fcntl
            | libc::SYS_memfd_create
            | libc::SYS_epoll_create
            | libc::SYS_epoll_create1
            | libc::SYS_eventfd
            | libc::SYS_eventfd2
            | libc::SYS_timerfd_create
            | libc::SYS_signalfd4
            | libc::SYS_inotify_init1 => (Purpose::Descriptor, 0, 0),
            _ => (Purpose::Other, 0, 0),
        };
    }

    fn set_limits(&mut self, record: &FailureRecord) {
        let value = |value: u64| (value != FailureRecord::MISSING).then_some(value);
        let bytes = |pages: u64| value(pages).map(|pages| pages.saturating_mul(PAGE_BYTES));
        self.address_space_limit = value(record.address_space_limit);
        self.address_space = bytes(record.address_space_pages);
        self.data_limit = value(record.data_limit);
        self.data = bytes(record.data_pages);
        self.stack_limit = value(record.stack_limit);
        self.open_files_limit = value(record.open_files_limit);
        self.open_files = value(record.open_files);
        self.processes_limit = value(record.processes_limit);
        self.processes = value(record.processes);
        self.cgroup_tasks_limit = value(record.cgroup_tasks_limit);
        self.cgroup_tasks = value(record.cgroup_tasks);
        self.cgroup_memory_limit = bytes(record.cgroup_memory_limit_pages);
        self.cgroup_memory = bytes(record.cgroup_memory_pages);
        self.resident = bytes(record.resident_pages);
        self.thread_stacks = record.thread_stacks;
        self.thread_stack_bytes = record.thread_stack_bytes;
        self.malloc_arenas = record.malloc_arenas;
        self.malloc_arena_bytes = record.malloc_arena_bytes;
    }
}

fn known(value: u32) -> Option<u32> {
    (value != u32::MAX).then_some(value)
}

fn mapping(bytes: u64, protection: u64, flags: u64) -> Purpose {
    match Mapping::of(bytes, protection, flags) {
        Mapping::ThreadStack => Purpose::ThreadStack,
        Mapping::MallocArena => Purpose::MallocArena,
        Mapping::Anonymous => Purpose::AnonymousMemory,
        Mapping::File => Purpose::FileMap,
    }
}

#[cfg(test)]
#[path = "failure_row_tests.rs"]
mod tests;
