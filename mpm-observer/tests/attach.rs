//! Watching servers that run already: the live stage against real httpds under load.

mod common;

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use common::debian::{DebianHttpd, PAGE};
use mpm_observer::{live, scenario::Mpm};

fn a_plain_debian_httpd_is_found(mpm: Mpm) {
    let Some(httpd) = DebianHttpd::start(mpm) else {
        return;
    };
    let found = live::servers().unwrap();
    let mut ours = found
        .iter()
        .filter(|server| server.process.pid == httpd.pid());
    let server = ours.next().expect("it is found");
    assert_eq!(server.mpm, mpm);
    assert_eq!(server.port(), Some(80));
    let answer = httpd.network().within(|| {
        let mut stream = TcpStream::connect(httpd.addr()).unwrap();
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    });
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.ends_with(PAGE), "{answer}");
    let (pid, tasks) = (httpd.pid(), server.tasks().unwrap());
    assert!(tasks.len() > 1, "{tasks:?}");
    httpd.stop();
    assert!(!common::alive(pid));
    for task in tasks {
        assert!(!common::alive(task.pid), "{task:?} is left");
    }
}

#[test]
fn a_plain_debian_prefork_is_found() {
    a_plain_debian_httpd_is_found(Mpm::Prefork);
}

#[test]
fn a_plain_debian_worker_is_found() {
    a_plain_debian_httpd_is_found(Mpm::Worker);
}

#[test]
fn a_plain_debian_event_is_found() {
    a_plain_debian_httpd_is_found(Mpm::Event);
}
