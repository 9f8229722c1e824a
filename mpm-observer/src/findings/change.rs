//! Changes of a run that may mend what went wrong in it.

use serde::{Deserialize, Serialize};

use crate::scenario::{RunPlan, Start};

/// One change of how httpd is set up or limited.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// A variable of httpd's environment, such as `MALLOC_ARENA_MAX`.
    Environment {
        /// Its name.
        name: String,
        /// Its value.
        value: String,
    },
    /// A further line of httpd.conf, such as `ThreadStackSize 262144`.
    Directive(String),
    /// The number of slots (MaxRequestWorkers), with ServerLimit to match.
    MaxRequestWorkers(u32),
    /// ListenBacklog.
    ListenBacklog(u32),
    /// StartServers, the processes that are there at first.
    StartServers(u32),
    /// KeepAliveTimeout, in seconds.
    KeepAliveTimeout(u32),
    /// Whether files are mapped into memory to be sent (EnableMMAP).
    Mmap(bool),
    /// Whether files are sent by the kernel (EnableSendfile).
    Sendfile(bool),
    /// A limit, by its key in the scenario file, with its new value; `None`: no limit.
    Limit {
        /// Such as `address_space_kb`.
        key: String,
        /// In the key's unit.
        value: Option<u64>,
    },
}

impl Change {
    /// Makes the change in the plan of a run.
    pub fn apply(&self, plan: &mut RunPlan) {
        let server = &mut plan.server;
        match self {
            Self::Environment { name, value } => {
                server.environment.insert(name.clone(), value.clone());
            }
            Self::Directive(line) => server.extra_directives.push(line.clone()),
            Self::MaxRequestWorkers(slots) => {
                server.max_request_workers = *slots;
                server.server_limit = server.children();
                if server.start == Start::Warm {
                    // As the scenario's own plan has it: all slots, and none ended for idleness.
                    server.start_servers = server.server_limit;
                    server.max_spare = slots.saturating_add(server.threads_per_child);
                } else {
                    server.start_servers = server.start_servers.min(server.server_limit);
                }
            }
            Self::ListenBacklog(connections) => server.listen_backlog = *connections,
            Self::StartServers(processes) => server.start_servers = *processes,
            Self::KeepAliveTimeout(seconds) => server.keep_alive_timeout_s = *seconds,
            Self::Mmap(on) => server.mmap = *on,
            Self::Sendfile(on) => server.sendfile = *on,
            Self::Limit { key, value } => {
                // A recording may come from a version with further limits.
                let _ = plan.limits.set(key, *value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{Mpm, Size, builtin};

    fn plan(mpm: Mpm) -> RunPlan {
        let scenario = builtin()
            .into_iter()
            .find(|scenario| scenario.name == "high-load")
            .unwrap();
        scenario.plan(mpm, Size::Quick)
    }

    #[test]
    fn more_slots_of_a_warm_start_are_all_started() {
        let mut plan = plan(Mpm::Event);
        Change::MaxRequestWorkers(150).apply(&mut plan);
        let server = &plan.server;
        assert_eq!(server.children(), 6);
        assert_eq!((server.server_limit, server.start_servers), (6, 6));
        assert_eq!(server.max_spare, 175);
    }

    #[test]
    fn fewer_slots_of_a_cold_start_begin_with_no_more_processes_than_there_may_be() {
        let mut plan = plan(Mpm::Prefork);
        plan.server.start = Start::Cold;
        plan.server.start_servers = 5;
        Change::MaxRequestWorkers(3).apply(&mut plan);
        assert_eq!(
            (plan.server.server_limit, plan.server.start_servers),
            (3, 3)
        );
    }

    #[test]
    fn a_change_names_what_it_changes() {
        let mut plan = plan(Mpm::Worker);
        for change in [
            Change::Environment {
                name: "MALLOC_ARENA_MAX".into(),
                value: "1".into(),
            },
            Change::Directive("ThreadStackSize 262144".into()),
            Change::Limit {
                key: "open_files".into(),
                value: Some(64),
            },
            Change::Limit {
                key: "a_key_of_a_later_version".into(),
                value: Some(1),
            },
            Change::KeepAliveTimeout(1),
        ] {
            change.apply(&mut plan);
        }
        assert_eq!(plan.server.environment["MALLOC_ARENA_MAX"], "1");
        assert_eq!(plan.server.extra_directives, ["ThreadStackSize 262144"]);
        assert_eq!(plan.limits.open_files, Some(64));
        assert_eq!(plan.server.keep_alive_timeout_s, 1);
    }
}
