use std::{net::Ipv4Addr, path::PathBuf};

use mpm_observer_common::{BlockedIn, RequestFlags, RequestRecord};

use super::*;
use crate::{httpd::ProcessId, live::now::TaskNow};

const FIRST: u32 = 10;
const CHILD: u32 = 20;
const LISTENER: u32 = 29;
const NOW_NS: u64 = 1_000;
const POLL: u32 = nix::libc::SYS_poll as u32;

fn server(mpm: Mpm) -> Server {
    Server {
        process: ProcessId {
            pid: FIRST,
            start_ticks: 1,
        },
        binary: PathBuf::from("/usr/sbin/apache2"),
        mpm,
        listens: vec![address(80)],
    }
}

fn address(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// A task that has been blocked since 100 ns.
fn blocked(pid: u32, tid: u32, kind: BlockedIn) -> TaskState {
    let mut state = TaskState::begin(100);
    state.blocked_in = kind as u32;
    state.record.tgid = pid;
    state.record.pid = tid;
    state.record.parent_tgid = FIRST;
    if pid != tid {
        state.record.flags |= TaskFlags::THREAD;
        state.record.parent_tgid = pid;
    }
    state
}

/// A child with its listener and two workers without work.
fn child() -> Vec<TaskState> {
    vec![
        blocked(FIRST, FIRST, BlockedIn::Poll),
        blocked(CHILD, CHILD, BlockedIn::Receive),
        blocked(CHILD, LISTENER, BlockedIn::Poll),
        blocked(CHILD, 21, BlockedIn::Futex),
        blocked(CHILD, 22, BlockedIn::Futex),
    ]
}

/// A connection from `port` that `task` worked on last; of its request nothing was read.
fn connection(port: u16, task: u32) -> ConnState {
    ConnState {
        request: RequestRecord {
            remote_addr: Ipv4Addr::LOCALHOST.to_ipv6_mapped().octets(),
            remote_port: port,
            accepted_ns: 50,
            acceptor: LISTENER,
            ..RequestRecord::default()
        },
        base_task: task,
        base_created_ns: if task == 0 { 0 } else { 100 },
        ..ConnState::EMPTY
    }
}

fn picked_up(port: u16, task: u32) -> ConnState {
    let mut connection = connection(port, task);
    connection.request.pickup_ns = 70;
    connection.counted_ns = 70;
    connection
}

fn answered(port: u16, task: u32) -> ConnState {
    let mut connection = picked_up(port, task);
    connection.request.sends = 1;
    connection.counted_ns = 80;
    connection
}

/// Knows what it was told.
#[derive(Default)]
struct Told {
    tasks: HashMap<u32, TaskNow>,
    sockets: HashMap<i32, SocketNow>,
}

impl Told {
    fn polls(mut self, tid: u32, fd: i32) -> Self {
        let polls = Some(Polls {
            fd,
            to_write: false,
        });
        let number = POLL;
        self.tasks.insert(tid, TaskNow::Call { number, polls });
        self
    }

    fn socket(mut self, fd: i32, local: u16, peer: u16) -> Self {
        let socket = SocketNow {
            local: Some(address(local)),
            peer: Some(address(peer)),
            is_closing: false,
        };
        self.sockets.insert(fd, socket);
        self
    }
}

impl Beside for Told {
    fn task(&self, _: u32, tid: u32) -> Option<TaskNow> {
        self.tasks.get(&tid).copied()
    }

    fn socket(&self, _: u32, fd: i32) -> Option<SocketNow> {
        self.sockets.get(&fd).copied()
    }
}

fn slot(look: &Look, tid: u32) -> &TaskLook {
    let mut tasks = look.tasks.iter();
    tasks.find(|task| task.record.pid == tid).unwrap()
}

#[test]
fn workers_without_work_are_idle_slots_and_the_others_none() {
    let look = Look::new(NOW_NS, &server(Mpm::Event), &child(), &[]);
    let slots: Vec<Option<SlotState>> = look.tasks.iter().map(|task| task.slot).collect();
    let idle = Some(SlotState::Idle);
    assert_eq!(slots, [None, None, None, idle, idle]);
    assert_eq!(look.connections, ConnectionsLook::default());
}

#[test]
fn an_answered_connection_is_parked_in_event_and_holds_a_slot_in_worker() {
    let connections = [answered(4001, 21)];
    let event = Look::new(NOW_NS, &server(Mpm::Event), &child(), &connections);
    assert_eq!(slot(&event, 21).slot, Some(SlotState::Idle));
    let expected = ConnectionsLook {
        open: 1,
        parked: 1,
        ..ConnectionsLook::default()
    };
    assert_eq!(event.connections, expected);

    let mut tasks = child();
    tasks[3].blocked_in = BlockedIn::Poll as u32;
    tasks[3].record.totals.requests = 1;
    let worker = Look::new(NOW_NS, &server(Mpm::Worker), &tasks, &connections);
    let task = slot(&worker, 21);
    assert_eq!(task.slot, Some(SlotState::KeepAlive));
    assert_eq!(
        (task.client, task.request_since_ns),
        (Some(address(4001)), 0)
    );
    let expected = ConnectionsLook {
        open: 1,
        holding: 1,
        ..ConnectionsLook::default()
    };
    assert_eq!(worker.connections, expected);
}

#[test]
fn the_newest_of_a_tasks_connections_is_the_one_that_it_serves() {
    let mut tasks = child();
    tasks[3].blocked_in = BlockedIn::Poll as u32;
    tasks[3].record.totals.requests = 2;
    let mut half = picked_up(4002, 21);
    half.counted_ns = 90;
    let connections = [half, answered(4001, 21)];
    let look = Look::new(NOW_NS, &server(Mpm::Event), &tasks, &connections);
    let task = slot(&look, 21);
    assert_eq!(task.slot, Some(SlotState::ReadingClient));
    assert_eq!(task.client, Some(address(4002)));
    assert_eq!(task.request_since_ns, 70);
    assert_eq!((look.connections.serving, look.connections.parked), (1, 1));
}

#[test]
fn a_task_of_the_same_number_inherits_no_connection() {
    let mut tasks = child();
    tasks[3].record.created_ns = 500;
    let look = Look::new(NOW_NS, &server(Mpm::Worker), &tasks, &[picked_up(4001, 21)]);
    let task = slot(&look, 21);
    assert_eq!((task.slot, task.client), (Some(SlotState::Idle), None));
}

#[test]
fn a_prefork_child_holds_what_it_accepted_before_it_has_read() {
    let tasks = [
        blocked(FIRST, FIRST, BlockedIn::Poll),
        blocked(CHILD, CHILD, BlockedIn::Poll),
    ];
    let mut accepted = connection(4001, 0);
    accepted.request.acceptor = CHILD;
    let look = Look::new(NOW_NS, &server(Mpm::Prefork), &tasks, &[accepted]);
    let task = slot(&look, CHILD);
    assert_eq!(task.slot, Some(SlotState::ReadingClient));
    assert_eq!(task.client, Some(address(4001)));
}

#[test]
fn a_listener_has_no_client_and_is_no_slot() {
    let look = Look::new(
        NOW_NS,
        &server(Mpm::Event),
        &child(),
        &[connection(4001, 0)],
    );
    let listener = slot(&look, LISTENER);
    assert_eq!((listener.slot, listener.client), (None, None));
}

#[test]
fn a_woken_worker_waits_for_a_cpu_since_its_bytes_arrived() {
    let mut told = Told::default();
    told.tasks.insert(21, TaskNow::Runnable);
    told.tasks.insert(22, TaskNow::Runnable);
    let mut tasks = child();
    tasks[3].blocked_in = BlockedIn::Poll as u32;
    tasks[3].record.totals.requests = 1;
    let mut woken = answered(4001, 21);
    woken.unread_since_ns = 700;
    let server = server(Mpm::Worker);
    let look = Look::with(NOW_NS, &server, &tasks, &[woken], &told);
    let with_bytes = slot(&look, 21);
    assert_eq!(with_bytes.slot, Some(SlotState::RunQueue));
    assert_eq!((with_bytes.since_ns, with_bytes.blocked_in), (700, None));
    // Of the other one it is not known what for.
    let without = slot(&look, 22);
    assert_eq!(without.slot, Some(SlotState::RunQueue));
    assert_eq!(without.since_ns, NOW_NS);
    assert_eq!(
        (look.connections.unread, look.connections.unread_since_ns),
        (1, 700)
    );
}

#[test]
fn a_worker_that_polls_for_a_new_connection_is_found_by_its_socket() {
    let mut tasks = child();
    tasks[3].blocked_in = BlockedIn::Poll as u32;
    tasks[3].record.totals.requests = 1;
    let told = Told::default().polls(21, 9).socket(9, 80, 4002);
    // It answered the first one, which is parked, and has not read from the second.
    let connections = [answered(4001, 21), connection(4002, 0)];
    let look = Look::with(NOW_NS, &server(Mpm::Event), &tasks, &connections, &told);
    let task = slot(&look, 21);
    assert_eq!(task.slot, Some(SlotState::ReadingClient));
    assert_eq!(task.client, Some(address(4002)));
    assert_eq!(look.connections.parked, 1);
}

#[test]
fn a_backend_that_is_polled_for_is_no_client() {
    let mut tasks = child();
    tasks[3].blocked_in = BlockedIn::Poll as u32;
    tasks[3].record.totals.requests = 1;
    let told = Told::default().polls(21, 9).socket(9, 5555, 9000);
    let connections = [picked_up(4001, 21)];
    let look = Look::with(NOW_NS, &server(Mpm::Worker), &tasks, &connections, &told);
    let task = slot(&look, 21);
    assert_eq!(task.slot, Some(SlotState::Other));
    assert_eq!(task.client, Some(address(4001)));
    assert_eq!(task.request_since_ns, 70);
}

#[test]
fn a_connection_from_before_the_watch_shows_with_its_client() {
    let tasks = [
        blocked(FIRST, FIRST, BlockedIn::Poll),
        blocked(CHILD, CHILD, BlockedIn::Poll),
    ];
    let told = Told::default().polls(CHILD, 9).socket(9, 80, 4001);
    let look = Look::with(NOW_NS, &server(Mpm::Prefork), &tasks, &[], &told);
    let task = slot(&look, CHILD);
    assert_eq!(task.slot, Some(SlotState::KeepAlive));
    assert_eq!(task.client, Some(address(4001)));
}

#[test]
fn connections_that_nobody_has_accepted_or_read_are_counted() {
    let mut queued = connection(4001, 0);
    queued.request.accepted_ns = 0;
    queued.unread_since_ns = 400;
    let mut handed_over = connection(4002, 0);
    handed_over.unread_since_ns = 300;
    let look = Look::new(
        NOW_NS,
        &server(Mpm::Worker),
        &child(),
        &[queued, handed_over],
    );
    let expected = ConnectionsLook {
        open: 2,
        unread: 2,
        unaccepted: 1,
        unread_since_ns: 300,
        ..ConnectionsLook::default()
    };
    assert_eq!(look.connections, expected);
}

#[test]
fn a_connection_from_before_the_watch_is_kept_in_a_slot_or_parked() {
    let tasks = [
        blocked(FIRST, FIRST, BlockedIn::Poll),
        blocked(CHILD, CHILD, BlockedIn::Poll),
    ];
    let mut stood = connection(4001, 0);
    stood.request.accepted_ns = 0;
    stood.request.acceptor = 0;
    stood.request.flags = RequestFlags::IN_PART;
    let told = Told::default().polls(CHILD, 9).socket(9, 80, 4001);
    let look = Look::with(NOW_NS, &server(Mpm::Prefork), &tasks, &[stood], &told);
    assert_eq!(slot(&look, CHILD).slot, Some(SlotState::KeepAlive));
    assert_eq!(
        (look.connections.holding, look.connections.unaccepted),
        (1, 0)
    );
    let look = Look::new(NOW_NS, &server(Mpm::Event), &child(), &[stood]);
    assert_eq!(
        (look.connections.parked, look.connections.unaccepted),
        (1, 0)
    );
}

#[test]
fn what_a_task_did_after_it_was_looked_at_does_not_count() {
    let mut tasks = child();
    tasks[3].record.totals.requests = 1;
    // It was blocked in the queue at 100 ns, and has read the request since.
    let mut since = picked_up(4001, 21);
    since.counted_ns = 150;
    let look = Look::new(NOW_NS, &server(Mpm::Worker), &tasks, &[since]);
    let task = slot(&look, 21);
    assert_eq!((task.slot, task.client), (Some(SlotState::Idle), None));
}

/// One connection that a worker of its own holds, which does something.
fn held(connection: ConnState, change: impl FnOnce(&mut TaskState)) -> ConnectionsLook {
    let mut tasks = child();
    tasks[3].record.totals.requests = 1;
    change(&mut tasks[3]);
    Look::new(NOW_NS, &server(Mpm::Worker), &tasks, &[connection]).connections
}

#[test]
fn only_what_is_not_answered_or_not_read_yet_is_served() {
    let runs = |task: &mut TaskState| task.off_cpu = OffCpu::Running as u32;
    let polls = |task: &mut TaskState| task.blocked_in = BlockedIn::Poll as u32;
    let read = picked_up(4001, 21);
    let mut partly = answered(4001, 21);
    partly.full = 1;
    for (connection, is_served) in [(read, true), (partly, true), (answered(4001, 21), false)] {
        let look = held(connection, runs);
        assert_eq!(look.serving, u32::from(is_served));
        assert_eq!(look.finishing, u32::from(!is_served));
        assert_eq!((look.open, look.holding, look.parked), (1, 0, 0));
    }
    // It waits for the client to read.
    assert_eq!(held(partly, polls).serving, 1);
    // Accepted, and nothing has come yet.
    let look = held(connection(4001, 21), polls);
    let expected = ConnectionsLook {
        open: 1,
        ..ConnectionsLook::default()
    };
    assert_eq!(look, expected);
}

#[test]
fn of_several_accept_queues_the_one_nearest_to_its_limit_is_the_fullest() {
    let queue = |port, length, limit| QueueLook {
        port,
        length,
        limit,
    };
    let fullest = |queues: &[QueueLook]| {
        let look = Look {
            queues: queues.to_vec(),
            ..Look::default()
        };
        look.fullest_queue()
    };
    let long = queue(443, 11, 511);
    let full = queue(8080, 11, 10);
    assert_eq!(fullest(&[queue(80, 0, 10), long, full]), Some(full));
    assert_eq!(fullest(&[full, long]), Some(full));
    // Without limits the longest, and of equal ones the first.
    assert_eq!(
        fullest(&[queue(80, 1, 0), queue(81, 2, 0)]),
        Some(queue(81, 2, 0))
    );
    assert_eq!(
        fullest(&[queue(80, 0, 10), queue(81, 0, 10)]),
        Some(queue(80, 0, 10))
    );
    assert_eq!(fullest(&[]), None);
}

#[test]
fn programs_that_httpd_starts_are_no_slots() {
    for mpm in Mpm::ALL {
        let mut tasks = match mpm {
            Mpm::Prefork => vec![
                blocked(FIRST, FIRST, BlockedIn::Poll),
                blocked(CHILD, CHILD, BlockedIn::Receive),
            ],
            Mpm::Worker | Mpm::Event => child(),
        };
        let count = |tasks: &[TaskState]| {
            let look = Look::new(NOW_NS, &server(mpm), tasks, &[]);
            let slots = look.tasks.iter().filter(|task| task.slot.is_some());
            slots.count()
        };
        let before = count(&tasks);
        assert!(before > 0, "{mpm}");
        // A piped log's waits for lines; it may have threads.
        let mut log = blocked(30, 30, BlockedIn::Receive);
        let mut its_thread = blocked(30, 31, BlockedIn::Futex);
        log.record.flags |= TaskFlags::OTHER_PROGRAM;
        its_thread.record.flags |= TaskFlags::OTHER_PROGRAM;
        // A child has made a process for a CGI script, which is not executed yet.
        let mut script = blocked(40, 40, BlockedIn::Other);
        script.record.parent_tgid = CHILD;
        tasks.extend([log, its_thread, script]);
        assert_eq!(count(&tasks), before, "{mpm}");
    }
}
