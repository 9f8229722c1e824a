//! The engine that runs everywhere: edge-triggered epoll, through mio.
//!
//! What it spares: a socket is registered once; the request is written straight after
//! the connect and straight after the last answer, without waiting for a wake-up; a
//! read that brought less than it could is the last one; bodies are dropped by the
//! kernel without being copied.

use std::io::{self, ErrorKind};
use std::time::Duration;

use mio::event::Event;
use mio::{Events, Interest, Poll, Token};
use socket2::SockAddr;

use super::deadlines::Deadlines;
use super::dispatch::{Dispatcher, Next, Start, StartKind};
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
    address: SockAddr,
    slots: Vec<Slot>,
    dispatcher: Dispatcher<'a>,
    deadlines: Deadlines,
    connect_deadlines: Deadlines,
    /// Slots whose turn to read ended before their bytes did.
    to_read: Vec<u32>,
    scratch: Box<[u8]>,
    wake_ns: u64,
    server_header_known: bool,
}

/// Carries out a plan.
///
/// # Errors
/// Only when epoll itself fails; whatever happens to a request is an outcome.
pub(crate) fn run(plan: &Plan<'_>, recorder: &mut Recorder<'_>, stop: Stop<'_>) -> io::Result<()> {
    let remote = plan.config.target().addr;
    let mut engine = Epoll {
        plan,
        recorder,
        poll: Poll::new()?,
        address: plan.address()?,
        slots: (0..plan.slots)
            .map(|slot| {
                let head = plan.is_head_request();
                Slot::new(Exchange::new(plan.thread, slot, remote, head))
            })
            .collect(),
        dispatcher: Dispatcher::new(plan),
        deadlines: Deadlines::new(plan.slots),
        connect_deadlines: Deadlines::new(plan.slots),
        to_read: Vec::new(),
        scratch: vec![0; READ_BYTES].into_boxed_slice(),
        wake_ns: monotonic_ns(),
        server_header_known: false,
    };
    engine.run(stop)
}

impl Epoll<'_, '_> {
    fn run(&mut self, stop: Stop<'_>) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS);
        let mut tick_ns = self.wake_ns + TICK_NS;
        while !self.dispatcher.is_over() {
            if stop.is_set() || self.plan.until_ns.is_some_and(|end| self.wake_ns >= end) {
                self.abort();
                break;
            }
            for slot in std::mem::take(&mut self.to_read) {
                self.read(slot);
            }
            for _ in 0..STARTS {
                match self.dispatcher.next(self.wake_ns) {
                    Some(start) => self.start(start),
                    None => break,
                }
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
            self.time_out();
            if self.wake_ns >= tick_ns {
                self.recorder.tick(self.wake_ns);
                tick_ns = self.wake_ns + TICK_NS;
            }
        }
        self.recorder.events().unsent += self.dispatcher.unsent(self.wake_ns);
        Ok(())
    }

    /// How long to wait for events.
    fn patience(&self, tick_ns: u64) -> Duration {
        if !self.to_read.is_empty() {
            return Duration::ZERO;
        }
        let mut until_ns = tick_ns;
        for ns in [
            self.dispatcher.wake_ns(self.wake_ns),
            self.deadlines.next_ns(),
            self.connect_deadlines.next_ns(),
            self.plan.until_ns,
        ]
        .into_iter()
        .flatten()
        {
            until_ns = until_ns.min(ns);
        }
        Duration::from_nanos(until_ns.saturating_sub(monotonic_ns()))
    }

    fn time_out(&mut self) {
        while let Some(slot) = self.connect_deadlines.pop_passed(self.wake_ns) {
            if self.slots[slot as usize].exchange.stage == Stage::Connecting {
                self.cut_off(slot, Outcome::Timeout);
            }
        }
        while let Some(slot) = self.deadlines.pop_passed(self.wake_ns) {
            self.cut_off(slot, Outcome::Timeout);
        }
    }

    fn on_event(&mut self, event: &Event) {
        let number = event.token().0;
        let Some(slot) = self.slots.get_mut(number) else {
            return;
        };
        slot.read_closed |= event.is_read_closed() || event.is_error();
        let number = number as u32;
        match slot.exchange.stage {
            Stage::Idle => {
                // The server closes a connection that nothing is asked on.
                if slot.read_closed {
                    slot.stream = None;
                }
                return;
            }
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

    /// Begins an attempt: on the connection that the slot has, or on a new one.
    fn start(&mut self, Start { slot: number, kind }: Start) {
        let now_ns = monotonic_ns();
        self.deadlines
            .set(number, now_ns.saturating_add(self.plan.timeout_ns()));
        let slot = &mut self.slots[number as usize];
        if let StartKind::Fresh(fresh) = kind
            && slot.stream.is_some()
        {
            slot.exchange.begin_reuse(now_ns, fresh);
            return self.send(number, now_ns);
        }
        slot.exchange.begin_connect(now_ns, kind);
        if let Some(timeout_ns) = self.plan.connect_timeout_ns() {
            self.connect_deadlines
                .set(number, now_ns.saturating_add(timeout_ns));
        }
        match slot.connect(&self.address, self.plan) {
            // On one machine the connection often stands by now; if it does not,
            // this write costs less than a wake-up.
            Ok(()) => self.send(number, 0),
            Err(error) => self.fail(number, Trouble::Errno(errno(&error))),
        }
    }

    /// Sends what is left of the request. `now_ns` is the present, or 0.
    fn send(&mut self, number: u32, now_ns: u64) {
        let slot = &mut self.slots[number as usize];
        let connecting = slot.exchange.stage == Stage::Connecting;
        let request = &self.plan.requests_bytes[usize::from(slot.exchange.row().url)];
        let written = slot.write(request, now_ns);
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
        let reusable = self.plan.keeps_after(slot.exchange.row().ordinal)
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
        slot.exchange.answered(now_ns);
        if !reusable {
            slot.stream = None;
        }
        self.ended(number, now_ns);
    }

    fn fail(&mut self, number: u32, trouble: Trouble) {
        let now_ns = monotonic_ns();
        let slot = &mut self.slots[number as usize];
        let outcome = slot.exchange.failed(trouble, now_ns).outcome;
        // Closing takes it out of epoll, too.
        slot.stream = None;
        if outcome == Outcome::StaleKeepAlive && self.plan.config.retry_stale {
            self.record(number);
            self.dispatcher.retry(number);
        } else {
            self.ended(number, now_ns);
        }
    }

    fn cut_off(&mut self, number: u32, outcome: Outcome) {
        let now_ns = monotonic_ns();
        let slot = &mut self.slots[number as usize];
        slot.exchange.cut_off(outcome, now_ns);
        slot.stream = None;
        self.ended(number, now_ns);
    }

    /// Records an attempt that has ended, and goes on with what its slot does next.
    fn ended(&mut self, number: u32, now_ns: u64) {
        self.record(number);
        let connected = self.slots[number as usize].stream.is_some();
        match self.dispatcher.freed(number, now_ns, connected) {
            Next::Start(start) => self.start(start),
            Next::Wait => {}
            Next::Leave => self.slots[number as usize].stream = None,
        }
    }

    fn record(&mut self, number: u32) {
        self.deadlines.clear(number);
        self.connect_deadlines.clear(number);
        self.recorder
            .record(self.slots[number as usize].exchange.row());
    }

    /// Ends every attempt under way, and every request that waits to be sent again.
    fn abort(&mut self) {
        let now_ns = monotonic_ns();
        for number in self.dispatcher.take_retries() {
            let exchange = &mut self.slots[number as usize].exchange;
            exchange.begin_unconnected(now_ns);
        }
        for number in 0..self.plan.slots {
            let exchange = &mut self.slots[number as usize].exchange;
            if exchange.stage != Stage::Idle {
                exchange.cut_off(Outcome::Aborted, now_ns);
                self.record(number);
            }
        }
    }
}
