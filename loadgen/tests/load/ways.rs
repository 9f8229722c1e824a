//! To what and from where connections lead.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::IpAddr;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{Arc, Mutex};

use crate::common::{OK, Server, config, each_engine, outcomes, run};
use loadgen::{Error, Outcome, Progress, Target, WeightedTarget};

#[test]
fn urls_are_asked_for_as_often_as_their_weights_say_and_rows_know_which() {
    each_engine(|| {
        let seen: Arc<Mutex<BTreeMap<String, u64>>> = Arc::default();
        let counts = Arc::clone(&seen);
        let server = Server::start(move |mut connection| {
            while connection.request().is_some() {
                let text = String::from_utf8_lossy(&connection.last_request);
                let path = text.split(' ').nth(1).unwrap_or_default().to_owned();
                *counts
                    .lock()
                    .expect("not poisoned")
                    .entry(path)
                    .or_default() += 1;
                connection.send(OK);
            }
        });
        let mut config = server.config(1000, 4);
        config.keep_alive = true;
        config.threads = 2;
        config.targets = [("/often", 8), ("/never", 0), ("/seldom", 2)]
            .map(|(path, weight)| WeightedTarget {
                target: Target::http(server.addr, path),
                weight,
            })
            .to_vec();
        let (summary, rows) = run(&config);
        assert_eq!(outcomes(&summary), [(Outcome::Ok, 1000)]);
        let of_url = |url: u16| rows.iter().filter(|row| row.url == url).count() as u64;
        let seen = seen.lock().expect("not poisoned");
        assert_eq!(seen.get("/often"), Some(&of_url(0)));
        assert_eq!(seen.get("/never"), None);
        assert_eq!(seen.get("/seldom"), Some(&of_url(2)));
        // The standard deviation is 13.
        assert!((740..860).contains(&of_url(0)), "{}", of_url(0));
    });
}

#[test]
fn connections_come_from_the_given_addresses_in_turn() {
    each_engine(|| {
        let peers: Arc<Mutex<BTreeSet<IpAddr>>> = Arc::default();
        let seen = Arc::clone(&peers);
        let server = Server::start(move |mut connection| {
            if let Ok(peer) = connection.stream.peer_addr() {
                seen.lock().expect("not poisoned").insert(peer.ip());
            }
            while connection.request().is_some() {
                connection.send(OK);
            }
        });
        let sources: Vec<IpAddr> = ["127.0.0.2", "127.0.0.3", "127.0.0.4"]
            .map(|ip| ip.parse().expect("address"))
            .to_vec();
        let mut config = server.config(60, 6);
        config.threads = 2;
        config.sources.clone_from(&sources);
        let (summary, rows) = run(&config);
        assert_eq!(outcomes(&summary), [(Outcome::Ok, 60)]);
        let expected: BTreeSet<IpAddr> = sources.into_iter().collect();
        assert_eq!(*peers.lock().expect("not poisoned"), expected);
        let local: BTreeSet<IpAddr> = rows.iter().map(|row| row.local().ip()).collect();
        assert_eq!(local, expected);
        assert!(rows.iter().all(|row| row.local_port != 0));
    });
}

#[test]
fn a_source_that_is_not_of_this_machine_is_a_failure_to_connect() {
    each_engine(|| {
        let server = Server::answering(OK);
        let mut config = server.config(10, 2);
        // Kept for documentation (RFC 5737).
        config.sources = vec!["192.0.2.1".parse().expect("address")];
        let (summary, rows) = run(&config);
        assert_eq!(outcomes(&summary), [(Outcome::ConnectFailed, 10)]);
        let errno = |errno: u16| i32::from(errno) == libc::EADDRNOTAVAIL;
        assert!(rows.iter().all(|row| errno(row.errno)));
    });
}

#[test]
fn more_connections_than_ports_are_refused_before_the_run() {
    let mut config = config("127.0.0.1:9".parse().expect("address"), 100_000, 70_000);
    // Whatever the limit of open files is, one of the two limits is lower.
    let _ = loadgen::raise_open_file_limit();
    let stop = std::sync::atomic::AtomicBool::new(false);
    let error = loadgen::run(&config, None, &Progress::new(), &stop).expect_err("too many");
    let is_limit = matches!(error, Error::TooFewFiles { .. } | Error::TooFewPorts { .. });
    assert!(is_limit, "{error}");
    assert!(error.to_string().contains("70000 connections"), "{error}");
    // A unix socket needs no ports.
    config.unix_socket = Some("/nonexistent".into());
    config.concurrency = 10;
    loadgen::check_limits(&config, 10).expect("few");
}

/// Serves every connection of a unix socket with the same answer, until the process ends.
fn serve(listener: UnixListener, answer: Vec<u8>) {
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, answer) = (stream.expect("accepted"), answer.clone());
            std::thread::spawn(move || serve_one(stream, &answer));
        }
    });
}

fn serve_one(mut stream: UnixStream, answer: &[u8]) {
    let mut request = Vec::new();
    let mut piece = [0; 4096];
    while let Ok(count) = stream.read(&mut piece) {
        request.extend_from_slice(&piece[..count]);
        if count == 0 {
            return;
        }
        if request.ends_with(b"\r\n\r\n") {
            assert!(request.windows(18).any(|w| w == b"Host: shop.invalid"));
            request.clear();
            let (head, body) = answer.split_at(40);
            // In two writes, so that the body may come alone.
            let sent = stream.write_all(head).and_then(|()| stream.write_all(body));
            if sent.is_err() {
                return;
            }
        }
    }
}

#[test]
fn a_unix_socket_is_as_good_as_an_address_for_bodies_of_all_sizes() {
    let dir = tempfile::tempdir().expect("temporary directory");
    each_engine(|| {
        for (name, body_bytes) in [("small", 5), ("large", 300_000)] {
            let engine = config("127.0.0.1:9".parse().expect("address"), 1, 1).engine;
            let path = dir.path().join(format!("{name}-{engine:?}"));
            let listener = UnixListener::bind(&path).expect("a socket");
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {body_bytes}\r\n\r\n");
            serve(
                listener,
                [head.as_bytes(), &vec![b'x'; body_bytes]].concat(),
            );
            let mut config = config("127.0.0.1:80".parse().expect("address"), 40, 4);
            config.targets[0].target.host = "shop.invalid".to_owned();
            config.unix_socket = Some(path);
            config.keep_alive = true;
            let (summary, rows) = run(&config);
            assert_eq!(outcomes(&summary), [(Outcome::Ok, 40)]);
            assert_eq!(summary.connections_opened, 4);
            for row in rows {
                assert_eq!((row.body_bytes, row.local_port), (body_bytes as u64, 0));
            }
        }
    });
}

#[test]
fn a_unix_socket_without_a_server_fails_to_connect_or_is_refused() {
    let dir = tempfile::tempdir().expect("temporary directory");
    each_engine(|| {
        let mut config = config("127.0.0.1:80".parse().expect("address"), 10, 2);
        config.unix_socket = Some(dir.path().join("nobody"));
        let (summary, rows) = run(&config);
        assert_eq!(outcomes(&summary), [(Outcome::ConnectFailed, 10)]);
        assert!(rows.iter().all(|row| i32::from(row.errno) == libc::ENOENT));
        let left = dir.path().join("left");
        if !left.exists() {
            drop(UnixListener::bind(&left).expect("a socket"));
        }
        config.unix_socket = Some(left);
        assert_eq!(outcomes(&run(&config).0), [(Outcome::Refused, 10)]);
    });
}
