//! What a run is to do.

use std::time::Duration;

use crate::{Error, Target};

/// The settings of a run. [`Config::new`] fills in the defaults.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the requests go.
    pub target: Target,
    /// Exactly so many requests get an outcome; `None` for as many as fit into `duration`.
    pub requests: Option<u64>,
    /// The run ends after this time at the latest; what is under way then is
    /// [`Aborted`](crate::Outcome::Aborted).
    pub duration: Option<Duration>,
    /// Requests under way at once. With fewer `requests`, so many.
    pub concurrency: u32,
    /// Send further requests on the same connection, or ask with `Connection: close`
    /// for a connection per request.
    pub keep_alive: bool,
    /// The longest time for one attempt at a request, connecting included.
    pub timeout: Duration,
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
}

impl Config {
    /// One GET request at a time on one thread, a connection each, until stopped;
    /// 30 s timeout.
    #[must_use]
    pub fn new(target: Target) -> Self {
        Self {
            target,
            requests: None,
            duration: None,
            concurrency: 1,
            keep_alive: false,
            timeout: Duration::from_secs(30),
            threads: 1,
            cpus: Vec::new(),
            headers: Vec::new(),
            method: "GET".to_owned(),
            body: Vec::new(),
        }
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
        // The path and host of a hand-made Target go into the request line as they are.
        let spaced = |text: &str| text.bytes().any(|b| b <= b' ' || b == 0x7f);
        if !self.target.path.starts_with('/') || spaced(&self.target.path) {
            return bad("the path must begin with / and contain no space or line end".into());
        }
        if self.target.host.is_empty() || spaced(&self.target.host) {
            return bad("the host must not be empty nor contain a space or line end".into());
        }
        Ok(())
    }

    /// Requests that may be under way at once: never more than there are to send.
    pub(crate) fn slots(&self) -> u32 {
        match self.requests {
            Some(requests) => self
                .concurrency
                .min(u32::try_from(requests).unwrap_or(u32::MAX)),
            None => self.concurrency,
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
        refused(|c| c.target.path = "/a b".into(), "path");
        refused(|c| c.target.path = String::new(), "path");
        refused(|c| c.target.host = "a\r\nb".into(), "host");
    }
}
