//! Lines from a pipe, with a deadline.

use std::io::{self, Read};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// What came of waiting for a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Line {
    /// A line, without its end.
    Text(String),
    /// The other side has closed its end; there will be no more.
    Closed,
    /// Nothing came in time.
    TimedOut,
}

/// Reads lines without ever waiting longer than told.
#[derive(Debug)]
pub(super) struct LineReader<R> {
    inner: R,
    buffer: Vec<u8>,
    closed: bool,
}

impl<R: Read + AsFd> LineReader<R> {
    pub(super) fn new(inner: R) -> Self {
        LineReader {
            inner,
            buffer: Vec::new(),
            closed: false,
        }
    }

    pub(super) fn inner(&self) -> &R {
        &self.inner
    }

    /// Whether the other side has closed its end. Lines may still be there to be taken.
    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// A line that has arrived already.
    pub(super) fn pop(&mut self) -> Option<String> {
        let end = self.buffer.iter().position(|&byte| byte == b'\n')?;
        let line: Vec<u8> = self.buffer.drain(..=end).collect();
        Some(String::from_utf8_lossy(&line[..end]).into_owned())
    }

    /// Reads once; to be called when there is something to read.
    pub(super) fn fill(&mut self) -> io::Result<()> {
        let mut chunk = [0; 4096];
        match self.inner.read(&mut chunk) {
            Ok(0) => self.closed = true,
            Ok(count) => self.buffer.extend_from_slice(&chunk[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// The next line, if it comes before the deadline.
    pub(super) fn next(&mut self, deadline: Instant) -> io::Result<Line> {
        loop {
            if let Some(line) = self.pop() {
                return Ok(Line::Text(line));
            }
            if self.closed {
                return Ok(Line::Closed);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let mut fds = [PollFd::new(self.inner.as_fd(), PollFlags::POLLIN)];
            if wait(&mut fds, left)? {
                self.fill()?;
            } else if Instant::now() >= deadline {
                return Ok(Line::TimedOut);
            }
        }
    }
}

/// Waits for one of the descriptors. False when the time is over, or a signal came between.
pub(super) fn wait(fds: &mut [PollFd<'_>], at_most: Duration) -> io::Result<bool> {
    // Rounded up: a wait of less than a millisecond must not become a busy loop.
    let milliseconds = at_most.as_nanos().div_ceil(1_000_000);
    let timeout = i32::try_from(milliseconds)
        .ok()
        .and_then(|ms| PollTimeout::try_from(ms).ok())
        .unwrap_or(PollTimeout::MAX);
    match poll(fds, timeout) {
        Ok(ready) => Ok(ready > 0),
        Err(nix::Error::EINTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn lines_come_whole_whatever_the_pieces_and_the_end_is_told() {
        let (receiver, mut sender) = io::pipe().unwrap();
        let mut lines = LineReader::new(receiver);
        let soon = || Instant::now() + Duration::from_millis(1);
        let later = || Instant::now() + Duration::from_secs(10);
        assert_eq!(lines.next(soon()).unwrap(), Line::TimedOut);
        sender.write_all(b"on").unwrap();
        assert_eq!(lines.next(soon()).unwrap(), Line::TimedOut);
        sender.write_all(b"e\ntwo\nthr").unwrap();
        assert_eq!(lines.next(later()).unwrap(), Line::Text("one".to_owned()));
        assert_eq!(lines.next(later()).unwrap(), Line::Text("two".to_owned()));
        drop(sender);
        assert_eq!(lines.next(later()).unwrap(), Line::Closed);
    }
}
