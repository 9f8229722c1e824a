//! Connections that do not stay as they were announced.

use std::sync::mpsc::channel;
use std::time::Duration;

use crate::common::{OK, Server, each_engine, outcomes, run};
use loadgen::{Arrivals, Outcome, Pace, Profile};

/// Answers once on each connection, takes one more request, and closes without a word.
fn closing_on_the_second() -> Server {
    Server::start(|mut connection| {
        if connection.request().is_some() {
            connection.send(OK);
            connection.request();
        }
    })
}

#[test]
fn without_retries_a_stale_connection_is_the_requests_outcome_and_a_failure() {
    each_engine(|| {
        let server = closing_on_the_second();
        let mut config = server.config(40, 1);
        config.keep_alive = true;
        config.retry_stale = false;
        let (summary, rows) = run(&config);
        let expected = [(Outcome::Ok, 20), (Outcome::StaleKeepAlive, 20)];
        assert_eq!(outcomes(&summary), expected);
        assert_eq!((summary.requests, summary.stale_retries), (40, 0));
        assert_eq!((summary.failed(), server.requests()), (20, 40));
        assert!(rows.iter().all(|row| !row.is_retry()));
    });
}

#[test]
fn retries_are_counted_and_each_is_a_request_the_server_saw() {
    each_engine(|| {
        let server = closing_on_the_second();
        let mut config = server.config(100, 10);
        config.keep_alive = true;
        let (summary, rows) = run(&config);
        let stale = summary.outcomes.get(Outcome::StaleKeepAlive);
        assert_eq!(summary.outcomes.get(Outcome::Ok), 100);
        assert_eq!((summary.failed(), summary.stale_retries), (0, stale));
        assert_eq!(server.requests(), 100 + stale);
        // But for the last of each slot, every connection met a second request.
        assert!((90..100).contains(&stale), "{stale}");
        let retries = rows.iter().filter(|row| row.is_retry());
        assert!(retries.into_iter().all(|row| row.ordinal == 0));
    });
}

#[test]
fn a_connection_that_closes_while_the_client_thinks_is_noticed_and_not_stale() {
    each_engine(|| {
        let server = Server::answering_once(OK);
        let mut config = server.config(12, 4);
        config.keep_alive = true;
        config.pace = Pace::Closed {
            think: Duration::from_millis(500),
            connections: None,
        };
        let (summary, _) = run(&config);
        assert_eq!(outcomes(&summary), [(Outcome::Ok, 12)]);
        assert_eq!((summary.connections_opened, server.requests()), (12, 12));
    });
}

#[test]
fn a_connection_that_closes_before_the_next_request_is_due_is_not_stale() {
    each_engine(|| {
        let server = Server::answering_once(OK);
        let mut config = server.config(6, 1);
        config.keep_alive = true;
        config.pace = Pace::Open {
            arrivals: Arrivals::Constant,
            rate: Profile::constant(4.0),
        };
        let (summary, _) = run(&config);
        assert_eq!(outcomes(&summary), [(Outcome::Ok, 6)]);
        assert_eq!((summary.connections_opened, server.requests()), (6, 6));
    });
}

#[test]
fn a_second_answer_that_nobody_asked_for_is_a_surplus_and_answers_no_request() {
    each_engine(|| {
        let (tell, told) = channel();
        let server = Server::start(move |mut connection| {
            if connection.request().is_some() {
                connection.send(OK);
                connection.send(OK);
                // The client closes; it does not ask again here.
                let _ = tell.send(connection.request().is_none());
            }
        });
        let mut config = server.config(3, 1);
        config.keep_alive = true;
        config.pace = Pace::Closed {
            think: Duration::from_secs(1),
            connections: None,
        };
        let (summary, rows) = run(&config);
        assert_eq!(outcomes(&summary), [(Outcome::Ok, 3)]);
        assert_eq!((summary.connections_opened, server.requests()), (3, 3));
        // After the last answer the run is over, whatever follows.
        assert!((2..=3).contains(&summary.surplus), "{}", summary.surplus);
        assert!(rows.iter().all(|row| row.body_bytes == 5));
        let wait = Duration::from_secs(20);
        assert!((0..3).all(|_| told.recv_timeout(wait).expect("a close")));
    });
}

#[test]
fn a_connection_announced_to_close_is_left_even_if_it_stays_open() {
    each_engine(|| {
        let answer = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok";
        let server = Server::answering(answer);
        let mut config = server.config(100, 10);
        config.keep_alive = true;
        let (summary, rows) = run(&config);
        assert_eq!(outcomes(&summary), [(Outcome::Ok, 100)]);
        assert_eq!(summary.connections_opened, 100);
        assert_eq!(summary.keep_alive_answers, 0);
        assert!(rows.iter().all(|row| !row.is_reused()));
    });
}

#[test]
fn a_keep_alive_that_is_announced_and_not_kept_fails_nobody() {
    let answers: [&'static [u8]; 2] = [
        b"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok",
    ];
    each_engine(|| {
        for answer in answers {
            let server = Server::answering_once(answer);
            let mut config = server.config(100, 10);
            config.keep_alive = true;
            let (summary, _) = run(&config);
            assert_eq!(summary.outcomes.get(Outcome::Ok), 100);
            assert_eq!((summary.failed(), summary.connections_opened), (0, 100));
        }
    });
}
