//! The failures that have an exit status of their own.

use std::fmt;
use std::process::ExitCode;

/// Something is missing that could not be installed.
const EXIT_MISSING: u8 = 3;

/// A failure with an exit status of its own; every other error exits with 1.
#[derive(Debug)]
pub enum Failure {
    /// Each line names one missing thing and how to get it.
    Missing(Vec<String>),
    /// A program that was run failed, with its exit status.
    Program { what: String, status: u8 },
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(lines) => f.write_str(&lines.join("\n")),
            Self::Program { what, status } => write!(f, "{what} failed with status {status}"),
        }
    }
}

impl std::error::Error for Failure {}

/// Prints `error` and gives the exit status that belongs to it.
pub fn report(error: &anyhow::Error) -> ExitCode {
    match error.downcast_ref::<Failure>() {
        Some(Failure::Missing(lines)) => {
            for line in lines {
                eprintln!("missing: {line}");
            }
            ExitCode::from(EXIT_MISSING)
        }
        Some(Failure::Program { status, .. }) => {
            eprintln!("error: {error:#}");
            ExitCode::from(*status)
        }
        None => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
