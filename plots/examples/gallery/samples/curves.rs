//! Curves over a limit.

use plots::{CurveMark, CurvePoint, CurveSeries, Curves, Frame, Interval, SeriesStyle, Unit};

use super::{NAMES, frame};

fn series(i: usize, border: f64, label: &str, xs: &[f64]) -> CurveSeries {
    let point = |&x: &f64| {
        let share = 100.0 / (1.0 + (60.0 * (x / border).ln() + 3.0).exp());
        CurvePoint {
            x,
            y: share.round(),
            interval: Some(Interval {
                low: (share.round() - 38.0).max(0.0),
                high: (share.round() + 38.0).min(100.0),
            }),
        }
    };
    CurveSeries {
        name: NAMES[i].into(),
        style: SeriesStyle::new(i),
        points: xs.iter().map(point).collect(),
        mark: Some(CurveMark {
            x: border,
            label: format!("{} {label}", NAMES[i]),
        }),
    }
}

/// The xs of a bisection around `border`, after strides of four times.
fn bisection(border: f64) -> Vec<f64> {
    let near = [0.7, 0.85, 0.93, 0.96, 0.98, 1.0, 1.02, 1.1, 1.4, 2.0];
    let near = near.map(|factor| factor * border);
    [4.2e6, 17e6, 67e6, 268e6].into_iter().chain(near).collect()
}

pub fn curves() -> Curves {
    let border = |i: usize, border, label| series(i, border, label, &bisection(border));
    Curves {
        frame: frame("Share of trials that fail, by ulimit -v"),
        x_title: "limit of address space per process".into(),
        x_unit: Unit::Bytes,
        log: true,
        y_title: "share of failing trials".into(),
        y_unit: Unit::Percent,
        y_range: Some(Interval {
            low: 0.0,
            high: 100.0,
        }),
        steps: false,
        series: vec![
            border(0, 6.2e6, "6.2 MB"),
            border(1, 480e6, "480 MB"),
            border(2, 531e6, "531 MB"),
        ],
    }
}

/// Three borders in one place, on a linear axis, as steps, in a small picture.
pub fn curves_crowded() -> Curves {
    let xs: Vec<f64> = (20..50).map(f64::from).collect();
    let mut chart = curves();
    chart.frame = Frame::new("Share of trials that fail, by pids.max").size(480, 320);
    chart.log = false;
    chart.steps = true;
    chart.x_unit = Unit::Count;
    chart.x_title = "tasks in the control group".into();
    chart.series = (0..3)
        .map(|i| series(i, 35.0 + i as f64 * 0.5, "thirty-five tasks or so", &xs))
        .collect();
    chart
}

/// One point without an interval, a series without points, no marks.
pub fn curves_one_point() -> Curves {
    let mut chart = curves();
    chart.y_range = None;
    for series in &mut chart.series {
        series.points.truncate(1);
        series.points[0].interval = None;
        series.mark = None;
    }
    chart.series[2].points.clear();
    chart
}
