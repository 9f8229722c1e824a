//! 15,000 connections at once, as far as the limit of open files allows.

mod common;

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use common::{OK, config, each_engine, outcomes, run};
use loadgen::hold::{self, Fate, Holder, Kind};
use loadgen::{Outcome, Pace, Target};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use nix::sys::socket::{Backlog, listen};

const WANTED: u64 = 15_000;

/// Files that each of the two processes has open beside the connections.
const OTHER_FILES: u64 = 100;

/// How the server's process tells where it listens.
const MARK: &str = "listening at ";

/// The server: a process of its own, as its connections count against a limit of their own.
struct Server(Child);

impl Server {
    fn start() -> (Self, Target) {
        let program = std::env::current_exe().expect("this program");
        let mut child = Command::new(program)
            .args([
                "the_server_of_the_tests",
                "--exact",
                "--ignored",
                "--nocapture",
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("started");
        let said = BufReader::new(child.stdout.take().expect("piped"));
        let url = said.lines().map_while(Result::ok).find_map(|line| {
            let (_, addr) = line.split_once(MARK)?;
            Some(format!("http://{addr}/"))
        });
        let target = Target::parse(&url.expect("an address")).expect("good");
        (Self(child), target)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The end of its input ends it.
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

#[test]
#[ignore = "other tests run this"]
fn the_server_of_the_tests() {
    loadgen::raise_open_file_limit().expect("raised");
    let mut listener = TcpListener::bind("127.0.0.1:0".parse().expect("address")).expect("a port");
    listen(&listener, Backlog::new(4096).expect("a length")).expect("listening");
    println!("{MARK}{}", listener.local_addr().expect("bound"));
    std::thread::spawn(|| {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    let mut poll = Poll::new().expect("epoll");
    let accepting = Token(usize::MAX - 1);
    poll.registry()
        .register(&mut listener, accepting, Interest::READABLE)
        .expect("registered");
    let mut events = Events::with_capacity(1024);
    let mut streams: Vec<TcpStream> = Vec::new();
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            result => result.expect("epoll"),
        }
        for event in &events {
            if event.token() == accepting {
                while let Ok((mut stream, _)) = listener.accept() {
                    poll.registry()
                        .register(&mut stream, Token(streams.len()), Interest::READABLE)
                        .expect("registered");
                    streams.push(stream);
                }
            } else {
                answer(&mut streams[event.token().0]);
            }
        }
    }
}

/// Answers what has come; the requests of these tests come in one piece.
fn answer(stream: &mut TcpStream) {
    let mut request = [0; 4096];
    while let Ok(count) = stream.read(&mut request) {
        if count == 0 {
            let _ = stream.shutdown(std::net::Shutdown::Both);
            return;
        }
        let _ = stream.write_all(OK);
    }
}

/// As many of the connections wanted as this machine allows; says when they are fewer.
fn possible() -> u32 {
    let files = loadgen::raise_open_file_limit().expect("raised");
    let possible = WANTED.min(files.saturating_sub(OTHER_FILES));
    if possible < WANTED {
        println!("{possible} connections instead of {WANTED}: {files} files may be open");
    }
    u32::try_from(possible).expect("small")
}

#[test]
fn fifteen_thousand_busy_and_then_as_many_idle_connections_stand_at_once() {
    let connections = possible();
    each_engine(|| {
        let (_server, target) = Server::start();
        let requests = u64::from(connections) * 2;
        let mut config = config(target.addr, requests, connections);
        config.keep_alive = true;
        config.timeout = Duration::from_secs(60);
        // So that the first slots leave requests for the last ones.
        config.pace = Pace::Closed {
            think: Duration::from_secs(4),
            connections: None,
        };
        let (summary, _) = run(&config);
        assert_eq!(outcomes(&summary), [(Outcome::Ok, requests)]);
        assert_eq!(summary.connections_opened, u64::from(connections));
    });

    let (_server, target) = Server::start();
    let holder = Holder::start(&hold::Config {
        target,
        connections,
        kind: Kind::IdleKeepAlive,
    })
    .expect("started");
    holder.settle(Duration::from_secs(60), &AtomicBool::new(false), |_| {});
    assert_eq!(holder.held(), connections);
    let held = holder.finish().expect("held");
    assert!(held.iter().all(|row| row.fate == Fate::Held));
}
