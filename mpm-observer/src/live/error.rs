//! What can go wrong while a live server is watched.

use std::io;

use thiserror::Error;

use crate::{
    collect::CollectError,
    kernel::{KernelError, Ports},
    recording::RecordingError,
};

/// Each message says what to do about it.
#[derive(Debug, Error)]
pub enum LiveError {
    /// No httpd runs here.
    #[error("no httpd runs on this machine; start one, or name its first process with --pid")]
    NoServer,
    /// A process was named that is not there.
    #[error("no httpd runs as process {pid}, which is not there{}", others(.running))]
    NoProcess {
        /// Its number.
        pid: u32,
        /// The httpds that run, as in [`LiveError::Several`].
        running: Vec<String>,
    },
    /// Of the httpds that run, none is where it was asked for.
    #[error("no httpd runs {wanted}{}", others(.running))]
    NoneFits {
        /// Where.
        wanted: String,
        /// The httpds that run, as in [`LiveError::Several`].
        running: Vec<String>,
    },
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
    /// The server listens, but at none of the ports that were asked for.
    #[error("httpd (pid {pid}) does not listen on {}, but on {}", .asked.in_words(), .own.in_words())]
    NotListening {
        /// Its first process.
        pid: u32,
        /// What was asked for.
        asked: Ports,
        /// Where it listens.
        own: Ports,
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

/// The httpds that could be named instead.
fn others(running: &[String]) -> String {
    match running {
        [] => ", nor elsewhere on this machine".into(),
        running => format!("; those that run: {}", running.join("; ")),
    }
}

impl LiveError {
    /// Whether it is that something is missing on this machine.
    #[must_use]
    pub const fn is_prerequisite(&self) -> bool {
        matches!(
            self,
            Self::NoServer
                | Self::NoProcess { .. }
                | Self::NoneFits { .. }
                | Self::NotListening { .. }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_not_there_is_told_with_those_who_are() {
        let running = vec!["pid 2789, event, port 80".to_owned()];
        let pid = 999_999;
        let told = LiveError::NoProcess {
            pid,
            running: running.clone(),
        };
        assert_eq!(
            told.to_string(),
            "no httpd runs as process 999999, which is not there; those that run: pid 2789, event, port 80"
        );
        let wanted = "in the unit apache2".to_owned();
        let told = LiveError::NoneFits {
            wanted: wanted.clone(),
            running,
        };
        assert_eq!(
            told.to_string(),
            "no httpd runs in the unit apache2; those that run: pid 2789, event, port 80"
        );
        let told = LiveError::NoneFits {
            wanted,
            running: Vec::new(),
        };
        assert_eq!(
            told.to_string(),
            "no httpd runs in the unit apache2, nor elsewhere on this machine"
        );
    }
}
