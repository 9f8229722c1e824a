//! What a task does at a moment, from what the programs and the system say of it.

use mpm_observer_common::{BlockedIn, OffCpu, TaskState};

use super::now::{Polls, TaskNow};
use crate::kernel::{is_accept, is_wait_for_events, kind_of_call};

/// What a task does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    /// It is on a CPU.
    Runs,
    /// It could run, and waits for a CPU.
    WaitsForCpu,
    /// It is blocked.
    Blocked(Wait),
}

/// What a task is blocked in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// A call that accepts a connection.
    Accept,
    /// epoll: for one of many.
    Events,
    /// poll, for one descriptor.
    One(Polls),
    /// Something else, or it is known no better.
    In(BlockedIn),
}

impl Wait {
    /// Its kind.
    #[must_use]
    pub const fn kind(self) -> BlockedIn {
        match self {
            Self::Accept => BlockedIn::Receive,
            Self::Events | Self::One(_) => BlockedIn::Poll,
            Self::In(kind) => kind,
        }
    }
}

impl Doing {
    /// What a task does whose last switch left it in `state`, and of which the system says `now`.
    #[must_use]
    pub fn of(state: &TaskState, now: Option<TaskNow>) -> Self {
        if state.off_cpu == OffCpu::Running as u32 {
            return Self::Runs;
        }
        if state.off_cpu == OffCpu::Preempted as u32 || now == Some(TaskNow::Runnable) {
            return Self::WaitsForCpu;
        }
        let kind = BlockedIn::ALL
            .get(state.blocked_in as usize)
            .copied()
            .unwrap_or(BlockedIn::Other);
        let Some(TaskNow::Call { number, polls }) = now else {
            return Self::Blocked(Wait::In(kind));
        };
        let by_call = kind_of_call(number);
        // Of a task that has not been switched since it is followed the call alone is known.
        let kind = if state.wants_base() { by_call } else { kind };
        Self::Blocked(match polls {
            // Meanwhile it may have gone on to another call.
            _ if kind != by_call => Wait::In(kind),
            Some(polls) => Wait::One(polls),
            None if is_accept(number) => Wait::Accept,
            None if is_wait_for_events(number) => Wait::Events,
            None => Wait::In(kind),
        })
    }

    /// What it is blocked in.
    #[must_use]
    pub const fn wait(self) -> Option<Wait> {
        match self {
            Self::Blocked(wait) => Some(wait),
            Self::Runs | Self::WaitsForCpu => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use mpm_observer_common::TaskFlags;
    use nix::libc;

    use super::*;

    fn state(off_cpu: OffCpu, blocked_in: BlockedIn) -> TaskState {
        TaskState {
            off_cpu: off_cpu as u32,
            blocked_in: blocked_in as u32,
            ..TaskState::begin(1)
        }
    }

    fn adopted() -> TaskState {
        let mut state = state(OffCpu::Blocked, BlockedIn::Other);
        state.record.flags |= TaskFlags::BASE_WANTED;
        state
    }

    fn call(number: libc::c_long, polls: Option<Polls>) -> Option<TaskNow> {
        let number = number as u32;
        Some(TaskNow::Call { number, polls })
    }

    const POLLS: Polls = Polls {
        fd: 9,
        to_write: true,
    };

    #[test]
    fn a_task_that_was_woken_waits_for_a_cpu_whatever_it_was_blocked_in() {
        for kind in BlockedIn::ALL {
            let state = state(OffCpu::Blocked, kind);
            let woken = Doing::of(&state, Some(TaskNow::Runnable));
            assert_eq!(woken, Doing::WaitsForCpu);
            let blocked = Doing::of(&state, None);
            assert_eq!(blocked, Doing::Blocked(Wait::In(kind)));
        }
    }

    #[test]
    fn a_task_on_a_cpu_runs_and_a_preempted_one_waits_for_it() {
        let runs = state(OffCpu::Running, BlockedIn::Poll);
        assert_eq!(Doing::of(&runs, Some(TaskNow::Runnable)), Doing::Runs);
        let preempted = state(OffCpu::Preempted, BlockedIn::Poll);
        assert_eq!(Doing::of(&preempted, None), Doing::WaitsForCpu);
    }

    #[test]
    fn the_call_of_a_task_blocked_since_before_it_was_followed_is_the_systems() {
        let waits = |now| Doing::of(&adopted(), now).wait().unwrap();
        assert_eq!(waits(call(libc::SYS_accept4, None)), Wait::Accept);
        assert_eq!(waits(call(libc::SYS_epoll_wait, None)), Wait::Events);
        assert_eq!(waits(call(libc::SYS_poll, Some(POLLS))), Wait::One(POLLS));
        let futex = waits(call(libc::SYS_futex, None));
        assert_eq!(futex, Wait::In(BlockedIn::Futex));
        assert_eq!(waits(None), Wait::In(BlockedIn::Other));
        let outside = waits(Some(TaskNow::OutsideOfCall));
        assert_eq!(outside, Wait::In(BlockedIn::Other));
    }

    #[test]
    fn a_call_that_came_after_the_last_switch_does_not_count() {
        let futex = state(OffCpu::Blocked, BlockedIn::Futex);
        let polling = call(libc::SYS_poll, Some(POLLS));
        assert_eq!(
            Doing::of(&futex, polling),
            Doing::Blocked(Wait::In(BlockedIn::Futex))
        );
        // It reads a file: the call alone would say a socket.
        let file = state(OffCpu::Blocked, BlockedIn::File);
        let reading = call(libc::SYS_read, None);
        let kind = Doing::of(&file, reading).wait().unwrap().kind();
        assert_eq!(kind, BlockedIn::File);
    }

    #[test]
    fn each_wait_has_its_kind() {
        assert_eq!(Wait::Accept.kind(), BlockedIn::Receive);
        assert_eq!(Wait::Events.kind(), BlockedIn::Poll);
        assert_eq!(Wait::One(POLLS).kind(), BlockedIn::Poll);
        assert_eq!(Wait::In(BlockedIn::Sleep).kind(), BlockedIn::Sleep);
    }
}
