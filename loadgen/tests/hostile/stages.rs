//! Ended by the server at every stage, in order and by a reset.

use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use crate::common::{Connection, OK, Server, config, each_engine, engine, outcomes, run};
use loadgen::{EngineKind, Outcome, Row};

/// What the server sends before it ends the connection; none of it is a whole answer.
const PARTS: [&[u8]; 21] = [
    b"H",
    b"HTTP/1.1 200",
    b"HTTP/1.1 200 OK\r\n",
    b"HTTP/1.1 200 OK\r\nContent-",
    b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r",
    b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nbody",
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;ext",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nTrail",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nTrailer: x\r\n",
];

/// All of 100 requests must end this way when each is answered with `part` and then ended.
fn ended_after(part: &'static [u8], end: fn(Connection), outcome: Outcome) -> Vec<Row> {
    let server = Server::start(move |mut connection| {
        connection.request();
        connection.send(part);
        end(connection);
    });
    let mut rows = Vec::new();
    for keep_alive in [false, true] {
        let mut config = server.config(100, 10);
        config.keep_alive = keep_alive;
        let (summary, more) = run(&config);
        let part = String::from_utf8_lossy(part);
        assert_eq!(outcomes(&summary), [(outcome, 100)], "{part:?}");
        assert_eq!(summary.connections_opened, 100);
        rows.extend(more);
    }
    assert_eq!(server.requests(), 200);
    rows
}

#[test]
fn an_answer_closed_in_any_part_is_short_and_one_reset_there_is_reset() {
    each_engine(|| {
        for part in PARTS {
            let closed = ended_after(part, drop, Outcome::ShortBody);
            assert!(closed.iter().all(|row| row.errno == 0));
            let reset = ended_after(part, Connection::reset, Outcome::ResetInBody);
            for row in closed.iter().chain(&reset) {
                assert!(row.first_byte_ns != 0, "{row:?}");
                let bytes = u64::from(row.header_bytes) + row.body_bytes;
                // hyper does not tell the length of heads.
                assert!(bytes > 0 || engine() == Some(EngineKind::Hyper), "{row:?}");
                assert!(bytes <= part.len() as u64, "{row:?}");
            }
            let reset_errno = |row: &Row| i32::from(row.errno) == libc::ECONNRESET;
            assert!(reset.iter().all(reset_errno));
        }
    });
}

#[test]
fn a_body_that_ends_with_the_connection_is_complete_when_closed_and_not_when_reset() {
    each_engine(|| {
        let answer = b"HTTP/1.1 200 OK\r\n\r\nas long as it takes";
        let rows = ended_after(answer, drop, Outcome::Ok);
        assert!(rows.iter().all(|row| row.body_bytes == 19));
        ended_after(answer, Connection::reset, Outcome::ResetInBody);
    });
}

#[test]
fn a_whole_answer_counts_however_its_connection_ends() {
    each_engine(|| {
        for end in [drop as fn(Connection), Connection::reset] {
            let server = Server::start(move |mut connection| {
                if connection.request().is_some() {
                    connection.send(OK);
                    end(connection);
                }
            });
            for keep_alive in [false, true] {
                let mut config = server.config(100, 10);
                config.keep_alive = keep_alive;
                let (summary, _) = run(&config);
                // Some may have met a connection that had just ended; these were sent again.
                assert_eq!(summary.outcomes.get(Outcome::Ok), 100);
                assert_eq!(summary.failed(), 0);
                assert_eq!(summary.connections_opened, 100);
            }
        }
    });
}

#[test]
fn a_close_before_the_request_was_read_is_early() {
    each_engine(|| {
        let server = Server::start(Connection::finish);
        let (summary, _) = run(&server.config(100, 10));
        assert_eq!(outcomes(&summary), [(Outcome::ClosedEarly, 100)]);
    });
}

/// Resets before an answer, whether the kernel had taken the request by then or not.
fn are_resets(rows: &[Row]) {
    for row in rows {
        let expected = if row.sent_ns == 0 {
            Outcome::ResetConnecting
        } else {
            Outcome::ResetBeforeFirstByte
        };
        assert_eq!(row.outcome, expected, "{row:?}");
        assert!(row.errno != 0, "{row:?}");
    }
}

#[test]
fn a_reset_right_after_the_connect_is_a_reset_with_and_without_a_request_sent() {
    each_engine(|| {
        let server = Server::start(Connection::reset);
        let (summary, rows) = run(&server.config(100, 10));
        assert_eq!((summary.requests, summary.failed()), (100, 100));
        are_resets(&rows);
    });
}

#[test]
fn connections_reset_in_the_queue_of_the_listener_are_resets() {
    each_engine(|| {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let config = config(listener.local_addr().expect("bound"), 8, 8);
        let (summary, rows) = std::thread::scope(|scope| {
            let run = scope.spawn(|| run(&config));
            let deadline = Instant::now() + Duration::from_secs(20);
            while queued(&listener) < 8 {
                assert!(Instant::now() < deadline, "{} came", queued(&listener));
                std::thread::sleep(Duration::from_millis(1));
            }
            // Nobody will accept them any more.
            drop(listener);
            run.join().expect("no panic")
        });
        assert_eq!((summary.requests, summary.failed()), (8, 8));
        are_resets(&rows);
    });
}

/// Connections that wait to be accepted: of a listening socket, the kernel tells them in this field.
fn queued(listener: &TcpListener) -> u32 {
    // SAFETY: all fields are plain numbers, for which zero is a value.
    let mut info: libc::tcp_info = unsafe { std::mem::zeroed() };
    let mut length = std::mem::size_of_val(&info) as libc::socklen_t;
    // SAFETY: the pointers are to living values, and `length` is the size of the first.
    let result = unsafe {
        libc::getsockopt(
            listener.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            (&raw mut info).cast(),
            &raw mut length,
        )
    };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
    info.tcpi_unacked
}
