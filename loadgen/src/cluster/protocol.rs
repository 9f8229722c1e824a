//! Frames and messages between coordinator and worker.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::summary::OutcomeCounts;
use serde::{Deserialize, Serialize};

use crate::{Config, Part, Row, Summary};

/// Changes with every change of frames or messages.
pub(super) const PROTOCOL: u32 = 1;

/// Longest frame before the other side has shown that it may speak.
pub(super) const GREETING_MAX_BYTES: u32 = 4096;

/// Longest frame at all: a config with its body, or a summary with all its histograms.
pub(super) const FRAME_MAX_BYTES: u32 = 64 << 20;

/// Once begun, a frame must be whole within this time.
const FRAME_TIME: Duration = Duration::from_secs(30);

/// A write that makes no progress for so long has failed.
const WRITE_TIME: Duration = Duration::from_secs(30);

/// How often a wait looks whether it is cancelled.
const CANCEL_STEP: Duration = Duration::from_millis(100);

/// Memory taken at a time for a frame that says it is long.
const PIECE_BYTES: usize = 1 << 16;

/// Rows in one frame at most.
const ROWS_PER_FRAME: usize = 1024;

const HEADER_BYTES: usize = 5;
const KIND_MESSAGE: u8 = 0;
const KIND_ROWS: u8 = 1;

/// Everything that is said, but for rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Message {
    /// The worker's first word.
    Greeting(Greeting),
    /// The coordinator's first word.
    Hello {
        version: String,
        protocol: u32,
        /// What only who has the key can make of the nonce, in hexadecimal.
        proof: Option<String>,
    },
    /// The worker will not work for this coordinator.
    Refused { reason: String },
    /// The worker is the coordinator's, and has so many threads to offer.
    Offer { threads: u16 },
    /// What to do, but not when.
    Order(Box<Order>),
    /// The order can be carried out.
    Ready,
    /// Asks for the worker's clock.
    Ping { id: u32 },
    /// CLOCK_MONOTONIC of the worker.
    Pong { id: u32, clock_ns: u64 },
    /// When to begin, in the worker's clock.
    Start { at_ns: u64 },
    /// The coordinator is there.
    Alive,
    /// How far the run is.
    Progress {
        completed: u64,
        failed: u64,
        outcomes: OutcomeCounts,
    },
    /// End the run now.
    Stop,
    /// The run has ended; all its rows were sent before.
    Done {
        summary: Box<Summary>,
        /// Somebody stopped it on the worker itself.
        stopped_there: bool,
    },
    /// The run could not be carried out.
    Failed { reason: String },
    /// The coordinator needs nothing more.
    Bye,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Greeting {
    /// Always "loadgen".
    pub(super) program: String,
    pub(super) version: String,
    pub(super) protocol: u32,
    /// Random bytes in hexadecimal, if a proof of the key is wanted.
    pub(super) nonce: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Order {
    pub(super) config: Config,
    pub(super) part: Part,
    pub(super) wants_rows: bool,
}

/// What arrives.
#[derive(Debug, PartialEq)]
pub(super) enum Frame {
    Message(Message),
    Rows(Vec<Row>),
}

/// Why nothing good arrives, or nothing can be sent.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The other side has closed.
    #[error("it closed the connection")]
    Ended,
    /// Nothing came, or not the rest of what had begun.
    #[error("nothing came from it for {} s", .0.as_secs())]
    Silent(Duration),
    /// Longer than anything sensible.
    #[error("it sent a frame of {bytes} bytes, at most {max} are allowed")]
    TooLong {
        /// As it says.
        bytes: u32,
        /// As is allowed.
        max: u32,
    },
    /// Not what the protocol wants.
    #[error("it sent what cannot be understood: {0}")]
    Garbage(String),
    /// What is to be sent is longer than a frame may be.
    #[error("{0} bytes are too many to be sent as one; is the request body too long?")]
    TooLongToSend(usize),
    /// The waiting was cancelled from this side.
    #[error("it was not waited for any longer")]
    Cancelled,
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Io(#[from] io::Error),
}

/// The end that reads.
#[derive(Debug)]
pub(super) struct FrameReader {
    stream: TcpStream,
}

/// The end that writes; frames from several threads do not mix.
#[derive(Debug)]
pub(super) struct FrameWriter {
    stream: Mutex<TcpStream>,
    /// The same, for closing it while a write is stuck.
    closing: TcpStream,
}

/// The two ends of a connection.
pub(super) fn split(stream: TcpStream) -> io::Result<(FrameReader, FrameWriter)> {
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(WRITE_TIME))?;
    let reader = FrameReader {
        stream: stream.try_clone()?,
    };
    let writer = FrameWriter {
        closing: stream.try_clone()?,
        stream: Mutex::new(stream),
    };
    Ok((reader, writer))
}

impl FrameReader {
    /// The next frame: it must begin within `idle`, be whole soon after, and have at
    /// most `max_bytes`. Gives up when `cancel` is set.
    pub(super) fn next(
        &mut self,
        idle: Duration,
        max_bytes: u32,
        cancel: Option<&AtomicBool>,
    ) -> Result<Frame, FrameError> {
        let mut header = [0; HEADER_BYTES];
        self.fill(&mut header, idle, cancel)?;
        let [a, b, c, d, kind] = header;
        let bytes = u32::from_le_bytes([a, b, c, d]);
        if bytes > max_bytes {
            let max = max_bytes;
            return Err(FrameError::TooLong { bytes, max });
        }
        let content = self.content(bytes as usize, cancel)?;
        decode(kind, &content)
    }

    /// The next frame, which must be a message.
    pub(super) fn message(
        &mut self,
        idle: Duration,
        max_bytes: u32,
        cancel: Option<&AtomicBool>,
    ) -> Result<Message, FrameError> {
        match self.next(idle, max_bytes, cancel)? {
            Frame::Message(message) => Ok(message),
            Frame::Rows(_) => Err(FrameError::Garbage("rows outside of a run".to_owned())),
        }
    }

    /// Memory grows with what has arrived, not with what is announced.
    fn content(
        &mut self,
        bytes: usize,
        cancel: Option<&AtomicBool>,
    ) -> Result<Vec<u8>, FrameError> {
        let deadline = Instant::now() + FRAME_TIME;
        let mut content = Vec::new();
        while content.len() < bytes {
            let begin = content.len();
            content.resize(bytes.min(begin + PIECE_BYTES), 0);
            let left = deadline.saturating_duration_since(Instant::now());
            self.fill(&mut content[begin..], left, cancel)
                .map_err(|error| match error {
                    FrameError::Silent(_) => FrameError::Silent(FRAME_TIME),
                    other => other,
                })?;
        }
        Ok(content)
    }

    fn fill(
        &mut self,
        mut rest: &mut [u8],
        time: Duration,
        cancel: Option<&AtomicBool>,
    ) -> Result<(), FrameError> {
        let deadline = Instant::now() + time;
        while !rest.is_empty() {
            if cancel.is_some_and(|cancel| cancel.load(Ordering::Relaxed)) {
                return Err(FrameError::Cancelled);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(FrameError::Silent(time));
            }
            // Below a millisecond the system might take it for none.
            let step = left.min(CANCEL_STEP).max(Duration::from_millis(1));
            self.stream.set_read_timeout(Some(step))?;
            match self.stream.read(rest) {
                Ok(0) => return Err(FrameError::Ended),
                Ok(count) => rest = &mut rest[count..],
                Err(error) if is_to_be_tried_again(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

fn is_to_be_tried_again(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
    )
}

fn decode(kind: u8, content: &[u8]) -> Result<Frame, FrameError> {
    let garbage = |text: String| Err(FrameError::Garbage(text));
    match kind {
        KIND_MESSAGE => match serde_json::from_slice(content) {
            Ok(message) => Ok(Frame::Message(message)),
            Err(error) => garbage(error.to_string()),
        },
        KIND_ROWS => {
            let (rows, rest) = content.as_chunks();
            if !rest.is_empty() {
                return garbage(format!("{} bytes are no whole rows", content.len()));
            }
            let rows = rows.iter().map(Row::decode).collect::<Result<_, _>>();
            rows.map(Frame::Rows)
                .or_else(|error| garbage(error.to_string()))
        }
        _ => garbage(format!("a frame of kind {kind}")),
    }
}

impl FrameWriter {
    /// Sends a message.
    pub(super) fn message(&self, message: &Message) -> Result<(), FrameError> {
        let mut frame = vec![0; HEADER_BYTES];
        serde_json::to_writer(&mut frame, message).map_err(io::Error::from)?;
        self.send(frame, KIND_MESSAGE)
    }

    /// Sends rows.
    pub(super) fn rows(&self, rows: &[Row]) -> Result<(), FrameError> {
        for rows in rows.chunks(ROWS_PER_FRAME) {
            let mut frame = Vec::with_capacity(HEADER_BYTES + rows.len() * Row::SIZE);
            frame.resize(HEADER_BYTES, 0);
            for row in rows {
                frame.extend_from_slice(&row.encode());
            }
            self.send(frame, KIND_ROWS)?;
        }
        Ok(())
    }

    fn send(&self, mut frame: Vec<u8>, kind: u8) -> Result<(), FrameError> {
        let bytes = frame.len() - HEADER_BYTES;
        let announced = u32::try_from(bytes)
            .ok()
            .filter(|bytes| *bytes <= FRAME_MAX_BYTES)
            .ok_or(FrameError::TooLongToSend(bytes))?;
        frame[..4].copy_from_slice(&announced.to_le_bytes());
        frame[4] = kind;
        let mut stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
        stream.write_all(&frame).map_err(|error| {
            // Half a frame may be out: nothing good can follow it.
            let _ = stream.shutdown(Shutdown::Both);
            match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut => FrameError::Silent(WRITE_TIME),
                _ => FrameError::Io(error),
            }
        })
    }

    /// Ends the connection in both directions; who reads from it notices.
    pub(super) fn close(&self) {
        // Fails when the other side was quicker.
        let _ = self.closing.shutdown(Shutdown::Both);
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    const SOON: Duration = Duration::from_millis(50);
    const LATE: Duration = Duration::from_secs(20);

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let near = TcpStream::connect(listener.local_addr().expect("bound")).expect("connected");
        (near, listener.accept().expect("accepted").0)
    }

    /// What a reader makes of raw bytes, after which the sender is silent or gone.
    fn read(bytes: &[u8], closes: bool) -> Result<Frame, FrameError> {
        let (near, mut far) = pair();
        far.write_all(bytes).expect("sent");
        let far = (!closes).then_some(far);
        let (mut reader, _writer) = split(near).expect("split");
        let idle = if closes { LATE } else { SOON };
        let frame = reader.next(idle, 1000, None);
        drop(far);
        frame
    }

    fn header(bytes: u32, kind: u8) -> Vec<u8> {
        [&bytes.to_le_bytes()[..], &[kind]].concat()
    }

    #[test]
    fn frames_arrive_as_they_were_sent() {
        let (near, far) = pair();
        let (mut reader, _) = split(near).expect("split");
        let (_, writer) = split(far).expect("split");
        let rows: Vec<Row> = (0..2500)
            .map(|ordinal| Row {
                ordinal,
                ..Row::EMPTY
            })
            .collect();
        let pong = Message::Pong {
            id: 7,
            clock_ns: u64::MAX,
        };
        let sent = rows.clone();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                writer.message(&pong).expect("sent");
                writer.rows(&sent).expect("sent");
                writer.message(&Message::Bye).expect("sent");
            });
            let mut next = || reader.next(LATE, FRAME_MAX_BYTES, None).expect("a frame");
            assert_eq!(next(), Frame::Message(pong.clone()));
            let mut arrived = Vec::new();
            loop {
                match next() {
                    Frame::Rows(more) => arrived.extend(more),
                    Frame::Message(message) => {
                        assert_eq!(message, Message::Bye);
                        break;
                    }
                }
            }
            assert_eq!(arrived, rows);
        });
    }

    #[test]
    fn lies_and_stalls_are_told_apart() {
        let half = [&header(500, 0)[..], b"{"].concat();
        let garbage = [&header(3, 0)[..], b"abc"].concat();
        assert!(matches!(read(b"", false), Err(FrameError::Silent(_))));
        assert!(matches!(read(&[1, 2], false), Err(FrameError::Silent(_))));
        assert!(matches!(read(b"", true), Err(FrameError::Ended)));
        assert!(matches!(read(&half, true), Err(FrameError::Ended)));
        let long = read(&header(1001, 0), false);
        assert!(matches!(
            long,
            Err(FrameError::TooLong {
                bytes: 1001,
                max: 1000
            })
        ));
        for garbage in [
            garbage,
            header(0, 0),
            header(0, 9),
            [header(3, 1), vec![0; 3]].concat(),
            [header(144, 1), vec![0; 144]].concat(),
            b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(),
        ] {
            let read = read(&garbage, true);
            let is_refused = matches!(
                read,
                Err(FrameError::Garbage(_) | FrameError::TooLong { .. })
            );
            assert!(is_refused, "{garbage:?}: {read:?}");
        }
    }

    #[test]
    fn a_frame_too_long_is_not_sent() {
        let (near, _far) = pair();
        let (_, writer) = split(near).expect("split");
        let reason = "x".repeat(FRAME_MAX_BYTES as usize);
        let refused = writer.message(&Message::Failed { reason });
        assert!(matches!(refused, Err(FrameError::TooLongToSend(_))));
    }

    #[test]
    fn waiting_can_be_cancelled_and_a_connection_closed() {
        let (near, _far) = pair();
        let (mut reader, writer) = split(near).expect("split");
        let cancelled = reader.next(LATE, 10, Some(&AtomicBool::new(true)));
        assert!(matches!(cancelled, Err(FrameError::Cancelled)));
        writer.close();
        assert!(matches!(
            reader.next(LATE, 10, None),
            Err(FrameError::Ended)
        ));
    }
}
