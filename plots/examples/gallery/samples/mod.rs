//! Made-up data for every kind of chart. The tests draw the same charts.

pub mod awkward;
mod curves;
mod tasks;

use plots::{
    BarGroup, BarPanel, Bars, Chart, Distribution, DistributionSeries, Estimate, EventMarker,
    Frame, Interval, IntervalRow, Intervals, LimitLine, PercentilePoint, PercentileSeries,
    Percentiles, Ranked, RankedPanel, Series, SeriesStyle, Stacked, StackedPanel, StackedRow,
    Timeline, TimelinePanel, TimelinePoint, TimelineSeries, Unit,
};

/// A chart with the name of its picture.
pub type Sample = (&'static str, Box<dyn Chart>);

pub use curves::curves;
pub use tasks::lanes;

const NAMES: [&str; 3] = ["prefork", "worker", "event"];

/// All samples.
pub fn all() -> Vec<Sample> {
    vec![
        ("percentiles", Box::new(percentiles())),
        ("percentiles-huge", Box::new(awkward::percentiles_huge())),
        (
            "percentiles-one-point",
            Box::new(awkward::percentiles_one_point()),
        ),
        ("timeline", Box::new(timeline())),
        ("timeline-dense", Box::new(awkward::timeline_dense())),
        (
            "timeline-one-point",
            Box::new(awkward::timeline_one_point()),
        ),
        ("stacked", Box::new(stacked(false))),
        ("stacked-shares", Box::new(stacked(true))),
        ("stacked-many", Box::new(awkward::stacked_many())),
        ("bars", Box::new(bars(false))),
        ("bars-log", Box::new(bars(true))),
        ("bars-panels", Box::new(bars_panels())),
        ("bars-many", Box::new(awkward::bars_many())),
        ("distribution", Box::new(distribution(false))),
        ("distribution-tail", Box::new(distribution(true))),
        (
            "distribution-sparse",
            Box::new(awkward::distribution_sparse()),
        ),
        ("ranked", Box::new(ranked())),
        ("ranked-few", Box::new(awkward::ranked_few())),
        ("intervals", Box::new(intervals())),
        ("intervals-differences", Box::new(awkward::differences())),
        ("lanes", Box::new(lanes())),
        ("lanes-one", Box::new(awkward::lanes_one())),
        ("lanes-many", Box::new(awkward::lanes_many())),
        ("lanes-crowded", Box::new(awkward::lanes_crowded())),
        ("lanes-shares", Box::new(awkward::lanes_shares())),
        ("lanes-sparse", Box::new(awkward::lanes_sparse())),
        ("lanes-long-texts", Box::new(awkward::lanes_long_texts())),
        ("curves", Box::new(curves())),
        ("curves-crowded", Box::new(curves::curves_crowded())),
        ("curves-one-point", Box::new(curves::curves_one_point())),
        ("long-texts", Box::new(awkward::long_texts())),
        ("small", Box::new(awkward::small())),
        ("dense-screen", Box::new(awkward::dense_screen())),
        ("empty", Box::new(awkward::empty())),
    ]
}

/// Numbers in 0..1 that look random and are the same every time.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> f64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A duration with a long tail around `median`.
    fn duration(&mut self, median: f64, spread: f64) -> f64 {
        let normal = (0..12).map(|_| self.next()).sum::<f64>() - 6.0;
        median * (spread * normal).exp()
    }
}

fn frame(title: &str) -> Frame {
    Frame::new(title)
        .subtitle("keep-alive · quick size · median of 3 runs")
        .footnote("n = 5,000 requests per run; 0 lost events; bands: least and greatest of 3 runs")
}

fn named(i: usize) -> Series {
    Series::new(NAMES[i], SeriesStyle::new(i))
}

fn percentile_series(i: usize, median: f64, growth: f64, nines: i32) -> PercentileSeries {
    let mut quantiles = vec![0.0, 0.1, 0.25, 0.5, 0.75];
    for n in 1..=nines {
        quantiles.push(1.0 - 10f64.powi(-n));
        quantiles.push(1.0 - 0.5 * 10f64.powi(-n));
    }
    let point = |quantile: f64| {
        let value = median * growth.powf(-(1.0f64 - quantile).log10());
        PercentilePoint {
            quantile,
            value,
            band: Some(Interval {
                low: value * 0.85,
                high: value * (1.1 + 0.3 * quantile),
            }),
        }
    };
    PercentileSeries {
        name: NAMES[i].into(),
        style: SeriesStyle::new(i),
        points: quantiles.into_iter().map(point).collect(),
    }
}

pub fn percentiles() -> Percentiles {
    Percentiles {
        frame: frame("Latency by percentile"),
        x_title: "percentile of requests".into(),
        y_title: "latency, request sent to last byte".into(),
        unit: Unit::Nanoseconds,
        series: vec![
            percentile_series(0, 310e3, 3.1, 3),
            percentile_series(1, 260e3, 2.4, 3),
            percentile_series(2, 240e3, 2.2, 3),
        ],
    }
}

fn time_series(
    i: usize,
    seed: u64,
    count: usize,
    end_s: f64,
    value: impl Fn(f64, f64) -> f64,
) -> TimelineSeries {
    let mut noise = Noise(seed + i as u64);
    let point = |step: usize| {
        let time_s = end_s * step as f64 / (count.max(2) - 1) as f64;
        TimelinePoint {
            time_s,
            value: value(time_s, noise.next()),
            band: None,
        }
    };
    TimelineSeries {
        name: NAMES[i].into(),
        style: SeriesStyle::new(i),
        points: (0..count).map(point).collect(),
    }
}

pub fn timeline() -> Timeline {
    let banded = |i: usize| {
        let mut series = time_series(i, 7, 31, 15.0, |t, r| {
            (9_000.0 + 2_500.0 * i as f64) * (1.0 - (-t).exp()) + 900.0 * r
        });
        for point in &mut series.points {
            point.band = Some(Interval {
                low: point.value * 0.92,
                high: point.value * 1.05,
            });
        }
        series
    };
    Timeline {
        frame: frame("Throughput, errors and memory over time"),
        x_title: "time since the start of the load".into(),
        panels: vec![
            TimelinePanel {
                title: "throughput".into(),
                unit: Unit::PerSecond,
                log: false,
                series: (0..3).map(banded).collect(),
                limits: vec![],
            },
            TimelinePanel {
                title: "errors".into(),
                unit: Unit::PerSecond,
                log: false,
                series: (0..3)
                    .map(|i| {
                        time_series(i, 9, 31, 15.0, |t, r| {
                            if t > 9.0 && i == 0 { 40.0 * r } else { 0.0 }
                        })
                    })
                    .collect(),
                limits: vec![],
            },
            TimelinePanel {
                title: "tasks".into(),
                unit: Unit::Count,
                log: false,
                series: (0..3)
                    .map(|i| {
                        time_series(i, 3, 31, 15.0, |t, _| {
                            (20.0 + 25.0 * t).min(100.0 + 20.0 * i as f64).floor()
                        })
                    })
                    .collect(),
                limits: vec![LimitLine {
                    value: 150.0,
                    label: "MaxRequestWorkers".into(),
                }],
            },
        ],
        events: vec![
            EventMarker {
                time_s: 2.0,
                label: "warm-up ends".into(),
            },
            EventMarker {
                time_s: 2.6,
                label: "first refusal".into(),
            },
            EventMarker {
                time_s: 14.9,
                label: "load ends".into(),
            },
        ],
    }
}

const PHASES: [&str; 7] = [
    "accept queue",
    "slot wait",
    "run queue",
    "on CPU",
    "blocked on socket",
    "blocked on disk",
    "unexplained",
];

fn phases(scale: f64, seed: u64) -> Vec<f64> {
    let mut noise = Noise(seed);
    (0..PHASES.len())
        .map(|i| scale * noise.next() / (1.0 + i as f64 / 2.0))
        .collect()
}

fn segments() -> Vec<Series> {
    let style = |i| SeriesStyle::segment(if i == 6 { 8 } else { i });
    (0..PHASES.len())
        .map(|i| Series::new(PHASES[i], style(i)))
        .collect()
}

pub fn stacked(normalised: bool) -> Stacked {
    let panel = |(q, scale): (&str, f64)| StackedPanel {
        title: format!("requests near {q}"),
        rows: (0..3)
            .map(|i| StackedRow {
                label: NAMES[i].into(),
                values: phases(scale * (1.0 - 0.2 * i as f64), 5 + i as u64),
            })
            .collect(),
    };
    Stacked {
        frame: frame("Where the time of a request goes"),
        unit: Unit::Nanoseconds,
        segments: segments(),
        panels: [("p50", 2e5), ("p90", 1.5e6), ("p99", 4e7)]
            .map(panel)
            .into(),
        normalised,
    }
}

fn estimate(value: f64, noise: &mut Noise) -> Estimate {
    let (down, up) = (0.12 * noise.next(), 0.15 * noise.next());
    Estimate::new(value, value * (1.0 - down), value * (1.0 + up))
}

pub fn bars(log: bool) -> Bars {
    let mut noise = Noise(21);
    let scenarios = [
        ("high-load", 1.0),
        ("keep-alive", 3.0),
        ("large-file", 0.12),
        ("memory-limit", 0.9),
        ("overload, equal slots", if log { 0.001 } else { 1.3 }),
    ];
    let mut groups: Vec<BarGroup> = scenarios
        .map(|(label, factor)| BarGroup {
            label: label.into(),
            values: (0..3)
                .map(|i| {
                    Some(estimate(
                        8_000.0 * factor * (1.0 + 0.2 * f64::from(i)),
                        &mut noise,
                    ))
                })
                .collect(),
        })
        .into();
    groups[3].values[1] = None;
    Bars {
        frame: frame("Throughput by scenario"),
        series: (0..3).map(named).collect(),
        panels: vec![BarPanel {
            title: "requests per second, ok only".into(),
            unit: Unit::PerSecond,
            log,
            groups,
        }],
    }
}

fn bars_panels() -> Bars {
    let mut noise = Noise(4);
    let panels = [
        ("context switches per request", Unit::Count, 4.2),
        ("minor faults per request", Unit::Count, 0.031),
        ("major faults per request", Unit::Count, 0.0),
        ("run-queue wait per request", Unit::Nanoseconds, 42_000.0),
        ("CPU time per request", Unit::Nanoseconds, 180_000.0),
        ("peak memory, PSS", Unit::Bytes, 26e6),
    ];
    Bars {
        frame: frame("What a request costs"),
        series: (0..3).map(named).collect(),
        panels: panels
            .map(|(title, unit, value)| BarPanel {
                title: title.into(),
                unit,
                log: false,
                groups: vec![BarGroup {
                    label: String::new(),
                    values: (0..3)
                        .map(|i| Some(estimate(value * (1.4 - 0.2 * f64::from(i)), &mut noise)))
                        .collect(),
                }],
            })
            .into(),
    }
}

pub fn distribution(complementary: bool) -> Distribution {
    let mut noise = Noise(99);
    let mut series = |i: usize, n: usize, median: f64| {
        let samples: Vec<f64> = (0..n)
            .map(|j| {
                if i == 2 && j % 5 == 0 {
                    0.0
                } else {
                    noise.duration(median, 0.7)
                }
            })
            .collect();
        DistributionSeries::from_samples(NAMES[i], SeriesStyle::new(i), samples)
    };
    Distribution {
        frame: frame("Wait in the accept queue"),
        x_title: "wait in the accept queue".into(),
        y_title: if complementary {
            "share of connections that waited at least so long".into()
        } else {
            "share of connections that waited at most so long".into()
        },
        unit: Unit::Nanoseconds,
        complementary,
        series: vec![
            series(0, 4_000, 8e5),
            series(1, 12_345, 3e5),
            series(2, 9_000, 1e5),
        ],
    }
}

pub fn ranked() -> Ranked {
    let mut noise = Noise(31);
    let mut panel = |i: usize, count: usize, spread: f64| RankedPanel {
        name: NAMES[i].into(),
        style: SeriesStyle::new(i),
        values: (0..count)
            .map(|_| noise.duration(60.0, spread).round())
            .collect(),
        note: format!("{count} workers · Gini 0.{}2 · max/mean 1.{}", 3 - i, 9 - i),
    };
    Ranked {
        frame: frame("Accepts per worker"),
        x_title: "workers by rank".into(),
        y_title: "accepted connections".into(),
        unit: Unit::Count,
        panels: vec![panel(0, 150, 0.6), panel(1, 48, 0.4), panel(2, 400, 0.2)],
    }
}

fn interval_row(label: &str, i: usize, numbers: Option<[f64; 3]>, verdict: &str) -> IntervalRow {
    IntervalRow {
        instead: String::new(),
        label: label.into(),
        style: SeriesStyle::new(i),
        estimate: numbers.map(|[value, low, high]| Estimate::new(value, low, high)),
        verdict: verdict.into(),
    }
}

pub fn intervals() -> Intervals {
    Intervals {
        frame: frame("Claims of the tutorial, as ratios to prefork"),
        x_title: "ratio to prefork with 95 % confidence interval".into(),
        unit: Unit::Ratio,
        log: true,
        reference: 1.0,
        left_hint: "less than prefork".into(),
        right_hint: "more than prefork".into(),
        rows: vec![
            interval_row(
                "worker: memory under high load",
                1,
                Some([0.42, 0.38, 0.47]),
                "confirmed",
            ),
            interval_row(
                "event: memory under high load",
                2,
                Some([0.35, 0.31, 0.4]),
                "confirmed",
            ),
            interval_row(
                "worker: throughput, keep-alive",
                1,
                Some([1.04, 0.97, 1.12]),
                "no difference",
            ),
            interval_row(
                "event: throughput, keep-alive",
                2,
                Some([1.31, 1.18, 1.46]),
                "confirmed",
            ),
            interval_row(
                "event: p99 latency, large file",
                2,
                Some([1.6, 0.7, 3.9]),
                "undecided",
            ),
            interval_row("worker: switches per request", 1, None, "not measured"),
        ],
    }
}
