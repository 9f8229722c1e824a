//! The plain numbers of one run, with every default filled in.

use std::collections::BTreeMap;

use loadgen::Arrivals;
use serde::{Deserialize, Serialize};

use super::file::{Cpus, Held, Scenario, Size, Start, StartAs, ThreadedServer};
use super::limits::Limits;
use super::mpm::Mpm;

/// Everything about one run that follows from the scenario. It goes into the run's manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunPlan {
    /// The scenario's name.
    pub scenario: String,
    /// The MPM to run.
    pub mpm: Mpm,
    /// The size.
    pub size: Size,
    /// How often a run like this is made.
    pub repetitions: u32,
    /// What the client does.
    pub load: LoadPlan,
    /// How httpd is set up.
    pub server: ServerPlan,
    /// The limits that httpd is started under.
    pub limits: Limits,
}

/// What the client does in one run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadPlan {
    /// Requests in all.
    pub requests: u64,
    /// Connections at once.
    pub concurrency: u32,
    /// Whether connections are kept for further requests.
    pub keep_alive: bool,
    /// How long one request may take, in seconds.
    pub timeout_s: u32,
    /// By which schedule requests are due; `None`: a closed loop.
    #[serde(default)]
    pub open: Option<OpenLoop>,
    /// Requests of this time at the begin are in no figure, in seconds.
    #[serde(default)]
    pub warm_up_s: u32,
    /// The size of the file, in bytes.
    pub body_bytes: u64,
    /// When the load is cut off, in seconds.
    pub max_duration_s: u32,
    /// Slow clients beside it.
    pub held: Option<Held>,
}

/// Requests that are due by a schedule, whatever the server does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenLoop {
    /// How many each second.
    pub requests_per_s: u32,
    /// How they are distributed in time.
    pub arrivals: Arrivals,
}

/// How httpd is set up in one run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerPlan {
    /// Whether all slots are started first.
    pub start: Start,
    /// Which CPUs httpd gets.
    pub cpus: Cpus,
    /// Who starts it.
    pub start_as: StartAs,
    /// Variables of its environment.
    pub environment: BTreeMap<String, String>,
    /// Slots: connections that can be served at once.
    pub max_request_workers: u32,
    /// Threads that serve in one process; 1 for prefork.
    pub threads_per_child: u32,
    /// Processes there may ever be.
    pub server_limit: u32,
    /// Processes started at first.
    pub start_servers: u32,
    /// Idle slots to have at least.
    pub min_spare: u32,
    /// Idle slots to have at most.
    pub max_spare: u32,
    /// How long an idle connection is kept, in seconds.
    pub keep_alive_timeout_s: u32,
    /// How long httpd waits for the peer, in seconds.
    pub timeout_s: u32,
    /// Connections that may wait to be accepted.
    pub listen_backlog: u32,
    /// Whether files are mapped into memory to be sent.
    pub mmap: bool,
    /// Whether files are sent by the kernel.
    pub sendfile: bool,
    /// Further lines for the end of httpd.conf.
    pub extra_directives: Vec<String>,
}

impl ServerPlan {
    /// The number of processes that all the slots need.
    pub fn children(&self) -> u32 {
        self.max_request_workers
            .div_ceil(self.threads_per_child.max(1))
    }
}

/// How the slots become processes: what differs between prefork and the threaded MPMs.
struct Pool {
    threads_per_child: u32,
    server_limit: Option<u32>,
    start_servers: Option<u32>,
    min_spare: Option<u32>,
    max_spare: Option<u32>,
    /// httpd's compiled-in `DEFAULT_START_DAEMON`.
    default_start: u32,
    /// httpd's compiled-in `DEFAULT_MIN_FREE_DAEMON`, in slots.
    default_min_spare: u32,
    /// httpd's compiled-in `DEFAULT_MAX_FREE_DAEMON`, in slots.
    default_max_spare: u32,
}

impl Scenario {
    /// The numbers of one run. For an MPM outside `server.mpms` they follow from the defaults.
    pub fn plan(&self, mpm: Mpm, size: Size) -> RunPlan {
        let numbers = self.numbers(size);
        RunPlan {
            scenario: self.name.clone(),
            mpm,
            size,
            repetitions: numbers.repetitions,
            load: LoadPlan {
                requests: numbers.requests,
                concurrency: numbers.concurrency,
                keep_alive: self.load.keep_alive,
                timeout_s: self.load.timeout_s,
                open: numbers.requests_per_s.map(|requests_per_s| OpenLoop {
                    requests_per_s,
                    arrivals: self.load.arrivals,
                }),
                warm_up_s: self.load.warm_up_s,
                body_bytes: self.load.body_bytes,
                max_duration_s: numbers.max_duration_s,
                held: self.load.held.clone(),
            },
            server: self.server_plan(mpm, size),
            limits: self.limits.clone(),
        }
    }

    /// The number of slots and the key that says so: the MPM's own section goes before the size,
    /// the size before `server.max_request_workers`.
    pub(super) fn slots_with_key(&self, mpm: Mpm, size: Size) -> (u32, String) {
        let own = match mpm {
            Mpm::Prefork => self
                .server
                .prefork
                .as_ref()
                .and_then(|s| s.max_request_workers),
            Mpm::Worker => self
                .server
                .worker
                .as_ref()
                .and_then(|s| s.max_request_workers),
            Mpm::Event => self
                .server
                .event
                .as_ref()
                .and_then(|s| s.max_request_workers),
        };
        if let Some(slots) = own {
            return (slots, format!("server.{mpm}.max_request_workers"));
        }
        if let Some(slots) = self.numbers(size).max_request_workers {
            return (slots, format!("size.{size}.max_request_workers"));
        }
        (
            self.server.max_request_workers,
            "server.max_request_workers".to_owned(),
        )
    }

    fn server_plan(&self, mpm: Mpm, size: Size) -> ServerPlan {
        let server = &self.server;
        let pool = self.pool(mpm);
        let (slots, _) = self.slots_with_key(mpm, size);
        let threads = pool.threads_per_child.max(1);
        let children = slots.div_ceil(threads);
        let (start_servers, min_spare, max_spare) = match server.start {
            // One spare slot is the least that can be asked for: more would make httpd report
            // "server reached MaxRequestWorkers" as soon as that many are busy. No process is
            // ever ended for idleness, as there can be no more idle slots than the maximum.
            Start::Warm => (children, 1, slots.saturating_add(threads)),
            Start::Cold => (
                pool.start_servers
                    .unwrap_or(pool.default_start)
                    .min(children),
                pool.min_spare.unwrap_or(pool.default_min_spare),
                pool.max_spare.unwrap_or(pool.default_max_spare),
            ),
        };
        ServerPlan {
            start: server.start,
            cpus: server.cpus,
            start_as: server.start_as,
            environment: server.environment.clone(),
            max_request_workers: slots,
            threads_per_child: threads,
            server_limit: pool.server_limit.unwrap_or(children),
            start_servers,
            min_spare,
            max_spare,
            keep_alive_timeout_s: server.keep_alive_timeout_s,
            timeout_s: server.timeout_s,
            listen_backlog: server.listen_backlog,
            mmap: server.mmap,
            sendfile: server.sendfile,
            extra_directives: server.extra_directives.clone(),
        }
    }

    fn pool(&self, mpm: Mpm) -> Pool {
        match mpm {
            Mpm::Prefork => {
                let own = self.server.prefork.clone().unwrap_or_default();
                Pool {
                    threads_per_child: 1,
                    server_limit: own.server_limit,
                    start_servers: own.start_servers,
                    min_spare: own.min_spare_servers,
                    max_spare: own.max_spare_servers,
                    default_start: 5,
                    default_min_spare: 5,
                    default_max_spare: 10,
                }
            }
            Mpm::Worker => threaded_pool(self.server.worker.as_ref()),
            Mpm::Event => threaded_pool(self.server.event.as_ref()),
        }
    }
}

fn threaded_pool(own: Option<&ThreadedServer>) -> Pool {
    let own = own.cloned().unwrap_or_default();
    let threads = own.threads_per_child.unwrap_or(25);
    Pool {
        threads_per_child: threads,
        server_limit: own.server_limit,
        start_servers: own.start_servers,
        min_spare: own.min_spare_threads,
        max_spare: own.max_spare_threads,
        default_start: 3,
        default_min_spare: threads.saturating_mul(3),
        default_max_spare: threads.saturating_mul(10),
    }
}
