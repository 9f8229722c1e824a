//! What slots do, against clients that hold them in a known way.

use std::{
    collections::BTreeSet,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use loadgen::hold::{Holder, Kind};
use mpm_observer::{
    httpd::Role,
    live::{Look, SlotState},
    scenario::Mpm,
};
use nix::{
    libc,
    sched::{CpuSet, sched_setaffinity},
    unistd::Pid,
};

use crate::{
    common::watched::exchange,
    watching::{HALF_HEAD, SLOTS, Stand, Watching, slots},
};

const SLOW_READER: Kind = Kind::SlowReader { bytes_per_s: 1_000 };
const LARGE: u64 = 20_000_000;

/// The clients of slots in a state.
fn clients(look: &Look, state: SlotState) -> BTreeSet<SocketAddr> {
    slots(look)
        .into_iter()
        .filter(|task| task.slot == Some(state))
        .map(|task| task.client.expect("a client"))
        .collect()
}

/// The addresses of clients that are let go now.
fn addresses(holder: Holder) -> BTreeSet<SocketAddr> {
    let held = holder.finish().unwrap();
    held.iter()
        .map(|held| {
            let ip = std::net::Ipv6Addr::from(held.row.local_ip);
            SocketAddr::new(std::net::IpAddr::V6(ip).to_canonical(), held.row.local_port)
        })
        .collect()
}

fn kept_connections_hold_slots_and_in_event_none(mpm: Mpm) {
    let Some((stand, kernel)) = Stand::start(mpm, "") else {
        return;
    };
    let watching = Watching::start(kernel, stand.httpd().pid());
    watching.wait_for_states(&[(SlotState::Idle, SLOTS)]);
    let held = stand.hold(Kind::IdleKeepAlive, 4, "/alive.txt");
    if mpm == Mpm::Event {
        let look = watching.wait_for("four parked", |look| look.connections.parked == 4);
        assert_eq!(clients(&look, SlotState::KeepAlive), BTreeSet::new());
        let look = watching.wait_for_states(&[(SlotState::Idle, SLOTS)]);
        assert_eq!((look.connections.open, look.connections.parked), (4, 4));
        assert_eq!(look.connections.holding, 0);
    } else {
        let look =
            watching.wait_for_states(&[(SlotState::KeepAlive, 4), (SlotState::Idle, SLOTS - 4)]);
        let connections = look.connections;
        assert_eq!((connections.open, connections.holding), (4, 4));
        assert_eq!((connections.parked, connections.serving), (0, 0));
        assert_eq!(clients(&look, SlotState::KeepAlive), addresses(held));
    }
    watching.wait_for_states(&[(SlotState::Idle, SLOTS)]);
    drop(watching);
    stand.stop();
}

#[test]
fn kept_connections_hold_slots_of_prefork() {
    kept_connections_hold_slots_and_in_event_none(Mpm::Prefork);
}

#[test]
fn kept_connections_hold_slots_of_worker() {
    kept_connections_hold_slots_and_in_event_none(Mpm::Worker);
}

#[test]
fn kept_connections_hold_no_slot_of_event() {
    kept_connections_hold_slots_and_in_event_none(Mpm::Event);
}

fn half_heads_and_slow_readers_hold_slots(mpm: Mpm) {
    let Some((stand, kernel)) = Stand::start(mpm, "") else {
        return;
    };
    let watching = Watching::start(kernel, stand.httpd().pid());
    let half = stand.hold(HALF_HEAD, 3, "/alive.txt");
    let slow = stand.hold(SLOW_READER, 2, &stand.body(LARGE));
    let look = watching.wait_for_states(&[
        (SlotState::ReadingClient, 3),
        (SlotState::Sending, 2),
        (SlotState::Idle, SLOTS - 5),
    ]);
    assert_eq!(look.connections.serving, 5);
    for task in slots(&look) {
        let serves = task.slot != Some(SlotState::Idle);
        assert_eq!(task.request_since_ns != 0, serves, "{task:?}");
        assert!(task.since_ns <= look.at_ns);
    }
    assert_eq!(clients(&look, SlotState::ReadingClient), addresses(half));
    assert_eq!(clients(&look, SlotState::Sending), addresses(slow));
    drop(watching);
    stand.stop();
}

#[test]
fn half_heads_and_slow_readers_hold_slots_of_prefork() {
    half_heads_and_slow_readers_hold_slots(Mpm::Prefork);
}

#[test]
fn half_heads_and_slow_readers_hold_slots_of_worker() {
    half_heads_and_slow_readers_hold_slots(Mpm::Worker);
}

#[test]
fn half_heads_and_slow_readers_hold_slots_of_event() {
    half_heads_and_slow_readers_hold_slots(Mpm::Event);
}

#[test]
fn event_with_sendfile_gives_the_slots_of_slow_readers_back() {
    let Some((stand, kernel)) = Stand::start(Mpm::Event, "sendfile = true") else {
        return;
    };
    let watching = Watching::start(kernel, stand.httpd().pid());
    let _slow = stand.hold(SLOW_READER, 3, &stand.body(LARGE));
    let look = watching.wait_for("three parked and no slot taken", |look| {
        look.connections.parked == 3
            && slots(look)
                .iter()
                .all(|task| task.slot == Some(SlotState::Idle))
    });
    assert_eq!(slots(&look).len() as u32, SLOTS);
    drop(watching);
    stand.stop();
}

fn what_was_held_before_the_watch_is_seen(mpm: Mpm) {
    let Some((stand, kernel)) = Stand::start(mpm, "") else {
        return;
    };
    let slow = stand.hold(SLOW_READER, 2, &stand.body(LARGE));
    let kept = stand.hold(Kind::IdleKeepAlive, 3, "/alive.txt");
    let watching = Watching::start(kernel, stand.httpd().pid());
    let look = match mpm {
        Mpm::Event => {
            watching.wait_for_states(&[(SlotState::Sending, 2), (SlotState::Idle, SLOTS - 2)])
        }
        _ => watching.wait_for_states(&[
            (SlotState::Sending, 2),
            (SlotState::KeepAlive, 3),
            (SlotState::Idle, SLOTS - 5),
        ]),
    };
    assert_eq!((look.connections.open, look.connections.serving), (5, 2));
    assert_eq!(clients(&look, SlotState::Sending), addresses(slow));
    if mpm != Mpm::Event {
        assert_eq!(look.connections.holding, 3);
        assert_eq!(clients(&look, SlotState::KeepAlive), addresses(kept));
    } else {
        assert_eq!(look.connections.parked, 3);
    }
    assert_eq!(look.connections.unaccepted, 0);
    drop(watching);
    stand.stop();
}

#[test]
fn what_prefork_held_before_the_watch_is_seen() {
    what_was_held_before_the_watch_is_seen(Mpm::Prefork);
}

#[test]
fn what_worker_held_before_the_watch_is_seen() {
    what_was_held_before_the_watch_is_seen(Mpm::Worker);
}

#[test]
fn what_event_held_before_the_watch_is_seen() {
    what_was_held_before_the_watch_is_seen(Mpm::Event);
}

/// Worker's listener then waits in a lock for a worker, and not in accept.
#[test]
fn a_listener_of_a_worker_that_was_full_before_the_watch_is_no_slot() {
    let Some((stand, kernel)) = Stand::start(Mpm::Worker, "") else {
        return;
    };
    let _kept = stand.hold(Kind::IdleKeepAlive, SLOTS, "/alive.txt");
    // One more waits.
    let mut waiting = TcpStream::connect(stand.httpd().addr()).unwrap();
    waiting
        .write_all(b"GET /alive.txt HTTP/1.0\r\n\r\n")
        .unwrap();
    let watching = Watching::start(kernel, stand.httpd().pid());
    watching.wait_for_states(&[(SlotState::KeepAlive, SLOTS)]);
    drop(watching);
    stand.stop();
}

#[test]
fn a_connection_in_the_accept_queue_is_seen_with_the_queues_limit() {
    let Some((stand, kernel)) = Stand::start(Mpm::Prefork, "listen_backlog = 77") else {
        return;
    };
    let watching = Watching::start(kernel, stand.httpd().pid());
    let _kept = stand.hold(Kind::IdleKeepAlive, SLOTS, "/alive.txt");
    let mut waiting: Vec<TcpStream> = (0..3)
        .map(|_| TcpStream::connect(stand.httpd().addr()).unwrap())
        .collect();
    for stream in &mut waiting {
        stream
            .write_all(b"GET /alive.txt HTTP/1.0\r\n\r\n")
            .unwrap();
    }
    let look = watching.wait_for("three in the queue", |look| {
        look.fullest_queue().is_some_and(|queue| queue.length == 3)
    });
    assert_eq!(look.fullest_queue().unwrap().limit, 77);
    let connections = look.connections;
    assert_eq!((connections.unaccepted, connections.unread), (3, 3));
    assert!(connections.unread_since_ns > 0 && connections.unread_since_ns < look.at_ns);
    drop(watching);
    stand.stop();
}

/// httpd has closed, the client has not: a slot of prefork and worker waits two seconds for it.
#[test]
fn a_slot_that_waits_for_a_client_to_close_is_busy() {
    let Some((stand, kernel)) = Stand::start(Mpm::Prefork, "") else {
        return;
    };
    let watching = Watching::start(kernel, stand.httpd().pid());
    let stop = Arc::new(AtomicBool::new(false));
    let (addr, stopped) = (stand.httpd().addr(), stop.clone());
    let client = std::thread::spawn(move || {
        while !stopped.load(Ordering::Relaxed) {
            let mut stream = TcpStream::connect(addr).unwrap();
            stream
                .write_all(b"GET /alive.txt HTTP/1.0\r\n\r\n")
                .unwrap();
            // All of the answer, and the server's end.
            stream.read_to_end(&mut Vec::new()).unwrap();
            std::thread::sleep(Duration::from_millis(1_500));
        }
    });
    let look = watching.wait_for("a slot that waits", |look| {
        slots(look)
            .iter()
            .any(|task| task.slot == Some(SlotState::Closing))
    });
    assert_eq!(clients(&look, SlotState::Closing).len(), 1);
    stop.store(true, Ordering::Relaxed);
    client.join().unwrap();
    drop(watching);
    stand.stop();
}

/// Lets tasks run on one CPU, and there only while nobody else wants it.
fn starve(tids: &[u32], cpu: usize) {
    let mut set = CpuSet::new();
    set.set(cpu).unwrap();
    let param = libc::sched_param { sched_priority: 0 };
    for tid in tids {
        let tid = Pid::from_raw(tid.cast_signed());
        sched_setaffinity(tid, &set).unwrap();
        // SAFETY: the parameter outlives the call.
        let result =
            unsafe { libc::sched_setscheduler(tid.as_raw(), libc::SCHED_IDLE, &raw const param) };
        assert_eq!(result, 0);
    }
}

fn a_woken_task_without_a_cpu_waits_for_it(mpm: Mpm) {
    let Some((stand, kernel)) = Stand::start(mpm, "") else {
        return;
    };
    let watching = Watching::start(kernel, stand.httpd().pid());
    let cpu = mpm_observer::lab::allowed_cpus().unwrap()[0];
    let mut stream = TcpStream::connect(stand.httpd().addr()).unwrap();
    exchange(&mut stream, "/alive.txt", false);
    // Not the listener: it would wait for the CPU instead of those that it wakes.
    let look = watching.wait_for("the listener", |look| {
        let mut roles = look.tasks.iter().map(|task| task.role);
        mpm == Mpm::Prefork || roles.any(|role| role == Role::Listener)
    });
    let tids: Vec<u32> = slots(&look).iter().map(|task| task.record.pid).collect();
    starve(&tids, cpu);
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = stop.clone();
    let hog = std::thread::spawn(move || {
        let mut set = CpuSet::new();
        set.set(cpu).unwrap();
        sched_setaffinity(Pid::from_raw(0), &set).unwrap();
        while !stopped.load(Ordering::Relaxed) {
            std::hint::spin_loop();
        }
    });
    let stopped = stop.clone();
    let client = std::thread::spawn(move || {
        while !stopped.load(Ordering::Relaxed) {
            exchange(&mut stream, "/alive.txt", false);
        }
    });
    let look = watching.wait_for("a slot that waits for a CPU", |look| {
        slots(look)
            .iter()
            .any(|task| task.slot == Some(SlotState::RunQueue))
    });
    let waits = |task: &&&mpm_observer::live::TaskLook| task.slot == Some(SlotState::RunQueue);
    let tasks = slots(&look);
    let task = tasks.iter().find(waits).unwrap();
    assert_eq!(task.blocked_in, None);
    stop.store(true, Ordering::Relaxed);
    hog.join().unwrap();
    client.join().unwrap();
    drop(watching);
    stand.stop();
}

#[test]
fn a_woken_child_of_prefork_waits_for_a_cpu() {
    a_woken_task_without_a_cpu_waits_for_it(Mpm::Prefork);
}

#[test]
fn a_woken_thread_of_worker_waits_for_a_cpu() {
    a_woken_task_without_a_cpu_waits_for_it(Mpm::Worker);
}

#[test]
fn a_woken_thread_of_event_waits_for_a_cpu() {
    a_woken_task_without_a_cpu_waits_for_it(Mpm::Event);
}
