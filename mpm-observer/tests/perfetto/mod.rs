//! Reads a Perfetto trace with the published schema alone.

#![allow(dead_code, reason = "each test program uses a part of it")]

use std::{collections::HashMap, path::Path, sync::LazyLock};

use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, ReflectMessage, Value};

static SCHEMA: LazyLock<MessageDescriptor> = LazyLock::new(|| {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/perfetto");
    let files = protox::compile(["perfetto_trace.proto"], [dir]).unwrap();
    DescriptorPool::from_file_descriptor_set(files)
        .unwrap()
        .get_message_by_name("perfetto.protos.Trace")
        .unwrap()
});

/// A track, by its uuid.
#[derive(Debug, Default)]
pub struct Track {
    pub parent: Option<u64>,
    /// Its own name, or that of its process or thread.
    pub name: String,
    /// Of a process or thread.
    pub pid: Option<i64>,
    /// Of a thread.
    pub tid: Option<i64>,
    pub is_counter: bool,
}

/// A slice; an instant is one without length.
#[derive(Debug)]
pub struct Slice {
    pub track: u64,
    pub name: String,
    pub from_ns: u64,
    pub to_ns: u64,
    pub is_instant: bool,
    /// On the way of these flows.
    pub flows: Vec<u64>,
    /// At the end of these.
    pub ended_flows: Vec<u64>,
    pub notes: HashMap<String, String>,
}

#[derive(Debug, Default)]
pub struct Read {
    pub tracks: HashMap<u64, Track>,
    pub slices: Vec<Slice>,
    /// Track, time, value.
    pub counters: Vec<(u64, u64, i64)>,
}

/// A field of a message, if it is set.
fn get(message: &DynamicMessage, field: &str) -> Option<Value> {
    message
        .has_field_by_name(field)
        .then(|| message.get_field_by_name(field).unwrap().into_owned())
}

fn number(message: &DynamicMessage, field: &str) -> Option<i64> {
    Some(match get(message, field)? {
        Value::U64(value) => value.try_into().unwrap(),
        Value::I64(value) => value,
        Value::U32(value) => value.into(),
        Value::I32(value) | Value::EnumNumber(value) => value.into(),
        other => panic!("{field} is {other:?}"),
    })
}

fn text(message: &DynamicMessage, field: &str) -> Option<String> {
    Some(get(message, field)?.as_str()?.to_owned())
}

fn inner(message: &DynamicMessage, field: &str) -> Option<DynamicMessage> {
    Some(get(message, field)?.as_message()?.clone())
}

fn list(message: &DynamicMessage, field: &str) -> Vec<Value> {
    get(message, field).map_or_else(Vec::new, |value| value.as_list().unwrap().to_vec())
}

/// Every field of the message and of those in it is one of the schema.
fn all_known(message: &DynamicMessage) {
    let unknown: Vec<_> = message.unknown_fields().collect();
    let name = message.descriptor().full_name().to_owned();
    assert!(unknown.is_empty(), "{name} does not have {unknown:?}");
    for (_, value) in message.fields() {
        match value {
            Value::Message(inner) => all_known(inner),
            Value::List(values) => values
                .iter()
                .filter_map(Value::as_message)
                .for_each(all_known),
            _ => {}
        }
    }
}

/// The builtin clock `CLOCK_MONOTONIC` of the schema.
fn monotonic(schema: &MessageDescriptor) -> i64 {
    let clocks = schema
        .parent_pool()
        .get_enum_by_name("perfetto.protos.BuiltinClock");
    let clock = clocks.unwrap().get_value_by_name("BUILTIN_CLOCK_MONOTONIC");
    clock.unwrap().number().into()
}

/// Reads a trace; panics at whatever a reader would stumble over.
pub fn read(bytes: &[u8]) -> Read {
    let schema = SCHEMA.clone();
    let clock = monotonic(&schema);
    let trace = DynamicMessage::decode(schema, bytes).unwrap();
    all_known(&trace);
    let mut read = Read::default();
    let mut names: HashMap<i64, String> = HashMap::new();
    let mut open: HashMap<u64, Vec<Slice>> = HashMap::new();
    let mut last_of_track: HashMap<u64, u64> = HashMap::new();
    let (mut default_clock, mut primary_clock) = (None, None);
    for packet in list(&trace, "packet") {
        let packet = packet.as_message().unwrap();
        assert!(number(packet, "trusted_packet_sequence_id").unwrap() > 0);
        if let Some(snapshot) = inner(packet, "clock_snapshot") {
            primary_clock = number(&snapshot, "primary_trace_clock");
            let clocks = list(&snapshot, "clocks");
            let first = clocks[0].as_message().unwrap();
            assert_eq!(number(first, "clock_id"), primary_clock);
        }
        if let Some(defaults) = inner(packet, "trace_packet_defaults") {
            // SEQ_INCREMENTAL_STATE_CLEARED: without it names and defaults are not taken.
            assert_eq!(number(packet, "sequence_flags"), Some(1));
            default_clock = number(&defaults, "timestamp_clock_id");
        }
        if let Some(interned) = inner(packet, "interned_data") {
            for name in list(&interned, "event_names") {
                let name = name.as_message().unwrap();
                let iid = number(name, "iid").unwrap();
                assert!(iid > 0);
                let earlier = names.insert(iid, text(name, "name").unwrap());
                assert_eq!(earlier, None, "name {iid} was given twice");
            }
        }
        if let Some(track) = inner(packet, "track_descriptor") {
            read.add_track(&track);
        }
        if let Some(event) = inner(packet, "track_event") {
            // SEQ_NEEDS_INCREMENTAL_STATE
            assert_eq!(number(packet, "sequence_flags"), Some(2));
            assert_eq!((default_clock, primary_clock), (Some(clock), Some(clock)));
            let at_ns = number(packet, "timestamp").unwrap().unsigned_abs();
            let track = number(&event, "track_uuid").unwrap().unsigned_abs();
            assert!(read.tracks.contains_key(&track), "track {track}");
            let before_ns = last_of_track.insert(track, at_ns).unwrap_or(0);
            assert!(before_ns <= at_ns, "track {track} goes back in time");
            read.add_event(&event, (track, at_ns), &names, &mut open);
        }
    }
    assert!(
        open.values().all(Vec::is_empty),
        "slices without an end: {open:?}"
    );
    read
}

impl Read {
    fn add_track(&mut self, descriptor: &DynamicMessage) {
        let uuid = number(descriptor, "uuid").unwrap().unsigned_abs();
        assert_ne!(uuid, 0);
        let process = inner(descriptor, "process");
        let thread = inner(descriptor, "thread");
        let of = thread.as_ref().or(process.as_ref());
        let name = text(descriptor, "name")
            .or_else(|| text(thread.as_ref()?, "thread_name"))
            .or_else(|| text(process.as_ref()?, "process_name"));
        let parent = number(descriptor, "parent_uuid").map(i64::unsigned_abs);
        let track = Track {
            parent,
            name: name.expect("every track has a name"),
            pid: of.and_then(|of| number(of, "pid")),
            tid: thread.as_ref().and_then(|thread| number(thread, "tid")),
            is_counter: descriptor.has_field_by_name("counter"),
        };
        if let Some(parent) = parent {
            assert!(self.tracks.contains_key(&parent), "parent {parent}");
        }
        let earlier = self.tracks.insert(uuid, track);
        assert!(earlier.is_none(), "track {uuid} is there twice");
    }

    fn add_event(
        &mut self,
        event: &DynamicMessage,
        (track, at_ns): (u64, u64),
        names: &HashMap<i64, String>,
        open: &mut HashMap<u64, Vec<Slice>>,
    ) {
        let flows = |field: &str| -> Vec<u64> {
            let flows = list(event, field).into_iter();
            flows.map(|flow| flow.as_u64().unwrap()).collect()
        };
        let slice = || Slice {
            track,
            name: names[&number(event, "name_iid").unwrap()].clone(),
            from_ns: at_ns,
            to_ns: at_ns,
            is_instant: false,
            flows: flows("flow_ids"),
            ended_flows: flows("terminating_flow_ids"),
            notes: notes(event),
        };
        // TrackEvent.Type
        match number(event, "type").unwrap() {
            1 => open.entry(track).or_default().push(slice()),
            2 => {
                let slice = open.get_mut(&track).and_then(Vec::pop);
                let mut slice = slice.expect("an end without a begin");
                slice.to_ns = at_ns;
                self.slices.push(slice);
            }
            3 => self.slices.push(Slice {
                is_instant: true,
                ..slice()
            }),
            4 => {
                assert!(self.tracks[&track].is_counter);
                let value = number(event, "counter_value").unwrap();
                self.counters.push((track, at_ns, value));
            }
            other => panic!("type {other}"),
        }
    }

    /// The track of a thread.
    pub fn thread(&self, tid: u32) -> (u64, &Track) {
        let found = self
            .tracks
            .iter()
            .find(|(_, track)| track.tid == Some(tid.into()));
        let (uuid, track) = found.unwrap_or_else(|| panic!("no track of thread {tid}"));
        (*uuid, track)
    }

    /// The track of this name below another one.
    pub fn below(&self, parent: u64, name: &str) -> u64 {
        let found = self
            .tracks
            .iter()
            .find(|(_, track)| track.parent == Some(parent) && track.name == name);
        *found
            .unwrap_or_else(|| panic!("no {name} below {parent}"))
            .0
    }

    /// The slices of a track, in order.
    pub fn slices_of(&self, track: u64) -> Vec<&Slice> {
        let mut slices: Vec<_> = self.slices.iter().filter(|s| s.track == track).collect();
        slices.sort_by_key(|slice| (slice.from_ns, slice.to_ns));
        slices
    }

    /// The values of the counter of this name.
    pub fn counter(&self, name: &str) -> Vec<(u64, i64)> {
        let of_name = |track: &u64| self.tracks[track].name == name;
        let values = self.counters.iter();
        values
            .filter(|(track, _, _)| of_name(track))
            .map(|(_, at_ns, value)| (*at_ns, *value))
            .collect()
    }

    /// The slices of each flow, in order of time.
    pub fn flows(&self) -> HashMap<u64, Vec<&Slice>> {
        let mut flows: HashMap<u64, Vec<&Slice>> = HashMap::new();
        for slice in &self.slices {
            for flow in slice.flows.iter().chain(&slice.ended_flows) {
                flows.entry(*flow).or_default().push(slice);
            }
        }
        for slices in flows.values_mut() {
            slices.sort_by_key(|slice| slice.from_ns);
        }
        flows
    }
}

fn notes(event: &DynamicMessage) -> HashMap<String, String> {
    list(event, "debug_annotations")
        .iter()
        .map(|note| {
            let note = note.as_message().unwrap();
            let value = text(note, "string_value")
                .or_else(|| number(note, "uint_value").map(|value| value.to_string()));
            (text(note, "name").unwrap(), value.unwrap())
        })
        .collect()
}
