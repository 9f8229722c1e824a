//! The three multi-processing modules that are compared.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// One of httpd's multi-processing modules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mpm {
    /// One process per slot, one task each.
    Prefork,
    /// Processes with threads; a thread stays with its connection.
    Worker,
    /// Processes with threads; the listener holds idle keep-alive connections.
    Event,
}

impl Mpm {
    /// All of them, in the order in which tables and plots show them.
    pub const ALL: [Mpm; 3] = [Mpm::Prefork, Mpm::Worker, Mpm::Event];

    /// The lower-case name, as in scenario files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Mpm::Prefork => "prefork",
            Mpm::Worker => "worker",
            Mpm::Event => "event",
        }
    }

    /// The name of `LoadModule`'s first argument, such as `mpm_event_module`.
    pub fn module_name(self) -> &'static str {
        match self {
            Mpm::Prefork => "mpm_prefork_module",
            Mpm::Worker => "mpm_worker_module",
            Mpm::Event => "mpm_event_module",
        }
    }

    /// The module's file, such as `mod_mpm_event.so`.
    pub fn module_file(self) -> &'static str {
        match self {
            Mpm::Prefork => "mod_mpm_prefork.so",
            Mpm::Worker => "mod_mpm_worker.so",
            Mpm::Event => "mod_mpm_event.so",
        }
    }

    /// Whether a child serves with several threads.
    pub fn is_threaded(self) -> bool {
        self != Mpm::Prefork
    }
}

impl fmt::Display for Mpm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A name that is none of the three.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown MPM `{0}`: it is one of prefork, worker, event")]
pub struct UnknownMpm(pub String);

impl FromStr for Mpm {
    type Err = UnknownMpm;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Mpm::ALL
            .into_iter()
            .find(|mpm| mpm.name() == text)
            .ok_or_else(|| UnknownMpm(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_parses_back_to_its_mpm() {
        for mpm in Mpm::ALL {
            assert_eq!(mpm.to_string().parse(), Ok(mpm));
        }
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let error = "itk".parse::<Mpm>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "unknown MPM `itk`: it is one of prefork, worker, event"
        );
    }
}
