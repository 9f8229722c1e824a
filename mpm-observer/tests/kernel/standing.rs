//! Sockets that stand when the watch begins, and one port in two networks.

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    os::fd::{AsRawFd, OwnedFd},
};

use mpm_observer::{
    kernel::{Kernel, Options, Watch, network_of},
    recording::FailureKind,
    resources::{accept_queue, listen_counters_of},
};
use mpm_observer_common::RequestFlags;
use nix::{
    sys::socket::{
        AddressFamily, Backlog, SockFlag, SockType, SockaddrIn, connect, listen, socket,
    },
    unistd::gettid,
};

use super::{
    Seen,
    common::{network::Network, wait_until},
    failures::{of_kind, rows},
    kernel,
};

/// The kernel's number of this thread, by which /proc knows its network.
fn own_thread() -> u32 {
    gettid().as_raw().cast_unsigned()
}

/// A watch of this thread's network, with what stands in it.
fn watch_of(kernel: &Kernel, addr: SocketAddr) -> Watch {
    let options = Options {
        network: network_of(own_thread()).unwrap(),
        ..Options::for_port(addr.port())
    };
    let mut watch = Watch::start(kernel, options).unwrap();
    assert!(watch.follow_standing(kernel, own_thread()).unwrap());
    watch
}

/// A client is connected before the server's side is in the queue.
fn wait_until_queued(addr: SocketAddr, count: usize) {
    wait_until("all are in the queue", || {
        accept_queue(own_thread(), addr.port()) == Some(count as u32)
    });
}

#[test]
fn a_queue_that_was_full_before_is_known_at_once() {
    const BACKLOG: i32 = 8;
    const REFUSED: u64 = 3;
    let Some(kernel) = kernel() else { return };
    Network::new().within(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listen(&listener, Backlog::new(BACKLOG).unwrap()).unwrap();
        let addr = listener.local_addr().unwrap();
        // One more than the limit says.
        let waiting: Vec<TcpStream> = (0..=BACKLOG)
            .map(|_| TcpStream::connect(addr).unwrap())
            .collect();
        wait_until_queued(addr, waiting.len());
        let mut watch = watch_of(&kernel, addr);
        let counters = watch.counters().unwrap();
        assert_eq!(counters.conns_stood, waiting.len() as u64);

        let overflows = || listen_counters_of(own_thread()).unwrap().overflows;
        let before = overflows();
        let refused: Vec<OwnedFd> = (0..REFUSED)
            .map(|_| {
                let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
                let client = socket(AddressFamily::Inet, SockType::Stream, flags, None).unwrap();
                let to = SockaddrIn::new(127, 0, 0, 1, addr.port());
                // Said to be in progress.
                let _ = connect(client.as_raw_fd(), &to);
                client
            })
            .collect();
        wait_until("they are refused", || overflows() >= before + REFUSED);
        // They try again until they are closed.
        drop(refused);
        let counted = overflows() - before;
        let mut seen = Seen::default();
        seen.take(&mut watch);
        let rows = rows(&seen);
        let full = of_kind(&rows, FailureKind::AcceptQueueFull);
        assert_eq!(full.len() as u64, counted, "{rows:#?}");
        for row in full {
            assert_eq!(row.queue_length, Some(waiting.len() as u32));
            assert_eq!(row.queue_limit, Some(BACKLOG as u32));
        }
    });
}

#[test]
fn of_connections_that_stand_those_that_are_accepted_may_be_in_the_middle_of_a_request() {
    let Some(kernel) = kernel() else { return };
    Network::new().within(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let accepted_client = TcpStream::connect(addr).unwrap();
        let accepted = listener.accept().unwrap();
        let waiting_client = TcpStream::connect(addr).unwrap();
        wait_until_queued(addr, 1);
        let watch = watch_of(&kernel, addr);
        let flags_of = |client: &TcpStream| {
            let port = client.local_addr().unwrap().port();
            let connections = watch.connections().unwrap();
            let mut of_port = connections
                .iter()
                .filter(|connection| connection.request.remote_port == port);
            let request = of_port.next().expect("it is followed").request;
            assert_eq!(request.local_port, addr.port());
            assert_eq!((request.established_ns, request.accepted_ns), (0, 0));
            assert_eq!(request.remote_addr[10..], [0xff, 0xff, 127, 0, 0, 1]);
            request.flags
        };
        assert_eq!(flags_of(&accepted_client), RequestFlags::IN_PART);
        assert_eq!(flags_of(&waiting_client), 0);
        assert_eq!(watch.connections().unwrap().len(), 2);
        // Their ends are seen as any other's.
        drop((accepted_client, accepted, waiting_client, listener));
        wait_until("both have ended", || {
            watch.connections().unwrap().is_empty()
        });
    });
}

#[test]
fn one_port_in_another_network_is_not_the_servers() {
    const OWN: usize = 3;
    const ALIEN: usize = 2;
    let Some(kernel) = kernel() else { return };
    let (own, other) = (Network::new(), Network::new());
    let serve = |connections: usize| {
        let listener = TcpListener::bind("127.0.0.1:8080").unwrap();
        let addr = listener.local_addr().unwrap();
        let clients: Vec<TcpStream> = (0..connections)
            .map(|_| TcpStream::connect(addr).unwrap())
            .collect();
        let servers: Vec<_> = (0..connections)
            .map(|_| listener.accept().unwrap())
            .collect();
        (listener, clients, servers)
    };
    let standing = other.within(|| serve(ALIEN));
    own.within(|| {
        let addr = SocketAddr::from(([127, 0, 0, 1], 8080));
        let mut watch = watch_of(&kernel, addr);
        let sockets = serve(OWN);
        assert_eq!(watch.connections().unwrap().len(), OWN);
        drop(standing);
        other.within(|| {
            let (listener, clients, servers) = serve(ALIEN);
            // Its side resets one that nobody accepted.
            let unaccepted = TcpStream::connect(addr).unwrap();
            drop(listener);
            drop((clients, servers, unaccepted));
        });
        let counters = watch.counters().unwrap();
        assert_eq!(
            (counters.conns_established, counters.conns_stood),
            (OWN as u64, 0)
        );
        assert_eq!(watch.connections().unwrap().len(), OWN);
        let mut seen = Seen::default();
        seen.take(&mut watch);
        assert!(seen.failures.is_empty(), "{:?}", seen.failures);
        drop(sockets);
    });
}
