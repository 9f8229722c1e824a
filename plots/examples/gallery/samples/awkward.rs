//! The same charts with data that is sparse, huge, crowded, long-winded or missing.

use plots::{
    BarGroup, Bars, Distribution, DistributionSeries, EventMarker, Frame, Interval, Intervals,
    Lane, LaneCounter, LaneGroup, LaneLink, LaneMark, LaneSlice, LaneSpan, Lanes, LimitLine,
    Percentiles, Ranked, SeriesStyle, Stacked, StackedRow, Timeline, TimelinePanel, Unit,
};

use super::tasks::{lanes, tasks};
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
            log: false,
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

pub fn lanes_one() -> Lanes {
    let mut chart = lanes();
    chart.frame = chart.frame.size(1200, 320);
    chart.groups.truncate(1);
    chart.groups[0].lanes.truncate(1);
    chart.groups[0].links.clear();
    chart.groups[0].counter = None;
    chart
}

pub fn lanes_many() -> Lanes {
    Lanes {
        groups: vec![tasks("event", 40, 200e6, 20.0), LaneGroup::new("worker")],
        ..lanes()
    }
}

/// Six seconds in which every task changes its state hundreds of times a second.
pub fn lanes_crowded() -> Lanes {
    Lanes {
        window: None,
        groups: vec![tasks("worker", 8, 6e9, 10.0)],
        ..lanes()
    }
}

/// A quarter of the time in the first state, three quarters in the second.
pub fn lanes_shares() -> Lanes {
    let spans = (0..400_000).map(|i| {
        let start = f64::from(i / 2) * 400.0;
        let (from, to) = [(0.0, 100.0), (100.0, 400.0)][i as usize % 2];
        LaneSpan {
            from: start + from,
            to: start + to,
            category: i as usize % 2,
        }
    });
    let lane = Lane {
        spans: spans.collect(),
        ..Lane::new("1234")
    };
    let mut chart = lanes();
    chart.window = Some(Interval {
        low: 0.0,
        high: 80e6,
    });
    chart.groups = vec![LaneGroup {
        lanes: vec![lane],
        ..LaneGroup::new("a quarter in the first state")
    }];
    chart
}

/// Lanes without spans, moments at both ends of the window, links cut by it, an empty counter.
pub fn lanes_sparse() -> Lanes {
    let mark = |at| LaneMark { at, kind: 0 };
    let link = |from, to| LaneLink {
        from_lane: 0,
        from,
        to_lane: 2,
        to,
        kind: 0,
    };
    let marked = Lane {
        marks: vec![mark(100e6), mark(150e6), mark(200e6), mark(300e6)],
        ..Lane::new("only marks")
    };
    let nested = [(90e6, 140e6), (110e6, 130e6), (195e6, 500e6)].map(|(from, to)| LaneSlice {
        from,
        to,
        label: "nested".into(),
    });
    let nested = Lane {
        slices: nested.to_vec(),
        ..Lane::new("only slices")
    };
    let counter = |points| {
        Some(LaneCounter {
            name: "accept queue".into(),
            unit: Unit::Count,
            points,
        })
    };
    let mut chart = lanes();
    chart.frame = chart.frame.size(800, 320);
    chart.window = Some(Interval {
        low: 100e6,
        high: 200e6,
    });
    chart.groups = vec![
        LaneGroup {
            title: "no spans".into(),
            lanes: vec![marked, nested, Lane::new("nothing")],
            links: vec![link(50e6, 120e6), link(180e6, 400e6), link(100e6, 200e6)],
            counter: counter(vec![]),
        },
        LaneGroup {
            counter: counter(vec![(0.0, 0.0)]),
            ..LaneGroup::new("only a counter")
        },
        LaneGroup::new("nothing"),
    ];
    chart
}

pub fn lanes_long_texts() -> Lanes {
    let mut chart = lanes();
    chart.frame = chart.frame.size(640, 320);
    chart.slice_name = LONG.into();
    for group in &mut chart.groups {
        group.title = format!("{LONG}, {LONG}");
        if let Some(counter) = &mut group.counter {
            counter.name = LONG.into();
        }
        for (i, lane) in group.lanes.iter_mut().enumerate() {
            lane.label = if i == 1 {
                "httpd-worker-".repeat(9)
            } else {
                LONG.into()
            };
            for slice in &mut lane.slices {
                slice.label = LONG.into();
            }
        }
    }
    for series in &mut chart.categories {
        series.name = format!("{} ({LONG})", series.name);
    }
    chart
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
