//! Slow clients: connections that are opened, brought into a state in which they occupy the server,
//! and kept there beside a load.
//!
//! One thread serves them all. A connection of each kind sends at least a byte at once: a listener
//! with `TCP_DEFER_ACCEPT`, as httpd has, does not even accept one that stays silent.

mod connection;
mod engine;

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::limits::{check_open_files, check_ports};
use crate::{Error, Row, Target};

/// How often [`Holder::settle`] looks.
const LOOK: Duration = Duration::from_millis(10);

/// What a slow client does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Sends a request's head without its end, and then a byte of it now and then.
    HalfHeader {
        /// Time between two bytes.
        every: Duration,
    },
    /// Has one answer, and keeps the connection without asking again.
    IdleKeepAlive,
    /// Asks for a document and reads it slowly, with a small receive buffer.
    SlowReader {
        /// How much it reads in a second.
        bytes_per_s: u32,
    },
}

/// The settings of slow clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// What they ask for.
    pub target: Target,
    /// How many there are.
    pub connections: u32,
    /// What they do.
    pub kind: Kind,
}

/// What became of a slow client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Fate {
    /// It was in its state until it was let go.
    Held = 0,
    /// It came into its state, and the server ended the connection before it was let go.
    Ended = 1,
    /// It came into its state and was through: a slow reader that has read everything.
    Finished = 2,
    /// It did not come into its state: refused, ended, or still waiting for the server.
    NotHeld = 3,
}

impl Fate {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 4] = [Self::Held, Self::Ended, Self::Finished, Self::NotHeld];

    /// The fate of a number.
    #[must_use]
    pub fn from_u8(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// A short name in lower case with underscores.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Ended => "held_ended",
            Self::Finished => "held_finished",
            Self::NotHeld => "not_held",
        }
    }
}

/// A slow client from its connect to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldRow {
    /// Its connection and times. The outcome says how the connection ended;
    /// [`Aborted`](crate::Outcome::Aborted) if it was let go.
    pub row: Row,
    /// What became of it.
    pub fate: Fate,
}

/// What the thread and its owner tell each other.
#[derive(Debug, Default)]
struct Shared {
    let_go: AtomicBool,
    /// Connections that came into their state, also those that have left it.
    held: AtomicU32,
    /// Connections that will not come into it any more.
    failed: AtomicU32,
    /// Of those held, those that the server ended.
    ended: AtomicU32,
    /// Of those held, those that were through.
    finished: AtomicU32,
}

/// How many slow clients are where, at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Standing {
    /// In their state now.
    pub held: u32,
    /// They were, until the server ended the connection.
    pub ended: u32,
    /// They were, until they had read everything.
    pub finished: u32,
}

/// Slow clients that are there until [`Holder::finish`], or until this is dropped.
#[derive(Debug)]
pub struct Holder {
    shared: Arc<Shared>,
    connections: u32,
    thread: Option<JoinHandle<io::Result<Vec<HeldRow>>>>,
}

impl Holder {
    /// Begins to open the connections.
    ///
    /// # Errors
    /// When there are none to open, more than files may be open, or the thread cannot be started.
    pub fn start(config: &Config) -> Result<Self, Error> {
        Self::start_from(config, &[])
    }

    /// The same from these local addresses, in turn; with none it is the system's choice.
    ///
    /// # Errors
    /// Those of [`Holder::start`]. An address that is not this machine's, or of the other family
    /// than the target's, is the connections' failure.
    pub fn start_from(config: &Config, sources: &[IpAddr]) -> Result<Self, Error> {
        if config.connections == 0 {
            return Err(Error::BadConfig(
                "the number of slow clients must be at least 1".into(),
            ));
        }
        check_open_files(config.connections, 1)?;
        check_ports(config.connections, sources.len())?;
        let shared = Arc::new(Shared::default());
        let (config, told) = (config.clone(), Arc::clone(&shared));
        let sources = sources.to_vec();
        let connections = config.connections;
        let thread = thread::Builder::new()
            .name("hold".into())
            .spawn(move || engine::run(&config, &sources, &told))
            .map_err(Error::Thread)?;
        Ok(Self {
            shared,
            connections,
            thread: Some(thread),
        })
    }

    /// Connections that have come into their state so far, those that have left it since among
    /// them.
    #[must_use]
    pub fn held(&self) -> u32 {
        self.shared.held.load(Ordering::Relaxed)
    }

    /// How many of them are in it now, and why the others are not any more.
    #[must_use]
    pub fn standing(&self) -> Standing {
        // Read before those that came into it, so that none has left that has not come.
        let ended = self.shared.ended.load(Ordering::Relaxed);
        let finished = self.shared.finished.load(Ordering::Relaxed);
        Standing {
            held: self.held().saturating_sub(ended.saturating_add(finished)),
            ended,
            finished,
        }
    }

    /// Waits until all are in their state, but no longer than `at_most`: a server without a free
    /// slot does not answer. Returns early when `stop` is set. `tell` is called at each look.
    ///
    /// A time in which this thread got no CPU hardly counts: the server may have had none, too.
    pub fn settle(&self, at_most: Duration, stop: &AtomicBool, tell: impl FnMut(u32)) {
        self.wait_for(self.connections, at_most, stop, tell);
    }

    /// The same until the first one is in its state, or will not come into it.
    pub fn settle_first(&self, at_most: Duration, stop: &AtomicBool, tell: impl FnMut(u32)) {
        self.wait_for(1, at_most, stop, tell);
    }

    fn wait_for(
        &self,
        wanted: u32,
        at_most: Duration,
        stop: &AtomicBool,
        mut tell: impl FnMut(u32),
    ) {
        let mut left = at_most;
        loop {
            let held = self.held();
            let decided = held + self.shared.failed.load(Ordering::Relaxed);
            tell(held);
            let ended = self.thread.as_ref().is_none_or(JoinHandle::is_finished);
            let over = decided >= wanted || ended || stop.load(Ordering::Relaxed);
            if over || left.is_zero() {
                return;
            }
            thread::sleep(LOOK);
            left = left.saturating_sub(LOOK);
        }
    }

    /// Lets all go and returns what became of each.
    ///
    /// # Errors
    /// When the event loop failed.
    pub fn finish(mut self) -> Result<Vec<HeldRow>, Error> {
        self.end()
            .unwrap_or_else(|| Ok(Vec::new()))
            .map_err(Error::EventLoop)
    }

    fn end(&mut self) -> Option<io::Result<Vec<HeldRow>>> {
        self.shared.let_go.store(true, Ordering::Relaxed);
        let ended = self.thread.take()?.join();
        Some(ended.unwrap_or_else(|_| Err(io::Error::other("the thread panicked"))))
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.end();
    }
}
