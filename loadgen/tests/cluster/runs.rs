//! Whole runs with workers on loopback.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

use loadgen::cluster::{Fleet, FleetError, Key};
use loadgen::{Arrivals, Outcome, Pace, Profile, Row};

use crate::common::{ClosedPort, OK, Server, each_engine};
use crate::{Here, PATIENCE, addresses, fleet, refused, run, run_until};

/// When each thread's first request began.
fn first_starts(rows: &[Row]) -> BTreeMap<u16, u64> {
    let mut starts = BTreeMap::new();
    for row in rows {
        let first = starts.entry(row.thread).or_insert(row.start_ns);
        *first = row.start_ns.min(*first);
    }
    starts
}

#[test]
fn two_workers_do_exactly_what_one_run_asks_for() {
    each_engine(|| {
        let server = Server::answering(OK);
        let (two, three) = (Here::start(2), Here::start(3));
        let addresses = addresses(&[&two, &three]);
        let mut config = server.config(1003, 11);
        config.keep_alive = true;
        let (run, rows) = run(&config, &fleet(&addresses)).expect("a run");
        assert_eq!(server.requests(), 1003);
        assert_eq!(run.summary.outcomes.get(Outcome::Ok), 1003);
        assert_eq!(run.summary.connections_opened, 11);
        assert_eq!(rows.len(), 1003);
        // Divided by thread: 201, 201, 201, 200, 200.
        let requests: Vec<_> = run.report.workers.iter().map(|w| w.requests).collect();
        assert_eq!(requests, [Some(402), Some(601)]);
        let starts = first_starts(&rows);
        assert!(starts.keys().copied().eq(0..5));
        let (first, last) = (starts.values().min(), starts.values().max());
        let spread_ns = last.expect("some") - first.expect("some");
        assert!(spread_ns <= run.report.start_spread_ns.expect("known"));
    });
}

#[test]
fn the_schedules_of_the_workers_interleave_to_one() {
    let server = Server::answering(OK);
    let (a, b) = (Here::start(1), Here::start(2));
    let addresses = addresses(&[&a, &b]);
    let mut config = server.config(90, 9);
    config.keep_alive = true;
    config.pace = Pace::Open {
        arrivals: Arrivals::Constant,
        rate: Profile::constant(300.0),
    };
    let (run, rows) = run(&config, &fleet(&addresses)).expect("a run");
    assert_eq!(server.requests(), 90);
    let mut due: Vec<u64> = rows.iter().map(|row| row.intended_ns).collect();
    due.sort_unstable();
    let tolerance_ns = 2 * run.report.clock_bound_ns + 1000;
    for (number, due_ns) in (0..).zip(&due) {
        let expected_ns = due[0] + number * 1_000_000_000 / 300;
        assert!(
            due_ns.abs_diff(expected_ns) <= tolerance_ns,
            "request {number} is due {due_ns}, not {expected_ns}"
        );
    }
    assert_eq!(run.summary.unsent, 0);
}

#[test]
fn fewer_connections_than_threads_are_dealt_out_and_fewer_than_workers_refused() {
    let server = Server::answering(OK);
    let (a, b) = (Here::start(8), Here::start(8));
    let addresses = addresses(&[&a, &b]);
    let (run, rows) = run(&server.config(9, 3), &fleet(&addresses)).expect("a run");
    let threads: Vec<u16> = run.report.workers.iter().map(|w| w.threads).collect();
    assert_eq!((threads, rows.len()), (vec![2, 1], 9));
    let error = refused(&server.config(9, 1), &fleet(&addresses));
    assert!(error.contains("2 workers"), "{error}");
    let one_each = Fleet {
        threads_each: Some(1),
        ..fleet(&addresses)
    };
    let (run, _) = crate::run(&server.config(9, 9), &one_each).expect("a run");
    assert_eq!(run.summary.threads.len(), 2);
}

#[test]
fn failures_are_outcomes_on_workers_too() {
    let server = Server::start(|mut connection| {
        connection.request();
    });
    let (a, b) = (Here::start(1), Here::start(1));
    let addresses = addresses(&[&a, &b]);
    let (run, _) = run(&server.config(20, 2), &fleet(&addresses)).expect("a run");
    assert_eq!(run.summary.outcomes.get(Outcome::ClosedEarly), 20);
    assert_eq!(server.requests(), 20);
}

#[test]
fn stopping_the_coordinator_stops_every_worker_which_then_serves_the_next() {
    let (tell, told) = channel();
    let server = Server::start(move |mut connection| {
        connection.request();
        let _ = tell.send(());
        connection.stall();
    });
    let (a, b) = (Here::start(1), Here::start(1));
    let addresses = addresses(&[&a, &b]);
    let mut config = server.config(4, 4);
    config.requests = None;
    config.timeout = Duration::from_secs(600);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let running = scope.spawn(|| run_until(&config, &fleet(&addresses), &stop));
        for _ in 0..4 {
            told.recv_timeout(PATIENCE).expect("a request");
        }
        let busy = refused(&config, &fleet(&addresses[1..]));
        assert!(busy.contains("another coordinator"), "{busy}");
        assert!(busy.contains(&addresses[1]), "{busy}");
        stop.store(true, Ordering::SeqCst);
        let (run, rows) = running.join().expect("joined").expect("a run");
        assert_eq!(run.summary.outcomes.get(Outcome::Aborted), 4);
        assert_eq!(rows.len(), 4);
    });
    let answering = Server::answering(OK);
    run(&answering.config(10, 2), &fleet(&addresses)).expect("the next run");
    assert_eq!(answering.requests(), 10);
}

#[test]
fn a_run_stopped_before_its_start_has_sent_nothing() {
    let server = Server::answering(OK);
    let worker = Here::start(1);
    let stop = AtomicBool::new(true);
    let addresses = addresses(&[&worker]);
    let stopped = run_until(&server.config(9, 1), &fleet(&addresses), &stop);
    assert!(matches!(stopped, Err(FleetError::Stopped)));
    assert_eq!(server.requests(), 0);
}

#[test]
fn a_worker_that_cannot_be_reached_keeps_the_others_from_beginning() {
    let server = Server::answering(OK);
    let worker = Here::start(1);
    let closed = ClosedPort::new();
    let gone = closed.addr.to_string();
    let addresses = [worker.address(), gone.clone()];
    let error = refused(&server.config(9, 2), &fleet(&addresses));
    assert!(error.starts_with(&format!("worker {gone}: it cannot be reached")));
    assert_eq!(error.lines().count(), 1, "{error}");
    assert_eq!(server.requests(), 0);
    run(&server.config(9, 2), &fleet(&addresses[..1])).expect("free again");
}

#[test]
fn what_a_worker_cannot_do_is_said_before_anything_begins() {
    let server = Server::answering(OK);
    let (a, b) = (Here::start(1), Here::start(1));
    let addresses = addresses(&[&a, &b]);
    let mut config = server.config(1, 1);
    config.requests = None;
    config.duration = Some(Duration::from_secs(1));
    config.concurrency = u32::MAX;
    let error = refused(&config, &fleet(&addresses));
    assert!(error.contains("ulimit -n"), "{error}");
    assert!(addresses.iter().all(|address| error.contains(address)));
    assert_eq!(server.requests(), 0);
}

#[test]
fn a_worker_with_a_key_works_only_for_who_has_it() {
    let key = |text: &str| {
        let file = tempfile::NamedTempFile::new().expect("temporary file");
        std::fs::write(file.path(), text).expect("written");
        Key::read(file.path()).expect("a key")
    };
    let (right, wrong) = (key("one secret of many"), key("one secret of mine"));
    let server = Server::answering(OK);
    let (locked, open) = (Here::with_key(1, Some(right.clone())), Here::start(1));
    let config = server.config(5, 1);
    let with = |worker: &Here, key| {
        let addresses = [worker.address()];
        let fleet = Fleet {
            key,
            ..fleet(&addresses)
        };
        run(&config, &fleet)
            .map(|(run, _)| run.summary.requests)
            .map_err(|error| error.to_string())
    };
    assert_eq!(with(&locked, Some(&right)), Ok(5));
    assert!(
        with(&locked, Some(&wrong))
            .expect_err("refused")
            .contains("not the right one")
    );
    assert!(
        with(&locked, None)
            .expect_err("refused")
            .contains("wants a key")
    );
    assert!(
        with(&open, Some(&right))
            .expect_err("refused")
            .contains("without a key")
    );
    assert_eq!(server.requests(), 5);
    locked.says(&["refused: the key"]);
}
