//! One attempt at a request, from its start to its outcome, without I/O.

use std::net::SocketAddr;
use std::rc::Rc;

use super::body::{BodyRules, BodyVerifier};
use super::dispatch::{Fresh, StartKind};
use crate::response::{EndOfStream, Malformed, ResponseReader};
use crate::row::TlsFailure;
use crate::{Outcome, Row};

/// How far an attempt has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// No attempt under way.
    Idle,
    /// Connecting; nothing was sent.
    Connecting,
    /// The connection stands; the request is not wholly sent.
    Sending,
    /// The request is sent.
    Receiving,
}

/// What went wrong with a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The server closed it.
    Closed,
    /// The system's error number.
    Errno(i32),
    /// The answer is not HTTP.
    Malformed(Malformed),
    /// HTTP/2 only: the server reset the request's stream and kept the connection.
    StreamReset,
    /// TLS did not come about, or the server said by TLS that it does not go on.
    Tls(TlsFailure),
}

/// What an attempt wants to know about the answer that is being read.
pub(super) trait Answer {
    /// Forgets the last answer.
    fn reset(&mut self);
    /// Status of the final answer, 0 while there is none.
    fn status(&self) -> u16;
    /// Bytes of all heads so far, 0 where nobody knows.
    fn header_bytes(&self) -> u64;
    /// Bytes of the body so far, without framing.
    fn body_bytes(&self) -> u64;
    /// Whether the server keeps the connection after it.
    fn keep_alive(&self) -> bool;
}

impl Answer for ResponseReader {
    fn reset(&mut self) {
        ResponseReader::reset(self);
    }

    fn status(&self) -> u16 {
        ResponseReader::status(self)
    }

    fn header_bytes(&self) -> u64 {
        ResponseReader::header_bytes(self)
    }

    fn body_bytes(&self) -> u64 {
        ResponseReader::body_bytes(self)
    }

    fn keep_alive(&self) -> bool {
        ResponseReader::keep_alive(self)
    }
}

/// The present attempt of a slot.
pub(super) struct Exchange<A = ResponseReader> {
    row: Row,
    pub(super) reader: A,
    /// Boxed, as it is larger than the rest and mostly absent.
    verifier: Option<Box<BodyVerifier>>,
    pub(super) stage: Stage,
    /// The server has closed its side of the connection, or the socket has an error.
    pub(super) read_closed: bool,
    /// Error of a write that had sent a part; an answer may have come nevertheless.
    pub(super) write_errno: Option<i32>,
}

impl Exchange {
    pub(super) fn new(thread: u16, slot: u32, remote: SocketAddr, is_head_request: bool) -> Self {
        Self::with_reader(thread, slot, remote, ResponseReader::new(is_head_request))
    }

    /// Holds the bodies of all answers to come against the rules.
    pub(super) fn verify_bodies(&mut self, rules: &Rc<BodyRules>) {
        self.reader.look_at_bodies();
        self.verify_pieces(rules);
    }

    /// Gives the reader the next bytes; the result is that of [`ResponseReader::feed`].
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Result<usize, Malformed> {
        match &mut self.verifier {
            None => self.reader.feed(bytes),
            Some(verifier) => self.reader.feed_with(bytes, |piece| verifier.take(piece)),
        }
    }

    /// What the end of the stream means: trouble, or `None` for a complete answer.
    pub(super) fn end_of_stream(&mut self) -> Option<Trouble> {
        match self.reader.end_of_stream() {
            EndOfStream::Complete => None,
            EndOfStream::Empty | EndOfStream::Cut => Some(Trouble::Closed),
            EndOfStream::Malformed(reason) => Some(Trouble::Malformed(reason)),
        }
    }
}

impl<A: Answer> Exchange<A> {
    pub(super) fn with_reader(thread: u16, slot: u32, remote: SocketAddr, reader: A) -> Self {
        let mut row = Row {
            thread,
            slot,
            ..Row::EMPTY
        };
        row.set_remote(remote);
        Self {
            row,
            reader,
            verifier: None,
            stage: Stage::Idle,
            read_closed: false,
            write_errno: None,
        }
    }

    /// Holds the bodies of all answers to come against the rules; their pieces are given
    /// to [`Exchange::verify_piece`].
    pub(super) fn verify_pieces(&mut self, rules: &Rc<BodyRules>) {
        self.verifier = Some(Box::new(BodyVerifier::new(rules)));
    }

    /// Gives the next piece of the body to whoever verifies it.
    pub(super) fn verify_piece(&mut self, piece: &[u8]) {
        if let Some(verifier) = &mut self.verifier {
            verifier.take(piece);
        }
    }

    /// Starts a request, or the retry of the last, on a new connection.
    pub(super) fn begin_connect(&mut self, now_ns: u64, kind: StartKind) {
        let last = self.row;
        let began = match kind {
            StartKind::Fresh(fresh) => begun(fresh, now_ns),
            StartKind::Retry => Row {
                intended_ns: last.intended_ns,
                start_ns: last.start_ns,
                url: last.url,
                flags: last.flags & (Row::WARM_UP | Row::WAITED) | Row::RETRIED,
                ..Row::EMPTY
            },
        };
        self.row = Row {
            thread: last.thread,
            slot: last.slot,
            remote_ip: last.remote_ip,
            remote_port: last.remote_port,
            connect_start_ns: now_ns,
            ..began
        };
        self.reset_reader();
        self.stage = Stage::Connecting;
        self.read_closed = false;
        self.write_errno = None;
    }

    /// The row as it stands; whole once the attempt has ended.
    pub(super) fn row(&self) -> &Row {
        &self.row
    }

    /// Starts a retry that will not come to connecting, as the run ends before.
    pub(super) fn begin_unconnected(&mut self, now_ns: u64) {
        self.begin_connect(now_ns, StartKind::Retry);
        self.row.connect_start_ns = 0;
    }

    /// Says which local address the connection got, if it has one.
    pub(super) fn set_local(&mut self, addr: Option<SocketAddr>) {
        if let Some(addr) = addr {
            self.row.set_local(addr);
        }
    }

    /// Starts the next request on the same connection.
    pub(super) fn begin_reuse(&mut self, now_ns: u64, fresh: Fresh) {
        let last = self.row;
        self.row = Row {
            thread: last.thread,
            slot: last.slot,
            local_ip: last.local_ip,
            local_port: last.local_port,
            remote_ip: last.remote_ip,
            remote_port: last.remote_port,
            connect_start_ns: last.connect_start_ns,
            connected_ns: last.connected_ns,
            ordinal: last.ordinal.saturating_add(1),
            flags: fresh.flags | Row::REUSED,
            ..begun(fresh, now_ns)
        };
        self.reset_reader();
        self.stage = Stage::Sending;
    }

    /// Bytes of the request that the kernel has accepted.
    pub(super) fn sent_bytes(&self) -> usize {
        self.row.request_bytes as usize
    }

    /// Notes that the kernel accepted bytes of the request in a write begun at
    /// `began_ns`; the first such write tells that the connection stands.
    pub(super) fn sent(&mut self, bytes: usize, began_ns: u64, request_bytes: usize) {
        if self.stage == Stage::Connecting {
            self.row.connected_ns = began_ns;
        }
        if self.row.sent_ns == 0 {
            self.row.sent_ns = began_ns;
        }
        self.row.request_bytes = saturating_u32(self.sent_bytes() + bytes);
        self.stage = if self.sent_bytes() < request_bytes {
            Stage::Sending
        } else {
            Stage::Receiving
        };
    }

    /// Notes that the connection can take the request.
    pub(super) fn connected(&mut self, now_ns: u64) {
        self.row.connected_ns = now_ns;
        self.stage = Stage::Sending;
    }

    /// Notes how much of the request was taken so far, the first of it in a write begun
    /// at `began_ns`.
    pub(super) fn taken(&mut self, bytes: u64, began_ns: u64) {
        self.row.sent_ns = began_ns;
        self.row.request_bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
    }

    /// Whether a byte of the answer has come.
    pub(super) fn has_first_byte(&self) -> bool {
        self.row.first_byte_ns != 0
    }

    /// Notes the first byte, read after the loop woke at `wake_ns`.
    pub(super) fn first_byte(&mut self, now_ns: u64, wake_ns: u64) {
        self.row.first_byte_ns = now_ns;
        self.row.loop_wake_ns = wake_ns;
    }

    /// Ends the attempt with a complete answer whose end was seen at `now_ns`.
    pub(super) fn answered(&mut self, now_ns: u64) -> &Row {
        self.row.last_byte_ns = now_ns;
        if self.reader.keep_alive() {
            self.row.flags |= Row::KEPT;
        }
        let is_right = |verifier: &BodyVerifier| verifier.is_right(self.row.url);
        let outcome = if self.reader.status() >= 400 {
            Outcome::Non2xx
        } else if self.verifier.as_deref().is_none_or(is_right) {
            Outcome::Ok
        } else {
            Outcome::WrongBody
        };
        self.end(outcome, now_ns)
    }

    /// Ends the attempt because of its connection or its answer.
    pub(super) fn failed(&mut self, trouble: Trouble, now_ns: u64) -> &Row {
        let outcome = self.outcome_of(trouble);
        match trouble {
            Trouble::Errno(errno) => self.row.errno = u16::try_from(errno).unwrap_or(u16::MAX),
            Trouble::Malformed(reason) => self.row.detail = reason as u8,
            Trouble::Tls(failure) => self.row.detail = failure as u8,
            Trouble::Closed | Trouble::StreamReset => {}
        }
        self.end(outcome, now_ns)
    }

    /// Ends the attempt from outside: [`Outcome::Timeout`] or [`Outcome::Aborted`].
    pub(super) fn cut_off(&mut self, outcome: Outcome, now_ns: u64) -> &Row {
        self.end(outcome, now_ns)
    }

    fn reset_reader(&mut self) {
        self.reader.reset();
        if let Some(verifier) = &mut self.verifier {
            verifier.reset();
        }
    }

    fn outcome_of(&self, trouble: Trouble) -> Outcome {
        let unanswered = !self.has_first_byte();
        match trouble {
            Trouble::Malformed(_) => Outcome::Malformed,
            // The kernel gave up before the timeout did.
            Trouble::Errno(libc::ETIMEDOUT) => Outcome::Timeout,
            Trouble::Errno(errno) if self.stage == Stage::Connecting => match errno {
                libc::ECONNREFUSED => Outcome::Refused,
                libc::ECONNRESET | libc::ECONNABORTED | libc::EPIPE => Outcome::ResetConnecting,
                _ => Outcome::ConnectFailed,
            },
            Trouble::Tls(_) if unanswered => Outcome::ConnectFailed,
            Trouble::StreamReset if unanswered => Outcome::ResetBeforeFirstByte,
            _ if unanswered && self.row.is_reused() => Outcome::StaleKeepAlive,
            // Connected, but the kernel took nothing of the request.
            Trouble::Errno(_) if unanswered && self.row.sent_ns == 0 => Outcome::ResetConnecting,
            Trouble::Errno(_) if unanswered => Outcome::ResetBeforeFirstByte,
            Trouble::Errno(_) | Trouble::StreamReset | Trouble::Tls(_) => Outcome::ResetInBody,
            Trouble::Closed if unanswered => Outcome::ClosedEarly,
            Trouble::Closed => Outcome::ShortBody,
        }
    }

    fn end(&mut self, outcome: Outcome, now_ns: u64) -> &Row {
        self.row.outcome = outcome;
        self.row.end_ns = now_ns;
        self.row.status = self.reader.status();
        self.row.body_bytes = self.reader.body_bytes();
        self.row.header_bytes = u32::try_from(self.reader.header_bytes()).unwrap_or(u32::MAX);
        self.stage = Stage::Idle;
        &self.row
    }
}

/// A row in which a request has begun and nothing else.
fn begun(fresh: Fresh, now_ns: u64) -> Row {
    Row {
        intended_ns: fresh.due_ns.unwrap_or(now_ns),
        start_ns: now_ns,
        url: fresh.url,
        flags: fresh.flags,
        ..Row::EMPTY
    }
}

fn saturating_u32(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
