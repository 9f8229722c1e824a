//! The engine that runs everywhere: edge-triggered epoll, through mio.
//!
//! What it spares: a socket is registered once; the request is written straight after
//! the connect and straight after the last answer, without waiting for a wake-up; a
//! read that brought less than it could is the last one; bodies are dropped by the
//! kernel without being copied.

use std::io::{self, ErrorKind, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

use mio::event::Event;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;
use socket2::{SockAddr, Socket};

use super::attempts::{After, Attempts, Came};
use super::dispatch::Start;
use super::exchange::{Stage, Trouble};
use super::socket::{self, READ_BYTES};
use super::{Plan, Stop};
use crate::clock::monotonic_ns;
use crate::recorder::Recorder;

/// Events taken at a time: few enough that the last one does not wait for long.
const EVENTS: usize = 256;

/// Connections opened before the others have their turn to read.
const STARTS: usize = 64;

/// What one slot may read before the others have their turn.
const TURN_BYTES: usize = 4 * 1024 * 1024;

/// A connection, and what it is registered for.
struct Connection {
    socket: Socket,
    interest: Option<Interest>,
}

struct Epoll<'a, 'b> {
    plan: &'a Plan<'a>,
    attempts: Attempts<'a, 'b>,
    poll: Poll,
    address: SockAddr,
    /// By slot.
    connections: Vec<Option<Connection>>,
    /// Slots whose turn to read ended before their bytes did.
    to_read: Vec<u32>,
    scratch: Box<[u8]>,
}

/// What became of a write.
enum Written {
    All,
    Blocked,
    Failed(io::Error),
}

/// Carries out a plan.
///
/// # Errors
/// Only when epoll itself fails; whatever happens to a request is an outcome.
pub(super) fn run(plan: &Plan<'_>, recorder: &mut Recorder<'_>, stop: Stop<'_>) -> io::Result<()> {
    let mut engine = Epoll {
        plan,
        attempts: Attempts::new(plan, recorder),
        poll: Poll::new()?,
        address: plan.address()?,
        connections: (0..plan.slots).map(|_| None).collect(),
        to_read: Vec::new(),
        scratch: vec![0; READ_BYTES].into_boxed_slice(),
    };
    engine.run(stop)
}

impl Epoll<'_, '_> {
    fn run(&mut self, stop: Stop<'_>) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS);
        while self.attempts.go_on(stop) {
            for slot in std::mem::take(&mut self.to_read) {
                self.read(slot);
            }
            for _ in 0..STARTS {
                match self.attempts.next_start() {
                    Some(start) => self.start(start),
                    None => break,
                }
            }
            let patience_ns = match self.to_read.is_empty() {
                true => self.attempts.patience_ns(),
                false => 0,
            };
            match self.wait(&mut events, Duration::from_nanos(patience_ns)) {
                Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
                // Interrupted by a signal: there are no events.
                Err(_) => events.clear(),
                Ok(()) => {}
            }
            self.attempts.woke();
            for event in &events {
                self.on_event(event);
            }
            while let Some(slot) = self.attempts.next_timed_out() {
                let after = self.attempts.time_out(slot);
                self.go_on(slot, after);
            }
            self.attempts.tick();
        }
        self.attempts.finish();
        Ok(())
    }

    /// Waits for events, but no longer than `patience`.
    fn wait(&mut self, events: &mut Events, mut patience: Duration) -> io::Result<()> {
        if self.plan.config.pace.is_open() && !patience.is_zero() {
            // mio's own waits end with a whole millisecond, and what is due before would
            // begin late.
            // SAFETY: the descriptor is open as long as `self.poll` is.
            let epoll = unsafe { BorrowedFd::borrow_raw(self.poll.as_raw_fd()) };
            let mut readable = [PollFd::new(epoll, PollFlags::POLLIN)];
            if ppoll(&mut readable, Some(TimeSpec::from_duration(patience)), None)? == 0 {
                events.clear();
                return Ok(());
            }
            patience = Duration::ZERO;
        }
        self.poll.poll(events, Some(patience))
    }

    fn on_event(&mut self, event: &Event) {
        let slot = event.token().0 as u32;
        let exchange = self.attempts.of(slot);
        exchange.read_closed |= event.is_read_closed() || event.is_error();
        match exchange.stage {
            Stage::Idle => {
                return self.on_idle_event(slot);
            }
            Stage::Connecting | Stage::Sending => self.send(slot, monotonic_ns()),
            Stage::Receiving => {}
        }
        let exchange = self.attempts.of(slot);
        if matches!(exchange.stage, Stage::Sending | Stage::Receiving)
            && (event.is_readable() || exchange.read_closed)
        {
            self.read(slot);
        }
    }

    /// The server closes a connection that nothing is asked on, or sends what nobody asked
    /// for: the next request must not take that for its answer.
    fn on_idle_event(&mut self, slot: u32) {
        let Some(connection) = &self.connections[slot as usize] else {
            return;
        };
        match connection.socket.peek(&mut [MaybeUninit::uninit()]) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => return,
            Ok(bytes) => self.attempts.unasked(bytes > 0),
            _ => {}
        }
        self.connections[slot as usize] = None;
    }

    /// Begins an attempt: on the connection that the slot has, or on a new one.
    fn start(&mut self, start: Start) {
        let slot = start.slot;
        let has_connection = self.connections[slot as usize].is_some();
        let (now_ns, must_connect) = self.attempts.begin(start, has_connection);
        if !must_connect {
            return self.send(slot, now_ns);
        }
        match socket::connect(&self.address, self.plan, slot) {
            Ok((socket, local)) => {
                self.attempts.of(slot).set_local(local);
                self.connections[slot as usize] = Some(Connection {
                    socket,
                    interest: None,
                });
                // On one machine the connection often stands by now; if it does not,
                // this write costs less than a wake-up.
                self.send(slot, monotonic_ns());
            }
            Err(error) => self.fail(slot, &error),
        }
    }

    /// Sends what is left of the request.
    fn send(&mut self, slot: u32, now_ns: u64) {
        let wanted = match self.write(slot, now_ns) {
            Written::Failed(error) if self.attempts.of(slot).sent_bytes() > 0 => {
                // The server may have answered before it closed.
                let exchange = self.attempts.of(slot);
                exchange.write_errno = error.raw_os_error();
                exchange.read_closed = true;
                return self.read(slot);
            }
            Written::Failed(error) => return self.fail(slot, &error),
            Written::All => Interest::READABLE,
            Written::Blocked => Interest::READABLE | Interest::WRITABLE,
        };
        if let Err(error) = self.register(slot, wanted) {
            self.fail(slot, &error);
        }
    }

    /// Writes what is left of the request. `now_ns` is the present.
    fn write(&mut self, slot: u32, mut now_ns: u64) -> Written {
        let Some(connection) = &self.connections[slot as usize] else {
            return Written::Failed(io::Error::from_raw_os_error(libc::ENOTCONN));
        };
        let request = self.attempts.request(slot);
        loop {
            let rest = &request[self.attempts.of(slot).sent_bytes().min(request.len())..];
            if rest.is_empty() {
                return Written::All;
            }
            match (&connection.socket).write(rest) {
                Ok(0) => return Written::Blocked,
                Ok(bytes) => {
                    self.attempts.sent(slot, bytes, now_ns);
                    if bytes == rest.len() {
                        return Written::All;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Written::Blocked,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Written::Failed(error),
            }
            now_ns = monotonic_ns();
        }
    }

    /// Registers the socket once, and once more only if a request did not fit into
    /// its buffer after all.
    fn register(&mut self, slot: u32, wanted: Interest) -> io::Result<()> {
        let Some(connection) = &mut self.connections[slot as usize] else {
            return Ok(());
        };
        let fd = connection.socket.as_raw_fd();
        let (registry, token) = (self.poll.registry(), Token(slot as usize));
        match connection.interest {
            None => registry.register(&mut SourceFd(&fd), token, wanted)?,
            Some(Interest::READABLE) if wanted != Interest::READABLE => {
                registry.reregister(&mut SourceFd(&fd), token, wanted)?;
            }
            Some(_) => return Ok(()),
        }
        connection.interest = Some(wanted);
        Ok(())
    }

    /// Reads until the answer ends, the socket is empty, or the slot's turn is over.
    fn read(&mut self, slot: u32) {
        let mut turn_left = TURN_BYTES;
        loop {
            let exchange = self.attempts.of(slot);
            let Some(connection) = &self.connections[slot as usize] else {
                return;
            };
            if exchange.stage == Stage::Idle {
                return;
            }
            if turn_left == 0 {
                return self.to_read.push(slot);
            }
            let piece = match socket::read(
                &connection.socket,
                &exchange.reader,
                &mut self.scratch,
                turn_left,
            ) {
                Ok(piece) => piece,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if let Some(errno) = exchange.write_errno {
                        let after = self.attempts.fail(slot, Trouble::Errno(errno));
                        self.go_on(slot, after);
                    }
                    return;
                }
                Err(error) => return self.fail(slot, &error),
            };
            let came = match piece.dropped {
                _ if piece.bytes == 0 => {
                    let after = self.attempts.end_of_stream(slot);
                    return self.go_on(slot, after);
                }
                true => Came::Dropped(piece.bytes),
                false => Came::Bytes(&self.scratch[..piece.bytes]),
            };
            // A read that brought less than it could is the last one, unless the end of
            // the stream waits to be read.
            let is_last = piece.bytes < piece.possible
                && !exchange.read_closed
                && exchange.write_errno.is_none();
            if let Some(after) = self.attempts.came(slot, came) {
                return self.go_on(slot, after);
            }
            if is_last {
                return;
            }
            turn_left = turn_left.saturating_sub(piece.bytes);
        }
    }

    fn fail(&mut self, slot: u32, error: &io::Error) {
        let after = self.attempts.fail_with(slot, error);
        self.go_on(slot, after);
    }

    /// Goes on after the end of an attempt.
    fn go_on(&mut self, slot: u32, after: After) {
        if !after.keeps_connection {
            // Closing takes it out of epoll, too.
            self.connections[slot as usize] = None;
        }
        if let Some(start) = after.start {
            self.start(start);
        }
    }
}
