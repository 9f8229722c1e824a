//! The rows of what failed in the kernel.

use serde::{Deserialize, Serialize};

use super::TableRow;

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
