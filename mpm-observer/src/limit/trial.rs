//! What a trial shows: whether the load was served without a failure, and if not, what failed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    findings::errno_name,
    recording::{
        FailureKind, FailureRow, Manifest, Moment, Purpose, RecordingError, RunDir, Status,
        TaskRow, read_table,
    },
    scenario::{Mpm, RunPlan, ServerPlan},
};

/// What happened in one trial.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signs {
    /// Whether httpd answered at all.
    pub started: bool,
    /// Requests that the load was to send.
    pub requests: u64,
    /// Requests that were answered with a status of 2xx.
    pub ok: u64,
    /// Processes and threads that httpd was to have at the end of the load, without its parent.
    pub tasks_wanted: u32,
    /// … that it had.
    pub tasks: u32,
    /// Tasks that were ended by a signal before the load had ended.
    pub killed: u32,
    /// Processes that the kernel chose to be killed for want of memory until then; their threads
    /// are among `killed`.
    #[serde(default)]
    pub oom_kills: u32,
    /// Child processes that ended with an error status before the load had ended.
    pub sick: u32,
    /// Processes and threads that httpd tried to make in vain before the load had ended, as far as
    /// the kernel, the control group or httpd's log tells.
    pub refused_tasks: u32,
    /// System calls that were refused a resource before the load had ended. They need not do
    /// harm: malloc, for instance, does without an arena that it cannot have.
    pub refused_calls: u32,
    /// The most frequent of them, such as `mmap with ENOMEM`.
    #[serde(default)]
    pub refused_mostly: Option<String>,
    /// Why httpd did not start, in one line.
    pub start_failure: Option<String>,
}

/// httpd's messages that it could not fork, of prefork, worker and event.
const FORK_FAILED: [&str; 3] = ["AH00159", "AH00283", "AH00481"];

/// What the load came to.
#[derive(Clone, Copy)]
struct Answered {
    /// Requests that were answered with 2xx.
    ok: u64,
    /// When its last request ended.
    ended_ns: u64,
}

/// What counts as a failure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Counts {
    /// What somebody notices: httpd does not answer, a request is not answered with 2xx, a process
    /// or thread is missing, killed, or ended with an error.
    #[default]
    Consequences,
    /// Also a refused system call that had no consequence.
    RefusedCalls,
}

impl Signs {
    /// Reads a finished run of `plan`.
    ///
    /// # Errors
    /// When its tables cannot be listed.
    pub fn read(plan: &RunPlan, manifest: &Manifest, dir: &RunDir) -> Result<Self, RecordingError> {
        let tasks = read_table::<TaskRow>(dir.path())?.rows;
        let failures = read_table::<FailureRow>(dir.path())?.rows;
        let load = manifest.load.as_ref().map(|load| Answered {
            ok: load.summary.outcomes.get(loadgen::Outcome::Ok),
            ended_ns: load.ended_ns,
        });
        let signs = Self::of_load(plan, load, &tasks, &failures);
        let codes = &manifest.start.log_codes;
        let fork_failed = FORK_FAILED
            .iter()
            .any(|code| codes.iter().any(|c| c == code));
        // The group's own counts go on after the load; they stand in for rows that are missing.
        let is_blind = !manifest.absent_programs.is_empty() || manifest.counters.lost() > 0;
        let counted = manifest.cgroup.filter(|_| is_blind).unwrap_or_default();
        let at_least = |seen: u32, counted: Option<u64>| {
            seen.max(u32::try_from(counted.unwrap_or(0)).unwrap_or(u32::MAX))
        };
        Ok(Self {
            started: manifest.status != Status::NotStarted,
            start_failure: manifest.start.failure.clone(),
            killed: at_least(signs.killed, counted.oom_kills),
            oom_kills: at_least(signs.oom_kills, counted.oom_kills),
            refused_tasks: at_least(
                signs.refused_tasks.max(u32::from(fork_failed)),
                counted.pids_refused,
            ),
            refused_calls: at_least(signs.refused_calls, counted.pids_refused),
            ..signs
        })
    }

    /// The signs of an httpd that answered, with the rows of its tasks and failures.
    fn of_load(
        plan: &RunPlan,
        load: Option<Answered>,
        tasks: &[TaskRow],
        failures: &[FailureRow],
    ) -> Self {
        // What ends after the load is ended by the lab.
        let end_ns = load.map_or(u64::MAX, |load| load.ended_ns);
        let ended =
            |task: &&TaskRow| task.moment == Moment::End && !task.alive && task.exited_ns <= end_ns;
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let killed = tasks.iter().filter(ended).filter(|t| t.exit_signal != 0);
        let sick = tasks
            .iter()
            .filter(ended)
            .filter(|t| !t.is_thread && !t.is_first && t.exit_signal == 0 && t.exit_status != 0);
        let of_kind = |kind| {
            let rows = failures.iter();
            count(rows.filter(|f| f.kind == kind && f.t_ns <= end_ns).count())
        };
        let refused_tasks = failures.iter().filter(|f| {
            let for_task = matches!(
                f.purpose,
                Purpose::Process | Purpose::Thread | Purpose::ThreadStack
            );
            f.kind == FailureKind::Call && for_task && f.t_ns <= end_ns
        });
        let present = tasks
            .iter()
            .filter(|t| t.moment == Moment::LoadEnd && !of_first_process(t, tasks));
        Self {
            started: true,
            requests: plan.load.requests,
            ok: load.map_or(0, |load| load.ok),
            tasks_wanted: tasks_wanted(&plan.server, plan.mpm),
            tasks: count(present.count()),
            killed: count(killed.count()).max(of_kind(FailureKind::OomKill)),
            oom_kills: of_kind(FailureKind::OomKill),
            sick: count(sick.count()),
            refused_tasks: count(refused_tasks.count()),
            refused_calls: of_kind(FailureKind::Call),
            refused_mostly: refused_mostly(failures.iter().filter(|f| f.t_ns <= end_ns)),
            start_failure: None,
        }
    }

    /// A trial in which httpd's program could not even be started.
    #[must_use]
    pub fn of_no_start(requests: u64, why: String) -> Self {
        Self {
            requests,
            start_failure: Some(why),
            ..Self::default()
        }
    }

    /// Whether the load was not served without a failure.
    #[must_use]
    pub fn failed(&self, counts: Counts) -> bool {
        !self.started
            || self.ok < self.requests
            || self.missing() > 0
            || self.killed > 0
            || self.sick > 0
            || (counts == Counts::RefusedCalls && self.refused_calls > 0)
    }

    /// How many tasks were missing because httpd could not make them or lost them. Without such a
    /// sign it may just not have come to it: the load competes with its start.
    #[must_use]
    pub fn missing(&self) -> u32 {
        if self.refused_tasks + self.killed + self.sick == 0 {
            return 0;
        }
        self.tasks_wanted.saturating_sub(self.tasks)
    }

    /// The share of the requests that were not answered with 2xx; 1 if httpd did not answer.
    #[must_use]
    pub fn failure_share(&self) -> f64 {
        if !self.started {
            return 1.0;
        }
        1.0 - self.ok as f64 / self.requests.max(1) as f64
    }

    /// What failed, in a few words; `served` if nothing did.
    #[must_use]
    pub fn in_one_line(&self) -> String {
        if !self.started {
            let why = self
                .start_failure
                .as_deref()
                .unwrap_or("httpd did not start");
            return without_echoes(why);
        }
        let mut parts = Vec::new();
        let mut tell = |number: u64, one: &str, more: &str, what: &str| {
            if number > 0 {
                let noun = if number == 1 { one } else { more };
                parts.push(format!("{number} {noun} {what}"));
            }
        };
        let failed = self.requests.saturating_sub(self.ok);
        tell(failed, "request", "requests", "failed");
        let missing = self.missing();
        tell(missing.into(), "task", "tasks", "missing");
        let killed = match self.oom_kills {
            0 => "killed".to_owned(),
            1 => "killed (1 process for want of memory)".to_owned(),
            more => format!("killed ({more} processes for want of memory)"),
        };
        tell(self.killed.into(), "task", "tasks", &killed);
        tell(self.sick.into(), "child", "children", "ended with an error");
        let refused = match &self.refused_mostly {
            Some(most) => format!("refused ({most})"),
            None => "refused".to_owned(),
        };
        tell(self.refused_calls.into(), "call", "calls", &refused);
        if parts.is_empty() {
            return "served".into();
        }
        parts.join(", ")
    }
}

/// The most frequent of the refused calls, in words.
fn refused_mostly<'a>(failures: impl Iterator<Item = &'a FailureRow>) -> Option<String> {
    let mut counts: BTreeMap<(&str, u32), u32> = BTreeMap::new();
    for row in failures.filter(|row| row.kind == FailureKind::Call) {
        *counts.entry((&row.call, row.errno)).or_default() += 1;
    }
    let several = if counts.len() > 1 { "mostly " } else { "" };
    let ((call, errno), _) = counts.into_iter().max_by_key(|(_, count)| *count)?;
    Some(format!("{several}{call} with {}", errno_name(errno)))
}

/// A message whose parts come once each: every child of httpd may have said the same.
fn without_echoes(text: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in text.split("; ") {
        let is_echo = |earlier: &&str| earlier.ends_with(part);
        if !parts.iter().any(is_echo) {
            parts.push(part);
        }
    }
    parts.join("; ")
}

/// The tasks that httpd starts with, without its parent: a process for each slot of prefork, and
/// for each child of the others a thread for each slot, the listener and the first task. An httpd
/// that is left to start more by itself need not have more.
fn tasks_wanted(server: &ServerPlan, mpm: Mpm) -> u32 {
    let children = server.start_servers.min(server.children());
    if mpm.is_threaded() {
        children * (server.threads_per_child + 2)
    } else {
        children
    }
}

fn of_first_process(task: &TaskRow, tasks: &[TaskRow]) -> bool {
    tasks
        .iter()
        .any(|other| other.is_first && other.pid == task.pid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limit::load::{Changes, plans};

    const ALL_OK: Option<Answered> = Some(Answered {
        ok: 40,
        ended_ns: 1000,
    });

    /// Two prefork children that were there to the end, with 40 requests to serve.
    fn two_children() -> (RunPlan, Vec<TaskRow>) {
        let changes = Changes {
            slots: Some(2),
            ..Changes::default()
        };
        let plan = plans(None, &[Mpm::Prefork], changes).unwrap().remove(0);
        let row = |moment, pid| TaskRow {
            moment,
            tid: pid,
            pid,
            is_first: pid == 1,
            exited_ns: 2000,
            ..TaskRow::default()
        };
        let rows = [Moment::LoadEnd, Moment::End]
            .into_iter()
            .flat_map(|moment| [1, 2, 3].map(|pid| row(moment, pid)))
            .collect();
        (plan, rows)
    }

    #[test]
    fn a_load_that_is_served_by_all_tasks_is_no_failure() {
        let (plan, tasks) = two_children();
        let signs = Signs::of_load(&plan, ALL_OK, &tasks, &[]);
        assert!(!signs.failed(Counts::RefusedCalls), "{signs:?}");
        assert_eq!((signs.tasks, signs.tasks_wanted), (2, 2));
        assert_eq!(signs.in_one_line(), "served");
        assert_eq!(signs.failure_share(), 0.0);
    }

    #[test]
    fn a_task_that_is_missing_killed_or_sick_is_a_failure_though_all_was_answered() {
        let (plan, tasks) = two_children();
        let change = |change: fn(&mut TaskRow)| {
            let mut tasks = tasks.clone();
            let last = tasks.len() - 1;
            change(&mut tasks[last]);
            Signs::of_load(&plan, ALL_OK, &tasks, &[])
        };
        let refused = FailureRow {
            purpose: Purpose::Process,
            call: "clone".into(),
            errno: 11,
            ..FailureRow::default()
        };
        let missing = Signs::of_load(&plan, ALL_OK, &tasks[3..], &[refused]);
        assert_eq!(
            missing.in_one_line(),
            "2 tasks missing, 1 call refused (clone with EAGAIN)"
        );
        // It was still starting them.
        let late = Signs::of_load(&plan, ALL_OK, &tasks[3..], &[]);
        assert!(!late.failed(Counts::RefusedCalls), "{late:?}");
        let killed = change(|task| (task.exit_signal, task.exited_ns) = (9, 900));
        assert_eq!(killed.in_one_line(), "1 task killed");
        let sick = change(|task| (task.exit_status, task.exited_ns) = (7, 900));
        assert_eq!(sick.in_one_line(), "1 child ended with an error");
        for signs in [missing, killed, sick] {
            assert!(signs.failed(Counts::Consequences));
        }
        // After the load it is the lab that ends them.
        let ended = change(|task| (task.exit_signal, task.exited_ns) = (15, 1100));
        assert!(!ended.failed(Counts::Consequences));
    }

    #[test]
    fn a_refused_call_without_a_consequence_counts_only_if_wanted() {
        let (plan, tasks) = two_children();
        let refused = FailureRow {
            t_ns: 500,
            errno: 12,
            ..FailureRow::default()
        };
        let late = FailureRow {
            t_ns: 1500,
            ..refused.clone()
        };
        let signs = Signs::of_load(&plan, ALL_OK, &tasks, &[refused, late]);
        assert_eq!(signs.refused_calls, 1);
        assert!(!signs.failed(Counts::Consequences));
        assert!(signs.failed(Counts::RefusedCalls));
    }

    #[test]
    fn what_was_killed_for_want_of_memory_and_what_was_refused_most_is_named() {
        let (plan, tasks) = two_children();
        let row = |kind, call: &str, errno, t_ns| FailureRow {
            kind,
            call: call.into(),
            errno,
            t_ns,
            ..FailureRow::default()
        };
        let failures = [
            row(FailureKind::Call, "openat", 24, 1),
            row(FailureKind::Call, "mmap", 12, 2),
            row(FailureKind::Call, "mmap", 12, 3),
            row(FailureKind::OomKill, "", 0, 4),
            // After the load.
            row(FailureKind::OomKill, "", 0, 2000),
        ];
        let signs = Signs::of_load(&plan, ALL_OK, &tasks, &failures);
        assert_eq!((signs.oom_kills, signs.refused_calls), (1, 3));
        assert_eq!(
            signs.in_one_line(),
            "1 task killed (1 process for want of memory), 3 calls refused (mostly mmap with ENOMEM)"
        );
    }

    #[test]
    fn an_httpd_that_does_not_answer_fails_all() {
        let signs = Signs::of_no_start(40, "httpd ended with status 1".into());
        assert!(signs.failed(Counts::Consequences));
        assert_eq!(signs.failure_share(), 1.0);
        assert_eq!(signs.in_one_line(), "httpd ended with status 1");
    }

    #[test]
    fn what_every_child_says_is_told_once() {
        let signs = Signs::of_no_start(40, "no answer: out of memory; out of memory; gone".into());
        assert_eq!(signs.in_one_line(), "no answer: out of memory; gone");
    }

    #[test]
    fn one_failed_request_is_a_failure() {
        let (plan, tasks) = two_children();
        let load = ALL_OK.map(|load| Answered { ok: 39, ..load });
        let signs = Signs::of_load(&plan, load, &tasks, &[]);
        assert!(signs.failed(Counts::Consequences));
        assert_eq!(signs.in_one_line(), "1 request failed");
        assert!((signs.failure_share() - 1.0 / 40.0).abs() < 1e-12);
    }
}
