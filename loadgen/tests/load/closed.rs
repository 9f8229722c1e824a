//! The closed loop: think time, ramps, warm-up.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::common::{OK, Server, each_engine, outcomes, run};
use loadgen::{Outcome, Pace, Profile, Row, Stage};

const MS: u64 = 1_000_000;

#[test]
fn a_slot_pauses_between_an_outcome_and_its_next_request() {
    each_engine(|| {
        let server = Server::answering(OK);
        let mut config = server.config(60, 3);
        config.keep_alive = true;
        config.pace = Pace::Closed {
            think: Duration::from_millis(40),
            connections: None,
        };
        let (summary, rows) = run(&config);
        assert_eq!(outcomes(&summary), [(Outcome::Ok, 60)]);
        assert_eq!(summary.connections_opened, 3);
        for slot in 0..3 {
            let of_slot: Vec<&Row> = rows.iter().filter(|row| row.slot == slot).collect();
            assert!(of_slot.len() > 1);
            for pair in of_slot.windows(2) {
                assert!(pair[1].start_ns - pair[0].end_ns >= 40 * MS);
            }
        }
    });
}

#[test]
fn the_number_of_connections_follows_its_stages() {
    each_engine(|| {
        let server = Server::start(|mut connection| {
            while connection.request().is_some() {
                // So that there are not too many rows.
                std::thread::sleep(Duration::from_millis(2));
                connection.send(OK);
            }
        });
        let stage = |from, to| Stage {
            from,
            to,
            duration: Duration::from_millis(600),
        };
        // All four have more than half a second to begin in.
        let stages = vec![stage(1.0, 4.0), stage(4.0, 4.0), stage(4.0, 1.0)];
        let mut config = server.config(1, 4);
        config.requests = None;
        config.keep_alive = true;
        config.duration = Some(Duration::from_millis(2400));
        config.pace = Pace::Closed {
            think: Duration::ZERO,
            connections: Some(Profile::new(stages).expect("good")),
        };
        let (summary, rows) = run(&config);
        assert_eq!(summary.failed(), 0);
        // The line reaches k + 0.5 when slot k, from 1 on, may begin.
        for slot in 0..4_u64 {
            let of_slot = || rows.iter().filter(|row| u64::from(row.slot) == slot);
            let first_ns = of_slot()
                .map(|row| row.start_ns)
                .min()
                .expect("all take part");
            let earliest_ns = (2 * slot).saturating_sub(1) * 100 * MS;
            assert!(first_ns - summary.started_ns >= earliest_ns, "slot {slot}");
        }
        // Long after the end of the stages, one is left.
        let last_ns = summary.started_ns + 2100 * MS;
        let late: Vec<&Row> = rows.iter().filter(|row| row.start_ns > last_ns).collect();
        assert!(!late.is_empty() && late.iter().all(|row| row.slot == 0));
        assert_eq!(summary.connections_opened, 4);
    });
}

#[test]
fn what_was_sent_while_warming_up_is_in_no_figure() {
    each_engine(|| {
        let server = Server::answering(OK);
        let mut config = server.config(50, 4);
        config.keep_alive = true;
        config.warm_up = Duration::from_millis(100);
        let (summary, rows) = run(&config);
        assert_eq!(outcomes(&summary), [(Outcome::Ok, 50)]);
        assert!(summary.warm_up_attempts > 0);
        assert_eq!(server.requests(), 50 + summary.warm_up_attempts);
        assert_eq!(summary.bytes_body, 250);
        for row in rows {
            let is_before = row.start_ns < summary.started_ns;
            // One that begins at the very end may be on either side.
            assert!(row.is_warm_up() || !is_before, "{row:?}");
        }
    });
}

#[test]
fn a_connection_is_closed_after_so_many_requests() {
    each_engine(|| {
        let server = Server::answering(OK);
        let mut config = server.config(30, 2);
        config.keep_alive = true;
        config.requests_per_connection = NonZeroU32::new(3);
        let (summary, rows) = run(&config);
        assert_eq!(outcomes(&summary), [(Outcome::Ok, 30)]);
        assert!(rows.iter().all(|row| row.ordinal < 3));
        // Both slots together; the last connection of each may have had fewer.
        assert!((10..=11).contains(&summary.connections_opened));
        assert_eq!(
            server.client_ports().len() as u64,
            summary.connections_opened
        );
    });
}
