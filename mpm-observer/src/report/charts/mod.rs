//! The charts of the report: one file per chart.

mod accept_wait;
mod accepts;
mod claims;
mod latency;
mod limit_timeline;
mod memory;
mod overview;
mod phases;
mod run_queue;
mod starts;
mod switches;
mod throughput;

use plots::{Chart, DistributionSeries, Frame, Interval, SeriesStyle};

pub(super) use claims::{CLAIM_CHARTS, ClaimChart};
pub(super) use latency::quantiles;
pub(super) use overview::{OVERVIEW, OverviewChart};
pub(super) use phases::PhaseBars;

use super::{
    data::RunRef,
    figures::ScenarioFigures,
    text::{plural, whole},
};
use crate::{correlate::RunAnalysis, scenario::Mpm, statistics::Spread};

/// A chart of a scenario.
pub(super) struct ScenarioChart {
    /// Its name in the names of files.
    pub key: &'static str,
    /// Its heading.
    pub title: &'static str,
    /// How it is read.
    pub reading: &'static str,
    /// Makes it.
    pub make: fn(&Subject<'_>) -> Box<dyn Chart>,
}

/// The charts that each scenario has, in their order.
const CHARTS: &[ScenarioChart] = &[
    latency::CHART,
    throughput::CHART,
    phases::CHART,
    switches::CHART,
    run_queue::CHART,
    accept_wait::CHART,
    memory::CHART,
    accepts::CHART,
];

/// Whether a scenario has a chart.
type Applies = fn(&Subject<'_>) -> bool;

/// Charts that only some scenarios have, each with what they ask for, in their order before the
/// others.
const WHERE_THEY_APPLY: &[(Applies, ScenarioChart)] = &[
    (starts::applies, starts::CHART),
    (limit_timeline::applies, limit_timeline::CHART),
];

/// The charts of a scenario, in their order.
pub(super) fn charts_of(subject: &Subject<'_>) -> impl Iterator<Item = &'static ScenarioChart> {
    let applying = WHERE_THEY_APPLY
        .iter()
        .filter(|(applies, _)| applies(subject));
    applying.map(|(_, chart)| chart).chain(CHARTS)
}

/// What a chart is made from: a scenario's runs with their figures.
pub(super) struct Subject<'a> {
    /// The figures.
    pub figures: &'a ScenarioFigures,
    /// The runs with their rows, by MPM and repetition.
    pub runs: &'a [(RunRef, RunAnalysis)],
}

impl<'a> Subject<'a> {
    /// The runs of one MPM in which httpd came up.
    fn started(&self, mpm: Mpm) -> impl Iterator<Item = &'a RunAnalysis> {
        self.runs
            .iter()
            .map(|(_, run)| run)
            .filter(move |run| run.manifest.mpm == mpm && run.manifest.start.answered)
    }

    /// The run of one MPM whose throughput is the median of its repetitions (of an even number,
    /// the slower one in the middle).
    fn typical(&self, mpm: Mpm) -> Option<&'a RunAnalysis> {
        let mut runs: Vec<(f64, &RunAnalysis)> = self
            .started(mpm)
            .filter_map(|run| Some((run.throughput()?, run)))
            .collect();
        runs.sort_by(|a, b| a.0.total_cmp(&b.0));
        let middle = runs.len().checked_sub(1)? / 2;
        Some(runs[middle].1)
    }

    /// A frame with the scenario's conditions and losses.
    fn frame(&self, title: &str, footnote: &str) -> Frame {
        let figures = self.figures;
        let lost = figures.total(|run| run.counters.lost());
        Frame::new(format!("{}: {title}", figures.notes.title))
            .subtitle(conditions(figures))
            .footnote(format!("{footnote} {}", lost_events(lost)))
            .no_data(self.why_no_data())
    }

    fn why_no_data(&self) -> &'static str {
        let started = |mpm| self.started(mpm).next().is_some();
        if Mpm::ALL.into_iter().any(started) {
            "nothing of this was recorded"
        } else {
            "httpd did not start in any run"
        }
    }

    /// n of the repetitions in words, such as `prefork n = 3, worker n = 2`, or one number if all
    /// are alike.
    fn repetitions(&self) -> String {
        let counts: Vec<(Mpm, usize)> = self
            .figures
            .mpms()
            .into_iter()
            .map(|mpm| (mpm, self.started(mpm).count()))
            .collect();
        match counts.as_slice() {
            [(_, first), rest @ ..] if rest.iter().all(|(_, count)| count == first) => {
                format!("{} of each MPM", plural(*first as u64, "run"))
            }
            counts => {
                let each: Vec<String> = counts
                    .iter()
                    .map(|(mpm, count)| format!("{mpm} {count}"))
                    .collect();
                format!("runs in which httpd started: {}", each.join(", "))
            }
        }
    }
}

/// The conditions of a scenario in one line.
pub(super) fn conditions(figures: &ScenarioFigures) -> String {
    let Some(run) = figures.runs.first() else {
        return String::new();
    };
    let load = &run.plan.load;
    let slots = figures.slots();
    let slots = match slots.as_slice() {
        [(_, first), rest @ ..] if rest.iter().all(|(_, slots)| slots == first) => {
            plural(u64::from(*first), "slot")
        }
        slots => {
            let each: Vec<String> = slots
                .iter()
                .map(|(mpm, slots)| format!("{mpm} {slots}"))
                .collect();
            format!("slots: {}", each.join(", "))
        }
    };
    let connections = if load.keep_alive {
        "keep-alive"
    } else {
        "a connection per request"
    };
    let start = match run.plan.server.start {
        crate::scenario::Start::Warm => "warm start",
        crate::scenario::Start::Cold => "cold start",
    };
    let mut parts = vec![
        format!("{} size", run.plan.size),
        format!(
            "{} of {}, {} at once",
            plural(load.requests, "request"),
            plots::Unit::Bytes.format(load.body_bytes as f64),
            whole(u64::from(load.concurrency))
        ),
        connections.to_owned(),
        slots,
        start.to_owned(),
    ];
    if run.plan.server.cpus == crate::scenario::Cpus::All {
        parts.push("httpd on all CPUs, the client's too".into());
    }
    let limits = run.plan.limits.as_ulimit();
    if !limits.is_empty() {
        parts.push(limits);
    }
    parts.join(" · ")
}

/// The number of lost events, in words that stay on one line.
fn lost_events(lost: u64) -> String {
    format!("Lost\u{a0}events:\u{a0}{}.", whole(lost))
}

/// The style of an MPM, the same in every chart.
fn style(mpm: Mpm) -> SeriesStyle {
    SeriesStyle::new(mpm as usize)
}

fn interval(spread: &Spread) -> Option<Interval> {
    (spread.n > 1).then_some(Interval {
        low: spread.low,
        high: spread.high,
    })
}

/// A series of durations for each MPM, all repetitions together.
fn durations(subject: &Subject<'_>, of_run: fn(&RunAnalysis) -> &[u64]) -> Vec<DistributionSeries> {
    let series = |mpm: Mpm| DistributionSeries {
        name: mpm.to_string(),
        style: style(mpm),
        counts: counted(
            subject
                .started(mpm)
                .flat_map(|run| of_run(run).iter().copied()),
        ),
    };
    subject.figures.mpms().into_iter().map(series).collect()
}

/// Durations with how often each occurred, told apart to three significant digits: the picture
/// is the same, with fewer points.
fn counted(durations_ns: impl Iterator<Item = u64>) -> Vec<(f64, u64)> {
    let mut counts = std::collections::BTreeMap::new();
    for duration_ns in durations_ns {
        let digits = duration_ns.checked_ilog10().unwrap_or(0);
        let step = 10_u64.pow(digits.saturating_sub(2));
        *counts.entry(duration_ns / step * step).or_insert(0) += 1;
    }
    counts
        .into_iter()
        .map(|(duration_ns, count)| (duration_ns as f64, count))
        .collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::report::made_up::{self, Figures, three_of_each};

    /// A made-up scenario whose charts can be made.
    pub(in crate::report) fn with_subject(runs: Vec<RunAnalysis>, look: impl FnOnce(&Subject<'_>)) {
        let group = made_up::group(&runs);
        let runs: Vec<_> = group.runs.clone().into_iter().zip(runs).collect();
        let figures = ScenarioFigures::of(&group, &runs);
        look(&Subject {
            figures: &figures,
            runs: &runs,
        });
    }

    #[test]
    fn the_typical_run_is_the_one_of_median_throughput() {
        let runs = three_of_each(|_, repetition| Figures {
            load_ns: [3_000_000_000, 1_000_000_000, 2_000_000_000][repetition as usize - 1],
            ..Figures::default()
        });
        with_subject(runs, |subject| {
            let typical = subject.typical(Mpm::Worker).unwrap();
            assert_eq!(typical.manifest.repetition, 3);
            assert_eq!(typical.manifest.mpm, Mpm::Worker);
        });
    }

    #[test]
    fn every_chart_can_be_drawn_from_ordinary_runs_from_one_run_and_from_none_that_started() {
        let few = Figures {
            ok: 2,
            ..Figures::default()
        };
        for runs in [
            three_of_each(|_, _| Figures::default()),
            vec![made_up::run(Mpm::Event, 1, &few)],
            vec![made_up::not_started(Mpm::Worker, 1)],
        ] {
            with_subject(runs, |subject| {
                let sometimes = WHERE_THEY_APPLY.iter().map(|(_, chart)| chart);
                for chart in sometimes.chain(CHARTS) {
                    let drawable = (chart.make)(subject).lay_out();
                    assert!(drawable.is_ok(), "{}: {drawable:?}", chart.key);
                }
            });
        }
    }

    #[test]
    fn durations_of_the_same_three_digits_are_counted_together() {
        let counts = counted([0, 7, 999, 123_400, 123_499, 123_500].into_iter());
        assert_eq!(counts, [(0.0, 1), (7.0, 1), (999.0, 1), (123_000.0, 3)]);
    }

    #[test]
    fn the_conditions_name_load_slots_and_limits() {
        let mut figures =
            crate::report::figures::tests::scenario(three_of_each(|_, _| Figures::default()));
        assert_eq!(
            conditions(&figures),
            "quick size · 102 requests of 1 kB, 500 at once · a connection per request · 75 slots \
             · warm start"
        );
        for run in &mut figures.runs {
            run.plan.limits.address_space_kb = Some(500_000);
            if run.mpm() == Mpm::Prefork {
                run.plan.server.max_request_workers = 50;
            }
        }
        let text = conditions(&figures);
        assert!(
            text.ends_with(
                "slots: prefork 50, worker 75, event 75 · warm start · ulimit -v 500000"
            ),
            "{text}"
        );
    }
}
