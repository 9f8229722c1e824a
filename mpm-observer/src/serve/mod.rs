//! The serve stage: the metrics of a live server over HTTP, for Prometheus.
//!
//! ```text
//!            feed's thread             threads of the service
//! records, looks ──> Feeder ──> Shared <── limits, mod_status (every 5 s)
//!                                 │
//!                                 └──> HTTP (TLS, passwords) ──> a scraper
//! ```
//!
//! A scrape waits for nothing but the lock on the counts: mod_status is asked beside it, so one
//! that does not answer because all slots are busy holds nothing up.

mod access;
mod connections;
mod feeder;
mod http;
mod limits;
mod own_connections;
mod shared;
mod status;
mod status_url;
mod tls;
mod web_config;

use std::{
    io,
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    sync::Arc,
    thread::{self, JoinHandle},
};

use thiserror::Error;

pub use feeder::Feeder;
pub use status_url::{StatusUrl, StatusUrlError};
pub use web_config::WebConfigError;

use access::Guard;
use shared::Shared;
use status::Elsewhere;

use loadgen::Trust;

use crate::{
    kernel::Ports,
    metrics::{StatusOutcome, StatusPage},
    otlp::SpanCounts,
};

/// How the metrics are served.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The web configuration file of Prometheus' exporters: TLS, passwords, headers.
    pub web_config: Option<PathBuf>,
    /// Where mod_status is asked.
    pub status: StatusSource,
    /// The ports that are watched; none: all of the server's.
    pub ports: Ports,
}

/// Where mod_status is asked.
#[derive(Debug, Clone)]
pub enum StatusSource {
    /// At `/server-status?auto` of the watched server's own address, from within its network
    /// namespace.
    Server,
    /// There; over https, of a server that is trusted.
    Url(StatusUrl, Trust),
    /// Nowhere.
    Never,
}

/// Why the metrics cannot be served.
#[derive(Debug, Error)]
pub enum ServeError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}; choose another address with --listen")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The web configuration file is wrong, or names something that is.
    #[error(transparent)]
    WebConfig(#[from] WebConfigError),
    /// mod_status cannot be asked over TLS of somebody with this name.
    #[error("--status-url: {0:?} cannot be the name of a server")]
    StatusName(String),
    /// The certificates of those who are trusted to be mod_status cannot be used.
    #[error("--status-url: {0}")]
    StatusTls(#[source] loadgen::Error),
    /// The system refused something.
    #[error("{what}: {source}")]
    System {
        /// What failed.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
}

/// Listens: what a port below 1024 takes of privileges is needed for nothing else.
///
/// # Errors
/// When the address cannot be listened on.
pub fn listen(address: SocketAddr) -> Result<TcpListener, ServeError> {
    let refused = |source| ServeError::Listen { address, source };
    let listener = TcpListener::bind(address).map_err(refused)?;
    listener.set_nonblocking(true).map_err(refused)?;
    Ok(listener)
}

/// The running service. Dropping it ends it.
#[derive(Debug)]
pub struct Service {
    shared: Arc<Shared>,
    address: SocketAddr,
    ports: Ports,
    has_tls: bool,
    has_authentication: bool,
    threads: Vec<JoinHandle<()>>,
}

impl Service {
    /// Listens and answers from now on, at first without a server.
    ///
    /// # Errors
    /// When the web configuration cannot be used or the address not be listened on.
    pub fn start(options: ServeOptions) -> Result<Self, ServeError> {
        let listener = listen(options.listen)?;
        Self::start_on(listener, options)
    }

    /// The same with what listens already.
    ///
    /// # Errors
    /// When the web configuration cannot be used.
    pub fn start_on(listener: TcpListener, options: ServeOptions) -> Result<Self, ServeError> {
        let guard = Guard::new(options.web_config)?;
        let access = guard.access();
        let address = listener.local_addr().map_err(|source| ServeError::Listen {
            address: options.listen,
            source,
        })?;
        let shared = Arc::new(Shared::default());
        let mut service = Self {
            shared,
            address,
            ports: options.ports,
            has_tls: access.tls.is_some(),
            has_authentication: access.authenticates(),
            threads: Vec::new(),
        };
        service.spawn("metrics", |shared| http::run(listener, guard, shared))?;
        service.spawn("limits", |shared| {
            limits::run(&shared);
            Ok(())
        })?;
        let ports = options.ports;
        match options.status {
            StatusSource::Never => {}
            StatusSource::Server => {
                service.spawn("mod_status", move |shared| {
                    status::run(None, ports, &shared)
                })?;
            }
            StatusSource::Url(url, trust) => {
                let elsewhere = Elsewhere::new(url, &trust)?;
                service.spawn("mod_status", move |shared| {
                    status::run(Some(&elsewhere), ports, &shared)
                })?;
            }
        }
        Ok(service)
    }

    fn spawn(
        &mut self,
        name: &'static str,
        run: impl FnOnce(Arc<Shared>) -> io::Result<()> + Send + 'static,
    ) -> Result<(), ServeError> {
        let shared = Arc::clone(&self.shared);
        let body = move || {
            if let Err(error) = run(shared) {
                log::error!("the thread {name} has ended: {error}");
            }
        };
        let thread = thread::Builder::new().name(name.into()).spawn(body);
        self.threads
            .push(thread.map_err(|source| ServeError::System {
                what: "a thread cannot be started",
                source,
            })?);
        Ok(())
    }

    /// Takes what the feed tells.
    #[must_use]
    pub fn feeder(&self) -> Feeder {
        Feeder::new(Arc::clone(&self.shared), self.ports)
    }

    /// Takes an answer of mod_status that somebody else has asked for; see [`StatusSource::Never`].
    pub fn status(&self, outcome: StatusOutcome, page: Option<StatusPage>, took_ns: u64) {
        self.shared.metrics().status(outcome, page, took_ns);
    }

    /// An export of spans runs beside, which counts what becomes of them.
    pub fn spans(&self, counts: Arc<SpanCounts>) {
        self.shared.set_spans(counts);
    }

    /// It is this scenario of a lab, and which repetition, or none any more.
    pub fn lab_run(&self, run: Option<(&str, u32)>) {
        self.shared.metrics().lab_run(run);
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where the metrics are.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.has_tls { "https" } else { "http" };
        format!("{scheme}://{}/metrics", self.address)
    }

    /// What to warn of: that others can read the metrics, or the way.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        if self.address.ip().is_loopback() {
            return None;
        }
        let lacks = match (self.has_tls, self.has_authentication) {
            (true, true) => return None,
            (true, false) => "authentication",
            (false, true) => "TLS",
            (false, false) => "TLS and authentication",
        };
        Some(format!(
            "{} can be reached from other machines, without {lacks}; see --web.config.file",
            self.address
        ))
    }

    /// The figures of now, as a scrape would have them.
    #[must_use]
    pub fn exposition(&self) -> crate::metrics::Exposition {
        self.shared.exposition()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.shared.stop();
        for thread in self.threads.drain(..) {
            // A thread that panicked has told so.
            let _ = thread.join();
        }
    }
}
