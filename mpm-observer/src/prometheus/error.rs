//! What can go wrong with Prometheus.

use std::{io, path::PathBuf};

use thiserror::Error;

/// Each message says what to do about it where something can be done.
#[derive(Debug, Error)]
pub enum PrometheusError {
    /// There is no such program.
    #[error(
        "there is no Prometheus on this machine: install it (on Debian the package prometheus), \
         or name its program"
    )]
    NotFound,
    /// The program that was named is none.
    #[error("{} is no program that can be run", .0.display())]
    NotAProgram(PathBuf),
    /// It ended, or was not ready in time.
    #[error("Prometheus did not start: {message} (its log: {})", .log.display())]
    NotStarted {
        /// The end of its log, in one line.
        message: String,
        /// Its log.
        log: PathBuf,
    },
    /// The system refused something.
    #[error("{what}: {source}")]
    System {
        /// What failed.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
    /// It did not answer, or what it answered is not what its API says.
    #[error("Prometheus' answer to {question}: {message}")]
    Answer {
        /// What it was asked.
        question: String,
        /// What is wrong.
        message: String,
    },
}
