//! The last seconds of a server, in bounded memory whatever its rate: the window is cut into panes,
//! and the oldest is dropped when a new one begins.

use std::collections::VecDeque;

use mpm_observer_common::{RequestFlags, RequestRecord};

use super::{
    spread::{Durations, Spread},
    work::Work,
};
use crate::{
    correlate::{Phase, server_phases},
    live::{Look, SlotState},
    recording::KernelRow,
};

/// A window slides in so many steps.
const PANES: u64 = 10;

/// Requests whose time is not known.
const NOT_WHOLE: u32 = RequestFlags::AFTER_LOSS | RequestFlags::NO_ARRIVAL | RequestFlags::IN_PART;

/// What requests of some time took.
#[derive(Clone, Debug)]
pub(super) struct Requests {
    /// That were answered.
    pub answered: u64,
    /// That ended without an answer.
    pub unanswered: u64,
    /// … touched by a loss, or begun before the watch: in no duration.
    pub touched: u64,
    /// Bytes read of them.
    pub bytes_in: u64,
    /// Bytes sent.
    pub bytes_out: u64,
    /// The server's part of those answered: from arrival to last send.
    pub latency: Durations,
    /// From being queued for accept to being accepted, of those first on their connections.
    pub queue_wait: Durations,
    /// Those that were queued.
    pub queued: u64,
    phases: Vec<Durations>,
}

impl Default for Requests {
    fn default() -> Self {
        Self {
            answered: 0,
            unanswered: 0,
            touched: 0,
            bytes_in: 0,
            bytes_out: 0,
            latency: Durations::default(),
            queue_wait: Durations::default(),
            queued: 0,
            phases: vec![Durations::default(); Phase::ALL.len()],
        }
    }
}

impl Requests {
    fn count(&mut self, request: &RequestRecord) {
        self.bytes_in += request.bytes_in;
        self.bytes_out += request.bytes_out;
        if request.ordinal == 0 && request.queued_ns != 0 && request.accepted_ns != 0 {
            self.queued += 1;
            let wait_ns = request.accepted_ns.saturating_sub(request.queued_ns);
            self.queue_wait.record(wait_ns);
        }
        if request.sends == 0 || request.pickup_ns == 0 {
            self.unanswered += 1;
            return;
        }
        self.answered += 1;
        if request.flags & NOT_WHOLE != 0 {
            self.touched += 1;
            return;
        }
        let phases = server_phases(&KernelRow::without_addresses(request));
        self.latency.record(phases.wall_ns);
        for (phase, durations) in Phase::ALL.into_iter().zip(&mut self.phases) {
            durations.record(phases.get(phase));
        }
    }

    fn merge(&mut self, other: &Self) {
        self.answered += other.answered;
        self.unanswered += other.unanswered;
        self.touched += other.touched;
        self.bytes_in += other.bytes_in;
        self.bytes_out += other.bytes_out;
        self.queued += other.queued;
        self.latency.merge(&other.latency);
        self.queue_wait.merge(&other.queue_wait);
        for (own, other) in self.phases.iter_mut().zip(&other.phases) {
            own.merge(other);
        }
    }

    /// Those whose durations are known.
    pub(super) const fn measured(&self) -> u64 {
        self.answered - self.touched
    }

    /// The phases that took any time: sum and spread over all requests measured.
    pub(super) fn phases(&self) -> impl Iterator<Item = (Phase, u64, Spread)> {
        let measured = self.measured();
        Phase::ALL
            .into_iter()
            .zip(&self.phases)
            .filter(|(_, durations)| durations.count() > 0)
            .map(move |(phase, durations)| (phase, durations.sum_ns(), durations.spread(measured)))
    }
}

/// What looks showed in some time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Looks {
    /// How many.
    pub count: u64,
    /// Slots, by state, summed up over the looks.
    pub by_state: [u64; SlotState::ALL.len()],
    /// The longest accept queue.
    pub longest_queue: u32,
}

impl Looks {
    fn merge(&mut self, other: &Self) {
        self.count += other.count;
        for (own, other) in self.by_state.iter_mut().zip(other.by_state) {
            *own += other;
        }
        self.longest_queue = self.longest_queue.max(other.longest_queue);
    }

    /// The mean of slots in a state; 0 without a look.
    pub(super) fn mean(&self, state: SlotState) -> f64 {
        let place = SlotState::ALL.iter().position(|own| *own == state);
        match (place, self.count) {
            (Some(place), 1..) => self.by_state[place] as f64 / self.count as f64,
            _ => 0.0,
        }
    }
}

/// What is counted beside tasks and requests, as it stands at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Standing {
    /// Connections established.
    pub established: u64,
    /// Listeners' overflows, of all sockets of the server's network namespace.
    pub overflows: u64,
    /// Request records made.
    pub records: u64,
    /// … and lost, with all else that was lost.
    pub lost: u64,
    /// Runs of programs that the kernel skipped.
    pub skipped: u64,
    /// CPU time of the observer's process.
    pub observer_cpu_ns: u64,
    /// Run time of the programs, if the kernel counts it.
    pub programs_ns: u64,
}

impl Standing {
    pub(super) fn of(look: &Look) -> Self {
        Self {
            established: look.counters.conns_established,
            overflows: look.listen.map_or(0, |listen| listen.overflows),
            records: look.counters.requests_sent(),
            lost: look.counters.lost(),
            skipped: look.counters.skipped(),
            observer_cpu_ns: look.effort.cpu_ns,
            programs_ns: look.effort.programs.iter().map(|runs| runs.time_ns).sum(),
        }
    }

    /// What came in since `earlier`.
    pub(super) const fn since(&self, earlier: &Self) -> Self {
        Self {
            established: self.established.saturating_sub(earlier.established),
            overflows: self.overflows.saturating_sub(earlier.overflows),
            records: self.records.saturating_sub(earlier.records),
            lost: self.lost.saturating_sub(earlier.lost),
            skipped: self.skipped.saturating_sub(earlier.skipped),
            observer_cpu_ns: self.observer_cpu_ns.saturating_sub(earlier.observer_cpu_ns),
            programs_ns: self.programs_ns.saturating_sub(earlier.programs_ns),
        }
    }
}

#[derive(Clone, Debug, Default)]
struct Pane {
    from_ns: u64,
    requests: Requests,
    work: Work,
    looks: Looks,
    /// At its begin.
    standing: Standing,
}

/// The window.
#[derive(Clone, Debug)]
pub(super) struct Window {
    panes: VecDeque<Pane>,
    /// `None`: it does not slide.
    pane_ns: Option<u64>,
    /// As of the last look.
    now: Option<Standing>,
}

/// All that is in a window.
#[derive(Clone, Debug, Default)]
pub(super) struct Sum {
    /// When it begins.
    pub from_ns: u64,
    /// The requests.
    pub requests: Requests,
    /// The tasks' work.
    pub work: Work,
    /// The looks.
    pub looks: Looks,
    /// What came in of all else.
    pub came: Standing,
}

impl Window {
    /// One that begins at `now_ns` and slides once it is `length_ns` long; `None`: never.
    pub(super) fn new(now_ns: u64, length_ns: Option<u64>) -> Self {
        Self {
            panes: VecDeque::from([Pane {
                from_ns: now_ns,
                ..Pane::default()
            }]),
            pane_ns: length_ns.map(|length_ns| (length_ns / PANES).max(1)),
            now: None,
        }
    }

    /// Drops what is too old.
    fn slide(&mut self, now_ns: u64) {
        let Some(pane_ns) = self.pane_ns else { return };
        let newest_ns = self.panes.back().map_or(0, |pane| pane.from_ns);
        let passed = now_ns.saturating_sub(newest_ns) / pane_ns;
        if passed == 0 {
            return;
        }
        self.panes.push_back(Pane {
            // Panes without anything between are left out.
            from_ns: newest_ns + passed * pane_ns,
            standing: self.now.unwrap_or_default(),
            ..Pane::default()
        });
        let oldest_ns = now_ns.saturating_sub(PANES * pane_ns);
        let is_old = |pane: &Pane| pane.from_ns + pane_ns <= oldest_ns;
        while self.panes.front().is_some_and(is_old) {
            self.panes.pop_front();
        }
    }

    fn newest(&mut self, now_ns: u64) -> &mut Pane {
        self.slide(now_ns);
        if self.panes.is_empty() {
            self.panes.push_back(Pane::default());
        }
        let last = self.panes.len() - 1;
        &mut self.panes[last]
    }

    /// A request has ended.
    pub(super) fn request(&mut self, now_ns: u64, request: &RequestRecord) {
        self.newest(now_ns).requests.count(request);
    }

    /// Tasks did something.
    pub(super) fn work(&mut self, now_ns: u64, work: &Work) {
        self.newest(now_ns).work.add(work);
    }

    /// The server was looked at; `by_state` are its slots.
    pub(super) fn look(&mut self, look: &Look, by_state: &[u32; SlotState::ALL.len()]) {
        self.newest(look.at_ns).looks.merge(&Looks {
            count: 1,
            by_state: by_state.map(u64::from),
            longest_queue: look.queue().map_or(0, |queue| queue.length),
        });
        let now = Standing::of(look);
        if self.now.is_none() {
            // These did not begin with the watch.
            let begin = Standing {
                overflows: now.overflows,
                observer_cpu_ns: now.observer_cpu_ns,
                programs_ns: now.programs_ns,
                ..Standing::default()
            };
            for pane in &mut self.panes {
                pane.standing = begin;
            }
        }
        self.now = Some(now);
    }

    /// Everything in it together.
    pub(super) fn sum(&mut self, now_ns: u64) -> Sum {
        self.slide(now_ns);
        let mut sum = Sum::default();
        for pane in &self.panes {
            sum.requests.merge(&pane.requests);
            sum.work.add(&pane.work);
            sum.looks.merge(&pane.looks);
        }
        if let Some(first) = self.panes.front() {
            sum.from_ns = first.from_ns;
            sum.came = self.now.unwrap_or_default().since(&first.standing);
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::top::made_up::{answered, look};

    const SECOND_NS: u64 = 1_000_000_000;

    #[test]
    fn a_window_holds_the_last_seconds_and_no_more() {
        let mut window = Window::new(0, Some(10 * SECOND_NS));
        for second in 0..100 {
            window.request(second * SECOND_NS, &answered(second + 1));
        }
        let sum = window.sum(99 * SECOND_NS + 1);
        assert_eq!(sum.from_ns, 89 * SECOND_NS);
        assert_eq!(sum.requests.answered, 11);
        assert_eq!(sum.requests.latency.spread(11).max_ns, 100);
        // Nobody asks anything more.
        let sum = window.sum(200 * SECOND_NS);
        assert_eq!(sum.requests.answered, 0);
    }

    #[test]
    fn memory_is_bounded_whatever_the_rate_and_the_time() {
        let mut window = Window::new(0, Some(10 * SECOND_NS));
        for number in 0..200_000 {
            window.request(number * SECOND_NS / 100, &answered(number % 5_000 + 1));
        }
        assert!(window.panes.len() <= PANES as usize + 2);
    }

    #[test]
    fn a_window_that_does_not_slide_holds_everything() {
        let mut window = Window::new(0, None);
        for second in 0..100 {
            window.request(second * SECOND_NS, &answered(7));
        }
        let sum = window.sum(200 * SECOND_NS);
        assert_eq!((sum.from_ns, sum.requests.answered), (0, 100));
    }

    #[test]
    fn requests_without_an_answer_or_touched_by_a_loss_have_no_durations() {
        let mut window = Window::new(0, None);
        let unanswered = RequestRecord {
            sends: 0,
            last_send_ns: 0,
            ..answered(9)
        };
        let touched = RequestRecord {
            flags: RequestFlags::AFTER_LOSS,
            ..answered(9)
        };
        for request in [answered(9), unanswered, touched] {
            window.request(1, &request);
        }
        let requests = window.sum(2).requests;
        assert_eq!((requests.answered, requests.unanswered), (2, 1));
        assert_eq!((requests.touched, requests.measured()), (1, 1));
        assert_eq!(requests.latency.count(), 1);
    }

    #[test]
    fn the_wait_in_the_accept_queue_is_that_of_first_requests() {
        let mut window = Window::new(0, None);
        let first = RequestRecord {
            queued_ns: 100,
            accepted_ns: 400,
            ..answered(9)
        };
        let later = RequestRecord {
            ordinal: 1,
            ..first
        };
        window.request(1, &first);
        window.request(1, &later);
        let requests = window.sum(2).requests;
        assert_eq!(requests.queued, 1);
        assert_eq!(requests.queue_wait.spread(1).max_ns, 300);
    }

    #[test]
    fn phases_sum_to_the_servers_part() {
        let mut window = Window::new(0, None);
        window.request(1, &answered(500));
        let requests = window.sum(2).requests;
        let sum_ns: u64 = requests.phases().map(|(_, sum_ns, _)| sum_ns).sum();
        assert_eq!((sum_ns, requests.latency.sum_ns()), (500, 500));
    }

    #[test]
    fn what_stands_is_counted_from_the_begin_of_the_window() {
        let mut window = Window::new(0, Some(10 * SECOND_NS));
        let slots = [0; SlotState::ALL.len()];
        for second in 1..=30 {
            let mut look = look(second * SECOND_NS, Vec::new());
            look.counters.conns_established = 3 * second;
            look.effort.cpu_ns = second * 1_000;
            window.look(&look, &slots);
        }
        let sum = window.sum(30 * SECOND_NS);
        let seconds = (30 * SECOND_NS - sum.from_ns) / SECOND_NS;
        assert!((10..=11).contains(&seconds), "{seconds}");
        let looks = seconds + 1;
        assert_eq!(sum.looks.count, looks);
        assert_eq!(sum.came.established, 3 * looks);
        assert_eq!(sum.came.observer_cpu_ns, looks * 1_000);
    }
}
