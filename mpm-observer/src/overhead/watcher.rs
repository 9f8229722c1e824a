//! Who watches: the observer, or the tools that it is compared with.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::{observer::Observing, stand::Stand, tracer::Tracing};
use crate::lab::LabError;

/// Who watches httpd while it is under load.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum Watcher {
    /// Nobody: what two halves differ by without a reason.
    Nothing,
    /// The observer, writing its recording.
    Observer,
    /// The observer without the probe of `accept`, whose classic system call tracepoint makes the
    /// kernel take the slow way through every system call.
    WithoutAccept,
    /// bpftrace with a script that comes nearest to what the observer does.
    Bpftrace,
    /// `strace -f -c` on all of httpd's tasks, for scale.
    Strace,
}

impl Watcher {
    /// Its name, as on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Observer => "observer",
            Self::WithoutAccept => "without-accept",
            Self::Bpftrace => "bpftrace",
            Self::Strace => "strace",
        }
    }

    /// Begins to watch; returns when everything is attached.
    pub(crate) fn start(self, stand: &Stand<'_>) -> Result<Box<dyn Watching>, LabError> {
        Ok(match self {
            Self::Nothing => Box::new(Nobody),
            Self::Observer => Box::new(Observing::start(stand, &[])?),
            Self::WithoutAccept => Box::new(Observing::start(stand, &["sys_exit_accept4"])?),
            Self::Bpftrace => Box::new(Tracing::bpftrace(stand)?),
            Self::Strace => Box::new(Tracing::strace(stand)?),
        })
    }
}

/// A watcher at work.
pub(crate) trait Watching {
    /// CPU time that it has used in user space and in system calls of its own, nanoseconds.
    fn cpu_ns(&self) -> Result<u64, LabError>;

    /// Ends it; returns when everything is detached. Of so many answered requests it must have
    /// seen something, or nothing was measured.
    fn stop(self: Box<Self>, answered: u64) -> Result<(), LabError>;
}

struct Nobody;

impl Watching for Nobody {
    fn cpu_ns(&self) -> Result<u64, LabError> {
        Ok(0)
    }

    fn stop(self: Box<Self>, _answered: u64) -> Result<(), LabError> {
        Ok(())
    }
}
