//! How long connections waited to be accepted.

use plots::{Chart, Distribution, Unit};

use super::{ScenarioChart, Subject, durations};

pub(super) const CHART: ScenarioChart = ScenarioChart {
    key: "accept-queue",
    title: "Wait in the accept queue",
    reading: "The share of connections that were accepted within so long. A line further right \
              waited longer for a free slot.",
    make: |subject| Box::new(make(subject)) as Box<dyn Chart>,
};

fn make(subject: &Subject<'_>) -> Distribution {
    let footnote = format!(
        "Connections of the load, from being queued (their first bytes arrived) to accept4 \
         returning them. Pooled over the repetitions ({}).",
        subject.repetitions()
    );
    Distribution {
        frame: subject.frame("wait in the accept queue", &footnote),
        x_title: "wait in the accept queue".into(),
        y_title: "share of connections accepted within".into(),
        unit: Unit::Nanoseconds,
        complementary: false,
        series: durations(subject, |run| &run.accept_waits_ns),
    }
}
