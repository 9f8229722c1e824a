//! The same charts with data that is sparse, huge, crowded, long-winded or missing.

use plots::{
    BarGroup, Bars, Distribution, DistributionSeries, EventMarker, Frame, Intervals, LimitLine,
    Percentiles, Ranked, SeriesStyle, Stacked, StackedRow, Timeline, TimelinePanel, Unit,
};

use super::{
    NAMES, Noise, bars, distribution, estimate, frame, interval_row, intervals, percentile_series,
    percentiles, phases, ranked, stacked, time_series, timeline,
};

const LONG: &str = "memory-limit with a rather long name that nobody would want to type twice";

pub fn percentiles_huge() -> Percentiles {
    let mut series = percentile_series(0, 80.0, 40.0, 6);
    series.points[0].value = 0.0;
    series.points[0].band = None;
    Percentiles {
        series: vec![series, percentile_series(1, 2e5, 3.0, 6)],
        ..percentiles()
    }
}

pub fn percentiles_one_point() -> Percentiles {
    let mut chart = percentiles();
    for series in &mut chart.series {
        series.points.drain(..5);
        series.points.truncate(1);
    }
    chart.series[2].points.clear();
    chart
}

pub fn timeline_dense() -> Timeline {
    let series = |i: usize| {
        time_series(i, 11, 20_000, 600.0, |t, r| {
            26e6 * (1.0 + i as f64) + 3e6 * (t / 40.0).sin() + 4e6 * r * r
        })
    };
    Timeline {
        frame: frame("Memory over time, 20,000 samples per series"),
        x_title: "time".into(),
        panels: vec![TimelinePanel {
            title: "PSS of all tasks".into(),
            unit: Unit::Bytes,
            series: (0..3).map(series).collect(),
            limits: vec![LimitLine {
                value: 500e6,
                label: "ulimit -v".into(),
            }],
        }],
        events: (0..14)
            .map(|i| EventMarker {
                time_s: 300.0 + 6.0 * f64::from(i),
                label: format!("graceful restart {i}"),
            })
            .collect(),
    }
}

pub fn timeline_one_point() -> Timeline {
    let mut chart = timeline();
    chart.events.clear();
    for panel in &mut chart.panels {
        for series in &mut panel.series {
            series.points.truncate(1);
        }
    }
    chart.panels[1].series.clear();
    chart
}

pub fn stacked_many() -> Stacked {
    let mut chart = stacked(false);
    chart.panels.truncate(2);
    chart.panels[0].rows = (0..40)
        .map(|i| StackedRow {
            label: if i == 3 {
                LONG.into()
            } else {
                format!("scenario {i}")
            },
            values: phases(1e6 * f64::from(i), 5 + i as u64),
        })
        .collect();
    chart.panels[1].rows.clear();
    chart
}

pub fn bars_many() -> Bars {
    let mut noise = Noise(8);
    let mut chart = bars(false);
    chart.panels[0].groups = (0..40)
        .map(|g| BarGroup {
            label: if g == 7 {
                LONG.into()
            } else {
                format!("scenario {g}")
            },
            values: (0..3)
                .map(|_| {
                    let value = 5_000.0 + 9_000.0 * noise.next();
                    Some(estimate(value, &mut noise))
                })
                .collect(),
        })
        .collect();
    chart
}

pub fn distribution_sparse() -> Distribution {
    let series = |i: usize, values: Vec<f64>| {
        DistributionSeries::from_samples(NAMES[i], SeriesStyle::new(i), values)
    };
    Distribution {
        series: vec![
            series(0, vec![2e6]),
            series(1, vec![1e6, 3e6, 3e6, 5e6, 9e6]),
            series(2, vec![]),
        ],
        ..distribution(false)
    }
}

pub fn ranked_few() -> Ranked {
    let mut chart = ranked();
    chart.panels[0].values = vec![17.0];
    chart.panels[1].values = vec![3.0, 0.0, 9.0, 5.0];
    chart.panels[2].values.clear();
    chart
}

pub fn differences() -> Intervals {
    Intervals {
        x_title: "difference to prefork".into(),
        unit: Unit::Nanoseconds,
        log: false,
        reference: 0.0,
        rows: (0..25)
            .map(|i| {
                let value = f64::from(i - 9) * 120_000.0;
                let numbers = [value, value - 400_000.0, value + 500_000.0];
                let label = if i == 4 {
                    LONG.into()
                } else {
                    format!("scenario {i}")
                };
                interval_row(
                    &label,
                    1,
                    Some(numbers),
                    "a verdict of more words than fit here",
                )
            })
            .collect(),
        ..intervals()
    }
}

pub fn long_texts() -> Bars {
    let mut chart = bars(false);
    chart.frame = Frame::new(format!("{LONG}, {LONG}, {LONG}"))
        .subtitle(format!("{LONG} · {LONG} · {LONG}"))
        .footnote(format!(
            "{LONG}; {LONG}; {LONG}; {LONG}; {LONG}; {LONG}; {LONG}; {LONG}"
        ));
    for (i, series) in chart.series.iter_mut().enumerate() {
        series.name = format!("{LONG} {i}");
    }
    for group in &mut chart.panels[0].groups {
        group.label = LONG.into();
    }
    chart
}

pub fn small() -> Timeline {
    let mut chart = timeline();
    chart.frame = chart.frame.size(480, 320);
    chart
}

pub fn dense_screen() -> Percentiles {
    let mut chart = percentiles();
    chart.frame = chart.frame.scale(2);
    chart
}

pub fn empty() -> Percentiles {
    let mut chart = percentiles();
    chart.series.clear();
    chart.frame = chart
        .frame
        .no_data("no request was answered before the time limit of 30 s");
    chart
}
