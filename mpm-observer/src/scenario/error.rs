//! What can be wrong with a scenario file.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// One thing that is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The line, counted from 1.
    pub line: usize,
    /// The key with the tables around it, such as `size.full.requests`; empty where there is none.
    pub key: String,
    /// What is wrong with it.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.key.is_empty() {
            write!(f, "{}: {}", self.line, self.message)
        } else {
            write!(f, "{}: {}: {}", self.line, self.key, self.message)
        }
    }
}

/// Why a scenario cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// The file or directory cannot be read.
    #[error("cannot read the scenario {}: {source}", .path.display())]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// The file says something that cannot be.
    #[error("{}", list(.file, .problems))]
    Invalid {
        /// The file's name, as it was given.
        file: String,
        /// All that is wrong, in the order of the lines; never empty.
        problems: Vec<Problem>,
    },
    /// A directory without a scenario.
    #[error("no file in {} ends in .toml", .path.display())]
    Empty {
        /// The directory.
        path: PathBuf,
    },
    /// Two files describe scenarios of the same name.
    #[error("two scenarios are called `{name}`; the second is in {}", .path.display())]
    Duplicate {
        /// The name.
        name: String,
        /// The file that has it again.
        path: PathBuf,
    },
}

fn list(file: &str, problems: &[Problem]) -> String {
    let lines: Vec<String> = problems.iter().map(|p| format!("{file}:{p}")).collect();
    lines.join("\n")
}
