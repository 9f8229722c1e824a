//! What is compared with what: one table.

use loadgen::EngineKind;
use serde::{Deserialize, Serialize};

use super::Client;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Document {
    /// A file of 1000 bytes.
    Small,
    /// The same; the server notes when it was asked for.
    Timed,
    /// The tutorial's 10 MB.
    Large,
}

impl Document {
    /// Its size.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        match self {
            Self::Small | Self::Timed => 1000,
            Self::Large => 10 * 1024 * 1024,
        }
    }
}

/// What is put on the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Load {
    /// Connections at once.
    pub connections: u32,
    /// Whether they are kept for further requests.
    pub keep_alive: bool,
    /// What is asked for.
    pub document: Document,
    /// Requests per second, where they come by a schedule and not as fast as they can.
    pub rate_per_s: Option<u32>,
}

/// In what a client's CPU time is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cost {
    /// Microseconds for each request that the server counted.
    PerRequest,
    /// Seconds for each 10^9 bytes that the server sent.
    PerGigabyte,
}

/// What loadgen is compared with in a case.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Peer {
    /// The other client.
    pub client: Client,
    /// What loadgen's cost divided by the other's may be at most; `None`: shown for scale.
    pub at_most: Option<f64>,
}

/// A comparison.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Case {
    /// Its name on the command line.
    pub name: &'static str,
    /// Its name in tables.
    pub title: &'static str,
    /// The load.
    pub load: Load,
    /// What is counted.
    pub cost: Cost,
    /// loadgen, as it is used here.
    pub ours: Client,
    /// What it is compared with.
    pub peers: &'static [Peer],
    /// What its cost may be at most, in the unit of `cost`.
    pub cost_at_most: Option<f64>,
    /// How many times as many pairs as elsewhere: for small differences.
    pub pairs_times: u32,
}

/// What a peer may not be dearer than, or only for scale.
const fn peer(client: Client, at_most: f64) -> Peer {
    Peer {
        client,
        at_most: Some(at_most),
    }
}

const fn for_scale(client: Client) -> Peer {
    Peer {
        client,
        at_most: None,
    }
}

const fn small(connections: u32, keep_alive: bool) -> Load {
    Load {
        connections,
        keep_alive,
        document: Document::Small,
        rate_per_s: None,
    }
}

const fn with_engine(engine: EngineKind) -> Client {
    Client::Loadgen {
        engine: Some(engine),
        rows: true,
    }
}

/// All of them, with the goals of loadgen.
pub const CASES: &[Case] = &[
    Case {
        name: "keep-alive-64",
        title: "keep-alive, 64",
        load: small(64, true),
        cost: Cost::PerRequest,
        ours: Client::LOADGEN,
        peers: &[
            peer(Client::Wrk, 0.80),
            for_scale(Client::Ab),
            for_scale(Client::Oha),
        ],
        cost_at_most: None,
        pairs_times: 1,
    },
    Case {
        name: "keep-alive-1000",
        title: "keep-alive, 1000",
        load: small(1000, true),
        cost: Cost::PerRequest,
        ours: Client::LOADGEN,
        peers: &[
            peer(Client::Wrk, 0.80),
            for_scale(Client::Ab),
            for_scale(Client::Oha),
        ],
        cost_at_most: None,
        pairs_times: 1,
    },
    Case {
        name: "connections-io-uring",
        title: "a connection per request, 64",
        load: small(64, false),
        cost: Cost::PerRequest,
        ours: with_engine(EngineKind::IoUring),
        peers: &[
            peer(Client::Wrk, 0.70),
            for_scale(Client::Ab),
            for_scale(Client::Oha),
        ],
        cost_at_most: None,
        pairs_times: 1,
    },
    Case {
        name: "connections-epoll",
        title: "a connection per request, 64",
        load: small(64, false),
        cost: Cost::PerRequest,
        ours: with_engine(EngineKind::Epoll),
        peers: &[
            peer(Client::Wrk, 0.90),
            for_scale(Client::Ab),
            for_scale(Client::Oha),
        ],
        cost_at_most: None,
        pairs_times: 1,
    },
    Case {
        name: "large-file",
        title: "10 MB file, keep-alive, 8",
        load: Load {
            // What lies in the sockets' buffers at the end was sent and not read: the fewer
            // connections, the less.
            connections: 8,
            keep_alive: true,
            document: Document::Large,
            rate_per_s: None,
        },
        cost: Cost::PerGigabyte,
        ours: Client::LOADGEN,
        peers: &[
            peer(Client::Wrk, 0.30),
            for_scale(Client::Ab),
            for_scale(Client::Oha),
        ],
        cost_at_most: Some(0.20),
        pairs_times: 1,
    },
    Case {
        name: "rate",
        title: "5000/s, keep-alive, 50",
        load: Load {
            connections: 50,
            keep_alive: true,
            document: Document::Timed,
            rate_per_s: Some(5000),
        },
        cost: Cost::PerRequest,
        ours: Client::LOADGEN,
        peers: &[
            peer(Client::Oha, 1.0),
            peer(Client::H2load, 1.0),
            peer(Client::Hey, 1.0),
        ],
        cost_at_most: None,
        pairs_times: 1,
    },
    Case {
        name: "rows",
        title: "rows on, keep-alive, 64",
        load: small(64, true),
        cost: Cost::PerRequest,
        ours: Client::LOADGEN,
        peers: &[peer(
            Client::Loadgen {
                engine: None,
                rows: false,
            },
            1.02,
        )],
        cost_at_most: None,
        pairs_times: 3,
    },
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_differ_and_loadgen_is_on_our_side() {
        let names: BTreeSet<&str> = CASES.iter().map(|case| case.name).collect();
        assert_eq!(names.len(), CASES.len());
        for case in CASES {
            assert!(
                matches!(case.ours, Client::Loadgen { rows: true, .. }),
                "{}",
                case.name
            );
            assert!(
                case.peers.iter().any(|peer| peer.at_most.is_some()),
                "{} has no goal",
                case.name
            );
        }
    }

    #[test]
    fn a_rate_is_a_whole_one_for_each_connection() {
        for case in CASES {
            if let Some(rate) = case.load.rate_per_s {
                assert_eq!(rate % case.load.connections, 0, "{}", case.name);
                assert_eq!(case.load.document, Document::Timed, "{}", case.name);
            }
        }
    }
}
