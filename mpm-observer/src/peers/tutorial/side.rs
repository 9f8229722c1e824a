//! What a run came to, on both sides.

use loadgen::{Summary, summary::OutcomeCounts};
use serde::{Deserialize, Serialize};

use super::{Served, Tool};
use crate::{
    peers::{AbAccount, AbSaid},
    scenario::Mpm,
};

/// loadgen's own count.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoadgenSaid {
    /// Requests sent.
    pub requests: u64,
    /// Complete answers.
    pub answered: u64,
    /// Requests that failed.
    pub failed: u64,
    /// Stale keep-alive connections on which a request was sent again.
    pub stale_retries: u64,
    /// How the attempts ended.
    pub outcomes: OutcomeCounts,
    /// Length of the run, seconds.
    pub seconds: f64,
    /// Complete answers per second.
    pub per_second: f64,
    /// What it says that ab would have counted.
    pub of_ab: Option<AbAccount>,
}

impl LoadgenSaid {
    /// Of its summary and of its account of ab.
    #[must_use]
    pub fn new(summary: &Summary, of_ab: Option<AbAccount>) -> Self {
        Self {
            requests: summary.requests,
            answered: summary.answered(),
            failed: summary.failed(),
            stale_retries: summary.stale_retries,
            outcomes: summary.outcomes,
            seconds: summary.wall_seconds(),
            per_second: summary.answers_per_second(),
            of_ab,
        }
    }
}

/// What a tool said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolSaid {
    /// ab's report, or why there is none.
    Ab(AbSaid),
    /// loadgen's figures.
    Loadgen(LoadgenSaid),
}

impl ToolSaid {
    /// Who said it.
    #[must_use]
    pub const fn tool(&self) -> Tool {
        match self {
            Self::Ab(_) => Tool::Ab,
            Self::Loadgen(_) => Tool::Loadgen,
        }
    }

    /// Requests that it calls answered: ab's "Complete", and what ab had completed when it ended
    /// at an error, if it says so.
    #[must_use]
    pub fn answered(&self) -> Option<u64> {
        match self {
            Self::Ab(AbSaid::Report(report)) => Some(report.complete),
            Self::Ab(AbSaid::Ended { completed, .. }) => *completed,
            Self::Loadgen(said) => Some(said.answered),
        }
    }
}

/// What the server took, as seen from outside while it ran.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Watched {
    /// CPU time of all its tasks, seconds; `None` if one has ended meanwhile.
    pub cpu_s: Option<f64>,
    /// The largest sum of its processes' resident memory, shared pages counted each time as `ps`
    /// does.
    pub rss_bytes: u64,
    /// The largest sum of its processes' proportional memory.
    pub pss_bytes: u64,
}

/// A run of a command with one tool against one MPM.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Side {
    /// The command's number.
    pub command: u32,
    /// The MPM.
    pub mpm: Mpm,
    /// Which time.
    pub repetition: u32,
    /// What the tool said.
    pub said: ToolSaid,
    /// What the server counted.
    pub served: Served,
    /// Why there was no server, in one line.
    pub not_started: Option<String>,
    /// What the server took, where it was watched.
    pub watched: Option<Watched>,
}

impl Side {
    /// By how many requests the tool claims more answers than the server logged requests; `None`
    /// if it gave no number. An answer without a logged request cannot be.
    #[must_use]
    pub fn surplus(&self) -> Option<u64> {
        Some(self.said.answered()?.saturating_sub(self.served.logged))
    }
}

/// A whole measurement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SideResults {
    /// Format of the file.
    pub format: u32,
    /// Version of the observer.
    pub observer_version: String,
    /// Kernel release.
    pub kernel: String,
    /// httpd's version.
    pub httpd: String,
    /// ab's version.
    pub ab: String,
    /// httpd's CPUs.
    pub server_cpus: Vec<usize>,
    /// The tools' CPUs.
    pub client_cpus: Vec<usize>,
    /// The runs in the order in which they were made.
    pub sides: Vec<Side>,
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;

    use loadgen::Outcome;

    use super::*;
    use crate::peers::AbReport;

    pub(in crate::peers::tutorial) fn side(said: ToolSaid, logged: u64) -> Side {
        Side {
            command: 2,
            mpm: Mpm::Event,
            repetition: 1,
            said,
            served: Served {
                logged,
                cut_off: 3,
                total_accesses: Some(logged),
                ..Served::default()
            },
            not_started: None,
            watched: None,
        }
    }

    pub(in crate::peers::tutorial) fn ab(complete: u64) -> ToolSaid {
        ToolSaid::Ab(AbSaid::Report(AbReport {
            complete,
            failed: 900,
            failures: Some([0, 0, 600, 300]),
            non_2xx: 0,
            seconds: 0.5,
            per_second: 10_000.0,
        }))
    }

    pub(in crate::peers::tutorial) fn loadgen(answered: u64) -> ToolSaid {
        let outcomes = BTreeMap::from([(Outcome::Ok, answered), (Outcome::StaleKeepAlive, 40)]);
        ToolSaid::Loadgen(LoadgenSaid {
            requests: answered,
            answered,
            failed: 0,
            stale_retries: 40,
            outcomes: outcomes.into(),
            seconds: 0.6,
            per_second: 8333.3,
            of_ab: Some(AbAccount {
                complete: 5000,
                failed: 40,
                failures: [0, 0, 40, 0],
                ended: None,
            }),
        })
    }

    #[test]
    fn what_was_never_logged_was_never_answered() {
        assert_eq!(side(ab(5000), 4400).surplus(), Some(600));
        assert_eq!(side(loadgen(5000), 5000).surplus(), Some(0));
        // Requests whose answer did not arrive are no surplus.
        assert_eq!(side(loadgen(4990), 5000).surplus(), Some(0));
        let ended = ToolSaid::Ab(AbSaid::Ended {
            completed: None,
            why: "apr_socket_recv: Connection refused (111)".into(),
        });
        assert_eq!(side(ended, 0).surplus(), None);
    }
}
