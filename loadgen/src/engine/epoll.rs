//! The engine that runs everywhere: edge-triggered epoll, through mio.
//!
//! What it spares: a socket is registered once; the request is written straight after
//! the connect and straight after the last answer, without waiting for a wake-up; a
//! read that brought less than it could is the last one; bodies are dropped by the
//! kernel without being copied.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::time::Duration;

use mio::event::Event;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use super::deadlines::Deadlines;
use super::exchange::{Exchange, Stage, Trouble};
use super::socket::{Piece, READ_BYTES, Slot, Written, errno};
use super::{Plan, Stop};
use crate::Outcome;
use crate::clock::monotonic_ns;
use crate::recorder::Recorder;

/// Events taken at a time: few enough that the last one does not wait for long.
const EVENTS: usize = 256;

/// How often progress is told and stop is looked at when nothing happens.
const TICK_NS: u64 = 100_000_000;

/// Connections opened before the others have their turn to read.
const STARTS: usize = 64;

/// What one slot may read before the others have their turn.
const TURN_BYTES: usize = 4 * 1024 * 1024;

struct Epoll<'a, 'b> {
    plan: &'a Plan<'a>,
    recorder: &'a mut Recorder<'b>,
    poll: Poll,
    slots: Vec<Slot>,
    deadlines: Deadlines,
    /// Slots that need a new connection.
    to_start: VecDeque<u32>,
    /// Slots whose turn to read ended before their bytes did.
    to_read: Vec<u32>,
    scratch: Box<[u8]>,
    wake_ns: u64,
    /// Requests that are not started yet.
    requests_left: Option<u64>,
    under_way: u32,
    server_header_known: bool,
}

/// Carries out a plan.
///
/// # Errors
/// Only when epoll itself fails; whatever happens to a request is an outcome.
pub(crate) fn run(plan: &Plan<'_>, recorder: &mut Recorder<'_>, stop: Stop<'_>) -> io::Result<()> {
    let mut engine = Epoll {
        plan,
        recorder,
        poll: Poll::new()?,
        slots: (0..plan.slots)
            .map(|slot| {
                let head = plan.is_head_request;
                Slot::new(Exchange::new(plan.thread, slot, plan.target, head))
            })
            .collect(),
        deadlines: Deadlines::new(plan.slots),
        to_start: (0..plan.slots).collect(),
        to_read: Vec::new(),
        scratch: vec![0; READ_BYTES].into_boxed_slice(),
        wake_ns: monotonic_ns(),
        requests_left: plan.requests,
        under_way: 0,
        server_header_known: false,
    };
    engine.run(stop)
}

impl Epoll<'_, '_> {
    fn run(&mut self, stop: Stop<'_>) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS);
        let mut tick_ns = self.wake_ns + TICK_NS;
        loop {
            for slot in std::mem::take(&mut self.to_read) {
                self.read(slot);
            }
            for _ in 0..self.to_start.len().min(STARTS) {
                if let Some(slot) = self.to_start.pop_front() {
                    self.start(slot);
                }
            }
            if self.under_way == 0 && self.to_start.is_empty() {
                return Ok(());
            }
            if stop.is_set() || self.plan.until_ns.is_some_and(|end| self.wake_ns >= end) {
                self.abort();
                return Ok(());
            }
            match self.poll.poll(&mut events, Some(self.patience(tick_ns))) {
                Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
                // Interrupted by a signal: there are no events.
                Err(_) => events.clear(),
                Ok(()) => {}
            }
            self.wake_ns = monotonic_ns();
            for event in &events {
                self.on_event(event);
            }
            while let Some(slot) = self.deadlines.pop_passed(self.wake_ns) {
                let now_ns = monotonic_ns();
                self.end(slot, |exchange| {
                    exchange.cut_off(Outcome::Timeout, now_ns);
                });
            }
            if self.wake_ns >= tick_ns {
                self.recorder.tick(self.wake_ns);
                tick_ns = self.wake_ns + TICK_NS;
            }
        }
    }

    /// How long to wait for events.
    fn patience(&self, tick_ns: u64) -> Duration {
        if !self.to_start.is_empty() || !self.to_read.is_empty() {
            return Duration::ZERO;
        }
        let mut until_ns = tick_ns;
        for ns in [self.deadlines.next_ns(), self.plan.until_ns]
            .into_iter()
            .flatten()
        {
            until_ns = until_ns.min(ns);
        }
        Duration::from_nanos(until_ns.saturating_sub(monotonic_ns()))
    }

    fn on_event(&mut self, event: &Event) {
        let number = event.token().0;
        let Some(slot) = self.slots.get_mut(number) else {
            return;
        };
        slot.read_closed |= event.is_read_closed() || event.is_error();
        let number = number as u32;
        match slot.exchange.stage {
            Stage::Idle => return,
            Stage::Connecting | Stage::Sending => self.send(number, monotonic_ns()),
            Stage::Receiving => {}
        }
        let slot = &self.slots[number as usize];
        let stage = slot.exchange.stage;
        if matches!(stage, Stage::Sending | Stage::Receiving)
            && (event.is_readable() || slot.read_closed)
        {
            self.read(number);
        }
    }

    /// Takes one request off the number to send; false when there are none left.
    fn take_request(&mut self) -> bool {
        match &mut self.requests_left {
            None => true,
            Some(0) => false,
            Some(left) => {
                *left -= 1;
                true
            }
        }
    }

    /// Opens a connection for the slot's next request, or for its retry.
    fn start(&mut self, number: u32) {
        if !self.slots[number as usize].exchange.is_retry_due() && !self.take_request() {
            return;
        }
        let now_ns = monotonic_ns();
        self.under_way += 1;
        self.deadlines
            .set(number, now_ns.saturating_add(self.plan.timeout_ns));
        let slot = &mut self.slots[number as usize];
        slot.exchange.begin_connect(now_ns);
        match TcpStream::connect(self.plan.target) {
            Ok(stream) => {
                slot.open(stream);
                // On one machine the connection often stands by now; if it does not,
                // this write costs less than a wake-up.
                self.send(number, 0);
            }
            Err(error) => self.fail(number, Trouble::Errno(errno(&error))),
        }
    }

    /// Starts the slot's next request on the connection it has.
    fn start_again(&mut self, number: u32) {
        let now_ns = monotonic_ns();
        self.under_way += 1;
        self.deadlines
            .set(number, now_ns.saturating_add(self.plan.timeout_ns));
        self.slots[number as usize].exchange.begin_reuse(now_ns);
        self.send(number, now_ns);
    }

    /// Sends what is left of the request. `now_ns` is the present, or 0.
    fn send(&mut self, number: u32, now_ns: u64) {
        let slot = &mut self.slots[number as usize];
        let connecting = slot.exchange.stage == Stage::Connecting;
        let written = slot.write(self.plan.request, now_ns);
        if connecting && slot.exchange.sent_bytes() > 0 {
            self.recorder.events().connections_opened += 1;
        }
        let wanted = match written {
            Written::Failed(errno) if slot.exchange.sent_bytes() > 0 => {
                // The server may have answered before it closed.
                slot.write_errno = Some(errno);
                slot.read_closed = true;
                self.read(number);
                return;
            }
            Written::Failed(errno) => return self.fail(number, Trouble::Errno(errno)),
            Written::All => Interest::READABLE,
            Written::Blocked => Interest::READABLE | Interest::WRITABLE,
        };
        let registered = slot.register(self.poll.registry(), Token(number as usize), wanted);
        if let Err(error) = registered {
            self.fail(number, Trouble::Errno(errno(&error)));
        }
    }

    /// Reads until the answer ends, the socket is empty, or the slot's turn is over.
    fn read(&mut self, number: u32) {
        let mut turn_left = TURN_BYTES;
        loop {
            if self.slots[number as usize].exchange.stage == Stage::Idle {
                return;
            }
            if turn_left == 0 {
                self.to_read.push(number);
                return;
            }
            let slot = &mut self.slots[number as usize];
            let piece = match slot.read(&mut self.scratch, turn_left) {
                Ok(piece) => piece,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if let Some(errno) = self.slots[number as usize].write_errno {
                        self.fail(number, Trouble::Errno(errno));
                    }
                    return;
                }
                Err(error) => return self.fail(number, Trouble::Errno(errno(&error))),
            };
            if piece.bytes == 0 {
                return self.on_end_of_stream(number);
            }
            turn_left = turn_left.saturating_sub(piece.bytes);
            if self.take(number, piece) || self.slots[number as usize].is_drained_by(piece) {
                return;
            }
        }
    }

    /// Gives bytes to the reader; returns whether the attempt ended with them.
    fn take(&mut self, number: u32, piece: Piece) -> bool {
        let exchange = &mut self.slots[number as usize].exchange;
        let mut now_ns = 0;
        if !exchange.has_first_byte() {
            now_ns = monotonic_ns();
            exchange.first_byte(now_ns, self.wake_ns.min(now_ns));
            if !self.server_header_known {
                exchange.reader.keep_server_header();
            }
        }
        let bytes = piece.bytes;
        let fed = if piece.dropped {
            let known = exchange.reader.unseen().map_or(0, |unseen| unseen.bytes);
            let body = known.min(bytes as u64);
            exchange.reader.skip(body);
            Ok(body as usize)
        } else {
            exchange.reader.feed(&self.scratch[..bytes])
        };
        let events = self.recorder.events();
        events.bytes_received += bytes as u64;
        match fed {
            Err(reason) => self.fail(number, Trouble::Malformed(reason)),
            Ok(taken) if exchange.reader.is_complete() => {
                let surplus = taken < bytes;
                events.surplus += u64::from(surplus);
                self.answered(number, now_ns, surplus);
            }
            Ok(_) => return false,
        }
        true
    }

    fn on_end_of_stream(&mut self, number: u32) {
        let slot = &mut self.slots[number as usize];
        slot.read_closed = true;
        match (slot.exchange.end_of_stream(), slot.write_errno) {
            (None, _) => self.answered(number, 0, false),
            (Some(Trouble::Closed), Some(errno)) => self.fail(number, Trouble::Errno(errno)),
            (Some(trouble), _) => self.fail(number, trouble),
        }
    }

    /// Ends an attempt with a complete answer, and goes on with the next request.
    /// `now_ns` is the present, or 0.
    fn answered(&mut self, number: u32, now_ns: u64, surplus: bool) {
        let now_ns = if now_ns == 0 { monotonic_ns() } else { now_ns };
        let slot = &mut self.slots[number as usize];
        let server_keeps = slot.exchange.reader.keep_alive();
        let reusable = self.plan.keep_alive
            && server_keeps
            && !surplus
            && !slot.read_closed
            && slot.exchange.stage == Stage::Receiving;
        let events = self.recorder.events();
        events.keep_alive_answers += u64::from(server_keeps);
        if !self.server_header_known {
            self.server_header_known = true;
            events.server_software = slot.exchange.reader.take_server_header();
        }
        if !reusable {
            return self.end(number, |exchange| {
                exchange.answered(now_ns);
            });
        }
        self.under_way -= 1;
        self.deadlines.clear(number);
        self.recorder.record(slot.exchange.answered(now_ns));
        if self.take_request() {
            self.start_again(number);
        } else {
            self.slots[number as usize].stream = None;
        }
    }

    fn fail(&mut self, number: u32, trouble: Trouble) {
        let now_ns = monotonic_ns();
        self.end(number, |exchange| {
            exchange.failed(trouble, now_ns);
        });
    }

    /// Ends an attempt and its connection; the slot's next request needs a new one.
    fn end(&mut self, number: u32, how: impl FnOnce(&mut Exchange)) {
        let slot = &mut self.slots[number as usize];
        how(&mut slot.exchange);
        // Closing takes it out of epoll, too.
        slot.stream = None;
        self.under_way -= 1;
        self.deadlines.clear(number);
        self.recorder.record(slot.exchange.row());
        self.to_start.push_back(number);
    }

    /// Ends every attempt under way, and every request that waits to be sent again.
    fn abort(&mut self) {
        let now_ns = monotonic_ns();
        for number in 0..self.plan.slots {
            let exchange = &mut self.slots[number as usize].exchange;
            if exchange.is_retry_due() {
                exchange.begin_unconnected(now_ns);
                self.under_way += 1;
            }
            if exchange.stage != Stage::Idle {
                self.end(number, |exchange| {
                    exchange.cut_off(Outcome::Aborted, now_ns);
                });
            }
        }
    }
}
