//! The engine on io_uring: what is to be done is queued, and one call to the kernel does
//! it all and waits.
//!
//! A request is written, at the latest, [`SENDS_AT_ONCE`] writes after it was queued; the
//! write's time is the one at which the queue was handed to the kernel. Bytes are read by
//! the kernel before the loop wakes: `loop_wake_ns` is when the call returned that read
//! them, `first_byte_ns` when the loop looked at them. Connecting and the question for
//! the local address are system calls of their own, as the kernel has no others that
//! tell the port.
//!
//! Needs Linux 6.1 (IORING_SETUP_DEFER_TASKRUN).

mod buffers;
mod ring;
mod tag;

use std::collections::VecDeque;
use std::io;

use socket2::{SockAddr, Socket};

use super::attempts::{After, Attempts, Came};
use super::dispatch::Start;
use super::exchange::{Exchange, Stage, Trouble};
use super::{Plan, Stop, socket};
use crate::clock::monotonic_ns;
use crate::recorder::Recorder;

use ring::{Completion, Ring};
use tag::{Kind, Tag, next_generation};

pub(super) use ring::hindrance;

/// Writes that are handed to the kernel at once. The last one begins later than its row
/// says by the time of those before it; more at once were not measured to cost less.
const SENDS_AT_ONCE: usize = 4;

/// Connections opened before the others have their turn to read.
const STARTS: usize = 64;

/// Bytes to drop at a time.
const DROP_BYTES: usize = 4 * 1024 * 1024;

/// Below this it costs less to read the rest of a body than to change the way of reading.
const WORTH_DROPPING_BYTES: usize = 64 * 1024;

/// How a connection is read at present.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Receiving {
    /// Not at all.
    Not,
    /// One completion.
    Once,
    /// Completions until further notice.
    On,
    /// The same, with the notice given.
    EndingOn,
    /// One completion, the bytes are dropped.
    Dropping,
}

struct Connection {
    socket: Socket,
    receiving: Receiving,
    /// Waits until the socket takes bytes.
    awaits_writable: bool,
}

/// A slot's connection, or the one it had.
struct Slot {
    connection: Option<Connection>,
    generation: u32,
}

struct Uring<'a, 'b> {
    plan: &'a Plan<'a>,
    attempts: Attempts<'a, 'b>,
    ring: Ring,
    address: SockAddr,
    slots: Vec<Slot>,
    /// Writes in the queue.
    sends: Vec<Tag>,
    completions: VecDeque<Completion>,
    /// Failed writes of the last submission.
    failures: Vec<Completion>,
}

/// Carries out a plan.
///
/// # Errors
/// Only when io_uring itself fails; whatever happens to a request is an outcome.
pub(super) fn run(plan: &Plan<'_>, recorder: &mut Recorder<'_>, stop: Stop<'_>) -> io::Result<()> {
    let mut engine = Uring {
        plan,
        attempts: Attempts::new(plan, recorder),
        ring: Ring::new()?,
        address: plan.address()?,
        slots: (0..plan.slots)
            .map(|_| Slot {
                connection: None,
                generation: 0,
            })
            .collect(),
        sends: Vec::new(),
        completions: VecDeque::new(),
        failures: Vec::new(),
    };
    engine.run(stop)
}

impl Uring<'_, '_> {
    fn run(&mut self, stop: Stop<'_>) -> io::Result<()> {
        while self.attempts.go_on(stop) {
            for _ in 0..STARTS {
                match self.attempts.next_start() {
                    Some(start) => self.start(start),
                    None => break,
                }
                self.submit_if_many()?;
            }
            let patience_ns = match self.completions.is_empty() {
                true => self.attempts.patience_ns(),
                false => 0,
            };
            self.submit(Some(patience_ns))?;
            self.attempts.woke();
            while let Some(completion) = self.completions.pop_front() {
                self.on_completion(completion)?;
                self.submit_if_many()?;
            }
            while let Some(slot) = self.attempts.next_timed_out() {
                let after = self.attempts.time_out(slot);
                self.go_on(slot, after);
                self.submit_if_many()?;
            }
            self.attempts.tick();
        }
        self.attempts.finish();
        Ok(())
    }

    fn submit_if_many(&mut self) -> io::Result<()> {
        match self.sends.len() < SENDS_AT_ONCE {
            true => Ok(()),
            false => self.submit(None),
        }
    }

    /// Hands the queue to the kernel, waits if there is `patience_ns`, and settles what
    /// became of the writes.
    fn submit(&mut self, patience_ns: Option<u64>) -> io::Result<()> {
        let began_ns = match self.sends.is_empty() {
            true => 0,
            false => monotonic_ns(),
        };
        match patience_ns {
            Some(patience_ns) => self.ring.submit_and_wait(patience_ns)?,
            None => self.ring.submit()?,
        }
        for completion in self.ring.completions() {
            match completion.tag.kind {
                Kind::Send => self.failures.push(completion),
                Kind::Farewell => {}
                Kind::Receive | Kind::AwaitWritable => self.completions.push_back(completion),
            }
        }
        let mut sends = std::mem::take(&mut self.sends);
        let mut failures = std::mem::take(&mut self.failures);
        for tag in sends.drain(..) {
            let slot = tag.slot;
            if self.slots[slot as usize].generation != tag.generation {
                continue;
            }
            let bytes = match failures.iter().find(|failure| failure.tag == tag) {
                Some(failure) => usize::try_from(failure.result).unwrap_or(0),
                None => self.attempts.request(slot).len() - self.attempts.of(slot).sent_bytes(),
            };
            if bytes > 0 {
                self.attempts.sent(slot, bytes, began_ns);
            }
        }
        for failure in failures.drain(..) {
            self.on_send_failed(failure);
        }
        // Their memory is used again, unless something was queued meanwhile.
        if self.sends.is_empty() {
            self.sends = sends;
        }
        self.failures = failures;
        Ok(())
    }

    fn on_completion(&mut self, completion: Completion) -> io::Result<()> {
        let Tag {
            slot,
            generation,
            kind,
        } = completion.tag;
        if self.slots[slot as usize].generation == generation {
            match kind {
                Kind::Receive => self.on_received(slot, completion)?,
                Kind::AwaitWritable => self.on_writable(slot),
                Kind::Send | Kind::Farewell => {}
            }
        }
        if let Some(id) = completion.buffer {
            self.ring.buffers.give_back(id);
        }
        Ok(())
    }

    /// Begins an attempt: on the connection that the slot has, or on a new one.
    fn start(&mut self, start: Start) {
        let slot = start.slot;
        let has_connection = self.slots[slot as usize].connection.is_some();
        let (_, must_connect) = self.attempts.begin(start, has_connection);
        if must_connect {
            match socket::connect(&self.address, self.plan, slot) {
                Ok((socket, local)) => {
                    self.attempts.of(slot).set_local(local);
                    self.slots[slot as usize].connection = Some(Connection {
                        socket,
                        receiving: Receiving::Not,
                        awaits_writable: false,
                    });
                }
                Err(error) => {
                    let after = self.attempts.fail_with(slot, &error);
                    return self.go_on(slot, after);
                }
            }
        }
        self.send(slot);
        self.receive(slot);
    }

    /// Queues the write of what is left of the request.
    fn send(&mut self, slot: u32) {
        let tag = self.tag(slot, Kind::Send);
        let Some(connection) = &self.slots[slot as usize].connection else {
            return;
        };
        let request = self.attempts.request(slot);
        let rest = &request[self.attempts.of(slot).sent_bytes()..];
        // SAFETY: the plan has the request, and it outlives the ring.
        unsafe { self.ring.send(&connection.socket, rest, tag) };
        self.sends.push(tag);
    }

    fn is_send_queued(&self, slot: u32) -> bool {
        self.sends.contains(&self.tag(slot, Kind::Send))
    }

    /// A write did not take all bytes, or none at all.
    fn on_send_failed(&mut self, failure: Completion) {
        let Tag {
            slot, generation, ..
        } = failure.tag;
        let Slot {
            connection: Some(connection),
            generation: present,
        } = &mut self.slots[slot as usize]
        else {
            return;
        };
        if *present != generation {
            return;
        }
        let errno = -failure.result;
        if errno <= 0 || errno == libc::EAGAIN || errno == libc::EINTR {
            connection.awaits_writable = true;
            let kind = Kind::AwaitWritable;
            let tag = Tag {
                kind,
                ..failure.tag
            };
            return self.ring.await_writable(&connection.socket, tag);
        }
        let exchange = self.attempts.of(slot);
        if exchange.sent_bytes() > 0 {
            // The server may have answered before it closed; reading goes on to the end.
            exchange.write_errno = Some(errno);
            exchange.read_closed = true;
        } else {
            let after = self.attempts.fail(slot, Trouble::Errno(errno));
            self.go_on(slot, after);
        }
    }

    fn on_writable(&mut self, slot: u32) {
        let Some(connection) = &mut self.slots[slot as usize].connection else {
            return;
        };
        connection.awaits_writable = false;
        let is_unsent = matches!(
            self.attempts.of(slot).stage,
            Stage::Connecting | Stage::Sending
        );
        if is_unsent && !self.is_send_queued(slot) {
            self.send(slot);
        }
    }

    /// Asks for what comes next on the slot's connection, if that is not done already.
    fn receive(&mut self, slot: u32) {
        let tag = self.tag(slot, Kind::Receive);
        let exchange = self.attempts.of(slot);
        let Some(connection) = &mut self.slots[slot as usize].connection else {
            return;
        };
        if connection.receiving != Receiving::Not {
            return;
        }
        connection.receiving = if let Some(bytes) = droppable_bytes(exchange) {
            self.ring.drop_bytes(&connection.socket, bytes, tag);
            Receiving::Dropping
        } else if self.plan.config.keep_alive {
            self.ring.receive_on(&connection.socket, tag);
            Receiving::On
        } else {
            self.ring.receive(&connection.socket, tag);
            Receiving::Once
        };
    }

    fn on_received(&mut self, slot: u32, completion: Completion) -> io::Result<()> {
        let exchange = self.attempts.of(slot);
        if completion.result >= 0
            && exchange.sent_bytes() == 0
            && matches!(exchange.stage, Stage::Connecting | Stage::Sending)
        {
            // Nobody can have answered what was not sent: as in the order of things, the
            // write goes first.
            if !self.is_send_queued(slot) {
                self.send(slot);
            }
            self.submit(None)?;
            if self.slots[slot as usize].generation != completion.tag.generation {
                return Ok(());
            }
        }
        let Some(connection) = &mut self.slots[slot as usize].connection else {
            return Ok(());
        };
        let was = connection.receiving;
        if !completion.has_more {
            connection.receiving = Receiving::Not;
        }
        let after = match completion.result {
            _ if self.attempts.of(slot).stage == Stage::Idle => {
                // The server closes a connection that nothing is asked on, or says
                // something that nobody has asked for.
                if !is_passing(-completion.result) {
                    self.attempts.unasked(completion.result > 0);
                    self.close(slot);
                }
                None
            }
            0 => Some(self.attempts.end_of_stream(slot)),
            bytes if bytes > 0 => {
                let bytes = bytes as usize;
                let came = match completion.buffer {
                    Some(id) => Came::Bytes(self.ring.buffers.filled(id, bytes)),
                    None => Came::Dropped(bytes),
                };
                self.attempts.came(slot, came)
            }
            error if is_passing(-error) => None,
            error => Some(self.attempts.fail(slot, Trouble::Errno(-error))),
        };
        match after {
            Some(after) => self.go_on(slot, after),
            None if was == Receiving::On && completion.has_more => self.drop_rather(slot),
            None => {}
        }
        self.receive(slot);
        Ok(())
    }

    /// Changes to dropping if a large body is to come.
    fn drop_rather(&mut self, slot: u32) {
        let is_worth_it = droppable_bytes(self.attempts.of(slot))
            .is_some_and(|bytes| bytes >= WORTH_DROPPING_BYTES);
        let tag = self.tag(slot, Kind::Receive);
        if let Some(connection) = &mut self.slots[slot as usize].connection
            && is_worth_it
        {
            connection.receiving = Receiving::EndingOn;
            self.ring.cancel(tag);
        }
    }

    /// Goes on after the end of an attempt.
    fn go_on(&mut self, slot: u32, after: After) {
        if !after.keeps_connection {
            self.close(slot);
        }
        if let Some(start) = after.start {
            self.start(start);
        }
    }

    fn close(&mut self, slot: u32) {
        let (receive, writable) = (
            self.tag(slot, Kind::Receive),
            self.tag(slot, Kind::AwaitWritable),
        );
        let slot = &mut self.slots[slot as usize];
        let Some(connection) = slot.connection.take() else {
            return;
        };
        slot.generation = next_generation(slot.generation);
        if connection.receiving != Receiving::Not {
            self.ring.cancel(receive);
        }
        if connection.awaits_writable {
            self.ring.cancel(writable);
        }
        self.ring.close(connection.socket, receive);
    }

    fn tag(&self, slot: u32, kind: Kind) -> Tag {
        Tag {
            slot,
            generation: self.slots[slot as usize].generation,
            kind,
        }
    }
}

fn droppable_bytes(exchange: &Exchange) -> Option<usize> {
    match exchange.stage {
        Stage::Sending | Stage::Receiving => socket::droppable_bytes(&exchange.reader, DROP_BYTES),
        Stage::Idle | Stage::Connecting => None,
    }
}

/// Whether a read that ended so is just to be asked for again: there was no buffer, it
/// was cancelled to be read in another way, or a signal came.
fn is_passing(errno: i32) -> bool {
    matches!(
        errno,
        libc::ENOBUFS | libc::ECANCELED | libc::EINTR | libc::EAGAIN
    )
}
