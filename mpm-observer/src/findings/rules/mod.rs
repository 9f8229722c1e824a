//! The rules, one file for each family. A rule looks at one run at a time, in the order of the
//! table; what earlier rules account for is known to the later ones.

mod accept_queue;
mod disk;
mod fork_ramp;
mod keep_alive;
mod memory_killed;
mod memory_limits;
mod open_files;
mod others;
mod refused;
mod signals;
mod slots;
mod stopping;
mod tasks;
#[cfg(test)]
mod tests;

use super::{
    Remedy,
    evidence::RunEvidence,
    observation::{Claimed, Observation, Seen},
};

/// A rule.
pub struct Rule {
    /// Its name, in small letters with `-`.
    pub name: &'static str,
    /// What it looks for.
    pub looks_for: &'static str,
    /// The tables and files that it needs.
    pub needs: &'static [&'static str],
    /// Looks at one run.
    pub observe: fn(&RunEvidence<'_>, &Claimed) -> Option<Observation>,
    /// What happened, in one or two sentences, without the MPM's name before it.
    pub tell: fn(&Seen<'_>) -> String,
    /// What would have helped.
    pub remedies: fn(&Seen<'_>) -> Vec<Remedy>,
}

/// All rules, in the order in which they look. Those that take what is left come last.
pub const RULES: &[Rule] = &[
    memory_limits::ADDRESS_SPACE,
    memory_limits::DATA,
    open_files::OF_PROCESS,
    open_files::OF_SYSTEM,
    tasks::OF_USER,
    tasks::OF_CGROUP,
    tasks::UNKNOWN,
    memory_killed::RULE,
    memory_limits::OF_CGROUP,
    signals::KILLED,
    signals::CRASHED,
    disk::RULE,
    accept_queue::RULE,
    fork_ramp::RULE,
    slots::RULE,
    keep_alive::RULE,
    stopping::RULE,
    others::CALLS,
    others::REQUESTS,
];

const FAILURES: &str = "failures";
const TASKS: &str = "tasks";
const CLIENT: &str = "client_requests";
const KERNEL: &str = "kernel_requests";
const SAMPLES: &str = "samples";
const LOG: &str = "error.log";
const MANIFEST: &str = "manifest.json";

/// A sentence of a cause and what followed.
fn sentence(cause: &str, consequences: &[String], otherwise: &str) -> String {
    let followed = match consequences {
        [] if otherwise.is_empty() => return format!("{cause}."),
        [] => otherwise.to_owned(),
        some => some.join("; "),
    };
    format!("{cause}: {followed}.")
}

/// Nothing to recommend.
fn no_remedy(_: &Seen<'_>) -> Vec<Remedy> {
    Vec::new()
}

/// A number from a figure.
fn number(figure: f64) -> u64 {
    figure.max(0.0).ceil() as u64
}
