//! The state machine of a task's time in a trace: events in, spans without gap or overlap out.
//!
//! | state | an event that fits | what it leads to |
//! |---|---|---|
//! | on CPU | block, preempt, exit | blocked, preempted, ended |
//! | blocked | wake | woken |
//! | woken, preempted | switch in | on CPU |
//! | unknown | any | as the event says |
//!
//! An event that does not fit means that another one is missing, because it was lost or fell
//! before the window. Then the time since the last moment at which the state was certain is
//! unknown. One disorder is none: a waker on another CPU may see a task that is about to block, so
//! that its wake-up comes just before the switch it ends.

use std::collections::BTreeMap;

use mpm_observer_common::{BlockedIn, TraceEvent, TraceKind, WakeContext};

use crate::recording::TraceWindow;

/// What a task does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    /// It runs.
    OnCpu,
    /// It was woken, or just made, and waits for a CPU.
    Woken,
    /// It lost its CPU and waits for one.
    Preempted,
    /// It is blocked.
    Blocked(BlockedIn),
    /// No event tells.
    Unknown,
}

impl State {
    /// All states, in the order of a legend.
    pub const ALL: [Self; 14] = [
        Self::OnCpu,
        Self::Woken,
        Self::Preempted,
        Self::Blocked(BlockedIn::Futex),
        Self::Blocked(BlockedIn::Poll),
        Self::Blocked(BlockedIn::Send),
        Self::Blocked(BlockedIn::Receive),
        Self::Blocked(BlockedIn::File),
        Self::Blocked(BlockedIn::Fault),
        Self::Blocked(BlockedIn::Sleep),
        Self::Blocked(BlockedIn::Stopped),
        Self::Blocked(BlockedIn::KernelLock),
        Self::Blocked(BlockedIn::Other),
        Self::Unknown,
    ];

    /// The name for readers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::OnCpu => "on CPU",
            Self::Woken => "woken, run queue",
            Self::Preempted => "preempted",
            Self::Blocked(BlockedIn::Futex) => "blocked: futex",
            Self::Blocked(BlockedIn::Poll) => "blocked: poll",
            Self::Blocked(BlockedIn::Send) => "blocked: socket send",
            Self::Blocked(BlockedIn::Receive) => "blocked: socket receive",
            Self::Blocked(BlockedIn::File) => "blocked: file read",
            Self::Blocked(BlockedIn::Fault) => "blocked: page fault",
            Self::Blocked(BlockedIn::Sleep) => "blocked: sleep",
            Self::Blocked(BlockedIn::Stopped) => "stopped",
            Self::Blocked(BlockedIn::KernelLock) => "blocked: kernel lock",
            Self::Blocked(BlockedIn::Other) => "blocked: other",
            Self::Unknown => "unknown",
        }
    }
}

/// Who ended a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wake {
    /// When.
    pub at_ns: u64,
    /// The task that ran on the CPU of the wake-up; it is the waker only in
    /// [`WakeContext::Task`].
    pub by: u32,
    /// In what.
    pub context: WakeContext,
}

/// A stretch of one state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Begin.
    pub from_ns: u64,
    /// End, after the begin.
    pub to_ns: u64,
    /// What the task did.
    pub state: State,
    /// Of a blocked stretch: what ended it, if that was seen.
    pub wake: Option<Wake>,
}

impl Span {
    /// Its length.
    #[must_use]
    pub const fn length_ns(&self) -> u64 {
        self.to_ns - self.from_ns
    }

    /// How much of it lies from `from_ns` to `to_ns`.
    #[must_use]
    pub fn within_ns(&self, from_ns: u64, to_ns: u64) -> u64 {
        let begin_ns = self.from_ns.max(from_ns);
        self.to_ns.min(to_ns).saturating_sub(begin_ns)
    }
}

/// One task's part in the window. A thread id that was used again has one for each task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskSpans {
    /// Thread id.
    pub tid: u32,
    /// When it was made, or the window's begin.
    pub from_ns: u64,
    /// When it ended, or the window's end.
    pub to_ns: u64,
    /// Its states, in order; they cover the time from `from_ns` to `to_ns`.
    pub spans: Vec<Span>,
    /// Whether its making was seen.
    pub made: bool,
    /// Whether its end was seen.
    pub ended: bool,
    /// Events of it that are missing, as far as the others show.
    pub missing: u64,
}

impl TaskSpans {
    /// Its time in a state.
    #[must_use]
    pub fn time_ns(&self, state: State) -> u64 {
        let spans = self.spans.iter().filter(|span| span.state == state);
        spans.map(Span::length_ns).sum()
    }
}

/// The tasks that have events in the window, by thread id and then time. `events` are ascending in
/// time.
#[must_use]
pub fn task_spans(events: &[TraceEvent], window: TraceWindow) -> Vec<TaskSpans> {
    let mut ended = Vec::new();
    let mut live: BTreeMap<u32, Machine> = BTreeMap::new();
    for event in events {
        let Some(kind) = TraceKind::from_word(event.event) else {
            continue;
        };
        if event.pid == 0 {
            continue;
        }
        let at_ns = event.time_ns.clamp(window.from_ns, window.until_ns);
        if kind == TraceKind::NewTask
            && let Some(predecessor) = live.remove(&event.pid)
        {
            // The end of the task that had this id is missing.
            ended.push(predecessor.end_unseen(at_ns));
        }
        let machine = live.entry(event.pid).or_insert_with(|| {
            let recurs = ended.iter().any(|task| task.tid == event.pid);
            match kind {
                TraceKind::NewTask => Machine::made(event.pid, at_ns),
                // The making of the task that has this id now is missing.
                _ if recurs => Machine::found(event.pid, at_ns),
                _ => Machine::found(event.pid, window.from_ns),
            }
        });
        machine.step(kind, event, at_ns);
        if kind == TraceKind::Exit
            && let Some(machine) = live.remove(&event.pid)
        {
            ended.push(machine.task);
        }
    }
    ended.extend(
        live.into_values()
            .map(|machine| machine.cut(window.until_ns)),
    );
    ended.sort_by_key(|task| (task.tid, task.from_ns));
    ended
}

struct Machine {
    task: TaskSpans,
    state: State,
    since_ns: u64,
    /// When it was last certain that it runs.
    seen_running_ns: u64,
    /// A wake-up while it ran.
    early_wake: Option<Wake>,
    /// What it was blocked in when an early wake-up was taken for the end of that.
    ended_early: Option<BlockedIn>,
    /// Its first event was a wake-up, which may have been an early one.
    first_was_wake: bool,
}

impl Machine {
    fn made(tid: u32, at_ns: u64) -> Self {
        let mut machine = Self::found(tid, at_ns);
        machine.task.made = true;
        machine.state = State::Woken;
        machine
    }

    fn found(tid: u32, from_ns: u64) -> Self {
        Self {
            task: TaskSpans {
                tid,
                from_ns,
                to_ns: from_ns,
                spans: Vec::new(),
                made: false,
                ended: false,
                missing: 0,
            },
            state: State::Unknown,
            since_ns: from_ns,
            seen_running_ns: from_ns,
            early_wake: None,
            ended_early: None,
            first_was_wake: false,
        }
    }

    fn step(&mut self, kind: TraceKind, event: &TraceEvent, at_ns: u64) {
        match kind {
            TraceKind::SwitchIn => self.switch_in(at_ns),
            TraceKind::Block => {
                let blocked = usize::try_from(event.value).ok();
                let blocked = blocked.and_then(|index| BlockedIn::ALL.get(index).copied());
                self.block(at_ns, blocked.unwrap_or(BlockedIn::Other));
            }
            TraceKind::Preempt => {
                self.ran_until(at_ns);
                self.enter(State::Preempted, at_ns);
            }
            TraceKind::Wake => {
                let context = WakeContext::from_value(event.value);
                self.wake(Wake {
                    at_ns,
                    by: event.other,
                    context: context.unwrap_or(WakeContext::Interrupt),
                });
            }
            TraceKind::Exit => {
                self.ran_until(at_ns);
                self.task.ended = true;
                self.close(at_ns, self.state, None);
            }
            TraceKind::Accepted | TraceKind::Read | TraceKind::Sent => {
                self.ran_until(at_ns);
                self.enter(State::OnCpu, at_ns);
                self.seen_running_ns = at_ns;
                self.early_wake = None;
            }
            TraceKind::NewTask
            | TraceKind::Established
            | TraceKind::Queued
            | TraceKind::Arrived
            | TraceKind::Ended => {}
        }
    }

    fn switch_in(&mut self, at_ns: u64) {
        if self.state == State::OnCpu {
            self.leave_unseen(at_ns);
        } else if matches!(self.state, State::Blocked(_)) {
            // Its wake-up is missing, and with it the time on the run queue.
            self.task.missing += 1;
        }
        self.enter(State::OnCpu, at_ns);
        self.seen_running_ns = at_ns;
    }

    fn block(&mut self, at_ns: u64, blocked: BlockedIn) {
        self.ran_until(at_ns);
        let early_wake = self.early_wake.take();
        self.enter(State::Blocked(blocked), at_ns);
        if early_wake.is_some() {
            self.enter(State::Woken, at_ns);
            self.ended_early = Some(blocked);
        }
    }

    fn wake(&mut self, wake: Wake) {
        match (self.state, self.ended_early.take()) {
            // The early one had been for something else.
            (State::Woken, Some(blocked)) => self.state = State::Blocked(blocked),
            (State::OnCpu, _) => {
                self.early_wake = Some(wake);
                return;
            }
            (State::Woken | State::Preempted, _) => return,
            (State::Unknown, _) => self.first_was_wake = self.task.spans.is_empty(),
            (State::Blocked(_), _) => {}
        }
        let waked = matches!(self.state, State::Blocked(_)).then_some(wake);
        self.close(wake.at_ns, self.state, waked);
        self.state = State::Woken;
    }

    /// It is certain that it ran just before `at_ns`: if it was not on a CPU, it came there
    /// unseen.
    fn ran_until(&mut self, at_ns: u64) {
        match self.state {
            State::OnCpu | State::Unknown => {}
            _ => self.lose(at_ns),
        }
        self.ended_early = None;
    }

    /// It left its CPU at some time before `at_ns`.
    fn leave_unseen(&mut self, at_ns: u64) {
        let seen_ns = self.seen_running_ns;
        self.close(seen_ns, State::OnCpu, None);
        self.lose(at_ns);
    }

    /// What happened between the last change and `at_ns` was not seen.
    fn lose(&mut self, at_ns: u64) {
        // After an early wake-up at the begin of the window nothing is missing: it ran.
        if !std::mem::take(&mut self.first_was_wake) {
            self.task.missing += 1;
        }
        self.close(at_ns, State::Unknown, None);
        self.state = State::Unknown;
    }

    fn enter(&mut self, state: State, at_ns: u64) {
        if state != self.state {
            self.close(at_ns, self.state, None);
            self.state = state;
        }
        self.early_wake = None;
        self.ended_early = None;
        self.first_was_wake = false;
    }

    /// Ends the current stretch, as `state`.
    fn close(&mut self, at_ns: u64, state: State, wake: Option<Wake>) {
        let at_ns = at_ns.max(self.since_ns);
        let last = self.task.spans.last_mut();
        match last {
            Some(last) if last.state == state && last.wake.is_none() && wake.is_none() => {
                last.to_ns = at_ns;
            }
            _ if at_ns > self.since_ns => self.task.spans.push(Span {
                from_ns: self.since_ns,
                to_ns: at_ns,
                state,
                wake,
            }),
            _ => {}
        }
        self.since_ns = at_ns;
        self.task.to_ns = at_ns;
    }

    /// The window ends.
    fn cut(mut self, until_ns: u64) -> TaskSpans {
        self.close(until_ns, self.state, None);
        self.task
    }

    /// It ended at some time before `at_ns`.
    fn end_unseen(mut self, at_ns: u64) -> TaskSpans {
        if self.state == State::OnCpu {
            self.leave_unseen(at_ns);
        } else {
            self.lose(at_ns);
        }
        self.task
    }
}

#[cfg(test)]
#[path = "spans_tests.rs"]
mod tests;
