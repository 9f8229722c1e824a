//! Exit codes.

use std::fmt::Display;

use crate::live::LiveError;

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// All that was asked for was done.
    Done,
    /// Bad usage or a bad scenario file.
    Usage,
    /// Something is missing on this machine.
    Missing,
    /// A run, the recording or the report failed.
    Failed,
    /// No server that fits runs.
    NoServer,
    /// Several servers fit.
    SeveralServers,
    /// The server served nothing while it was recorded.
    NothingServed,
    /// Client and server cannot be joined: something between them changes addresses, or they do
    /// not belong together.
    NotJoinable,
    /// The user ended it.
    Interrupted,
}

impl Exit {
    /// The number.
    #[must_use]
    pub const fn code(self) -> i32 {
        match self {
            Self::Done => 0,
            Self::Usage => 2,
            Self::Missing => 3,
            Self::Failed => 4,
            Self::NoServer => 5,
            Self::SeveralServers => 6,
            Self::NothingServed => 7,
            Self::NotJoinable => 8,
            Self::Interrupted => 130,
        }
    }
}

/// An error in one line, with the code to end with.
pub(super) type CommandResult = Result<Exit, (Exit, String)>;

/// An error of a lab or a search, which says whether it is that something is missing here.
pub(super) fn failed(is_prerequisite: bool, error: &impl Display) -> (Exit, String) {
    let exit = if is_prerequisite {
        Exit::Missing
    } else {
        Exit::Failed
    };
    (exit, error.to_string())
}

/// An error with a live server, with the code of its kind.
pub(super) fn of_live(error: &LiveError) -> (Exit, String) {
    match error {
        LiveError::NoServer
        | LiveError::NoProcess { .. }
        | LiveError::NoneFits { .. }
        | LiveError::NotListening { .. }
        | LiveError::NotHttpd { .. } => (Exit::NoServer, error.to_string()),
        LiveError::Several { .. } => (Exit::SeveralServers, error.to_string()),
        error => failed(error.is_prerequisite(), error),
    }
}
