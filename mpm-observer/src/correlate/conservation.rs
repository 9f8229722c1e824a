//! Does a run's time add up, was every request seen, and are the counts those of the kernel?

use std::collections::BTreeMap;

use super::{Missing, RunAnalysis};
use crate::{
    recording::{Moment, TaskRow},
    statistics::rank,
};

/// Goal for the residual's median, as a share of a request's wall time.
pub const GOAL_RESIDUAL_MEDIAN: f64 = 0.002;
/// Goal for the residual's 99th percentile.
pub const GOAL_RESIDUAL_P99: f64 = 0.01;
/// Goal for the share of the successful requests that are seen from both sides.
pub const GOAL_JOINED: f64 = 0.9999;

/// How well the time of requests is accounted for. Of several runs together: see [`Self::add`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Conservation {
    /// Successful requests of the client.
    pub ok: u64,
    /// … seen from both sides.
    pub joined: u64,
    /// … not seen by the kernel, by cause.
    pub missing: BTreeMap<Missing, u64>,
    /// … seen, but touched by a loss; left out of all figures of phases.
    pub touched: u64,
    /// Events lost.
    pub lost: u64,
    /// Runs of programs that the kernel skipped.
    pub skipped: u64,
    /// Requests with a phase whose end lies before its begin.
    pub negative: u64,
    /// Requests with a phase longer than their wall time.
    pub too_long: u64,
    /// Residual of each request as a share of its wall time, without its sign, ascending.
    pub residuals: Vec<f64>,
}

impl Conservation {
    /// Of one run.
    #[must_use]
    pub fn of(run: &RunAnalysis) -> Self {
        let phases = run.phases();
        let mut residuals: Vec<f64> = phases.iter().map(super::Phases::residual_share).collect();
        residuals.sort_by(f64::total_cmp);
        let count = |holds: fn(&super::Phases) -> bool| {
            phases.iter().filter(|phases| holds(phases)).count() as u64
        };
        Self {
            ok: run.ok(),
            joined: run.ok() - run.join.missing_count().min(run.ok()),
            missing: run.join.missing.clone(),
            touched: run.touched(),
            lost: run.manifest.counters.lost(),
            skipped: run.manifest.counters.skipped(),
            negative: count(|phases| phases.negative > 0),
            too_long: count(|phases| phases.longest().1 > phases.wall_ns),
            residuals,
        }
    }

    /// Takes in another run.
    pub fn add(&mut self, other: &Self) {
        self.ok += other.ok;
        self.joined += other.joined;
        for (&cause, count) in &other.missing {
            *self.missing.entry(cause).or_default() += count;
        }
        self.touched += other.touched;
        self.lost += other.lost;
        self.skipped += other.skipped;
        self.negative += other.negative;
        self.too_long += other.too_long;
        self.residuals.extend(&other.residuals);
        self.residuals.sort_by(f64::total_cmp);
    }

    /// Share of the successful requests that are seen from both sides; `None` without any.
    #[must_use]
    pub fn joined_share(&self) -> Option<f64> {
        (self.ok > 0).then(|| self.joined as f64 / self.ok as f64)
    }

    /// The residual that a share `q` of the requests does not exceed; `None` without any.
    #[must_use]
    pub fn residual(&self, q: f64) -> Option<f64> {
        rank(self.residuals.len(), q).map(|index| self.residuals[index])
    }

    /// Whether all goals are reached; a run without a successful request misses none.
    #[must_use]
    pub fn reaches_goals(&self) -> bool {
        let below = |q: f64, goal: f64| self.residual(q).is_none_or(|share| share <= goal);
        self.negative == 0
            && self.too_long == 0
            && self.joined_share().is_none_or(|share| share >= GOAL_JOINED)
            && below(0.5, GOAL_RESIDUAL_MEDIAN)
            && below(0.99, GOAL_RESIDUAL_P99)
    }
}

/// The probes' counts beside the kernel's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CountCheck {
    /// Tasks that ended and were compared.
    pub tasks: u64,
    /// Largest difference of a task's voluntary switches.
    pub voluntary: u64,
    /// … of its involuntary switches.
    pub involuntary: u64,
    /// … of its page faults.
    pub faults: u64,
    /// Tasks of which no end was recorded.
    pub endless: u64,
}

impl CountCheck {
    /// Of the tasks of a run that has ended.
    #[must_use]
    pub fn of(tasks: &[TaskRow]) -> Self {
        let mut check = Self::default();
        for task in tasks.iter().filter(|task| task.moment == Moment::End) {
            if task.alive {
                check.endless += 1;
                continue;
            }
            check.tasks += 1;
            let widen = |widest: &mut u64, ours: u64, kernels: u64| {
                *widest = (*widest).max(ours.abs_diff(kernels));
            };
            widen(&mut check.voluntary, task.voluntary, task.kernel_voluntary);
            widen(
                &mut check.involuntary,
                task.involuntary,
                task.kernel_involuntary,
            );
            widen(
                &mut check.faults,
                task.faults_user + task.faults_kernel,
                task.kernel_faults_minor + task.kernel_faults_major,
            );
        }
        check
    }

    /// Takes in another run.
    pub fn add(&mut self, other: Self) {
        self.tasks += other.tasks;
        self.voluntary = self.voluntary.max(other.voluntary);
        self.involuntary = self.involuntary.max(other.involuntary);
        self.faults = self.faults.max(other.faults);
        self.endless += other.endless;
    }

    /// Whether each count is the kernel's within one, and every task has an end.
    #[must_use]
    pub fn reaches_goals(&self) -> bool {
        self.endless == 0 && self.voluntary.max(self.involuntary).max(self.faults) <= 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_residuals(residuals: Vec<f64>) -> Conservation {
        Conservation {
            ok: residuals.len() as u64,
            joined: residuals.len() as u64,
            residuals,
            ..Conservation::default()
        }
    }

    #[test]
    fn each_goal_counts() {
        let good = with_residuals([vec![0.0; 99], vec![0.5]].concat());
        assert!(good.reaches_goals());
        let tail = with_residuals([vec![0.0; 98], vec![0.5, 0.5]].concat());
        assert!(!tail.reaches_goals());
        let middle = with_residuals(vec![0.003; 100]);
        assert!(!middle.reaches_goals());
        for spoilt in [
            Conservation {
                negative: 1,
                ..good.clone()
            },
            Conservation {
                too_long: 1,
                ..good.clone()
            },
            Conservation {
                joined: 99,
                ..good.clone()
            },
        ] {
            assert!(!spoilt.reaches_goals(), "{spoilt:?}");
        }
    }

    #[test]
    fn runs_add_up() {
        let mut sum = with_residuals(vec![0.0, 0.2]);
        sum.missing.insert(Missing::Request, 1);
        let mut other = with_residuals(vec![0.1]);
        other.missing.insert(Missing::Request, 2);
        other.lost = 4;
        sum.add(&other);
        assert_eq!((sum.ok, sum.lost), (3, 4));
        assert_eq!(sum.missing[&Missing::Request], 3);
        assert_eq!(sum.residual(0.5), Some(0.1));
    }

    #[test]
    fn counts_are_compared_task_by_task() {
        let ended = TaskRow {
            voluntary: 10,
            kernel_voluntary: 11,
            faults_user: 4,
            faults_kernel: 5,
            kernel_faults_minor: 9,
            ..TaskRow::default()
        };
        let alive = TaskRow {
            alive: true,
            ..TaskRow::default()
        };
        let mut check = CountCheck::of(std::slice::from_ref(&ended));
        assert!(check.reaches_goals());
        assert_eq!((check.tasks, check.voluntary, check.faults), (1, 1, 0));
        // Two differences of opposite sign do not cancel.
        let off = TaskRow {
            voluntary: 12,
            kernel_voluntary: 10,
            ..ended.clone()
        };
        check.add(CountCheck::of(&[ended, off]));
        assert!(!check.reaches_goals());
        assert!(!CountCheck::of(&[alive]).reaches_goals());
    }
}
