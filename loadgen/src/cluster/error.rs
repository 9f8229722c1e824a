//! What can go wrong with workers; each text says what to do about it.

use std::fmt;
use std::io;

use super::protocol::FrameError;
use crate::Error;

/// Why a run on several machines did not take place.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    /// The run itself makes no sense.
    #[error(transparent)]
    Run(#[from] Error),
    /// These workers did not go along.
    #[error("{}", lines(.0))]
    Workers(Vec<LostWorker>),
    /// It was stopped before it began.
    #[error("stopped before the run began")]
    Stopped,
}

/// A worker, and what is wrong with it.
#[derive(Debug)]
pub struct LostWorker {
    /// Its address, as it was given.
    pub address: String,
    /// What is wrong.
    pub trouble: Trouble,
}

impl fmt::Display for LostWorker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "worker {}: {}", self.address, self.trouble)
    }
}

fn lines(lost: &[LostWorker]) -> String {
    let lines: Vec<String> = lost.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

/// What is wrong with a worker.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// Its name has no address.
    #[error("its name cannot be resolved: {0}; check it, or give an IP address")]
    Resolve(io::Error),
    /// No connection.
    #[error(
        "it cannot be reached: {0}; is 'loadgen --worker ADDRESS' running there, and does it \
         listen on an address that can be reached from here?"
    )]
    Connect(io::Error),
    /// Something else is there.
    #[error("what listens there is no loadgen worker ({0})")]
    NotAWorker(FrameError),
    /// Another version.
    #[error("it is loadgen {theirs}, this is {ours}: install the same version on both")]
    Version {
        /// The worker's version.
        theirs: String,
        /// The coordinator's version.
        ours: String,
    },
    /// It has a key, the coordinator has none.
    #[error("it wants a key: give its --worker-key FILE here, too")]
    KeyMissing,
    /// The coordinator has a key, it has none.
    #[error("it was started without a key: give it the same --worker-key FILE, or leave it out")]
    KeyUnknown,
    /// It will not work for this coordinator.
    #[error("it refuses: {0}")]
    Refused(String),
    /// It cannot do its part.
    #[error("it cannot do its part: {0}")]
    Failed(String),
    /// The connection did not last, or what came over it was bad.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// It said something in the wrong place.
    #[error("it sent something else than it should: {0}")]
    OutOfTurn(&'static str),
    /// Its figures cannot be.
    #[error("its figures contradict each other: {0}")]
    Contradiction(String),
    /// It goes on when the time is over.
    #[error("it did not end its run in time")]
    Overdue,
}
