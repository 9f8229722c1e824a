//! What can go wrong while a live server is watched.

use std::io;

use thiserror::Error;

use crate::{collect::CollectError, kernel::KernelError, recording::RecordingError};

/// Each message says what to do about it.
#[derive(Debug, Error)]
pub enum LiveError {
    /// No httpd runs here.
    #[error("no httpd runs on this machine; start one, or name its first process with --pid")]
    NoServer,
    /// More than one runs, or fits.
    #[error("several httpds run: name the first process of one with --pid ({})", .pids.iter().map(u32::to_string).collect::<Vec<_>>().join(", "))]
    Several {
        /// Their first processes.
        pids: Vec<u32>,
    },
    /// The server that was meant listens on no TCP port.
    #[error("httpd (pid {pid}) listens on no TCP port; name the port with --port")]
    NoPort {
        /// Its first process.
        pid: u32,
    },
    /// The probes failed.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// What is recorded of the server cannot be written.
    #[error("the recording cannot be written: {0}")]
    Recording(#[from] RecordingError),
    /// The system refused something.
    #[error("{what}: {source}")]
    System {
        /// What failed.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
}

impl LiveError {
    /// Whether it is that something is missing on this machine.
    #[must_use]
    pub const fn is_prerequisite(&self) -> bool {
        matches!(
            self,
            Self::NoServer | Self::Several { .. } | Self::NoPort { .. } | Self::Kernel(_)
        )
    }
}

impl From<CollectError> for LiveError {
    fn from(error: CollectError) -> Self {
        match error {
            CollectError::Look(error) => error,
            CollectError::Kernel(error) => Self::Kernel(error),
            CollectError::Recording(error) => Self::Recording(error),
            CollectError::Thread(source) => Self::System {
                what: "the collector",
                source,
            },
        }
    }
}
