//! Entries of tasks and connections whose end was not seen.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    process::{Command, Stdio},
};

use mpm_observer::kernel::{Options, Watch};

use super::{Seen, kernel};

#[test]
fn tasks_whose_end_was_not_seen_are_found_and_those_that_live_are_left() {
    const FORKS: usize = 20;
    let Some(kernel) = kernel() else { return };
    let unseen = Options {
        without: &["sched_process_exit"],
        ..Options::for_port(1)
    };
    let mut watch = Watch::start(&kernel, unseen).unwrap();
    let mut shell = Command::new("sh")
        .args([
            "-c",
            &format!(
                "read go; i=0; while [ $i -lt {FORKS} ]; do (:); i=$((i+1)); done; echo; read end"
            ),
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    watch.follow(shell.id()).unwrap();
    let mut order = shell.stdin.take().unwrap();
    order.write_all(b"go\n").unwrap();
    let mut done = [0];
    shell
        .stdout
        .as_mut()
        .unwrap()
        .read_exact(&mut done)
        .unwrap();
    assert_eq!(watch.live_tasks().unwrap().len(), FORKS + 1);

    let own = std::process::id();
    watch.reap(own).unwrap();
    let left: Vec<u32> = watch
        .live_tasks()
        .unwrap()
        .iter()
        .map(|task| task.pid)
        .collect();
    assert_eq!(left, [shell.id()]);
    assert_eq!(watch.counters().unwrap().tasks_reaped, FORKS as u64);
    drop(order);
    shell.wait().unwrap();
    watch.reap(own).unwrap();
    assert_eq!(watch.live_tasks().unwrap(), []);
    assert_eq!(watch.reaped().tasks, FORKS as u64 + 1);

    // Their slots and numbers are free again: what is entered anew is followed once.
    let mut another = Command::new("sleep").arg("60").spawn().unwrap();
    watch.follow(another.id()).unwrap();
    assert_eq!(watch.live_tasks().unwrap().len(), 1);
    another.kill().unwrap();
    another.wait().unwrap();
}

#[test]
fn connections_whose_end_was_not_seen_are_found_and_those_that_stand_are_left() {
    let Some(kernel) = kernel() else { return };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let mut pairs: Vec<_> = (0..3)
        .map(|_| {
            let client = TcpStream::connect(addr).unwrap();
            (client, listener.accept().unwrap())
        })
        .collect();
    let unseen = Options {
        without: &["inet_sock_set_state"],
        ..Options::for_port(addr.port())
    };
    let mut watch = Watch::start(&kernel, unseen).unwrap();
    let own = std::process::id();
    assert!(watch.follow_standing(&kernel, own).unwrap());
    assert_eq!(watch.connections().unwrap().len(), 3);

    drop(pairs.pop());
    // One that seems to have no socket may be one that the list missed.
    watch.reap(own).unwrap();
    assert_eq!(watch.connections().unwrap().len(), 3);
    for _ in 0..3 {
        watch.reap(own).unwrap();
        assert_eq!(watch.connections().unwrap().len(), 2);
    }
    // The client has closed its end of one: that still stands.
    let (client, server) = pairs.pop().unwrap();
    drop(client);
    watch.reap(own).unwrap();
    watch.reap(own).unwrap();
    assert_eq!(watch.connections().unwrap().len(), 2);
    drop((server, pairs));
    watch.reap(own).unwrap();
    watch.reap(own).unwrap();
    assert_eq!(watch.connections().unwrap().len(), 0);
    assert_eq!(watch.counters().unwrap().conns_reaped, 3);
    let mut seen = Seen::default();
    seen.take(&mut watch);
    assert!(watch.counters().unwrap().balanced());
}
