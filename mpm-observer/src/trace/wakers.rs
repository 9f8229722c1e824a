//! Who woke whom: for each blocked wait that is part of a request, the role of the waker.

use std::collections::BTreeMap;

use mpm_observer_common::{BlockedIn, WakeContext};

use super::{Request, Span, State, Trace, Wake};
use crate::httpd::Role;

/// The part of a request that a wait belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    /// Of the task that accepted it or handed it on, another one than picked it up: its last wait
    /// that ended between the arrival of the bytes and then.
    HandOff,
    /// Of the task that picked it up: its last wait that ended between the arrival of the bytes and
    /// the pick-up.
    PickUp,
    /// Of the tasks that served it, between their reads and sends.
    Service,
}

impl Part {
    /// All parts.
    pub const ALL: [Self; 3] = [Self::HandOff, Self::PickUp, Self::Service];

    /// The name for readers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::HandOff => "before hand-off",
            Self::PickUp => "before pick-up",
            Self::Service => "in service",
        }
    }
}

/// Who ended a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Waker {
    /// A task of httpd: another one of this role.
    Task(Role),
    /// The kernel's network.
    Network,
    /// A timer.
    Timer,
    /// Another interrupt.
    Interrupt,
    /// A task that is not httpd's, of another program or of the kernel.
    Foreign,
    /// The wake-up was not seen.
    Unseen,
}

impl Waker {
    /// The name for readers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Task(Role::Parent) => "parent",
            Self::Task(Role::Child) => "other child",
            Self::Task(Role::Listener) => "listener",
            Self::Task(Role::Worker) => "other worker",
            Self::Task(Role::Thread) => "other thread",
            Self::Task(Role::Helper) => "program that httpd started",
            Self::Network => "kernel's network",
            Self::Timer => "timer",
            Self::Interrupt => "other interrupt",
            Self::Foreign => "other program or kernel task",
            Self::Unseen => "not seen",
        }
    }
}

/// A kind of wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WaitKind {
    /// The part of the request.
    pub part: Part,
    /// What the task was blocked in.
    pub blocked: BlockedIn,
    /// Who ended it.
    pub waker: Waker,
}

/// Waits of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waits {
    /// How many.
    pub count: u64,
    /// Their time within the request, ns.
    pub total_ns: u64,
}

impl Waits {
    /// Adds others.
    pub fn add(&mut self, other: Self) {
        self.count += other.count;
        self.total_ns += other.total_ns;
    }
}

impl Trace {
    /// The blocked waits of the requests, by kind.
    #[must_use]
    pub fn waits(&self) -> BTreeMap<WaitKind, Waits> {
        let mut waits: BTreeMap<WaitKind, Waits> = BTreeMap::new();
        let mut note = |part: Part, span: &Span, from_ns: u64, to_ns: u64| {
            if let State::Blocked(blocked) = span.state {
                let kind = WaitKind {
                    part,
                    blocked,
                    waker: self.waker(span.wake),
                };
                waits.entry(kind).or_default().add(Waits {
                    count: 1,
                    total_ns: span.within_ns(from_ns, to_ns),
                });
            }
        };
        for request in &self.requests {
            for (tid, from_ns, to_ns, part) in self.ways(request) {
                if let Some(span) = self.ended_waits(tid, from_ns, to_ns).next() {
                    note(part, span, from_ns, to_ns);
                }
            }
            for piece in &request.pieces {
                let Some(task) = self.task(piece.tid, piece.from_ns) else {
                    continue;
                };
                let spans = &task.spans.spans;
                let first = spans.partition_point(|span| span.to_ns <= piece.from_ns);
                for span in &spans[first..] {
                    if span.from_ns >= piece.to_ns {
                        break;
                    }
                    note(Part::Service, span, piece.from_ns, piece.to_ns);
                }
            }
        }
        waits
    }

    /// The ways of a request before its service: which task, from when to when.
    fn ways(&self, request: &Request) -> Vec<(u32, u64, u64, Part)> {
        let (Some(arrival_ns), Some(pickup_ns)) = (request.arrival_ns, request.pickup_ns) else {
            return Vec::new();
        };
        let Some(first) = request.pieces.first() else {
            return Vec::new();
        };
        let mut ways = vec![(first.tid, arrival_ns, pickup_ns, Part::PickUp)];
        let accepted = request
            .accepted
            .filter(|(at_ns, tid)| *tid != first.tid && *at_ns >= arrival_ns);
        if let Some((at_ns, tid)) = accepted {
            ways.push((tid, arrival_ns, at_ns, Part::HandOff));
        } else if let Some(hand_off) = self.hand_off(request) {
            ways.push((hand_off.by, arrival_ns, hand_off.at_ns, Part::HandOff));
        }
        ways
    }

    fn waker(&self, wake: Option<Wake>) -> Waker {
        let Some(wake) = wake else {
            return Waker::Unseen;
        };
        match wake.context {
            WakeContext::Network => Waker::Network,
            WakeContext::Timer => Waker::Timer,
            WakeContext::Interrupt => Waker::Interrupt,
            WakeContext::Task => match self.task(wake.by, wake.at_ns) {
                Some(task) => Waker::Task(task.role.unwrap_or(Role::Thread)),
                None => Waker::Foreign,
            },
        }
    }
}
