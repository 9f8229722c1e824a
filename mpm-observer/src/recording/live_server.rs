//! What is known about a recording of a live server besides what every recording has.

use std::{net::SocketAddr, time::Duration};

use serde::{Deserialize, Serialize};

/// Why a recording of a live server ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// Its time was over.
    #[default]
    Duration,
    /// The user ended it.
    Interrupted,
    /// The server ended.
    ServerGone,
}

/// A server that ran when the recording began. Times are `CLOCK_MONOTONIC` of its host.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LiveServer {
    /// Name of its host.
    pub host: String,
    /// Its first process.
    pub pid: u32,
    /// Where it listens.
    pub listens: Vec<SocketAddr>,
    /// Its systemd unit, if its control group names one.
    pub unit: Option<String>,
    /// Its container, if its control group names one.
    pub container: Option<String>,
    /// How long it was to be recorded.
    pub asked: Duration,
    /// When the probes were attached and its tasks known: requests of connections that were
    /// established since then are recorded.
    pub attached_ns: u64,
    /// When the recording ended.
    pub ended_ns: u64,
    /// Why.
    pub ended: Ended,
    /// The client's side that was joined to it.
    pub client: Option<JoinedClient>,
}

/// A client's rows on the server's clock.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JoinedClient {
    /// Where the rows came from.
    pub source: String,
    /// The clock offset that was taken off their times.
    pub offset: ClockOffset,
}

/// By how much a client's clock is ahead of the server's.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClockOffset {
    /// The offset at moments of the client's clock, ascending; between two it is interpolated. At
    /// least one.
    pub at: Vec<OffsetAt>,
    /// Requests that it rests on.
    pub pairs: u64,
    /// Requests that contradict it, and were left out.
    pub contradicting: u64,
}

/// The offset at one moment: it lies from `offset_ns - bound_ns` to `offset_ns + bound_ns`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OffsetAt {
    /// The moment, on the client's clock.
    pub client_ns: u64,
    /// Client's clock minus server's clock.
    pub offset_ns: i64,
    /// How wrong that may be.
    pub bound_ns: u64,
}
