//! Slices of one load, watched and not watched in turn, and what they come to. Pure.
//!
//! Four slices make a pair: off, on, on, off, and in the next four the other way round. What
//! drifts steadily over the four (the machine's speed, its neighbours) is the same for both
//! sides, and what lasts longer than the four does not count at all. Between two slices lies time
//! that belongs to neither: for switching, for the requests that the switch cut in two, and for
//! reading the clocks.

use super::{Half, Pair};
use crate::statistics::quantile;

/// Slices of a pair.
pub(super) const SLICES: usize = 4;

/// Whether the watcher is on in each slice of pair `number`.
pub(super) const fn order(number: usize) -> [bool; SLICES] {
    let first = number % 2 == 1;
    [first, !first, !first, first]
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ended {
    /// When, CLOCK_MONOTONIC.
    pub(super) at_ns: u64,
    /// How long it took if it was answered; `None` if it failed.
    pub(super) latency_ns: Option<u64>,
}

/// The clocks at an end of a slice. All but the first count since some moment in the past.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Border {
    /// CLOCK_MONOTONIC.
    pub(super) at_ns: u64,
    /// CPU time of httpd; `None` if a process has ended.
    pub(super) server_cpu_ns: Option<u64>,
    /// CPU time of the client.
    pub(super) client_cpu_ns: Option<u64>,
    /// CPU time of the watcher.
    pub(super) watcher_cpu_ns: u64,
    /// CPU time of whomever on the CPUs of httpd and client.
    pub(super) busy_ns: u64,
}

/// A part of the load.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Slice {
    /// Whether the watcher was on.
    pub(super) on: bool,
    /// Its begin.
    pub(super) from: Border,
    /// Its end; what happens at that moment is no longer in it.
    pub(super) until: Border,
}

impl Slice {
    const fn ns(&self) -> u64 {
        self.until.at_ns.saturating_sub(self.from.at_ns)
    }

    /// The requests that ended in it, of all, sorted by their end.
    fn of<'a>(&self, ended: &'a [Ended]) -> &'a [Ended] {
        let before = |at_ns: u64| ended.partition_point(|request| request.at_ns < at_ns);
        let from = before(self.from.at_ns);
        &ended[from..before(self.until.at_ns).max(from)]
    }

    fn used(&self, clock: fn(&Border) -> Option<u64>) -> Option<u64> {
        Some(clock(&self.until)?.saturating_sub(clock(&self.from)?))
    }
}

/// The pairs of a load, in order. `ended` is sorted by time; `cpus` is the number of CPUs of httpd
/// and client. Slices that do not make up a pair any more are left out, and so are pairs with a
/// side on which nothing was answered.
pub(super) fn pairs(slices: &[Slice], ended: &[Ended], cpus: usize) -> Vec<Pair> {
    let (fours, _) = slices.as_chunks::<SLICES>();
    fours
        .iter()
        .filter_map(|four| {
            let side = |on| half(four.iter().filter(move |slice| slice.on == on), ended, cpus);
            Some(Pair {
                off: side(false)?,
                on: side(true)?,
                on_first: four[0].on,
            })
        })
        .collect()
}

/// Slices of one side as if they were one: the latencies are put together before percentiles are
/// taken.
fn half<'a>(
    slices: impl Iterator<Item = &'a Slice> + Clone,
    ended: &[Ended],
    cpus: usize,
) -> Option<Half> {
    let requests = slices.clone().flat_map(|slice| slice.of(ended));
    let mut latencies_ns: Vec<u64> = requests
        .clone()
        .filter_map(|request| request.latency_ns)
        .collect();
    latencies_ns.sort_unstable();
    let answered = latencies_ns.len() as u64;
    let failed = requests.count() as u64 - answered;
    let (p50_ns, p99_ns) = (
        quantile(&latencies_ns, 0.5)?,
        quantile(&latencies_ns, 0.99)?,
    );
    let length_ns = slices.clone().map(Slice::ns).sum::<u64>() as f64;
    let used_ns = |clock: fn(&Border) -> Option<u64>| {
        let used = slices.clone().map(|slice| slice.used(clock));
        used.sum::<Option<u64>>().map(|ns| ns as f64)
    };
    let server_ns = used_ns(|border| border.server_cpu_ns);
    let client_ns = used_ns(|border| border.client_cpu_ns).unwrap_or(0.0);
    let watcher_ns = used_ns(|border| Some(border.watcher_cpu_ns)).unwrap_or(0.0);
    let busy_ns = used_ns(|border| Some(border.busy_ns)).unwrap_or(0.0);
    let others_ns = busy_ns - server_ns.unwrap_or(0.0) - client_ns - watcher_ns;
    let per_request = |ns: f64| ns / answered as f64;
    Some(Half {
        answered,
        failed,
        throughput_per_s: answered as f64 / length_ns * 1e9,
        p50_ns: p50_ns as f64,
        p99_ns: p99_ns as f64,
        server_cpu_ns: server_ns.map(per_request),
        client_cpu_ns: per_request(client_ns),
        watcher_cpu_ns: per_request(watcher_ns),
        others_cpu_share: (others_ns / (length_ns * cpus as f64)).clamp(0.0, 1.0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLICE_NS: u64 = 1000;
    const GUARD_NS: u64 = 500;

    fn answered(at_ns: u64, latency_ns: u64) -> Ended {
        Ended {
            at_ns,
            latency_ns: Some(latency_ns),
        }
    }

    /// Slices with guards between them; the CPU times grow by so much in each slice, and by a
    /// lot in each guard.
    fn slices(sides: &[bool]) -> Vec<Slice> {
        let border = |at_ns: u64, count: u64| Border {
            at_ns,
            server_cpu_ns: Some(count * 800),
            client_cpu_ns: Some(count * 200),
            watcher_cpu_ns: count * 10,
            busy_ns: count * 1210,
        };
        (0..)
            .zip(sides)
            .map(|(index, &on)| {
                let from_ns = index * (SLICE_NS + GUARD_NS);
                Slice {
                    on,
                    from: border(from_ns, index * 100),
                    until: border(from_ns + SLICE_NS, index * 100 + 1),
                }
            })
            .collect()
    }

    #[test]
    fn each_side_has_the_same_middle_in_time_and_begins_every_other_pair() {
        for number in 0..4 {
            let order = order(number);
            let places = |side| (0..SLICES).filter(move |&place| order[place] == side);
            assert_eq!(places(true).count(), 2);
            assert_eq!(places(true).sum::<usize>(), places(false).sum::<usize>());
            assert_eq!(order[0], number % 2 == 1);
        }
    }

    #[test]
    fn a_request_belongs_to_the_slice_in_which_it_ended_and_none_to_a_guard() {
        let slices = slices(&[false, true]);
        let ended: Vec<Ended> = [0, 1, 999, 1000, 1200, 1499, 1500, 2499, 2500]
            .map(|at_ns| answered(at_ns, 7))
            .to_vec();
        let ends = |slice: &Slice| -> Vec<u64> {
            let requests = slice.of(&ended).iter();
            requests.map(|request| request.at_ns).collect()
        };
        assert_eq!(ends(&slices[0]), [0, 1, 999]);
        assert_eq!(ends(&slices[1]), [1500, 2499]);
        assert!(slices[0].of(&[]).is_empty());
    }

    #[test]
    fn four_slices_make_a_pair_of_what_is_in_them() {
        let slices = slices(&order(0));
        // Off: two and three requests, on: one and four; two failed ones; more in each guard.
        let mut ended: Vec<Ended> = Vec::new();
        for (slice, count) in slices.iter().zip([2, 1, 4, 3]) {
            let from_ns = slice.from.at_ns;
            ended.extend((0..count).map(|index| answered(from_ns + index, 100 + index)));
            ended.push(answered(from_ns + SLICE_NS, 9_999));
            if slice.on {
                ended.push(Ended {
                    at_ns: from_ns + 10,
                    latency_ns: None,
                });
            }
        }
        ended.sort_by_key(|request| request.at_ns);
        let pairs = pairs(&slices, &ended, 2);
        let [pair] = pairs[..] else {
            panic!("{} pairs", pairs.len())
        };
        assert!(!pair.on_first);
        for half in [pair.off, pair.on] {
            assert_eq!(half.answered, 5);
            assert_eq!(half.throughput_per_s, 5.0 / 2e-6);
            assert_eq!(half.server_cpu_ns, Some(2.0 * 800.0 / 5.0));
            assert_eq!(half.client_cpu_ns, 2.0 * 200.0 / 5.0);
            assert_eq!(half.watcher_cpu_ns, 2.0 * 10.0 / 5.0);
            assert_eq!(half.others_cpu_share, 2.0 * 200.0 / (2.0 * 2000.0));
            assert_eq!(half.p50_ns, 101.0);
        }
        assert_eq!((pair.off.failed, pair.on.failed), (0, 2));
        assert_eq!((pair.off.p99_ns, pair.on.p99_ns), (102.0, 103.0));
    }

    #[test]
    fn a_steady_drift_cancels_out() {
        let slices = slices(&[order(0), order(1)].concat());
        let ended: Vec<Ended> = slices
            .iter()
            .zip(1..)
            .flat_map(|(slice, place)| {
                let count = 100 - 5 * place;
                (0..count).map(move |index| answered(slice.from.at_ns + index, 50))
            })
            .collect();
        let pairs = pairs(&slices, &ended, 2);
        assert_eq!(pairs.len(), 2);
        for pair in &pairs {
            assert_eq!(pair.on.throughput_per_s, pair.off.throughput_per_s);
        }
        assert_eq!((pairs[0].on_first, pairs[1].on_first), (false, true));
    }

    #[test]
    fn slices_that_are_left_over_and_sides_without_an_answer_make_no_pair() {
        let all = slices(&order(0));
        let ended: Vec<Ended> = all
            .iter()
            .map(|slice| answered(slice.from.at_ns, 1))
            .collect();
        assert_eq!(pairs(&all, &ended, 2).len(), 1);
        assert!(pairs(&all[..3], &ended, 2).is_empty());
        // Only the first slice, which is off, has an answer.
        assert!(pairs(&all, &ended[..1], 2).is_empty());
    }

    #[test]
    fn server_cpu_time_is_unknown_once_a_process_has_ended() {
        let mut all = slices(&order(0));
        all[3].until.server_cpu_ns = None;
        let ended: Vec<Ended> = all
            .iter()
            .map(|slice| answered(slice.from.at_ns, 1))
            .collect();
        let pairs = pairs(&all, &ended, 2);
        assert_eq!(pairs[0].off.server_cpu_ns, None);
        assert!(pairs[0].on.server_cpu_ns.is_some());
    }
}
