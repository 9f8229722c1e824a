//! The records that leave the kernel through the ring buffer.

use crate::words;

/// The first word of every record.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordKind {
    /// A [`RequestRecord`] follows.
    Request = 1,
    /// A [`TaskRecord`] follows.
    Task = 2,
    /// A [`TraceEvent`](crate::TraceEvent) follows.
    Trace = 3,
    /// A [`FailureRecord`](crate::FailureRecord) follows.
    Failure = 4,
}

impl RecordKind {
    /// The kind whose number is `word`, if there is one.
    #[must_use]
    pub const fn from_word(word: u32) -> Option<Self> {
        match word {
            1 => Some(Self::Request),
            2 => Some(Self::Task),
            3 => Some(Self::Trace),
            4 => Some(Self::Failure),
            _ => None,
        }
    }
}

/// An IPv6 address; IPv4 addresses are mapped (`::ffff:a.b.c.d`).
pub type Address = [u8; 16];

/// Bits of [`RequestRecord::flags`].
pub struct RequestFlags;

impl RequestFlags {
    /// The arrival of the request's bytes was not seen; `arrival_ns` is that of the pick-up.
    pub const NO_ARRIVAL: u32 = 1;
    /// An earlier record of this connection did not fit the ring buffer.
    pub const AFTER_LOSS: u32 = 1 << 1;
    /// The connection ended while this request was the current one.
    pub const CONN_ENDED: u32 = 1 << 2;
    /// The record was made at the end of its connection, by `inet_sock_set_state`.
    pub const AT_END: u32 = 1 << 3;
    /// The connection had been accepted before the watch began, and this is the first of its
    /// requests that was read since: perhaps only the end of it.
    pub const IN_PART: u32 = 1 << 4;
    /// The connection ended with its send buffer full: since the last send the client had not read.
    pub const UNREAD_BY_CLIENT: u32 = 1 << 5;
}

/// One request, as the kernel saw it. A time of zero means that it did not happen: a request
/// with `pickup_ns` 0 was never read by the server, one with `last_send_ns` 0 never answered.
///
/// `on_cpu_ns`, `woken_wait_ns`, `preempted_ns`, all of `blocked_ns`, `handover_ns`,
/// `client_sends_ns` and `client_reads_ns` sum to the time from pick-up to last send.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestRecord {
    /// [`RecordKind::Request`].
    pub kind: u32,
    /// [`RequestFlags`].
    pub flags: u32,
    /// The server's address.
    pub local_addr: Address,
    /// The client's address.
    pub remote_addr: Address,
    /// The server's port, host byte order.
    pub local_port: u16,
    /// The client's port, host byte order.
    pub remote_port: u16,
    /// Which request of its connection, from 0; of a connection that stood before the watch began,
    /// since then.
    pub ordinal: u32,
    /// When the connection was established in the kernel. With `TCP_DEFER_ACCEPT` that is when
    /// its first bytes arrived. 0: before the watch began.
    pub established_ns: u64,
    /// When it was put into the accept queue.
    pub queued_ns: u64,
    /// When `accept4` returned it.
    pub accepted_ns: u64,
    /// When the request's first bytes arrived.
    pub arrival_ns: u64,
    /// When a task first read bytes of it.
    pub pickup_ns: u64,
    /// When the first send of the answer returned.
    pub first_send_ns: u64,
    /// When the last send of the answer returned.
    pub last_send_ns: u64,
    /// When the record was made: the next request's pick-up or the end of the connection.
    pub end_ns: u64,
    /// Bytes read by the server.
    pub bytes_in: u64,
    /// Bytes handed to the kernel by the server.
    pub bytes_out: u64,
    /// From pick-up to last send: the serving task ran.
    pub on_cpu_ns: u64,
    /// … it was woken and waited for a CPU.
    pub woken_wait_ns: u64,
    /// … it was preempted and waited for a CPU.
    pub preempted_ns: u64,
    /// When the task that picked it up had last read or sent on any connection before.
    pub worker_free_ns: u64,
    /// When that task was last woken before the pick-up; 0: never seen.
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
    /// How often another task than before worked on it.
    pub handovers: u32,
    /// Reads that returned bytes.
    pub recvs: u32,
    /// Sends that took bytes.
    pub sends: u32,
    /// Voluntary context switches of the serving tasks.
    pub voluntary: u32,
    /// Involuntary ones.
    pub involuntary: u32,
    /// Page faults of the serving tasks without input or output (the kernel's `min_flt`).
    pub faults_minor: u32,
    /// Page faults of the serving tasks that had to wait for a device (`maj_flt`).
    pub faults_major: u32,
    /// From pick-up to last send: the serving task was blocked, by [`BlockedIn`].
    pub blocked_ns: [u64; BlockedIn::COUNT],
    /// … the connection was between two tasks.
    pub handover_ns: u64,
    /// … nothing could go on before further bytes of the request came: blocked in poll, or
    /// between two tasks, until they were read.
    pub client_sends_ns: u64,
    /// … nothing could go on before the client had read: blocked in poll, or between two tasks,
    /// with the socket's send buffer full.
    pub client_reads_ns: u64,
}

impl RequestRecord {
    /// Size of a record without its tail, from `blocked_ns` on: all of the tail is zero for a
    /// request whose task never blocked and never changed, and it is left out then.
    pub const SHORT: usize = core::mem::offset_of!(RequestRecord, blocked_ns);

    /// Whether the tail is zero.
    #[inline(always)]
    #[must_use]
    pub const fn is_short(&self) -> bool {
        self.voluntary | self.handovers == 0
    }
}

/// What a task was blocked in: its state and the system call. Which call is which is up to the
/// loader (`Settings::syscalls`).
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum BlockedIn {
    /// None of the others, such as a file lock or `wait`.
    Other = 0,
    /// futex: a mutex or condition variable of user space.
    Futex = 1,
    /// poll, select or epoll.
    Poll = 2,
    /// A call that writes, with the task interruptible: a socket or pipe that takes no more.
    Send = 3,
    /// A call that reads or accepts, likewise: a socket or pipe that has nothing.
    Receive = 4,
    /// Any other call, waiting for a device: a file's contents.
    File = 5,
    /// A page fault that waits for a device, in user mode or in a call that writes.
    Fault = 6,
    /// A call that sleeps for a time.
    Sleep = 7,
    /// Stopped by a signal or a tracer.
    Stopped = 8,
    /// Uninterruptible, but not for a device: a lock in the kernel, such as that of the address
    /// space.
    KernelLock = 9,
}

impl BlockedIn {
    /// How many there are.
    pub const COUNT: usize = 10;
    /// All, by their number.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Other,
        Self::Futex,
        Self::Poll,
        Self::Send,
        Self::Receive,
        Self::File,
        Self::Fault,
        Self::Sleep,
        Self::Stopped,
        Self::KernelLock,
    ];
}

/// Where a task's time went, and its context switches, cumulative.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SchedTotals {
    /// Time on a CPU.
    pub on_cpu_ns: u64,
    /// Time woken and waiting for a CPU.
    pub woken_wait_ns: u64,
    /// Time preempted and waiting for a CPU.
    pub preempted_ns: u64,
    /// Time blocked, by [`BlockedIn`].
    pub blocked_ns: [u64; BlockedIn::COUNT],
    /// Switches away from a CPU because the task blocked.
    pub voluntary: u64,
    /// Switches away while it could have run on.
    pub involuntary: u64,
}

impl SchedTotals {
    /// Takes the values of `other`.
    #[inline(always)]
    pub fn copy_from(&mut self, other: &Self) {
        self.copy_times_from(other);
        words::copy(&mut self.blocked_ns, &other.blocked_ns);
    }

    /// Takes the values of `other`, but those of `blocked_ns`.
    #[inline(always)]
    pub fn copy_times_from(&mut self, other: &Self) {
        self.on_cpu_ns = other.on_cpu_ns;
        self.woken_wait_ns = other.woken_wait_ns;
        self.preempted_ns = other.preempted_ns;
        self.voluntary = other.voluntary;
        self.involuntary = other.involuntary;
    }
}

/// Cumulative figures of one task.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TaskTotals {
    /// Time and switches.
    pub sched: SchedTotals,
    /// Page faults in user mode.
    pub faults_user: u64,
    /// Page faults in kernel mode.
    pub faults_kernel: u64,
    /// Of both: a page of a file was mapped.
    pub faults_file: u64,
    /// Of both: an anonymous page was mapped.
    pub faults_anon: u64,
    /// Of both: a page of shared memory was mapped.
    pub faults_shmem: u64,
    /// Of both: a write to a present, write-protected page (copy on write).
    pub faults_cow: u64,
    /// Connections it accepted.
    pub accepts: u64,
    /// `accept4` calls that found the queue empty (`EAGAIN`).
    pub accepts_again: u64,
    /// `accept4` calls that a signal ended.
    pub accepts_interrupted: u64,
    /// `accept4` calls that failed otherwise.
    pub accepts_failed: u64,
    /// Requests it picked up.
    pub requests: u64,
}

/// Bits of [`TaskRecord::flags`].
pub struct TaskFlags;

impl TaskFlags {
    /// The server's first task.
    pub const FIRST: u32 = 1;
    /// A thread: it shares its thread group with the task that made it.
    pub const THREAD: u32 = 1 << 1;
    /// The kernel's counters at the start of the watch were not zero; they are taken at the
    /// first switch (internal to the programs).
    pub const BASE_WANTED: u32 = 1 << 2;
    /// The task was still alive when the record was made.
    pub const ALIVE: u32 = 1 << 3;
    /// Its process runs another program than the server's: one that a piped log or a CGI script is
    /// for, or one that such a program made.
    pub const OTHER_PROGRAM: u32 = 1 << 4;

    /// The flags of a task that one with the flags `maker` makes.
    #[inline(always)]
    #[must_use]
    pub const fn of_new(maker: u32, is_thread: bool) -> u32 {
        let inherited = maker & Self::OTHER_PROGRAM;
        if is_thread {
            inherited | Self::THREAD
        } else {
            inherited
        }
    }

    /// The flags of a task with the flags `before` that has executed a program. The first one
    /// becomes the server by that.
    #[inline(always)]
    #[must_use]
    pub const fn after_exec(before: u32) -> u32 {
        if before & Self::FIRST != 0 {
            before
        } else {
            before | Self::OTHER_PROGRAM
        }
    }
}

/// One task of the server, at its end.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TaskRecord {
    /// [`RecordKind::Task`].
    pub kind: u32,
    /// [`TaskFlags`].
    pub flags: u32,
    /// Thread id.
    pub pid: u32,
    /// Process id.
    pub tgid: u32,
    /// Process id of the task that made it.
    pub parent_tgid: u32,
    /// As `wait` gives it: signal in the low seven bits, exit status in the next byte.
    pub exit_code: u32,
    /// Errno (positive) of the last `accept4` counted in `accepts_failed`, or 0.
    pub accept_errno: u32,
    /// Zero.
    pub reserved: u32,
    /// When it was made.
    pub created_ns: u64,
    /// When it ended.
    pub exited_ns: u64,
    /// What the probes counted.
    pub totals: TaskTotals,
    /// The kernel's own count of voluntary switches over the same time.
    pub kernel_voluntary: u64,
    /// … of involuntary switches.
    pub kernel_involuntary: u64,
    /// … of minor faults.
    pub kernel_faults_minor: u64,
    /// … of major faults.
    pub kernel_faults_major: u64,
}
