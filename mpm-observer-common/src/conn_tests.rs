//! Made-up orders of a connection's events.

use core::mem::size_of;

use super::*;

const FUTEX: usize = BlockedIn::Futex as usize;
const POLL: usize = BlockedIn::Poll as usize;

/// A task that ran from 0 on, with its totals as given.
fn task(on_cpu_ns: u64) -> TaskState {
    let mut task = TaskState::begin(0);
    task.record.totals.sched.on_cpu_ns = on_cpu_ns;
    task
}

fn worker(pid: u32, now_ns: u64, task: &TaskState) -> Worker<'_> {
    Worker {
        pid,
        now_ns,
        faults_minor: 0,
        faults_major: 0,
        task,
    }
}

/// Time from pick-up to last send as its parts have it.
fn parts(request: &RequestRecord) -> u64 {
    let blocked: u64 = request.blocked_ns.iter().sum();
    request.on_cpu_ns
        + request.woken_wait_ns
        + request.preempted_ns
        + blocked
        + request.handover_ns
        + request.client_sends_ns
        + request.client_reads_ns
}

#[test]
fn one_task_serves_a_request() {
    let mut conn = ConnState::default();
    conn.arrived(100);
    let mut state = task(50);
    state.last_io_ns = 40;
    state.woken_ns = 105;
    state.running_ns = 110;
    assert!(conn.read(&worker(7, 120, &state), 80));
    state.record.totals.sched.on_cpu_ns += 25;
    state.record.totals.sched.blocked_ns[FUTEX] += 5;
    state.record.totals.sched.voluntary += 1;
    conn.sent(&worker(7, 150, &state), 300, false);
    let request = &conn.request;
    assert_eq!(request.arrival_ns, 100);
    assert_eq!(request.pickup_ns, 120);
    assert_eq!((request.first_send_ns, request.last_send_ns), (150, 150));
    assert_eq!((request.bytes_in, request.bytes_out), (80, 300));
    assert_eq!((request.recvs, request.sends), (1, 1));
    assert_eq!(request.worker_free_ns, 40);
    assert_eq!(
        (request.worker_woken_ns, request.worker_running_ns),
        (105, 110)
    );
    assert_eq!(request.blocked_ns[FUTEX], 5);
    assert_eq!(parts(request), 30);
}

#[test]
fn what_the_task_did_before_the_pick_up_is_not_the_requests() {
    let mut conn = ConnState::default();
    conn.arrived(100);
    let mut state = task(1_000_000);
    state.record.totals.sched.blocked_ns[POLL] = 5_000_000;
    state.record.totals.sched.voluntary = 9;
    conn.read(&worker(7, 120, &state), 80);
    state.record.totals.sched.on_cpu_ns += 10;
    conn.sent(&worker(7, 130, &state), 300, false);
    assert_eq!(parts(&conn.request), 10);
    assert_eq!(conn.request.voluntary, 0);
}

#[test]
fn polling_between_two_reads_is_the_clients_slowness() {
    let mut conn = ConnState::default();
    conn.arrived(100);
    let mut state = task(0);
    conn.read(&worker(7, 100, &state), 10);
    state.record.totals.sched.on_cpu_ns += 20;
    state.record.totals.sched.blocked_ns[POLL] += 500;
    state.record.totals.sched.voluntary += 1;
    assert!(!conn.read(&worker(7, 620, &state), 70));
    state.record.totals.sched.on_cpu_ns += 30;
    conn.sent(&worker(7, 650, &state), 300, false);
    assert_eq!(conn.request.client_sends_ns, 500);
    assert_eq!(conn.request.blocked_ns[POLL], 0);
    assert_eq!(parts(&conn.request), 550);
    assert_eq!(conn.request.recvs, 2);
}

#[test]
fn polling_with_a_full_send_buffer_is_the_clients_slowness_else_it_is_not() {
    for (full, client_reads_ns, polled_ns) in [(true, 400, 0), (false, 0, 400)] {
        let mut conn = ConnState::default();
        conn.arrived(100);
        let mut state = task(0);
        conn.read(&worker(7, 100, &state), 80);
        conn.sent(&worker(7, 100, &state), 5_000, full);
        state.record.totals.sched.blocked_ns[POLL] += 400;
        state.record.totals.sched.voluntary += 1;
        conn.sent(&worker(7, 500, &state), 5_000, false);
        assert_eq!(conn.request.client_reads_ns, client_reads_ns);
        assert_eq!(conn.request.blocked_ns[POLL], polled_ns);
        assert_eq!(parts(&conn.request), 400);
    }
}

#[test]
fn a_send_that_would_have_blocked_is_no_send_but_shows_the_full_buffer() {
    let mut conn = ConnState::default();
    conn.arrived(100);
    let mut state = task(0);
    conn.read(&worker(7, 100, &state), 80);
    conn.sent(&worker(7, 100, &state), 5_000, false);
    conn.sent(&worker(7, 100, &state), 0, true);
    assert_eq!(conn.request.sends, 1);
    state.record.totals.sched.blocked_ns[POLL] += 400;
    state.record.totals.sched.voluntary += 1;
    conn.sent(&worker(7, 500, &state), 5_000, false);
    assert_eq!(conn.request.client_reads_ns, 400);
    assert_eq!(conn.request.sends, 2);
}

#[test]
fn another_task_that_takes_over_counts_the_time_between() {
    let mut conn = ConnState::default();
    conn.arrived(100);
    let first = task(0);
    conn.read(&worker(7, 100, &first), 80);
    conn.sent(&worker(7, 100, &first), 100, false);
    let second = task(9_999);
    conn.sent(&worker(8, 260, &second), 100, true);
    assert_eq!(conn.request.handover_ns, 160);
    let third = task(5);
    conn.sent(&worker(9, 300, &third), 100, false);
    assert_eq!(conn.request.client_reads_ns, 40);
    assert_eq!(conn.request.handovers, 2);
    assert_eq!((conn.request.first_task, conn.request.last_task), (7, 9));
    assert_eq!(parts(&conn.request), 200);
}

#[test]
fn the_next_request_keeps_the_connection_and_begins_anew() {
    let mut conn = ConnState::default();
    conn.request.established_ns = 10;
    conn.request.remote_port = 4000;
    conn.arrived(100);
    let mut state = task(0);
    conn.read(&worker(7, 110, &state), 80);
    state.record.totals.sched.on_cpu_ns += 5;
    conn.sent(&worker(7, 115, &state), 100, true);
    assert!(conn.is_answered() && !conn.has_unread());
    // The client has its answer before the server's send has returned; keep-alive begins.
    conn.arrived(900);
    assert!(conn.has_unread());
    conn.next_request();
    assert!(!conn.is_answered());
    assert_eq!(conn.request.ordinal, 1);
    assert_eq!(
        (conn.request.established_ns, conn.request.remote_port),
        (10, 4000)
    );
    assert_eq!(conn.full, 0);
    state.record.totals.sched.blocked_ns[POLL] += 780;
    state.record.totals.sched.voluntary += 1;
    conn.read(&worker(7, 905, &state), 80);
    assert_eq!((conn.request.arrival_ns, conn.unread_since_ns), (900, 0));
    conn.sent(&worker(7, 905, &state), 100, false);
    // Idle waiting belongs to no request.
    assert_eq!(parts(&conn.request), 0);
}

#[test]
fn nothing_of_a_request_is_left_for_the_next_one() {
    // No field is zero, so that one that is forgotten shows.
    // SAFETY: plain integers.
    let mut conn: ConnState = unsafe { core::mem::transmute([0x11_u8; size_of::<ConnState>()]) };
    let last = conn.request;
    conn.next_request();
    let expected = RequestRecord {
        kind: last.kind,
        flags: last.flags,
        local_addr: last.local_addr,
        remote_addr: last.remote_addr,
        local_port: last.local_port,
        remote_port: last.remote_port,
        ordinal: last.ordinal + 1,
        established_ns: last.established_ns,
        queued_ns: last.queued_ns,
        accepted_ns: last.accepted_ns,
        acceptor: last.acceptor,
        ..RequestRecord::default()
    };
    assert_eq!(conn.request, expected);
}

#[test]
fn bytes_that_come_in_parts_are_one_request() {
    let mut conn = ConnState::default();
    conn.arrived(100);
    let state = task(0);
    conn.read(&worker(7, 110, &state), 40);
    conn.arrived(120);
    conn.read(&worker(7, 130, &state), 40);
    conn.sent(&worker(7, 140, &state), 100, false);
    assert!(!conn.has_unread());
    assert_eq!(conn.request.bytes_in, 80);
}

#[test]
fn a_pick_up_without_an_arrival_says_so() {
    let mut conn = ConnState::default();
    let state = task(0);
    conn.read(&worker(7, 110, &state), 40);
    assert_eq!(conn.request.flags, RequestFlags::NO_ARRIVAL);
    assert_eq!(conn.request.arrival_ns, 110);
}

#[test]
fn what_arrived_and_was_never_read_is_a_request_of_its_own_only_after_an_answer() {
    let state = task(0);
    // Nothing was ever read.
    let mut conn = ConnState::default();
    conn.arrived(100);
    assert!(conn.take_unread());
    assert_eq!((conn.request.ordinal, conn.request.arrival_ns), (0, 100));

    // More bytes came, but the request that was read was not answered.
    let mut conn = ConnState::default();
    conn.arrived(100);
    conn.read(&worker(7, 110, &state), 40);
    conn.arrived(120);
    assert!(!conn.take_unread());

    // They came after the answer.
    conn.sent(&worker(7, 130, &state), 40, false);
    assert!(conn.take_unread());
    assert_eq!((conn.request.ordinal, conn.request.arrival_ns), (1, 120));
    assert_eq!(conn.request.pickup_ns, 0);
}

#[test]
fn a_request_that_never_blocked_and_stayed_with_its_task_has_no_tail() {
    let mut conn = ConnState::default();
    conn.arrived(100);
    let mut state = task(0);
    conn.read(&worker(7, 110, &state), 40);
    state.record.totals.sched.on_cpu_ns += 20;
    conn.sent(&worker(7, 130, &state), 40, true);
    assert!(conn.request.is_short());
    state.record.totals.sched.blocked_ns[FUTEX] += 5;
    state.record.totals.sched.voluntary += 1;
    conn.sent(&worker(7, 135, &state), 40, false);
    assert!(!conn.request.is_short());
}

#[test]
fn an_answer_to_nothing_is_not_counted() {
    let mut conn = ConnState::default();
    let state = task(0);
    conn.sent(&worker(7, 110, &state), 40, false);
    assert_eq!(conn.request, RequestRecord::default());
}

#[test]
fn a_socket_used_again_knows_nothing_of_the_connection_before() {
    let mut conn = ConnState::default();
    conn.arrived(100);
    let state = task(0);
    conn.read(&worker(7, 110, &state), 40);
    conn = ConnState::default();
    assert!(!conn.is_picked_up() && !conn.has_unread());
    conn.arrived(500);
    assert!(conn.take_unread());
    assert_eq!(conn.request.arrival_ns, 500);
}

#[test]
fn a_thread_id_used_again_between_two_sends_counts_no_time_twice() {
    let mut conn = ConnState::default();
    conn.arrived(100);
    let first = task(700);
    conn.read(&worker(7, 100, &first), 40);
    // The task ended; another one got its id, and its totals begin at zero.
    let mut second = task(0);
    second.record.created_ns = 150;
    conn.sent(&worker(7, 200, &second), 100, false);
    assert_eq!(parts(&conn.request), 100);
    assert_eq!(conn.request.handovers, 1);
}

#[test]
fn reads_and_sends_at_the_same_instant_add_nothing() {
    let mut conn = ConnState::default();
    conn.arrived(100);
    let state = task(3);
    conn.read(&worker(7, 100, &state), 40);
    conn.sent(&worker(7, 100, &state), 100, false);
    conn.sent(&worker(8, 100, &state), 100, false);
    assert_eq!(parts(&conn.request), 0);
}
