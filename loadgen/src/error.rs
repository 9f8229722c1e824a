//! What can keep a run from starting. Failed requests are outcomes, not errors.

use std::io;

use crate::EngineKind;

/// Why a run did not take place; the text says what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The URL cannot be used.
    #[error("bad URL {url:?}: {reason}")]
    BadUrl {
        /// The URL as it was given.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The host name of the URL has no address.
    #[error("cannot resolve host {host:?}: {source}; check the name, or give an IP address")]
    Resolve {
        /// The host as it was given.
        host: String,
        /// The resolver's error.
        source: io::Error,
    },
    /// A setting makes no sense.
    #[error("{0}")]
    BadConfig(String),
    /// More connections were asked for than files may be open.
    #[error(
        "{concurrency} connections need {needed} open files, but the limit of this process is \
         {soft} (hard limit {hard}): lower the concurrency, or raise the limit with \
         'ulimit -n {needed}' (above the hard limit: as root, or nofile in \
         /etc/security/limits.conf, or LimitNOFILE= of the service)"
    )]
    TooFewFiles {
        /// Connections asked for.
        concurrency: u32,
        /// Files that must be open at once.
        needed: u64,
        /// The soft limit in force.
        soft: u64,
        /// The hard limit.
        hard: u64,
    },
    /// More connections were asked for than there are local ports for one remote address.
    #[error(
        "{connections} connections to one address need as many local ports, but {sources} source \
         address(es) with the ports {first} to {last} give {ports}: lower the concurrency, give \
         {needed} source addresses with --source, or widen net.ipv4.ip_local_port_range"
    )]
    TooFewPorts {
        /// Connections asked for.
        connections: u32,
        /// Ports that there are.
        ports: u64,
        /// First of the range.
        first: u16,
        /// Last of the range.
        last: u16,
        /// Source addresses, at least one.
        sources: u64,
        /// Source addresses that would be enough.
        needed: u64,
    },
    /// The engine asked for cannot run on this machine.
    #[error("the engine {} cannot run here: {reason}; leave --engine out", engine.name())]
    EngineUnavailable {
        /// The engine asked for.
        engine: EngineKind,
        /// What it lacks.
        reason: &'static str,
    },
    /// A load thread could not be bound to its CPU.
    #[error(
        "cannot bind a load thread to CPU {cpu}: {reason}; see 'taskset -p $$' for the CPUs allowed"
    )]
    Pin {
        /// The CPU asked for.
        cpu: usize,
        /// The system's reason.
        reason: String,
    },
    /// The load threads were ready only after the time to begin.
    #[error(
        "the time to begin had passed {:.3} ms before the load threads were ready; is the machine \
         too busy?",
        *late_ns as f64 / 1e6
    )]
    BeginPassed {
        /// By so much.
        late_ns: u64,
    },
    /// A load thread could not be started.
    #[error("cannot start a load thread: {0}")]
    Thread(io::Error),
    /// The engine lost its ground: epoll or io_uring itself failed.
    #[error("the event loop failed: {0}")]
    EventLoop(io::Error),
}
