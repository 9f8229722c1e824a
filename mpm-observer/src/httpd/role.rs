//! What a task of httpd is for.

use std::fmt;

use mpm_observer_common::{TaskFlags, TaskRecord};
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
    /// A task of another program that httpd started, such as a piped log's or a CGI script's, or of
    /// a process that a child made for one.
    Helper,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 6] = [
        Self::Parent,
        Self::Child,
        Self::Listener,
        Self::Worker,
        Self::Thread,
        Self::Helper,
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
            Role::Helper => "helper",
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
    /// Whether its process is none of httpd's own: it runs another program, or another process than
    /// httpd's first one made it.
    pub of_helper: bool,
    /// Whether it is the first task of its process (its thread id is the process id).
    pub first_of_process: bool,
    /// How often it called accept, with or without success.
    pub accept_attempts: u64,
    /// How many requests it read or answered.
    pub requests_served: u64,
}

impl Facts {
    /// What a task's record shows. `first` is the number of httpd's first process, if it is known.
    #[must_use]
    pub fn of(record: &TaskRecord, mpm: Mpm, first: Option<u32>) -> Self {
        let totals = &record.totals;
        let of_first_process = first == Some(record.tgid);
        let first_of_process = record.flags & TaskFlags::THREAD == 0;
        // A child makes processes for other programs alone, and the first one makes the children.
        let made_by_another =
            first_of_process && first.is_some_and(|pid| pid != record.parent_tgid);
        Self {
            mpm,
            of_first_process,
            of_helper: record.flags & TaskFlags::OTHER_PROGRAM != 0 || made_by_another,
            first_of_process,
            accept_attempts: totals.accepts
                + totals.accepts_again
                + totals.accepts_interrupted
                + totals.accepts_failed,
            requests_served: totals.requests,
        }
    }
}

/// The role that the facts show. Threads are told apart by what they did, as all of a child's
/// threads look alike from outside.
pub fn role(facts: Facts) -> Role {
    if facts.of_first_process {
        return Role::Parent;
    }
    if facts.of_helper {
        return Role::Helper;
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
                of_helper: false,
                first_of_process,
                accept_attempts,
                requests_served,
            };
            assert_eq!(role(facts), expected, "{facts:?}");
        }
    }

    #[test]
    fn programs_that_httpd_starts_are_none_of_its_children() {
        const FIRST: u32 = 10;
        let record = |tgid, parent_tgid, flags| TaskRecord {
            pid: tgid,
            tgid,
            parent_tgid,
            flags,
            ..TaskRecord::default()
        };
        let (other, thread) = (TaskFlags::OTHER_PROGRAM, TaskFlags::THREAD);
        let table = [
            (record(FIRST, 1, TaskFlags::FIRST), Role::Parent),
            (record(20, FIRST, 0), Role::Child),
            // A piped log's.
            (record(21, FIRST, other), Role::Helper),
            (record(21, 21, other | thread), Role::Helper),
            // A CGI script's, before and after it executes it.
            (record(22, 20, 0), Role::Helper),
            (record(22, 20, other), Role::Helper),
        ];
        for mpm in Mpm::ALL {
            for (record, expected) in table {
                let role = role(Facts::of(&record, mpm, Some(FIRST)));
                assert_eq!(role, expected, "{mpm} {record:?}");
            }
            // A thread is made by its own process.
            let thread = record(20, 20, thread);
            let role = role(Facts::of(&thread, mpm, Some(FIRST)));
            assert_ne!(role, Role::Helper, "{mpm}");
            // Without the first process none is known to be made by another one.
            let role = self::role(Facts::of(&record(20, 5, 0), mpm, None));
            assert_eq!(role, Role::Child);
        }
    }
}
