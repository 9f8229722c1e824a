//! A run by the second: from rows, which come late, to figures in their order.

use std::collections::VecDeque;

use crate::summary::OutcomeCounts;
use crate::{Histogram, Outcome, Row};

const SECOND_NS: u64 = 1_000_000_000;

/// A second is over when a row has ended so many seconds after its end. Rows come up to a
/// second late, and a request that began in it may end only then.
const HELD_SECONDS: u64 = 3;

/// What happened in a second of a run. What is told of a request counts in the second in
/// which it ended, if nothing else is said.
#[derive(Debug, Clone, Default)]
pub struct Second {
    /// The how-manieth second it is, from 0, of the measured part of the run.
    pub index: u64,
    /// Its length; only the last one is shorter.
    pub length_ns: u64,
    /// Requests that began in this second. One that ends 3 s after it or later is not known
    /// when the second is written, and counts as `started_earlier` where it ends.
    pub started: u64,
    /// Requests that became known in this second and had begun in one already written.
    pub started_earlier: u64,
    /// Requests that had waited for a free slot (open loop).
    pub waited: u64,
    /// The longest wait.
    pub wait_max_ns: u64,
    /// How attempts ended.
    pub outcomes: OutcomeCounts,
    /// Requests without a right answer, as [`Summary::failed`](crate::Summary::failed).
    pub failed: u64,
    /// Bytes of requests that the kernel accepted.
    pub request_bytes: u64,
    /// Bytes of heads.
    pub header_bytes: u64,
    /// Bytes of bodies.
    pub body_bytes: u64,
    /// From when an answered request was due to its last byte.
    pub latencies: Histogram,
    /// Connections that were established in this second, as far as it was known in time.
    pub connections: u64,
    /// Connections that became known in this second and were established in one already
    /// written.
    pub connections_earlier: u64,
    /// Attempts that count here but ended in a second that was already written: of a
    /// thread that was more than 3 s behind.
    pub late: u64,
}

impl Second {
    /// Requests with a complete answer.
    #[must_use]
    pub fn answered(&self) -> u64 {
        self.outcomes.sum_where(Outcome::is_answered)
    }
}

/// Puts rows into seconds and gives these away, in order and without gaps.
#[derive(Debug)]
pub(super) struct Seconds {
    /// Whether a stale connection is where its request ends.
    stale_fails: bool,
    started_ns: u64,
    /// The index of the first second that is not given away.
    first: u64,
    /// That one and the next ones, as far as something happened.
    open: VecDeque<Second>,
    ended_ns: u64,
    spare: Vec<Second>,
}

impl Seconds {
    /// For the rows of a run that sends requests again, or not.
    pub(super) const fn new(retry_stale: bool) -> Self {
        Self {
            stale_fails: !retry_stale,
            started_ns: 0,
            first: 0,
            open: VecDeque::new(),
            ended_ns: 0,
            spare: Vec::new(),
        }
    }

    /// The first second begins at `started_ns`.
    pub(super) fn begin(&mut self, started_ns: u64) {
        self.started_ns = started_ns;
        self.ended_ns = started_ns;
    }

    /// Takes a row.
    pub(super) fn add<E>(
        &mut self,
        row: &Row,
        mut over: impl FnMut(&Second) -> Result<(), E>,
    ) -> Result<(), E> {
        if row.is_warm_up() {
            return Ok(());
        }
        let newest = self.index_of(row.end_ns);
        while newest > self.first + HELD_SECONDS {
            self.give_away(SECOND_NS, &mut over)?;
        }
        self.ended_ns = self.ended_ns.max(row.end_ns);
        self.count(row);
        Ok(())
    }

    /// Gives the rest away.
    pub(super) fn finish<E>(
        &mut self,
        mut over: impl FnMut(&Second) -> Result<(), E>,
    ) -> Result<(), E> {
        while !self.open.is_empty() {
            let begin_ns = self.started_ns + self.first * SECOND_NS;
            let length_ns = self.ended_ns.saturating_sub(begin_ns).clamp(1, SECOND_NS);
            self.give_away(length_ns, &mut over)?;
        }
        Ok(())
    }

    fn index_of(&self, at_ns: u64) -> u64 {
        at_ns.saturating_sub(self.started_ns) / SECOND_NS
    }

    fn give_away<E>(
        &mut self,
        length_ns: u64,
        over: &mut impl FnMut(&Second) -> Result<(), E>,
    ) -> Result<(), E> {
        let front = self.open.pop_front();
        let mut second = front.unwrap_or_else(|| self.spare.pop().unwrap_or_default());
        second.index = self.first;
        second.length_ns = length_ns;
        self.first += 1;
        let result = over(&second);
        // A histogram is large: it is used again.
        let mut latencies = std::mem::take(&mut second.latencies);
        latencies.clear();
        self.spare.push(Second {
            latencies,
            ..Second::default()
        });
        result
    }

    /// The second of a time; `None` when it has been given away.
    fn at(&mut self, at_ns: u64) -> Option<&mut Second> {
        let place = self.index_of(at_ns).checked_sub(self.first)? as usize;
        while self.open.len() <= place {
            self.open.push_back(self.spare.pop().unwrap_or_default());
        }
        Some(&mut self.open[place])
    }

    /// The oldest second that can still be written.
    fn oldest(&mut self) -> &mut Second {
        let at_ns = self.started_ns + self.first * SECOND_NS;
        self.at(at_ns).expect("the first second is open")
    }

    fn count(&mut self, row: &Row) {
        if !row.is_retry() {
            match self.at(row.start_ns) {
                Some(second) => second.started += 1,
                None => self.of_end(row).started_earlier += 1,
            }
        }
        if row.connected_ns != 0 && !row.is_reused() {
            match self.at(row.connected_ns) {
                Some(second) => second.connections += 1,
                None => self.of_end(row).connections_earlier += 1,
            }
        }
        let is_late = self.at(row.end_ns).is_none();
        let stale_fails = self.stale_fails;
        let second = self.of_end(row);
        second.late += u64::from(is_late);
        second.outcomes.add(row.outcome, 1);
        let fails =
            row.outcome.is_failure() || (stale_fails && row.outcome == Outcome::StaleKeepAlive);
        second.failed += u64::from(fails);
        second.request_bytes += u64::from(row.request_bytes);
        second.header_bytes += u64::from(row.header_bytes);
        second.body_bytes += row.body_bytes;
        if row.has_waited() {
            second.waited += 1;
            let wait_ns = row.start_ns.saturating_sub(row.intended_ns);
            second.wait_max_ns = second.wait_max_ns.max(wait_ns);
        }
        if row.outcome.is_answered() {
            let latency_ns = row.last_byte_ns.saturating_sub(row.intended_ns);
            second.latencies.record(latency_ns);
        }
    }

    /// Where a row counts: where it ended, or as close to it as is still possible.
    fn of_end(&mut self, row: &Row) -> &mut Second {
        if self.at(row.end_ns).is_some() {
            return self.at(row.end_ns).expect("just seen");
        }
        self.oldest()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    const START_NS: u64 = 50 * SECOND_NS;

    /// An answered request on a thread, by its times in milliseconds since the start.
    fn row(thread: u16, start_ms: u64, end_ms: u64) -> Row {
        let at_ns = |ms: u64| START_NS + ms * 1_000_000;
        Row {
            outcome: Outcome::Ok,
            thread,
            intended_ns: at_ns(start_ms),
            start_ns: at_ns(start_ms),
            connected_ns: at_ns(start_ms),
            last_byte_ns: at_ns(end_ms),
            end_ns: at_ns(end_ms),
            body_bytes: 10,
            ..Row::EMPTY
        }
    }

    fn feed(seconds: &mut Seconds, rows: &[Row]) -> Vec<Second> {
        let mut over = Vec::new();
        for row in rows {
            let kept: Result<(), Infallible> = seconds.add(row, |second| {
                over.push(second.clone());
                Ok(())
            });
            kept.expect("infallible");
        }
        over
    }

    fn end(seconds: &mut Seconds) -> Vec<Second> {
        let mut over = Vec::new();
        let kept: Result<(), Infallible> = seconds.finish(|second| {
            over.push(second.clone());
            Ok(())
        });
        kept.expect("infallible");
        over
    }

    fn started() -> Seconds {
        let mut seconds = Seconds::new(true);
        seconds.begin(START_NS);
        seconds
    }

    #[test]
    fn a_second_is_over_three_seconds_after_its_end() {
        let mut seconds = started();
        let rows = [row(0, 0, 500), row(0, 800, 3999), row(1, 900, 950)];
        assert!(feed(&mut seconds, &rows).is_empty());
        let over = feed(&mut seconds, &[row(0, 4000, 4500)]);
        assert_eq!(over.len(), 1);
        assert_eq!((over[0].index, over[0].length_ns), (0, SECOND_NS));
        assert_eq!((over[0].started, over[0].answered()), (3, 2));
        assert_eq!((over[0].latencies.count(), over[0].body_bytes), (2, 20));
        let rest = end(&mut seconds);
        let figures: Vec<_> = (rest.iter())
            .map(|s| (s.index, s.length_ns, s.started, s.answered()))
            .collect();
        let whole = SECOND_NS;
        assert_eq!(
            figures,
            [
                (1, whole, 0, 0),
                (2, whole, 0, 0),
                (3, whole, 0, 1),
                (4, whole / 2, 1, 1)
            ]
        );
    }

    #[test]
    fn a_row_that_is_too_late_counts_in_the_oldest_second_and_is_said_to_be_late() {
        let mut seconds = started();
        assert_eq!(feed(&mut seconds, &[row(0, 4000, 4001)]).len(), 1);
        assert!(feed(&mut seconds, &[row(1, 10, 900)]).is_empty());
        let rest = end(&mut seconds);
        let late: Vec<_> = rest.iter().map(|s| (s.index, s.late)).collect();
        assert_eq!(late, [(1, 1), (2, 0), (3, 0), (4, 0)]);
        assert_eq!((rest[0].answered(), rest[0].started_earlier), (1, 1));
        assert_eq!(rest[0].connections_earlier, 1);
    }

    #[test]
    fn silence_leaves_empty_seconds_and_no_gap() {
        let mut seconds = started();
        let mut over = feed(&mut seconds, &[row(0, 0, 100), row(0, 100, 9500)]);
        over.extend(end(&mut seconds));
        let figures: Vec<_> = over.iter().map(|s| (s.index, s.answered())).collect();
        let empty = (1..9).map(|index| (index, 0));
        let expected: Vec<_> = [(0, 1)].into_iter().chain(empty).chain([(9, 1)]).collect();
        assert_eq!(figures, expected);
        let last = &over[9];
        assert_eq!((last.index, last.length_ns), (9, SECOND_NS / 2));
        // It began in second 0, which was given away before this was known.
        assert_eq!((last.answered(), last.started_earlier), (1, 1));
    }

    #[test]
    fn no_row_is_lost_in_whatever_order_threads_come() {
        let chance = &mut fastrand::Rng::with_seed(7);
        let mut queues: Vec<Vec<Row>> = (0..3)
            .map(|thread| {
                let mut ends: Vec<u64> = (0..500).map(|_| chance.u64(0..20_000)).collect();
                ends.sort_unstable();
                let start =
                    |end: u64, chance: &mut fastrand::Rng| end - chance.u64(0..=end.min(6000));
                ends.iter()
                    .map(|&end| row(thread, start(end, chance), end))
                    .rev()
                    .collect()
            })
            .collect();
        let mut seconds = started();
        let mut over = Vec::new();
        while queues.iter().any(|queue| !queue.is_empty()) {
            let thread = chance.usize(0..3);
            for _ in 0..chance.usize(0..100) {
                over.extend(queues[thread].pop().map(|row| feed(&mut seconds, &[row])));
            }
        }
        let mut over: Vec<Second> = over.into_iter().flatten().collect();
        over.extend(end(&mut seconds));
        let indices: Vec<u64> = over.iter().map(|second| second.index).collect();
        assert_eq!(indices, (0..indices.len() as u64).collect::<Vec<_>>());
        let sum = |of: fn(&Second) -> u64| over.iter().map(of).sum::<u64>();
        assert_eq!(sum(Second::answered), 1500);
        assert_eq!(sum(|s| s.latencies.count()), 1500);
        assert_eq!(sum(|s| s.started + s.started_earlier), 1500);
        assert_eq!(sum(|s| s.connections + s.connections_earlier), 1500);
        assert_eq!(sum(|s| s.body_bytes), 15_000);
    }

    #[test]
    fn memory_is_that_of_the_seconds_held() {
        let mut seconds = started();
        for at in 0..1000 {
            feed(&mut seconds, &[row(0, at * 500, at * 500 + 10)]);
            let kept = seconds.open.len() + seconds.spare.len();
            assert!(kept <= HELD_SECONDS as usize + 2, "{kept} after {at}");
        }
    }

    #[test]
    fn failures_waits_and_the_warm_up_are_told_apart() {
        let mut seconds = started();
        let of = |outcome, flags| Row {
            outcome,
            flags,
            ..row(0, 100, 200)
        };
        feed(
            &mut seconds,
            &[
                of(Outcome::Ok, Row::WARM_UP),
                of(Outcome::StaleKeepAlive, Row::REUSED),
                of(Outcome::Ok, Row::RETRIED),
                of(Outcome::Timeout, 0),
                Row {
                    intended_ns: START_NS,
                    ..of(Outcome::Ok, Row::WAITED | Row::REUSED)
                },
            ],
        );
        let second = &end(&mut seconds)[0];
        assert_eq!(
            (second.started, second.answered(), second.failed),
            (3, 2, 1)
        );
        assert_eq!((second.waited, second.wait_max_ns), (1, 100_000_000));
        assert_eq!(second.latencies.max_ns() / 1_000_000, 200);
        assert_eq!(second.connections, 2);
        let mut without_retries = Seconds::new(false);
        without_retries.begin(START_NS);
        feed(&mut without_retries, &[of(Outcome::StaleKeepAlive, 0)]);
        assert_eq!(end(&mut without_retries)[0].failed, 1);
    }
}
