//! Tasks, memory and accept queue against their limits, with what failed.

use plots::{
    Chart, EventMarker, LimitLine, Timeline, TimelinePanel, TimelinePoint, TimelineSeries, Unit,
};

use super::{ScenarioChart, Subject, style};
use crate::{
    correlate::RunAnalysis,
    findings::errno_name,
    recording::{FailureKind, FailureRow, SampleRow},
    scenario::{Limits, Mpm},
};

pub(super) const CHART: ScenarioChart = ScenarioChart {
    key: "limits",
    title: "Limits and failures over time",
    reading: "Tasks, memory and accept queue against their limits, from httpd's first instruction \
              on. Failures are marked where they begin.",
    make: |subject| Box::new(make(subject)) as Box<dyn Chart>,
};

/// Failures of a kind that follow each other faster than this share a mark.
const BURST_NS: u64 = 1_000_000_000;
/// The marks of one MPM, the largest bursts of all.
const MARKS: usize = 4;

/// Where something is limited, or something failed.
pub(super) fn applies(subject: &Subject<'_>) -> bool {
    subject.runs.iter().any(|(named, run)| {
        named.plan.limits != Limits::default() || failures(run).next().is_some()
    })
}

/// Failures before the stop that harm somebody.
fn failures(run: &RunAnalysis) -> impl Iterator<Item = &FailureRow> {
    let stop_ns = match run.manifest.stop_ns {
        0 => u64::MAX,
        stop_ns => stop_ns,
    };
    let kinds = [
        FailureKind::Call,
        FailureKind::OomKill,
        FailureKind::AcceptQueueFull,
    ];
    let rows = run.failures.iter();
    rows.filter(move |row| row.t_ns < stop_ns && kinds.contains(&row.kind))
}

/// The run of an MPM in which most failed; of several the first.
fn shown<'a>(subject: &Subject<'a>, mpm: Mpm) -> Option<&'a RunAnalysis> {
    let runs = subject.runs.iter().map(|(_, run)| run);
    runs.filter(|run| run.manifest.mpm == mpm)
        .max_by_key(|run| {
            let first = std::cmp::Reverse(run.manifest.repetition);
            (failures(run).count(), first)
        })
}

fn make(subject: &Subject<'_>) -> Timeline {
    let runs: Vec<(Mpm, &RunAnalysis)> = subject
        .figures
        .mpms()
        .into_iter()
        .filter_map(|mpm| Some((mpm, shown(subject, mpm)?)))
        .collect();
    let limits = runs
        .first()
        .and_then(|(_, run)| Some(run.manifest.plan()?.limits.clone()));
    let limits = limits.unwrap_or_default();
    let line = |value: Option<u64>, label: &str| {
        let lines = value.map(|value| LimitLine {
            value: value as f64,
            label: label.into(),
        });
        lines.into_iter().collect::<Vec<_>>()
    };
    let mut task_limits = line(limits.cgroup_tasks, "pids.max");
    task_limits.extend(line(limits.processes, "ulimit -u"));
    let mut panels = vec![panel(
        "tasks of httpd",
        Unit::Count,
        &runs,
        task_limits,
        tasks,
    )];
    let memory_limit = limits.cgroup_memory_kb.map(|kib| kib * 1024);
    let has_memory = |run: &RunAnalysis| run.samples.iter().any(|row| row.cgroup_bytes.is_some());
    if runs.iter().any(|(_, run)| has_memory(run)) {
        let limit = line(memory_limit, "memory.max");
        panels.push(panel(
            "memory of the control group",
            Unit::Bytes,
            &runs,
            limit,
            |run| sampled(run, |row| row.cgroup_bytes.map(|bytes| bytes as f64)),
        ));
    }
    let queue_limit = runs
        .iter()
        .flat_map(|(_, run)| &run.samples)
        .find_map(|row| row.accept_queue_limit);
    if let Some(limit) = queue_limit {
        let limit = line(Some(u64::from(limit)), "limit");
        panels.push(panel(
            "connections in the accept queue",
            Unit::Count,
            &runs,
            limit,
            |run| sampled(run, |row| row.accept_queue.map(f64::from)),
        ));
    }
    let height = 250 + 170 * u32::try_from(panels.len()).unwrap_or(3);
    let footnote = "Of each MPM the run in which most failed. Tasks as the kernel made and ended \
                    them; the rest is read ten times a second from the begin of the load on.";
    Timeline {
        frame: subject
            .frame("limits and failures over time", footnote)
            .size(1200, height),
        x_title: "time since the run began".into(),
        panels,
        events: runs
            .iter()
            .flat_map(|(mpm, run)| marks(*mpm, run))
            .collect(),
    }
}

fn panel(
    title: &str,
    unit: Unit,
    runs: &[(Mpm, &RunAnalysis)],
    limits: Vec<LimitLine>,
    points: fn(&RunAnalysis) -> Vec<TimelinePoint>,
) -> TimelinePanel {
    TimelinePanel {
        title: title.into(),
        unit,
        log: false,
        series: runs
            .iter()
            .map(|(mpm, run)| TimelineSeries {
                name: mpm.to_string(),
                style: style(*mpm),
                points: points(run),
            })
            .collect(),
        limits,
    }
}

/// Seconds since the begin of the run.
fn time_s(run: &RunAnalysis, t_ns: u64) -> f64 {
    (t_ns as f64 - run.manifest.began_ns as f64) / 1e9
}

fn point(run: &RunAnalysis, t_ns: u64, value: f64) -> TimelinePoint {
    TimelinePoint {
        time_s: time_s(run, t_ns),
        value,
        band: None,
    }
}

fn sampled(run: &RunAnalysis, value: fn(&SampleRow) -> Option<f64>) -> Vec<TimelinePoint> {
    let rows = run.samples.iter();
    rows.filter_map(|row| Some(point(run, row.t_ns, value(row)?)))
        .collect()
}

/// Steps of the number of tasks, until httpd was told to stop.
fn tasks(run: &RunAnalysis) -> Vec<TimelinePoint> {
    let stop_ns = match run.manifest.stop_ns {
        0 => u64::MAX,
        stop_ns => stop_ns,
    };
    let mut steps: Vec<(u64, i32)> = Vec::new();
    // Nothing before the run's begin: what is older has no time.
    let begin_ns = run.manifest.began_ns;
    for row in run.ends.iter().filter(|row| row.created_ns >= begin_ns) {
        steps.push((row.created_ns, 1));
        if !row.alive && row.exited_ns < stop_ns {
            steps.push((row.exited_ns, -1));
        }
    }
    steps.sort_unstable();
    let mut points = Vec::new();
    let mut count = 0;
    for (t_ns, step) in steps {
        points.push(point(run, t_ns, f64::from(count)));
        count += step;
        points.push(point(run, t_ns, f64::from(count)));
    }
    if let (Some(_), true) = (points.last(), stop_ns != u64::MAX) {
        points.push(point(run, stop_ns, f64::from(count)));
    }
    points
}

/// A mark for each of the largest bursts of failures.
fn marks(mpm: Mpm, run: &RunAnalysis) -> Vec<EventMarker> {
    let mut bursts: Vec<(String, u64, u64, u64)> = Vec::new();
    let mut rows: Vec<&FailureRow> = failures(run).collect();
    rows.sort_by_key(|row| row.t_ns);
    for row in rows {
        let what = match row.kind {
            FailureKind::OomKill => "OOM kill".to_owned(),
            FailureKind::AcceptQueueFull => "queue full".to_owned(),
            _ => format!("{} {}", row.call, errno_name(row.errno)),
        };
        let open = bursts
            .iter_mut()
            .rev()
            .find(|(known, _, last_ns, _)| *known == what && row.t_ns - *last_ns < BURST_NS);
        match open {
            Some((_, _, last_ns, count)) => {
                *last_ns = row.t_ns;
                *count += 1;
            }
            None => bursts.push((what, row.t_ns, row.t_ns, 1)),
        }
    }
    bursts.sort_by_key(|(.., count)| std::cmp::Reverse(*count));
    bursts.truncate(MARKS);
    bursts
        .into_iter()
        .map(|(what, first_ns, _, count)| EventMarker {
            time_s: time_s(run, first_ns),
            label: match count {
                1 => format!("{mpm}: {what}"),
                count => format!("{mpm}: {count} × {what}"),
            },
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::TaskRow;
    use crate::report::{
        charts::tests::with_subject,
        made_up::{self, Figures, rows::BEGIN_NS},
    };

    fn failure(t_ns: u64) -> FailureRow {
        FailureRow {
            t_ns,
            call: "mmap".into(),
            errno: 12,
            ..FailureRow::default()
        }
    }

    #[test]
    fn failures_that_follow_each_other_share_a_mark() {
        let mut run = made_up::run(Mpm::Event, 1, &Figures::default());
        run.manifest.stop_ns = BEGIN_NS + 20_000_000_000;
        for after_ms in [0, 200, 900, 5_000, 30_000] {
            run.failures.push(failure(BEGIN_NS + after_ms * 1_000_000));
        }
        let marks = marks(Mpm::Event, &run);
        let labels: Vec<&str> = marks.iter().map(|mark| mark.label.as_str()).collect();
        assert_eq!(labels, ["event: 3 × mmap ENOMEM", "event: mmap ENOMEM"]);
        assert!((marks[0].time_s - 1.0).abs() < 1e-9);
    }

    #[test]
    fn tasks_are_counted_up_and_down_until_the_stop() {
        let mut run = made_up::run(Mpm::Event, 1, &Figures::default());
        let begin_ns = run.manifest.began_ns;
        run.manifest.stop_ns = begin_ns + 50;
        run.ends = vec![TaskRow::default(); 2];
        for (task, exited_ns) in run.ends.iter_mut().zip([begin_ns + 30, begin_ns + 60]) {
            task.created_ns = begin_ns + 10;
            task.exited_ns = exited_ns;
        }
        let values: Vec<f64> = tasks(&run).iter().map(|point| point.value).collect();
        assert_eq!(values, [0.0, 1.0, 1.0, 2.0, 2.0, 1.0, 1.0]);
    }

    #[test]
    fn a_run_without_limit_and_failure_has_no_such_picture() {
        with_subject(
            vec![made_up::run(Mpm::Event, 1, &Figures::default())],
            |subject| {
                assert!(!applies(subject));
            },
        );
        let mut run = made_up::run(Mpm::Event, 1, &Figures::default());
        run.failures.push(failure(BEGIN_NS));
        with_subject(vec![run], |subject| assert!(applies(subject)));
    }
}
