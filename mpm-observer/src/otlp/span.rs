//! A request as spans.
//!
//! The whole request is a server span, from the arrival of its first bytes to the last send. What
//! has a begin and an end of its own is a child: the wait in the accept queue, the wait for a slot,
//! serving. The phases are sums of many small intervals, so they are attributes, in nanoseconds;
//! with the residual they sum to the server span's length.

use std::net::{IpAddr, Ipv6Addr};

use mpm_observer_common::{Address, RequestRecord};
use opentelemetry::{
    InstrumentationScope, KeyValue, SpanId, TraceFlags, TraceId, Value,
    trace::{Event, SpanContext, SpanKind, Status, TraceState},
};
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator, SpanData, SpanEvents, SpanLinks};

use super::{Why, clock::WallClock};
use crate::{
    correlate::{Phases, SERVER_PHASES, server_phases},
    recording::KernelRow,
};

/// Sampled, and with an id that is random.
const FLAGS: TraceFlags = TraceFlags::new(0x03);

/// What the record of a request does not say.
#[derive(Clone, Debug)]
pub(super) struct Around<'a> {
    /// The MPM's name.
    pub(super) mpm: &'static str,
    /// The process of the task that read the request, if it is known.
    pub(super) process: Option<u32>,
    /// Whether the client's address may be told.
    pub(super) client: bool,
    /// By what the request was sampled.
    pub(super) why: Why,
    /// The threshold of the sampling, for [`Why::Share`].
    pub(super) trace_state: Option<&'a str>,
    pub(super) clock: WallClock,
    pub(super) scope: &'a InstrumentationScope,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Answered,
    Unanswered,
    Unread,
}

impl Outcome {
    pub(super) const fn of(request: &RequestRecord) -> Self {
        if request.pickup_ns == 0 {
            Self::Unread
        } else if request.last_send_ns == 0 {
            Self::Unanswered
        } else {
            Self::Answered
        }
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Unanswered => "unanswered",
            Self::Unread => "unread",
        }
    }
}

/// When a request was over: with its last send, or with its connection.
pub(super) const fn end_ns(request: &RequestRecord) -> u64 {
    match Outcome::of(request) {
        Outcome::Answered => request.last_send_ns,
        Outcome::Unanswered | Outcome::Unread => request.end_ns,
    }
}

/// The spans of a request, the server span first.
pub(super) fn spans_of(
    request: &RequestRecord,
    trace: TraceId,
    around: &Around<'_>,
) -> Vec<SpanData> {
    let phases = server_phases(&KernelRow::without_addresses(request));
    let outcome = Outcome::of(request);
    let root = SpanMaker {
        trace,
        around,
        parent: SpanId::INVALID,
    };
    let mut server = root.make(
        "request",
        SpanKind::Server,
        (request.arrival_ns, end_ns(request)),
        attributes(request, &phases, outcome, around),
    );
    if outcome == Outcome::Answered {
        let first = Event::new(
            "first_send",
            around.clock.time_of(request.first_send_ns),
            vec![KeyValue::new("mpm.sends", i64::from(request.sends))],
            0,
        );
        server.events.events.push(first);
    }
    let child = SpanMaker {
        parent: server.span_context.span_id(),
        ..root
    };
    let mut spans = vec![server];
    for (name, interval) in intervals(request, outcome) {
        spans.push(child.make(name, SpanKind::Internal, interval, Vec::new()));
    }
    spans
}

/// The parts that have a begin and an end, one after another without a gap; parts without length
/// are left out.
fn intervals(
    request: &RequestRecord,
    outcome: Outcome,
) -> impl Iterator<Item = (&'static str, (u64, u64))> {
    let end_ns = end_ns(request);
    let read_ns = match outcome {
        Outcome::Unread => end_ns,
        Outcome::Answered | Outcome::Unanswered => request.pickup_ns.max(request.arrival_ns),
    };
    // A kept connection is accepted already; a new one may be before its bytes arrive. One that
    // nobody accepted waits in the queue to its end.
    let accepted_ns = match (request.ordinal, request.accepted_ns) {
        (0, 0) if outcome == Outcome::Unread => read_ns,
        (0, accepted_ns) if accepted_ns != 0 => accepted_ns.clamp(request.arrival_ns, read_ns),
        _ => request.arrival_ns,
    };
    let parts = [
        ("accept queue", (request.arrival_ns, accepted_ns)),
        ("slot wait", (accepted_ns, read_ns)),
        ("serving", (read_ns, end_ns)),
    ];
    parts.into_iter().filter(|(_, (from, to))| to > from)
}

fn attributes(
    request: &RequestRecord,
    phases: &Phases,
    outcome: Outcome,
    around: &Around<'_>,
) -> Vec<KeyValue> {
    let local = address(request.local_addr);
    let count = |key: &'static str, value: u32| KeyValue::new(key, i64::from(value));
    let mut attributes = vec![
        KeyValue::new("server.port", i64::from(request.local_port)),
        KeyValue::new("network.transport", "tcp"),
        KeyValue::new(
            "network.type",
            if local.is_ipv4() { "ipv4" } else { "ipv6" },
        ),
        KeyValue::new("network.local.address", local.to_string()),
        KeyValue::new("network.local.port", i64::from(request.local_port)),
        KeyValue::new("http.request.size", whole(request.bytes_in)),
        KeyValue::new("http.response.size", whole(request.bytes_out)),
        KeyValue::new("mpm.name", around.mpm),
        KeyValue::new("mpm.outcome", outcome.name()),
        KeyValue::new("mpm.sampled_by", around.why.name()),
        count("mpm.request.ordinal", request.ordinal),
    ];
    if around.client {
        let client = address(request.remote_addr).to_string();
        attributes.push(KeyValue::new("client.address", client.clone()));
        attributes.push(count("client.port", request.remote_port.into()));
        attributes.push(KeyValue::new("network.peer.address", client));
        attributes.push(count("network.peer.port", request.remote_port.into()));
    }
    if outcome != Outcome::Unread {
        attributes.push(count("thread.id", request.first_task));
        attributes.extend(around.process.map(|pid| count("process.pid", pid)));
        attributes.extend([
            count("mpm.switches.voluntary", request.voluntary),
            count("mpm.switches.involuntary", request.involuntary),
            count("mpm.faults.minor", request.faults_minor),
            count("mpm.faults.major", request.faults_major),
            count("mpm.handovers", request.handovers),
        ]);
    }
    if outcome == Outcome::Answered {
        for (phase, name) in SERVER_PHASES {
            let length_ns = phases.get(phase);
            if length_ns > 0 {
                let key = format!("mpm.phase.{name}_ns");
                attributes.push(KeyValue::new(key, whole(length_ns)));
            }
        }
        let residual_ns = phases.residual_ns();
        if residual_ns != 0 {
            attributes.push(KeyValue::new("mpm.phase.residual_ns", residual_ns));
        }
    }
    attributes
}

fn whole(value: u64) -> Value {
    Value::I64(i64::try_from(value).unwrap_or(i64::MAX))
}

fn address(address: Address) -> IpAddr {
    IpAddr::V6(Ipv6Addr::from(address)).to_canonical()
}

#[derive(Clone, Copy)]
struct SpanMaker<'a> {
    trace: TraceId,
    around: &'a Around<'a>,
    parent: SpanId,
}

impl SpanMaker<'_> {
    fn make(
        &self,
        name: &'static str,
        span_kind: SpanKind,
        (from_ns, to_ns): (u64, u64),
        attributes: Vec<KeyValue>,
    ) -> SpanData {
        let around = self.around;
        let state = around.trace_state.filter(|_| around.why == Why::Share);
        let state = state.and_then(|state| TraceState::from_key_value([("ot", state)]).ok());
        let span = RandomIdGenerator::default().new_span_id();
        let context = SpanContext::new(self.trace, span, FLAGS, false, state.unwrap_or_default());
        SpanData {
            span_context: context,
            parent_span_id: self.parent,
            parent_span_is_remote: false,
            span_kind,
            name: name.into(),
            start_time: around.clock.time_of(from_ns),
            end_time: around.clock.time_of(to_ns),
            attributes,
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            // The kernel does not know how HTTP answered.
            status: Status::Unset,
            instrumentation_scope: around.scope.clone(),
        }
    }
}

#[cfg(test)]
#[path = "span_tests.rs"]
mod tests;
