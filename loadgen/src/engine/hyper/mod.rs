//! The engine for what is not hot: TLS and HTTP/2, through hyper.
//!
//! Each load thread has a runtime of its own. Its slots are tasks that live as long as
//! the run; what they begin is decided by the same [`Dispatcher`] as in the other
//! engines, and their rows mean the same, but for this:
//!
//! - `connected_ns` is when TLS was done, too.
//! - Bytes sent and received are those of HTTP, before encryption. In HTTP/2 they are
//!   all bytes of the connection while the request was under way, frames that do not
//!   belong to it included.
//! - `header_bytes` is 0: hyper does not tell.
//! - In HTTP/2 the first byte is that of the read which made the head of the answer
//!   whole; other frames come before it. In HTTP/1.1 it is the first of all.
//! - `loop_wake_ns` is when the loop began to look after its slots.
//! - Surplus is seen only when it comes together with the end of the answer.
//! - A TLS connection that ends without saying so ends what it carries too early.

mod connection;
mod ground;
mod slot;
mod trouble;
mod watch;

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, Stream};
use socket2::SockAddr;
use tokio::time::Instant;

pub(crate) use ground::Ground;

use self::slot::{Post, Seen};
use super::body::BodyRules;
use super::deadlines::Deadlines;
use super::dispatch::{Dispatcher, StartKind};
use super::exchange::{Exchange, Stage};
use super::{Plan, Stop};
use crate::clock::monotonic_ns;
use crate::recorder::Recorder;
use crate::{Outcome, Row};

/// How often progress is told and stop is looked at when nothing happens.
const TICK_NS: u64 = 100_000_000;

/// Attempts begun before the slots have their turn.
const STARTS: usize = 64;

/// What the slots of a thread share; nothing of it is borrowed while a slot waits.
struct Work<'a, 'b> {
    plan: &'a Plan<'a>,
    ground: &'a Ground,
    address: SockAddr,
    recorder: RefCell<&'a mut Recorder<'b>>,
    dispatcher: RefCell<Dispatcher<'a>>,
    deadlines: RefCell<Deadlines>,
    connect_deadlines: RefCell<Deadlines>,
    posts: Vec<Post>,
    wake_ns: Rc<Cell<u64>>,
    /// The same of the turn before, and of the one before that.
    woke_before_ns: Cell<[u64; 2]>,
    tick_ns: Cell<u64>,
    server_header_known: Cell<bool>,
}

/// Carries out a plan.
///
/// # Errors
/// Only when the runtime cannot be had; whatever happens to a request is an outcome.
pub(crate) fn run(
    plan: &Plan<'_>,
    ground: &Ground,
    recorder: &mut Recorder<'_>,
    stop: Stop<'_>,
) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()?;
    let now_ns = monotonic_ns();
    let remote = plan.remote();
    let rules = BodyRules::of(plan.config);
    let work = Work {
        plan,
        ground,
        address: plan.address()?,
        recorder: RefCell::new(recorder),
        dispatcher: RefCell::new(Dispatcher::new(plan)),
        deadlines: RefCell::new(Deadlines::new(plan.slots)),
        connect_deadlines: RefCell::new(Deadlines::new(plan.slots)),
        posts: (0..plan.slots)
            .map(|slot| {
                let reader = Seen::default();
                let mut exchange = Exchange::with_reader(plan.thread, slot, remote, reader);
                rules.iter().for_each(|rules| exchange.verify_pieces(rules));
                Post::new(slot, exchange)
            })
            .collect(),
        wake_ns: Rc::new(Cell::new(now_ns)),
        woke_before_ns: Cell::default(),
        tick_ns: Cell::new(now_ns + TICK_NS),
        server_header_known: Cell::new(false),
    };
    // HTTP/2 has tasks of its own beside the slots.
    tokio::task::LocalSet::new().block_on(&runtime, work.run(stop));
    Ok(())
}

impl Work<'_, '_> {
    async fn run(&self, stop: Stop<'_>) {
        let mut slots = pin!(
            self.posts
                .iter()
                .map(|post| self.slot(post))
                .collect::<FuturesUnordered<_>>()
        );
        let mut alarm_ns = 0;
        let mut alarm = pin!(tokio::time::sleep(Duration::ZERO));
        poll_fn(|cx| {
            let [last_ns, _] = self.woke_before_ns.get();
            let woke_ns = self.wake_ns.replace(monotonic_ns());
            self.woke_before_ns.set([woke_ns, last_ns]);
            if self.is_over(stop) {
                return Poll::Ready(());
            }
            self.time_out();
            self.start();
            // No slot ends, so this polls those that are woken and no more.
            let _ = slots.as_mut().poll_next(cx);
            let now_ns = monotonic_ns();
            let next_ns = self.next_ns(now_ns);
            if next_ns <= now_ns || self.dispatcher.borrow().is_over() {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            // An alarm that is too early costs less than setting it anew each time.
            if next_ns < alarm_ns || alarm_ns <= now_ns {
                let after = Duration::from_nanos(next_ns - now_ns);
                alarm.as_mut().reset(Instant::now() + after);
                alarm_ns = next_ns;
            }
            if alarm.as_mut().poll(cx).is_ready() {
                alarm_ns = 0;
                cx.waker().wake_by_ref();
            }
            Poll::Pending
        })
        .await;
        let end_ns = self.wake_ns.get();
        let unsent = self.dispatcher.borrow_mut().unsent(end_ns);
        self.recorder.borrow_mut().events().unsent += unsent;
    }

    /// Whether the run ends here; what is under way is then given up.
    fn is_over(&self, stop: Stop<'_>) -> bool {
        if self.dispatcher.borrow().is_over() {
            return true;
        }
        let now_ns = self.wake_ns.get();
        if stop.is_set() || self.plan.until_ns.is_some_and(|end_ns| now_ns >= end_ns) {
            self.abort();
            return true;
        }
        if now_ns >= self.tick_ns.get() {
            self.recorder.borrow_mut().tick(now_ns);
            self.tick_ns.set(now_ns + TICK_NS);
        }
        false
    }

    /// When there is something to do, if the slots have nothing before.
    fn next_ns(&self, now_ns: u64) -> u64 {
        [
            self.dispatcher.borrow().wake_ns(now_ns),
            self.deadlines.borrow().next_ns(),
            self.connect_deadlines.borrow().next_ns(),
            self.plan.until_ns,
        ]
        .into_iter()
        .flatten()
        .fold(self.tick_ns.get(), u64::min)
    }

    fn start(&self) {
        for _ in 0..STARTS {
            match self.dispatcher.borrow_mut().next(self.wake_ns.get()) {
                Some(start) => self.posts[start.slot as usize].start(start.kind),
                None => break,
            }
        }
    }

    fn set_deadline(&self, slot: u32, now_ns: u64) {
        let at_ns = now_ns.saturating_add(self.plan.timeout_ns());
        self.deadlines.borrow_mut().set(slot, at_ns);
    }

    fn set_connect_deadline(&self, slot: u32, now_ns: u64) {
        if let Some(timeout_ns) = self.plan.connect_timeout_ns() {
            let at_ns = now_ns.saturating_add(timeout_ns);
            self.connect_deadlines.borrow_mut().set(slot, at_ns);
        }
    }

    /// Cuts off what had no time left two turns ago. Since then whatever had come by then was
    /// read: a turn after a signal may not have looked at the sockets, and the tasks of HTTP/2
    /// have theirs after that of the slots. A thread that had to wait for its CPU thus takes
    /// no answer for late that was in time.
    fn time_out(&self) {
        let [_, looked_ns] = self.woke_before_ns.get();
        while let Some(slot) = self.connect_deadlines.borrow_mut().pop_passed(looked_ns) {
            let post = &self.posts[slot as usize];
            if post.exchange.borrow().stage == Stage::Connecting {
                post.cut(Outcome::Timeout);
            }
        }
        while let Some(slot) = self.deadlines.borrow_mut().pop_passed(looked_ns) {
            self.posts[slot as usize].cut(Outcome::Timeout);
        }
    }

    fn record(&self, slot: u32, row: &Row) {
        self.deadlines.borrow_mut().clear(slot);
        self.connect_deadlines.borrow_mut().clear(slot);
        self.recorder.borrow_mut().record(row);
    }

    /// Ends every attempt under way, and every request that waits to be sent again.
    fn abort(&self) {
        let now_ns = self.wake_ns.get();
        for slot in self.dispatcher.borrow_mut().take_retries() {
            let mut exchange = self.posts[slot as usize].exchange.borrow_mut();
            exchange.begin_unconnected(now_ns);
        }
        for (slot, post) in (0..).zip(&self.posts) {
            let mut exchange = post.exchange.borrow_mut();
            match post.take_start() {
                Some(StartKind::Retry) => exchange.begin_unconnected(now_ns),
                Some(StartKind::Fresh(_)) if self.plan.config.pace.is_open() => {
                    self.recorder.borrow_mut().events().unsent += 1;
                }
                _ => {}
            }
            if exchange.stage != Stage::Idle {
                let received = post.note_connection(&mut exchange);
                self.recorder.borrow_mut().events().bytes_received += received;
                self.record(slot, exchange.cut_off(Outcome::Aborted, now_ns));
            }
        }
    }
}
