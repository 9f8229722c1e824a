//! What can go wrong, and which metrics could show it.

use serde::{Deserialize, Serialize};

use crate::wording::{children, plural};

/// A kind of trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Incident {
    /// Clients waited for a second and longer until a task read their requests.
    ClientsWait,
    /// Handshakes found the accept queue full.
    QueueOverflow,
    /// Idle keep-alive connections held slots.
    IdleHoldSlots,
    /// Clients who send or read slowly held slots.
    SlowClientsHoldSlots,
    /// System calls were refused a resource.
    CallsRefused,
    /// Child processes died of a signal or with an error.
    ChildrenDied,
    /// The kernel killed for want of memory.
    KilledForMemory,
}

/// What an amount counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Measure {
    SecondsOfWaiting,
    Packets,
    Slots,
    Calls,
    Children,
    Kills,
    BusyWorkers,
}

impl Measure {
    /// An amount of it.
    pub(super) fn in_words(self, amount: f64) -> String {
        let count = amount.round().max(0.0) as u64;
        match self {
            Self::SecondsOfWaiting => format!("{amount:.1} s of waiting"),
            Self::Packets => format!("{} turned away", plural(count, "packet")),
            Self::Slots => plural(count, "slot"),
            Self::Calls => plural(count, "call"),
            Self::Children => children(u32::try_from(count).unwrap_or(u32::MAX)),
            Self::Kills => plural(count, "kill"),
            Self::BusyWorkers => plural(count, "busy worker"),
        }
    }
}

/// What is asked of Prometheus, in PromQL. `$run` stands for the matchers of the run, `$begin` for
/// its begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Question {
    /// Above 0 where the trouble shows.
    pub(super) shows: &'static str,
    /// How much of it.
    pub(super) how_much: &'static str,
    /// What that counts.
    pub(super) measure: Measure,
}

impl Incident {
    /// All kinds.
    pub const ALL: [Self; 7] = [
        Self::ClientsWait,
        Self::QueueOverflow,
        Self::IdleHoldSlots,
        Self::SlowClientsHoldSlots,
        Self::CallsRefused,
        Self::ChildrenDied,
        Self::KilledForMemory,
    ];

    /// In words.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::ClientsWait => "clients wait for a slot",
            Self::QueueOverflow => "the accept queue overflows",
            Self::IdleHoldSlots => "idle clients hold slots",
            Self::SlowClientsHoldSlots => "slow clients hold slots",
            Self::CallsRefused => "calls are refused a resource",
            Self::ChildrenDied => "children die",
            Self::KilledForMemory => "the kernel kills for memory",
        }
    }

    /// What the amounts of truth and of the kernel's metrics count.
    pub(super) const fn measure(self) -> Measure {
        match self {
            Self::ClientsWait => Measure::SecondsOfWaiting,
            Self::QueueOverflow => Measure::Packets,
            Self::IdleHoldSlots | Self::SlowClientsHoldSlots => Measure::Slots,
            Self::CallsRefused => Measure::Calls,
            Self::ChildrenDied => Measure::Children,
            Self::KilledForMemory => Measure::Kills,
        }
    }

    /// Whether the amount goes up and down; else it is counted.
    pub(super) const fn is_level(self) -> bool {
        matches!(
            self,
            Self::ClientsWait | Self::IdleHoldSlots | Self::SlowClientsHoldSlots
        )
    }

    /// The metrics of mod_status that could show it; `None`: it has none.
    pub(super) const fn of_mod_status(self) -> Option<Question> {
        match self {
            // What it can say is that no slot is idle.
            Self::ClientsWait => Some(Question {
                shows: r#"apache_workers{$run, state="idle"} == bool 0"#,
                how_much: r#"apache_workers{$run, state="busy"}"#,
                measure: Measure::BusyWorkers,
            }),
            Self::IdleHoldSlots => Some(Question {
                shows: r#"apache_scoreboard{$run, state="keepalive"}"#,
                how_much: r#"apache_scoreboard{$run, state="keepalive"}"#,
                measure: Measure::Slots,
            }),
            // A slow reader's slot is in the state of one that works.
            Self::SlowClientsHoldSlots => Some(Question {
                shows: r#"apache_scoreboard{$run, state="read"}"#,
                how_much: r#"apache_scoreboard{$run, state="read"}"#,
                measure: Measure::Slots,
            }),
            Self::QueueOverflow
            | Self::CallsRefused
            | Self::ChildrenDied
            | Self::KilledForMemory => None,
        }
    }

    /// The kernel's metrics that should show it.
    pub(super) const fn of_the_kernel(self) -> Question {
        let (shows, how_much) = match self {
            Self::ClientsWait => (
                "httpd_connections_unread_oldest_seconds{$run} >= bool 1",
                "httpd_connections_unread_oldest_seconds{$run}",
            ),
            Self::QueueOverflow => of_both(
                "(sum(httpd_accept_queue_full_total{$run}) or vector(0)) - (sum(httpd_accept_queue_full_total{$run} @ $begin) or vector(0))",
            ),
            Self::IdleHoldSlots => of_both(r#"httpd_slots{$run, state="keep_alive"}"#),
            Self::SlowClientsHoldSlots => {
                of_both(r#"sum(httpd_slots{$run, state=~"reading_client|sending"})"#)
            }
            Self::CallsRefused => of_both(
                "(sum(httpd_failed_calls_total{$run}) or vector(0)) - (sum(httpd_failed_calls_total{$run} @ $begin) or vector(0))",
            ),
            Self::ChildrenDied => of_both(
                r#"(sum(httpd_children_ended_total{$run, how!="ok", signal!="SIGTERM"}) or vector(0)) - (sum(httpd_children_ended_total{$run, how!="ok", signal!="SIGTERM"} @ $begin) or vector(0))"#,
            ),
            Self::KilledForMemory => of_both(
                "(sum(httpd_oom_kills_total{$run}) or vector(0)) - (sum(httpd_oom_kills_total{$run} @ $begin) or vector(0))",
            ),
        };
        Question {
            shows,
            how_much,
            measure: self.measure(),
        }
    }
}

const fn of_both(expression: &'static str) -> (&'static str, &'static str) {
    (expression, expression)
}
