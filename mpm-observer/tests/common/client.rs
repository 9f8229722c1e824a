//! Clients of the tests.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::atomic::AtomicBool,
};

use loadgen::{Config, Progress, RowSink, Summary, Target};

/// Asks for a path and returns the whole answer.
pub fn get(addr: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(addr).unwrap();
    let request = format!("GET {path} HTTP/1.0\r\nHost: test\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Sends requests for `/` and requires that all are answered.
pub fn load(addr: SocketAddr, requests: u64, concurrency: u32, keep_alive: bool) {
    load_into(None, addr, requests, concurrency, keep_alive);
}

/// The same with its rows.
pub fn load_into(
    rows: Option<Box<dyn RowSink>>,
    addr: SocketAddr,
    requests: u64,
    concurrency: u32,
    keep_alive: bool,
) -> Summary {
    let mut config = Config::new(Target::parse(&format!("http://{addr}/")).unwrap());
    config.requests = Some(requests);
    config.concurrency = concurrency;
    config.keep_alive = keep_alive;
    let never = AtomicBool::new(false);
    let summary = loadgen::run(&config, rows, &Progress::new(), &never).unwrap();
    assert_eq!(summary.outcomes.get(loadgen::Outcome::Ok), requests);
    summary
}
