//! Context switches and page faults per request.

use plots::{BarGroup, BarPanel, Bars, Chart, Estimate, Series};

use super::{ScenarioChart, Subject, style};
use crate::{
    report::metrics::{METRICS, Metric},
    statistics::Spread,
};

pub(super) const CHART: ScenarioChart = ScenarioChart {
    key: "switches",
    title: "Context switches and page faults per request",
    reading: "What the kernel does besides for each request. A voluntary switch is a task that \
              blocks, an involuntary one a task that is preempted.",
    make: |subject| Box::new(make(subject)) as Box<dyn Chart>,
};

/// The panels by metric.
const PANELS: [(&str, &str); 6] = [
    ("switches_voluntary_per_request", "voluntary switches"),
    ("switches_involuntary_per_request", "involuntary switches"),
    ("faults_kernel_per_request", "faults in kernel mode"),
    ("faults_user_per_request", "faults in user mode"),
    ("faults_anon_per_request", "anonymous pages mapped"),
    ("faults_cow_per_request", "copies on write"),
];

fn make(subject: &Subject<'_>) -> Bars {
    let mpms = subject.figures.mpms();
    let panel = |(key, title): (&str, &str)| BarPanel {
        title: title.into(),
        unit: Metric::index(key).map_or(plots::Unit::Count, |index| METRICS[index].unit),
        log: false,
        groups: vec![BarGroup {
            label: String::new(),
            values: mpms
                .iter()
                .map(|&mpm| subject.figures.spread(mpm, key).as_ref().map(estimate))
                .collect(),
        }],
    };
    let footnote = format!(
        "Of all httpd's tasks during the load, per successful request. Bar: median over the \
         repetitions; whisker: least and greatest ({}).",
        subject.repetitions()
    );
    Bars {
        frame: subject.frame("context switches and page faults per request", &footnote),
        series: mpms
            .iter()
            .map(|&mpm| Series::new(mpm.name(), style(mpm)))
            .collect(),
        panels: PANELS.into_iter().map(panel).collect(),
    }
}

pub(super) fn estimate(spread: &Spread) -> Estimate {
    Estimate::new(spread.median, spread.low, spread.high)
}
