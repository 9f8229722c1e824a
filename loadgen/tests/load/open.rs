//! The open loop.

use std::time::Duration;

use crate::common::{Connection, OK, Server, each_engine, outcomes, run};
use loadgen::{Arrivals, Outcome, Pace, Profile, Row, Stage};

fn pace(arrivals: Arrivals, rate: Profile) -> Pace {
    Pace::Open { arrivals, rate }
}

/// When the requests were due, in nanoseconds since the begin, ascending.
fn due_ns(rows: &[Row], started_ns: u64) -> Vec<u64> {
    let mut due_ns: Vec<u64> = rows
        .iter()
        .map(|row| row.intended_ns - started_ns)
        .collect();
    due_ns.sort_unstable();
    due_ns
}

#[test]
fn requests_are_due_at_even_distances_whatever_the_number_of_threads() {
    each_engine(|| {
        let server = Server::answering(OK);
        for threads in [1, 3] {
            let mut config = server.config(300, 30);
            config.keep_alive = true;
            config.threads = threads;
            config.pace = pace(Arrivals::Constant, Profile::constant(1000.0));
            let (summary, rows) = run(&config);
            assert_eq!(outcomes(&summary), [(Outcome::Ok, 300)]);
            for (index, due_ns) in (0..).zip(due_ns(&rows, summary.started_ns)) {
                assert!(due_ns.abs_diff(index * 1_000_000) <= 2, "{index}: {due_ns}");
            }
            assert!(summary.wall_ns >= 299_000_000);
        }
    });
}

#[test]
fn independent_arrivals_are_the_same_for_the_same_seed() {
    each_engine(|| {
        let server = Server::answering(OK);
        let run_with = |seed: u64| {
            let mut config = server.config(300, 20);
            config.keep_alive = true;
            config.seed = seed;
            config.pace = pace(Arrivals::Poisson, Profile::constant(2000.0));
            let (summary, rows) = run(&config);
            assert_eq!(outcomes(&summary), [(Outcome::Ok, 300)]);
            due_ns(&rows, summary.started_ns)
        };
        let one = run_with(1);
        assert_eq!(one, run_with(1));
        assert_ne!(one, run_with(2));
    });
}

#[test]
fn a_rate_in_stages_ends_with_its_last_one() {
    each_engine(|| {
        let server = Server::answering(OK);
        let stage = |from, to| Stage {
            from,
            to,
            duration: Duration::from_millis(200),
        };
        // 20 in the first part, 40 in the second, 20 in the third.
        let stages = vec![stage(0.0, 200.0), stage(200.0, 200.0), stage(200.0, 0.0)];
        let mut config = server.config(1000, 20);
        config.pace = pace(Arrivals::Constant, Profile::new(stages).expect("good"));
        let (summary, rows) = run(&config);
        assert_eq!(summary.outcomes.get(Outcome::Ok), summary.requests);
        assert!(
            (80..=81).contains(&summary.requests),
            "{}",
            summary.requests
        );
        let due_ns = due_ns(&rows, summary.started_ns);
        let until = |ms: u64| due_ns.iter().filter(|ns| **ns < ms * 1_000_000).count();
        assert!((19..=21).contains(&until(200)), "{due_ns:?}");
        assert!((59..=61).contains(&until(400)), "{due_ns:?}");
    });
}

#[test]
fn requests_that_were_due_and_found_no_slot_until_the_end_are_told() {
    each_engine(|| {
        let server = Server::start(Connection::stall);
        let mut config = server.config(1, 2);
        config.requests = None;
        config.duration = Some(Duration::from_secs(5));
        config.pace = pace(Arrivals::Constant, Profile::constant(1000.0));
        let (summary, rows) = run(&config);
        assert_eq!(outcomes(&summary), [(Outcome::Aborted, 2)]);
        // 5000 were due before the end; what is due at the very end is not of the run.
        assert_eq!(summary.unsent, 4998);
        assert_eq!(due_ns(&rows, summary.started_ns), [0, 1_000_000]);
    });
}

#[test]
fn a_failing_server_does_not_slow_the_schedule_down() {
    each_engine(|| {
        let server = Server::start(|mut connection| {
            connection.request();
            match connection.number % 3 {
                0 => connection.reset(),
                1 => {}
                _ => connection.send(b"garbage"),
            }
        });
        let mut config = server.config(90, 20);
        config.pace = pace(Arrivals::Constant, Profile::constant(500.0));
        let (summary, rows) = run(&config);
        assert_eq!((summary.requests, summary.failed()), (90, 90));
        assert_eq!(due_ns(&rows, summary.started_ns).len(), 90);
        assert_eq!(server.requests(), 90);
    });
}

#[test]
fn a_retry_in_an_open_loop_keeps_the_time_at_which_it_was_due() {
    each_engine(|| {
        let server = Server::start(|mut connection| {
            if connection.request().is_some() {
                connection.send(OK);
                connection.request();
            }
        });
        let mut config = server.config(40, 1);
        config.keep_alive = true;
        config.pace = pace(Arrivals::Constant, Profile::constant(1000.0));
        let (summary, rows) = run(&config);
        assert_eq!(summary.outcomes.get(Outcome::Ok), 40);
        let stale = summary.outcomes.get(Outcome::StaleKeepAlive);
        assert_eq!(
            (summary.stale_retries, server.requests()),
            (stale, 40 + stale)
        );
        assert!(stale > 0);
        for pair in rows.windows(2) {
            if pair[0].outcome == Outcome::StaleKeepAlive {
                assert!(pair[1].is_retry());
                assert_eq!(pair[0].intended_ns, pair[1].intended_ns);
                assert_eq!(pair[0].start_ns, pair[1].start_ns);
            }
        }
    });
}
