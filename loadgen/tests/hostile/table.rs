//! The ways of failing on which other load generators count wrongly, 100 requests each.

use std::time::Duration;

use crate::common::{Connection, OK, Server, each_engine, outcomes, run};
use loadgen::{Outcome, Summary};

/// 100 requests of keep-alive clients to a server with this behaviour.
fn hundred(behaviour: fn(Connection)) -> (Summary, Server) {
    let server = Server::start(behaviour);
    let mut config = server.config(100, 10);
    config.keep_alive = true;
    let (summary, _) = run(&config);
    assert_eq!(summary.requests, 100);
    (summary, server)
}

/// The same; all must end this way, and the server have seen them all.
fn all(behaviour: fn(Connection), outcome: Outcome) -> Summary {
    let (summary, server) = hundred(behaviour);
    assert_eq!(outcomes(&summary), [(outcome, 100)]);
    assert_eq!(server.requests(), 100);
    summary
}

#[test]
fn a_body_cut_at_500_of_1000_bytes_is_never_complete() {
    each_engine(|| {
        let cut = |mut connection: Connection| {
            connection.request();
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
            connection.send(&[b'x'; 500]);
        };
        let summary = all(cut, Outcome::ShortBody);
        assert_eq!((summary.failed(), summary.bytes_body), (100, 50_000));
    });
}

#[test]
fn a_reset_in_the_body_fails_one_request_and_not_the_run() {
    each_engine(|| {
        let reset = |mut connection: Connection| {
            connection.request();
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
            connection.send(&[b'x'; 500]);
            connection.reset();
        };
        assert_eq!(all(reset, Outcome::ResetInBody).failed(), 100);
    });
}

#[test]
fn a_reset_without_an_answer_fails_one_request_once() {
    each_engine(|| {
        let reset = |mut connection: Connection| {
            connection.request();
            connection.reset();
        };
        let summary = all(reset, Outcome::ResetBeforeFirstByte);
        assert_eq!((summary.failed(), summary.bytes_received), (100, 0));
    });
}

#[test]
fn a_close_without_an_answer_is_no_answer() {
    each_engine(|| {
        let close = |mut connection: Connection| {
            connection.request();
        };
        let summary = all(close, Outcome::ClosedEarly);
        assert_eq!((summary.failed(), summary.answered()), (100, 0));
    });
}

#[test]
fn of_connections_of_which_half_are_closed_half_are_answered() {
    each_engine(|| {
        let (summary, server) = hundred(|mut connection| {
            connection.request();
            if connection.number % 2 == 0 {
                connection
                    .send(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
            }
        });
        let expected = [(Outcome::Ok, 50), (Outcome::ClosedEarly, 50)];
        assert_eq!(outcomes(&summary), expected);
        assert_eq!(server.requests(), 100, "no retry is hidden");
    });
}

#[test]
fn lengths_that_vary_are_no_failures() {
    each_engine(|| {
        let vary = |mut connection: Connection| {
            let mut length = 0;
            while connection.request().is_some() {
                length = (length * 7 + 3) % 1000;
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
                connection.send((head + &"x".repeat(length)).as_bytes());
            }
        };
        let summary = all(vary, Outcome::Ok);
        assert_eq!((summary.failed(), summary.connections_opened), (0, 10));
    });
}

#[test]
fn surplus_bytes_are_counted_and_part_of_no_body() {
    each_engine(|| {
        let surplus = |mut connection: Connection| {
            while connection.request().is_some() {
                connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello, surplus");
            }
        };
        let summary = all(surplus, Outcome::Ok);
        assert_eq!((summary.surplus, summary.bytes_body), (100, 500));
        assert_eq!(summary.connections_opened, 100);
    });
}

#[test]
fn chunk_framing_is_part_of_no_body() {
    each_engine(|| {
        let chunked = |mut connection: Connection| {
            while connection.request().is_some() {
                connection.send(
                    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
                      3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
                );
            }
        };
        let summary = all(chunked, Outcome::Ok);
        assert_eq!((summary.bytes_body, summary.connections_opened), (500, 10));
    });
}

#[test]
fn a_status_of_500_is_answered_and_not_ok() {
    each_engine(|| {
        let fail = |mut connection: Connection| {
            while connection.request().is_some() {
                connection.send(b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n");
            }
        };
        let summary = all(fail, Outcome::Non2xx);
        assert_eq!((summary.answered(), summary.failed()), (100, 0));
    });
}

#[test]
fn an_answer_later_than_the_time_out_fails_its_request_and_no_other() {
    each_engine(|| {
        let server = Server::start(|mut connection| {
            connection.request();
            if connection.number % 2 == 0 {
                return connection.stall();
            }
            loop {
                connection.send(OK);
                if connection.request().is_none() {
                    return;
                }
            }
        });
        let mut config = server.config(100, 10);
        config.timeout = Duration::from_millis(400);
        let (summary, rows) = run(&config);
        let mut answered = 0;
        for row in &rows {
            let is_stalled = server.connection_of(row).is_multiple_of(2);
            match row.outcome {
                Outcome::Ok => {
                    assert!(!is_stalled, "{row:?}");
                    answered += 1;
                }
                Outcome::Timeout => {
                    assert!(is_stalled || server.was_late(row), "{row:?}");
                    assert!(row.end_ns - row.start_ns >= 400_000_000);
                    assert_eq!(row.first_byte_ns, 0);
                }
                _ => panic!("{row:?}"),
            }
        }
        assert_eq!((summary.requests, summary.answered()), (100, answered));
        assert_eq!(summary.failed(), 100 - answered);
    });
}
