//! A server at one moment and over the window before it, as the screen and `--json` show it.
//!
//! Serialised, this is the document of `--once --json`. Names carry their units; shares are from 0
//! to 1.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf};

use serde::Serialize;

use super::{Finding, Spread};
use crate::{
    httpd::Role,
    live::{ConnectionsLook, SlotState},
    scenario::Mpm,
};

/// Version of the document. It rises when a field changes its meaning or goes away.
pub const VERSION: u32 = 1;

/// Everything that is shown.
#[derive(Clone, Debug, Serialize)]
pub struct Picture {
    /// [`VERSION`].
    pub version: u32,
    /// The server; `None` before there was one.
    pub server: Option<ServerPart>,
    /// The time that all figures but those of a moment are about.
    pub window: WindowPart,
    /// The slots.
    pub slots: SlotsPart,
    /// The accept queue.
    pub accept_queue: QueuePart,
    /// The connections at the moment.
    pub connections: ConnectionsPart,
    /// The requests.
    pub requests: RequestsPart,
    /// The tasks at the moment that are slots.
    pub tasks: Vec<TaskPart>,
    /// What went wrong in the last minute, the worst first.
    pub findings: Vec<Finding>,
    /// What watching took and lost.
    pub observer: ObserverPart,
}

/// A server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ServerPart {
    /// Its first process.
    pub pid: u32,
    /// Its MPM.
    pub mpm: Mpm,
    /// Its program.
    pub binary: PathBuf,
    /// Where it listens.
    pub listens: Vec<SocketAddr>,
    /// The ports at which it is watched.
    pub watched_ports: Vec<u16>,
    /// For how long it has ended; `None`: it runs.
    pub ended_for_ns: Option<u64>,
}

/// A stretch of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct WindowPart {
    /// Its begin, by `CLOCK_MONOTONIC`.
    pub from_monotonic_ns: u64,
    /// Its length.
    pub length_ns: u64,
    /// The time of what is known from looks alone, such as the requests picked up, and of its rates:
    /// from a look to the last one. 0 before the second look.
    pub covered_ns: u64,
    /// Looks at the server in it, or 1 where it is shorter than the time between two.
    pub looks: u64,
}

/// Slots.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct SlotsPart {
    /// How many there are at the moment.
    pub total: u32,
    /// … that are not idle.
    pub busy: u32,
    /// At the moment, by [`SlotState::name`].
    pub by_state: BTreeMap<&'static str, u32>,
    /// The mean over the looks of the window, by the same.
    pub mean_by_state: BTreeMap<&'static str, f64>,
}

impl SlotsPart {
    /// How many are in a state at the moment.
    #[must_use]
    pub fn now(&self, state: SlotState) -> u32 {
        self.by_state.get(state.name()).copied().unwrap_or(0)
    }

    /// How many are busy, on average over the window.
    #[must_use]
    pub fn mean_busy(&self) -> f64 {
        let busy = self
            .mean_by_state
            .iter()
            .filter(|(name, _)| **name != SlotState::Idle.name());
        busy.map(|(_, mean)| mean).sum()
    }
}

/// The accept queues: each port has one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct QueuePart {
    /// The port of the one that is fullest at the moment; `None`: nobody listens.
    pub port: Option<u16>,
    /// Connections in that one.
    pub length: Option<u32>,
    /// How many it takes; `None`: not known.
    pub limit: Option<u32>,
    /// All of them, by port.
    pub queues: Vec<PortPart>,
    /// The most in one of them at a look of the window.
    pub longest: u32,
    /// How long connections were in one that were accepted and whose first request ended in the
    /// window.
    pub wait: Spread,
    /// Listeners' overflows in the window, all sockets of the server's network namespace.
    pub overflows_of_namespace: u64,
}

/// The accept queue of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PortPart {
    /// The port.
    pub port: u16,
    /// Connections in it.
    pub length: u32,
    /// How many it takes; `None`: not known.
    pub limit: Option<u32>,
}

/// Connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ConnectionsPart {
    /// Followed at the moment.
    pub open: u32,
    /// … whose request is under way.
    pub serving: u32,
    /// … with bytes that no task has read.
    pub unread: u32,
    /// How long the first of these has waited.
    pub unread_for_ns: u64,
    /// … that no task has accepted.
    pub unaccepted: u32,
    /// … that are answered and held by no slot.
    pub parked: u32,
    /// … that are answered and hold a slot.
    pub holding: u32,
    /// … that are answered, and whose slot writes the log or closes.
    pub finishing: u32,
    /// Established in the window.
    pub established: u64,
}

impl ConnectionsPart {
    pub(super) fn of(look: &ConnectionsLook, at_ns: u64, established: u64) -> Self {
        Self {
            open: look.open,
            serving: look.serving,
            unread: look.unread,
            unread_for_ns: match look.unread_since_ns {
                0 => 0,
                since_ns => at_ns.saturating_sub(since_ns),
            },
            unaccepted: look.unaccepted,
            parked: look.parked,
            holding: look.holding,
            finishing: look.finishing,
            established,
        }
    }
}

/// Requests of the window.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct RequestsPart {
    /// That a task began to read in [`WindowPart::covered_ns`].
    pub picked_up: u64,
    /// The same in a second of that time.
    pub picked_up_per_s: f64,
    /// Whose end the kernel told, answered. A request ends with the next one of its connection, or
    /// with the connection.
    pub answered: u64,
    /// … not answered.
    pub unanswered: u64,
    /// Answered ones that are in no duration: a record before them was lost, their arrival was not
    /// seen, or their connection stood before the watch began.
    pub not_whole: u64,
    /// Bytes read of those that ended.
    pub bytes_in: u64,
    /// Bytes sent of them.
    pub bytes_out: u64,
    /// The server's part: from the arrival of a request to the last send of its answer.
    pub latency: Spread,
    /// Where that time went, in the order of a request's way.
    pub phases: Vec<PhasePart>,
    /// What the server's tasks did, for each request picked up; `None` without any.
    pub each: Option<EachPart>,
}

/// A phase.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct PhasePart {
    /// Its name (docs/phases.md).
    pub phase: &'static str,
    /// Its share of the time of all requests.
    pub share: f64,
    /// Its time, all requests together.
    pub sum_ns: u64,
    /// Its time in each request, also those that did not have it.
    pub spread: Spread,
}

/// Work of all tasks of the server, by the number of requests picked up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct EachPart {
    /// Switches because a task blocked.
    pub voluntary_switches: f64,
    /// Switches away from a task that could have run on.
    pub involuntary_switches: f64,
    /// Page faults.
    pub faults: f64,
    /// Time on a CPU.
    pub on_cpu_ns: f64,
    /// Time that tasks could have run and waited for a CPU.
    pub run_queue_ns: f64,
}

/// A task.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TaskPart {
    /// Thread id.
    pub tid: u32,
    /// Process id.
    pub pid: u32,
    /// Its role.
    pub role: Role,
    /// What it does.
    pub state: SlotState,
    /// What it is blocked in; `None`: it is not.
    pub blocked_in: Option<&'static str>,
    /// How long it has been in that.
    pub since_ns: u64,
    /// The client that it serves or served last on a connection that stands.
    pub client: Option<SocketAddr>,
    /// How long it has served the request; `None`: it serves none.
    pub request_for_ns: Option<u64>,
    /// Its share of a CPU between the last two looks.
    pub cpu_share: f32,
    /// Requests that it picked up since it is followed.
    pub requests: u64,
}

/// The observer itself, in the window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct ObserverPart {
    /// CPU time of its process.
    pub cpu_ns: u64,
    /// The same as a share of one CPU.
    pub cpu_share: f64,
    /// Run time of its programs in the kernel; `None`: the kernel does not count it.
    pub programs_ns: Option<u64>,
    /// Requests that the programs told.
    pub records: u64,
    /// What was lost: records, connections and tasks that were not followed.
    pub lost: u64,
    /// Runs of its programs that the kernel skipped.
    pub skipped_runs: u64,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use crate::top::made_up;

    fn names(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(fields) => {
                for (name, field) in fields {
                    found.insert(name.clone());
                    names(field, found);
                }
            }
            Value::Array(entries) => entries.iter().for_each(|entry| names(entry, found)),
            _ => {}
        }
    }

    #[test]
    fn every_field_is_documented() {
        let picture = made_up::whole_model().picture(11_000_000_000);
        let mut found = BTreeSet::new();
        names(&serde_json::to_value(&picture).unwrap(), &mut found);
        for name in ["voluntary_switches", "evidence", "client", "share"] {
            assert!(found.contains(name), "the made-up picture has no {name}");
        }
        let page = include_str!("../../../docs/top.md");
        for name in found {
            assert!(
                page.contains(&format!("`{name}`")),
                "{name} is not in docs/top.md"
            );
        }
    }
}
