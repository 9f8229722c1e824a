//! Servers that answer rightly, in all the ways HTTP/1.x has.

mod common;

use std::collections::BTreeSet;
use std::sync::Mutex;

use common::{OK, Server, each_engine, outcomes, run};
use loadgen::{Outcome, Summary};

/// Every request of a run with these answers must be answered; returns its summary.
fn all_ok(server: &Server, keep_alive: bool, body_bytes: u64) -> Summary {
    let mut config = server.config(30, 4);
    config.keep_alive = keep_alive;
    let (summary, rows) = run(&config);
    assert_eq!(outcomes(&summary), [(Outcome::Ok, 30)]);
    assert_eq!(server.requests(), 30);
    for row in rows {
        assert_eq!((row.status, row.body_bytes), (200, body_bytes));
    }
    summary
}

#[test]
fn keep_alive_sends_all_requests_over_one_connection_a_slot() {
    each_engine(|| {
        let summary = all_ok(&Server::answering(OK), true, 5);
        assert_eq!(summary.connections_opened, 4);
        assert_eq!(summary.keep_alive_answers, 30);
        assert_eq!(summary.bytes_received, 30 * OK.len() as u64);
        assert_eq!(summary.server_software.as_deref(), Some("test"));
        assert_eq!(
            (summary.body_min_bytes, summary.body_max_bytes),
            (Some(5), Some(5))
        );
    });
}

#[test]
fn without_keep_alive_every_request_has_a_connection_of_its_own() {
    each_engine(|| {
        let server = Server::answering(OK);
        let summary = all_ok(&server, false, 5);
        assert_eq!(summary.connections_opened, 30);
        assert_eq!(server.client_ports().len(), 30);
    });
}

#[test]
fn rows_carry_the_ports_that_the_server_saw() {
    each_engine(|| {
        let server = Server::answering(OK);
        let (_, rows) = run(&server.config(20, 3));
        let seen: BTreeSet<u16> = server.client_ports().into_iter().collect();
        let written: BTreeSet<u16> = rows.iter().map(|row| row.local_port).collect();
        assert_eq!(written, seen);
        for row in rows {
            assert_eq!(row.remote(), server.addr);
            assert_eq!(row.local().ip(), server.addr.ip());
        }
    });
}

#[test]
fn an_announced_close_is_followed_by_a_new_connection_and_is_not_stale() {
    each_engine(|| {
        let answer = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok";
        let summary = all_ok(&Server::answering_once(answer), true, 2);
        assert_eq!(
            (summary.connections_opened, summary.keep_alive_answers),
            (30, 0)
        );
    });
}

#[test]
fn chunked_bodies_are_counted_without_their_framing() {
    each_engine(|| {
        let answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
        5;a=b\r\nhello\r\n1\r\n!\r\n0\r\nTrailer: x\r\n\r\n";
        let summary = all_ok(&Server::answering(answer), true, 6);
        assert_eq!(summary.connections_opened, 4);
    });
}

#[test]
fn a_body_that_ends_with_the_connection_is_complete() {
    each_engine(|| {
        all_ok(
            &Server::answering_once(b"HTTP/1.0 200 OK\r\n\r\nhello"),
            false,
            5,
        );
        all_ok(
            &Server::answering_once(b"HTTP/1.1 200 OK\r\n\r\nhello"),
            true,
            5,
        );
    });
}

#[test]
fn interim_answers_come_before_the_answer() {
    each_engine(|| {
        let answer = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n\
        HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx";
        all_ok(&Server::answering(answer), true, 1);
    });
}

#[test]
fn an_answer_sent_byte_by_byte_is_read() {
    each_engine(|| {
        let server = Server::start(|mut connection| {
            while connection.request().is_some() {
                for byte in OK.chunks(1) {
                    connection.send(byte);
                }
            }
        });
        all_ok(&server, true, 5);
    });
}

#[test]
fn large_bodies_are_counted_to_the_byte() {
    each_engine(|| {
        const BODY_BYTES: usize = 9_000_001;
        let server = Server::start(|mut connection| {
            while connection.request().is_some() {
                connection.send(
                    format!("HTTP/1.1 200 OK\r\nContent-Length: {BODY_BYTES}\r\n\r\n").as_bytes(),
                );
                connection.send(&vec![b'x'; BODY_BYTES]);
            }
        });
        let summary = all_ok(&server, true, BODY_BYTES as u64);
        assert_eq!(summary.connections_opened, 4);
        assert_eq!(summary.surplus, 0);
    });
}

#[test]
fn large_chunks_are_counted_to_the_byte() {
    each_engine(|| {
        let server = Server::start(|mut connection| {
            while connection.request().is_some() {
                connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
                for _ in 0..4 {
                    connection.send(b"F4240\r\n");
                    connection.send(&[b'x'; 1_000_000]);
                    connection.send(b"\r\n");
                }
                connection.send(b"0\r\n\r\n");
            }
        });
        all_ok(&server, true, 4_000_000);
    });
}

#[test]
fn heads_alone_answer_head_requests() {
    each_engine(|| {
        let server = Server::answering(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n");
        let mut config = server.config(10, 2);
        config.method = "HEAD".to_owned();
        config.keep_alive = true;
        let (summary, _) = run(&config);
        assert_eq!(outcomes(&summary), [(Outcome::Ok, 10)]);
        assert_eq!((summary.connections_opened, summary.bytes_body), (2, 0));
    });
}

#[test]
fn answers_without_a_body_keep_the_connection() {
    each_engine(|| {
        let server = Server::start(|mut connection| {
            while connection.request().is_some() {
                connection.send(b"HTTP/1.1 204 No Content\r\n\r\n");
                if connection.request().is_some() {
                    connection.send(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n");
                }
            }
        });
        let mut config = server.config(10, 1);
        config.keep_alive = true;
        let (summary, _) = run(&config);
        assert_eq!(outcomes(&summary), [(Outcome::Ok, 10)]);
        assert_eq!(summary.connections_opened, 1);
    });
}

#[test]
fn statuses_of_400_and_above_are_told_apart_from_failures() {
    each_engine(|| {
        let server = Server::answering(b"HTTP/1.1 500 Oops\r\nContent-Length: 1\r\n\r\nx");
        let mut config = server.config(30, 4);
        config.keep_alive = true;
        let (summary, rows) = run(&config);
        assert_eq!(outcomes(&summary), [(Outcome::Non2xx, 30)]);
        assert_eq!((summary.failed(), summary.answered()), (0, 30));
        assert!(rows.iter().all(|row| row.status == 500));
    });
}

#[test]
fn bodies_of_varying_length_are_no_failures() {
    each_engine(|| {
        let server = Server::start(|mut connection| {
            let mut length = 1;
            while connection.request().is_some() {
                let body = "x".repeat(length);
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
                connection.send((head + &body).as_bytes());
                length += 1;
            }
        });
        let mut config = server.config(10, 1);
        config.keep_alive = true;
        let (summary, _) = run(&config);
        assert_eq!(outcomes(&summary), [(Outcome::Ok, 10)]);
        assert_eq!(
            (summary.body_min_bytes, summary.body_max_bytes),
            (Some(1), Some(10))
        );
    });
}

#[test]
fn a_request_larger_than_the_socket_buffer_arrives_whole() {
    each_engine(|| {
        let server = Server::answering(OK);
        let mut config = server.config(6, 2);
        config.keep_alive = true;
        config.method = "POST".to_owned();
        config.body = vec![b'x'; 12_000_000];
        let (summary, rows) = run(&config);
        assert_eq!(outcomes(&summary), [(Outcome::Ok, 6)]);
        assert_eq!((server.requests(), summary.connections_opened), (6, 2));
        assert!(rows.iter().all(|row| row.request_bytes > 12_000_000));
    });
}

#[test]
fn an_answer_before_the_request_was_sent_whole_counts() {
    each_engine(|| {
        // Kept open and never read: the request cannot be sent whole.
        let unread = Mutex::new(Vec::new());
        let server = Server::start(move |mut connection| {
            connection.count();
            connection.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n");
            unread.lock().expect("not poisoned").push(connection);
        });
        let mut config = server.config(6, 2);
        config.keep_alive = true;
        config.method = "POST".to_owned();
        config.body = vec![b'x'; 12_000_000];
        let (summary, _) = run(&config);
        assert_eq!(outcomes(&summary), [(Outcome::Non2xx, 6)]);
        assert_eq!(summary.connections_opened, 6);
    });
}

#[test]
fn requests_and_slots_are_shared_out_over_the_threads() {
    each_engine(|| {
        let server = Server::answering(OK);
        let mut config = server.config(1001, 7);
        config.keep_alive = true;
        config.threads = 3;
        let (summary, rows) = run(&config);
        assert_eq!(outcomes(&summary), [(Outcome::Ok, 1001)]);
        let shares: Vec<u64> = summary.threads.iter().map(|t| t.requests).collect();
        assert_eq!(shares, [334, 334, 333]);
        assert_eq!(summary.connections_opened, 7);
        let slots: BTreeSet<(u16, u32)> = rows.iter().map(|r| (r.thread, r.slot)).collect();
        assert_eq!(slots.len(), 7);
    });
}

#[test]
fn fewer_requests_than_slots_open_only_as_many_connections() {
    each_engine(|| {
        let server = Server::answering(OK);
        let mut config = server.config(3, 50);
        config.threads = 8;
        let (summary, _) = run(&config);
        assert_eq!(outcomes(&summary), [(Outcome::Ok, 3)]);
        assert_eq!((summary.connections_opened, summary.threads.len()), (3, 3));
    });
}
