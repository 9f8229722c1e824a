//! The table of connections, read while it changes.

use std::{
    collections::HashSet,
    net::{TcpListener, TcpStream},
    os::fd::AsFd,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
};

use mpm_observer::kernel::{Options, Watch};
use nix::{
    libc,
    sys::socket::{setsockopt, sockopt::Linger},
};

use crate::{common::wait_until, kernel};

const LOOKS: usize = 300;
/// As many ports as a client may use up, with room for others.
const MOST: usize = 20_000;
const STANDING: usize = 200;

/// A connection that ends without a rest in the kernel, once both ends are closed.
fn connect(listener: &TcpListener) -> (TcpStream, TcpStream) {
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let resets = libc::linger {
        l_onoff: 1,
        l_linger: 0,
    };
    setsockopt(&client.as_fd(), Linger, &resets).unwrap();
    (client, listener.accept().unwrap().0)
}

#[test]
fn while_connections_come_and_go_each_is_listed_once() {
    let Some(kernel) = kernel() else { return };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let watch = Watch::start(&kernel, Options::for_port(port)).unwrap();
    let standing: Vec<_> = (0..STANDING).map(|_| connect(&listener)).collect();
    let (stop, made) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        let churn = scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) && made.load(Ordering::Relaxed) < MOST {
                drop(connect(&listener));
                made.fetch_add(1, Ordering::Relaxed);
            }
        });
        let mut twice = Vec::new();
        for _ in 0..LOOKS {
            let mut seen = HashSet::new();
            let connections = watch.connections().unwrap();
            for connection in &connections {
                let request = &connection.request;
                let is_new = seen.insert((request.remote_port, request.established_ns));
                if !is_new {
                    twice.push(request.remote_port);
                }
            }
            assert!(connections.len() >= STANDING, "{}", connections.len());
        }
        stop.store(true, Ordering::Relaxed);
        churn.join().unwrap();
        assert_eq!(twice, Vec::<u16>::new());
    });
    assert!(made.load(Ordering::Relaxed) > 0);
    drop(standing);
    wait_until("the table is empty", || {
        watch.connections().unwrap().is_empty()
    });
}
