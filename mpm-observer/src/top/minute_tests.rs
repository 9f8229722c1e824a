use mpm_observer_common::{FailureFlags, FailureSource, RecordKind};
use nix::libc;

use super::*;
use crate::top::made_up::{busy, look, task};

fn failure(source: FailureSource, time_ns: u64) -> FailureRecord {
    FailureRecord {
        kind: RecordKind::Failure as u32,
        source: source as u32,
        time_ns,
        pid: 7,
        tgid: 7,
        ..FailureRecord::default()
    }
}

fn refused(call: libc::c_long, errno: i32, time_ns: u64) -> FailureRecord {
    FailureRecord {
        call: call as u32,
        errno: errno as u32,
        returned: -i64::from(errno),
        ..failure(FailureSource::Call, time_ns)
    }
}

fn end(pid: u32, exit_code: u32) -> TaskRecord {
    TaskRecord {
        pid,
        tgid: pid,
        exit_code,
        exited_ns: SECOND_NS,
        ..TaskRecord::default()
    }
}

fn kinds(minute: &Minute, now_ns: u64) -> Vec<(Kind, u64)> {
    let groups = minute.groups(now_ns);
    groups
        .map(|group| (group.kind.clone(), group.count(now_ns)))
        .collect()
}

#[test]
fn a_failure_is_told_for_a_minute() {
    let mut minute = Minute::default();
    for second in [1, 1, 2, 30] {
        minute.failure(&failure(FailureSource::QueueFull, second * SECOND_NS));
    }
    let count = |now_s: u64| kinds(&minute, now_s * SECOND_NS);
    assert_eq!(count(31), [(Kind::QueueFull, 4)]);
    assert_eq!(count(60), [(Kind::QueueFull, 4)]);
    assert_eq!(count(61), [(Kind::QueueFull, 2)]);
    assert_eq!(count(62), [(Kind::QueueFull, 1)]);
    assert_eq!(count(90), []);
    assert_eq!(count(1_000), []);
}

#[test]
fn a_later_failure_counts_only_with_those_of_its_minute() {
    let mut minute = Minute::default();
    for second in [1, 100, 130] {
        minute.failure(&failure(FailureSource::Reset, second * SECOND_NS));
    }
    assert_eq!(kinds(&minute, 130 * SECOND_NS), [(Kind::Reset, 2)]);
}

#[test]
fn refused_calls_are_grouped_by_what_was_refused() {
    let mut minute = Minute::default();
    for _ in 0..3 {
        minute.failure(&refused(libc::SYS_accept4, libc::EMFILE, SECOND_NS));
    }
    minute.failure(&refused(libc::SYS_openat, libc::EMFILE, SECOND_NS));
    let counts: Vec<u64> = kinds(&minute, SECOND_NS)
        .iter()
        .map(|kind| kind.1)
        .collect();
    assert_eq!(counts, [3, 1]);
}

#[test]
fn memory_is_bounded_whatever_fails() {
    let mut minute = Minute::default();
    for errno in 1..1_000 {
        minute.failure(&refused(libc::SYS_openat, errno, SECOND_NS));
    }
    for pid in 0..100_000 {
        minute.failure(&FailureRecord {
            tgid: pid,
            ..failure(FailureSource::Signal, SECOND_NS)
        });
        minute.look(&look(SECOND_NS, Vec::new()));
    }
    assert_eq!(minute.groups.len(), GROUPS);
    assert!(minute.looks.len() <= LOOKS);
    assert!(minute.signals.known.len() <= REMEMBERED);
    assert!(minute.signals.order.len() <= REMEMBERED);
}

#[test]
fn a_process_that_a_signal_ended_is_told_with_its_sender() {
    let mut minute = Minute::default();
    minute.failure(&FailureRecord {
        signal: 11,
        flags: FailureFlags::BY_KERNEL,
        ..failure(FailureSource::Signal, SECOND_NS)
    });
    minute.ended(&end(7, 11));
    let group = minute.groups(SECOND_NS).next().unwrap();
    assert_eq!(group.kind, Kind::Killed { signal: 11 });
    assert_eq!(group.sender, Sender::Kernel);
}

#[test]
fn the_parents_orders_and_an_ordinary_end_are_no_failures() {
    let mut minute = Minute::default();
    minute.look(&look(SECOND_NS, vec![task(5), task(7)]));
    minute.failure(&FailureRecord {
        signal: 15,
        by_pid: 5,
        ..failure(FailureSource::Signal, SECOND_NS)
    });
    minute.ended(&end(7, 15));
    minute.ended(&end(8, 0));
    assert_eq!(kinds(&minute, SECOND_NS), []);
    // From somebody else it is one.
    minute.failure(&FailureRecord {
        signal: 15,
        by_pid: 99,
        ..failure(FailureSource::Signal, SECOND_NS)
    });
    minute.ended(&end(7, 15));
    let group = minute.groups(SECOND_NS).next().unwrap();
    assert_eq!(group.sender, Sender::Task(99));
}

#[test]
fn who_is_killed_for_memory_is_told_once() {
    let mut minute = Minute::default();
    minute.failure(&failure(FailureSource::OomKill, SECOND_NS));
    minute.ended(&end(7, 9));
    assert_eq!(kinds(&minute, SECOND_NS), [(Kind::OutOfMemory, 1)]);
}

#[test]
fn a_child_that_gives_up_and_a_thread_that_ends_are_told_apart() {
    let mut minute = Minute::default();
    minute.ended(&end(7, 7 << 8));
    minute.ended(&TaskRecord {
        flags: TaskFlags::THREAD,
        ..end(8, 7 << 8)
    });
    let expected = [(Kind::GaveUp { status: 7 }, 1)];
    assert_eq!(kinds(&minute, SECOND_NS), expected);
}

#[test]
fn another_programs_exit_status_is_no_failure_and_its_crash_is() {
    let program = |exit_code| TaskRecord {
        flags: TaskFlags::OTHER_PROGRAM,
        ..end(7, exit_code)
    };
    let mut minute = Minute::default();
    minute.ended(&program(1 << 8));
    assert_eq!(kinds(&minute, SECOND_NS), []);
    minute.ended(&program(11));
    assert_eq!(
        kinds(&minute, SECOND_NS),
        [(Kind::Killed { signal: 11 }, 1)]
    );
}

#[test]
fn slots_are_exhausted_when_all_are_taken_and_somebody_waits() {
    let held = |pid| busy(pid, SlotState::KeepAlive, 5);
    let seen = |tasks, unread| {
        let mut look = look(SECOND_NS, tasks);
        look.connections.unread = unread;
        look.connections.unread_since_ns = u64::from(unread) * 400;
        SlotsSeen::of(&look)
    };
    let exhausted = seen(vec![held(1), held(2)], 1);
    assert!(exhausted.is_exhausted());
    assert_eq!(exhausted.longest_wait_ns, SECOND_NS - 400);
    assert!(!seen(vec![held(1), held(2)], 0).is_exhausted());
    assert!(!seen(vec![held(1), task(2)], 1).is_exhausted());
    let without = seen(vec![], 1);
    assert!(without.is_without() && !without.is_exhausted());
    assert!(!seen(vec![], 0).is_without());
    assert!(!exhausted.is_without());
}

#[test]
fn looks_older_than_a_minute_are_dropped() {
    let mut minute = Minute::default();
    for second in 0..100 {
        minute.look(&look(second * SECOND_NS, Vec::new()));
    }
    assert_eq!(minute.looks().len(), LENGTH_S as usize + 1);
}
