//! Full accept queues and resets, beside the kernel's own count.

use std::{
    io::Write,
    net::{SocketAddr, TcpStream},
    os::fd::{AsRawFd, OwnedFd},
    sync::{Mutex, MutexGuard, PoisonError},
};

use mpm_observer::{
    kernel::{Options, Watch},
    recording::{FailureKind, FailureRow},
    resources::listen_counters,
};
use nix::libc;
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockProtocol, SockType, SockaddrIn, bind, connect,
    getsockname, listen, socket,
};

use super::{
    Seen,
    common::wait_until,
    failures::{of_kind, rows},
    kernel,
};

const BACKLOG: i32 = 8;
/// The kernel lets one more in than the limit says.
const ROOM: u32 = BACKLOG as u32 + 1;

/// The kernel counts for all sockets together.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    // A test that failed leaves nothing behind.
    ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A watched socket that is about to listen.
struct Server {
    socket: OwnedFd,
    watch: Watch,
    addr: SockaddrIn,
}

fn tcp(flags: SockFlag) -> OwnedFd {
    socket(
        AddressFamily::Inet,
        SockType::Stream,
        flags,
        SockProtocol::Tcp,
    )
    .unwrap()
}

impl Server {
    fn new() -> Option<Self> {
        let kernel = kernel()?;
        let socket = tcp(SockFlag::SOCK_CLOEXEC);
        bind(socket.as_raw_fd(), &SockaddrIn::new(127, 0, 0, 1, 0)).unwrap();
        let addr: SockaddrIn = getsockname(socket.as_raw_fd()).unwrap();
        let watch = Watch::start(&kernel, Options::for_port(addr.port())).unwrap();
        Some(Self {
            socket,
            watch,
            addr,
        })
    }

    fn listen(&self) {
        listen(&self.socket, Backlog::new(BACKLOG).unwrap()).unwrap();
    }

    fn seen(&mut self) -> Vec<FailureRow> {
        let mut seen = Seen::default();
        seen.take(&mut self.watch);
        assert!(self.watch.counters().unwrap().balanced());
        rows(&seen)
    }
}

fn overflows() -> u64 {
    listen_counters().unwrap().overflows
}

/// Connections that found the queue full, checked.
fn check_full(rows: &[FailureRow]) -> u64 {
    let full = of_kind(rows, FailureKind::AcceptQueueFull);
    for row in &full {
        assert_eq!(row.queue_length, Some(ROOM), "{row:?}");
        assert_eq!(row.queue_limit, Some(BACKLOG as u32));
        assert_ne!(row.remote_port, 0);
        assert_eq!((row.tid, row.role.as_str()), (0, ""));
    }
    full.len() as u64
}

#[test]
fn connections_that_find_the_queue_full_are_as_many_as_the_kernel_counts() {
    const REFUSED: u64 = 10;
    let _alone = alone();
    let Some(mut server) = Server::new() else {
        return;
    };
    server.listen();
    let before = overflows();
    let clients: Vec<OwnedFd> = (0..u64::from(ROOM) + REFUSED)
        .map(|_| {
            let client = tcp(SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC);
            // Said to be in progress.
            let _ = connect(client.as_raw_fd(), &server.addr);
            client
        })
        .collect();
    wait_until("all but those there is room for are refused", || {
        overflows() >= before + REFUSED
    });
    // They try again until they are closed.
    drop(clients);
    let counted = overflows() - before;
    let rows = server.seen();
    assert_eq!(check_full(&rows), counted, "{rows:#?}");
}

#[test]
fn deferred_connections_whose_data_find_the_queue_full_are_as_many_as_the_kernel_counts() {
    const SILENT: usize = BACKLOG as usize - 2;
    let _alone = alone();
    let Some(mut server) = Server::new() else {
        return;
    };
    // As httpd does: a connection is queued when its first data arrive.
    set_defer_accept(&server.socket);
    server.listen();
    let before = overflows();
    let addr = SocketAddr::from(([127, 0, 0, 1], server.addr.port()));
    let connected = || TcpStream::connect(addr).unwrap();
    let mut silent: Vec<TcpStream> = (0..SILENT).map(|_| connected()).collect();
    let queued: Vec<TcpStream> = (0..ROOM)
        .map(|_| {
            // At once, as only so many may be neither silent nor queued.
            let mut client = connected();
            client.write_all(b"GET").unwrap();
            client
        })
        .collect();
    for client in &mut silent {
        client.write_all(b"GET").unwrap();
    }
    wait_until("the silent ones are refused", || {
        overflows() >= before + SILENT as u64
    });
    drop((silent, queued));
    let counted = overflows() - before;
    let rows = server.seen();
    assert_eq!(check_full(&rows), counted, "{rows:#?}");
}

fn set_defer_accept(socket: &OwnedFd) {
    let seconds: libc::c_int = 30;
    // SAFETY: an open descriptor and an option of this size.
    let done = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_DEFER_ACCEPT,
            (&raw const seconds).cast(),
            size_of_val(&seconds) as libc::socklen_t,
        )
    };
    assert_eq!(done, 0);
}

#[test]
fn connections_that_nobody_accepted_are_reset_by_the_servers_side() {
    let _alone = alone();
    let Some(mut server) = Server::new() else {
        return;
    };
    server.listen();
    let addr = SocketAddr::from(([127, 0, 0, 1], server.addr.port()));
    let clients: Vec<TcpStream> = (0..2).map(|_| TcpStream::connect(addr).unwrap()).collect();
    server.socket = tcp(SockFlag::SOCK_CLOEXEC);
    let mut rows = server.seen();
    rows.sort_by_key(|row| row.remote_port);
    let mut expected: Vec<u16> = clients
        .iter()
        .map(|client| client.local_addr().unwrap().port())
        .collect();
    expected.sort_unstable();
    let ports: Vec<u16> = rows.iter().map(|row| row.remote_port).collect();
    assert_eq!(ports, expected, "{rows:#?}");
    for row in &rows {
        assert_eq!(row.kind, FailureKind::ResetSent);
        assert_eq!(row.queue_length, None);
    }
}
