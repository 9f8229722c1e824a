//! How a worker's clock relates to the coordinator's.

use serde::{Deserialize, Serialize};

use crate::Row;

/// The difference between two CLOCK_MONOTONICs, and how well it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockOffset {
    /// Worker's clock minus coordinator's, in nanoseconds.
    pub worker_ahead_ns: i64,
    /// The true difference is at most so far away from it.
    pub bound_ns: u64,
}

/// One question for the time: when it was sent and when the answer was read, in the
/// coordinator's clock, and the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RoundTrip {
    pub(super) asked_ns: u64,
    pub(super) worker_ns: u64,
    pub(super) answered_ns: u64,
}

impl ClockOffset {
    /// From the shortest of several round trips: whenever the worker read its clock, it
    /// was between asking and answering.
    pub(super) fn from_round_trips(trips: &[RoundTrip]) -> Option<Self> {
        let length_ns = |trip: &RoundTrip| trip.answered_ns.saturating_sub(trip.asked_ns);
        let best = trips.iter().min_by_key(|trip| length_ns(trip))?;
        let half_ns = length_ns(best).div_ceil(2);
        let middle_ns = best.asked_ns.saturating_add(half_ns);
        Some(Self {
            worker_ahead_ns: difference(best.worker_ns, middle_ns),
            bound_ns: half_ns,
        })
    }

    /// The worker's time that is this time of the coordinator.
    pub(super) fn to_worker(self, coordinator_ns: u64) -> u64 {
        coordinator_ns.saturating_add_signed(self.worker_ahead_ns)
    }

    /// The coordinator's time that is this time of the worker. Never 0, which stands
    /// for what did not happen.
    pub(super) fn to_coordinator(self, worker_ns: u64) -> u64 {
        let ns = i128::from(worker_ns) - i128::from(self.worker_ahead_ns);
        u64::try_from(ns.max(1)).unwrap_or(u64::MAX)
    }

    /// The bound of times converted with this offset, when it was measured again later:
    /// clocks may have drifted apart since.
    pub(super) fn bound_with(self, later: Self) -> u64 {
        let drift_ns = self.worker_ahead_ns.abs_diff(later.worker_ahead_ns);
        self.bound_ns.max(drift_ns.saturating_add(later.bound_ns))
    }

    /// Converts all times of a row.
    pub(super) fn convert(self, row: &mut Row) {
        for ns in [
            &mut row.intended_ns,
            &mut row.start_ns,
            &mut row.connect_start_ns,
            &mut row.connected_ns,
            &mut row.sent_ns,
            &mut row.first_byte_ns,
            &mut row.last_byte_ns,
            &mut row.end_ns,
            &mut row.loop_wake_ns,
        ] {
            if *ns != 0 {
                *ns = self.to_coordinator(*ns);
            }
        }
    }
}

fn difference(a: u64, b: u64) -> i64 {
    let wide = i128::from(a) - i128::from(b);
    i64::try_from(wide).unwrap_or(if wide < 0 { i64::MIN } else { i64::MAX })
}

/// How late a worker's threads began, in nanoseconds, and the bound of its clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Begin {
    pub(super) earliest_ns: u64,
    pub(super) latest_ns: u64,
    pub(super) bound_ns: u64,
}

/// How far apart the begins of any two threads can have been, bounds of the clocks
/// included; within one worker there is but one clock.
pub(super) fn start_spread_ns(begins: &[Begin]) -> Option<u64> {
    let of_pair = |(i, late): (usize, &Begin), (j, early): (usize, &Begin)| {
        let apart_ns = late.latest_ns.saturating_sub(early.earliest_ns);
        if i == j {
            apart_ns
        } else {
            // Late and early may be the other way round within the bounds.
            apart_ns
                .saturating_add(late.bound_ns)
                .saturating_add(early.bound_ns)
        }
    };
    begins
        .iter()
        .enumerate()
        .flat_map(|late| {
            begins
                .iter()
                .enumerate()
                .map(move |early| of_pair(late, early))
        })
        .max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shortest_round_trip_decides_and_bounds_the_error() {
        // The worker is 1000 ahead; the ways there and back take turns being slow.
        let trip = |asked_ns: u64, there_ns: u64, back_ns: u64| RoundTrip {
            asked_ns,
            worker_ns: asked_ns + there_ns + 1000,
            answered_ns: asked_ns + there_ns + back_ns,
        };
        let trips = [trip(0, 500, 10), trip(600, 10, 31), trip(900, 10, 900)];
        let offset = ClockOffset::from_round_trips(&trips).expect("some");
        assert_eq!(offset.bound_ns, 21);
        assert!(offset.worker_ahead_ns.abs_diff(1000) <= offset.bound_ns);
        for trip in trips {
            let each = ClockOffset::from_round_trips(&[trip]).expect("some");
            assert!(each.worker_ahead_ns.abs_diff(1000) <= each.bound_ns);
        }
        assert_eq!(ClockOffset::from_round_trips(&[]), None);
    }

    #[test]
    fn times_are_converted_there_and_back_in_both_directions() {
        for worker_ahead_ns in [-5_000_000_000_000, 0, 5_000_000_000_000] {
            let offset = ClockOffset {
                worker_ahead_ns,
                bound_ns: 1,
            };
            let here_ns = 9_000_000_000_000;
            assert_eq!(offset.to_coordinator(offset.to_worker(here_ns)), here_ns);
        }
    }

    #[test]
    fn what_did_not_happen_in_a_row_still_did_not() {
        let offset = ClockOffset {
            worker_ahead_ns: 400,
            bound_ns: 1,
        };
        let mut row = Row {
            start_ns: 1000,
            end_ns: 300,
            ..Row::EMPTY
        };
        offset.convert(&mut row);
        assert_eq!((row.start_ns, row.sent_ns), (600, 0));
        // Before the coordinator's clock began: as early as can be told, but it happened.
        assert_eq!(row.end_ns, 1);
        let absurd = ClockOffset {
            worker_ahead_ns: i64::MIN,
            bound_ns: 0,
        };
        assert_eq!(absurd.to_coordinator(u64::MAX), u64::MAX);
        assert_eq!(absurd.to_worker(5), 0);
    }

    #[test]
    fn drift_widens_the_bound() {
        let at = |worker_ahead_ns, bound_ns| ClockOffset {
            worker_ahead_ns,
            bound_ns,
        };
        assert_eq!(at(100, 50).bound_with(at(100, 10)), 50);
        assert_eq!(at(100, 50).bound_with(at(400, 10)), 310);
        assert_eq!(at(100, 50).bound_with(at(-400, 10)), 510);
    }

    #[test]
    fn the_spread_counts_both_clocks_between_workers_and_none_within_one() {
        let begin = |earliest_ns, latest_ns, bound_ns| Begin {
            earliest_ns,
            latest_ns,
            bound_ns,
        };
        assert_eq!(start_spread_ns(&[]), None);
        assert_eq!(start_spread_ns(&[begin(5, 9, 100)]), Some(4));
        let two = [begin(5, 9, 10), begin(20, 30, 1)];
        assert_eq!(start_spread_ns(&two), Some(25 + 11));
        let same = [begin(5, 5, 10), begin(5, 5, 1)];
        assert_eq!(start_spread_ns(&same), Some(11));
    }
}
