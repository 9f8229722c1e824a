//! Slow clients beside the load: how the load process is told of them, and what is recorded.

use std::time::Duration;

use loadgen::{
    Row, Target,
    hold::{self, Fate, HeldRow},
};
use serde::{Deserialize, Serialize};

use crate::{
    recording::{ClientRow, HeldOutcome},
    scenario::{Held, HeldKind},
};

/// How long the load waits for the first slow client to come into its state.
pub(super) const FIRST_PATIENCE: Duration = Duration::from_secs(10);
/// How long it then waits for the others: a server whose slots are all held, or do not exist yet,
/// lets no other in.
const PATIENCE: Duration = Duration::from_secs(1);
/// What each of them may take of the client's own time.
const PATIENCE_EACH: Duration = Duration::from_millis(1);
/// Time between two bytes of half a head: less than httpd's `Timeout` may be.
const BYTE_EVERY: Duration = Duration::from_secs(1);

/// What the load process is to hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldOrder {
    /// What they ask for.
    pub url: String,
    /// How many there are, and what they do.
    pub held: Held,
}

impl HoldOrder {
    /// How long the load waits for them after the first, at most.
    pub(super) fn patience(&self) -> Duration {
        PATIENCE + PATIENCE_EACH * self.held.connections
    }

    /// The settings for the load generator.
    pub(super) fn config(&self) -> Result<hold::Config, loadgen::Error> {
        Ok(hold::Config {
            target: Target::parse(&self.url)?,
            connections: self.held.connections,
            kind: match self.held.kind {
                HeldKind::HalfHeader => hold::Kind::HalfHeader { every: BYTE_EVERY },
                HeldKind::IdleKeepAlive => hold::Kind::IdleKeepAlive,
                HeldKind::SlowReader => hold::Kind::SlowReader {
                    bytes_per_s: self.held.bytes_per_s,
                },
            },
        })
    }
}

/// Bytes of a slow client in a frame: its fate, then its row.
const ENTRY_BYTES: usize = 1 + Row::SIZE;

/// The payload of a frame.
pub(super) fn encode(held: &[HeldRow]) -> Vec<u8> {
    let mut payload = Vec::with_capacity(held.len() * ENTRY_BYTES);
    for entry in held {
        payload.push(entry.fate as u8);
        payload.extend_from_slice(&entry.row.encode());
    }
    payload
}

/// What [`encode`] wrote; `None` if it is something else.
pub(super) fn decode(payload: &[u8]) -> Option<Vec<HeldRow>> {
    let (entries, rest) = payload.as_chunks::<ENTRY_BYTES>();
    if !rest.is_empty() {
        return None;
    }
    let decoded = entries.iter().map(|entry| {
        let (fate, row) = entry.split_first()?;
        Some(HeldRow {
            fate: Fate::from_u8(*fate)?,
            row: Row::decode(row.try_into().ok()?).ok()?,
        })
    });
    decoded.collect()
}

/// What they come to.
pub(super) fn outcome(held: &[HeldRow]) -> HeldOutcome {
    let count = |is: fn(Fate) -> bool| held.iter().filter(|entry| is(entry.fate)).count() as u32;
    let ended = held.iter().filter(|entry| entry.fate == Fate::Ended);
    HeldOutcome {
        tried: held.len() as u32,
        held: count(|fate| fate != Fate::NotHeld),
        ended_by_server: count(|fate| fate == Fate::Ended),
        first_end_ns: ended.map(|entry| entry.row.end_ns).min().unwrap_or(0),
        bytes_read: held
            .iter()
            .map(|entry| u64::from(entry.row.header_bytes) + entry.row.body_bytes)
            .sum(),
    }
}

/// Its row among those of the client: no part of the measured load.
pub(super) fn client_row(entry: &HeldRow) -> ClientRow {
    ClientRow {
        outcome: entry.fate.name().to_owned(),
        ..ClientRow::new(&entry.row, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(fate: Fate, end_ns: u64) -> HeldRow {
        let mut bytes = [0; Row::SIZE];
        // The version of the layout.
        bytes[Row::SIZE - 1] = 2;
        let row = Row::decode(&bytes).unwrap();
        HeldRow {
            fate,
            row: Row {
                end_ns,
                header_bytes: 10,
                body_bytes: 100,
                ..row
            },
        }
    }

    #[test]
    fn slow_clients_survive_the_way_to_the_lab() {
        let held = Fate::ALL.map(|fate| entry(fate, 7));
        let payload = encode(&held);
        assert_eq!(decode(&payload).unwrap(), held);
        assert_eq!(decode(&payload[1..]), None);
        let mut unknown = payload;
        unknown[0] = 9;
        assert_eq!(decode(&unknown), None);
    }

    #[test]
    fn an_outcome_counts_those_held_and_the_first_that_the_server_ended() {
        let held = [
            entry(Fate::Held, 90),
            entry(Fate::Ended, 50),
            entry(Fate::Ended, 40),
            entry(Fate::NotHeld, 10),
        ];
        assert_eq!(
            outcome(&held),
            HeldOutcome {
                tried: 4,
                held: 3,
                ended_by_server: 2,
                first_end_ns: 40,
                bytes_read: 440,
            }
        );
        assert_eq!(outcome(&[]), HeldOutcome::default());
    }

    #[test]
    fn a_row_of_a_slow_client_is_not_measured_and_names_its_fate() {
        let row = client_row(&entry(Fate::Ended, 5));
        assert!(!row.measured && row.is_slow_client());
        assert_eq!(row.outcome, "held_ended");
        assert!(!ClientRow::new(&entry(Fate::Held, 5).row, true).is_slow_client());
    }
}
