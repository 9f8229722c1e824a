use mpm_observer_common::RequestRecord;

use super::*;
use crate::live::now::Polls;

const READ: Wait = Wait::One(Polls {
    fd: 9,
    to_write: false,
});
const WRITE: Wait = Wait::One(Polls {
    fd: 9,
    to_write: true,
});

fn connection(pickup_ns: u64, sends: u32, full: u32) -> ConnState {
    ConnState {
        request: RequestRecord {
            pickup_ns,
            sends,
            ..RequestRecord::default()
        },
        full,
        ..ConnState::EMPTY
    }
}

fn new() -> ConnState {
    connection(0, 0, 0)
}

fn read() -> ConnState {
    connection(5, 0, 0)
}

fn answered() -> ConnState {
    connection(5, 1, 0)
}

fn full() -> ConnState {
    connection(5, 3, 1)
}

fn state(wait: Wait, connection: Option<&ConnState>, partner: Partner, mpm: Mpm) -> SlotState {
    SlotState::of(Doing::Blocked(wait), connection, partner, mpm)
}

/// What nobody knows more about than the programs.
fn plain(kind: BlockedIn, connection: Option<&ConnState>, mpm: Mpm) -> SlotState {
    state(Wait::In(kind), connection, Partner::Unknown, mpm)
}

#[test]
fn each_state_is_once_in_the_list_and_only_idle_is_not_busy() {
    let mut names: Vec<&str> = SlotState::ALL.iter().map(|state| state.name()).collect();
    let busy = SlotState::ALL.iter().filter(|state| state.is_busy());
    assert_eq!(busy.count(), SlotState::ALL.len() - 1);
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), SlotState::ALL.len());
}

#[test]
fn who_runs_or_waits_for_a_cpu_is_busy_with_and_without_a_connection() {
    for mpm in Mpm::ALL {
        for connection in [None, Some(&new()), Some(&read()), Some(&answered())] {
            let of = |doing| SlotState::of(doing, connection, Partner::Unknown, mpm);
            assert_eq!(of(Doing::Runs), SlotState::OnCpu);
            assert_eq!(of(Doing::WaitsForCpu), SlotState::RunQueue);
        }
    }
}

#[test]
fn without_a_connection_a_slot_waits_for_one() {
    let idle = SlotState::Idle;
    let nobody = Partner::Unknown;
    assert_eq!(state(Wait::Accept, None, nobody, Mpm::Prefork), idle);
    assert_eq!(state(Wait::Events, None, nobody, Mpm::Prefork), idle);
    for mpm in Mpm::ALL {
        assert_eq!(plain(BlockedIn::Futex, None, mpm), idle);
        assert_eq!(plain(BlockedIn::Receive, None, mpm), idle);
        // A lock around accept that is a file's or a semaphore.
        assert_eq!(plain(BlockedIn::Other, None, mpm), idle);
    }
    assert_eq!(plain(BlockedIn::Poll, None, Mpm::Prefork), idle);
}

#[test]
fn an_answered_connection_holds_a_slot_in_prefork_and_worker_and_none_in_event() {
    for mpm in [Mpm::Prefork, Mpm::Worker] {
        let held = state(READ, Some(&answered()), Partner::Unknown, mpm);
        assert_eq!(held, SlotState::KeepAlive);
        let held = plain(BlockedIn::Poll, Some(&answered()), mpm);
        assert_eq!(held, SlotState::KeepAlive);
    }
    let given_back = plain(BlockedIn::Futex, Some(&answered()), Mpm::Event);
    assert_eq!(given_back, SlotState::Idle);
    // In the others a lock taken after the first send is one of the request.
    for mpm in [Mpm::Prefork, Mpm::Worker] {
        let locked = plain(BlockedIn::Futex, Some(&answered()), mpm);
        assert_eq!(locked, SlotState::Lock);
    }
}

#[test]
fn an_event_worker_that_polls_is_not_kept_by_what_it_answered_last() {
    let polls = state(READ, Some(&answered()), Partner::Another, Mpm::Event);
    assert_eq!(polls, SlotState::Other);
    let first_bytes = state(READ, Some(&new()), Partner::Client, Mpm::Event);
    assert_eq!(first_bytes, SlotState::ReadingClient);
}

#[test]
fn half_a_request_holds_a_slot_in_each() {
    for mpm in Mpm::ALL {
        for wait in [READ, Wait::In(BlockedIn::Poll)] {
            let half = state(wait, Some(&read()), Partner::Client, mpm);
            assert_eq!(half, SlotState::ReadingClient);
            let nothing_yet = state(wait, Some(&new()), Partner::Client, mpm);
            assert_eq!(nothing_yet, SlotState::ReadingClient);
        }
    }
}

#[test]
fn a_client_that_does_not_read_holds_a_slot_unless_event_has_given_it_back() {
    for mpm in Mpm::ALL {
        for connection in [full(), answered()] {
            let sending = state(WRITE, Some(&connection), Partner::Client, mpm);
            assert_eq!(sending, SlotState::Sending);
        }
        let sending = plain(BlockedIn::Poll, Some(&full()), mpm);
        assert_eq!(sending, SlotState::Sending);
    }
    let given_back = plain(BlockedIn::Futex, Some(&full()), Mpm::Event);
    assert_eq!(given_back, SlotState::Idle);
}

#[test]
fn what_a_full_socket_took_is_answered_once_the_slot_waits_for_the_next_request() {
    let kept = state(READ, Some(&full()), Partner::Client, Mpm::Worker);
    assert_eq!(kept, SlotState::KeepAlive);
}

#[test]
fn a_backend_is_no_client() {
    for mpm in Mpm::ALL {
        for wait in [READ, WRITE] {
            let backend = state(wait, Some(&read()), Partner::Another, mpm);
            assert_eq!(backend, SlotState::Other);
        }
        let connects = state(WRITE, Some(&read()), Partner::Unknown, mpm);
        assert_eq!(connects, SlotState::Other);
        let events = state(Wait::Events, Some(&read()), Partner::Unknown, mpm);
        assert_eq!(events, SlotState::Other);
    }
}

#[test]
fn a_child_program_or_a_pipe_is_something_else() {
    for mpm in Mpm::ALL {
        for kind in [BlockedIn::Receive, BlockedIn::Send, BlockedIn::Other] {
            assert_eq!(plain(kind, Some(&read()), mpm), SlotState::Other);
        }
    }
}

#[test]
fn locks_and_devices_are_told_apart_while_a_request_is_served() {
    for mpm in Mpm::ALL {
        for kind in [BlockedIn::Futex, BlockedIn::KernelLock] {
            assert_eq!(plain(kind, Some(&read()), mpm), SlotState::Lock);
        }
        for kind in [BlockedIn::File, BlockedIn::Fault] {
            assert_eq!(plain(kind, Some(&read()), mpm), SlotState::Disk);
            assert_eq!(plain(kind, Some(&answered()), mpm), SlotState::Disk);
        }
    }
}

#[test]
fn a_connection_older_than_the_watch_is_known_by_its_socket() {
    for mpm in [Mpm::Prefork, Mpm::Worker] {
        let kept = state(READ, None, Partner::Client, mpm);
        assert_eq!(kept, SlotState::KeepAlive);
        let mut stood = new();
        stood.request.flags = RequestFlags::IN_PART;
        let kept = state(READ, Some(&stood), Partner::Client, mpm);
        assert_eq!(kept, SlotState::KeepAlive);
        let half = state(READ, Some(&stood), Partner::Client, Mpm::Event);
        assert_eq!(half, SlotState::ReadingClient);
        for connection in [None, Some(&stood)] {
            let sending = state(WRITE, connection, Partner::Client, mpm);
            assert_eq!(sending, SlotState::Sending);
        }
    }
}

#[test]
fn a_connection_that_the_server_has_closed_still_holds_its_slot() {
    for mpm in Mpm::ALL {
        let closing = state(READ, None, Partner::ClosingClient, mpm);
        assert_eq!(closing, SlotState::Closing);
        assert!(closing.is_busy());
    }
}

#[test]
fn slots_are_workers_and_preforks_children() {
    for mpm in Mpm::ALL {
        assert!(!is_slot(Role::Parent, true, mpm));
        assert!(!is_slot(Role::Listener, false, mpm));
        assert!(is_slot(Role::Worker, false, mpm));
        assert_eq!(is_slot(Role::Child, true, mpm), mpm == Mpm::Prefork);
        // A module's own thread in a child of prefork.
        assert!(!is_slot(Role::Child, false, mpm));
    }
}
