//! Memory, tasks and the accept queue over time.

use plots::{Chart, LimitLine, Timeline, TimelinePanel, TimelinePoint, TimelineSeries, Unit};

use super::{ScenarioChart, Subject, style};
use crate::{correlate::RunAnalysis, recording::SampleRow, scenario::Mpm};

pub(super) const CHART: ScenarioChart = ScenarioChart {
    key: "memory",
    title: "Memory, tasks and accept queue over time",
    reading: "PSS divides shared pages among their users, so that the sum over processes is what \
              they take together; the cgroup's figure is what the kernel charges, its own \
              structures and cached files included.",
    make: |subject| Box::new(make(subject)) as Box<dyn Chart>,
};

/// Samples this long before and after the load are shown too.
const AROUND_NS: u64 = 1_000_000_000;

fn make(subject: &Subject<'_>) -> Timeline {
    let footnote = format!(
        "Of each MPM the run of median throughput ({}). PSS is read twice a second, the rest ten \
         times; a load shorter than that shows the looks just before and after it.",
        subject.repetitions()
    );
    let mut panels = vec![panel(subject, "memory: sum of PSS", Unit::Bytes, pss)];
    let with_cgroup = |mpm| {
        let run: Option<&RunAnalysis> = subject.typical(mpm);
        run.is_some_and(|run| run.samples.iter().any(|row| row.cgroup_bytes.is_some()))
    };
    if Mpm::ALL.into_iter().any(with_cgroup) {
        panels.push(panel(subject, "memory: cgroup", Unit::Bytes, |run| {
            sampled(run, |row| row.cgroup_bytes.map(|bytes| bytes as f64))
        }));
    }
    panels.push(panel(subject, "tasks", Unit::Count, |run| {
        sampled(run, |row| Some(f64::from(row.tasks)))
    }));
    let mut queue = panel(
        subject,
        "connections in the accept queue",
        Unit::Count,
        |run| sampled(run, |row| row.accept_queue.map(f64::from)),
    );
    let limits = Mpm::ALL
        .into_iter()
        .filter_map(|mpm| subject.typical(mpm))
        .flat_map(|run| &run.samples)
        .filter_map(|row| row.accept_queue_limit);
    if let Some(limit) = limits.max() {
        queue.limits.push(LimitLine {
            value: f64::from(limit),
            label: "limit".into(),
        });
    }
    panels.push(queue);
    let height = 190 + 180 * u32::try_from(panels.len()).unwrap_or(4);
    Timeline {
        frame: subject
            .frame("memory, tasks and accept queue over time", &footnote)
            .size(1200, height),
        x_title: "time since the load began".into(),
        panels,
        events: Vec::new(),
    }
}

fn panel(
    subject: &Subject<'_>,
    title: &str,
    unit: Unit,
    values: fn(&RunAnalysis) -> Vec<(u64, f64)>,
) -> TimelinePanel {
    let series = |mpm: Mpm| TimelineSeries {
        name: mpm.to_string(),
        style: style(mpm),
        points: subject
            .typical(mpm)
            .map_or_else(Vec::new, |run| points(run, values(run))),
    };
    TimelinePanel {
        title: title.into(),
        unit,
        log: false,
        series: subject.figures.mpms().into_iter().map(series).collect(),
        limits: Vec::new(),
    }
}

/// Values around the load, by the time since its begin.
fn points(run: &RunAnalysis, values: Vec<(u64, f64)>) -> Vec<TimelinePoint> {
    let (begin_ns, end_ns) = run.load_ns();
    let shown = begin_ns.saturating_sub(AROUND_NS)..=end_ns.saturating_add(AROUND_NS);
    values
        .into_iter()
        .filter(|(t_ns, _)| shown.contains(t_ns))
        .map(|(t_ns, value)| TimelinePoint {
            time_s: (t_ns as f64 - begin_ns as f64) / 1e9,
            value,
            band: None,
        })
        .collect()
}

fn sampled(run: &RunAnalysis, value: fn(&SampleRow) -> Option<f64>) -> Vec<(u64, f64)> {
    let rows = run.samples.iter();
    rows.filter_map(|row| Some((row.t_ns, value(row)?)))
        .collect()
}

/// Sum of PSS over parent and children, which are read one after the other.
fn pss(run: &RunAnalysis) -> Vec<(u64, f64)> {
    let looks = run.memory.chunk_by(|_, next| next.role != "parent");
    looks
        .map(|rows| {
            let sum: u64 = rows.iter().map(|row| row.pss_bytes).sum();
            (rows[0].t_ns, sum as f64)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::made_up::{self, Figures};

    #[test]
    fn parent_and_children_are_one_sum_at_its_time_in_the_load() {
        let run = made_up::run(Mpm::Prefork, 1, &Figures::default());
        let points = points(&run, pss(&run));
        assert_eq!(points.len(), 1);
        assert_eq!(points[0].value, 20e6);
        assert!((points[0].time_s - 0.0006).abs() < 1e-9);
    }

    #[test]
    fn a_look_before_the_load_has_a_negative_time() {
        let run = made_up::run(Mpm::Event, 1, &Figures::default());
        let points = points(&run, sampled(&run, |row| row.accept_queue.map(f64::from)));
        assert_eq!(points.len(), 4);
        assert!((points[0].time_s + 0.05).abs() < 1e-9);
        assert_eq!(points[1].value, 30.0);
    }
}
