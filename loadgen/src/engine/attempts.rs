//! What the slots of a thread go through, without I/O: an engine says what its sockets
//! tell, and learns what to do next.

use std::io;

use super::body::BodyRules;
use super::deadlines::Deadlines;
use super::dispatch::{Dispatcher, Next, Start, StartKind};
use super::exchange::{Exchange, Stage, Trouble};
use super::{Plan, Stop};
use crate::Outcome;
use crate::clock::monotonic_ns;
use crate::recorder::Recorder;

/// How often progress is told and stop is looked at when nothing happens.
const TICK_NS: u64 = 100_000_000;

/// Bytes of an answer that have come.
#[derive(Debug, Clone, Copy)]
pub(super) enum Came<'a> {
    /// Here they are; never none.
    Bytes(&'a [u8]),
    /// So many of the body, and perhaps of a surplus behind it, that the kernel dropped.
    Dropped(usize),
}

impl Came<'_> {
    fn bytes(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Dropped(bytes) => *bytes,
        }
    }
}

/// What follows on the end of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(super) struct After {
    /// Whether the slot's connection stays open; otherwise it is to be closed now.
    pub(super) keeps_connection: bool,
    /// What the slot does at once; only with a connection that stays open.
    pub(super) start: Option<Start>,
}

/// The attempts of one thread.
pub(super) struct Attempts<'a, 'b> {
    plan: &'a Plan<'a>,
    recorder: &'a mut Recorder<'b>,
    exchanges: Vec<Exchange>,
    dispatcher: Dispatcher<'a>,
    deadlines: Deadlines,
    connect_deadlines: Deadlines,
    woke_ns: u64,
    /// When it woke the time before: what had come by then has been looked at since.
    looked_ns: u64,
    tick_ns: u64,
    server_header_known: bool,
}

impl<'a, 'b> Attempts<'a, 'b> {
    pub(super) fn new(plan: &'a Plan<'a>, recorder: &'a mut Recorder<'b>) -> Self {
        let remote = plan.remote();
        let head = plan.is_head_request();
        let rules = BodyRules::of(plan.config);
        let exchange = |slot| {
            let mut exchange = Exchange::new(plan.thread, slot, remote, head);
            if let Some(rules) = &rules {
                exchange.verify_bodies(rules);
            }
            if plan.config.unix_socket.is_some() {
                // Only TCP drops bytes unseen.
                exchange.reader.look_at_bodies();
            }
            exchange
        };
        let woke_ns = monotonic_ns();
        Self {
            plan,
            recorder,
            exchanges: (0..plan.slots).map(exchange).collect(),
            dispatcher: Dispatcher::new(plan),
            deadlines: Deadlines::new(plan.slots),
            connect_deadlines: Deadlines::new(plan.slots),
            woke_ns,
            looked_ns: 0,
            tick_ns: woke_ns + TICK_NS,
            server_header_known: false,
        }
    }

    /// Whether the engine has to go on; when the time is up, everything under way is
    /// ended here.
    pub(super) fn go_on(&mut self, stop: Stop<'_>) -> bool {
        if self.dispatcher.is_over() {
            return false;
        }
        let is_late = self.plan.until_ns.is_some_and(|end| self.woke_ns >= end);
        if stop.is_set() || is_late {
            self.abort();
            return false;
        }
        true
    }

    /// The loop woke: what happens until it sleeps again was caused by now.
    pub(super) fn woke(&mut self) {
        self.looked_ns = std::mem::replace(&mut self.woke_ns, monotonic_ns());
    }

    /// To be called once a turn of the loop.
    pub(super) fn tick(&mut self) {
        if self.woke_ns >= self.tick_ns {
            self.recorder.tick(self.woke_ns);
            self.tick_ns = self.woke_ns + TICK_NS;
        }
    }

    /// How long the loop may sleep if nothing happens on the sockets.
    pub(super) fn patience_ns(&self) -> u64 {
        let mut until_ns = self.tick_ns;
        for ns in [
            self.dispatcher.wake_ns(self.woke_ns),
            self.deadlines.next_ns(),
            self.connect_deadlines.next_ns(),
            self.plan.until_ns,
        ]
        .into_iter()
        .flatten()
        {
            until_ns = until_ns.min(ns);
        }
        until_ns.saturating_sub(monotonic_ns())
    }

    /// An attempt that is to begin now.
    pub(super) fn next_start(&mut self) -> Option<Start> {
        self.dispatcher.next(self.woke_ns)
    }

    /// A slot whose time was over the time before that the loop woke: to be cut off. Later than
    /// that an answer may have come unseen, as the loop wakes without a look at the sockets
    /// after a signal, and may have to wait for its CPU.
    pub(super) fn next_timed_out(&mut self) -> Option<u32> {
        while let Some(slot) = self.connect_deadlines.pop_passed(self.looked_ns) {
            if self.of(slot).stage == Stage::Connecting {
                return Some(slot);
            }
        }
        self.deadlines.pop_passed(self.looked_ns)
    }

    /// The present attempt of a slot.
    pub(super) fn of(&mut self, slot: u32) -> &mut Exchange {
        &mut self.exchanges[slot as usize]
    }

    /// What the slot's request is made of.
    pub(super) fn request(&self, slot: u32) -> &'a [u8] {
        let url = self.exchanges[slot as usize].row().url;
        &self.plan.requests_bytes[usize::from(url)]
    }

    /// Begins an attempt, on the slot's connection if there is one. Returns when, and
    /// whether a new connection is needed.
    pub(super) fn begin(&mut self, start: Start, has_connection: bool) -> (u64, bool) {
        let Start { slot, kind } = start;
        let now_ns = monotonic_ns();
        self.deadlines
            .set(slot, now_ns.saturating_add(self.plan.timeout_ns()));
        let exchange = &mut self.exchanges[slot as usize];
        if let StartKind::Fresh(fresh) = kind
            && has_connection
        {
            exchange.begin_reuse(now_ns, fresh);
            return (now_ns, false);
        }
        exchange.begin_connect(now_ns, kind);
        if let Some(timeout_ns) = self.plan.connect_timeout_ns() {
            self.connect_deadlines
                .set(slot, now_ns.saturating_add(timeout_ns));
        }
        (now_ns, true)
    }

    /// The kernel accepted bytes of the request, in a write begun at `began_ns`.
    pub(super) fn sent(&mut self, slot: u32, bytes: usize, began_ns: u64) {
        let request_bytes = self.request(slot).len();
        let exchange = &mut self.exchanges[slot as usize];
        if exchange.stage == Stage::Connecting {
            self.recorder.events().connections_opened += 1;
        }
        exchange.sent(bytes, began_ns, request_bytes);
    }

    /// Gives the reader what has come of the answer; `None`: there is more to come.
    pub(super) fn came(&mut self, slot: u32, came: Came<'_>) -> Option<After> {
        let exchange = &mut self.exchanges[slot as usize];
        let mut now_ns = 0;
        if !exchange.has_first_byte() {
            now_ns = monotonic_ns();
            exchange.first_byte(now_ns, self.woke_ns.min(now_ns));
            if !self.server_header_known {
                exchange.reader.keep_server_header();
            }
        }
        let fed = match came {
            Came::Bytes(bytes) => exchange.feed(bytes),
            Came::Dropped(bytes) => {
                let known = exchange.reader.unseen().map_or(0, |unseen| unseen.bytes);
                let body = known.min(bytes as u64);
                exchange.reader.skip(body);
                Ok(body as usize)
            }
        };
        let events = self.recorder.events();
        events.bytes_received += came.bytes() as u64;
        match fed {
            Err(reason) => Some(self.fail(slot, Trouble::Malformed(reason))),
            Ok(taken) if exchange.reader.is_complete() => {
                let surplus = taken < came.bytes();
                events.surplus += u64::from(surplus);
                Some(self.answered(slot, now_ns, surplus))
            }
            Ok(_) => None,
        }
    }

    /// The server has closed its side.
    pub(super) fn end_of_stream(&mut self, slot: u32) -> After {
        let exchange = self.of(slot);
        exchange.read_closed = true;
        match (exchange.end_of_stream(), exchange.write_errno) {
            (None, _) => self.answered(slot, 0, false),
            (Some(Trouble::Closed), Some(errno)) => self.fail(slot, Trouble::Errno(errno)),
            (Some(trouble), _) => self.fail(slot, trouble),
        }
    }

    /// The connection of a slot without an attempt was closed, or brought bytes and is
    /// of no more use.
    pub(super) fn unasked(&mut self, has_bytes: bool) {
        let events = self.recorder.events();
        events.surplus += u64::from(has_bytes);
    }

    /// Ends an attempt with a complete answer. `now_ns` is the present, or 0.
    fn answered(&mut self, slot: u32, now_ns: u64, surplus: bool) -> After {
        let now_ns = if now_ns == 0 { monotonic_ns() } else { now_ns };
        let exchange = &mut self.exchanges[slot as usize];
        let server_keeps = exchange.reader.keep_alive();
        let reusable = self.plan.keeps_after(exchange.row().ordinal)
            && server_keeps
            && !surplus
            && !exchange.read_closed
            && exchange.stage == Stage::Receiving;
        let events = self.recorder.events();
        events.keep_alive_answers += u64::from(server_keeps);
        if !self.server_header_known {
            self.server_header_known = true;
            events.server_software = exchange.reader.take_server_header();
        }
        exchange.answered(now_ns);
        self.ended(slot, now_ns, reusable)
    }

    /// Ends an attempt because of its connection or its answer.
    pub(super) fn fail(&mut self, slot: u32, trouble: Trouble) -> After {
        let now_ns = monotonic_ns();
        let outcome = self.of(slot).failed(trouble, now_ns).outcome;
        if outcome == Outcome::StaleKeepAlive && self.plan.config.retry_stale {
            self.record(slot);
            self.dispatcher.retry(slot);
            return After {
                keeps_connection: false,
                start: None,
            };
        }
        self.ended(slot, now_ns, false)
    }

    /// The same, by an error of the system.
    pub(super) fn fail_with(&mut self, slot: u32, error: &io::Error) -> After {
        let errno = error.raw_os_error().unwrap_or(libc::EIO);
        self.fail(slot, Trouble::Errno(errno))
    }

    /// Ends the attempt of a slot whose time is over.
    pub(super) fn time_out(&mut self, slot: u32) -> After {
        let now_ns = monotonic_ns();
        self.of(slot).cut_off(Outcome::Timeout, now_ns);
        self.ended(slot, now_ns, false)
    }

    /// Records an attempt that has ended, and asks what its slot does next.
    fn ended(&mut self, slot: u32, now_ns: u64, connected: bool) -> After {
        self.record(slot);
        let next = self.dispatcher.freed(slot, now_ns, connected);
        After {
            keeps_connection: connected && next != Next::Leave,
            start: match next {
                Next::Start(start) => Some(start),
                Next::Wait | Next::Leave => None,
            },
        }
    }

    fn record(&mut self, slot: u32) {
        self.deadlines.clear(slot);
        self.connect_deadlines.clear(slot);
        self.recorder.record(self.exchanges[slot as usize].row());
    }

    /// Ends every attempt under way, and every request that waits to be sent again.
    fn abort(&mut self) {
        let now_ns = monotonic_ns();
        for slot in self.dispatcher.take_retries() {
            self.of(slot).begin_unconnected(now_ns);
        }
        for slot in 0..self.plan.slots {
            if self.of(slot).stage != Stage::Idle {
                self.of(slot).cut_off(Outcome::Aborted, now_ns);
                self.record(slot);
            }
        }
    }

    /// To be called at the end.
    pub(super) fn finish(&mut self) {
        self.recorder.events().unsent += self.dispatcher.unsent(self.woke_ns);
    }
}
