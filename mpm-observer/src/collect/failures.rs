//! Keeping the failures of a run until the roles of its tasks are known.

use std::collections::{HashMap, HashSet};

use mpm_observer_common::{FailureRecord, FailureSource};

/// Most failures of one cause that are kept. One that repeats itself without end says no more
/// after so many, and must not push others out.
const MOST_OF_A_CAUSE: usize = 8192;
/// Most failures in all: some 8 MB.
const MOST: usize = 32_768;

/// What makes two failures the same for the bound: source, system call, error number, signal.
type Cause = (u32, u32, u32, u32);

/// The failures of a run, in the order of their arrival, as many as there is room for.
#[derive(Debug, Default)]
pub(super) struct Failures {
    kept: Vec<FailureRecord>,
    of_cause: HashMap<Cause, usize>,
    oom_victims: HashSet<u32>,
    left_out: u64,
}

impl Failures {
    /// Keeps one, or counts it as left out.
    pub(super) fn push(&mut self, record: FailureRecord) {
        // The kernel marks further threads of a victim while it dies. It is one kill.
        let is_kill = record.source == FailureSource::OomKill as u32;
        if is_kill && !self.oom_victims.insert(record.tgid) {
            return;
        }
        let cause = (record.source, record.call, record.errno, record.signal);
        let so_far = self.of_cause.entry(cause).or_default();
        if *so_far >= MOST_OF_A_CAUSE || self.kept.len() >= MOST {
            self.left_out += 1;
            return;
        }
        *so_far += 1;
        self.kept.push(record);
    }

    /// Those that were kept, by time, and how many were not.
    pub(super) fn finish(mut self) -> (Vec<FailureRecord>, u64) {
        self.kept.sort_by_key(|record| record.time_ns);
        (self.kept, self.left_out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(time_ns: u64, errno: u32) -> FailureRecord {
        FailureRecord {
            time_ns,
            errno,
            ..FailureRecord::default()
        }
    }

    #[test]
    fn a_flood_of_one_cause_leaves_room_for_another() {
        let mut failures = Failures::default();
        for time_ns in 0..MOST as u64 * 2 {
            failures.push(failure(time_ns, 24));
        }
        failures.push(failure(5, 12));
        let (kept, left_out) = failures.finish();
        assert_eq!(kept.len(), MOST_OF_A_CAUSE + 1);
        assert_eq!(left_out, (MOST * 2 - MOST_OF_A_CAUSE) as u64);
        assert_eq!(kept.iter().filter(|record| record.errno == 12).count(), 1);
        assert!(kept.is_sorted_by_key(|record| record.time_ns));
    }

    #[test]
    fn a_process_is_killed_once_however_many_of_its_threads_are_marked() {
        let mut failures = Failures::default();
        for (tgid, pid) in [(7, 7), (7, 8), (9, 9), (7, 10)] {
            failures.push(FailureRecord {
                source: FailureSource::OomKill as u32,
                tgid,
                pid,
                ..FailureRecord::default()
            });
        }
        let (kept, left_out) = failures.finish();
        let victims: Vec<u32> = kept.iter().map(|record| record.pid).collect();
        assert_eq!((victims, left_out), (vec![7, 9], 0));
    }

    #[test]
    fn any_number_of_causes_stays_within_the_bound() {
        let mut failures = Failures::default();
        for time_ns in 0..MOST as u64 + 10 {
            failures.push(failure(time_ns, time_ns as u32));
        }
        let (kept, left_out) = failures.finish();
        assert_eq!((kept.len(), left_out), (MOST, 10));
    }
}
