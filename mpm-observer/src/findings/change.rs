//! Changes of a run that may mend what went wrong in it.

use serde::{Deserialize, Serialize};

use crate::scenario::RunPlan;

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
                server.start_servers = server.start_servers.min(server.server_limit);
            }
            Self::ListenBacklog(connections) => server.listen_backlog = *connections,
            Self::Mmap(on) => server.mmap = *on,
            Self::Sendfile(on) => server.sendfile = *on,
            Self::Limit { key, value } => {
                // A recording may come from a version with further limits.
                let _ = plan.limits.set(key, *value);
            }
        }
    }
}
