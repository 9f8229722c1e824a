//! Bodies that are not the expected ones.

use sha2::{Digest, Sha256};

use crate::common::{Connection, OK, Server, each_engine, outcomes, run};
use loadgen::{BodyCheck, Outcome, Target, WeightedTarget};

const BODY_BYTES: usize = 200_000;

fn right() -> Vec<u8> {
    (0..BODY_BYTES).map(|at| (at % 251) as u8).collect()
}

fn send(connection: &mut Connection, body: &[u8]) {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    connection.send(head.as_bytes());
    connection.send(body);
}

/// Of every four answers, the second has one byte changed and the third one too few, with a
/// Content-Length that is right for it.
fn sometimes_wrong() -> Server {
    Server::start(|mut connection| {
        for number in 0.. {
            if connection.request().is_none() {
                return;
            }
            let mut body = right();
            match number % 4 {
                1 => body[BODY_BYTES - 1] ^= 1,
                2 => body.truncate(BODY_BYTES - 1),
                _ => {}
            }
            send(&mut connection, &body);
        }
    })
}

#[test]
fn a_changed_byte_or_a_shorter_body_is_wrong_and_keeps_the_connection() {
    each_engine(|| {
        let hash: [u8; 32] = Sha256::digest(right()).into();
        for check in [BodyCheck::First, BodyCheck::Sha256(hash)] {
            let server = sometimes_wrong();
            let mut config = server.config(40, 1);
            config.keep_alive = true;
            config.verify_body = Some(check);
            let (summary, rows) = run(&config);
            let expected = [(Outcome::Ok, 20), (Outcome::WrongBody, 20)];
            assert_eq!(outcomes(&summary), expected);
            assert_eq!((summary.failed(), summary.answered()), (20, 20));
            assert_eq!((summary.connections_opened, server.requests()), (1, 40));
            for (row, number) in rows.iter().zip(0..) {
                let is_wrong = matches!(number % 4, 1 | 2);
                assert_eq!(row.outcome == Outcome::WrongBody, is_wrong);
                let bytes = BODY_BYTES - usize::from(number % 4 == 2);
                assert_eq!(row.body_bytes, bytes as u64);
            }
            config.verify_body = None;
            assert_eq!(outcomes(&run(&config).0), [(Outcome::Ok, 40)]);
        }
    });
}

#[test]
fn a_foreign_hash_fits_no_body() {
    each_engine(|| {
        let server = Server::answering(OK);
        let mut config = server.config(20, 2);
        config.verify_body = Some(BodyCheck::Sha256([7; 32]));
        assert_eq!(outcomes(&run(&config).0), [(Outcome::WrongBody, 20)]);
        config.verify_body = Some(BodyCheck::Sha256(Sha256::digest(b"hello").into()));
        assert_eq!(outcomes(&run(&config).0), [(Outcome::Ok, 20)]);
    });
}

#[test]
fn a_body_cut_off_is_short_and_not_wrong() {
    each_engine(|| {
        let server = Server::start(|mut connection| {
            connection.request();
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf");
        });
        let mut config = server.config(20, 2);
        config.verify_body = Some(BodyCheck::First);
        assert_eq!(outcomes(&run(&config).0), [(Outcome::ShortBody, 20)]);
    });
}

#[test]
fn chunk_sizes_and_the_end_of_the_connection_are_no_part_of_a_body() {
    each_engine(|| {
        let server = Server::start(|mut connection| {
            if connection.request().is_none() {
                return;
            }
            match connection.number % 3 {
                0 => connection.send(OK),
                1 => connection.send(b"HTTP/1.1 200 OK\r\n\r\nhello"),
                _ => connection.send(
                    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
                      2;x=y\r\nhe\r\n3\r\nllo\r\n0\r\nT: x\r\n\r\n",
                ),
            }
        });
        let mut config = server.config(30, 1);
        config.verify_body = Some(BodyCheck::First);
        assert_eq!(outcomes(&run(&config).0), [(Outcome::Ok, 30)]);
    });
}

#[test]
fn each_url_and_each_thread_has_its_own_first_body_and_errors_have_none() {
    each_engine(|| {
        let server = Server::start(|mut connection| {
            for number in 0.. {
                if connection.request().is_none() {
                    return;
                }
                let path = String::from_utf8_lossy(&connection.last_request[5..6]).into_owned();
                if number % 5 == 0 {
                    connection.send(b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy");
                } else {
                    send(&mut connection, path.repeat(100).as_bytes());
                }
            }
        });
        let mut config = server.config(200, 4);
        config.keep_alive = true;
        config.threads = 2;
        config.verify_body = Some(BodyCheck::First);
        config.targets = ["/a", "/b", "/c"]
            .map(|path| WeightedTarget {
                target: Target::http(server.addr, path),
                weight: 1,
            })
            .to_vec();
        let (summary, rows) = run(&config);
        let refused = summary.outcomes.get(Outcome::Non2xx);
        assert!(refused > 0);
        assert_eq!(summary.outcomes.get(Outcome::Ok), 200 - refused);
        for url in 0..3 {
            assert!(rows.iter().any(|row| row.url == url));
        }
    });
}
