//! What httpd's tasks did during the load: differences of their cumulative figures.

use std::collections::{BTreeMap, HashMap};

use crate::{httpd::Role, recording::TaskRow, scenario::Mpm};

/// Sums over tasks, during the load.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RoleTotals {
    /// Tasks that were alive at some moment of the load.
    pub tasks: u64,
    /// Time on a CPU, ns.
    pub on_cpu_ns: u64,
    /// Time waiting for a CPU, woken or preempted, ns.
    pub run_queue_ns: u64,
    /// Voluntary switches.
    pub voluntary: u64,
    /// Involuntary switches.
    pub involuntary: u64,
    /// Page faults in user mode.
    pub faults_user: u64,
    /// Page faults in kernel mode.
    pub faults_kernel: u64,
    /// Faults that mapped a page of a file.
    pub faults_file: u64,
    /// Faults that mapped an anonymous page.
    pub faults_anon: u64,
    /// Copy-on-write faults.
    pub faults_cow: u64,
    /// Connections accepted.
    pub accepts: u64,
    /// Accepts that found the queue empty.
    pub accepts_again: u64,
    /// Accepts that failed.
    pub accepts_failed: u64,
}

impl RoleTotals {
    fn add(&mut self, sign: i64, row: &TaskRow) {
        let step = |sum: &mut u64, value: u64| {
            *sum = if sign < 0 {
                sum.saturating_sub(value)
            } else {
                *sum + value
            };
        };
        step(&mut self.on_cpu_ns, row.on_cpu_ns);
        step(&mut self.run_queue_ns, row.woken_wait_ns + row.preempted_ns);
        step(&mut self.voluntary, row.voluntary);
        step(&mut self.involuntary, row.involuntary);
        step(&mut self.faults_user, row.faults_user);
        step(&mut self.faults_kernel, row.faults_kernel);
        step(&mut self.faults_file, row.faults_file);
        step(&mut self.faults_anon, row.faults_anon);
        step(&mut self.faults_cow, row.faults_cow);
        step(&mut self.accepts, row.accepts);
        step(&mut self.accepts_again, row.accepts_again);
        step(&mut self.accepts_failed, row.accepts_failed);
    }
}

/// What happened during the load.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskDeltas {
    /// All tasks together.
    pub all: RoleTotals,
    /// By role.
    pub by_role: BTreeMap<String, RoleTotals>,
    /// Accepts of each task that accepts (a child in prefork, a listener otherwise), unordered.
    pub accepts_by_task: Vec<u64>,
    /// Requests picked up by each task that serves, unordered.
    pub requests_by_task: Vec<u64>,
    /// Tasks made during the load.
    pub created: u64,
    /// Tasks that a signal killed, at any time.
    pub killed: u64,
}

/// Differences between the begin and the end of the load, from the rows of all moments. A task
/// that ended in between counts up to its end. `load_ns` is the load's begin and end; `mpm` tells
/// which role accepts and which serves.
#[must_use]
pub fn task_deltas(rows: &[TaskRow], load_ns: (u64, u64), mpm: Mpm) -> TaskDeltas {
    let (acceptor, server) = match mpm {
        Mpm::Prefork => (Role::Child, Role::Child),
        Mpm::Worker | Mpm::Event => (Role::Listener, Role::Worker),
    };
    // A thread id recurs, so the task's begin belongs to its name.
    let mut tasks: HashMap<(u32, u64), [Option<&TaskRow>; 3]> = HashMap::new();
    for row in rows {
        tasks.entry((row.tid, row.created_ns)).or_default()[row.moment as usize] = Some(row);
    }
    let mut deltas = TaskDeltas::default();
    for [begin, end, last] in tasks.into_values() {
        if last.is_some_and(|row| row.exit_signal != 0 && !row.alive) {
            deltas.killed += 1;
        }
        let ended_during = last.filter(|row| (load_ns.0..=load_ns.1).contains(&row.exited_ns));
        let Some(until) = end.or(ended_during) else {
            continue;
        };
        if begin.is_none() && until.created_ns >= load_ns.0 {
            deltas.created += 1;
        }
        let role = deltas.by_role.entry(until.role.clone()).or_default();
        for totals in [role, &mut deltas.all] {
            totals.tasks += 1;
            totals.add(1, until);
            if let Some(begin) = begin {
                totals.add(-1, begin);
            }
        }
        let before = |figure: fn(&TaskRow) -> u64| begin.map_or(0, figure);
        if until.role == acceptor.name() {
            let accepts = until.accepts.saturating_sub(before(|row| row.accepts));
            deltas.accepts_by_task.push(accepts);
        }
        if until.role == server.name() {
            let requests = until.requests.saturating_sub(before(|row| row.requests));
            deltas.requests_by_task.push(requests);
        }
    }
    deltas
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::Moment;

    fn row(tid: u32, moment: Moment, role: &str, voluntary: u64) -> TaskRow {
        TaskRow {
            moment,
            tid,
            role: role.into(),
            created_ns: 1,
            voluntary,
            accepts: voluntary / 2,
            requests: voluntary / 2,
            ..TaskRow::default()
        }
    }

    #[test]
    fn what_was_before_the_load_does_not_count() {
        let rows = [
            row(1, Moment::LoadBegin, "child", 10),
            row(1, Moment::LoadEnd, "child", 30),
            row(1, Moment::End, "child", 99),
        ];
        let deltas = task_deltas(&rows, (100, 200), Mpm::Prefork);
        assert_eq!(deltas.all.voluntary, 20);
        assert_eq!(deltas.by_role["child"].tasks, 1);
        assert_eq!(deltas.accepts_by_task, [10]);
        assert_eq!(deltas.requests_by_task, [10]);
        assert_eq!(deltas.created, 0);
    }

    #[test]
    fn a_task_made_and_ended_during_the_load_counts_whole() {
        let ended = TaskRow {
            created_ns: 120,
            exited_ns: 180,
            exit_signal: 9,
            ..row(2, Moment::End, "child", 8)
        };
        let deltas = task_deltas(&[ended], (100, 200), Mpm::Prefork);
        assert_eq!(deltas.all.voluntary, 8);
        assert_eq!(deltas.created, 1);
        assert_eq!(deltas.killed, 1);
    }

    #[test]
    fn a_task_that_ended_before_the_load_does_not_count() {
        let ended = TaskRow {
            exited_ns: 50,
            ..row(2, Moment::End, "thread", 8)
        };
        assert_eq!(
            task_deltas(&[ended], (100, 200), Mpm::Prefork),
            TaskDeltas::default()
        );
    }
}
