//! Throughput and failures over time.

use plots::{Chart, Timeline, TimelinePanel, TimelinePoint, TimelineSeries, Unit};

use super::{ScenarioChart, Subject, plural, style};
use crate::{correlate::RunAnalysis, recording::ClientRow};

pub(super) const CHART: ScenarioChart = ScenarioChart {
    key: "throughput",
    title: "Throughput and failures over time",
    reading: "A line that ends earlier was done earlier. A cold start shows as a climb, a stall as \
              a gap.",
    make: |subject| Box::new(make(subject)) as Box<dyn Chart>,
};

/// Bins over the longest load, fewer for few requests …
const BINS: u64 = 50;
const FEWEST_BINS: u64 = 10;
/// … so that a bin holds about so many at least, and chance does not make the picture.
const REQUESTS_PER_BIN: u64 = 50;
/// A last bin shorter than this share of a bin joins the one before it.
const LEAST_BIN: f64 = 0.5;

fn make(subject: &Subject<'_>) -> Timeline {
    let mpms = subject.figures.mpms();
    let typical = || mpms.iter().filter_map(|&mpm| subject.typical(mpm));
    let longest_s = typical().map(RunAnalysis::load_seconds).fold(0.0, f64::max);
    let fewest = typical().map(RunAnalysis::ok).min().unwrap_or(0);
    let bins = (fewest / REQUESTS_PER_BIN).clamp(FEWEST_BINS, BINS);
    let width_s = longest_s / bins as f64;
    let panel = |title: &str, counts: fn(&ClientRow) -> bool| TimelinePanel {
        title: title.into(),
        unit: Unit::PerSecond,
        log: false,
        series: mpms
            .iter()
            .map(|&mpm| TimelineSeries {
                name: mpm.to_string(),
                style: style(mpm),
                points: subject
                    .typical(mpm)
                    .map_or_else(Vec::new, |run| points(run, width_s, counts)),
            })
            .collect(),
        limits: Vec::new(),
    };
    let mut panels = vec![panel("successful requests per second", ClientRow::is_ok)];
    let failures = panel("failed requests per second", is_failed);
    let has_failures =
        |series: &TimelineSeries| series.points.iter().any(|point| point.value > 0.0);
    let failed = if failures.series.iter().any(has_failures) {
        panels.push(failures);
        ""
    } else {
        " No request failed in these runs."
    };
    let refused: u64 = subject
        .runs
        .iter()
        .filter(|(_, run)| !run.manifest.start.answered)
        .map(|(_, run)| run.failed())
        .sum();
    let not_drawn = match refused {
        0 => String::new(),
        refused => format!(
            " Not drawn: {} in runs in which httpd did not start.",
            plural(refused, "failed request")
        ),
    };
    let footnote = format!(
        "Of each MPM the run of median throughput ({}). Each point is the mean over {}. A request \
         counts when its outcome is known.{failed}{not_drawn}",
        subject.repetitions(),
        Unit::Seconds.format(width_s)
    );
    Timeline {
        frame: subject.frame("throughput and failures over time", &footnote),
        x_title: "time since the load began".into(),
        panels,
        events: Vec::new(),
    }
}

/// As [`RunAnalysis::failed`] counts.
fn is_failed(row: &ClientRow) -> bool {
    !["ok", "stale_keep_alive", "aborted"].contains(&row.outcome.as_str())
}

/// Ends of the measured requests that count, per second, at the middle of each bin.
fn points(run: &RunAnalysis, width_s: f64, counts: fn(&ClientRow) -> bool) -> Vec<TimelinePoint> {
    let (begin_ns, _) = run.load_ns();
    let length_s = run.load_seconds();
    if width_s <= 0.0 || length_s <= 0.0 {
        return Vec::new();
    }
    let whole_bins = (length_s / width_s).floor();
    let rest = length_s / width_s - whole_bins;
    let bins = (whole_bins as usize + usize::from(rest >= LEAST_BIN)).max(1);
    let mut sums = vec![0_u64; bins];
    for row in run.client.iter().filter(|row| row.measured && counts(row)) {
        let at_s = row.end_ns.saturating_sub(begin_ns) as f64 / 1e9;
        let bin = ((at_s / width_s) as usize).min(bins - 1);
        sums[bin] += 1;
    }
    let edge = |bin: usize| {
        if bin == bins {
            length_s
        } else {
            bin as f64 * width_s
        }
    };
    sums.iter()
        .enumerate()
        .map(|(bin, &sum)| {
            let (from_s, to_s) = (edge(bin), edge(bin + 1));
            TimelinePoint {
                time_s: f64::midpoint(from_s, to_s),
                value: sum as f64 / (to_s - from_s),
                band: None,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        report::made_up::{self, Figures},
        scenario::Mpm,
    };

    #[test]
    fn the_bins_hold_every_request_once() {
        let run = made_up::run(Mpm::Event, 1, &Figures::default());
        for width_s in [0.04, 0.3, 1.9, 5.0] {
            let points = points(&run, width_s, ClientRow::is_ok);
            let count = points.len();
            let last_s = 2.0 - (count as f64 - 1.0) * width_s;
            let sum: f64 = points
                .iter()
                .enumerate()
                .map(|(i, point)| point.value * if i + 1 == count { last_s } else { width_s })
                .sum();
            assert!((sum - 100.0).abs() < 1e-6, "{width_s}: {sum}");
        }
    }

    #[test]
    fn failures_are_counted_when_they_are_known() {
        let run = made_up::run(Mpm::Event, 1, &Figures::default());
        let points = points(&run, 0.5, is_failed);
        let values: Vec<f64> = points.iter().map(|point| point.value).collect();
        assert_eq!(values, [0.0, 0.0, 0.0, 4.0]);
    }
}
