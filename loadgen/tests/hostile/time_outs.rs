//! Servers that are slow or stand still.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use crate::common::stopped::{self, StoppedClient};
use crate::common::{OK, Server, config, each_engine, engine, outcomes, run};
use loadgen::{Outcome, Row};
use nix::sys::socket::{Backlog, listen};

const TIMEOUT: Duration = Duration::from_millis(150);

#[test]
fn a_stall_in_any_part_of_the_answer_times_out() {
    each_engine(|| {
        let parts: [&'static [u8]; 9] = [
            b"",
            b"HTTP/1.1 2",
            b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nbody",
            b"HTTP/1.1 100 Continue\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
            b"HTTP/1.1 200 OK\r\n\r\nuntil the end",
        ];
        for part in parts {
            let server = Server::start(move |mut connection| {
                connection.request();
                connection.send(part);
                connection.stall();
            });
            let mut config = server.config(20, 20);
            config.timeout = TIMEOUT;
            let (summary, rows) = run(&config);
            assert_eq!(outcomes(&summary), [(Outcome::Timeout, 20)]);
            server.check_sent(&rows);
            for row in rows {
                assert!(row.end_ns - row.start_ns >= 150_000_000);
                assert_eq!(row.last_byte_ns, 0);
                match row.first_byte_ns {
                    0 => assert!(part.is_empty() || server.was_late(&row), "{row:?}"),
                    _ => assert!(!part.is_empty(), "{row:?}"),
                }
            }
        }
    });
}

#[test]
fn a_server_that_takes_no_more_of_the_request_times_out() {
    each_engine(|| {
        let server = Server::start(|connection| {
            // Holds the connection without reading.
            let mut byte = [0];
            let mut is_counted = false;
            while !matches!(connection.stream.peek(&mut byte), Ok(0) | Err(_)) {
                if !std::mem::replace(&mut is_counted, true) {
                    connection.count();
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        let mut config = server.config(4, 4);
        config.timeout = TIMEOUT;
        config.method = "POST".to_owned();
        config.body = vec![b'x'; 20_000_000];
        let (summary, rows) = run(&config);
        assert_eq!(outcomes(&summary), [(Outcome::Timeout, 4)]);
        server.check_sent(&rows);
        for row in rows {
            assert!(row.request_bytes < 20_000_000, "{row:?}");
        }
    });
}

#[test]
fn an_answer_that_trickles_is_read_to_its_end_or_to_the_time_out() {
    each_engine(|| {
        let server = Server::start(|mut connection| {
            connection.request();
            for byte in OK.chunks(1) {
                connection.send(byte);
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        let (summary, _) = run(&server.config(20, 20));
        assert_eq!(outcomes(&summary), [(Outcome::Ok, 20)]);
        // Some 60 bytes of 5 ms and more: each byte is no new start for the clock.
        let mut config = server.config(20, 20);
        config.timeout = TIMEOUT;
        let (summary, rows) = run(&config);
        assert_eq!(outcomes(&summary), [(Outcome::Timeout, 20)]);
        let is_seen = |row: &Row| row.first_byte_ns != 0 || server.was_late(row);
        assert!(rows.iter().all(is_seen));
    });
}

#[test]
fn a_client_that_stands_still_counts_the_answer_that_came_meanwhile() {
    each_engine(|| {
        let client = StoppedClient::default();
        let at_server = client.clone();
        let server = Server::start(move |mut connection| {
            connection.request();
            let _going = at_server.stop();
            connection.send(OK);
            std::thread::sleep(stopped::TIMEOUT);
        });
        let name = engine().expect("one of them").name();
        let summary = client.run(&["--engine", name, &server.url()]);
        assert_eq!(outcomes(&summary), [(Outcome::Ok, 1)]);
    });
}

#[test]
fn a_retry_has_the_whole_time_again() {
    each_engine(|| {
        let server = Server::start(|mut connection| {
            connection.request();
            connection.send(OK);
            if connection.number == 0 {
                connection.request();
            } else {
                connection.stall();
            }
        });
        let mut config = server.config(2, 1);
        config.keep_alive = true;
        let (summary, rows) = run(&config);
        let expected = [(Outcome::Ok, 2), (Outcome::StaleKeepAlive, 1)];
        assert_eq!(outcomes(&summary), expected);
        assert!(rows[2].is_retry());
    });
}

/// A listener whose queue is full, so that the kernel drops every further connection. What
/// fills it comes along.
fn full_listener() -> (TcpListener, Vec<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listen(&listener, Backlog::new(0).expect("small")).expect("listening");
    let addr: SocketAddr = listener.local_addr().expect("bound");
    let wait = Duration::from_millis(200);
    let connect = || TcpStream::connect_timeout(&addr, wait);
    // Twice in vain: a first time may be that of a machine that was busy.
    let filling = std::iter::from_fn(|| connect().or_else(|_| connect()).ok()).collect();
    (listener, filling)
}

#[test]
fn connecting_has_a_time_out_of_its_own() {
    each_engine(|| {
        let (listener, _filling) = full_listener();
        let mut config = config(listener.local_addr().expect("bound"), 100, 50);
        config.connect_timeout = Some(Duration::from_millis(100));
        let (summary, rows) = run(&config);
        assert_eq!(outcomes(&summary), [(Outcome::Timeout, 100)]);
        for row in rows {
            assert_eq!((row.connected_ns, row.sent_ns), (0, 0));
            assert!(row.end_ns - row.connect_start_ns >= 100_000_000);
            // Far from the 20 s for the whole attempt.
            assert!(row.end_ns - row.connect_start_ns < 10_000_000_000);
        }
    });
}

#[test]
fn the_time_for_connecting_does_not_bound_the_answer() {
    each_engine(|| {
        let server = Server::start(|mut connection| {
            while connection.request().is_some() {
                std::thread::sleep(Duration::from_millis(5_500));
                connection.send(OK);
            }
        });
        let mut config = server.config(10, 10);
        config.keep_alive = true;
        config.connect_timeout = Some(Duration::from_secs(5));
        let (summary, _) = run(&config);
        assert_eq!(outcomes(&summary), [(Outcome::Ok, 10)]);
    });
}
