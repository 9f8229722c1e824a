//! One coordinator's time with a worker.

use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};

use super::key;
use super::link::{PROGRAM, VERSION};
use super::protocol::{
    FRAME_MAX_BYTES, FrameError, FrameReader, FrameWriter, GREETING_MAX_BYTES, Greeting, Message,
    Order, PROTOCOL, split,
};
use super::worker::Post;
use super::{HANDSHAKE, IDLE, PROGRESS_EVERY, SILENCE};
use crate::clock::monotonic_ns;
use crate::run::{check_part, run_part};
use crate::{Progress, Row, RowSink};

pub(super) struct Session<'a> {
    post: &'a Post<'a>,
    peer: &'a str,
    reader: FrameReader,
    writer: Arc<FrameWriter>,
}

/// A run while it is carried out.
struct Run {
    /// Ends it.
    halt: AtomicBool,
    /// The coordinator said so.
    told_to_stop: AtomicBool,
    progress: Progress,
}

/// Sends rows to the coordinator.
struct RowsOut(Arc<FrameWriter>);

impl RowSink for RowsOut {
    fn rows(&mut self, rows: &[Row]) -> io::Result<()> {
        self.0.rows(rows).map_err(io::Error::other)
    }
}

impl<'a> Session<'a> {
    pub(super) fn new(post: &'a Post<'a>, stream: TcpStream, peer: &'a str) -> io::Result<Self> {
        let (reader, writer) = split(stream)?;
        Ok(Self {
            post,
            peer,
            reader,
            writer: Arc::new(writer),
        })
    }

    /// From the greeting to the end of the run.
    pub(super) fn hold(mut self) -> Result<(), FrameError> {
        if let Some(reason) = self.greet()? {
            return self.refuse(reason);
        }
        let Some(_claim) = self.post.claim() else {
            return self.refuse("it works for another coordinator at the moment".to_owned());
        };
        let threads = self.post.worker.threads;
        self.writer.message(&Message::Offer { threads })?;
        match self.prepare()? {
            Some(order) => self.carry_out(&order),
            None => Ok(()),
        }
    }

    /// `Some` with the reason when the coordinator is not welcome.
    fn greet(&mut self) -> Result<Option<String>, FrameError> {
        let key = self.post.worker.key.as_ref();
        let nonce = key.map(|_| key::nonce()).transpose()?;
        self.writer.message(&Message::Greeting(Greeting {
            program: PROGRAM.to_owned(),
            version: VERSION.to_owned(),
            protocol: PROTOCOL,
            nonce: nonce.clone(),
        }))?;
        let hello = self
            .reader
            .message(HANDSHAKE, GREETING_MAX_BYTES, Some(self.post.stop))?;
        let Message::Hello {
            version,
            protocol,
            proof,
        } = hello
        else {
            return Err(out_of_turn());
        };
        if (version.as_str(), protocol) != (VERSION, PROTOCOL) {
            return Ok(Some(format!(
                "it is loadgen {VERSION}, the coordinator is {version}"
            )));
        }
        let is_welcome = match (key, &nonce) {
            (Some(key), Some(nonce)) => proof.is_some_and(|proof| key.accepts(nonce, &proof)),
            _ => true,
        };
        Ok((!is_welcome).then(|| "the key is not the right one".to_owned()))
    }

    fn refuse(&self, reason: String) -> Result<(), FrameError> {
        (self.post.notice)(&format!("coordinator {} refused: {reason}", self.peer));
        self.writer.message(&Message::Refused { reason })
    }

    /// Takes the order and answers questions for the time, until the word to start.
    /// `None` when the coordinator needs nothing.
    fn prepare(&mut self) -> Result<Option<Order>, FrameError> {
        let mut ordered: Option<Order> = None;
        loop {
            match self
                .reader
                .message(IDLE, FRAME_MAX_BYTES, Some(self.post.stop))?
            {
                Message::Order(order) => {
                    let mut order = *order;
                    if order.config.cpus.is_empty() {
                        order.config.cpus.clone_from(&self.post.worker.cpus);
                    }
                    if let Err(error) = check_part(&order.config, &order.part) {
                        let reason = error.to_string();
                        self.writer.message(&Message::Failed { reason })?;
                        return Ok(None);
                    }
                    ordered = Some(order);
                    self.writer.message(&Message::Ready)?;
                }
                Message::Ping { id } => self.pong(id)?,
                Message::Alive => {}
                Message::Start { at_ns } => {
                    let mut order = ordered.ok_or_else(out_of_turn)?;
                    order.part.begin_ns = Some(at_ns);
                    return Ok(Some(order));
                }
                Message::Stop | Message::Bye => return Ok(None),
                _ => return Err(out_of_turn()),
            }
        }
    }

    fn pong(&self, id: u32) -> Result<(), FrameError> {
        let clock_ns = monotonic_ns();
        self.writer.message(&Message::Pong { id, clock_ns })
    }

    fn carry_out(mut self, order: &Order) -> Result<(), FrameError> {
        let target = order.config.target().url();
        let Order { part, .. } = order;
        (self.post.notice)(&format!(
            "run for {}: {target}, {} of {} threads",
            self.peer, part.threads, part.threads_in_all
        ));
        let run = Run {
            halt: AtomicBool::new(false),
            told_to_stop: AtomicBool::new(false),
            progress: Progress::new(),
        };
        let sink = order
            .wants_rows
            .then(|| Box::new(RowsOut(Arc::clone(&self.writer))) as Box<dyn RowSink>);
        let (post, writer) = (self.post, Arc::clone(&self.writer));
        let (ended, listened) = std::thread::scope(|scope| {
            let listening = scope.spawn(|| {
                let listened = self.listen(&run);
                // Whatever happened, nobody wants the rest; who is sending it must not wait.
                run.halt.store(true, Ordering::Relaxed);
                self.writer.close();
                listened
            });
            let (running, over) = channel::<()>();
            let telling = scope.spawn(|| tell_progress(&run, &writer, post.stop, over));
            let result = run_part(&order.config, &order.part, sink, &run.progress, &run.halt);
            drop(running);
            // It only ends; a panic in it would end the program's thread scope as well.
            let _ = telling.join();
            let (ended, message) = match result {
                Ok(summary) => {
                    let stopped_there = post.stop.load(Ordering::Relaxed)
                        && !run.told_to_stop.load(Ordering::Relaxed);
                    let ended = format!("run ended: {} requests", summary.requests);
                    let summary = Box::new(summary);
                    let done = Message::Done {
                        summary,
                        stopped_there,
                    };
                    (ended, done)
                }
                Err(error) => {
                    let reason = error.to_string();
                    (format!("run failed: {reason}"), Message::Failed { reason })
                }
            };
            // When it cannot be sent, listening tells why.
            let _ = writer.message(&message);
            let listened = listening.join().unwrap_or(Ok(()));
            (ended, listened)
        });
        (post.notice)(&ended);
        listened
    }

    /// Hears what the coordinator says during the run and after it, until it leaves.
    fn listen(&mut self, run: &Run) -> Result<(), FrameError> {
        loop {
            match self.reader.message(SILENCE, FRAME_MAX_BYTES, None)? {
                Message::Alive => {}
                Message::Stop => {
                    run.told_to_stop.store(true, Ordering::Relaxed);
                    run.halt.store(true, Ordering::Relaxed);
                }
                Message::Ping { id } => self.pong(id)?,
                Message::Bye => return Ok(()),
                _ => return Err(out_of_turn()),
            }
        }
    }
}

/// Tells how far the run is until it is over, and at last how far it came.
fn tell_progress(run: &Run, writer: &FrameWriter, stop: &AtomicBool, over: Receiver<()>) {
    loop {
        let is_over = over.recv_timeout(PROGRESS_EVERY) != Err(RecvTimeoutError::Timeout);
        if stop.load(Ordering::Relaxed) {
            run.halt.store(true, Ordering::Relaxed);
        }
        let progress = &run.progress;
        // When it cannot be sent, listening notices.
        let _ = writer.message(&Message::Progress {
            completed: progress.completed(),
            failed: progress.failed(),
            outcomes: progress.outcomes(),
        });
        if is_over {
            return;
        }
    }
}

fn out_of_turn() -> FrameError {
    FrameError::Garbage("a message out of turn".to_owned())
}
