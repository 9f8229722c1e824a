//! The figures of a scenario's runs, which stay after the runs' rows have been dropped.

use std::collections::BTreeMap;

use super::{
    data::{Group, RunRef},
    metrics::{METRICS, Metric},
    phase_table::PhaseSums,
    sides_table::SideSums,
    trace::TraceFigures,
};
use crate::{
    correlate::{Conservation, KernelOnly, Missing, RateKept, RunAnalysis},
    kernel::Counters,
    recording::{ScenarioNotes, Status},
    scenario::{Mpm, RunPlan},
    statistics::Spread,
};

/// The figures of one run.
#[derive(Clone, Debug)]
pub(super) struct RunFigures {
    /// Its directory's name.
    pub name: String,
    /// Which repetition.
    pub repetition: u32,
    /// What was to be done.
    pub plan: RunPlan,
    /// Seconds since 1970 at the begin.
    pub began_unix_s: u64,
    /// How far it came.
    pub status: Status,
    /// The value of each of [`METRICS`].
    pub values: Vec<Option<f64>>,
    /// Attempts by outcome.
    pub outcomes: BTreeMap<String, u64>,
    /// Requests seen from both sides.
    pub joined: u64,
    /// How well its requests' time adds up.
    pub conservation: Conservation,
    /// Where their time went.
    pub phases: PhaseSums,
    /// The same from both sides.
    pub sides: SideSums,
    /// Successful requests without a kernel row, by cause.
    pub missing: BTreeMap<Missing, u64>,
    /// Kernel rows without a client row, by cause.
    pub kernel_only: BTreeMap<KernelOnly, u64>,
    /// What the probes counted and lost.
    pub counters: Counters,
    /// Codes of warnings and errors in httpd's log.
    pub log_codes: Vec<String>,
    /// Why httpd did not come up.
    pub start_failure: Option<String>,
    /// How the schedule of an open loop was kept.
    pub rate: Option<RateKept>,
    /// Whether the client was the bottleneck.
    pub client_was_busy: bool,
    /// Whether httpd and all its tasks were seen to be gone.
    pub server_gone: bool,
    /// Parts of tables that could not be read.
    pub unreadable: Vec<String>,
}

impl RunFigures {
    /// Takes the figures of an analysed run.
    pub fn of(run: &RunAnalysis, named: &RunRef) -> Self {
        let manifest = &run.manifest;
        Self {
            name: named.name.clone(),
            repetition: manifest.repetition,
            plan: named.plan.clone(),
            began_unix_s: manifest.began_unix_s,
            status: manifest.status.clone(),
            values: METRICS.iter().map(|metric| (metric.of)(run)).collect(),
            outcomes: run.outcomes.clone(),
            joined: run.join.pairs.len() as u64,
            conservation: Conservation::of(run),
            phases: PhaseSums::of(&run.phases()),
            sides: SideSums::of(run),
            missing: run.join.missing.clone(),
            kernel_only: run.join.kernel_only.clone(),
            counters: manifest.counters.clone(),
            log_codes: manifest.start.log_codes.clone(),
            start_failure: manifest.start.failure.clone(),
            rate: RateKept::of(run),
            // A client that is refused at once is busy with nothing but that.
            client_was_busy: manifest.status != Status::NotStarted
                && manifest
                    .load
                    .as_ref()
                    .is_some_and(|load| load.summary.client_was_busy()),
            server_gone: manifest.server_gone,
            unreadable: run.unreadable.clone(),
        }
    }

    /// Its MPM.
    pub fn mpm(&self) -> Mpm {
        self.plan.mpm
    }

    /// Its value of a metric; also `None` for a key that no metric has.
    pub fn value(&self, key: &str) -> Option<f64> {
        Metric::index(key).and_then(|index| self.values[index])
    }

    /// A count that every run has.
    pub fn count(&self, key: &str) -> u64 {
        self.value(key).map_or(0, |value| value as u64)
    }
}

/// The figures of a scenario.
#[derive(Clone, Debug)]
pub(super) struct ScenarioFigures {
    /// What the scenario is.
    pub notes: ScenarioNotes,
    /// Its comparable runs, by MPM and repetition; at least one.
    pub runs: Vec<RunFigures>,
    /// The traces, by MPM.
    pub traces: Vec<TraceFigures>,
    /// What went wrong, by MPM.
    pub findings: Vec<crate::findings::Group>,
}

impl ScenarioFigures {
    /// Whether any run has a value of this metric.
    pub fn has(&self, key: &str) -> bool {
        self.runs.iter().any(|run| run.value(key).is_some())
    }

    /// Takes the figures of a scenario's analysed runs, which are in the order of the group.
    pub fn of(group: &Group, runs: &[(RunRef, RunAnalysis)]) -> Self {
        Self {
            notes: group.notes.clone(),
            runs: runs
                .iter()
                .map(|(named, run)| RunFigures::of(run, named))
                .collect(),
            traces: Vec::new(),
            findings: Vec::new(),
        }
    }

    /// The MPMs that have runs, in the order of the tables.
    pub fn mpms(&self) -> Vec<Mpm> {
        Mpm::ALL
            .into_iter()
            .filter(|&mpm| self.runs_of(mpm).next().is_some())
            .collect()
    }

    /// The runs of one MPM.
    pub fn runs_of(&self, mpm: Mpm) -> impl Iterator<Item = &RunFigures> {
        self.runs.iter().filter(move |run| run.mpm() == mpm)
    }

    /// Median and range of a metric over the repetitions.
    pub fn spread(&self, mpm: Mpm, key: &str) -> Option<Spread> {
        Spread::of(self.runs_of(mpm).filter_map(|run| run.value(key)))
    }

    /// Sum of a count over the repetitions.
    pub fn sum(&self, mpm: Mpm, key: &str) -> u64 {
        self.runs_of(mpm).map(|run| run.count(key)).sum()
    }

    /// Sum over all runs.
    pub fn total(&self, of: impl Fn(&RunFigures) -> u64) -> u64 {
        self.runs.iter().map(of).sum()
    }

    /// Slots of each MPM, in the order of [`Self::mpms`].
    pub fn slots(&self) -> Vec<(Mpm, u32)> {
        let slots = |mpm| {
            let run = self.runs_of(mpm).next()?;
            Some((mpm, run.plan.server.max_request_workers))
        };
        self.mpms().into_iter().filter_map(slots).collect()
    }

    /// The MPM whose range of a metric lies outside those of all others, at their high end
    /// (`true`) or low end; `None` if there is none, or fewer than [`LEAST_RUNS`] values or two
    /// MPMs to tell from.
    pub fn clear_extreme(&self, key: &str, highest: bool) -> Option<Mpm> {
        let spreads: Vec<(Mpm, Spread)> = self
            .mpms()
            .into_iter()
            .filter_map(|mpm| Some((mpm, self.spread(mpm, key)?)))
            .collect();
        if spreads.len() < 2 || spreads.iter().any(|(_, spread)| spread.n < LEAST_RUNS) {
            return None;
        }
        let beyond = |one: &Spread, other: &Spread| {
            if highest {
                one.low > other.high
            } else {
                one.high < other.low
            }
        };
        let extreme = spreads.iter().find(|(mpm, spread)| {
            spreads
                .iter()
                .all(|(other, others)| other == mpm || beyond(spread, others))
        });
        extreme.map(|(mpm, _)| *mpm)
    }
}

/// Values of each MPM below which no difference is called clear.
pub(super) const LEAST_RUNS: usize = 3;

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::report::made_up;

    /// A made-up scenario: for each MPM its runs.
    pub(in crate::report) fn scenario(runs: Vec<RunAnalysis>) -> ScenarioFigures {
        let group = made_up::group(&runs);
        let runs: Vec<_> = group.runs.clone().into_iter().zip(runs).collect();
        ScenarioFigures::of(&group, &runs)
    }

    fn with_memory(bytes: [[u64; 3]; 3]) -> ScenarioFigures {
        let mut runs = Vec::new();
        for (mpm, bytes) in Mpm::ALL.into_iter().zip(bytes) {
            for (repetition, bytes) in (1..).zip(bytes) {
                let figures = made_up::Figures {
                    cgroup_bytes: Some(bytes),
                    ..made_up::Figures::default()
                };
                runs.push(made_up::run(mpm, repetition, &figures));
            }
        }
        scenario(runs)
    }

    #[test]
    fn the_spread_is_over_the_repetitions_of_one_mpm() {
        let figures = with_memory([[7, 9, 8], [1, 1, 1], [1, 1, 2]]);
        let spread = figures.spread(Mpm::Prefork, "memory_bytes").unwrap();
        assert_eq!(
            (spread.median, spread.low, spread.high, spread.n),
            (8.0, 7.0, 9.0, 3)
        );
        assert_eq!(figures.spread(Mpm::Prefork, "no_such_metric"), None);
    }

    #[test]
    fn an_extreme_is_clear_only_if_its_range_touches_no_other() {
        let key = "memory_bytes";
        let apart = with_memory([[7, 9, 8], [3, 4, 3], [1, 2, 2]]);
        assert_eq!(apart.clear_extreme(key, true), Some(Mpm::Prefork));
        assert_eq!(apart.clear_extreme(key, false), Some(Mpm::Event));
        let touching = with_memory([[4, 9, 8], [3, 4, 3], [3, 4, 4]]);
        assert_eq!(touching.clear_extreme(key, true), None);
        assert_eq!(touching.clear_extreme(key, false), None);
    }

    #[test]
    fn two_repetitions_make_nothing_clear() {
        let mut figures = with_memory([[7, 9, 8], [3, 4, 3], [1, 2, 2]]);
        figures
            .runs
            .retain(|run| run.mpm() != Mpm::Event || run.repetition < 3);
        assert_eq!(figures.clear_extreme("memory_bytes", true), None);
    }
}
