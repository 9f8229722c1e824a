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

    /// Whether it can be switched off and on while httpd is under load. The tracers cannot.
    #[must_use]
    pub fn is_switched(self) -> bool {
        !matches!(self, Self::Bpftrace | Self::Strace)
    }

    /// Begins to watch, if it can be switched; returns when everything is attached.
    pub(crate) fn start_switched(
        self,
        stand: &Stand<'_>,
    ) -> Result<Option<Box<dyn Switched>>, LabError> {
        Ok(match self {
            Self::Nothing => Some(Box::new(Nobody)),
            Self::Observer => Some(Box::new(Observing::start(stand, &[])?)),
            Self::WithoutAccept => Some(Box::new(Observing::start(stand, &["sys_exit"])?)),
            Self::Bpftrace | Self::Strace => None,
        })
    }

    /// Begins to watch, if it cannot be switched; returns when everything is attached.
    pub(crate) fn start_tracer(self, stand: &Stand<'_>) -> Result<Option<Tracing>, LabError> {
        Ok(match self {
            Self::Bpftrace => Some(Tracing::bpftrace(stand)?),
            Self::Strace => Some(Tracing::strace(stand)?),
            Self::Nothing | Self::Observer | Self::WithoutAccept => None,
        })
    }
}

/// A watcher at work that can be switched off and on.
pub(crate) trait Switched {
    /// CPU time that it has used in user space and in system calls of its own, nanoseconds.
    fn cpu_ns(&self) -> u64;

    /// Switches it; returns when that is done. It begins on. If it fails, [`Switched::stop`] says
    /// so.
    fn switch(&self, on: bool);

    /// Ends it; returns when everything is detached. So many requests were answered while it was
    /// on, and it must have seen them, but for those that each of its switches cut in two.
    fn stop(self: Box<Self>, answered: u64, switches: u64) -> Result<(), LabError>;
}

struct Nobody;

impl Switched for Nobody {
    fn cpu_ns(&self) -> u64 {
        0
    }

    fn switch(&self, _on: bool) {}

    fn stop(self: Box<Self>, _answered: u64, _switches: u64) -> Result<(), LabError> {
        Ok(())
    }
}
