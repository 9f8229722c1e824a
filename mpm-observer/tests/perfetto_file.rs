//! The Perfetto file of a made-up trace, read back with the published schema.

mod perfetto;

use mpm_observer::{
    kernel::Book,
    recording::{Moment, TaskRow, TraceWindow},
    scenario::Mpm,
    trace::{Trace, perfetto::encode},
};
use mpm_observer_common::{BlockedIn, TraceEvent, TraceKind, WakeContext};

const LISTENER: u32 = 21;
const WORKER: u32 = 22;
const WINDOW: TraceWindow = TraceWindow {
    from_ns: 1_000_100,
    until_ns: 1_001_000,
};

fn event(after_ns: u64, kind: TraceKind, pid: u32, value: i32) -> TraceEvent {
    TraceEvent {
        event: kind as u32,
        time_ns: 1_000_000 + after_ns,
        pid,
        value,
        ..TraceEvent::default()
    }
}

fn of_conn(after_ns: u64, kind: TraceKind, pid: u32, value: i32) -> TraceEvent {
    TraceEvent {
        conn: 0x1000,
        remote_port: 40_000,
        ..event(after_ns, kind, pid, value)
    }
}

fn wake(after_ns: u64, pid: u32, by: u32, context: WakeContext) -> TraceEvent {
    TraceEvent {
        other: by,
        ..event(after_ns, TraceKind::Wake, pid, context as i32)
    }
}

fn row(tid: u32, pid: u32, role: &str) -> TaskRow {
    TaskRow {
        moment: Moment::End,
        tid,
        pid,
        role: role.into(),
        created_ns: 1,
        exited_ns: 9_000_000,
        ..TaskRow::default()
    }
}

/// The listener accepts a connection and wakes the worker, which answers two requests; the second
/// one has no send, so it has no end.
fn trace() -> Trace {
    use TraceKind::{Accepted, Arrived, Block, Established, Queued, Read, Sent, SwitchIn};
    let futex = BlockedIn::Futex as i32;
    let events = vec![
        event(110, Block, LISTENER, BlockedIn::Poll as i32),
        event(130, Block, WORKER, futex),
        of_conn(200, Established, 0, 0),
        of_conn(201, Arrived, 0, 0),
        of_conn(205, Queued, 0, 0),
        wake(210, LISTENER, 777, WakeContext::Network),
        event(230, SwitchIn, LISTENER, 0),
        of_conn(240, Accepted, LISTENER, 0),
        wake(250, WORKER, LISTENER, WakeContext::Task),
        event(260, Block, LISTENER, BlockedIn::Poll as i32),
        event(270, SwitchIn, WORKER, 0),
        of_conn(280, Read, WORKER, 80),
        of_conn(450, Sent, WORKER, 300),
        event(460, Block, WORKER, BlockedIn::Poll as i32),
        of_conn(600, Arrived, 0, 0),
        wake(601, WORKER, 777, WakeContext::Network),
        event(650, SwitchIn, WORKER, 0),
        of_conn(660, Read, WORKER, 90),
        event(700, Block, WORKER, futex),
    ];
    let rows = [
        row(20, 20, "child"),
        row(LISTENER, 20, "listener"),
        row(WORKER, 20, "worker"),
    ];
    let mut trace = Trace::of(events, &rows, WINDOW, Mpm::Event);
    trace.run = "made-up.event.1".into();
    trace.books = vec![Book {
        program: "sched_waking".into(),
        what: "events".into(),
        sent: 10,
        lost: 7,
        received: 3,
    }];
    trace
}

#[test]
fn every_field_is_one_of_the_published_schema_and_times_lie_in_the_window() {
    let read = perfetto::read(&encode(&trace()));
    for slice in &read.slices {
        assert!(slice.from_ns >= WINDOW.from_ns && slice.to_ns <= WINDOW.until_ns);
    }
    let about = read
        .slices
        .iter()
        .find(|slice| slice.name == "trace of made-up.event.1")
        .unwrap();
    assert_eq!(
        (about.from_ns, about.to_ns),
        (WINDOW.from_ns, WINDOW.until_ns)
    );
    for (name, value) in [
        ("MPM", "event"),
        ("clock", "CLOCK_MONOTONIC"),
        ("events lost", "7"),
        ("events lost, sched_waking", "7"),
    ] {
        assert_eq!(about.notes[name], value, "{name}");
    }
}

#[test]
fn processes_and_threads_have_the_names_of_their_roles() {
    let read = perfetto::read(&encode(&trace()));
    let (_, worker) = read.thread(WORKER);
    assert_eq!((worker.name.as_str(), worker.pid), ("worker", Some(20)));
    let process = &read.tracks[&worker.parent.unwrap()];
    assert_eq!(process.name, "httpd event child");
    assert_eq!((process.pid, process.tid), (Some(20), None));
}

#[test]
fn the_slices_of_each_task_are_its_spans() {
    let trace = trace();
    let read = perfetto::read(&encode(&trace));
    for task in &trace.tasks {
        let (thread, _) = read.thread(task.spans.tid);
        let slices = read.slices_of(read.below(thread, "state"));
        let found: Vec<_> = slices
            .iter()
            .map(|slice| (slice.from_ns, slice.to_ns, slice.name.as_str()))
            .collect();
        let expected: Vec<_> = task
            .spans
            .spans
            .iter()
            .map(|span| (span.from_ns, span.to_ns, span.state.name()))
            .collect();
        assert_eq!(found, expected, "{}", task.label());
    }
    let (listener, _) = read.thread(LISTENER);
    let states = read.slices_of(read.below(listener, "state"));
    let waited = states
        .iter()
        .find(|slice| slice.name == "blocked: poll")
        .unwrap();
    assert_eq!(waited.notes["ended in"], "network");
}

#[test]
fn a_flow_leads_from_the_accept_over_the_hand_off_to_the_answer() {
    let read = perfetto::read(&encode(&trace()));
    let flows = read.flows();
    // The second request has no way before its task, and so no flow.
    assert_eq!(flows.len(), 1);
    let way = flows.values().next().unwrap();
    let (listener, _) = read.thread(LISTENER);
    let (worker, _) = read.thread(WORKER);
    let found: Vec<_> = way
        .iter()
        .map(|slice| (slice.track, slice.name.as_str(), slice.from_ns))
        .collect();
    assert_eq!(
        found,
        [
            (listener, "accept :40000", 1_000_240),
            (listener, "hand off :40000", 1_000_250),
            (worker, "request :40000", 1_000_280),
        ]
    );
    assert_eq!(way[2].to_ns, 1_000_450);
    assert_eq!(
        (way[2].flows.len(), way[2].ended_flows.len()),
        (0, 1),
        "it ends with the answer"
    );
    assert_eq!(way[2].notes["bytes sent"], "300");
    assert_eq!(way[2].notes["waited for pick-up, ns"], "79");
    // One read alone is a slice without length.
    let served = read.slices_of(worker);
    assert_eq!(served.len(), 2);
    assert_eq!((served[1].from_ns, served[1].to_ns), (1_000_660, 1_000_660));
}

#[test]
fn the_counters_are_those_of_the_trace() {
    let read = perfetto::read(&encode(&trace()));
    assert_eq!(
        read.counter("accept queue"),
        [(1_000_100, 0), (1_000_205, 1), (1_000_240, 0)]
    );
    assert_eq!(read.counter("tasks"), [(1_000_100, 3)]);
    assert_eq!(
        read.counter("busy tasks"),
        [
            (1_000_100, 0),
            (1_000_280, 1),
            (1_000_450, 0),
            (1_000_660, 0)
        ]
    );
}
