//! The clients, and how each is told of a load.

use std::path::Path;

use loadgen::EngineKind;
use serde::{Deserialize, Serialize};

use super::Load;

/// A load generator, with what of it is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Client {
    /// The project's own.
    Loadgen {
        /// What moves its bytes; `None`: its own choice.
        engine: Option<EngineKind>,
        /// Whether it writes a row of each request.
        rows: bool,
    },
    /// ApacheBench.
    Ab,
    /// wrk.
    Wrk,
    /// oha.
    Oha,
    /// h2load with HTTP/1.1.
    H2load,
    /// hey.
    Hey,
}

impl Client {
    /// loadgen as it comes, with rows.
    pub const LOADGEN: Self = Self::Loadgen {
        engine: None,
        rows: true,
    };

    /// Its name in tables.
    #[must_use]
    pub fn name(self) -> String {
        match self {
            Self::Loadgen { engine, rows } => {
                let engine = engine.map_or_else(String::new, |kind| format!(" {}", kind.name()));
                let rows = if rows { "" } else { " without rows" };
                format!("loadgen{engine}{rows}")
            }
            Self::Ab => "ab".into(),
            Self::Wrk => "wrk".into(),
            Self::Oha => "oha".into(),
            Self::H2load => "h2load".into(),
            Self::Hey => "hey".into(),
        }
    }

    /// The arguments with which it puts a load on `url` for so many seconds; loadgen writes its
    /// rows to `rows_file`. Nothing draws on the terminal, no error ends the run.
    #[must_use]
    pub fn arguments(self, load: &Load, url: &str, seconds: u32, rows_file: &Path) -> Vec<String> {
        let connections = load.connections.to_string();
        let mut arguments: Vec<String> = Vec::new();
        let mut add = |words: &[&str]| arguments.extend(words.iter().map(|&word| word.to_owned()));
        let with_s = format!("{seconds}s");
        let seconds_text = seconds.to_string();
        let rate = load.rate_per_s.map(|rate| rate.to_string());
        // These two take the rate of a single connection.
        let rate_each = load
            .rate_per_s
            .map(|rate| (rate / load.connections.max(1)).to_string());
        match self {
            Self::Loadgen { engine, rows } => {
                add(&["-q", "-t", &seconds_text, "-c", &connections]);
                if load.keep_alive {
                    add(&["-k"]);
                }
                if let Some(engine) = engine {
                    add(&["--engine", engine.name()]);
                }
                if let Some(rate) = &rate {
                    add(&["--rate", rate]);
                }
                if rows {
                    add(&["--rows", &rows_file.to_string_lossy()]);
                }
            }
            Self::Ab => {
                // It keeps a record of each of -n requests; -t sets -n unless that comes later.
                let most = (u64::from(seconds) * 100_000).to_string();
                add(&["-q", "-r", "-t", &seconds_text, "-n", &most]);
                add(&["-c", &connections]);
                if load.keep_alive {
                    add(&["-k"]);
                }
            }
            Self::Wrk => {
                add(&["-t", "1", "-c", &connections, "-d", &with_s]);
                if !load.keep_alive {
                    add(&["-H", "Connection: close"]);
                }
            }
            Self::Oha => {
                add(&["--no-tui", "--output-format", "json", "-z", &with_s]);
                add(&["-c", &connections]);
                if !load.keep_alive {
                    add(&["--disable-keepalive"]);
                }
                if let Some(rate) = &rate {
                    add(&["-q", rate, "--latency-correction"]);
                }
            }
            Self::H2load => {
                add(&["--h1", "-t", "1", "-c", &connections, "-D", &seconds_text]);
                if let Some(rate) = &rate_each {
                    add(&["--rps", rate]);
                }
            }
            Self::Hey => {
                add(&["-z", &with_s, "-c", &connections]);
                if !load.keep_alive {
                    add(&["-disable-keepalive"]);
                }
                if let Some(rate) = &rate_each {
                    add(&["-q", rate]);
                }
            }
        }
        add(&[url]);
        arguments
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peers::Document;

    fn line(client: Client, load: &Load) -> String {
        client
            .arguments(load, "http://h/", 2, Path::new("/r"))
            .join(" ")
    }

    #[test]
    fn each_client_is_told_of_the_same_load() {
        let load = Load {
            connections: 64,
            keep_alive: false,
            document: Document::Small,
            rate_per_s: None,
        };
        assert_eq!(
            line(Client::LOADGEN, &load),
            "-q -t 2 -c 64 --rows /r http://h/"
        );
        assert_eq!(
            line(Client::Ab, &load),
            "-q -r -t 2 -n 200000 -c 64 http://h/"
        );
        assert_eq!(
            line(Client::Wrk, &load),
            "-t 1 -c 64 -d 2s -H Connection: close http://h/"
        );
        assert_eq!(
            line(Client::Oha, &load),
            "--no-tui --output-format json -z 2s -c 64 --disable-keepalive http://h/"
        );
    }

    #[test]
    fn a_rate_is_that_of_all_connections_together() {
        let load = Load {
            connections: 50,
            keep_alive: true,
            document: Document::Small,
            rate_per_s: Some(5000),
        };
        let engine = Client::Loadgen {
            engine: Some(EngineKind::Epoll),
            rows: false,
        };
        assert_eq!(
            line(engine, &load),
            "-q -t 2 -c 50 -k --engine epoll --rate 5000 http://h/"
        );
        assert!(line(Client::Oha, &load).contains("-q 5000 --latency-correction"));
        assert!(line(Client::H2load, &load).contains("-c 50 -D 2 --rps 100"));
        assert!(line(Client::Hey, &load).contains("-c 50 -q 100"));
    }
}
