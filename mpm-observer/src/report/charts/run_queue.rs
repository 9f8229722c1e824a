//! How long requests waited for a CPU while they were served.

use plots::{Chart, Distribution, Unit};

use super::{ScenarioChart, Subject, durations};

pub(super) const CHART: ScenarioChart = ScenarioChart {
    key: "run-queue",
    title: "Wait for a CPU while served",
    reading: "The share of requests that waited at least so long. Further right and higher is \
              worse: more tasks than CPUs were ready to run.",
    make: |subject| Box::new(make(subject)) as Box<dyn Chart>,
};

fn make(subject: &Subject<'_>) -> Distribution {
    let footnote = format!(
        "For each request seen from both sides: the time between pick-up and last send in which \
         its task was woken or preempted and not yet on a CPU. Pooled over the repetitions ({}).",
        subject.repetitions()
    );
    Distribution {
        frame: subject.frame("wait for a CPU while served", &footnote),
        x_title: "wait in the run queue".into(),
        y_title: "share of requests that waited at least so long".into(),
        unit: Unit::Nanoseconds,
        complementary: true,
        series: durations(subject, |run| &run.run_queue_waits_ns),
    }
}
