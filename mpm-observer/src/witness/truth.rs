//! What happened in a run, by its recording.

use serde::{Deserialize, Serialize};

use super::Incident;
use crate::{
    findings::{Occupancy, RunEvidence, Slots},
    recording::{FailureKind, TaskRow},
};

/// A wait that is counted; shorter ones come and go between two scrapes.
const LONG_WAIT_NS: u64 = 1_000_000_000;
/// Slots that are held for less come and go as well.
const LONG_HELD_NS: u64 = 1_000_000_000;
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
    /// How much of it there was: seconds of the longest wait, the most slots at a moment, or a
    /// count.
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

/// When some kind of slots there was for a second or longer, and the most at a moment of that.
fn most_of(slots: &[(u64, Slots)], of: fn(&Slots) -> u64) -> Option<Truth> {
    let stretches = slots.chunk_by(|(_, one), (_, next)| (of(one) > 0) == (of(next) > 0));
    let long = stretches.filter(|stretch| {
        let length_ns = stretch[stretch.len() - 1].0 - stretch[0].0;
        of(&stretch[0].1) > 0 && length_ns >= LONG_HELD_NS
    });
    let held = long.flatten();
    let most = held.clone().map(|(_, slots)| of(slots)).max()?;
    span(held.map(|(at_ns, _)| *at_ns), most as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_count_that_are_held_for_a_second_or_longer() {
        const MS_NS: u64 = 1_000_000;
        let slots = |(at_ms, kept): (u64, u64)| {
            let slots = Slots {
                kept,
                work: 9,
                ..Slots::default()
            };
            (at_ms * MS_NS, slots)
        };
        let over_time = [
            (100, 50),
            (900, 0),
            (1000, 2),
            (1500, 7),
            (2000, 3),
            (2100, 0),
            (2200, 60),
        ]
        .map(slots);
        let truth = most_of(&over_time, |slots| slots.kept).unwrap();
        assert_eq!(
            (truth.from_ns, truth.until_ns, truth.amount),
            (1000 * MS_NS, 2000 * MS_NS, 7.0)
        );
        assert_eq!(most_of(&over_time, |slots| slots.half_head), None);
        assert_eq!(most_of(&over_time[..2], |slots| slots.kept), None);
    }
}
