//! Connections that end in every stage of TLS: each end has its outcome.

use std::io::Read;
use std::time::Duration;

use loadgen::{Config, Outcome, TlsFailure};

use crate::certificates::{Authority, Kind};
use crate::common::{Connection, OK, Server, config, outcomes, run};
use crate::server::{Tls, TlsServer};
use crate::{fails, good};

#[test]
fn a_server_without_tls_fails_the_handshake() {
    // It reads what is no request, and answers as servers do.
    let server = Server::start(|mut connection| {
        let mut piece = [0; 4096];
        let _ = connection.stream.read(&mut piece);
        connection.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
        connection.stall();
    });
    let mut config = config(server.addr, 20, 4);
    let authority = Authority::new();
    authority.trust(&mut config);
    fails(&config, TlsFailure::Handshake, "corrupt message");
}

#[test]
fn a_handshake_that_stalls_times_out_while_connecting() {
    let server = Server::start(Connection::stall);
    let mut config = config(server.addr, 10, 5);
    let authority = Authority::new();
    authority.trust(&mut config);
    let mut with_limit = config.clone();
    with_limit.connect_timeout = Some(Duration::from_millis(100));
    config.timeout = Duration::from_millis(100);
    for config in [config, with_limit] {
        let (summary, rows) = run(&config);
        assert_eq!(outcomes(&summary), [(Outcome::Timeout, 10)]);
        assert_eq!(summary.connections_opened, 0);
        for row in rows {
            assert_eq!((row.connected_ns, row.request_bytes), (0, 0));
            assert!(row.local_port != 0 && row.end_ns - row.start_ns >= 100_000_000);
        }
    }
}

#[test]
fn an_end_inside_the_handshake_is_told_apart() {
    let ends: [(fn(Connection), Outcome); 2] = [
        (drop, Outcome::ClosedEarly),
        (Connection::reset, Outcome::ResetConnecting),
    ];
    for (end, outcome) in ends {
        let server = Server::start(move |mut connection| {
            // The whole hello is read, as a close with unread bytes is a reset.
            let mut piece = [0; 65536];
            let _ = connection.stream.read(&mut piece);
            end(connection);
        });
        let mut config = config(server.addr, 20, 4);
        let authority = Authority::new();
        authority.trust(&mut config);
        let (summary, _) = run(&config);
        assert_eq!(outcomes(&summary), [(outcome, 20)]);
    }
}

#[test]
fn an_end_inside_the_answer_is_short_or_a_reset() {
    const HALF: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf";
    let ends: [(fn(Tls), Outcome); 3] = [
        (
            |mut connection| {
                connection.request();
                connection.send(HALF);
            },
            Outcome::ShortBody,
        ),
        (
            |mut connection| {
                connection.request();
                connection.send(HALF);
                connection.say_goodbye();
            },
            Outcome::ShortBody,
        ),
        (
            |mut connection| {
                connection.request();
                connection.send(HALF);
                connection.reset();
            },
            Outcome::ResetInBody,
        ),
    ];
    for (end, outcome) in ends {
        for keep_alive in [false, true] {
            let change: fn(&mut Config) = match keep_alive {
                true => |config| config.keep_alive = true,
                false => |_| {},
            };
            let (summary, rows) = good(end, change);
            assert_eq!(outcomes(&summary), [(outcome, 100)]);
            for row in rows {
                assert!(row.body_bytes <= 4 && row.last_byte_ns == 0);
            }
        }
    }
}

#[test]
fn a_body_that_ends_with_the_connection_needs_a_proper_end_of_tls() {
    let (summary, rows) = good(
        |mut connection| {
            connection.request();
            connection.send(b"HTTP/1.1 200 OK\r\n\r\nhello");
            connection.say_goodbye();
        },
        |_| {},
    );
    assert_eq!(outcomes(&summary), [(Outcome::Ok, 100)]);
    assert!(rows.iter().all(|row| row.body_bytes == 5));
    let (summary, _) = good(
        |mut connection| {
            connection.request();
            connection.send(b"HTTP/1.1 200 OK\r\n\r\nhello");
        },
        |_| {},
    );
    assert_eq!(outcomes(&summary), [(Outcome::ShortBody, 100)]);
}

#[test]
fn a_close_or_reset_without_an_answer_is_told_apart() {
    let ends: [(fn(Tls), Outcome); 3] = [
        (drop, Outcome::ClosedEarly),
        (Tls::say_goodbye, Outcome::ClosedEarly),
        (Tls::reset, Outcome::ResetBeforeFirstByte),
    ];
    for (end, outcome) in ends {
        let authority = Authority::new();
        let server = TlsServer::start(authority.server(&Kind::GOOD, &[]), move |mut connection| {
            connection.request();
            end(connection);
        });
        let mut config = config(server.tcp.addr, 50, 5);
        authority.trust(&mut config);
        let (summary, _) = run(&config);
        assert_eq!(outcomes(&summary), [(outcome, 50)]);
        assert_eq!(summary.connections_opened, 50);
    }
}

#[test]
fn a_stale_keep_alive_connection_is_retried_and_no_failure() {
    for end in [drop as fn(Tls), Tls::say_goodbye, Tls::reset] {
        let authority = Authority::new();
        let server = TlsServer::start(authority.server(&Kind::GOOD, &[]), move |mut connection| {
            for _ in 0..3 {
                if connection.request() {
                    connection.send(OK);
                }
            }
            if connection.request() {
                end(connection);
            }
        });
        let mut config = config(server.tcp.addr, 30, 1);
        authority.trust(&mut config);
        config.keep_alive = true;
        let (summary, rows) = run(&config);
        assert_eq!(
            outcomes(&summary),
            [(Outcome::Ok, 30), (Outcome::StaleKeepAlive, 9)]
        );
        assert_eq!((summary.stale_retries, summary.failed()), (9, 0));
        assert_eq!((summary.connections_opened, server.requests()), (10, 39));
        assert_eq!(rows.iter().filter(|row| row.is_retry()).count(), 9);
    }
}

#[test]
fn a_connection_closed_right_after_its_answer_fails_nobody() {
    for end in [drop as fn(Tls), Tls::say_goodbye] {
        let authority = Authority::new();
        let server = TlsServer::start(authority.server(&Kind::GOOD, &[]), move |mut connection| {
            if connection.request() {
                connection.send(OK);
                end(connection);
            }
        });
        let mut config = config(server.tcp.addr, 100, 10);
        authority.trust(&mut config);
        config.keep_alive = true;
        let (summary, _) = run(&config);
        assert_eq!(summary.outcomes.get(Outcome::Ok), 100);
        assert_eq!((summary.failed(), summary.surplus), (0, 0));
        assert_eq!(summary.connections_opened, 100);
    }
}

#[test]
fn every_second_connection_closed_leaves_the_others_answered() {
    let (summary, _) = good(
        |mut connection| {
            connection.request();
            if connection.number % 2 == 0 {
                connection.send(OK);
                connection.stall();
            }
        },
        |_| {},
    );
    assert_eq!(
        outcomes(&summary),
        [(Outcome::Ok, 50), (Outcome::ClosedEarly, 50)]
    );
}

#[test]
fn an_answer_that_never_comes_times_out() {
    let authority = Authority::new();
    let server = TlsServer::start(authority.server(&Kind::GOOD, &[]), |mut connection| {
        connection.request();
        connection.stall();
    });
    let mut config = config(server.tcp.addr, 10, 10);
    authority.trust(&mut config);
    config.timeout = Duration::from_secs(1);
    let (summary, rows) = run(&config);
    assert_eq!(outcomes(&summary), [(Outcome::Timeout, 10)]);
    server.tcp.check_sent(&rows);
}
