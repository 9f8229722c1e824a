//! Peers that lie, stall or leave.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::channel;
use std::time::Duration;

use loadgen::cluster::Fleet;
use loadgen::{Config, Part};

use crate::common::{OK, Server};
use crate::{Here, PATIENCE, addresses, fleet, refused, run};

fn frame(text: &str) -> Vec<u8> {
    let length = u32::try_from(text.len()).expect("short");
    [&length.to_le_bytes()[..], &[0], text.as_bytes()].concat()
}

/// Reads one frame and returns its content; `None` when the connection ends.
fn heard(stream: &mut TcpStream) -> Option<String> {
    let mut header = [0; 5];
    stream.read_exact(&mut header).ok()?;
    let length = u32::from_le_bytes(header[..4].try_into().expect("four bytes"));
    let mut content = vec![0; length as usize];
    stream.read_exact(&mut content).ok()?;
    Some(String::from_utf8_lossy(&content).into_owned())
}

const VERSION: &str = env!("CARGO_PKG_VERSION");

fn greeting(version: &str) -> Vec<u8> {
    frame(&format!(
        r#"{{"greeting":{{"program":"loadgen","version":"{version}","protocol":1,"nonce":null}}}}"#
    ))
}

fn hello(version: &str) -> Vec<u8> {
    frame(&format!(
        r#"{{"hello":{{"version":"{version}","protocol":1,"proof":null}}}}"#
    ))
}

/// What a coordinator says of a worker that sends this and then `closes`, or is silent.
fn worker_saying(bytes: Vec<u8>, closes: bool) -> String {
    let server = Server::answering(OK);
    let good = Here::start(1);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound").to_string();
    let fake = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a coordinator");
        let _ = stream.write_all(&bytes);
        if closes {
            let _ = stream.shutdown(std::net::Shutdown::Write);
        }
        // Until the coordinator gives up.
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let addresses = [good.address(), address.clone()];
    let error = refused(&server.config(10, 2), &fleet(&addresses));
    fake.join().expect("joined");
    assert_eq!(server.requests(), 0, "nothing may begin");
    let named = format!("worker {address}: ");
    error
        .strip_prefix(&named)
        .unwrap_or_else(|| panic!("{error:?} does not begin with {named:?}"))
        .to_owned()
}

#[test]
fn what_is_no_worker_is_told_from_one_of_another_version() {
    for not_a_worker in [
        &b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"[..],
        b"\x03\x00\x00\x00\x00abc",
        b"",
        &frame("\"alive\""),
    ] {
        let said = worker_saying(not_a_worker.to_vec(), true);
        assert!(said.contains("no loadgen worker"), "{said}");
    }
    let said = worker_saying(greeting("0.0.1-old"), true);
    assert!(
        said.contains("0.0.1-old") && said.contains(VERSION),
        "{said}"
    );
}

#[test]
fn a_worker_that_stops_talking_is_not_waited_for_forever() {
    let said = worker_saying(Vec::new(), false);
    assert!(said.contains("nothing came from it for 5 s"), "{said}");
    let said = worker_saying(greeting(VERSION), false);
    assert!(said.contains("nothing came from it for 5 s"), "{said}");
}

#[test]
fn a_worker_that_lies_before_the_start_is_found_out() {
    let after_greeting = |more: &[u8]| [&greeting(VERSION), more].concat();
    let offer = frame(r#"{"offer":{"threads":1}}"#);
    for (bytes, word) in [
        (after_greeting(b""), "closed"),
        (after_greeting(&frame("{}")), "cannot be understood"),
        (after_greeting(&frame("\"ready\"")), "no offer"),
        (after_greeting(b"\xff\xff\xff\xff\x00"), "4294967295 bytes"),
        (
            after_greeting(&frame(r#"{"refused":{"reason":"tired"}}"#)),
            "tired",
        ),
        (after_greeting(&offer), "closed"),
        (
            after_greeting(&[&offer[..], &frame("\"bye\"")].concat()),
            "not ready",
        ),
        (
            after_greeting(&[&offer[..], &frame("\"ready\""), &frame("\"ready\"")].concat()),
            "no answer to a ping",
        ),
    ] {
        let said = worker_saying(bytes, true);
        assert!(said.contains(word), "{said:?} does not say {word:?}");
    }
}

#[test]
fn coordinators_that_lie_or_stall_do_not_keep_a_worker_from_working() {
    let worker = Here::start(1);
    let after_hello = |more: &[u8]| [&hello(VERSION), more].concat();
    let stalled: Vec<TcpStream> = (0..5)
        .map(|_| TcpStream::connect(worker.addr).expect("connected"))
        .collect();
    for bytes in [
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
        // More than a stranger may send, though a coordinator might.
        [&5000_u32.to_le_bytes()[..], &[0]].concat(),
        hello("0.0.1-old"),
        after_hello(b"\xff\xff\xff\xff\x00"),
        after_hello(&frame("nonsense")),
        after_hello(&frame(r#"{"start":{"at_ns":1}}"#)),
        after_hello(&frame(r#"{"order":{}}"#)),
        after_hello(&frame("\"ready\"")),
        after_hello(b"\x00\x00"),
    ] {
        let mut stream = TcpStream::connect(worker.addr).expect("connected");
        let _ = stream.write_all(&bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        // The worker ends the connection; how is its affair.
        let _ = stream.read_to_end(&mut Vec::new());
    }
    let server = Server::answering(OK);
    run(&server.config(10, 2), &fleet(&addresses(&[&worker]))).expect("a run");
    assert_eq!(server.requests(), 10);
    worker.says(&["the coordinator is 0.0.1-old"]);
    drop(stalled);
}

/// Far enough off for a worker to be ready by then, also where it has to wait for a CPU.
const SOON_NS: i64 = 10_000_000_000;

/// Orders a run as a coordinator does, and starts it `in_ns` after now.
fn order(stream: &mut TcpStream, config: &Config, in_ns: i64) {
    let part = serde_json::to_string(&Part::whole(config)).expect("JSON");
    let config = serde_json::to_string(config).expect("JSON");
    let order = format!(r#"{{"order":{{"config":{config},"part":{part},"wants_rows":true}}}}"#);
    let mut say = |bytes: &[u8]| stream.write_all(bytes).expect("sent");
    say(&hello(VERSION));
    say(&frame(&order));
    let at_ns = loadgen::clock::monotonic_ns().saturating_add_signed(in_ns);
    say(&frame(&format!(r#"{{"start":{{"at_ns":{at_ns}}}}}"#)));
}

#[test]
fn a_coordinator_that_vanishes_ends_the_run() {
    let (tell, told) = channel();
    let (tell_end, ended) = channel();
    let server = Server::start(move |mut connection| {
        connection.request();
        let _ = tell.send(());
        connection.stall();
        let _ = tell_end.send(());
    });
    let worker = Here::start(1);
    let mut config = server.config(3, 3);
    config.timeout = Duration::from_secs(600);
    let mut stream = TcpStream::connect(worker.addr).expect("connected");
    order(&mut stream, &config, SOON_NS);
    for _ in 0..3 {
        told.recv_timeout(PATIENCE).expect("a request");
    }
    drop(stream);
    // The worker closes its connections: nothing else lets the server's stalls end.
    for _ in 0..3 {
        ended.recv_timeout(PATIENCE).expect("a close");
    }
    let answering = Server::answering(OK);
    run(&answering.config(5, 1), &fleet(&addresses(&[&worker]))).expect("the next run");
    worker.says(&["it closed the connection", "connection broke"]);
}

#[test]
fn a_coordinator_that_falls_silent_ends_the_run() {
    let (tell_end, ended) = channel();
    let server = Server::start(move |mut connection| {
        connection.request();
        connection.stall();
        let _ = tell_end.send(());
    });
    let worker = Here::start(1);
    let mut config = server.config(1, 1);
    config.timeout = Duration::from_secs(600);
    let mut stream = TcpStream::connect(worker.addr).expect("connected");
    order(&mut stream, &config, SOON_NS);
    ended
        .recv_timeout(PATIENCE)
        .expect("the run ends though the connection stands");
    // What the worker has to say ends, too.
    while heard(&mut stream).is_some() {}
    worker.says(&["nothing came from it for 10 s"]);
}

#[test]
fn a_start_in_the_past_is_refused() {
    let server = Server::answering(OK);
    let worker = Here::start(1);
    let mut stream = TcpStream::connect(worker.addr).expect("connected");
    order(&mut stream, &server.config(5, 1), -1_000_000_000);
    let failed = std::iter::from_fn(|| heard(&mut stream)).find(|said| said.contains("failed\":{"));
    let failed = failed.expect("a reason");
    assert!(failed.contains("had passed"), "{failed}");
    assert_eq!(server.requests(), 0);
}

#[test]
fn an_order_that_makes_no_sense_is_refused_by_the_worker_itself() {
    let server = Server::answering(OK);
    let worker = Here::start(1);
    let mut config = server.config(5, 1);
    config.method = "G T".to_owned();
    let mut stream = TcpStream::connect(worker.addr).expect("connected");
    order(&mut stream, &config, 0);
    let failed = std::iter::from_fn(|| heard(&mut stream)).find(|said| said.contains("failed\":{"));
    assert!(failed.expect("a reason").contains("not a request method"));
}

#[test]
fn a_body_too_long_for_an_order_is_named() {
    let server = Server::answering(OK);
    let worker = Here::start(1);
    let mut config = server.config(1, 1);
    // Four characters for each byte in the order.
    config.body = vec![200; 20 << 20];
    let addresses = addresses(&[&worker]);
    let error = refused(&config, &fleet(&addresses));
    assert!(error.contains("request body"), "{error}");
    let twice = [addresses[0].clone(), addresses[0].clone()];
    let fleet = Fleet {
        addresses: &twice,
        ..fleet(&addresses)
    };
    let error = refused(&server.config(9, 9), &fleet);
    assert!(error.contains("another coordinator"), "{error}");
}
