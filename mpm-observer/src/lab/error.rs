//! What ends a lab early.

use thiserror::Error;

use crate::{
    collect::CollectError,
    httpd::{FindError, RuntimeDirError, user::UserError},
    kernel::KernelError,
    recording::{RecordingError, Skipped},
    resources::CgroupError,
};

/// Each message is one line and says what to do.
#[derive(Debug, Error)]
pub enum LabError {
    /// The kernel side does not work.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// There is no usable httpd.
    #[error(transparent)]
    Httpd(#[from] FindError),
    /// There is no usable user for it.
    #[error(transparent)]
    User(#[from] UserError),
    /// The recording cannot be written.
    #[error("the recording cannot be written: {0}")]
    Recording(#[from] RecordingError),
    /// The directory for httpd's files cannot be made.
    #[error("the runtime directory cannot be made: {0}")]
    RuntimeDir(#[from] RuntimeDirError),
    /// A limit of a control group cannot be set.
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    /// Nothing of what was asked for can be run here.
    #[error("nothing of this can be run here: {}", why(.0))]
    NothingPossible(Vec<Skipped>),
    /// A program that a measurement compares with is not installed.
    #[error("{0} is not installed; install the package {0}, or leave it out")]
    Missing(&'static str),
    /// A CPU set makes no sense.
    #[error("{0}")]
    Cpus(String),
    /// Another program of the system failed.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        source: std::io::Error,
    },
    /// The exporter or Prometheus failed.
    #[error("--serve: {0}")]
    Expose(String),
    /// A run failed for a reason of the observer's own.
    #[error("run {run}: {message}")]
    Run {
        /// Name of the run.
        run: String,
        /// What happened.
        message: String,
    },
}

impl LabError {
    /// Whether something has to be installed or permitted before a lab can run here.
    #[must_use]
    pub const fn is_prerequisite(&self) -> bool {
        matches!(
            self,
            Self::Kernel(_)
                | Self::Httpd(_)
                | Self::User(_)
                | Self::Cgroup(_)
                | Self::Cpus(_)
                | Self::Missing(_)
                | Self::Expose(_)
                | Self::NothingPossible(_)
        )
    }
}

fn why(skipped: &[Skipped]) -> String {
    let lines: Vec<String> = skipped.iter().map(ToString::to_string).collect();
    lines.join("; ")
}

impl From<CollectError> for LabError {
    fn from(error: CollectError) -> Self {
        match error {
            CollectError::Kernel(error) => Self::Kernel(error),
            CollectError::Recording(error) => Self::Recording(error),
            CollectError::Look(error) => Self::System {
                what: "httpd cannot be looked at",
                source: std::io::Error::other(error),
            },
            CollectError::Thread(source) => Self::System {
                what: "the collector",
                source,
            },
        }
    }
}
