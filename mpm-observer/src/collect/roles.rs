//! The role of each task, from its record.

use std::collections::HashMap;

use mpm_observer_common::{TaskFlags, TaskRecord};

use crate::{
    httpd::{self, Facts},
    recording::Moment,
    scenario::Mpm,
};

/// The name of each task's role, from what it had done by its end.
pub(super) fn roles(
    tasks: &[(Moment, TaskRecord)],
    mpm: Mpm,
) -> impl Fn(&TaskRecord) -> String + use<> {
    let first = tasks
        .iter()
        .find(|(_, task)| task.flags & TaskFlags::FIRST != 0)
        .map(|(_, task)| task.tgid);
    let at_end: HashMap<(u32, u64), Facts> = tasks
        .iter()
        .filter(|(moment, _)| *moment == Moment::End)
        .map(|(_, task)| {
            let facts = Facts::of(task, mpm, first);
            ((task.pid, task.created_ns), facts)
        })
        .collect();
    move |task| {
        let facts = at_end
            .get(&(task.pid, task.created_ns))
            .copied()
            // Of one whose end is not there its deeds are not known.
            .unwrap_or_else(|| Facts {
                accept_attempts: 0,
                requests_served: 0,
                ..Facts::of(task, mpm, first)
            });
        httpd::role(facts).name().to_owned()
    }
}

/// The task that had a thread id at a moment: thread ids recur. A snapshot of it does as well, if
/// its end is not there.
pub(super) fn task_at(
    tasks: &[(Moment, TaskRecord)],
    pid: u32,
    time_ns: u64,
) -> Option<&TaskRecord> {
    let of_id = tasks
        .iter()
        .map(|(_, task)| task)
        .filter(|task| task.pid == pid);
    of_id
        .filter(|task| task.created_ns <= time_ns)
        .max_by_key(|task| task.created_ns)
}

#[cfg(test)]
mod tests {
    use mpm_observer_common::TaskTotals;

    use super::*;

    fn task(pid: u32, tgid: u32, flags: u32, accepts: u64, requests: u64) -> TaskRecord {
        TaskRecord {
            pid,
            tgid,
            flags,
            created_ns: u64::from(pid),
            totals: TaskTotals {
                accepts_interrupted: accepts,
                requests,
                ..TaskTotals::default()
            },
            ..TaskRecord::default()
        }
    }

    #[test]
    fn an_early_snapshot_gets_the_role_that_the_tasks_end_shows() {
        let early = task(12, 11, TaskFlags::THREAD, 0, 0);
        let of_first = |pid, flags| TaskRecord {
            parent_tgid: 10,
            ..task(pid, pid, flags, 0, 0)
        };
        // A snapshot of a log's program, before and after it was executed.
        let program = |flags| of_first(14, flags);
        let tasks = [
            (Moment::End, task(10, 10, TaskFlags::FIRST, 0, 0)),
            (Moment::End, of_first(11, 0)),
            (Moment::LoadBegin, early),
            (Moment::End, task(12, 11, TaskFlags::THREAD, 1, 0)),
            (Moment::End, task(13, 11, TaskFlags::THREAD, 0, 5)),
            (Moment::LoadBegin, program(0)),
            (Moment::End, program(TaskFlags::OTHER_PROGRAM)),
        ];
        let role = roles(&tasks, Mpm::Event);
        let names: Vec<String> = tasks.iter().map(|(_, task)| role(task)).collect();
        let expected = [
            "parent", "child", "listener", "listener", "worker", "helper", "helper",
        ];
        assert_eq!(names, expected);
    }

    #[test]
    fn of_two_tasks_with_one_thread_id_it_is_the_one_that_lived_then() {
        let begun = |created_ns| TaskRecord {
            created_ns,
            ..task(12, 12, 0, 0, 0)
        };
        let tasks = [(Moment::End, begun(100)), (Moment::End, begun(200))];
        let created = |time_ns| task_at(&tasks, 12, time_ns).map(|task| task.created_ns);
        assert_eq!(created(99), None);
        assert_eq!(created(150), Some(100));
        assert_eq!(created(200), Some(200));
        assert!(task_at(&tasks, 13, 150).is_none());
    }
}
