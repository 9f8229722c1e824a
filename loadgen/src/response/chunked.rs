//! The chunked transfer coding (RFC 9112, section 7.1), counted and not kept.

use super::{HEAD_MAX_BYTES, Malformed};

/// Longest size line, with its extensions.
const SIZE_LINE_MAX_BYTES: usize = 4096;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// In the digits of a size line.
    Size,
    /// Between the digits and the end of the size line.
    Extension,
    /// In the data of a chunk.
    Data,
    /// After the data, before the line's end.
    DataEnd,
    /// After the CR that follows the data.
    DataEndLf,
    /// In the trailer, at the beginning of a line.
    TrailerStart,
    /// In a line of the trailer.
    TrailerLine,
    Complete,
}

/// Where in a chunked body the reader is.
#[derive(Debug)]
pub(super) struct Chunked {
    state: State,
    /// Of the size line while it is read, then of the chunk's data.
    remaining: u64,
    has_digits: bool,
    /// Bytes of the present size line, or of the trailer.
    line_bytes: usize,
}

impl Chunked {
    pub(super) fn new() -> Self {
        Self {
            state: State::Size,
            remaining: 0,
            has_digits: false,
            line_bytes: 0,
        }
    }

    pub(super) fn is_complete(&self) -> bool {
        self.state == State::Complete
    }

    /// Data bytes of the present chunk that are still to come, if it has any.
    pub(super) fn data_remaining(&self) -> Option<u64> {
        (self.state == State::Data).then_some(self.remaining)
    }

    /// Passes over data bytes of the present chunk.
    pub(super) fn skip(&mut self, bytes: u64) {
        self.remaining = self.remaining.saturating_sub(bytes);
        if self.state == State::Data && self.remaining == 0 {
            self.state = State::DataEnd;
        }
    }

    /// Returns the bytes taken, and how many of them were data; `on_data` is given these.
    pub(super) fn feed(
        &mut self,
        bytes: &[u8],
        on_data: &mut impl FnMut(&[u8]),
    ) -> Result<(usize, u64), Malformed> {
        let mut at = 0;
        let mut data = 0;
        while at < bytes.len() && self.state != State::Complete {
            if self.state == State::Data {
                let taken = self.remaining.min((bytes.len() - at) as u64);
                on_data(&bytes[at..at + taken as usize]);
                self.skip(taken);
                data += taken;
                at += taken as usize;
            } else {
                self.framing_byte(bytes[at])?;
                at += 1;
            }
        }
        Ok((at, data))
    }

    fn framing_byte(&mut self, byte: u8) -> Result<(), Malformed> {
        self.line_bytes += 1;
        let in_trailer = matches!(self.state, State::TrailerStart | State::TrailerLine);
        let limit = if in_trailer {
            HEAD_MAX_BYTES
        } else {
            SIZE_LINE_MAX_BYTES
        };
        if self.line_bytes > limit {
            return Err(Malformed::ChunkLineTooLong);
        }
        self.state = match (self.state, byte) {
            (State::Size, b'\n') => self.end_of_size_line()?,
            (State::Size, b';' | b' ' | b'\t' | b'\r') if self.has_digits => State::Extension,
            (State::Size, _) => {
                let digit = char::from(byte).to_digit(16).ok_or(Malformed::ChunkSize)?;
                self.has_digits = true;
                self.remaining =
                    self.remaining.checked_mul(16).ok_or(Malformed::ChunkSize)? | u64::from(digit);
                State::Size
            }
            (State::Extension, b'\n') => self.end_of_size_line()?,
            (State::Extension, _) => State::Extension,
            (State::DataEnd, b'\r') => State::DataEndLf,
            (State::DataEnd | State::DataEndLf, b'\n') => {
                self.line_bytes = 0;
                self.has_digits = false;
                State::Size
            }
            (State::DataEnd | State::DataEndLf, _) => return Err(Malformed::ChunkEnd),
            (State::TrailerStart, b'\n') => State::Complete,
            // A CR alone leaves it open whether the line is empty.
            (State::TrailerStart, b'\r') => State::TrailerStart,
            (State::TrailerLine, b'\n') => State::TrailerStart,
            (State::TrailerStart | State::TrailerLine, _) => State::TrailerLine,
            (State::Data | State::Complete, _) => self.state,
        };
        Ok(())
    }

    fn end_of_size_line(&mut self) -> Result<State, Malformed> {
        if !self.has_digits {
            return Err(Malformed::ChunkSize);
        }
        self.line_bytes = 0;
        Ok(if self.remaining == 0 {
            State::TrailerStart
        } else {
            State::Data
        })
    }
}
