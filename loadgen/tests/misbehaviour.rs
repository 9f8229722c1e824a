//! Servers that misbehave: each kind of misbehaviour has its outcome, and no other.

mod common;

use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

use common::{
    ClosedPort, Connection, OK, Server, config, each_engine, engine, outcomes, run, run_until,
};
use loadgen::{EngineKind, Malformed, Outcome, Row};
use nix::sys::socket::{Backlog, listen};

/// With this behaviour on every connection, all requests must end this way, with
/// keep-alive and without, on one thread and on two.
fn always(behaviour: fn(Connection), outcome: Outcome) -> Vec<Row> {
    let mut all = Vec::new();
    for (keep_alive, threads) in [(false, 1), (true, 1), (true, 2)] {
        let server = Server::start(behaviour);
        let mut config = server.config(100, 10);
        config.keep_alive = keep_alive;
        config.threads = threads;
        let (summary, rows) = run(&config);
        assert_eq!(
            outcomes(&summary),
            [(outcome, 100)],
            "keep-alive {keep_alive}"
        );
        assert_eq!(summary.connections_opened, 100);
        all.extend(rows);
    }
    all
}

#[test]
fn a_closed_port_refuses() {
    each_engine(|| {
        let closed = ClosedPort::new();
        let (summary, rows) = run(&config(closed.addr, 100, 10));
        assert_eq!(outcomes(&summary), [(Outcome::Refused, 100)]);
        assert_eq!((summary.connections_opened, summary.bytes_sent), (0, 0));
        for row in rows {
            assert_eq!(i32::from(row.errno), libc::ECONNREFUSED);
            assert_eq!((row.connected_ns, row.sent_ns), (0, 0));
            assert!(row.local_port != 0 && row.connect_start_ns != 0);
        }
    });
}

#[test]
fn an_address_without_a_way_is_another_failure_to_connect() {
    each_engine(|| {
        // TCP does not connect to the broadcast address; the kernel says so at once.
        let (summary, rows) = run(&config(
            "255.255.255.255:9".parse().expect("address"),
            20,
            4,
        ));
        assert_eq!(outcomes(&summary), [(Outcome::ConnectFailed, 20)]);
        assert!(rows.iter().all(|row| row.errno != 0));
    });
}

#[test]
fn a_reset_after_the_request_comes_before_the_first_byte() {
    each_engine(|| {
        let rows = always(
            |mut connection| {
                connection.request();
                connection.reset();
            },
            Outcome::ResetBeforeFirstByte,
        );
        for row in rows {
            assert!(row.sent_ns != 0 && row.first_byte_ns == 0);
            assert_eq!(i32::from(row.errno), libc::ECONNRESET);
        }
    });
}

#[test]
fn a_reset_inside_the_body_keeps_what_came_before() {
    each_engine(|| {
        let rows = always(
            |mut connection| {
                connection.request();
                connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf");
                connection.reset();
            },
            Outcome::ResetInBody,
        );
        for row in rows {
            assert!(row.first_byte_ns != 0 && row.last_byte_ns == 0);
            assert_eq!((row.status, row.body_bytes), (200, 4));
        }
    });
}

#[test]
fn a_close_without_an_answer_on_a_fresh_connection_is_early() {
    each_engine(|| {
        let rows = always(
            |mut connection| {
                connection.request();
            },
            Outcome::ClosedEarly,
        );
        assert!(rows.iter().all(|row| row.first_byte_ns == 0));
    });
}

#[test]
fn a_close_inside_the_body_is_a_short_body() {
    each_engine(|| {
        let rows = always(
            |mut connection| {
                connection.request();
                connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
                connection.send(&[b'x'; 500]);
            },
            Outcome::ShortBody,
        );
        assert!(rows.iter().all(|row| row.body_bytes == 500));
    });
}

#[test]
fn a_close_inside_the_head_or_a_chunk_is_short_too() {
    each_engine(|| {
        always(
            |mut connection| {
                connection.request();
                connection.send(b"HTTP/1.1 200 OK\r\nContent-");
            },
            Outcome::ShortBody,
        );
        always(
            |mut connection| {
                connection.request();
                connection
                    .send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
            },
            Outcome::ShortBody,
        );
    });
}

#[test]
fn garbage_is_malformed_and_says_why() {
    each_engine(|| {
        let rows = always(
            |mut connection| {
                connection.request();
                connection.send(b"garbage, not HTTP");
                connection.stall();
            },
            Outcome::Malformed,
        );
        assert!(rows.iter().all(|row| row.detail == Malformed::Head as u8));
        let rows = always(
            |mut connection| {
                connection.request();
                connection
                    .send(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n");
                connection.stall();
            },
            Outcome::Malformed,
        );
        let conflicting = match engine() {
            // hyper has no name of its own for it.
            Some(EngineKind::Hyper) => Malformed::Head,
            _ => Malformed::ConflictingLengths,
        };
        assert!(rows.iter().all(|row| row.detail == conflicting as u8));
    });
}

#[test]
fn a_head_without_end_is_malformed() {
    each_engine(|| {
        let rows = always(
            |mut connection| {
                connection.request();
                connection.send(b"HTTP/1.1 200 OK\r\nX: ");
                connection.send(&[b'x'; 100_000]);
                connection.stall();
            },
            Outcome::Malformed,
        );
        assert!(
            rows.iter()
                .all(|row| row.detail == Malformed::HeadTooLong as u8)
        );
    });
}

#[test]
fn every_second_connection_closed_leaves_the_others_answered() {
    each_engine(|| {
        let server = Server::start(|mut connection| {
            connection.request();
            if connection.number % 2 == 0 {
                connection.send(OK);
                connection.stall();
            }
        });
        let (summary, _) = run(&server.config(100, 10));
        assert_eq!(
            outcomes(&summary),
            [(Outcome::Ok, 50), (Outcome::ClosedEarly, 50)]
        );
        assert_eq!(server.requests(), 100);
    });
}

#[test]
fn surplus_bytes_leave_the_answer_valid_and_end_the_connection() {
    each_engine(|| {
        let server = Server::answering(
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloand something nobody asked for",
        );
        let mut config = server.config(20, 2);
        config.keep_alive = true;
        let (summary, rows) = run(&config);
        assert_eq!(outcomes(&summary), [(Outcome::Ok, 20)]);
        assert_eq!((summary.surplus, summary.connections_opened), (20, 20));
        assert!(rows.iter().all(|row| row.body_bytes == 5));
    });
}

#[test]
fn surplus_bytes_behind_a_body_dropped_in_the_kernel_are_seen() {
    each_engine(|| {
        let server = Server::start(|mut connection| {
            while connection.request().is_some() {
                connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n");
                connection.send(&[b'x'; 200_007]);
            }
        });
        let mut config = server.config(20, 2);
        config.keep_alive = true;
        let (summary, rows) = run(&config);
        assert!(
            rows.iter()
                .all(|row| row.body_bytes == 200_000 || row.outcome == Outcome::Malformed)
        );
        // Surplus that comes later than the body meets the next request of its connection;
        // either way no request goes on over a connection that is out of step.
        let malformed = summary.outcomes.get(Outcome::Malformed);
        assert_eq!(summary.outcomes.get(Outcome::Ok) + malformed, 20);
        assert!(summary.surplus + malformed > 0);
    });
}

/// Answers `answers` requests on each connection, takes one more, and ends the
/// connection without a word.
fn answering_some(answers: u32, end: fn(Connection)) -> Server {
    Server::start(move |mut connection| {
        for _ in 0..answers {
            if connection.request().is_none() {
                return;
            }
            connection.send(OK);
        }
        if connection.request().is_some() {
            end(connection);
        }
    })
}

#[test]
fn a_stale_keep_alive_connection_is_retried_and_no_failure() {
    each_engine(|| {
        for end in [drop as fn(Connection), Connection::reset] {
            let server = answering_some(3, end);
            let mut config = server.config(30, 1);
            config.keep_alive = true;
            let (summary, rows) = run(&config);
            // Ten connections of three answers; all but the last one saw a fourth request.
            assert_eq!(
                outcomes(&summary),
                [(Outcome::Ok, 30), (Outcome::StaleKeepAlive, 9)]
            );
            assert_eq!((summary.stale_retries, summary.failed()), (9, 0));
            assert_eq!((summary.connections_opened, server.requests()), (10, 39));
            for pair in rows.windows(2) {
                let (row, next) = (pair[0], pair[1]);
                assert_eq!(row.outcome == Outcome::StaleKeepAlive, next.is_retry());
                if next.is_retry() {
                    assert_eq!((row.ordinal, next.ordinal), (3, 0));
                    assert_eq!(row.start_ns, next.start_ns, "the request began only once");
                    assert!(next.connect_start_ns >= row.end_ns);
                }
            }
        }
    });
}

#[test]
fn a_connection_closed_right_after_its_answer_fails_nobody() {
    each_engine(|| {
        // Whether the client has seen the close when it sends again is a race; both ways
        // all requests are answered in the end.
        let server = Server::answering_once(OK);
        let mut config = server.config(200, 10);
        config.keep_alive = true;
        let (summary, _) = run(&config);
        assert_eq!(summary.outcomes.get(Outcome::Ok), 200);
        assert_eq!(summary.failed(), 0);
        assert_eq!(summary.connections_opened, 200);
    });
}

#[test]
fn a_retry_that_fails_is_a_failure_and_is_not_retried_again() {
    each_engine(|| {
        let server = Server::start(|mut connection| {
            connection.request();
            if connection.number == 0 {
                connection.send(OK);
                connection.request();
            }
        });
        let mut config = server.config(2, 1);
        config.keep_alive = true;
        let (summary, rows) = run(&config);
        let expected = [
            (Outcome::Ok, 1),
            (Outcome::ClosedEarly, 1),
            (Outcome::StaleKeepAlive, 1),
        ];
        assert_eq!(outcomes(&summary), expected);
        assert!(rows[2].is_retry() && rows[2].outcome == Outcome::ClosedEarly);
    });
}

#[test]
fn an_answer_that_never_comes_times_out_and_the_run_goes_on() {
    each_engine(|| {
        let server = Server::start(|mut connection| {
            connection.request();
            connection.stall();
        });
        let mut config = server.config(10, 5);
        config.timeout = Duration::from_millis(200);
        config.keep_alive = true;
        let (summary, rows) = run(&config);
        assert_eq!(outcomes(&summary), [(Outcome::Timeout, 10)]);
        server.check_sent(&rows);
        for row in rows {
            assert_eq!(row.first_byte_ns, 0);
            assert!(row.end_ns - row.start_ns >= 200_000_000);
        }
    });
}

#[test]
fn a_body_that_stalls_or_never_ends_times_out() {
    each_engine(|| {
        let stalling = Server::start(|mut connection| {
            connection.request();
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
            connection.stall();
        });
        let endless = Server::start(|mut connection| {
            connection.request();
            connection.send(b"HTTP/1.1 200 OK\r\n\r\nx");
            use std::io::Write;
            while connection.stream.write_all(&[b'x'; 65536]).is_ok() {}
        });
        let endless_chunks = Server::start(|mut connection| {
            connection.request();
            connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n");
            use std::io::Write;
            let chunks = b"1\r\nx\r\n".repeat(10_000);
            while connection.stream.write_all(&chunks).is_ok() {}
        });
        for server in [stalling, endless, endless_chunks] {
            let mut config = server.config(4, 2);
            config.timeout = Duration::from_millis(100);
            let (summary, rows) = run(&config);
            assert_eq!(outcomes(&summary), [(Outcome::Timeout, 4)]);
            for row in rows {
                let is_seen = row.first_byte_ns != 0 && row.status == 200 && row.body_bytes > 0;
                assert!(is_seen || server.was_late(&row), "{row:?}");
            }
        }
    });
}

#[test]
fn a_connection_that_is_never_accepted_times_out_while_connecting() {
    each_engine(|| {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        // A queue of one: the kernel takes the first connections and drops the others.
        listen(&listener, Backlog::new(0).expect("small")).expect("listening");
        let mut config = config(listener.local_addr().expect("bound"), 10, 10);
        config.timeout = Duration::from_millis(300);
        let (summary, rows) = run(&config);
        assert_eq!(outcomes(&summary), [(Outcome::Timeout, 10)]);
        let connected = rows.iter().filter(|row| row.connected_ns != 0).count();
        assert!(
            (1..10).contains(&connected),
            "{connected} got into the queue"
        );
        assert!(rows.iter().all(|row| row.local_port != 0));
    });
}

#[test]
fn a_run_that_is_stopped_lists_what_was_under_way() {
    each_engine(|| {
        let (tell, told) = channel();
        let server = Server::start(move |mut connection| {
            connection.request();
            tell.send(()).expect("the test waits");
            connection.stall();
        });
        let config = server.config(1000, 5);
        let stop = AtomicBool::new(false);
        let (summary, rows) = std::thread::scope(|scope| {
            let run = scope.spawn(|| run_until(&config, &stop));
            for _ in 0..5 {
                told.recv().expect("a request");
            }
            stop.store(true, Ordering::Relaxed);
            run.join().expect("no panic")
        });
        assert_eq!(outcomes(&summary), [(Outcome::Aborted, 5)]);
        assert_eq!((summary.failed(), rows.len()), (0, 5));
    });
}

#[test]
fn a_duration_ends_the_run() {
    each_engine(|| {
        let server = Server::answering(OK);
        let mut config = server.config(1, 5);
        config.requests = None;
        config.keep_alive = true;
        config.duration = Some(Duration::from_millis(500));
        let (summary, _) = run(&config);
        assert!(summary.outcomes.get(Outcome::Ok) > 0);
        assert_eq!(summary.outcomes.get(Outcome::Aborted), 5);
        assert_eq!(summary.failed(), 0);
        assert!(summary.wall_ns >= 500_000_000);
        assert!(summary.answered() <= server.requests());
    });
}

#[test]
fn a_failing_sink_does_not_end_the_run() {
    struct Full;
    impl loadgen::RowSink for Full {
        fn rows(&mut self, _: &[Row]) -> std::io::Result<()> {
            Err(std::io::Error::other("disk full"))
        }
    }
    let server = Server::answering(OK);
    let mut config = server.config(50, 5);
    config.keep_alive = true;
    let progress = loadgen::Progress::new();
    let stop = AtomicBool::new(false);
    let summary = loadgen::run(&config, Some(Box::new(Full)), &progress, &stop).expect("a run");
    assert_eq!(outcomes(&summary), [(Outcome::Ok, 50)]);
    assert_eq!((summary.rows.written, summary.rows.not_written), (0, 50));
    assert_eq!(summary.rows.error.as_deref(), Some("disk full"));
}

#[test]
fn a_cpu_that_does_not_exist_is_named() {
    let server = Server::answering(OK);
    let mut config = server.config(4, 4);
    config.threads = 2;
    config.cpus = vec![1000];
    let progress = loadgen::Progress::new();
    let error = loadgen::run(&config, None, &progress, &AtomicBool::new(false));
    let text = error.expect_err("no such CPU").to_string();
    assert!(text.contains("CPU 1000"), "{text}");
    assert_eq!(server.requests(), 0);
}

#[test]
fn a_summary_comes_back_from_json_as_it_was() {
    let server = Server::answering(OK);
    let (summary, _) = run(&server.config(20, 3));
    let json = serde_json::to_string(&summary).expect("serialisable");
    let back: loadgen::Summary = serde_json::from_str(&json).expect("readable");
    assert_eq!(back, summary);
}
