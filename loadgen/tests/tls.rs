//! HTTP/1.1 over TLS: exact counts, and every way in which TLS can fail has its outcome.

#[path = "common/certificates.rs"]
mod certificates;
mod common;

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use certificates::{Authority, Kind};
use common::{Connection, OK, Server, config, outcomes, run};
use loadgen::{BodyCheck, Config, EngineKind, Outcome, Progress, Row, Summary, Target, TlsFailure};
use nix::sys::socket::{setsockopt, sockopt};
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned, version};

const SHA256_OF_HELLO: [u8; 32] = [
    0x2c, 0xf2, 0x4d, 0xba, 0x5f, 0xb0, 0xa3, 0x0e, 0x26, 0xe8, 0x3b, 0x2a, 0xc5, 0xb9, 0xe2, 0x9e,
    0x1b, 0x16, 0x1e, 0x5c, 0x1f, 0xa7, 0x42, 0x5e, 0x73, 0x04, 0x33, 0x62, 0x93, 0x8b, 0x98, 0x24,
];

/// The server's side of a connection over TLS.
struct Tls {
    stream: StreamOwned<ServerConnection, TcpStream>,
    number: u64,
    /// What counts the requests; it has the socket, too.
    plain: Connection,
}

impl Tls {
    /// Waits for the next whole request without a body.
    fn request(&mut self) -> bool {
        let mut bytes = Vec::new();
        let mut piece = [0; 4096];
        while !bytes.ends_with(b"\r\n\r\n") {
            match self.stream.read(&mut piece) {
                Ok(0) | Err(_) => return false,
                Ok(count) => bytes.extend_from_slice(&piece[..count]),
            }
        }
        self.plain.count();
        true
    }

    fn send(&mut self, bytes: &[u8]) {
        let _ = self
            .stream
            .write_all(bytes)
            .and_then(|()| self.stream.flush());
    }

    /// Closes as TLS wants it; dropping closes without a word.
    fn say_goodbye(mut self) {
        self.stream.conn.send_close_notify();
        let _ = self.stream.flush();
    }

    fn reset(self) {
        let linger = libc::linger {
            l_onoff: 1,
            l_linger: 0,
        };
        setsockopt(&self.stream.sock, sockopt::Linger, &linger).expect("SO_LINGER");
    }

    fn stall(mut self) {
        let mut piece = [0; 4096];
        while matches!(self.stream.read(&mut piece), Ok(count) if count > 0) {}
    }
}

/// A server that behaves over TLS as it is told.
struct TlsServer {
    tcp: Server,
}

impl TlsServer {
    fn start(tls: Arc<ServerConfig>, behaviour: impl Fn(Tls) + Send + Sync + 'static) -> Self {
        let tcp = Server::start(move |connection| {
            let session = ServerConnection::new(Arc::clone(&tls)).expect("a session");
            behaviour(Tls {
                number: connection.number,
                stream: StreamOwned::new(
                    session,
                    connection.stream.try_clone().expect("a second handle"),
                ),
                plain: connection,
            });
        });
        Self { tcp }
    }

    fn answering(tls: Arc<ServerConfig>) -> Self {
        Self::start(tls, |mut connection| {
            while connection.request() {
                connection.send(OK);
            }
        })
    }

    fn requests(&self) -> u64 {
        self.tcp.requests()
    }
}

/// A run of 100 requests, 10 at once, with a certificate that is as it should be.
fn good(behaviour: fn(Tls), change: fn(&mut Config)) -> (Summary, Vec<Row>) {
    let authority = Authority::new();
    let server = TlsServer::start(authority.server(&Kind::GOOD, &[]), behaviour);
    let mut config = config(server.tcp.addr, 100, 10);
    authority.trust(&mut config);
    change(&mut config);
    run(&config)
}

/// Every request must fail by TLS in this way, and the summary must say why.
fn fails(config: &Config, failure: TlsFailure, reason: &str) {
    let (summary, rows) = run(config);
    let requests = config.requests.expect("a number");
    assert_eq!(outcomes(&summary), [(Outcome::ConnectFailed, requests)]);
    let text = summary.tls_failure.expect("a reason");
    assert!(text.contains(reason), "{text}");
    for row in rows {
        assert_eq!((row.detail, row.errno), (failure as u8, 0));
        assert_eq!(row.first_byte_ns, 0);
    }
}

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
fn an_unknown_issuer_is_named_and_can_be_accepted() {
    let authority = Authority::new();
    let server = TlsServer::answering(authority.server(&Kind::GOOD, &[]));
    let mut config = config(server.tcp.addr, 20, 4);
    let other = Authority::new();
    other.trust(&mut config);
    fails(&config, TlsFailure::Certificate, "UnknownIssuer");
    config.ca_file = None;
    config.insecure = true;
    let (summary, _) = run(&config);
    assert_eq!(outcomes(&summary), [(Outcome::Ok, 20)]);
    assert_eq!(summary.tls_failure, None);
}

#[test]
fn another_name_and_a_past_date_are_not_accepted() {
    let authority = Authority::new();
    let other_name = Kind {
        name: "example.org",
        ..Kind::GOOD
    };
    let expired = Kind {
        expired: true,
        ..Kind::GOOD
    };
    for (kind, reason) in [(other_name, "not valid for name"), (expired, "expired")] {
        let server = TlsServer::answering(authority.server(&kind, &[]));
        let mut config = config(server.tcp.addr, 20, 4);
        authority.trust(&mut config);
        fails(&config, TlsFailure::Certificate, reason);
    }
}

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
    let (summary, rows) = good(
        |mut connection| {
            connection.request();
            connection.stall();
        },
        |config| {
            config.timeout = Duration::from_millis(500);
            config.requests = Some(10);
        },
    );
    assert_eq!(outcomes(&summary), [(Outcome::Timeout, 10)]);
    assert!(rows.iter().all(|row| row.sent_ns != 0));
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

#[test]
fn tls_1_2_is_spoken_too() {
    let authority = Authority::new();
    let tls = authority.server_with(&Kind::GOOD, &[], &[&version::TLS12], false);
    let server = TlsServer::answering(tls);
    let mut config = config(server.tcp.addr, 20, 4);
    authority.trust(&mut config);
    let (summary, _) = run(&config);
    assert_eq!(outcomes(&summary), [(Outcome::Ok, 20)]);
}

#[test]
fn a_client_certificate_is_shown_to_a_server_that_asks() {
    let authority = Authority::new();
    for versions in [&version::TLS12, &version::TLS13] {
        let tls = authority.server_with(&Kind::GOOD, &[], &[versions], true);
        let server = TlsServer::answering(tls);
        let mut config = config(server.tcp.addr, 20, 4);
        authority.trust(&mut config);
        fails(&config, TlsFailure::Handshake, "received fatal alert");
        let certificate = authority.issue(&Kind::GOOD);
        config.client_certificate = Some(certificate.path().to_owned());
        let (summary, _) = run(&config);
        assert_eq!(outcomes(&summary), [(Outcome::Ok, 20)]);
    }
}

#[test]
fn what_cannot_be_used_is_named_before_the_run() {
    let server = Server::answering(OK);
    let refused = |change: &dyn Fn(&mut Config), word: &str| {
        let mut config = config(server.addr, 1, 1);
        let authority = Authority::new();
        authority.trust(&mut config);
        change(&mut config);
        let error = loadgen::run(&config, None, &Progress::new(), &AtomicBool::new(false));
        let text = error.expect_err("must be refused").to_string();
        assert!(text.contains(word), "{text}");
    };
    refused(
        &|c| c.ca_file = Some("/nonexistent/ca".into()),
        "/nonexistent/ca",
    );
    refused(&|c| c.ca_file = Some("/dev/null".into()), "no certificate");
    refused(
        &|c| c.client_certificate = Some("/dev/null".into()),
        "/dev/null",
    );
    refused(&|c| c.engine = Some(EngineKind::Epoll), "hyper");
    refused(
        &|c| {
            let mut other = c.targets[0].clone();
            other.target.host = "example.org".into();
            c.targets.push(other);
        },
        "one host",
    );
    assert_eq!(server.requests(), 0);
}

#[test]
fn the_command_line_says_what_to_do_about_an_unknown_issuer() {
    let authority = Authority::new();
    let server = TlsServer::answering(authority.server(&Kind::GOOD, &[]));
    let url = Target::http(server.tcp.addr, "/")
        .url()
        .replace("http:", "https:");
    let loadgen = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_loadgen"))
            .args(["-n", "10", "-q"])
            .args(args)
            .arg(&url)
            .output()
            .expect("started");
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        (output.status.code(), text)
    };
    let ca = authority.path().display().to_string();
    let other = Authority::new();
    let other_ca = other.path().display().to_string();
    let (code, text) = loadgen(&["--cacert", &other_ca]);
    assert_eq!(code, Some(1));
    for words in [
        "could not connect",
        "UnknownIssuer",
        "--cacert",
        "--insecure",
    ] {
        assert!(text.contains(words), "{words:?} is missing in\n{text}");
    }
    let (code, text) = loadgen(&["--cacert", &ca]);
    assert_eq!(code, Some(0), "{text}");
    let (code, text) = loadgen(&["--insecure", "-k"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("Connections opened: 1;"), "{text}");
}
