//! The events of a trace, which exist only while one is asked for.

use crate::counter::Counter;

/// What happened.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TraceKind {
    /// A task of the server got a CPU.
    SwitchIn = 1,
    /// It blocked; `value` is a [`BlockedIn`](crate::BlockedIn).
    Block = 2,
    /// It was preempted, or gave its CPU away while it could have run on.
    Preempt = 3,
    /// It was woken by `other`, or by what `value` names, a [`WakeContext`].
    Wake = 4,
    /// It was made by `other`.
    NewTask = 5,
    /// It ended.
    Exit = 6,
    /// A connection was established; no task.
    Established = 7,
    /// It was put into the accept queue; no task.
    Queued = 8,
    /// The task accepted it.
    Accepted = 9,
    /// Bytes arrived on it; no task.
    Arrived = 10,
    /// The task read `value` bytes.
    Read = 11,
    /// The task sent `value` bytes.
    Sent = 12,
    /// The connection ended.
    Ended = 13,
}

impl TraceKind {
    /// All kinds.
    pub const ALL: [Self; 13] = [
        Self::SwitchIn,
        Self::Block,
        Self::Preempt,
        Self::Wake,
        Self::NewTask,
        Self::Exit,
        Self::Established,
        Self::Queued,
        Self::Accepted,
        Self::Arrived,
        Self::Read,
        Self::Sent,
        Self::Ended,
    ];

    /// The program that such an event comes from.
    #[must_use]
    pub const fn source(self) -> TraceSource {
        match self {
            Self::SwitchIn | Self::Block | Self::Preempt => TraceSource::Switch,
            Self::Wake => TraceSource::Waking,
            Self::NewTask => TraceSource::NewTask,
            Self::Exit => TraceSource::Exit,
            Self::Established | Self::Ended => TraceSource::SetState,
            Self::Queued | Self::Arrived => TraceSource::DataReady,
            Self::Accepted => TraceSource::Accept,
            Self::Read => TraceSource::Read,
            Self::Sent => TraceSource::Send,
        }
    }

    /// The kind whose number is `word`, if there is one.
    #[must_use]
    pub fn from_word(word: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u32 == word)
    }
}

/// In what a wake-up was made.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WakeContext {
    /// By the task that ran.
    Task = 0,
    /// By the kernel's network, which had interrupted the task that ran or works for it.
    Network = 1,
    /// By a timer.
    Timer = 2,
    /// In another interrupt.
    Interrupt = 3,
}

impl WakeContext {
    /// The context whose number is `value`, if there is one.
    #[must_use]
    pub const fn from_value(value: i32) -> Option<Self> {
        match value {
            0 => Some(Self::Task),
            1 => Some(Self::Network),
            2 => Some(Self::Timer),
            3 => Some(Self::Interrupt),
            _ => None,
        }
    }
}

/// One event.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TraceEvent {
    /// [`RecordKind::Trace`](crate::RecordKind::Trace).
    pub kind: u32,
    /// A [`TraceKind`].
    pub event: u32,
    /// When, ns.
    pub time_ns: u64,
    /// The socket's address: names a connection as long as it lasts. 0: none.
    pub conn: u64,
    /// The task it happened to, or that did it; 0: none.
    pub pid: u32,
    /// The waker, or the maker; 0: none.
    pub other: u32,
    /// Depends on the kind.
    pub value: i32,
    /// The client's port, host byte order; 0: no connection.
    pub remote_port: u16,
    /// The CPU.
    pub cpu: u16,
}

/// The program that an event comes from. Each counts on its own what it sent and what was lost.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TraceSource {
    /// Switches.
    Switch = 0,
    /// Wake-ups.
    Waking = 1,
    /// New tasks.
    NewTask = 2,
    /// Ends of tasks.
    Exit = 3,
    /// Connections' begins and ends.
    SetState = 4,
    /// Arrivals.
    DataReady = 5,
    /// Accepts.
    Accept = 6,
    /// Reads.
    Read = 7,
    /// Sends.
    Send = 8,
}

impl TraceSource {
    /// All sources.
    pub const ALL: [Self; 9] = [
        Self::Switch,
        Self::Waking,
        Self::NewTask,
        Self::Exit,
        Self::SetState,
        Self::DataReady,
        Self::Accept,
        Self::Read,
        Self::Send,
    ];
    /// Counters so far, those of the trace included.
    pub const COUNTERS: u32 = Counter::COUNT + 2 * Self::ALL.len() as u32;

    /// The program's name.
    #[must_use]
    pub const fn program(self) -> &'static str {
        match self {
            Self::Switch => "sched_switch",
            Self::Waking => "sched_waking",
            Self::NewTask => "task_newtask",
            Self::Exit => "sched_process_exit",
            Self::SetState => "inet_sock_set_state",
            Self::DataReady => "sk_data_ready",
            Self::Accept => "sys_exit",
            Self::Read => "sock_recv_length",
            Self::Send => "sock_send_length",
        }
    }

    /// Index of its counter of events sent.
    #[must_use]
    pub const fn sent(self) -> u32 {
        Counter::COUNT + 2 * self as u32
    }

    /// Index of its counter of events lost.
    #[must_use]
    pub const fn lost(self) -> u32 {
        self.sent() + 1
    }
}
