//! Scenarios: what load is put on which httpd, one TOML file each.
//!
//! [`mod@file`] is the format, key by key; [`Scenario::parse`] reads and checks one file;
//! [`Scenario::plan`] resolves it into the plain numbers of one run.

mod check;
mod check_limits;
mod error;
pub mod file;
mod limits;
mod mpm;
mod plan;
mod source;

use std::fs;
use std::path::Path;

pub use error::{Problem, ScenarioError};
pub use file::{
    ClaimText, Cpus, Direction, Expectation, ExpectedFinding, Held, HeldKind, Load, PreforkServer,
    Scenario, Server, Size, SizeNumbers, Sizes, Start, StartAs, SummaryRow, ThreadedServer,
    Tutorial,
};
pub use limits::{Limit, Limits};
pub use mpm::{Mpm, UnknownMpm};
pub use plan::{LoadPlan, OpenLoop, RunPlan, ServerPlan};

use source::Source;

/// Scenarios that belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Set {
    /// Those of the tutorial.
    Tutorial,
    /// One for each limit that httpd can run into.
    Limits,
}

impl Set {
    /// All of them, in the order in which they are run.
    pub const ALL: [Self; 2] = [Self::Tutorial, Self::Limits];

    /// Its name on the command line, and its directory's.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tutorial => "tutorial",
            Self::Limits => "limits",
        }
    }

    /// Its files, which are part of the program, in their order.
    const fn files(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Tutorial => TUTORIAL,
            Self::Limits => LIMITS,
        }
    }
}

/// Name and text of files in a directory of `scenarios`.
macro_rules! files {
    ($set:literal: $($name:literal)*) => {
        &[$((
            concat!("scenarios/", $set, "/", $name, ".toml"),
            include_str!(concat!("../../../scenarios/", $set, "/", $name, ".toml")),
        )),*]
    };
}

/// In the order of the tutorial.
const TUTORIAL: &[(&str, &str)] = files!("tutorial":
    "high-load" "high-load-cold" "high-load-open" "high-load-open-cold" "keep-alive" "keep-alive-within" "keep-alive-parked"
    "large-file" "large-file-slow" "memory-limit" "memory-limit-cgroup" "overload-tutorial"
    "overload-equal" "overload-half-header");

/// Limits of a process, of its user, of a control group, of httpd; then what slow clients do.
const LIMITS: &[(&str, &str)] = files!("limits":
    "address-space" "data" "stack" "open-files" "tasks-user-root" "tasks-user" "tasks-cgroup"
    "memory-cgroup" "backlog" "slots" "half-header" "idle-keep-alive" "slow-reader"
    "slow-reader-no-mmap" "slow-reader-sendfile" "cold-start" "two-limits");

impl Scenario {
    /// Reads and checks the text of a scenario; `file` is its name in error messages.
    ///
    /// # Errors
    /// [`ScenarioError::Invalid`] with the first error of syntax or type, or, if there is none,
    /// with everything in which the values contradict each other.
    pub fn parse(file: &str, text: &str) -> Result<Self, ScenarioError> {
        let source = Source::new(text);
        let invalid = |problems| ScenarioError::Invalid {
            file: file.to_owned(),
            problems,
        };
        let scenario: Scenario = toml::from_str(text)
            .map_err(|error| invalid(vec![problem_of_toml(&source, &error)]))?;
        let mut problems = check::check(&scenario, &source);
        if problems.is_empty() {
            return Ok(scenario);
        }
        problems.sort_by_key(|problem| problem.line);
        Err(invalid(problems))
    }

    /// Reads and checks a file.
    ///
    /// # Errors
    /// When it cannot be read, and as [`Scenario::parse`] does.
    pub fn load(path: &Path) -> Result<Self, ScenarioError> {
        let text = fs::read_to_string(path).map_err(|source| ScenarioError::Read {
            path: path.to_owned(),
            source,
        })?;
        Scenario::parse(&path.display().to_string(), &text)
    }

    /// Reads a file, or all `.toml` files of a directory in the order of their names.
    ///
    /// # Errors
    /// As [`Scenario::load`], for a directory without scenarios, and for two of one name.
    pub fn load_all(path: &Path) -> Result<Vec<Self>, ScenarioError> {
        if !path.is_dir() {
            return Ok(vec![Scenario::load(path)?]);
        }
        let unreadable = |source| ScenarioError::Read {
            path: path.to_owned(),
            source,
        };
        let mut files = Vec::new();
        for entry in fs::read_dir(path).map_err(unreadable)? {
            let file = entry.map_err(unreadable)?.path();
            if file
                .extension()
                .is_some_and(|extension| extension == "toml")
            {
                files.push(file);
            }
        }
        files.sort();
        let mut scenarios: Vec<Scenario> = Vec::with_capacity(files.len());
        for file in files {
            let scenario = Scenario::load(&file)?;
            if scenarios.iter().any(|other| other.name == scenario.name) {
                return Err(ScenarioError::Duplicate {
                    name: scenario.name,
                    path: file,
                });
            }
            scenarios.push(scenario);
        }
        if scenarios.is_empty() {
            return Err(ScenarioError::Empty {
                path: path.to_owned(),
            });
        }
        Ok(scenarios)
    }

    /// The MPMs that this scenario is run with, in the order of [`Mpm::ALL`].
    pub fn mpms(&self) -> impl Iterator<Item = Mpm> {
        Mpm::ALL
            .into_iter()
            .filter(|mpm| self.server.mpms.contains(mpm))
    }

    /// The numbers of one size.
    pub fn numbers(&self, size: Size) -> &SizeNumbers {
        match size {
            Size::Full => &self.size.full,
            Size::Quick => &self.size.quick,
        }
    }
}

/// The built-in scenarios of a set, in their order.
///
/// # Panics
/// Never: a test loads each of the files that are part of the program.
pub fn of_set(set: Set) -> Vec<Scenario> {
    let parse = |(file, text): &(&str, &str)| match Scenario::parse(file, text) {
        Ok(scenario) => scenario,
        Err(error) => panic!("a built-in scenario is wrong: {error}"),
    };
    set.files().iter().map(parse).collect()
}

/// All built-in scenarios, set by set.
pub fn builtin() -> Vec<Scenario> {
    Set::ALL.into_iter().flat_map(of_set).collect()
}

fn problem_of_toml(source: &Source<'_>, error: &toml::de::Error) -> Problem {
    let offset = error.span().map_or(0, |span| span.start);
    // The position of a missing key is that of a table header, which `[a.b]` shares with `[a]`.
    let key = if error.message().starts_with("missing field") {
        key_of_toml(error)
    } else {
        source.key_at(offset)
    };
    Problem {
        line: source.line_at(offset),
        key: key.unwrap_or_default(),
        // One problem is one line, also where the parser explains at length.
        message: error.message().trim().replace('\n', ", "),
    }
}

/// The table that the parser was in, which it tells only in words.
fn key_of_toml(error: &toml::de::Error) -> Option<String> {
    let mut error = error.clone();
    error.set_input(None);
    let text = error.to_string();
    let key = text
        .lines()
        .find_map(|line| line.strip_prefix("in `")?.strip_suffix('`'));
    key.map(str::to_owned)
}

#[cfg(test)]
mod builtin_tests;
#[cfg(test)]
mod tests;
