//! Packets in the order in which they are written: tracks before their events, names once.

use std::collections::HashMap;

use super::proto::{
    CLOCK_MONOTONIC, Clock, ClockSnapshot, CounterDescriptor, DebugAnnotation, EventName,
    InternedData, ProcessDescriptor, SEQ_INCREMENTAL_STATE_CLEARED, SEQ_NEEDS_INCREMENTAL_STATE,
    TYPE_COUNTER, TYPE_INSTANT, TYPE_SLICE_BEGIN, TYPE_SLICE_END, ThreadDescriptor, Trace,
    TracePacket, TracePacketDefaults, TrackDescriptor, TrackEvent, UNIT_COUNT,
};

/// All packets are of one sequence.
const SEQUENCE: u32 = 1;

/// An event on a track.
#[derive(Clone, Debug)]
pub(super) struct Event {
    pub(super) at_ns: u64,
    name: Option<String>,
    event: TrackEvent,
}

impl Event {
    fn new(at_ns: u64, kind: u32, name: Option<&str>) -> Self {
        Self {
            at_ns,
            name: name.map(str::to_owned),
            event: TrackEvent {
                r#type: Some(kind),
                ..TrackEvent::default()
            },
        }
    }

    /// A slice begins.
    pub(super) fn begin(at_ns: u64, name: &str) -> Self {
        Self::new(at_ns, TYPE_SLICE_BEGIN, Some(name))
    }

    /// The slice of its track that began last ends.
    pub(super) fn end(at_ns: u64) -> Self {
        Self::new(at_ns, TYPE_SLICE_END, None)
    }

    /// A moment.
    pub(super) fn instant(at_ns: u64, name: &str) -> Self {
        Self::new(at_ns, TYPE_INSTANT, Some(name))
    }

    /// A counter's value from now on.
    pub(super) fn counter(at_ns: u64, value: u64) -> Self {
        let mut event = Self::new(at_ns, TYPE_COUNTER, None);
        event.event.counter_value = Some(i64::try_from(value).unwrap_or(i64::MAX));
        event
    }

    /// Adds a text.
    pub(super) fn with(mut self, name: &str, value: String) -> Self {
        self.event.debug_annotations.push(DebugAnnotation {
            name: Some(name.to_owned()),
            string_value: Some(value),
            ..DebugAnnotation::default()
        });
        self
    }

    /// Adds a number.
    pub(super) fn with_number(mut self, name: &str, value: u64) -> Self {
        self.event.debug_annotations.push(DebugAnnotation {
            name: Some(name.to_owned()),
            uint_value: Some(value),
            ..DebugAnnotation::default()
        });
        self
    }

    /// Puts it on the way of a flow.
    pub(super) fn in_flow(mut self, flow: u64) -> Self {
        self.event.flow_ids.push(flow);
        self
    }

    /// Puts it at the end of a flow.
    pub(super) fn ending_flow(mut self, flow: u64) -> Self {
        self.event.terminating_flow_ids.push(flow);
        self
    }
}

pub(super) struct Writer {
    trace: Trace,
    names: HashMap<String, u64>,
    tracks: u64,
}

impl Writer {
    /// A trace of `CLOCK_MONOTONIC`, which began at `from_ns`.
    pub(super) fn new(from_ns: u64) -> Self {
        let snapshot = TracePacket {
            clock_snapshot: Some(ClockSnapshot {
                clocks: vec![Clock {
                    clock_id: Some(CLOCK_MONOTONIC),
                    timestamp: Some(from_ns),
                }],
                primary_trace_clock: Some(CLOCK_MONOTONIC),
            }),
            trusted_packet_sequence_id: Some(SEQUENCE),
            ..TracePacket::default()
        };
        let defaults = TracePacket {
            trusted_packet_sequence_id: Some(SEQUENCE),
            sequence_flags: Some(SEQ_INCREMENTAL_STATE_CLEARED),
            trace_packet_defaults: Some(TracePacketDefaults {
                timestamp_clock_id: Some(CLOCK_MONOTONIC),
            }),
            ..TracePacket::default()
        };
        Self {
            trace: Trace {
                packet: vec![snapshot, defaults],
            },
            names: HashMap::new(),
            tracks: 0,
        }
    }

    fn describe(&mut self, track: TrackDescriptor) -> u64 {
        self.tracks += 1;
        self.trace.packet.push(TracePacket {
            trusted_packet_sequence_id: Some(SEQUENCE),
            track_descriptor: Some(TrackDescriptor {
                uuid: Some(self.tracks),
                ..track
            }),
            ..TracePacket::default()
        });
        self.tracks
    }

    /// A track of its own.
    pub(super) fn track(&mut self, name: &str) -> u64 {
        self.describe(TrackDescriptor {
            name: Some(name.to_owned()),
            ..TrackDescriptor::default()
        })
    }

    /// A track below another one.
    pub(super) fn child_track(&mut self, parent: u64, name: &str) -> u64 {
        self.describe(TrackDescriptor {
            name: Some(name.to_owned()),
            parent_uuid: Some(parent),
            ..TrackDescriptor::default()
        })
    }

    /// The track of a number.
    pub(super) fn counter_track(&mut self, name: &str) -> u64 {
        self.describe(TrackDescriptor {
            name: Some(name.to_owned()),
            counter: Some(CounterDescriptor {
                unit: Some(UNIT_COUNT),
                ..CounterDescriptor::default()
            }),
            ..TrackDescriptor::default()
        })
    }

    /// The track of a process.
    pub(super) fn process(&mut self, pid: u32, name: &str) -> u64 {
        self.describe(TrackDescriptor {
            process: Some(ProcessDescriptor {
                pid: Some(pid.cast_signed()),
                process_name: Some(name.to_owned()),
            }),
            ..TrackDescriptor::default()
        })
    }

    /// The track of a thread, given by process id and thread id.
    pub(super) fn thread(&mut self, process: u64, (pid, tid): (u32, u32), name: &str) -> u64 {
        self.describe(TrackDescriptor {
            parent_uuid: Some(process),
            thread: Some(ThreadDescriptor {
                pid: Some(pid.cast_signed()),
                tid: Some(tid.cast_signed()),
                thread_name: Some(name.to_owned()),
            }),
            ..TrackDescriptor::default()
        })
    }

    /// Writes events of a track, which are in order.
    pub(super) fn events(&mut self, track: u64, events: Vec<Event>) {
        for Event {
            at_ns,
            name,
            mut event,
        } in events
        {
            event.track_uuid = Some(track);
            let mut interned_data = None;
            if let Some(name) = name {
                let next = self.names.len() as u64 + 1;
                let iid = *self.names.entry(name.clone()).or_insert(next);
                event.name_iid = Some(iid);
                interned_data = (iid == next).then(|| InternedData {
                    event_names: vec![EventName {
                        iid: Some(iid),
                        name: Some(name),
                    }],
                });
            }
            self.trace.packet.push(TracePacket {
                timestamp: Some(at_ns),
                trusted_packet_sequence_id: Some(SEQUENCE),
                sequence_flags: Some(SEQ_NEEDS_INCREMENTAL_STATE),
                track_event: Some(event),
                interned_data,
                ..TracePacket::default()
            });
        }
    }

    pub(super) fn finish(self) -> Trace {
        self.trace
    }
}
