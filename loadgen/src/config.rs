//! What a run is to do.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Condition, Error, Pace, Target};

/// Longest path of a unix socket (unix(7)).
const UNIX_PATH_MAX_BYTES: usize = 107;

/// The highest rate that is accepted: requests that could not be sent are counted one by one.
const RATE_MAX: f64 = 1e7;

/// The settings of a run. [`Config::new`] fills in the defaults.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// What is asked for; each of them as often as its weight says, by chance. They must
    /// be of one scheme and one address.
    pub targets: Vec<WeightedTarget>,
    /// Connect to this socket of the file system instead of the targets' address.
    pub unix_socket: Option<PathBuf>,
    /// Connect to this proxy and ask it for the whole URL. For plain HTTP only.
    pub proxy: Option<SocketAddr>,
    /// Size of the kernel's send buffer and receive buffer of each connection; `None`: the
    /// system's choice.
    pub socket_buffer_bytes: Option<u32>,
    /// Local addresses to connect from, in turn; empty: the system's choice.
    pub sources: Vec<IpAddr>,
    /// What makes requests start.
    pub pace: Pace,
    /// Exactly so many requests get an outcome; `None` for as many as fit into `duration`.
    /// Those of the warm-up are not counted.
    pub requests: Option<u64>,
    /// The run ends after this time at the latest, counted from the end of the warm-up;
    /// what is under way then is [`Aborted`](crate::Outcome::Aborted).
    pub duration: Option<Duration>,
    /// Requests that are due in this time are left out of the figures.
    pub warm_up: Duration,
    /// Requests under way at once, which is connections at once. With fewer `requests`,
    /// so many.
    pub concurrency: u32,
    /// Send further requests on the same connection, or ask with `Connection: close`
    /// for a connection per request.
    pub keep_alive: bool,
    /// Close a connection after so many requests; `None`: only when the server does.
    pub requests_per_connection: Option<NonZeroU32>,
    /// The longest time for one attempt at a request, connecting included.
    pub timeout: Duration,
    /// The longest time for connecting; `None`: no other than `timeout`.
    pub connect_timeout: Option<Duration>,
    /// Send a request again, once, when its keep-alive connection turns out to be stale.
    pub retry_stale: bool,
    /// Load threads; never more than `concurrency` are started.
    pub threads: usize,
    /// Thread i is bound to `cpus[i % cpus.len()]`; empty: not bound.
    pub cpus: Vec<usize>,
    /// Further headers. A Host, User-Agent, Accept or Connection here replaces
    /// the one that is sent otherwise.
    pub headers: Vec<(String, String)>,
    /// The request method.
    pub method: String,
    /// The request body; its Content-Length is sent when it is not empty.
    pub body: Vec<u8>,
    /// What the bodies of the answers are held against; `None`: they are dropped unseen.
    pub verify_body: Option<BodyCheck>,
    /// What moves the bytes; `None`: what suits the case and the kernel best.
    pub engine: Option<EngineKind>,
    /// Speak HTTP/2 instead of HTTP/1.1.
    pub http2: bool,
    /// Accept any certificate of the server.
    pub insecure: bool,
    /// The run ends early when one of these holds for what has come so far; only those on
    /// counts and shares of outcomes are known then.
    #[serde(default)]
    pub stop_if: Vec<Condition>,
    /// PEM file with the certificates of the issuers that are trusted; `None`: the system's.
    pub ca_file: Option<PathBuf>,
    /// PEM file with the certificate that the client shows, its chain and its key.
    pub client_certificate: Option<PathBuf>,
    /// What chance begins with: the same seed draws the same URLs and distances.
    pub seed: u64,
}

/// Something to ask for, and how often.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WeightedTarget {
    /// What to ask for.
    pub target: Target,
    /// How often, in relation to the other weights.
    pub weight: u32,
}

/// What the body of an answer is held against. Answers from status 400 on are not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BodyCheck {
    /// Length and hash of the thread's first answer from the same URL.
    First,
    /// This SHA-256.
    Sha256([u8; 32]),
}

/// What moves the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EngineKind {
    /// Edge-triggered epoll; works everywhere.
    Epoll,
    /// io_uring; needs Linux 6.1.
    IoUring,
    /// The hyper library, for TLS and HTTP/2.
    Hyper,
}

impl EngineKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Epoll, Self::IoUring, Self::Hyper];

    /// Its name, as the command line and JSON have it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Epoll => "epoll",
            Self::IoUring => "io-uring",
            Self::Hyper => "hyper",
        }
    }
}

impl Config {
    /// One GET request at a time on one thread, a connection each, until stopped;
    /// 30 s timeout.
    #[must_use]
    pub fn new(target: Target) -> Self {
        Self {
            targets: vec![WeightedTarget { target, weight: 1 }],
            unix_socket: None,
            proxy: None,
            socket_buffer_bytes: None,
            sources: Vec::new(),
            pace: Pace::CLOSED,
            requests: None,
            duration: None,
            warm_up: Duration::ZERO,
            concurrency: 1,
            keep_alive: false,
            requests_per_connection: None,
            timeout: Duration::from_secs(30),
            connect_timeout: None,
            retry_stale: true,
            threads: 1,
            cpus: Vec::new(),
            headers: Vec::new(),
            method: "GET".to_owned(),
            body: Vec::new(),
            verify_body: None,
            engine: None,
            http2: false,
            insecure: false,
            stop_if: Vec::new(),
            ca_file: None,
            client_certificate: None,
            seed: 1,
        }
    }

    /// The first of the targets: what the figures name.
    ///
    /// # Panics
    /// Without any target; [`Config::check`] refuses that.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.targets[0].target
    }

    /// What is sent for the first of the targets: head and body.
    #[must_use]
    pub fn request_bytes(&self) -> Vec<u8> {
        crate::request::serialise(self, self.target())
    }

    /// Finds settings that make no sense.
    ///
    /// # Errors
    /// [`Error::BadConfig`] says which and what would be right.
    pub fn check(&self) -> Result<(), Error> {
        let bad = |text: String| Err(Error::BadConfig(text));
        if self.concurrency == 0 {
            return bad("the concurrency must be at least 1".into());
        }
        if self.requests == Some(0) {
            return bad("the number of requests must be at least 1".into());
        }
        if self.threads == 0 || self.threads > usize::from(u16::MAX) {
            return bad("the number of threads must be from 1 to 65535".into());
        }
        if self.verify_body.is_some() && self.method == "HEAD" {
            return bad("answers to HEAD have no body to verify".into());
        }
        if self.timeout.is_zero() {
            return bad("the timeout must be longer than 0".into());
        }
        if !is_token(&self.method) {
            return bad(format!("{:?} is not a request method", self.method));
        }
        for (name, value) in &self.headers {
            if !is_token(name) {
                return bad(format!("{name:?} is not a header name"));
            }
            if value.bytes().any(|b| matches!(b, b'\r' | b'\n' | 0)) {
                return bad(format!("the value of header {name} contains a line end"));
            }
            let name = name.to_ascii_lowercase();
            if matches!(name.as_str(), "content-length" | "transfer-encoding") {
                return bad(format!("header {name} follows from the body, leave it out"));
            }
        }
        if self.connect_timeout.is_some_and(|limit| limit.is_zero()) {
            return bad("the time for connecting must be longer than 0".into());
        }
        if let Some(condition) = self.stop_if.iter().find(|condition| !condition.is_live()) {
            return bad(format!(
                "{condition} is not known before the end: a run can be stopped by counts and \
                 shares of failed requests or of an outcome"
            ));
        }
        if self
            .connect_timeout
            .is_some_and(|limit| limit > self.timeout)
        {
            return bad("the time for connecting must not be longer than the whole timeout".into());
        }
        self.check_pace()?;
        self.check_targets()?;
        self.check_way()?;
        self.check_engine()
    }

    fn check_pace(&self) -> Result<(), Error> {
        let bad = |text: String| Err(Error::BadConfig(text));
        match &self.pace {
            Pace::Open { rate, .. } if rate.max() > RATE_MAX => bad(format!(
                "{} requests per second are more than any machine sends; at most {RATE_MAX}",
                rate.max()
            )),
            Pace::Closed {
                connections: Some(stages),
                ..
            } => {
                if stages.max().round() > f64::from(self.concurrency) {
                    return bad(format!(
                        "the stages have up to {} connections, but the concurrency is {}",
                        stages.max(),
                        self.concurrency
                    ));
                }
                if stages.last().round() < 1.0 && self.duration.is_none() {
                    return bad(
                        "the stages end without a connection, so the run might never end: \
                         give it a duration"
                            .into(),
                    );
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn check_targets(&self) -> Result<(), Error> {
        let bad = |text: String| Err(Error::BadConfig(text));
        let Some(first) = self.targets.first() else {
            return bad("there must be a URL".into());
        };
        if self.targets.len() > usize::from(u16::MAX) {
            return bad("there may be at most 65535 URLs".into());
        }
        if self.targets.iter().all(|weighted| weighted.weight == 0) {
            return bad("at least one URL must have a weight above 0".into());
        }
        for WeightedTarget { target, .. } in &self.targets {
            if (target.addr, target.tls) != (first.target.addr, first.target.tls) {
                return bad(format!(
                    "all URLs must be of one scheme and lead to one address, but {} does not lead \
                     to {}",
                    target.url(),
                    first.target.url()
                ));
            }
            if target.tls && target.host != first.target.host {
                return bad(format!(
                    "https URLs must be of one host, whose certificate the server shows, but {} \
                     is not of {}",
                    target.url(),
                    first.target.host
                ));
            }
            // Path and host of a hand-made Target go into the request line as they are.
            let spaced = |text: &str| text.bytes().any(|b| b <= b' ' || b == 0x7f);
            if !target.path.starts_with('/') || spaced(&target.path) {
                return bad("the path must begin with / and contain no space or line end".into());
            }
            if target.host.is_empty() || spaced(&target.host) {
                return bad("the host must not be empty nor contain a space or line end".into());
            }
        }
        Ok(())
    }

    /// From where to where connections lead.
    fn check_way(&self) -> Result<(), Error> {
        let bad = |text: String| Err(Error::BadConfig(text));
        let first = &self.targets[0].target;
        if self.proxy.is_some() && (first.tls || self.http2) {
            return bad("https and HTTP/2 through a proxy are not supported".into());
        }
        let remote = self.proxy.unwrap_or(first.addr);
        if let Some(path) = &self.unix_socket {
            if path.as_os_str().len() > UNIX_PATH_MAX_BYTES {
                return bad(format!(
                    "the path of a unix socket has at most {UNIX_PATH_MAX_BYTES} bytes, but {} has {}",
                    path.display(),
                    path.as_os_str().len()
                ));
            }
            if !self.sources.is_empty() {
                return bad("a unix socket has no source address: leave one of the two out".into());
            }
        }
        if let Some(source) = self
            .sources
            .iter()
            .find(|source| source.is_ipv4() != remote.is_ipv4())
        {
            return bad(format!(
                "{source} cannot be the source of a connection to {remote}"
            ));
        }
        Ok(())
    }

    fn check_engine(&self) -> Result<(), Error> {
        let tls = self.targets[0].target.tls;
        match self.engine {
            Some(EngineKind::Epoll | EngineKind::IoUring) if tls || self.http2 => {
                Err(Error::BadConfig(
                    "https and HTTP/2 need the engine hyper: leave --engine out".into(),
                ))
            }
            _ => Ok(()),
        }
    }

    /// Requests that may be under way at once: never more than there are to send.
    pub(crate) fn slots(&self) -> u32 {
        match self.requests {
            Some(requests) if self.warm_up.is_zero() => self
                .concurrency
                .min(u32::try_from(requests).unwrap_or(u32::MAX)),
            _ => self.concurrency,
        }
    }
}

fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        Config::new(Target::parse("http://127.0.0.1/").expect("good"))
    }

    #[test]
    fn the_defaults_pass() {
        config().check().expect("good");
    }

    #[test]
    fn settings_without_sense_are_named() {
        let refused = |change: fn(&mut Config), word: &str| {
            let mut config = config();
            change(&mut config);
            let text = config.check().expect_err("must be refused").to_string();
            assert!(text.contains(word), "{text}");
        };
        refused(|c| c.concurrency = 0, "concurrency");
        refused(|c| c.requests = Some(0), "number of requests");
        refused(|c| c.threads = 0, "threads");
        refused(|c| c.timeout = Duration::ZERO, "timeout");
        refused(|c| c.method = "G T".into(), "method");
        refused(
            |c| c.headers = vec![("A b".into(), "c".into())],
            "header name",
        );
        refused(
            |c| c.headers = vec![("A".into(), "b\r\nC: d".into())],
            "line end",
        );
        refused(
            |c| c.headers = vec![("Content-Length".into(), "5".into())],
            "follows from the body",
        );
        refused(
            |c| c.connect_timeout = Some(Duration::from_secs(31)),
            "connecting",
        );
        refused(
            |c| {
                c.proxy = Some(c.target().addr);
                c.targets[0].target.tls = true;
            },
            "proxy",
        );
        let open = |rate| Pace::Open {
            arrivals: crate::Arrivals::Constant,
            rate: crate::Profile::constant(rate),
        };
        let mut fast = config();
        fast.pace = open(2e7);
        assert!(fast.check().is_err());
        fast.pace = open(1e7);
        fast.check().expect("the highest rate");
        refused(|c| c.targets[0].target.path = "/a b".into(), "path");
        refused(
            |c| c.unix_socket = Some("x".repeat(108).into()),
            "at most 107 bytes",
        );
        refused(
            |c| {
                c.unix_socket = Some("/run/x".into());
                c.sources = vec!["127.0.0.2".parse().expect("address")];
            },
            "no source address",
        );
        refused(
            |c| {
                c.method = "HEAD".into();
                c.verify_body = Some(BodyCheck::First);
            },
            "no body",
        );
        refused(|c| c.targets[0].target.path = String::new(), "path");
        refused(|c| c.targets[0].target.host = "a\r\nb".into(), "host");
    }
}
