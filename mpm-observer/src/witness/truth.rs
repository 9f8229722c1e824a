//! What happened in a run, by its recording.

use serde::{Deserialize, Serialize};

use super::Incident;
use crate::{
    findings::{Occupancy, RunEvidence, Slots},
    recording::{FailureKind, TaskRow},
};

/// A wait that is counted; shorter ones come and go between two scrapes.
const LONG_WAIT_NS: u64 = 1_000_000_000;
/// How often the slots are looked at.
const STEP_NS: u64 = 100_000_000;
const SIGTERM: u8 = 15;

/// An incident as the recording has it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Truth {
    /// Its begin, `CLOCK_MONOTONIC`.
    pub from_ns: u64,
    /// Its end.
    pub until_ns: u64,
    /// How much of it there was: [`Incident::unit`].
    pub amount: f64,
}

/// The incidents of a run, each once.
#[must_use]
pub fn truths(run: &RunEvidence<'_>) -> Vec<(Incident, Truth)> {
    let slots = slots_over_time(run);
    let most = |of: fn(&Slots) -> u64| most_of(&slots, of);
    let truth = |incident| match incident {
        Incident::ClientsWait => waits(run),
        Incident::QueueOverflow => failures(run, FailureKind::AcceptQueueFull),
        Incident::IdleHoldSlots => most(|slots| slots.kept),
        Incident::SlowClientsHoldSlots => most(|slots| slots.half_head + slots.slow_reader),
        Incident::CallsRefused => failures(run, FailureKind::Call),
        Incident::ChildrenDied => deaths(run),
        Incident::KilledForMemory => failures(run, FailureKind::OomKill),
    };
    Incident::ALL
        .into_iter()
        .filter_map(|incident| truth(incident).map(|truth| (incident, truth)))
        .collect()
}

/// From the first to the last of some moments.
fn span(moments: impl Iterator<Item = u64> + Clone, amount: f64) -> Option<Truth> {
    Some(Truth {
        from_ns: moments.clone().min()?,
        until_ns: moments.max()?,
        amount,
    })
}

fn failures(run: &RunEvidence<'_>, kind: FailureKind) -> Option<Truth> {
    let times: Vec<u64> = run.failures(kind).map(|(_, row)| row.t_ns).collect();
    span(times.iter().copied(), times.len() as f64)
}

fn deaths(run: &RunEvidence<'_>) -> Option<Truth> {
    let died = |row: &&TaskRow| {
        let is_child = !row.is_thread && !row.is_first && !row.alive;
        let badly = row.exit_status != 0 || ![0, SIGTERM].contains(&row.exit_signal);
        is_child && badly && row.exited_ns < run.stop_ns()
    };
    let times: Vec<u64> = run
        .run
        .ends
        .iter()
        .filter(died)
        .map(|row| row.exited_ns)
        .collect();
    span(times.iter().copied(), times.len() as f64)
}

/// Waits from a connection's first bytes until a task read them; the amount is the longest,
/// seconds.
fn waits(run: &RunEvidence<'_>) -> Option<Truth> {
    let rows = run.run.kernel.iter();
    let waits: Vec<(u64, u64)> = rows
        .filter(|row| row.arrival_ns != 0)
        .map(|row| match row.pickup_ns {
            0 => (row.arrival_ns, row.end_ns.min(run.stop_ns())),
            pickup_ns => (row.arrival_ns, pickup_ns),
        })
        .filter(|(from_ns, until_ns)| until_ns.saturating_sub(*from_ns) >= LONG_WAIT_NS)
        .collect();
    let longest = waits
        .iter()
        .map(|(from_ns, until_ns)| until_ns - from_ns)
        .max()?;
    Some(Truth {
        // Only then is it a wait of a second.
        from_ns: waits.iter().map(|wait| wait.0).min()? + LONG_WAIT_NS,
        until_ns: waits.iter().map(|wait| wait.1).max()?,
        amount: longest as f64 / 1e9,
    })
}

/// The slots at moments over the load.
fn slots_over_time(run: &RunEvidence<'_>) -> Vec<(u64, Slots)> {
    let (begin_ns, end_ns) = run.run.load_ns();
    let occupancy = Occupancy::of(run);
    let mut slots = Vec::new();
    let mut at_ns = begin_ns;
    while at_ns < end_ns {
        slots.push((at_ns, occupancy.at(at_ns)));
        at_ns += STEP_NS;
    }
    slots
}

/// When some kind of slots there was, and the most at a moment.
fn most_of(slots: &[(u64, Slots)], of: fn(&Slots) -> u64) -> Option<Truth> {
    let held = slots.iter().filter(|(_, slots)| of(slots) > 0);
    let most = held.clone().map(|(_, slots)| of(slots)).max()?;
    span(held.map(|(at_ns, _)| *at_ns), most as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_count_from_the_first_that_is_held_to_the_last() {
        let slots = |kept| Slots {
            kept,
            work: 9,
            ..Slots::default()
        };
        let over_time = [
            (100, slots(0)),
            (200, slots(2)),
            (300, slots(7)),
            (400, slots(0)),
        ];
        let truth = most_of(&over_time, |slots| slots.kept).unwrap();
        assert_eq!(
            (truth.from_ns, truth.until_ns, truth.amount),
            (200, 300, 7.0)
        );
        assert_eq!(most_of(&over_time, |slots| slots.half_head), None);
    }
}
