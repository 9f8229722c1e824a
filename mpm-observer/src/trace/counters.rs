//! Numbers over the time of a trace.

use std::collections::HashSet;

use mpm_observer_common::{TraceEvent, TraceKind};

use crate::recording::TraceWindow;

/// A number that changes at moments: `(when, from then on)`, ascending, one entry for each moment.
/// The first entry is the window's begin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Steps(pub Vec<(u64, u64)>);

impl Steps {
    /// How many of these intervals cover each moment of the window.
    #[must_use]
    pub fn count(intervals: impl Iterator<Item = (u64, u64)>, window: TraceWindow) -> Self {
        let mut changes: Vec<(u64, i64)> = Vec::new();
        for (from_ns, to_ns) in intervals {
            changes.push((from_ns.max(window.from_ns), 1));
            if to_ns < window.until_ns {
                changes.push((to_ns.max(from_ns).max(window.from_ns), -1));
            }
        }
        Self::sum(changes, window)
    }

    fn sum(mut changes: Vec<(u64, i64)>, window: TraceWindow) -> Self {
        changes.sort_unstable();
        let mut steps = vec![(window.from_ns, 0)];
        let mut value = 0_i64;
        for (at_ns, change) in changes {
            value += change;
            let now = (at_ns, u64::try_from(value).unwrap_or(0));
            match steps.last_mut() {
                Some(last) if last.0 == at_ns => *last = now,
                _ => steps.push(now),
            }
        }
        Self(steps)
    }

    /// The greatest value.
    #[must_use]
    pub fn max(&self) -> u64 {
        self.0.iter().map(|(_, value)| *value).max().unwrap_or(0)
    }
}

/// The accept queue, from what went in and came out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AcceptQueue {
    /// Its length over time.
    pub length: Steps,
    /// Whether a connection that was queued in the window came out in it. The queue is first in,
    /// first out, so all that were in it before have come out then, and the length is exact;
    /// else some may be in it that nothing tells of.
    pub is_exact: bool,
}

impl AcceptQueue {
    /// The queue in the window. `events` are ascending in time.
    #[must_use]
    pub fn of(events: &[TraceEvent], window: TraceWindow) -> Self {
        let mut established: HashSet<u64> = HashSet::new();
        let mut queued: HashSet<u64> = HashSet::new();
        let mut changes: Vec<(u64, i64)> = Vec::new();
        let mut is_exact = false;
        for event in events {
            let (conn, at_ns) = (event.conn, event.time_ns);
            match TraceKind::from_word(event.event) {
                Some(TraceKind::Established) => {
                    established.insert(conn);
                }
                Some(TraceKind::Queued) => {
                    queued.insert(conn);
                    changes.push((at_ns, 1));
                }
                Some(TraceKind::Accepted) if queued.remove(&conn) => {
                    changes.push((at_ns, -1));
                    is_exact = true;
                }
                // It was queued before the window.
                Some(TraceKind::Accepted) if !established.contains(&conn) => {
                    changes.push((window.from_ns, 1));
                    changes.push((at_ns, -1));
                }
                Some(TraceKind::Ended) => {
                    established.remove(&conn);
                    // It stays in the queue, but its accept is not seen any more.
                    if queued.remove(&conn) {
                        changes.push((at_ns, -1));
                    }
                }
                _ => {}
            }
        }
        Self {
            length: Steps::sum(changes, window),
            is_exact,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: TraceWindow = TraceWindow {
        from_ns: 100,
        until_ns: 1_000,
    };

    fn event(time_ns: u64, kind: TraceKind, conn: u64) -> TraceEvent {
        TraceEvent {
            event: kind as u32,
            time_ns,
            conn,
            remote_port: conn as u16,
            ..TraceEvent::default()
        }
    }

    #[test]
    fn overlapping_intervals_are_counted_and_cut_to_the_window() {
        let intervals = [(0, 200), (150, 300), (200, 250), (900, u64::MAX)];
        let steps = Steps::count(intervals.into_iter(), WINDOW);
        assert_eq!(
            steps.0,
            [(100, 1), (150, 2), (200, 2), (250, 1), (300, 0), (900, 1)]
        );
        assert_eq!(steps.max(), 2);
        assert_eq!(Steps::count([].into_iter(), WINDOW).0, [(100, 0)]);
    }

    #[test]
    fn connections_that_were_queued_before_the_window_count_from_its_begin() {
        let events = [
            event(200, TraceKind::Queued, 2),
            event(300, TraceKind::Accepted, 1),
            event(400, TraceKind::Accepted, 2),
        ];
        let queue = AcceptQueue::of(&events, WINDOW);
        assert_eq!(queue.length.0, [(100, 1), (200, 2), (300, 1), (400, 0)]);
        assert!(queue.is_exact);
        // Without the last accept there may be more before the second.
        assert!(!AcceptQueue::of(&events[..2], WINDOW).is_exact);
    }

    #[test]
    fn a_queued_connection_that_ends_leaves_the_count() {
        let events = [
            event(200, TraceKind::Queued, 2),
            event(300, TraceKind::Ended, 2),
        ];
        let queue = AcceptQueue::of(&events, WINDOW);
        assert_eq!(queue.length.0, [(100, 0), (200, 1), (300, 0)]);
        assert!(!queue.is_exact);
    }

    #[test]
    fn a_connection_of_the_window_whose_queueing_was_lost_was_not_there_before() {
        let events = [
            event(200, TraceKind::Established, 2),
            event(300, TraceKind::Accepted, 2),
        ];
        assert_eq!(AcceptQueue::of(&events, WINDOW).length.0, [(100, 0)]);
    }
}
