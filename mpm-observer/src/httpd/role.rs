//! What a task of httpd is for.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::scenario::Mpm;

/// The role of a process or thread of httpd.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The first process: it starts and ends children, and serves nobody.
    Parent,
    /// The first task of a child process. In prefork it accepts and serves; in worker and event
    /// it waits for orders of the parent while its threads do the work.
    Child,
    /// The thread of a worker or event child that accepts connections.
    Listener,
    /// A thread of a worker or event child that serves requests.
    Worker,
    /// A further thread of a child, about which nothing shows which of the two it is.
    Thread,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 5] = [
        Self::Parent,
        Self::Child,
        Self::Listener,
        Self::Worker,
        Self::Thread,
    ];

    /// The role of a name in tables.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }

    /// The name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Role::Parent => "parent",
            Role::Child => "child",
            Role::Listener => "listener",
            Role::Worker => "worker",
            Role::Thread => "thread",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What is known of a task. The counts come from the kernel's records; 0 where there are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// The MPM that runs.
    pub mpm: Mpm,
    /// Whether it belongs to httpd's first process.
    pub of_first_process: bool,
    /// Whether it is the first task of its process (its thread id is the process id).
    pub first_of_process: bool,
    /// How often it called accept, with or without success.
    pub accept_attempts: u64,
    /// How many requests it read or answered.
    pub requests_served: u64,
}

/// The role that the facts show. Threads are told apart by what they did, as all of a child's
/// threads look alike from outside.
pub fn role(facts: Facts) -> Role {
    if facts.of_first_process {
        return Role::Parent;
    }
    if facts.first_of_process || facts.mpm == Mpm::Prefork {
        return Role::Child;
    }
    match (facts.accept_attempts, facts.requests_served) {
        (0, 0) => Role::Thread,
        (0, _) => Role::Worker,
        // Only the listener accepts; it may also have read a request while closing.
        (_, _) => Role::Listener,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_role_follows_from_place_and_deeds() {
        let table = [
            // mpm, of the first process, first task, accepts, requests
            (Mpm::Prefork, true, true, 0, 0, Role::Parent),
            (Mpm::Prefork, false, true, 9, 9, Role::Child),
            (Mpm::Worker, true, true, 0, 0, Role::Parent),
            (Mpm::Worker, false, true, 0, 0, Role::Child),
            (Mpm::Worker, false, false, 9, 0, Role::Listener),
            (Mpm::Worker, false, false, 0, 9, Role::Worker),
            (Mpm::Event, false, false, 0, 0, Role::Thread),
            (Mpm::Event, false, false, 9, 1, Role::Listener),
        ];
        for (mpm, of_first_process, first_of_process, accept_attempts, requests_served, expected) in
            table
        {
            let facts = Facts {
                mpm,
                of_first_process,
                first_of_process,
                accept_attempts,
                requests_served,
            };
            assert_eq!(role(facts), expected, "{facts:?}");
        }
    }
}
