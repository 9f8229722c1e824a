//! Which slot starts which request when, without I/O.
//!
//! An engine asks for what is due, carries it out, and gives the slot back.

use std::collections::VecDeque;

use super::deadlines::Deadlines;
use super::schedule::Schedule;
use super::{Plan, nanos};
use crate::pace::{Pace, Profile};
use crate::{Config, Row};

/// How often a growing number of connections is looked at.
const RAMP_STEP_NS: u64 = 10_000_000;

/// An attempt that is to begin now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Start {
    pub(super) slot: u32,
    pub(super) kind: StartKind,
}

/// What begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StartKind {
    /// A request of its own.
    Fresh(Fresh),
    /// The slot's last request, once more, on a new connection.
    Retry,
}

/// A request of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fresh {
    /// When it was due; `None`: when it begins.
    pub(super) due_ns: Option<u64>,
    /// Which of the URLs it asks for.
    pub(super) url: u16,
    /// [`Row::WARM_UP`] and [`Row::WAITED`].
    pub(super) flags: u8,
}

/// What a slot that has become free does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// It starts its next request at once.
    Start(Start),
    /// It waits; its connection may stay open.
    Wait,
    /// It has nothing to do any more, for now or for good; its connection is closed.
    Leave,
}

enum Loop<'a> {
    Closed {
        think_ns: u64,
        thinking: Deadlines,
        connections: Option<&'a Profile>,
        /// Slots that are above the present number of connections.
        parked: Vec<u32>,
    },
    Open {
        schedule: Schedule<'a>,
        /// The next request's time; `None` when there are no more.
        due_ns: Option<u64>,
    },
}

/// The slots of one thread and the requests that are left for them.
pub(super) struct Dispatcher<'a> {
    pace: Loop<'a>,
    mix: Mix,
    share: Share,
    measured_from_ns: u64,
    /// The last moment at which a request may be due.
    last_due_ns: u64,
    /// Slots that may start, and since when.
    free: VecDeque<(u32, u64)>,
    retries: VecDeque<u32>,
    /// Requests that are not started yet, without those of the warm-up.
    left: Option<u64>,
    under_way: u32,
}

impl<'a> Dispatcher<'a> {
    pub(super) fn new(plan: &Plan<'a>) -> Self {
        let config = plan.config;
        let mut free = VecDeque::new();
        let mut pace = match &config.pace {
            Pace::Closed { think, connections } => Loop::Closed {
                think_ns: nanos(*think),
                thinking: Deadlines::new(plan.slots),
                connections: connections.as_ref(),
                parked: Vec::new(),
            },
            Pace::Open { arrivals, rate } => Loop::Open {
                schedule: Schedule::new(*arrivals, rate, plan),
                due_ns: None,
            },
        };
        match &mut pace {
            Loop::Closed {
                connections: Some(_),
                parked,
                ..
            } => parked.extend((0..plan.slots).rev()),
            _ => free.extend((0..plan.slots).map(|slot| (slot, plan.origin_ns))),
        }
        if let Loop::Open { schedule, due_ns } = &mut pace {
            *due_ns = schedule.next_ns();
        }
        Self {
            pace,
            mix: Mix::new(config, plan.thread),
            last_due_ns: plan
                .until_ns
                .map_or(u64::MAX, |end_ns| end_ns.saturating_sub(1)),
            share: Share {
                origin_ns: plan.origin_ns,
                thread: u32::from(plan.thread),
                threads: u32::from(plan.threads),
            },
            measured_from_ns: plan.measured_from_ns,
            free,
            retries: VecDeque::new(),
            left: plan.requests,
            under_way: 0,
        }
    }

    /// The next attempt that is due and has a slot; `None` when there is none now.
    pub(super) fn next(&mut self, now_ns: u64) -> Option<Start> {
        if let Some(slot) = self.retries.pop_front() {
            self.under_way += 1;
            let kind = StartKind::Retry;
            return Some(Start { slot, kind });
        }
        self.wake_slots(now_ns);
        let (slot, freed_ns) = *self.free.front()?;
        let fresh = self.take(now_ns, freed_ns)?;
        self.free.pop_front();
        Some(self.start(slot, fresh))
    }

    /// The slot's attempt has ended and nothing of it is left to do. Only a slot that is
    /// `connected` may start again at once; the others have their turn in
    /// [`Dispatcher::next`].
    pub(super) fn freed(&mut self, slot: u32, now_ns: u64, connected: bool) -> Next {
        self.under_way -= 1;
        if self.is_exhausted() {
            return Next::Leave;
        }
        let share = self.share;
        if let Loop::Closed {
            think_ns,
            thinking,
            connections,
            parked,
        } = &mut self.pace
        {
            if let Some(profile) = connections
                && slot >= share.of(profile, now_ns)
            {
                parked.push(slot);
                parked.sort_unstable_by(|a, b| b.cmp(a));
                return Next::Leave;
            }
            if *think_ns > 0 {
                thinking.set(slot, now_ns.saturating_add(*think_ns));
                return Next::Wait;
            }
        }
        // In an open loop, who is free already comes first.
        let is_first = self.free.is_empty() || matches!(self.pace, Loop::Closed { .. });
        if connected
            && is_first
            && let Some(fresh) = self.take(now_ns, now_ns)
        {
            return Next::Start(self.start(slot, fresh));
        }
        self.free.push_back((slot, now_ns));
        Next::Wait
    }

    /// The slot's attempt has ended and its request is to be sent again.
    pub(super) fn retry(&mut self, slot: u32) {
        self.under_way -= 1;
        self.retries.push_back(slot);
    }

    /// When [`Dispatcher::next`] may have something, if nothing else happens before.
    pub(super) fn wake_ns(&self, now_ns: u64) -> Option<u64> {
        if !self.retries.is_empty() {
            return Some(now_ns);
        }
        match &self.pace {
            Loop::Open { due_ns, .. } => {
                due_ns.filter(|_| !self.free.is_empty() && self.has_left())
            }
            Loop::Closed { .. } if !self.has_left() => None,
            Loop::Closed { .. } if !self.free.is_empty() => Some(now_ns),
            Loop::Closed {
                thinking, parked, ..
            } => {
                let ramp_ns = (!parked.is_empty()).then(|| now_ns + RAMP_STEP_NS);
                [thinking.next_ns(), ramp_ns].into_iter().flatten().min()
            }
        }
    }

    /// Whether every request has its outcome and none is left to start.
    pub(super) fn is_over(&self) -> bool {
        self.under_way == 0 && self.retries.is_empty() && self.is_exhausted()
    }

    /// Slots whose request waits to be sent again, at the end of a run.
    pub(super) fn take_retries(&mut self) -> VecDeque<u32> {
        std::mem::take(&mut self.retries)
    }

    /// Requests that were due by `end_ns` and never began. What is due at the end of the
    /// duration, or between it and the last look at the clock, is not of this run.
    pub(super) fn unsent(&mut self, end_ns: u64) -> u64 {
        let end_ns = end_ns.min(self.last_due_ns);
        match &mut self.pace {
            Loop::Open {
                schedule,
                due_ns: Some(due_ns),
            } if *due_ns <= end_ns => {
                let due = 1 + schedule.take_until(end_ns);
                self.left.map_or(due, |left| left.min(due))
            }
            _ => 0,
        }
    }

    fn start(&mut self, slot: u32, fresh: Fresh) -> Start {
        self.under_way += 1;
        Start {
            slot,
            kind: StartKind::Fresh(fresh),
        }
    }

    fn has_left(&self) -> bool {
        self.left != Some(0)
    }

    /// Whether no further request will ever start.
    fn is_exhausted(&self) -> bool {
        !self.has_left() || matches!(self.pace, Loop::Open { due_ns: None, .. })
    }

    /// Takes the next request if it is due, for a slot that is free since `freed_ns`.
    fn take(&mut self, now_ns: u64, freed_ns: u64) -> Option<Fresh> {
        if !self.has_left() {
            return None;
        }
        let mut flags = 0;
        let due_ns = match &mut self.pace {
            Loop::Closed { .. } => None,
            Loop::Open { schedule, due_ns } => {
                let was_due_ns = due_ns.filter(|due_ns| *due_ns <= now_ns)?;
                *due_ns = schedule.next_ns();
                if freed_ns > was_due_ns {
                    flags |= Row::WAITED;
                }
                Some(was_due_ns)
            }
        };
        if due_ns.unwrap_or(now_ns) < self.measured_from_ns {
            flags |= Row::WARM_UP;
        } else if let Some(left) = &mut self.left {
            *left -= 1;
        }
        Some(Fresh {
            due_ns,
            url: self.mix.draw(),
            flags,
        })
    }

    /// Lets slots go whose pause is over, or that are wanted now.
    fn wake_slots(&mut self, now_ns: u64) {
        let share = self.share;
        let Loop::Closed {
            thinking,
            connections,
            parked,
            ..
        } = &mut self.pace
        else {
            return;
        };
        while let Some(slot) = thinking.pop_passed(now_ns) {
            self.free.push_back((slot, now_ns));
        }
        if let Some(profile) = connections
            && !parked.is_empty()
        {
            let wanted = share.of(profile, now_ns);
            while let Some(slot) = parked.pop_if(|slot| *slot < wanted) {
                self.free.push_back((slot, now_ns));
            }
        }
    }
}

/// Which part of the connections is a thread's own.
#[derive(Clone, Copy)]
struct Share {
    origin_ns: u64,
    thread: u32,
    threads: u32,
}

impl Share {
    /// Connections of this thread that are wanted at a time; all threads' add up.
    fn of(self, profile: &Profile, now_ns: u64) -> u32 {
        let at_s = now_ns.saturating_sub(self.origin_ns) as f64 / 1e9;
        let all = profile.value_at(at_s).round() as u32;
        all / self.threads + u32::from(self.thread < all % self.threads)
    }
}

/// Draws URLs by their weights.
struct Mix {
    /// Sum of the weights up to each URL.
    up_to: Vec<u64>,
    chance: fastrand::Rng,
}

impl Mix {
    fn new(config: &Config, thread: u16) -> Self {
        let mut sum = 0;
        let up_to = config
            .targets
            .iter()
            .map(|weighted| {
                sum += u64::from(weighted.weight);
                sum
            })
            .collect();
        Self {
            up_to,
            chance: fastrand::Rng::with_seed(config.seed ^ (u64::from(thread) << 32)),
        }
    }

    fn draw(&mut self) -> u16 {
        if self.up_to.len() < 2 {
            return 0;
        }
        let sum = self.up_to.last().copied().unwrap_or(1);
        let drawn = self.chance.u64(0..sum);
        self.up_to.partition_point(|up_to| *up_to <= drawn) as u16
    }
}

#[cfg(test)]
mod tests;
