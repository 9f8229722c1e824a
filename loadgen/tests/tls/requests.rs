//! What is answered over TLS: exact counts, bodies and bytes.

use std::collections::BTreeSet;

use loadgen::{BodyCheck, EngineKind, Outcome};

use crate::certificates::{Authority, Kind};
use crate::common::{OK, Server, config, outcomes, run};
use crate::good;
use crate::server::TlsServer;

const SHA256_OF_HELLO: [u8; 32] = [
    0x2c, 0xf2, 0x4d, 0xba, 0x5f, 0xb0, 0xa3, 0x0e, 0x26, 0xe8, 0x3b, 0x2a, 0xc5, 0xb9, 0xe2, 0x9e,
    0x1b, 0x16, 0x1e, 0x5c, 0x1f, 0xa7, 0x42, 0x5e, 0x73, 0x04, 0x33, 0x62, 0x93, 0x8b, 0x98, 0x24,
];

#[test]
fn keep_alive_sends_all_requests_over_one_connection_a_slot() {
    let authority = Authority::new();
    let server = TlsServer::answering(authority.server(&Kind::GOOD, &["http/1.1"]));
    let mut config = config(server.tcp.addr, 300, 4);
    authority.trust(&mut config);
    config.keep_alive = true;
    config.threads = 2;
    let (summary, rows) = run(&config);
    assert_eq!(summary.engine, EngineKind::Hyper);
    assert_eq!(outcomes(&summary), [(Outcome::Ok, 300)]);
    assert_eq!((server.requests(), summary.connections_opened), (300, 4));
    assert_eq!(summary.bytes_received, 300 * OK.len() as u64);
    assert_eq!(summary.server_software.as_deref(), Some("test"));
    assert_eq!(summary.keep_alive_answers, 300);
    for row in rows {
        assert_eq!((row.status, row.body_bytes), (200, 5));
        assert_eq!(row.remote(), server.tcp.addr);
    }
}

#[test]
fn without_keep_alive_every_request_has_a_connection_and_a_handshake_of_its_own() {
    let authority = Authority::new();
    let server = TlsServer::answering(authority.server(&Kind::GOOD, &[]));
    let mut config = config(server.tcp.addr, 60, 4);
    authority.trust(&mut config);
    let (summary, rows) = run(&config);
    assert_eq!(outcomes(&summary), [(Outcome::Ok, 60)]);
    assert_eq!((server.requests(), summary.connections_opened), (60, 60));
    let seen: BTreeSet<u16> = server.tcp.client_ports().into_iter().collect();
    let written: BTreeSet<u16> = rows.iter().map(|row| row.local_port).collect();
    assert_eq!(written, seen);
    assert_eq!(summary.latencies.connect.count(), 60);
}

#[test]
fn the_request_is_the_one_that_is_sent_in_the_clear() {
    let plain = Server::answering(OK);
    let mut config = config(plain.addr, 1, 1);
    config.headers = vec![("X-Test".into(), "a".into())];
    config.engine = Some(EngineKind::Epoll);
    let (_, in_the_clear) = run(&config);
    let authority = Authority::new();
    let server = TlsServer::answering(authority.server(&Kind::GOOD, &[]));
    config.targets[0].target.addr = server.tcp.addr;
    authority.trust(&mut config);
    let (_, rows) = run(&config);
    // The ports in the Host header may differ in length.
    let port_bytes = |port: u16| port.to_string().len() as u32;
    assert_eq!(
        rows[0].request_bytes - port_bytes(server.tcp.addr.port()),
        in_the_clear[0].request_bytes - port_bytes(plain.addr.port())
    );
}

#[test]
fn a_body_is_held_against_its_hash() {
    let (summary, _) = good(
        |mut connection| {
            while connection.request() {
                let body = match connection.number {
                    0 => "hallo",
                    _ => "hello",
                };
                let head = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
                connection.send(format!("{head}{body}").as_bytes());
            }
        },
        |config| config.verify_body = Some(BodyCheck::Sha256(SHA256_OF_HELLO)),
    );
    assert_eq!(
        outcomes(&summary),
        [(Outcome::Ok, 99), (Outcome::WrongBody, 1)]
    );
}

#[test]
fn large_bodies_are_counted_to_the_byte() {
    const BODY_BYTES: usize = 3_000_001;
    let (summary, rows) = good(
        |mut connection| {
            while connection.request() {
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {BODY_BYTES}\r\n\r\n");
                connection.send(head.as_bytes());
                connection.send(&vec![b'x'; BODY_BYTES]);
            }
        },
        |config| config.keep_alive = true,
    );
    assert_eq!(outcomes(&summary), [(Outcome::Ok, 100)]);
    assert_eq!(summary.connections_opened, 10);
    assert!(rows.iter().all(|row| row.body_bytes == BODY_BYTES as u64));
}
