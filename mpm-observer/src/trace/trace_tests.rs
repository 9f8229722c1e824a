//! A made-up trace of a parent, a listener and a worker, as a whole.

use mpm_observer_common::{BlockedIn, TraceEvent, TraceKind, WakeContext};

use super::{HandOff, Part, State, Trace, WaitKind, Waits, Waker};
use crate::{
    httpd::Role,
    recording::{Moment, TaskRow, TraceWindow},
    scenario::Mpm,
};

const PARENT: u32 = 10;
const LISTENER: u32 = 21;
const WORKER: u32 = 22;
const IDLE: u32 = 23;
const CONN: u64 = 0x1000;

fn event(time_ns: u64, kind: TraceKind, pid: u32, value: i32) -> TraceEvent {
    TraceEvent {
        event: kind as u32,
        time_ns,
        pid,
        value,
        ..TraceEvent::default()
    }
}

fn of_conn(time_ns: u64, kind: TraceKind, pid: u32, value: i32) -> TraceEvent {
    TraceEvent {
        conn: CONN,
        remote_port: 40_000,
        ..event(time_ns, kind, pid, value)
    }
}

fn wake(time_ns: u64, pid: u32, by: u32, context: WakeContext) -> TraceEvent {
    TraceEvent {
        other: by,
        ..event(time_ns, TraceKind::Wake, pid, context as i32)
    }
}

fn row(tid: u32, pid: u32, role: Role) -> TaskRow {
    TaskRow {
        moment: Moment::End,
        tid,
        pid,
        role: role.name().into(),
        created_ns: 1,
        exited_ns: 9_000,
        ..TaskRow::default()
    }
}

/// A connection is accepted by the listener and served by the worker, which waits once for a lock
/// that a foreign program's interrupt, a timer, ends.
pub(crate) fn made_up() -> Trace {
    use TraceKind::{Accepted, Arrived, Block, Ended, Established, Queued, Read, Sent, SwitchIn};
    let futex = BlockedIn::Futex as i32;
    let events = vec![
        event(110, Block, LISTENER, BlockedIn::Poll as i32),
        event(120, SwitchIn, WORKER, 0),
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
        event(300, Block, WORKER, futex),
        wake(400, WORKER, 777, WakeContext::Timer),
        event(405, SwitchIn, WORKER, 0),
        of_conn(450, Sent, WORKER, 300),
        event(460, Block, WORKER, futex),
        of_conn(500, Ended, 0, 0),
    ];
    let rows = [
        row(PARENT, PARENT, Role::Parent),
        row(LISTENER, 20, Role::Listener),
        row(WORKER, 20, Role::Worker),
        row(IDLE, 20, Role::Worker),
    ];
    let window = TraceWindow {
        from_ns: 100,
        until_ns: 1_000,
    };
    // As they may come from two CPUs.
    let mut shuffled = events;
    shuffled.reverse();
    Trace::of(shuffled, &rows, window, Mpm::Event)
}

#[test]
fn each_wait_of_a_request_has_its_waker() {
    let trace = made_up();
    let waits = trace.waits();
    let expected = [
        (Part::HandOff, BlockedIn::Poll, Waker::Network, 9),
        (
            Part::PickUp,
            BlockedIn::Futex,
            Waker::Task(Role::Listener),
            49,
        ),
        (Part::Service, BlockedIn::Futex, Waker::Timer, 100),
    ];
    let expected: Vec<_> = expected
        .into_iter()
        .map(|(part, blocked, waker, total_ns)| {
            let kind = WaitKind {
                part,
                blocked,
                waker,
            };
            (kind, Waits { count: 1, total_ns })
        })
        .collect();
    assert_eq!(waits.into_iter().collect::<Vec<_>>(), expected);
}

#[test]
fn a_hand_off_is_the_wake_up_of_the_worker_by_the_listener() {
    let trace = made_up();
    assert_eq!(trace.requests.len(), 1);
    assert_eq!(
        trace.hand_off(&trace.requests[0]),
        Some(HandOff {
            at_ns: 250,
            by: LISTENER,
        })
    );
}

#[test]
fn a_task_without_events_is_there_and_unknown() {
    let trace = made_up();
    let idle = trace.task(IDLE, 500).unwrap();
    assert_eq!(idle.label(), "worker 23");
    assert_eq!(idle.spans.time_ns(State::Unknown), 900);
    assert_eq!(trace.tasks.len(), 4);
    assert!(trace.task(99, 500).is_none());
}

#[test]
fn the_counts_follow_from_tasks_and_requests() {
    let trace = made_up();
    assert_eq!(trace.task_count().0, [(100, 4)]);
    assert_eq!(trace.busy_count().0, [(100, 0), (280, 1), (450, 0)]);
    assert_eq!(trace.accept_queue.length.0, [(100, 0), (205, 1), (240, 0)]);
    assert!(trace.accept_queue.is_exact);
}

#[test]
fn a_task_whose_making_was_lost_begins_where_its_record_says() {
    let events = vec![event(500, TraceKind::SwitchIn, WORKER, 0)];
    let rows = [TaskRow {
        created_ns: 400,
        ..row(WORKER, 20, Role::Worker)
    }];
    let window = TraceWindow {
        from_ns: 100,
        until_ns: 1_000,
    };
    let trace = Trace::of(events, &rows, window, Mpm::Worker);
    assert_eq!(trace.tasks.len(), 1);
    let spans = &trace.tasks[0].spans;
    assert_eq!((spans.from_ns, spans.spans[0].from_ns), (400, 400));
    assert_eq!(spans.time_ns(State::Unknown), 100);
}
