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
    #[error(
        "several httpds run; name one with --pid, --unit, --cgroup or --container: {}",
        .found.join("; ")
    )]
    Several {
        /// Of each its first process, unit or container, MPM and ports.
        found: Vec<String>,
    },
    /// A process was named that is no httpd's.
    #[error(
        "process {pid} is no httpd, or its MPM cannot be told: name the first process of one \
         with --pid"
    )]
    NotHttpd {
        /// The process.
        pid: u32,
    },
    /// The observer lives in a pid namespace of its own.
    #[error(
        "the observer runs in a pid namespace of its own, where httpd's tasks have other numbers \
         than the kernel's: run it outside, or in a container that shares the host's (docker run \
         --pid=host; in Kubernetes hostPID: true)"
    )]
    PidNamespace,
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
            Self::NoServer
                | Self::Several { .. }
                | Self::NotHttpd { .. }
                | Self::PidNamespace
                | Self::NoPort { .. }
                | Self::Kernel(_)
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
