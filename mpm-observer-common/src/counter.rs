//! What the programs count: records made and lost, and what could not be followed.

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
    /// Connections that stood before the watch began.
    ConnsStood = 9,
    /// … not followed because the table was full.
    ConnsStoodUnfollowed = 10,
}

impl Counter {
    /// How many there are. Those of the trace and of failures
    /// follow (see [`TraceSource`](crate::TraceSource) and
    /// [`FailureSource`](crate::FailureSource)).
    pub const COUNT: u32 = 11;
}
