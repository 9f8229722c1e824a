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
    /// … that wait for a client to close what the server has closed. Older recordings count these
    /// to `other`.
    #[serde(default)]
    pub closing: u32,
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
            + self.closing
            + self.other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recording_from_before_a_state_is_read_without_it() {
        let row = SlotRow {
            sending: 2,
            other: 3,
            ..SlotRow::default()
        };
        let mut before = serde_json::to_value(&row).unwrap();
        before.as_object_mut().unwrap().remove("closing");
        assert_eq!(serde_json::from_value::<SlotRow>(before).unwrap(), row);
        assert_eq!(row.busy(), 5);
    }
}
