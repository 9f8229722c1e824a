//! What claims are judged from: plain figures of runs.

use std::collections::BTreeMap;

use crate::scenario::{Mpm, Tutorial};

/// The figures of a scenario's runs.
#[derive(Clone, Debug)]
pub struct ScenarioRuns {
    /// The scenario's name.
    pub name: String,
    /// Its title.
    pub title: String,
    /// What the tutorial says about it.
    pub tutorial: Option<Tutorial>,
    /// Its runs, in any order.
    pub runs: Vec<RunValues>,
}

/// The figures of one run.
#[derive(Clone, Debug)]
pub struct RunValues {
    /// Its MPM.
    pub mpm: Mpm,
    /// Which repetition; those of one number were made one after the other.
    pub repetition: u32,
    /// Whether httpd came up.
    pub started: bool,
    /// Slots of httpd.
    pub slots: u32,
    /// Successful requests.
    pub ok: u64,
    /// Requests that ended without success.
    pub failed: u64,
    /// Whether the load generator was the bottleneck.
    pub client_was_busy: bool,
    /// The metrics that have a value, by their keys; none is below 0.
    pub values: BTreeMap<&'static str, f64>,
}

impl RunValues {
    /// The share of its requests that failed, 0 to 1: all of them when httpd did not come up.
    /// `None` when it came up and no request ended.
    #[must_use]
    pub fn failed_share(&self) -> Option<f64> {
        if !self.started {
            return Some(1.0);
        }
        let ended = self.ok + self.failed;
        (ended > 0).then(|| self.failed as f64 / ended as f64)
    }

    /// Whether anything of it failed, 1 or 0: httpd did not come up, or a request. `None` when it
    /// came up and no request ended.
    #[must_use]
    pub fn any_failed(&self) -> Option<f64> {
        let share = self.failed_share()?;
        Some(if share > 0.0 { 1.0 } else { 0.0 })
    }

    /// Its value of a metric. A run in which httpd did not come up has none: what it lacks is no
    /// small amount of anything.
    #[must_use]
    pub fn value(&self, metric: &str) -> Option<f64> {
        let value = *self.values.get(metric).filter(|_| self.started)?;
        (value.is_finite() && value >= 0.0).then_some(value)
    }
}

impl ScenarioRuns {
    /// The MPMs that have runs, in the order of the tables.
    #[must_use]
    pub fn mpms(&self) -> Vec<Mpm> {
        Mpm::ALL
            .into_iter()
            .filter(|&mpm| self.runs_of(mpm).next().is_some())
            .collect()
    }

    /// The runs of one MPM.
    pub fn runs_of(&self, mpm: Mpm) -> impl Iterator<Item = &RunValues> {
        self.runs.iter().filter(move |run| run.mpm == mpm)
    }

    /// The runs of two MPMs by repetition: one after the other, so that the machine's drift meets
    /// both alike. A repetition that one of them lacks is left out.
    pub fn pairs(&self, one: Mpm, other: Mpm) -> impl Iterator<Item = (&RunValues, &RunValues)> {
        self.runs_of(one).filter_map(move |run| {
            let partner = self
                .runs_of(other)
                .find(|partner| partner.repetition == run.repetition)?;
            Some((run, partner))
        })
    }

    /// Slots of each MPM, if they are not equal.
    #[must_use]
    pub fn unequal_slots(&self) -> Vec<(Mpm, u32)> {
        let slots: Vec<(Mpm, u32)> = self
            .mpms()
            .into_iter()
            .filter_map(|mpm| Some((mpm, self.runs_of(mpm).next()?.slots)))
            .collect();
        if slots.windows(2).all(|pair| pair[0].1 == pair[1].1) {
            return Vec::new();
        }
        slots
    }
}
