//! What ends a search early.

use std::path::PathBuf;

use thiserror::Error;

use crate::{lab::LabError, recording::RecordingError};

/// Each message is one line and says what to do.
#[derive(Debug, Error)]
pub enum LimitError {
    /// A run failed for a reason of the observer's own, or cannot be made here.
    #[error(transparent)]
    Lab(#[from] LabError),
    /// The limit cannot be set on this machine.
    #[error("{0}")]
    CannotBeSet(String),
    /// The result or a trial's recording cannot be written or read.
    #[error("the recording cannot be written or read: {0}")]
    Recording(#[from] RecordingError),
    /// The picture or the page cannot be written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The picture cannot be drawn, which is a fault of this program.
    #[error("the picture cannot be drawn, please report this: {0}")]
    Plot(#[from] plots::PlotError),
    /// The page's template is wrong, which is a fault of this program.
    #[error("the page's template is wrong, please report this: {0:#}")]
    Template(#[from] minijinja::Error),
}

impl LimitError {
    /// Whether something has to be installed or permitted before a search can run here.
    #[must_use]
    pub const fn is_prerequisite(&self) -> bool {
        match self {
            Self::CannotBeSet(_) => true,
            Self::Lab(error) => error.is_prerequisite(),
            _ => false,
        }
    }
}
