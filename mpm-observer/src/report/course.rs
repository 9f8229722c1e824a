//! How the runs of one MPM went: did httpd start, did requests fail.

use super::{
    figures::{RunFigures, ScenarioFigures},
    text::{percent, plural, whole},
};
use crate::scenario::Mpm;

/// The runs of one MPM in one scenario.
pub(super) struct Course {
    mpm: Mpm,
    runs: u64,
    not_started: u64,
    planned: u64,
    ok: u64,
    failed: u64,
    /// The failures by outcome, in words.
    failures: Vec<String>,
}

impl Course {
    pub fn new(mpm: Mpm, figures: &ScenarioFigures) -> Self {
        let runs = figures.runs_of(mpm).count() as u64;
        let failures = loadgen::Outcome::ALL
            .into_iter()
            .filter(|outcome| outcome.is_failure() || *outcome == loadgen::Outcome::Non2xx)
            .filter_map(|outcome| {
                let count_of =
                    |run: &RunFigures| run.outcomes.get(outcome.name()).copied().unwrap_or(0);
                let count: u64 = figures.runs_of(mpm).map(count_of).sum();
                (count > 0).then(|| format!("{} {}", whole(count), outcome.meaning()))
            })
            .collect();
        Self {
            mpm,
            runs,
            not_started: runs - figures.sum(mpm, "httpd_started"),
            planned: figures.runs_of(mpm).map(|run| run.plan.load.requests).sum(),
            ok: figures.sum(mpm, "ok_requests"),
            failed: figures.sum(mpm, "failed_requests"),
            failures,
        }
    }

    /// Whether nothing failed.
    pub fn is_clean(&self) -> bool {
        self.not_started == 0 && self.failed == 0
    }

    pub fn in_words(&self) -> String {
        let Self { mpm, runs, .. } = self;
        let all = plural(*runs, "run");
        if self.not_started > 0 {
            let mut text = format!(
                "httpd with {mpm} did not start in {} of {all}",
                self.not_started
            );
            if self.not_started < *runs {
                text.push_str(&format!(
                    " ({} successful, {} failed requests in all)",
                    whole(self.ok),
                    whole(self.failed)
                ));
            }
            return text;
        }
        if self.failed > 0 {
            let share = 100.0 * self.failed as f64 / (self.ok + self.failed) as f64;
            return format!(
                "{mpm} failed {} of {} requests ({}) in {all}: {}",
                whole(self.failed),
                whole(self.ok + self.failed),
                percent(share),
                self.failures.join(", ")
            );
        }
        if self.ok >= self.planned {
            let each = whole(self.planned / (*runs).max(1));
            return format!("{mpm} answered all {each} requests in {runs} of {all}");
        }
        format!(
            "{mpm} failed none of {} requests in {all}; {} of those planned were cut off at the \
             end of the time",
            whole(self.ok),
            whole(self.planned - self.ok)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        correlate::RunAnalysis,
        report::{
            figures::tests::scenario,
            made_up::{self, Figures, three_of_each},
        },
    };

    fn of(mpm: Mpm, figures: &ScenarioFigures) -> String {
        Course::new(mpm, figures).in_words()
    }

    fn failing(failed: u64) -> ScenarioFigures {
        scenario(three_of_each(|_, _| Figures {
            failed,
            ..Figures::default()
        }))
    }

    #[test]
    fn an_mpm_that_answers_everything_is_clean() {
        let figures = failing(0);
        assert!(Course::new(Mpm::Prefork, &figures).is_clean());
        assert_eq!(
            of(Mpm::Prefork, &figures),
            "prefork answered all 100 requests in 3 of 3 runs"
        );
    }

    #[test]
    fn failures_are_told_by_outcome() {
        assert_eq!(
            of(Mpm::Prefork, &failing(4)),
            "prefork failed 12 of 312 requests (3.85 %) in 3 runs: 12 timed out"
        );
    }

    #[test]
    fn starts_are_counted() {
        let run = |repetition| -> RunAnalysis {
            if repetition == 2 {
                let figures = Figures {
                    failed: 0,
                    ..Figures::default()
                };
                made_up::run(Mpm::Worker, repetition, &figures)
            } else {
                made_up::not_started(Mpm::Worker, repetition)
            }
        };
        let figures = scenario((1..=3).map(run).collect());
        assert!(!Course::new(Mpm::Worker, &figures).is_clean());
        assert_eq!(
            of(Mpm::Worker, &figures),
            "httpd with worker did not start in 2 of 3 runs (100 successful, 200 failed requests \
             in all)"
        );
    }

    #[test]
    fn requests_that_were_cut_off_are_not_called_answered() {
        let mut figures = failing(0);
        for run in &mut figures.runs {
            run.plan.load.requests = 120;
        }
        assert_eq!(
            of(Mpm::Prefork, &figures),
            "prefork failed none of 300 requests in 3 runs; 60 of those planned were cut off at \
             the end of the time"
        );
    }
}
