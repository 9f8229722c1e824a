//! Spans of made-up requests.

use mpm_observer_common::BlockedIn;

use super::*;

/// Answered, first of its connection: 1 ms in the accept queue, 2 ms until it was read, 5 ms
/// served, 3 of them on a CPU.
fn request() -> RequestRecord {
    let mut blocked_ns = [0; BlockedIn::COUNT];
    blocked_ns[BlockedIn::Futex as usize] = 2_000_000;
    RequestRecord {
        local_addr: Ipv6Addr::from([0, 0, 0, 0, 0, 0xffff, 0x7f00, 1]).octets(),
        remote_addr: Ipv6Addr::LOCALHOST.octets(),
        local_port: 80,
        remote_port: 40_000,
        arrival_ns: 10_000_000,
        accepted_ns: 11_000_000,
        pickup_ns: 13_000_000,
        first_send_ns: 15_000_000,
        last_send_ns: 18_000_000,
        end_ns: 99_000_000,
        worker_free_ns: 5_000_000,
        on_cpu_ns: 3_000_000,
        blocked_ns,
        first_task: 12,
        sends: 2,
        bytes_out: 1000,
        ..RequestRecord::default()
    }
}

fn spans(request: &RequestRecord, client: bool) -> Vec<SpanData> {
    let scope = InstrumentationScope::builder("test").build();
    let around = Around {
        mpm: "event",
        process: Some(10),
        client,
        why: Why::Share,
        trace_state: Some("th:c"),
        clock: WallClock::read(),
        scope: &scope,
    };
    spans_of(request, TraceId::from(7_u128), &around)
}

fn length_ns(span: &SpanData) -> u64 {
    let length = span.end_time.duration_since(span.start_time).unwrap();
    u64::try_from(length.as_nanos()).unwrap()
}

fn attribute(span: &SpanData, key: &str) -> Option<Value> {
    let found = span.attributes.iter().find(|pair| pair.key.as_str() == key);
    found.map(|pair| pair.value.clone())
}

fn parts(spans: &[SpanData]) -> Vec<(&str, u64)> {
    let children = spans.iter().skip(1);
    children
        .map(|span| (&*span.name, length_ns(span)))
        .collect()
}

#[test]
fn the_phases_and_the_children_sum_to_the_server_span() {
    let spans = spans(&request(), false);
    assert_eq!(length_ns(&spans[0]), 8_000_000);
    assert_eq!(
        parts(&spans),
        [
            ("accept queue", 1_000_000),
            ("slot wait", 2_000_000),
            ("serving", 5_000_000)
        ]
    );
    let phases = spans[0].attributes.iter().filter_map(|pair| {
        pair.key.as_str().strip_prefix("mpm.phase.")?;
        match pair.value {
            Value::I64(length_ns) => Some(length_ns),
            _ => None,
        }
    });
    assert_eq!(phases.sum::<i64>(), 8_000_000);
    assert_eq!(
        attribute(&spans[0], "mpm.phase.futex_ns"),
        Some(Value::I64(2_000_000))
    );
    assert_eq!(attribute(&spans[0], "mpm.phase.disk_ns"), None);
}

#[test]
fn children_lie_in_a_row_and_belong_to_the_server_span() {
    let spans = spans(&request(), false);
    let server = &spans[0];
    let mut from = server.start_time;
    for child in &spans[1..] {
        assert_eq!(child.start_time, from);
        assert_eq!(child.parent_span_id, server.span_context.span_id());
        assert_eq!(
            child.span_context.trace_id(),
            server.span_context.trace_id()
        );
        from = child.end_time;
    }
    assert_eq!(from, server.end_time);
    assert_eq!(server.parent_span_id, SpanId::INVALID);
    assert_eq!(server.span_kind, SpanKind::Server);
    assert_eq!(server.span_context.trace_state().get("ot"), Some("th:c"));
    assert_eq!(server.events.len(), 1);
}

#[test]
fn the_clients_address_is_told_only_when_asked_for() {
    let client = |spans: &[SpanData]| attribute(&spans[0], "client.address");
    assert_eq!(client(&spans(&request(), false)), None);
    assert_eq!(
        client(&spans(&request(), true)),
        Some(Value::String("::1".into()))
    );
    let text = format!("{:?}", spans(&request(), false));
    assert!(!text.contains("40000") && !text.contains("::1\""));
}

#[test]
fn a_request_of_a_kept_connection_was_in_no_accept_queue() {
    let kept = RequestRecord {
        ordinal: 3,
        accepted_ns: 1_000_000,
        ..request()
    };
    assert_eq!(
        parts(&spans(&kept, false)),
        [("slot wait", 3_000_000), ("serving", 5_000_000)]
    );
}

#[test]
fn a_request_that_nobody_read_ends_with_its_connection_and_has_no_phases() {
    let unread = RequestRecord {
        accepted_ns: 0,
        pickup_ns: 0,
        first_send_ns: 0,
        last_send_ns: 0,
        end_ns: 40_000_000,
        ..request()
    };
    let made = spans(&unread, false);
    assert_eq!(length_ns(&made[0]), 30_000_000);
    assert_eq!(parts(&made), [("accept queue", 30_000_000)]);
    assert_eq!(
        attribute(&made[0], "mpm.outcome"),
        Some(Value::String("unread".into()))
    );
    assert!(
        !made[0]
            .attributes
            .iter()
            .any(|pair| pair.key.as_str().starts_with("mpm.phase."))
    );
    assert!(made[0].events.is_empty());

    let unanswered = RequestRecord {
        accepted_ns: 11_000_000,
        pickup_ns: 13_000_000,
        ..unread
    };
    let made = spans(&unanswered, false);
    assert_eq!(
        parts(&made),
        [
            ("accept queue", 1_000_000),
            ("slot wait", 2_000_000),
            ("serving", 27_000_000)
        ]
    );
}
