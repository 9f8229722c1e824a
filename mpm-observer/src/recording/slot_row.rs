//! What the slots of a live server did, look by look.

use serde::{Deserialize, Serialize};

use super::TableRow;

/// One look at a live server's slots and connections, about a second after the one before.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotRow {
    /// When.
    pub t_ns: u64,
    /// Slots that serve a request and run.
    pub on_cpu: u32,
    /// … that serve and wait for a CPU.
    pub run_queue: u32,
    /// … that serve and wait for a lock.
    pub lock: u32,
    /// … that serve and wait for a device.
    pub disk: u32,
    /// … that wait for a client to send.
    pub reading_client: u32,
    /// … that wait for a client to read.
    pub sending: u32,
    /// … that hold an idle connection.
    pub keep_alive: u32,
    /// … that serve and are blocked in something else.
    pub other: u32,
    /// … without a connection.
    pub idle: u32,
    /// Connections that stand and are followed.
    pub connections: u32,
    /// … that are idle and hold no slot.
    pub parked: u32,
    /// … whose bytes no task has read yet.
    pub unread: u32,
}

impl TableRow for SlotRow {
    const TABLE: &'static str = "slots";
}

impl SlotRow {
    /// Slots that are not idle.
    #[must_use]
    pub const fn busy(&self) -> u32 {
        self.on_cpu
            + self.run_queue
            + self.lock
            + self.disk
            + self.reading_client
            + self.sending
            + self.keep_alive
            + self.other
    }
}
