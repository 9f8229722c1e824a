use mpm_observer_common::{TraceEvent, TraceKind};

use super::{Piece, Request, requests};

const CONN: u64 = 0x1000;
const PORT: u16 = 40_000;

fn event(time_ns: u64, kind: TraceKind, pid: u32, value: i32) -> TraceEvent {
    TraceEvent {
        event: kind as u32,
        time_ns,
        conn: CONN,
        pid,
        value,
        remote_port: PORT,
        ..TraceEvent::default()
    }
}

fn at(time_ns: u64, kind: TraceKind) -> TraceEvent {
    event(time_ns, kind, 0, 0)
}

fn read(time_ns: u64, pid: u32) -> TraceEvent {
    event(time_ns, TraceKind::Read, pid, 80)
}

fn sent(time_ns: u64, pid: u32, bytes: i32) -> TraceEvent {
    event(time_ns, TraceKind::Sent, pid, bytes)
}

fn piece(tid: u32, from_ns: u64, to_ns: u64, bytes_in: u64, bytes_out: u64) -> Piece {
    Piece {
        tid,
        from_ns,
        to_ns,
        bytes_in,
        bytes_out,
    }
}

#[test]
fn requests_of_a_connection_are_told_apart_by_the_answers() {
    let events = [
        at(1, TraceKind::Established),
        at(2, TraceKind::Arrived),
        at(3, TraceKind::Queued),
        event(5, TraceKind::Accepted, 10, 0),
        read(7, 11),
        sent(9, 11, 300),
        at(20, TraceKind::Arrived),
        read(25, 12),
        sent(29, 12, 400),
        at(40, TraceKind::Ended),
    ];
    let expected = [
        Request {
            remote_port: PORT,
            ordinal: Some(0),
            queued_ns: Some(3),
            accepted: Some((5, 10)),
            arrival_ns: Some(2),
            pickup_ns: Some(7),
            last_send_ns: Some(9),
            bytes_in: 80,
            bytes_out: 300,
            pieces: vec![piece(11, 7, 9, 80, 300)],
            ended: true,
        },
        Request {
            remote_port: PORT,
            ordinal: Some(1),
            arrival_ns: Some(20),
            pickup_ns: Some(25),
            last_send_ns: Some(29),
            bytes_in: 80,
            bytes_out: 400,
            pieces: vec![piece(12, 25, 29, 80, 400)],
            ended: true,
            ..Request::default()
        },
    ];
    let found = requests(&events);
    assert_eq!(found, expected);
    assert!(found.iter().all(Request::is_whole));
}

#[test]
fn a_request_that_crosses_tasks_has_a_piece_on_each() {
    let mut other = read(30, 11);
    other.conn = 0x2000;
    other.remote_port = PORT + 1;
    let events = [
        at(1, TraceKind::Established),
        at(2, TraceKind::Arrived),
        read(7, 11),
        sent(9, 11, 1_000),
        // Full: no bytes, but work on it.
        sent(10, 11, -11),
        sent(20, 12, 2_000),
        sent(25, 11, 500),
        // The task turns to another connection and comes back.
        other,
        sent(35, 11, 100),
    ];
    let found = requests(&events);
    assert_eq!(
        found[0].pieces,
        [
            piece(11, 7, 10, 80, 1_000),
            piece(12, 20, 20, 0, 2_000),
            piece(11, 25, 25, 0, 500),
            piece(11, 35, 35, 0, 100),
        ]
    );
    assert_eq!(
        (found[0].bytes_out, found[0].last_send_ns),
        (3_600, Some(35))
    );
    assert!(!found[0].is_whole(), "its end was not seen");
    assert_eq!(found[1].remote_port, PORT + 1);
}

#[test]
fn what_began_before_the_window_has_no_pick_up() {
    let events = [
        sent(5, 11, 700),
        at(20, TraceKind::Arrived),
        read(25, 11),
        sent(29, 11, 400),
        at(40, TraceKind::Ended),
    ];
    let found = requests(&events);
    assert_eq!((found[0].pickup_ns, found[0].last_send_ns), (None, Some(5)));
    assert!(!found[0].is_whole());
    assert_eq!(found[1].pickup_ns, Some(25));
    assert!(found[1].is_whole());
    // Nor has one of which only a read is seen: more of it may have come before.
    let found = requests(&[read(5, 11), sent(9, 11, 700), at(10, TraceKind::Ended)]);
    assert_eq!(found[0].pickup_ns, None);
}

#[test]
fn further_bytes_before_the_answer_belong_to_the_request() {
    let events = [
        at(1, TraceKind::Established),
        at(2, TraceKind::Arrived),
        read(7, 11),
        at(8, TraceKind::Arrived),
        read(9, 11),
        sent(12, 11, 300),
    ];
    let found = requests(&events);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].bytes_in, 160);
}

#[test]
fn a_socket_that_is_used_again_is_another_connection() {
    let mut events = vec![
        at(1, TraceKind::Established),
        at(2, TraceKind::Arrived),
        read(7, 11),
        sent(9, 11, 300),
    ];
    // The end of the first is missing, and the begin of the second.
    let mut again = [at(30, TraceKind::Arrived), read(31, 12), sent(33, 12, 10)];
    for event in &mut again {
        event.remote_port = PORT + 1;
    }
    events.extend(again);
    let found = requests(&events);
    assert_eq!(found.len(), 2);
    assert!(!found[0].ended);
    assert_eq!((found[0].bytes_out, found[1].bytes_out), (300, 10));
    assert_eq!((found[0].ordinal, found[1].ordinal), (Some(0), None));
    assert_eq!(found[1].remote_port, PORT + 1);
}

#[test]
fn one_that_waits_for_its_pick_up_is_there_and_a_silent_connection_is_not() {
    let events = [
        at(1, TraceKind::Established),
        at(2, TraceKind::Arrived),
        at(3, TraceKind::Queued),
    ];
    let found = requests(&events);
    assert_eq!(found.len(), 1);
    assert!(found[0].pieces.is_empty() && !found[0].is_whole());
    assert_eq!(requests(&events[..1]), []);
}
