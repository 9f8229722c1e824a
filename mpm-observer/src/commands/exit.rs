//! Exit codes.

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
            Self::Interrupted => 130,
        }
    }
}

/// An error in one line, with the code to end with.
pub(super) type CommandResult = Result<Exit, (Exit, String)>;
