//! What can go wrong while records are collected.

use std::io;

use thiserror::Error;

use crate::{kernel::KernelError, live::LiveError, recording::RecordingError};

/// Each message is one line and says what to do.
#[derive(Debug, Error)]
pub enum CollectError {
    /// The kernel side does not work.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// The recording cannot be written.
    #[error("the recording cannot be written: {0}")]
    Recording(#[from] RecordingError),
    /// The server cannot be looked at.
    #[error(transparent)]
    Look(LiveError),
    /// The thread cannot be started, or panicked.
    #[error("the collector: {0}")]
    Thread(io::Error),
}
