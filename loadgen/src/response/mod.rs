//! Reading of an HTTP/1.x answer: a state machine without I/O.
//!
//! It is fed whatever pieces the socket gives, and says where the answer ends.
//! Bodies are counted, not kept; only a head that is split over reads is kept
//! until it is whole. The result does not depend on where the pieces are cut.
//!
//! Lenient where it does no harm: bare LF ends a line, empty lines before the
//! status line are skipped, folded header lines are read.

mod chunked;
mod head;
#[cfg(test)]
mod tests;

use chunked::Chunked;
use head::{Framing, Head};

/// Longest head, and longest trailer, that is accepted, in bytes.
pub const HEAD_MAX_BYTES: usize = 64 * 1024;

/// Below this many bytes every piece of a split head is parsed, so that garbage is
/// found at once.
const EAGER_PARSE_BYTES: usize = 64;

/// Below this many, every piece that ends a line; above, only one that may end the head,
/// so that a head sent byte by byte does not cost the square of its length.
const LINE_PARSE_BYTES: usize = 4096;

/// Why bytes are not an HTTP/1.x answer. The numbers stand in the `detail` of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[repr(u8)]
pub enum Malformed {
    /// Status line or header lines cannot be parsed.
    #[error("status line or header cannot be parsed")]
    Head = 1,
    /// The head is longer than [`HEAD_MAX_BYTES`].
    #[error("head is too long")]
    HeadTooLong = 2,
    /// The head has more lines than are accepted (256).
    #[error("head has too many header lines")]
    TooManyHeaders = 3,
    /// Content-Length is not a number.
    #[error("Content-Length is not a number")]
    ContentLength = 4,
    /// Several Content-Lengths that differ.
    #[error("Content-Lengths differ")]
    ConflictingLengths = 5,
    /// A chunk's size line is not a hexadecimal number, or too large.
    #[error("chunk size cannot be parsed")]
    ChunkSize = 6,
    /// A chunk's data is not followed by the end of the line.
    #[error("chunk is longer than its size")]
    ChunkEnd = 7,
    /// A chunk's extensions, or the trailer, are too long.
    #[error("chunk line or trailer is too long")]
    ChunkLineTooLong = 8,
    /// 101 Switching Protocols, which nobody asked for, or a status below 100.
    #[error("status makes no sense here")]
    Status = 9,
    /// Not HTTP/2, or against its rules.
    #[error("not valid HTTP/2")]
    Http2 = 10,
}

/// What the end of the connection means for the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndOfStream {
    /// The answer is complete.
    Complete,
    /// Not a byte of an answer had come.
    Empty,
    /// The answer is cut off in its head or body.
    Cut,
    /// What had come is not the beginning of an answer.
    Malformed(Malformed),
}

/// Bytes that the body has still to bring and that need not be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unseen {
    /// How many; `u64::MAX` when only the end of the connection ends them.
    pub bytes: u64,
    /// Whether the answer is complete after them.
    pub then_complete: bool,
}

#[derive(Debug)]
enum State {
    Head,
    Length { remaining: u64 },
    Chunked(Chunked),
    UntilClose,
    Complete,
}

/// Reads one answer; [`ResponseReader::reset`] makes it ready for the next.
#[derive(Debug)]
pub struct ResponseReader {
    state: State,
    to_head_request: bool,
    looks_at_bodies: bool,
    /// The pieces of a head that is not whole yet.
    partial_head: Vec<u8>,
    status: u16,
    keep_alive: bool,
    header_bytes: u64,
    body_bytes: u64,
    want_server: bool,
    server: Option<String>,
}

impl ResponseReader {
    /// A reader for answers to HEAD requests (which have no body) or to others.
    #[must_use]
    pub fn new(to_head_request: bool) -> Self {
        Self {
            state: State::Head,
            to_head_request,
            looks_at_bodies: false,
            partial_head: Vec::new(),
            status: 0,
            keep_alive: false,
            header_bytes: 0,
            body_bytes: 0,
            want_server: false,
            server: None,
        }
    }

    /// From now on no part of a body is [`ResponseReader::unseen`].
    pub fn look_at_bodies(&mut self) {
        self.looks_at_bodies = true;
    }

    /// Forgets the last answer.
    pub fn reset(&mut self) {
        self.state = State::Head;
        // A long partial head is rare; its memory is not kept for the whole run.
        if self.partial_head.capacity() > 4096 {
            self.partial_head = Vec::new();
        } else {
            self.partial_head.clear();
        }
        self.status = 0;
        self.keep_alive = false;
        self.header_bytes = 0;
        self.body_bytes = 0;
        self.want_server = false;
        self.server = None;
    }

    /// Keeps the Server header of the answer to come.
    pub fn keep_server_header(&mut self) {
        self.want_server = true;
    }

    /// The Server header, when it was asked for and there is one.
    pub fn take_server_header(&mut self) -> Option<String> {
        self.server.take()
    }

    /// Takes the next bytes and returns how many of them belong to this answer. Fewer
    /// than given means that the answer is complete and the rest is surplus.
    ///
    /// # Errors
    /// [`Malformed`]; the reader must then be reset.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<usize, Malformed> {
        self.feed_with(bytes, |_| ())
    }

    /// The same, and gives `on_body` what is found of the body, without chunk framing, in
    /// pieces as they come.
    ///
    /// # Errors
    /// [`Malformed`]; the reader must then be reset.
    pub fn feed_with(
        &mut self,
        bytes: &[u8],
        mut on_body: impl FnMut(&[u8]),
    ) -> Result<usize, Malformed> {
        let mut at = 0;
        while at < bytes.len() {
            let rest = &bytes[at..];
            match &mut self.state {
                State::Head => at += self.feed_head(rest)?,
                State::Length { remaining } => {
                    let taken = (*remaining).min(rest.len() as u64);
                    on_body(&rest[..taken as usize]);
                    self.skip(taken);
                    at += taken as usize;
                }
                State::Chunked(chunked) => {
                    let (taken, data) = chunked.feed(rest, &mut on_body)?;
                    at += taken;
                    self.body_bytes += data;
                    if chunked.is_complete() {
                        self.state = State::Complete;
                    }
                }
                State::UntilClose => {
                    on_body(rest);
                    self.body_bytes += rest.len() as u64;
                    at = bytes.len();
                }
                State::Complete => break,
            }
        }
        Ok(at)
    }

    /// How much of the body comes next that need not be looked at, if any.
    #[must_use]
    pub fn unseen(&self) -> Option<Unseen> {
        if self.looks_at_bodies {
            return None;
        }
        let (bytes, then_complete) = match &self.state {
            State::Length { remaining } => (*remaining, true),
            State::Chunked(chunked) => (chunked.data_remaining()?, false),
            State::UntilClose => (u64::MAX, false),
            State::Head | State::Complete => return None,
        };
        Some(Unseen {
            bytes,
            then_complete,
        })
    }

    /// Counts bytes of the body that were dropped unseen: at most [`Unseen::bytes`].
    pub fn skip(&mut self, bytes: u64) {
        self.body_bytes += bytes;
        match &mut self.state {
            State::Length { remaining } => {
                *remaining = remaining.saturating_sub(bytes);
                if *remaining == 0 {
                    self.state = State::Complete;
                }
            }
            State::Chunked(chunked) => chunked.skip(bytes),
            State::UntilClose | State::Head | State::Complete => {}
        }
    }

    /// Says what it means that the connection was closed here.
    pub fn end_of_stream(&mut self) -> EndOfStream {
        match &self.state {
            State::Complete => EndOfStream::Complete,
            State::UntilClose => {
                self.state = State::Complete;
                EndOfStream::Complete
            }
            State::Head if self.header_bytes == 0 && self.partial_head.is_empty() => {
                EndOfStream::Empty
            }
            State::Head => match head::parse(&self.partial_head, self.to_head_request) {
                Err(reason) => EndOfStream::Malformed(reason),
                Ok(_) => EndOfStream::Cut,
            },
            State::Length { .. } | State::Chunked(_) => EndOfStream::Cut,
        }
    }

    /// Whether the answer has ended.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        matches!(self.state, State::Complete)
    }

    /// Status of the final answer, 0 while there is none.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Whether the server will keep the connection open after this answer.
    #[must_use]
    pub fn keep_alive(&self) -> bool {
        self.keep_alive
    }

    /// Bytes of all heads so far, interim answers included.
    #[must_use]
    pub fn header_bytes(&self) -> u64 {
        self.header_bytes + self.partial_head.len() as u64
    }

    /// Bytes of the body so far, without chunk framing.
    #[must_use]
    pub fn body_bytes(&self) -> u64 {
        self.body_bytes
    }

    /// Memory that it holds beside its own size, in bytes: a head that is not whole yet.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.partial_head.capacity() + self.server.as_ref().map_or(0, String::capacity)
    }

    fn feed_head(&mut self, bytes: &[u8]) -> Result<usize, Malformed> {
        let before = self.partial_head.len();
        if before == 0 {
            let empty_lines = bytes
                .iter()
                .take_while(|b| matches!(b, b'\r' | b'\n'))
                .count();
            if empty_lines > 0 {
                self.header_bytes += empty_lines as u64;
                if self.header_bytes > HEAD_MAX_BYTES as u64 {
                    return Err(Malformed::HeadTooLong);
                }
                return Ok(empty_lines);
            }
            if let Some(head) = self.parse(bytes)? {
                return self.apply(head, 0);
            }
            self.partial_head.extend_from_slice(bytes);
            return Ok(bytes.len());
        }
        // One byte more than allowed is enough to see that it is too long.
        let room = HEAD_MAX_BYTES + 1 - before;
        let piece = &bytes[..bytes.len().min(room)];
        self.partial_head.extend_from_slice(piece);
        let too_long = self.partial_head.len() > HEAD_MAX_BYTES;
        let may_end = || {
            piece.contains(&b'\n')
                && (before < LINE_PARSE_BYTES || has_empty_line(&self.partial_head, before))
        };
        if too_long || before < EAGER_PARSE_BYTES || may_end() {
            let partial = std::mem::take(&mut self.partial_head);
            let parsed = self.parse(&partial);
            self.partial_head = partial;
            if let Some(head) = parsed? {
                self.partial_head.clear();
                return self.apply(head, before);
            }
        }
        Ok(piece.len())
    }

    fn parse(&mut self, bytes: &[u8]) -> Result<Option<Head>, Malformed> {
        // What lies behind the longest head has no say in what is wrong with this one.
        let bytes = &bytes[..bytes.len().min(HEAD_MAX_BYTES + 1)];
        let head = head::parse(bytes, self.to_head_request)?;
        let length = head.as_ref().map_or(bytes.len(), |head| head.bytes);
        if length > HEAD_MAX_BYTES {
            return Err(Malformed::HeadTooLong);
        }
        if self.want_server && head.is_some() {
            self.server = head::server(bytes);
        }
        Ok(head)
    }

    /// Goes on after a whole head of which `before` bytes were known already.
    fn apply(&mut self, head: Head, before: usize) -> Result<usize, Malformed> {
        self.header_bytes += head.bytes as u64;
        if head.interim {
            return Ok(head.bytes - before);
        }
        self.status = head.status;
        self.keep_alive = head.keep_alive;
        self.state = match head.framing {
            Framing::None | Framing::Length(0) => State::Complete,
            Framing::Length(remaining) => State::Length { remaining },
            Framing::Chunked => State::Chunked(Chunked::new()),
            Framing::UntilClose => State::UntilClose,
        };
        Ok(head.bytes - before)
    }
}

/// Whether `head` has an empty line that ends at `from` or later.
fn has_empty_line(head: &[u8], from: usize) -> bool {
    let new = &head[from.saturating_sub(b"\n\r".len())..];
    new.windows(2).any(|pair| pair == b"\n\n") || new.windows(3).any(|three| three == b"\n\r\n")
}
