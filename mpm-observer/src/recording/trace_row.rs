//! The rows of a trace.

use mpm_observer_common::{BlockedIn, RecordKind, TraceEvent, TraceKind, WakeContext};
use serde::{Deserialize, Serialize};

use super::TableRow;

/// One event of a trace: [`TraceEvent`] with names in place of numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceRow {
    /// When.
    pub t_ns: u64,
    /// What happened: a `TraceKind` in snake case.
    pub event: String,
    /// Thread id of the task that it happened to, or that did it; 0: none.
    pub tid: u32,
    /// Thread id of the waker or the maker; 0: none.
    pub other_tid: u32,
    /// Of a `block`: what it was blocked in, as in the columns `blocked_…_ns`. Else empty.
    pub blocked_in: String,
    /// Of a `wake`: `task`, `network`, `timer` or `interrupt`. Else empty.
    pub wake_context: String,
    /// Of a `read` or `sent`: bytes, or the negative error number.
    pub bytes: i32,
    /// Names a connection as long as it lasts; 0: none.
    pub conn: u64,
    /// The client's port; 0: none.
    pub remote_port: u16,
    /// The CPU.
    pub cpu: u16,
}

impl TableRow for TraceRow {
    const TABLE: &'static str = "trace";
}

const fn kind_name(kind: TraceKind) -> &'static str {
    match kind {
        TraceKind::SwitchIn => "switch_in",
        TraceKind::Block => "block",
        TraceKind::Preempt => "preempt",
        TraceKind::Wake => "wake",
        TraceKind::NewTask => "new_task",
        TraceKind::Exit => "exit",
        TraceKind::Established => "established",
        TraceKind::Queued => "queued",
        TraceKind::Accepted => "accepted",
        TraceKind::Arrived => "arrived",
        TraceKind::Read => "read",
        TraceKind::Sent => "sent",
        TraceKind::Ended => "ended",
    }
}

const fn blocked_name(blocked: BlockedIn) -> &'static str {
    match blocked {
        BlockedIn::Other => "other",
        BlockedIn::Futex => "futex",
        BlockedIn::Poll => "poll",
        BlockedIn::Send => "send",
        BlockedIn::Receive => "receive",
        BlockedIn::File => "file",
        BlockedIn::Fault => "fault",
        BlockedIn::Sleep => "sleep",
        BlockedIn::Stopped => "stopped",
        BlockedIn::KernelLock => "kernel_lock",
    }
}

const CONTEXTS: [(WakeContext, &str); 4] = [
    (WakeContext::Task, "task"),
    (WakeContext::Network, "network"),
    (WakeContext::Timer, "timer"),
    (WakeContext::Interrupt, "interrupt"),
];

impl TraceRow {
    /// The row of an event; `None` for a kind that this version does not know.
    #[must_use]
    pub fn new(event: &TraceEvent) -> Option<Self> {
        let kind = TraceKind::from_word(event.event)?;
        let mut row = Self {
            t_ns: event.time_ns,
            event: kind_name(kind).into(),
            tid: event.pid,
            other_tid: event.other,
            conn: event.conn,
            remote_port: event.remote_port,
            cpu: event.cpu,
            ..Self::default()
        };
        match kind {
            TraceKind::Block => {
                let blocked = BlockedIn::ALL
                    .into_iter()
                    .find(|blocked| *blocked as i32 == event.value)?;
                row.blocked_in = blocked_name(blocked).into();
            }
            TraceKind::Wake => {
                let context = WakeContext::from_value(event.value)?;
                let (_, name) = CONTEXTS.iter().find(|(known, _)| *known == context)?;
                row.wake_context = (*name).into();
            }
            _ => row.bytes = event.value,
        }
        Some(row)
    }

    /// The event of a row; `None` if it has names that this version does not know.
    #[must_use]
    pub fn event(&self) -> Option<TraceEvent> {
        let kind = TraceKind::ALL
            .into_iter()
            .find(|kind| kind_name(*kind) == self.event)?;
        let value = match kind {
            TraceKind::Block => {
                let blocked = BlockedIn::ALL
                    .into_iter()
                    .find(|blocked| blocked_name(*blocked) == self.blocked_in)?;
                blocked as i32
            }
            TraceKind::Wake => {
                let (context, _) = CONTEXTS
                    .iter()
                    .find(|(_, name)| *name == self.wake_context)?;
                *context as i32
            }
            _ => self.bytes,
        };
        Some(TraceEvent {
            kind: RecordKind::Trace as u32,
            event: kind as u32,
            time_ns: self.t_ns,
            conn: self.conn,
            pid: self.tid,
            other: self.other_tid,
            value,
            remote_port: self.remote_port,
            cpu: self.cpu,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::{TableWriter, read_table};

    fn event(kind: TraceKind, value: i32) -> TraceEvent {
        TraceEvent {
            kind: RecordKind::Trace as u32,
            event: kind as u32,
            time_ns: u64::MAX,
            conn: 0xffff_8880_0000_1000,
            pid: 4711,
            other: 12,
            value,
            remote_port: 40_000,
            cpu: 3,
        }
    }

    #[test]
    fn every_event_survives_the_recording() {
        let mut events: Vec<TraceEvent> = BlockedIn::ALL
            .into_iter()
            .map(|blocked| event(TraceKind::Block, blocked as i32))
            .collect();
        for (context, _) in CONTEXTS {
            events.push(event(TraceKind::Wake, context as i32));
        }
        for kind in TraceKind::ALL {
            if !matches!(kind, TraceKind::Block | TraceKind::Wake) {
                events.push(event(kind, -11));
            }
        }
        let dir = tempfile::tempdir().unwrap();
        let mut writer = TableWriter::create(dir.path()).unwrap();
        for event in &events {
            writer.push(TraceRow::new(event).unwrap()).unwrap();
        }
        writer.finish().unwrap();
        let table = read_table::<TraceRow>(dir.path()).unwrap();
        let read: Vec<TraceEvent> = table.rows.iter().filter_map(TraceRow::event).collect();
        assert_eq!(read, events);
    }

    #[test]
    fn what_is_not_known_is_no_row_and_no_event() {
        assert_eq!(TraceRow::new(&event(TraceKind::Block, 99)), None);
        assert_eq!(TraceRow::new(&event(TraceKind::Wake, 99)), None);
        let mut foreign = event(TraceKind::Read, 1);
        foreign.event = 99;
        assert_eq!(TraceRow::new(&foreign), None);
        let row = TraceRow {
            event: "of a later version".into(),
            ..TraceRow::default()
        };
        assert_eq!(row.event(), None);
    }
}
