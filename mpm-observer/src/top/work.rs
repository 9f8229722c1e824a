//! What the server's tasks did, counted without a gap although tasks come and go.

use std::collections::HashMap;

use mpm_observer_common::{TaskRecord, TaskTotals};

use crate::live::TaskLook;

/// Work of the server's tasks in some time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Work {
    /// Requests picked up.
    pub requests: u64,
    /// Connections accepted.
    pub accepts: u64,
    /// Time on a CPU, all tasks together.
    pub on_cpu_ns: u64,
    /// Time that they could have run and waited for a CPU.
    pub run_queue_ns: u64,
    /// Switches because a task blocked.
    pub voluntary: u64,
    /// Switches away from a task that could have run on.
    pub involuntary: u64,
    /// Page faults.
    pub faults: u64,
}

impl Work {
    fn of(totals: &TaskTotals) -> Self {
        let sched = &totals.sched;
        Self {
            requests: totals.requests,
            accepts: totals.accepts,
            on_cpu_ns: sched.on_cpu_ns,
            run_queue_ns: sched.woken_wait_ns + sched.preempted_ns,
            voluntary: sched.voluntary,
            involuntary: sched.involuntary,
            faults: totals.faults_user + totals.faults_kernel,
        }
    }

    /// Adds other work.
    pub(super) const fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.accepts += other.accepts;
        self.on_cpu_ns += other.on_cpu_ns;
        self.run_queue_ns += other.run_queue_ns;
        self.voluntary += other.voluntary;
        self.involuntary += other.involuntary;
        self.faults += other.faults;
    }

    /// What came in since `earlier`.
    pub(super) const fn since(&self, earlier: &Self) -> Self {
        Self {
            requests: self.requests.saturating_sub(earlier.requests),
            accepts: self.accepts.saturating_sub(earlier.accepts),
            on_cpu_ns: self.on_cpu_ns.saturating_sub(earlier.on_cpu_ns),
            run_queue_ns: self.run_queue_ns.saturating_sub(earlier.run_queue_ns),
            voluntary: self.voluntary.saturating_sub(earlier.voluntary),
            involuntary: self.involuntary.saturating_sub(earlier.involuntary),
            faults: self.faults.saturating_sub(earlier.faults),
        }
    }
}

/// A task that is in no look and whose end was not told is forgotten after so many looks: its
/// record was lost.
const LOOKS_KEPT: u64 = 30;

#[derive(Clone, Copy, Debug)]
struct Known {
    work: Work,
    look: u64,
    share: f32,
}

/// How far each task was counted. A task is known by its number and when it was made, as numbers
/// recur.
#[derive(Debug, Default)]
pub(super) struct Tally {
    known: HashMap<(u32, u64), Known>,
    looks: u64,
    at_ns: u64,
}

impl Tally {
    /// What all tasks that live did since the last look.
    pub(super) fn look(&mut self, at_ns: u64, tasks: &[TaskLook]) -> Work {
        self.looks += 1;
        let passed_ns = at_ns.saturating_sub(self.at_ns);
        let is_first = self.at_ns == 0;
        self.at_ns = at_ns;
        let mut sum = Work::default();
        for task in tasks {
            let now = Work::of(&task.record.totals);
            let key = (task.record.pid, task.record.created_ns);
            let before = self.known.get(&key).map(|known| known.work);
            let done = now.since(&before.unwrap_or_default());
            sum.add(&done);
            let share = match is_first || passed_ns == 0 {
                true => 0.0,
                false => done.on_cpu_ns as f32 / passed_ns as f32,
            };
            let look = self.looks;
            self.known.insert(
                key,
                Known {
                    work: now,
                    look,
                    share,
                },
            );
        }
        let oldest = self.looks.saturating_sub(LOOKS_KEPT);
        self.known.retain(|_, known| known.look >= oldest);
        sum
    }

    /// What a task did between the last look and its end.
    pub(super) fn ended(&mut self, record: &TaskRecord) -> Work {
        let known = self.known.remove(&(record.pid, record.created_ns));
        Work::of(&record.totals).since(&known.map(|known| known.work).unwrap_or_default())
    }

    /// The share of a CPU that a task had between the last two looks.
    pub(super) fn cpu_share(&self, task: &TaskLook) -> f32 {
        let key = (task.record.pid, task.record.created_ns);
        self.known.get(&key).map_or(0.0, |known| known.share)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::top::made_up::task;

    fn served(pid: u32, created_ns: u64, requests: u64) -> TaskLook {
        let mut task = task(pid);
        task.record.created_ns = created_ns;
        task.record.totals.requests = requests;
        task
    }

    #[test]
    fn work_is_counted_once_however_the_end_of_a_task_and_the_looks_follow_each_other() {
        let mut tally = Tally::default();
        let mut sum = Work::default();
        sum.add(&tally.look(1, &[served(1, 5, 10), served(2, 5, 20)]));
        // The second ends: it is missing from the look before its record comes, …
        sum.add(&tally.look(2, &[served(1, 5, 11)]));
        sum.add(&tally.ended(&served(2, 5, 25).record));
        // … another one of its number begins, and ends between two looks.
        sum.add(&tally.ended(&served(2, 9, 7).record));
        sum.add(&tally.look(3, &[served(1, 5, 12)]));
        assert_eq!(sum.requests, 12 + 25 + 7);
    }

    #[test]
    fn tasks_whose_end_was_lost_are_forgotten() {
        let mut tally = Tally::default();
        for number in 1..1_000 {
            tally.look(u64::from(number), &[served(number, 5, 1)]);
        }
        assert!(tally.known.len() <= LOOKS_KEPT as usize + 1);
    }

    #[test]
    fn the_share_of_a_cpu_is_that_between_two_looks() {
        let mut tally = Tally::default();
        let mut task = served(1, 5, 0);
        task.record.totals.sched.on_cpu_ns = 1_000;
        tally.look(10_000, std::slice::from_ref(&task));
        assert!(tally.cpu_share(&task).abs() < 1e-6, "not known yet");
        task.record.totals.sched.on_cpu_ns = 1_250;
        tally.look(11_000, std::slice::from_ref(&task));
        assert!((tally.cpu_share(&task) - 0.25).abs() < 1e-6);
    }
}
