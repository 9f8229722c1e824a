//! The sockets of the slow clients: one thread, edge-triggered epoll through mio.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream as StdStream};
use std::os::fd::AsRawFd;
use std::sync::atomic::Ordering;
use std::time::Duration;

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, bind, connect, setsockopt, socket, sockopt,
};

use super::connection::{Connection, Next};
use super::{Config, Fate, HeldRow, Kind, Shared};
use crate::clock::monotonic_ns;
use crate::request::serialise;

const EVENTS: usize = 256;
/// How often is looked whether to let go, and at those that are due.
const TICK: Duration = Duration::from_millis(50);
/// Receive buffer of a slow reader: the kernel doubles it, and takes at least about 2 KB.
const SMALL_BUFFER_BYTES: usize = 4096;
const READ_BYTES: usize = 16 * 1024;
/// What half a head goes on with.
const FILLER: &[u8] = b"x";

struct Slot {
    state: Connection,
    stream: Option<TcpStream>,
}

struct Engine<'a> {
    poll: Poll,
    slots: Vec<Slot>,
    request: Vec<u8>,
    kind: Kind,
    shared: &'a Shared,
    scratch: Box<[u8]>,
}

/// Keeps the connections, which come from the sources in turn, until they are let go.
pub(super) fn run(
    config: &Config,
    sources: &[IpAddr],
    shared: &Shared,
) -> io::Result<Vec<HeldRow>> {
    let mut engine = Engine {
        poll: Poll::new()?,
        slots: Vec::with_capacity(config.connections as usize),
        request: request(config),
        kind: config.kind,
        shared,
        scratch: vec![0; READ_BYTES].into_boxed_slice(),
    };
    let mut sources = sources.iter().copied().cycle();
    for number in 0..config.connections {
        engine.open(number, config.target.addr, sources.next());
    }
    let mut events = Events::with_capacity(EVENTS);
    while !shared.let_go.load(Ordering::Relaxed) {
        match engine.poll.poll(&mut events, Some(TICK)) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
            // Interrupted by a signal: there are no events.
            Err(_) => events.clear(),
            Ok(()) => {}
        }
        for event in &events {
            engine.move_on(event.token().0);
        }
        let now_ns = monotonic_ns();
        for index in 0..engine.slots.len() {
            if engine.slots[index].state.is_unread() {
                engine.change(index, |engine| engine.read(index));
            }
            if engine.slots[index]
                .state
                .due_ns()
                .is_some_and(|due_ns| due_ns <= now_ns)
            {
                engine.on_due(index);
            }
        }
    }
    let now_ns = monotonic_ns();
    Ok(engine
        .slots
        .iter()
        .map(|slot| slot.state.let_go(now_ns))
        .collect())
}

/// What each sends at first.
fn request(config: &Config) -> Vec<u8> {
    let mut plain = crate::Config::new(config.target.clone());
    plain.keep_alive = true;
    let mut bytes = serialise(&plain, &config.target);
    if let Kind::HalfHeader { .. } = config.kind {
        // Without the empty line that ends it, and in the middle of a further one.
        bytes.truncate(bytes.len() - b"\r\n".len());
        bytes.extend_from_slice(b"X-Slow: ");
    }
    bytes
}

/// Begins a connection. The receive buffer has to be small before, as the window's scale is told
/// with the first packet.
fn begin(remote: SocketAddr, source: Option<IpAddr>, kind: Kind) -> io::Result<TcpStream> {
    let family = match remote {
        SocketAddr::V4(_) => AddressFamily::Inet,
        SocketAddr::V6(_) => AddressFamily::Inet6,
    };
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let socket = socket(family, SockType::Stream, flags, None)?;
    if let Kind::SlowReader { .. } = kind {
        setsockopt(&socket, sockopt::RcvBuf, &SMALL_BUFFER_BYTES)?;
    }
    if let Some(source) = source {
        // The port is chosen by the connect, so that every remote address has all of them.
        setsockopt(&socket, sockopt::IpBindAddressNoPort, &true)?;
        let local = SockaddrStorage::from(SocketAddr::new(source, 0));
        bind(socket.as_raw_fd(), &local)?;
    }
    match connect(socket.as_raw_fd(), &SockaddrStorage::from(remote)) {
        Ok(()) | Err(nix::Error::EINPROGRESS) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(TcpStream::from_std(StdStream::from(socket)))
}

impl Engine<'_> {
    fn open(&mut self, number: u32, remote: SocketAddr, source: Option<IpAddr>) {
        let mut state = Connection::new(self.kind, number, remote, monotonic_ns());
        let opened = begin(remote, source, self.kind).and_then(|mut stream| {
            let interest = Interest::READABLE | Interest::WRITABLE;
            let token = Token(number as usize);
            self.poll
                .registry()
                .register(&mut stream, token, interest)?;
            Ok(stream)
        });
        let stream = match opened {
            Ok(stream) => {
                if let Ok(local) = stream.local_addr() {
                    state.set_local(local);
                }
                Some(stream)
            }
            Err(error) => {
                state.broken(errno(&error), monotonic_ns());
                self.shared.failed.fetch_add(1, Ordering::Relaxed);
                None
            }
        };
        self.slots.push(Slot { state, stream });
    }

    /// Sends what is left, then reads what may be read.
    fn move_on(&mut self, index: usize) {
        self.change(index, |engine| {
            let whole = engine.request.len();
            let sent = engine.slots[index].state.sent_bytes();
            if sent < whole {
                let rest = engine.request[sent..].to_vec();
                if engine.send(index, &rest) == Next::Close {
                    return Next::Close;
                }
                if engine.slots[index].state.sent_bytes() < whole {
                    return Next::Keep;
                }
            }
            engine.read(index)
        });
    }

    fn on_due(&mut self, index: usize) {
        self.change(index, |engine| match engine.kind {
            Kind::HalfHeader { .. } => engine.send(index, FILLER),
            Kind::IdleKeepAlive | Kind::SlowReader { .. } => engine.read(index),
        });
    }

    /// Does something with a connection and notes what it has become.
    fn change(&mut self, index: usize, what: impl FnOnce(&mut Self) -> Next) {
        if self
            .slots
            .get(index)
            .is_none_or(|slot| slot.stream.is_none())
        {
            return;
        }
        let before = self.slots[index].state.was_held();
        let next = what(self);
        let slot = &mut self.slots[index];
        let after = slot.state.was_held();
        if after && !before {
            self.shared.held.fetch_add(1, Ordering::Relaxed);
        }
        if next == Next::Close {
            // Closing takes it out of epoll, too.
            slot.stream = None;
            let counted = match slot.state.fate() {
                Some(Fate::Ended) => &self.shared.ended,
                Some(Fate::Finished) => &self.shared.finished,
                Some(Fate::Held | Fate::NotHeld) | None => &self.shared.failed,
            };
            counted.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn send(&mut self, index: usize, bytes: &[u8]) -> Next {
        let slot = &mut self.slots[index];
        let Some(stream) = &mut slot.stream else {
            return Next::Keep;
        };
        loop {
            match stream.write(bytes) {
                Ok(count) => {
                    slot.state.sent(count, self.request.len(), monotonic_ns());
                    return Next::Keep;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Still connecting, or the peer takes nothing: an event tells when it goes on.
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Next::Keep,
                Err(error) => return slot.state.broken(errno(&error), monotonic_ns()),
            }
        }
    }

    fn read(&mut self, index: usize) -> Next {
        let slot = &mut self.slots[index];
        let Some(stream) = &mut slot.stream else {
            return Next::Keep;
        };
        let mut left = slot.state.allowance(monotonic_ns());
        while left > 0 && !self.shared.let_go.load(Ordering::Relaxed) {
            let most = left.min(self.scratch.len());
            match stream.read(&mut self.scratch[..most]) {
                Ok(0) => return slot.state.broken(0, monotonic_ns()),
                Ok(count) => {
                    left -= count;
                    let next = slot.state.read(&self.scratch[..count], monotonic_ns());
                    if next == Next::Close {
                        return next;
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return slot.state.broken(errno(&error), monotonic_ns()),
            }
        }
        slot.state.turn_ended(left == 0);
        Next::Keep
    }
}

fn errno(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(libc::EIO)
}
