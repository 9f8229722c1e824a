//! Where the time of real requests goes, near the median and in the tail.

use plots::{
    Chart, Color, Frame, Marker, Series, SeriesStyle, Stacked, StackedPanel, StackedRow, Unit,
};

use super::{ScenarioChart, Subject};
use crate::{
    correlate::{Phase, Phases},
    report::text::percent,
    scenario::Mpm,
    statistics::rank,
};

pub(super) const CHART: ScenarioChart = ScenarioChart {
    key: "phases",
    title: "Where the time goes",
    reading: "Each bar is the mean of requests whose latency is near that percentile, split into \
              what happened to them. Each panel has a scale of its own.",
    make: |subject| Box::new(make(subject)) as Box<dyn Chart>,
};

/// The panels.
const QUANTILES: [(f64, &str); 3] = [
    (0.5, "near the median"),
    (0.9, "near p90"),
    (0.99, "near p99"),
];
/// Share of all requests on each side of the quantile that are looked at …
const WINDOW: f64 = 0.02;
/// … and at most this share of those that are slower, so that p99 does not reach to the slowest.
const WINDOW_OF_TAIL: f64 = 0.5;

/// Blues and greys for the way to and from the server and for the client, warm colours for waiting
/// to be served, green for work, pinks for waiting for a CPU, olive and purple for being blocked.
const fn color(phase: Phase) -> Color {
    match phase {
        Phase::LateStart => Color(0xcc, 0x33, 0x11),
        Phase::StaleAttempt => Color(0x88, 0x88, 0x88),
        Phase::Connect => Color(0x99, 0xdd, 0xff),
        Phase::ClientDelay => Color(0xdd, 0xdd, 0xdd),
        Phase::ToServer => Color(0x77, 0xaa, 0xdd),
        Phase::AcceptQueue => Color(0xee, 0xdd, 0x88),
        Phase::NoFreeWorker => Color(0xee, 0x88, 0x66),
        Phase::HandOff => Color(0xf6, 0xb4, 0x5c),
        Phase::WorkerRunQueue => Color(0xe0, 0x7a, 0x9b),
        Phase::OnCpu => Color(0x44, 0xbb, 0x99),
        Phase::Woken => Color(0xff, 0xaa, 0xbb),
        Phase::Preempted => Color(0xc6, 0x5d, 0x7b),
        Phase::Futex => Color(0xbb, 0xcc, 0x33),
        Phase::Poll => Color(0x8c, 0xa8, 0x2d),
        Phase::Send => Color(0xaa, 0xaa, 0x00),
        Phase::Receive => Color(0x80, 0x80, 0x1a),
        Phase::FileRead => Color(0x99, 0x77, 0x55),
        Phase::PageFault => Color(0x66, 0x44, 0x33),
        Phase::Sleep => Color(0xcc, 0xc4, 0xa0),
        Phase::Stopped => Color(0x33, 0x33, 0x33),
        Phase::KernelLock => Color(0x7a, 0x5a, 0x9c),
        Phase::Other => Color(0xa9, 0xa9, 0x88),
        Phase::ClientSends => Color(0x44, 0x77, 0xaa),
        Phase::ClientReads => Color(0x33, 0x55, 0x99),
        Phase::Handover => Color(0xd9, 0xc0, 0x3a),
        Phase::ToClient => Color(0xbb, 0xaa, 0xdd),
        Phase::InClient => Color(0x99, 0x88, 0xcc),
    }
}

/// A phase below this share of every bar is drawn with the others like it.
const WORTH_A_COLOR: f64 = 0.002;
/// Colour of those.
const OTHERS: Color = Color(0xf2, 0xf2, 0xf2);

/// The mean of the phases of several requests.
struct Mean {
    phases_ns: Vec<f64>,
    wall_ns: f64,
    residual_ns: f64,
    requests: usize,
}

fn make(subject: &Subject<'_>) -> Stacked {
    let mpms = subject.figures.mpms();
    let pooled: Vec<(String, Vec<Phases>)> = mpms
        .iter()
        .map(|&mpm| (mpm.to_string(), pool(subject, mpm)))
        .collect();
    let bars = PhaseBars::of(&pooled);
    let footnote = format!(
        "Successful requests seen from both sides, pooled over the repetitions ({}); {}",
        subject.repetitions(),
        bars.remark
    );
    bars.draw(subject.frame("where the time goes", &footnote))
}

/// Bars of requests near some quantiles of their time.
pub(in crate::report) struct PhaseBars {
    panels: Vec<StackedPanel>,
    segments: Vec<Series>,
    /// How many requests each bar has, and how well it adds up.
    pub remark: String,
}

impl PhaseBars {
    /// Of groups with their names, each sorted by the requests' time.
    pub fn of(groups: &[(String, Vec<Phases>)]) -> Self {
        let mut panels = Vec::new();
        let mut widest_residual = 0.0_f64;
        let mut counts = Vec::new();
        for (quantile, title) in QUANTILES {
            let mut rows = Vec::new();
            for (name, requests) in groups {
                let Some(mean) = mean_near(requests, quantile) else {
                    continue;
                };
                widest_residual = widest_residual.max((mean.residual_ns / mean.wall_ns).abs());
                counts.push(mean.requests);
                rows.push(StackedRow {
                    label: name.clone(),
                    values: mean.phases_ns,
                });
            }
            panels.push(StackedPanel {
                title: title.into(),
                rows,
            });
        }
        let range = match (counts.iter().min(), counts.iter().max()) {
            (Some(least), Some(most)) if least != most => format!("{least} to {most}"),
            (Some(count), _) => count.to_string(),
            _ => "no".into(),
        };
        let remark = format!(
            "{range} requests for each bar. Shown is the sum of the phases; the requests' time \
             differs from it by at most {} in these bars (residual).",
            percent(100.0 * widest_residual)
        );
        Self {
            segments: gather_small(&mut panels),
            panels,
            remark,
        }
    }

    /// The chart.
    pub fn draw(self, frame: Frame) -> Stacked {
        Stacked {
            frame,
            unit: Unit::Nanoseconds,
            segments: self.segments,
            panels: self.panels,
            normalised: false,
        }
    }
}

/// Leaves the phases that are worth a colour somewhere, and puts the sum of the others last.
fn gather_small(panels: &mut [StackedPanel]) -> Vec<Series> {
    let rows = || panels.iter().flat_map(|panel| &panel.rows);
    let is_large = |index: usize| {
        rows().any(|row| row.values[index] > WORTH_A_COLOR * row.values.iter().sum::<f64>())
    };
    let shown: Vec<bool> = (0..Phase::ALL.len()).map(is_large).collect();
    let any_small = rows().any(|row| {
        let mut values = row.values.iter().zip(&shown);
        values.any(|(value, shown)| !shown && *value > 0.0)
    });
    let segment = |name: &str, color: Color| {
        let style = SeriesStyle {
            color,
            marker: Marker::Square,
        };
        Series::new(name, style)
    };
    let mut segments: Vec<Series> = Phase::ALL
        .into_iter()
        .zip(&shown)
        .filter(|(_, shown)| **shown)
        .map(|(phase, _)| segment(phase.name(), color(phase)))
        .collect();
    if any_small {
        segments.push(segment("all others", OTHERS));
    }
    for row in panels.iter_mut().flat_map(|panel| &mut panel.rows) {
        let (mut kept, mut rest) = (Vec::new(), 0.0);
        for (value, shown) in row.values.iter().zip(&shown) {
            if *shown {
                kept.push(*value);
            } else {
                rest += value;
            }
        }
        if any_small {
            kept.push(rest);
        }
        row.values = kept;
    }
    segments
}

/// The requests of all repetitions, by wall time.
fn pool(subject: &Subject<'_>, mpm: Mpm) -> Vec<Phases> {
    let mut all: Vec<Phases> = subject
        .started(mpm)
        .flat_map(|run| run.phases())
        .filter(|phases| phases.wall_ns > 0)
        .collect();
    all.sort_by_key(|phases| phases.wall_ns);
    all
}

/// The mean over the requests around a quantile of those, which are sorted by wall time.
fn mean_near(sorted: &[Phases], quantile: f64) -> Option<Mean> {
    let middle = rank(sorted.len(), quantile)?;
    let n = sorted.len() as f64;
    let reach = (WINDOW * n).min(WINDOW_OF_TAIL * (1.0 - quantile) * n) as usize;
    let last = (middle + reach).min(sorted.len() - 1);
    let near = &sorted[middle.saturating_sub(reach)..=last];
    let count = near.len() as f64;
    let mean = |of: &dyn Fn(&Phases) -> f64| near.iter().map(of).sum::<f64>() / count;
    Some(Mean {
        phases_ns: Phase::ALL
            .into_iter()
            .map(|phase| mean(&|phases| phases.get(phase) as f64))
            .collect(),
        wall_ns: mean(&|phases| phases.wall_ns as f64),
        residual_ns: mean(&|phases| phases.residual_ns() as f64),
        requests: near.len(),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::report::{
        charts::tests::with_subject,
        made_up::{Figures, three_of_each},
    };

    #[test]
    fn no_two_phases_share_a_colour() {
        let colors: HashSet<Color> = Phase::ALL.into_iter().map(color).collect();
        assert_eq!(colors.len(), Phase::ALL.len());
    }

    #[test]
    fn small_phases_are_gathered_and_nothing_is_lost() {
        let mut values = vec![0.0; Phase::ALL.len()];
        values[Phase::OnCpu as usize] = 990.0;
        values[Phase::Futex as usize] = 8.0;
        values[Phase::Send as usize] = 1.5;
        values[Phase::Sleep as usize] = 0.5;
        let mut panels = [StackedPanel {
            title: String::new(),
            rows: vec![StackedRow {
                label: String::new(),
                values,
            }],
        }];
        let segments = gather_small(&mut panels);
        let names: Vec<&str> = segments.iter().map(|series| series.name.as_str()).collect();
        assert_eq!(names, ["on CPU", "futex", "all others"]);
        assert_eq!(panels[0].rows[0].values, [990.0, 8.0, 2.0]);
    }

    #[test]
    fn a_bar_is_the_mean_of_requests_near_the_quantile() {
        with_subject(three_of_each(|_, _| Figures::default()), |subject| {
            let requests = pool(subject, Mpm::Event);
            assert_eq!(requests.len(), 297);
            let mean = mean_near(&requests, 0.5).unwrap();
            // Five ranks to each side of the 149th of 297.
            assert_eq!(mean.requests, 11);
            assert!(
                (mean.wall_ns - 1_050_000.0).abs() < 2000.0,
                "{}",
                mean.wall_ns
            );
            assert!((mean.phases_ns.iter().sum::<f64>() - mean.wall_ns).abs() < 1e-3);
            assert_eq!(mean.phases_ns[Phase::AcceptQueue as usize], 100_000.0);
        });
        assert!(mean_near(&[], 0.5).is_none());
    }

    #[test]
    fn the_window_at_p99_stays_off_the_slowest() {
        with_subject(
            three_of_each(|_, _| Figures {
                ok: 1000,
                ..Figures::default()
            }),
            |subject| {
                let requests = pool(subject, Mpm::Worker);
                let mean = mean_near(&requests, 0.99).unwrap();
                let slowest = requests.last().unwrap().wall_ns as f64;
                assert_eq!(mean.requests, 29);
                assert!(mean.wall_ns < slowest - 5_000.0);
            },
        );
    }
}
