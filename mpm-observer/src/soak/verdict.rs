//! What a soak showed.

use std::{collections::BTreeSet, fmt};

use super::{Sample, Seen};
use crate::scenario::Mpm;

/// How much the resident memory may grow from the second quarter of the time to the last one. In
/// the first half minute it settles: attaching the probes to the next server leaves the loader's
/// memory in other places than before, up to 5 MB. A leak grows with the time, so that the longer
/// the soak the smaller is the leak that shows.
pub const MOST_GROWTH_BYTES: u64 = 8 << 20;

/// What the programs hold after it calmed down, and what /proc shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entries {
    /// Tasks in the programs' table, by thread id.
    pub tasks_held: BTreeSet<u32>,
    /// Tasks of the server.
    pub tasks_alive: BTreeSet<u32>,
    /// Connections in the programs' table.
    pub connections_held: u32,
    /// Connections that stand.
    pub connections_standing: u32,
}

impl Entries {
    /// Whether nothing is held that is gone, and nothing is missing.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.tasks_held == self.tasks_alive && self.connections_held == self.connections_standing
    }
}

/// The result.
#[derive(Clone, Debug)]
pub struct Soaked {
    /// The MPM.
    pub mpm: Mpm,
    /// How long it went on.
    pub seconds: f64,
    /// Requests that clients had answered.
    pub answered: u64,
    /// Connections that clients made.
    pub connections: u64,
    /// Connections that failed, most of them while the server was started anew.
    pub failed: u64,
    /// Graceful restarts.
    pub graceful: u32,
    /// Restarts with a new first process.
    pub restarts: u32,
    /// What the live stage saw.
    pub seen: Seen,
    /// After it calmed down.
    pub entries: Entries,
}

impl Soaked {
    /// Whether nothing grows, nothing was lost, and every scrape was answered.
    #[must_use]
    pub fn is_flat(&self) -> bool {
        let is_memory_flat = is_memory_flat(&self.seen.samples);
        let is_scraped = self.seen.scrapes > 0 && self.seen.failed_scrapes == 0;
        is_memory_flat && is_scraped && self.entries.is_exact() && self.seen.lost == 0
    }
}

/// Whether the memory did not grow any more.
pub(super) fn is_memory_flat(samples: &[Sample]) -> bool {
    resident_bytes(samples).is_some_and(|(early, late)| late <= early + MOST_GROWTH_BYTES)
}

/// Medians of the resident memory in the second quarter of the time and in the last one; `None`
/// with too few looks.
fn resident_bytes(samples: &[Sample]) -> Option<(u64, u64)> {
    let quarter = samples.len() / 4;
    if quarter == 0 {
        return None;
    }
    let early = median(&samples[quarter..2 * quarter])?;
    let late = median(&samples[samples.len() - quarter..])?;
    Some((early, late))
}

fn median(samples: &[Sample]) -> Option<u64> {
    let mut bytes: Vec<u64> = samples.iter().map(|sample| sample.resident_bytes).collect();
    bytes.sort_unstable();
    bytes.get(bytes.len() / 2).copied()
}

impl fmt::Display for Soaked {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let megabytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let most = |figure: fn(&Sample) -> u32| {
            let figures = self.seen.samples.iter().map(figure);
            figures.max().unwrap_or(0)
        };
        writeln!(
            out,
            "{}: {:.0} s, {} connections ({} failed), {} requests answered, {} seen; {} tasks \
             ended, {} graceful restarts, {} restarts",
            self.mpm,
            self.seconds,
            self.connections,
            self.failed,
            self.answered,
            self.seen.requests,
            self.seen.tasks_ended,
            self.graceful,
            self.restarts,
        )?;
        match resident_bytes(&self.seen.samples) {
            Some((early, late)) => writeln!(
                out,
                "  resident memory  {:.1} MB in the second quarter, {:.1} MB in the last",
                megabytes(early),
                megabytes(late)
            )?,
            None => writeln!(out, "  resident memory  too few looks")?,
        }
        let entries = &self.entries;
        writeln!(
            out,
            "  tasks            at most {} held; at the end {} held, {} alive",
            most(|sample| sample.tasks),
            entries.tasks_held.len(),
            entries.tasks_alive.len()
        )?;
        writeln!(
            out,
            "  connections      at most {} held; at the end {} held, {} stand",
            most(|sample| sample.connections),
            entries.connections_held,
            entries.connections_standing
        )?;
        let verdict = if self.is_flat() { "flat" } else { "NOT FLAT" };
        writeln!(out, "  lost             {}", self.seen.lost)?;
        writeln!(
            out,
            "  spans not sent   {} (there is no collector)",
            self.seen.spans_not_sent
        )?;
        writeln!(
            out,
            "  scrapes          {} answered, {} failed; {} series in the last",
            self.seen.scrapes, self.seen.failed_scrapes, self.seen.series
        )?;
        write!(out, "  {verdict}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn soaked(resident: impl IntoIterator<Item = u64>) -> Soaked {
        let samples = resident.into_iter().map(|resident_bytes| Sample {
            resident_bytes,
            ..Sample::default()
        });
        Soaked {
            mpm: Mpm::Event,
            seconds: 60.0,
            answered: 0,
            connections: 0,
            failed: 0,
            graceful: 0,
            restarts: 0,
            seen: Seen {
                samples: samples.collect(),
                scrapes: 1,
                ..Seen::default()
            },
            entries: Entries::default(),
        }
    }

    #[test]
    fn memory_that_rises_at_first_and_stays_is_flat() {
        let rising = (0..40).map(|second| 50_000_000 + second.min(9) * 1_000_000);
        let soaked = soaked(rising);
        let medians = resident_bytes(&soaked.seen.samples);
        assert_eq!(medians, Some((59_000_000, 59_000_000)));
        assert!(soaked.is_flat());
    }

    #[test]
    fn memory_that_goes_on_rising_is_not() {
        assert!(!soaked((0..40).map(|second| second * MOST_GROWTH_BYTES / 10)).is_flat());
    }

    #[test]
    fn too_few_looks_show_nothing() {
        assert!(!soaked([1, 1, 1]).is_flat());
    }

    #[test]
    fn one_entry_too_many_or_too_few_and_one_lost_record_are_seen() {
        let flat = soaked([1; 8]);
        assert!(flat.is_flat());
        let mut ghost = flat.clone();
        ghost.entries.tasks_held.insert(7);
        assert!(!ghost.is_flat());
        let mut missing = flat.clone();
        missing.entries.tasks_alive.insert(7);
        assert!(!missing.is_flat());
        let mut stale = flat.clone();
        stale.entries.connections_held = 1;
        assert!(!stale.is_flat());
        let mut silent = flat.clone();
        silent.seen.failed_scrapes = 1;
        assert!(!silent.is_flat());
        let mut lost = flat;
        lost.seen.lost = 1;
        assert!(!lost.is_flat());
    }
}
