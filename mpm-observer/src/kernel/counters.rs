//! What the programs counted, above all what was lost.

use mpm_observer_common::Counter;
use serde::{Deserialize, Serialize};

/// Runs of a program that the kernel skipped because the same program was already running on that
/// CPU.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missed {
    /// The program's name.
    pub program: String,
    /// How often.
    pub runs: u64,
}

/// The books of one watch: for each kind of record, sent = received + lost.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Request records that the programs made.
    pub requests_sent: u64,
    /// … that did not fit the ring buffer.
    pub requests_lost: u64,
    /// … that the reader received.
    pub requests_received: u64,
    /// Task records that the programs made.
    pub tasks_sent: u64,
    /// … that did not fit the ring buffer.
    pub tasks_lost: u64,
    /// … that the reader received.
    pub tasks_received: u64,
    /// Entries of the ring buffer that were no record.
    pub unreadable: u64,
    /// Connections established.
    pub conns_established: u64,
    /// … not followed for want of room in the table.
    pub conns_unfollowed: u64,
    /// Tasks not followed for want of room in the table.
    pub tasks_unfollowed: u64,
    /// Skipped runs, by program; empty if there were none.
    pub missed: Vec<Missed>,
}

impl Counters {
    /// Takes over the programs' own counters, by index of [`Counter`].
    pub(super) fn set_kernel_side(&mut self, value_of: impl Fn(Counter) -> u64) {
        self.requests_sent = value_of(Counter::RequestsSent) + value_of(Counter::LastRequestsSent);
        self.requests_lost = value_of(Counter::RequestsLost) + value_of(Counter::LastRequestsLost);
        self.tasks_sent = value_of(Counter::TasksSent);
        self.tasks_lost = value_of(Counter::TasksLost);
        self.conns_established = value_of(Counter::ConnsEstablished);
        self.conns_unfollowed = value_of(Counter::ConnsUnfollowed);
        self.tasks_unfollowed = value_of(Counter::TasksUnfollowed);
    }

    /// Everything of the server that was lost on the way, as one number. Skipped runs are not in
    /// it (see [`Counters::skipped`]).
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.requests_lost
            + self.tasks_lost
            + self.unreadable
            + self.conns_unfollowed
            + self.tasks_unfollowed
    }

    /// Runs of programs that the kernel skipped. Nobody can tell which task or socket a skipped
    /// run was for; most are not the server's. One that is shows in its request: it has no
    /// arrival, or was not queued, or is not joined.
    #[must_use]
    pub fn skipped(&self) -> u64 {
        self.missed.iter().map(|missed| missed.runs).sum()
    }

    /// Whether the books close: sent = received + lost for each kind.
    #[must_use]
    pub fn balanced(&self) -> bool {
        self.requests_sent == self.requests_received + self.requests_lost
            && self.tasks_sent == self.tasks_received + self.tasks_lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_books_close_only_if_sent_is_received_and_lost() {
        let mut counters = Counters {
            requests_sent: 10,
            requests_received: 8,
            requests_lost: 2,
            ..Counters::default()
        };
        assert!(counters.balanced());
        assert_eq!(counters.lost(), 2);
        counters.requests_received = 9;
        assert!(!counters.balanced());
    }
}
