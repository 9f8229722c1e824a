//! Stopping a task by a signal, and what is known of it.

use std::{thread, time::Duration};

use loadgen::clock::monotonic_ns;
use mpm_observer::correlate::Phase;
use nix::sys::signal::Signal;

use crate::{
    client::Exchange,
    inside::had_cpu_ns,
    span::Span,
    stand::{Task, signal, until},
};

/// A stop of a task. Each end of it lies between two times.
pub struct Stop {
    /// It was not stopped yet.
    from_ns: u64,
    /// It was seen to be stopped, and …
    stopped_ns: u64,
    /// … was so still.
    until_ns: u64,
    /// It was seen to have run again.
    ran_ns: u64,
}

impl Stop {
    /// Stops a task for a while.
    pub fn of(task: Task, length: Duration) -> Self {
        let from_ns = monotonic_ns();
        signal(task, Signal::SIGSTOP);
        let stopped_ns = until_stopped(task);
        thread::sleep(length);
        let (until_ns, ran_ns) = resume(task);
        Self {
            from_ns,
            stopped_ns,
            until_ns,
            ran_ns,
        }
    }

    pub fn length(&self) -> Span {
        Span {
            least_ns: self.until_ns - self.stopped_ns,
            most_ns: self.ran_ns - self.from_ns,
        }
    }

    /// The task's time on a CPU while it spun. `None`: the stop was not within.
    pub fn rest_on_cpu(&self, exchange: &Exchange) -> Option<(Phase, Span)> {
        let told = |name| exchange.told(name);
        let within = told("Begin") <= self.from_ns && self.ran_ns <= told("End");
        // Linux (6.18) sometimes counts the stop as a wait for a CPU.
        let rest_ns = had_cpu_ns(exchange).saturating_sub(self.length().least_ns);
        let rest = Span {
            least_ns: told("Cpu"),
            most_ns: rest_ns.max(told("Cpu")),
        };
        within.then_some((Phase::OnCpu, rest))
    }

    /// Its sleep, in which it is woken to be stopped. `None`: the stop was not within.
    pub fn rest_asleep(&self, exchange: &Exchange) -> Option<(Phase, Span)> {
        let told = |name| exchange.told(name);
        let (begin_ns, due_ns) = (told("Begin"), told("Release"));
        if begin_ns > self.from_ns || self.ran_ns > due_ns {
            return None;
        }
        // A timer may be late.
        let woken_ns = due_ns.max(told("End") - told("Wait"));
        let least_ns = (self.from_ns - begin_ns) + (due_ns - self.ran_ns);
        let rest = Span {
            least_ns: least_ns.saturating_sub(told("Cpu")),
            most_ns: (self.stopped_ns - begin_ns) + (woken_ns - self.until_ns),
        };
        Some((Phase::Sleep, rest))
    }
}

/// Waits until a task is stopped by a signal; returns when that was seen.
pub fn until_stopped(task: Task) -> u64 {
    until("the task is stopped", || {
        task.read("stat")
            .rsplit(") ")
            .next()
            .is_some_and(|rest| rest.starts_with('T'))
    });
    monotonic_ns()
}

/// Lets a stopped task go on; returns when it was still stopped, and when it was seen to have run.
pub fn resume(task: Task) -> (u64, u64) {
    let times_run = || {
        let counts = task.read("schedstat");
        counts.split_whitespace().nth(2).map(str::to_owned)
    };
    let before = times_run();
    let stopped_ns = monotonic_ns();
    signal(task, Signal::SIGCONT);
    until("the task has run", || times_run() != before);
    (stopped_ns, monotonic_ns())
}
