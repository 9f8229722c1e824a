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
const PANES: u64 = 20;

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
    /// The longest accept queue of a port.
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

/// What is counted without a gap, as it stands at a look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Standing {
    /// When that was.
    pub at_ns: u64,
    /// What the tasks have done.
    pub work: Work,
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
    fn of(look: &Look, work: Work) -> Self {
        Self {
            at_ns: look.at_ns,
            work,
            established: look.counters.conns_established,
            overflows: look.listen.map_or(0, |listen| listen.overflows),
            records: look.counters.requests_sent(),
            lost: look.counters.lost(),
            skipped: look.counters.skipped(),
            observer_cpu_ns: look.effort.cpu_ns,
            programs_ns: look.effort.programs.iter().map(|runs| runs.time_ns).sum(),
        }
    }

    /// What came in since `earlier`; the time is that of this one.
    const fn since(&self, earlier: &Self) -> Self {
        Self {
            at_ns: self.at_ns,
            work: self.work.since(&earlier.work),
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
    looks: Looks,
    /// As of the last look before it; of the first panes, as of the first look.
    standing: Standing,
}

/// The window.
#[derive(Clone, Debug)]
pub(super) struct Window {
    begin_ns: u64,
    panes: VecDeque<Pane>,
    /// `None`: it does not slide.
    pane_ns: Option<u64>,
    /// As of the last look, and of the one before.
    now: Option<Standing>,
    before: Option<Standing>,
    /// What the last look showed.
    seen: Looks,
    /// Work of tasks that have ended since the last look. It belongs to the time up to the next one.
    ended: Work,
    /// Nothing comes any more.
    is_over: bool,
}

/// All that is in a window.
#[derive(Clone, Debug, Default)]
pub(super) struct Sum {
    /// When it begins.
    pub from_ns: u64,
    /// The requests.
    pub requests: Requests,
    /// The looks; where the window is shorter than the time between two, the last one.
    pub looks: Looks,
    /// What came in of all else, the tasks' work too.
    pub came: Standing,
    /// In what time that came in: from a look to the last one, and at least between the last two.
    pub covered_ns: u64,
}

impl Window {
    /// One that begins at `now_ns` and slides once it is `length_ns` long; `None`: never.
    pub(super) fn new(now_ns: u64, length_ns: Option<u64>) -> Self {
        Self {
            begin_ns: now_ns,
            panes: VecDeque::from([Pane {
                from_ns: now_ns,
                ..Pane::default()
            }]),
            pane_ns: length_ns.map(|length_ns| (length_ns / PANES).max(1)),
            now: None,
            before: None,
            seen: Looks::default(),
            ended: Work::default(),
            is_over: false,
        }
    }

    /// Drops what is too old.
    fn slide(&mut self, now_ns: u64) {
        let Some(pane_ns) = self.pane_ns else { return };
        let newest_ns = self.panes.back().map_or(0, |pane| pane.from_ns);
        let passed = now_ns.saturating_sub(newest_ns) / pane_ns;
        if passed > 0 {
            self.panes.push_back(Pane {
                // Panes without anything between are left out.
                from_ns: newest_ns + passed * pane_ns,
                standing: self.now.unwrap_or_default(),
                ..Pane::default()
            });
        }
        let from_ns = self.from_ns(now_ns);
        let is_old = |pane: &Pane| pane.from_ns < from_ns;
        while self.panes.front().is_some_and(is_old) {
            self.panes.pop_front();
        }
    }

    /// Where the window begins: with the first pane that is in it as a whole.
    fn from_ns(&self, now_ns: u64) -> u64 {
        let Some(pane_ns) = self.pane_ns else {
            return self.begin_ns;
        };
        let oldest_ns = now_ns.saturating_sub(PANES * pane_ns);
        let passed = oldest_ns.saturating_sub(self.begin_ns).div_ceil(pane_ns);
        self.begin_ns + passed * pane_ns
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
        // Of a connection that came before the watch had begun the task that read may not have been
        // known: it is not said that nobody read, or answered.
        if request.pickup_ns == 0 && request.established_ns < self.begin_ns {
            return;
        }
        self.newest(now_ns).requests.count(request);
    }

    /// A task has ended, and did this since the last look.
    pub(super) const fn ended(&mut self, work: &Work) {
        self.ended.add(work);
    }

    /// The server was looked at; `by_state` are its slots, `work` is what the tasks that live did
    /// since the last look.
    pub(super) fn look(
        &mut self,
        look: &Look,
        by_state: &[u32; SlotState::ALL.len()],
        work: &Work,
    ) {
        self.seen = Looks {
            count: 1,
            by_state: by_state.map(u64::from),
            longest_queue: look
                .queues
                .iter()
                .map(|queue| queue.length)
                .max()
                .unwrap_or(0),
        };
        let seen = self.seen;
        self.newest(look.at_ns).looks.merge(&seen);
        let mut done = self.now.unwrap_or_default().work;
        done.add(work);
        done.add(&std::mem::take(&mut self.ended));
        let now = Standing::of(look, done);
        if self.now.is_none() {
            // The others began with the watch. When the work began that was done before the first
            // look is not known to the millisecond, so that it is in no rate.
            let begin = Standing {
                established: 0,
                records: 0,
                lost: 0,
                skipped: 0,
                ..now
            };
            for pane in &mut self.panes {
                pane.standing = begin;
            }
        }
        self.before = self.now;
        self.now = Some(now);
    }

    /// There will be no further look.
    pub(super) const fn end(&mut self) {
        self.is_over = true;
    }

    /// Everything in it together.
    pub(super) fn sum(&mut self, now_ns: u64) -> Sum {
        self.slide(now_ns);
        let mut sum = Sum {
            from_ns: self.from_ns(now_ns),
            ..Sum::default()
        };
        for pane in &self.panes {
            sum.requests.merge(&pane.requests);
            sum.looks.merge(&pane.looks);
        }
        let (Some(first), Some(now)) = (self.panes.front(), self.now) else {
            return sum;
        };
        let mut first = first.standing;
        if !self.is_over {
            if sum.looks.count == 0 {
                sum.looks = self.seen;
            }
            if first.at_ns == now.at_ns {
                first = self.before.unwrap_or(first);
            }
        }
        sum.came = now.since(&first);
        if self.pane_ns.is_none() {
            // It is read once, after the last look, and no other look follows.
            sum.came.work.add(&self.ended);
        }
        let until_ns = if self.is_over { now_ns } else { now.at_ns };
        sum.covered_ns = until_ns.saturating_sub(first.at_ns);
        sum
    }
}

#[cfg(test)]
#[path = "window_tests.rs"]
mod tests;
