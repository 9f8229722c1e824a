//! What is known about a recording of a live server besides what every recording has.

use std::{net::SocketAddr, time::Duration};

use serde::{Deserialize, Serialize};

use crate::kernel::Ports;

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
    /// The ports that were watched, ascending.
    pub ports: Vec<u16>,
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

impl LiveServer {
    /// The ports that were watched.
    #[must_use]
    pub fn watched(&self) -> Ports {
        Ports::from(&*self.ports)
    }
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

impl ClockOffset {
    /// The offset at a moment of the client's clock, ns.
    #[must_use]
    pub fn at(&self, client_ns: u64) -> i64 {
        let after = self
            .at
            .partition_point(|point| point.client_ns <= client_ns);
        let (Some(before), Some(after)) = (self.at.get(after.wrapping_sub(1)), self.at.get(after))
        else {
            // Before the first point, or after the last one.
            let nearest = self.at.get(after).or(self.at.last());
            return nearest.map_or(0, |point| point.offset_ns);
        };
        let span = (after.client_ns - before.client_ns).max(1);
        let passed = i128::from(client_ns - before.client_ns);
        let change = i128::from(after.offset_ns) - i128::from(before.offset_ns);
        let offset = i128::from(before.offset_ns) + change * passed / i128::from(span);
        i64::try_from(offset).unwrap_or(before.offset_ns)
    }

    /// A moment of the client's clock on the server's; 0, which means never, stays 0.
    #[must_use]
    pub fn on_server(&self, client_ns: u64) -> u64 {
        match client_ns {
            0 => 0,
            client_ns => client_ns.saturating_add_signed(self.at(client_ns).saturating_neg()),
        }
    }

    /// How wrong it may be at most, at any of its moments, ns.
    #[must_use]
    pub fn bound_ns(&self) -> u64 {
        self.at
            .iter()
            .map(|point| point.bound_ns)
            .max()
            .unwrap_or(0)
    }

    /// By how much it changed from the first moment to the last, ns.
    #[must_use]
    pub fn drift_ns(&self) -> i64 {
        match (self.at.first(), self.at.last()) {
            (Some(first), Some(last)) => last.offset_ns.saturating_sub(first.offset_ns),
            _ => 0,
        }
    }

    /// In words: which clock is ahead, by how much, and how sure that is.
    #[must_use]
    pub fn in_words(&self) -> String {
        let first = self.at.first().copied().unwrap_or_default();
        let which = match first.offset_ns {
            i64::MIN..=-1 => "behind",
            _ => "ahead of",
        };
        // What is within the bound may be none.
        let drift_ns = self.drift_ns();
        let drift = match drift_ns.unsigned_abs() > self.bound_ns() {
            true => format!(
                ", changing by {} to the end",
                micros(drift_ns.unsigned_abs(), drift_ns < 0)
            ),
            false => String::new(),
        };
        format!(
            "the client's clock is {:.6} s {which} the server's{drift}, to \u{b1} {}",
            first.offset_ns.unsigned_abs() as f64 / 1e9,
            micros(self.bound_ns(), false)
        )
    }
}

fn micros(ns: u64, is_negative: bool) -> String {
    let sign = if is_negative { "\u{2212}" } else { "" };
    format!("{sign}{:.1} \u{b5}s", ns as f64 / 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offset(at: &[(u64, i64, u64)]) -> ClockOffset {
        let point = |&(client_ns, offset_ns, bound_ns): &(u64, i64, u64)| OffsetAt {
            client_ns,
            offset_ns,
            bound_ns,
        };
        ClockOffset {
            at: at.iter().map(point).collect(),
            pairs: 1,
            contradicting: 0,
        }
    }

    #[test]
    fn between_two_moments_the_offset_goes_over_evenly_and_beyond_them_it_stays() {
        let two = offset(&[(1000, 100, 5), (2000, 300, 9)]);
        let found: Vec<i64> = [0, 1000, 1500, 2000, 9000].map(|at| two.at(at)).into();
        assert_eq!(found, [100, 100, 200, 300, 300]);
        assert_eq!((two.bound_ns(), two.drift_ns()), (9, 200));
        assert_eq!(two.on_server(1500), 1300);
        assert_eq!(two.on_server(0), 0);
        assert_eq!(ClockOffset::default().at(7), 0);
    }

    #[test]
    fn it_is_said_which_clock_is_ahead_and_how_sure_that_is() {
        assert_eq!(
            offset(&[(1, 5_000_000_000, 40_200)]).in_words(),
            "the client's clock is 5.000000 s ahead of the server's, to \u{b1} 40.2 \u{b5}s"
        );
        assert_eq!(
            offset(&[(1, -2_500_000, 3000), (9, -2_510_000, 4000)]).in_words(),
            "the client's clock is 0.002500 s behind the server's, changing by \
             \u{2212}10.0 \u{b5}s to the end, to \u{b1} 4.0 \u{b5}s"
        );
    }
}
