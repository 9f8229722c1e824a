//! The charts over all scenarios.

use plots::{BarGroup, BarPanel, Bars, Chart, Frame, Series};

use super::{lost_events, style, switches::estimate};
use crate::{
    report::{
        figures::ScenarioFigures,
        metrics::{METRICS, Metric},
    },
    scenario::Mpm,
};

/// A chart of one metric by scenario and MPM: a panel for each scenario, with a scale of its own
/// from zero, because the scenarios are not to be compared with each other.
pub(in crate::report) struct OverviewChart {
    /// The metric.
    pub metric: &'static str,
    /// Its heading.
    pub title: &'static str,
}

/// The charts, in their order.
pub(in crate::report) const OVERVIEW: &[OverviewChart] = &[
    OverviewChart {
        metric: "requests_per_s",
        title: "Successful requests per second",
    },
    OverviewChart {
        metric: "latency_p99_ns",
        title: "Latency, p99",
    },
    OverviewChart {
        metric: "memory_bytes",
        title: "Memory, maximum",
    },
    OverviewChart {
        metric: "server_cpu_per_request_ns",
        title: "Server CPU per request",
    },
];

impl OverviewChart {
    /// Makes it.
    pub fn make(&self, scenarios: &[ScenarioFigures]) -> Box<dyn Chart> {
        let metric = Metric::index(self.metric).map(|index| &METRICS[index]);
        let mpms: Vec<Mpm> = Mpm::ALL
            .into_iter()
            .filter(|&mpm| {
                scenarios
                    .iter()
                    .any(|figures| figures.mpms().contains(&mpm))
            })
            .collect();
        let panel = |figures: &ScenarioFigures| BarPanel {
            title: figures.notes.title.clone(),
            unit: metric.map_or(plots::Unit::Count, |metric| metric.unit),
            log: false,
            groups: vec![BarGroup {
                label: String::new(),
                values: mpms
                    .iter()
                    .map(|&mpm| figures.spread(mpm, self.metric).as_ref().map(estimate))
                    .collect(),
            }],
        };
        let lost: u64 = scenarios
            .iter()
            .map(|figures| figures.total(|run| run.counters.lost()))
            .sum();
        let footnote = format!(
            "{} Each panel has a scale of its own. Bar: median over the repetitions; whisker: \
             least and greatest ({}). {}",
            metric.map_or("", |metric| metric.meaning),
            runs_of_each(scenarios, self.metric),
            lost_events(lost)
        );
        Box::new(Bars {
            frame: Frame::new(format!("{} by scenario", self.title))
                .footnote(footnote)
                .no_data("httpd did not start in any run")
                .size(1500, 640),
            series: mpms
                .iter()
                .map(|&mpm| Series::new(mpm.name(), style(mpm)))
                .collect(),
            panels: scenarios.iter().map(panel).collect(),
        })
    }
}

/// How many runs each median of a metric is over: `n = 3`, or `n = 2 to 3`.
fn runs_of_each(scenarios: &[ScenarioFigures], key: &str) -> String {
    let counts = || {
        scenarios.iter().flat_map(|figures| {
            let mpms = figures.mpms().into_iter();
            mpms.filter_map(|mpm| figures.spread(mpm, key).map(|spread| spread.n))
        })
    };
    match (counts().min(), counts().max()) {
        (Some(least), Some(most)) if least != most => format!("n = {least} to {most}"),
        (Some(n), _) => format!("n = {n}"),
        _ => "no runs".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{
        figures::tests::scenario,
        made_up::{self, Figures, three_of_each},
    };

    #[test]
    fn every_overview_is_of_a_metric_and_can_be_drawn() {
        let scenarios = [
            scenario(three_of_each(|_, _| Figures::default())),
            scenario(vec![made_up::not_started(Mpm::Event, 1)]),
        ];
        for chart in OVERVIEW {
            assert!(Metric::index(chart.metric).is_some(), "{}", chart.metric);
            let drawable = chart.make(&scenarios).lay_out();
            assert!(drawable.is_ok(), "{}: {drawable:?}", chart.metric);
        }
        assert_eq!(runs_of_each(&scenarios, "requests_per_s"), "n = 1 to 3");
        assert_eq!(runs_of_each(&scenarios, "memory_bytes"), "n = 3");
        assert_eq!(runs_of_each(&scenarios[1..], "memory_bytes"), "no runs");
    }
}
