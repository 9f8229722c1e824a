//! What slow clients do to a real socket.

mod common;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use loadgen::hold::{Config, Fate, Holder, Kind, Standing};
use loadgen::{Error, Outcome, Target};

const PATIENCE: Duration = Duration::from_secs(20);
static NEVER: AtomicBool = AtomicBool::new(false);

fn listen() -> (TcpListener, Target) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let addr = listener.local_addr().expect("bound");
    let target = Target::parse(&format!("http://{addr}/file")).expect("good");
    (listener, target)
}

fn accept(listener: &TcpListener) -> TcpStream {
    let (stream, _) = listener.accept().expect("a client");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream
}

/// Reads up to and including a mark.
fn read_to(stream: &mut TcpStream, mark: &str) -> String {
    let mut text = String::new();
    let mut byte = [0];
    while !text.ends_with(mark) {
        stream.read_exact(&mut byte).expect("more bytes");
        text.push(char::from(byte[0]));
    }
    text
}

#[test]
fn half_a_head_is_never_ended_and_goes_on_until_it_is_let_go() {
    let (listener, target) = listen();
    let every = Duration::from_millis(10);
    let holder = Holder::start(&Config {
        target,
        connections: 1,
        kind: Kind::HalfHeader { every },
    })
    .expect("started");
    let mut stream = accept(&listener);
    let head = read_to(&mut stream, "X-Slow: xxx");
    assert!(head.starts_with("GET /file HTTP/1.1\r\n"), "{head}");
    assert!(!head.contains("\r\n\r\n"), "{head}");
    holder.settle(PATIENCE, &NEVER, |_| {});
    let held = holder.finish().expect("held");
    assert_eq!(held[0].fate, Fate::Held);
    assert_eq!(held[0].row.outcome, Outcome::Aborted);
    let mut rest = String::new();
    stream.read_to_string(&mut rest).expect("its end");
    assert!(rest.chars().all(|ch| ch == 'x'), "{rest}");
}

#[test]
fn an_idle_connection_asks_once_and_the_one_that_the_server_ends_is_told_apart() {
    let (listener, target) = listen();
    let holder = Holder::start(&Config {
        target,
        connections: 3,
        kind: Kind::IdleKeepAlive,
    })
    .expect("started");
    let mut streams: Vec<TcpStream> = (0..3).map(|_| accept(&listener)).collect();
    for stream in &mut streams {
        let head = read_to(stream, "\r\n\r\n");
        assert!(!head.contains("Connection: close"), "{head}");
    }
    // The third gets no answer.
    for stream in &mut streams[..2] {
        stream.write_all(common::OK).expect("sent");
    }
    let mut told = 0;
    while told < 2 {
        holder.settle(Duration::ZERO, &NEVER, |held| told = held);
        std::thread::yield_now();
    }
    let ended = streams.remove(0).peer_addr().expect("connected");
    // Its end has been seen when a further connection's would be.
    let deadline = Instant::now() + PATIENCE;
    let held = loop {
        std::thread::sleep(Duration::from_millis(100));
        assert!(Instant::now() < deadline);
        let gone = Standing {
            held: 1,
            ended: 1,
            finished: 0,
        };
        if !is_open(ended.port()) && holder.standing() == gone {
            assert_eq!(holder.held(), 2);
            break holder.finish().expect("held");
        }
    };
    let mut fates: Vec<(Fate, bool)> = held
        .iter()
        .map(|entry| (entry.fate, entry.row.local_port == ended.port()))
        .collect();
    fates.sort_by_key(|(fate, _)| fate.name());
    assert_eq!(
        fates,
        [
            (Fate::Held, false),
            (Fate::Ended, true),
            (Fate::NotHeld, false)
        ]
    );
}

/// Whether a socket of this machine with this local port is still with its process.
fn is_open(port: u16) -> bool {
    let table = std::fs::read_to_string("/proc/net/tcp").expect("/proc");
    let local = format!(":{port:04X}");
    table.lines().any(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let is_it = fields
            .next()
            .is_some_and(|address| address.ends_with(&local));
        // Established, or closed by the other side alone.
        is_it
            && fields
                .nth(1)
                .is_some_and(|state| matches!(state, "01" | "08"))
    })
}

#[test]
fn a_slow_reader_takes_no_more_than_its_rate() {
    const RATE: u32 = 20_000;
    let (listener, target) = listen();
    let began = Instant::now();
    let holder = Holder::start(&Config {
        target,
        connections: 1,
        kind: Kind::SlowReader { bytes_per_s: RATE },
    })
    .expect("started");
    let mut stream = accept(&listener);
    read_to(&mut stream, "\r\n\r\n");
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n";
    stream.write_all(head.as_bytes()).expect("sent");
    stream.set_nonblocking(true).expect("set");
    // As much as the sockets' buffers take.
    let block = [b'x'; 4096];
    while stream.write(&block).is_ok() {}
    holder.settle(PATIENCE, &NEVER, |_| {});
    assert_eq!(holder.held(), 1);
    let held = holder.finish().expect("held");
    let most = f64::from(RATE) * began.elapsed().as_secs_f64();
    let row = &held[0].row;
    assert_eq!((held[0].fate, row.status), (Fate::Held, 200));
    assert!(
        row.body_bytes > 0 && (row.body_bytes as f64) <= most,
        "{row:?}"
    );
}

#[test]
fn slow_clients_come_from_their_sources_in_turn() {
    let (listener, target) = listen();
    let sources = ["127.0.0.2", "127.0.0.3"].map(|source| source.parse().expect("an address"));
    let config = Config {
        target,
        connections: 4,
        kind: Kind::IdleKeepAlive,
    };
    let holder = Holder::start_from(&config, &sources).expect("started");
    let mut clients: Vec<SocketAddr> = (0..4)
        .map(|_| accept(&listener).peer_addr().expect("connected"))
        .collect();
    let mut rows: Vec<SocketAddr> = holder
        .finish()
        .expect("ended")
        .iter()
        .map(|held| held.row.local())
        .collect();
    for source in sources {
        assert_eq!(clients.iter().filter(|addr| addr.ip() == source).count(), 2);
    }
    clients.sort();
    rows.sort();
    assert_eq!(clients, rows);
}

#[test]
fn refused_connections_do_not_keep_the_load_waiting() {
    let closed = common::ClosedPort::new();
    let target = Target::parse(&closed.url()).expect("good");
    let holder = Holder::start(&Config {
        target: target.clone(),
        connections: 4,
        kind: Kind::IdleKeepAlive,
    })
    .expect("started");
    holder.settle(PATIENCE, &NEVER, |_| {});
    let held = holder.finish().expect("ended");
    assert!(
        held.iter()
            .all(|entry| (entry.fate, entry.row.outcome) == (Fate::NotHeld, Outcome::Refused))
    );
    let none = Config {
        target,
        connections: 0,
        kind: Kind::IdleKeepAlive,
    };
    assert!(matches!(Holder::start(&none), Err(Error::BadConfig(_))));
}
