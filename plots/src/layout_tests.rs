//! What must hold for the layout of every chart, tried on the pictures of the gallery.

use crate::chart::{Chart, scene};
use crate::error::PlotError;
use crate::scene::{Rect, Scene, Shape};
use crate::{
    Estimate, Frame, PercentilePoint, PercentileSeries, Percentiles, SeriesStyle, TimelinePoint,
    Unit,
};

#[path = "../examples/gallery/samples/mod.rs"]
#[allow(
    clippy::duplicate_mod,
    reason = "the gallery is an example with a copy of its own"
)]
mod samples;

fn scenes() -> Vec<(&'static str, Scene)> {
    samples::all()
        .into_iter()
        .map(|(name, chart)| (name, scene(&*chart).unwrap()))
        .collect()
}

fn texts_of(scene: &Scene) -> Vec<&str> {
    scene.texts.iter().map(|t| t.content.as_str()).collect()
}

#[test]
fn every_text_lies_on_the_page() {
    for (name, scene) in scenes() {
        for text in &scene.texts {
            let at = scene.bounds(text);
            let inside = at.left >= 0.0
                && at.top >= 0.0
                && at.right <= scene.width
                && at.bottom <= scene.height;
            assert!(inside, "{name}: \"{}\" at {at:?}", text.content);
        }
    }
}

#[test]
fn no_text_touches_another() {
    for (name, scene) in scenes() {
        let boxes: Vec<Rect> = scene.texts.iter().map(|t| scene.bounds(t)).collect();
        for (i, a) in boxes.iter().enumerate() {
            for (j, b) in boxes.iter().enumerate().skip(i + 1) {
                let apart = a.right <= b.left
                    || b.right <= a.left
                    || a.bottom <= b.top
                    || b.bottom <= a.top;
                let (a, b) = (&scene.texts[i].content, &scene.texts[j].content);
                assert!(apart, "{name}: \"{a}\" and \"{b}\"");
            }
        }
    }
}

#[test]
fn every_shape_lies_on_the_page() {
    for (name, scene) in scenes() {
        let inside = |x: f64, y: f64| {
            (-1.0..=scene.width + 1.0).contains(&x) && (-1.0..=scene.height + 1.0).contains(&y)
        };
        for shape in &scene.shapes {
            let holds = match shape {
                Shape::Box(r, _) => inside(r.left, r.top) && inside(r.right, r.bottom),
                Shape::Line { points, .. } | Shape::Polygon(points, _) => {
                    points.iter().all(|(x, y)| inside(*x, *y))
                }
                Shape::Band { columns, .. } => columns
                    .iter()
                    .all(|(x, upper, lower)| inside(*x, *upper) && inside(*x, *lower)),
                Shape::Disc((x, y), ..) => inside(*x, *y),
            };
            assert!(holds, "{name}: {shape:?}");
        }
    }
}

#[test]
fn a_series_has_the_same_colour_in_every_chart() {
    for (name, scene) in scenes() {
        let others = ["empty", "stacked", "intervals", "lanes"];
        if others.iter().any(|other| name.starts_with(other)) {
            continue;
        }
        let color = SeriesStyle::new(0).color;
        let drawn = scene.shapes.iter().any(|shape| match shape {
            Shape::Box(_, c) | Shape::Polygon(_, c) | Shape::Disc(_, _, c) => *c == color,
            Shape::Line { color: c, .. } | Shape::Band { color: c, .. } => *c == color,
        });
        assert!(drawn, "{name}");
    }
}

fn percentiles(value: f64) -> Percentiles {
    Percentiles {
        frame: Frame::new("t"),
        x_title: "x".into(),
        y_title: "y".into(),
        unit: Unit::Nanoseconds,
        series: vec![PercentileSeries {
            name: "event".into(),
            style: SeriesStyle::new(0),
            points: vec![PercentilePoint {
                quantile: 0.5,
                value,
                band: None,
            }],
        }],
    }
}

#[test]
fn a_chart_without_data_says_why() {
    let mut chart = percentiles(1.0);
    chart.series[0].points.clear();
    chart.frame.no_data = "the server did not start".into();
    let scene = scene(&chart).unwrap();
    assert!(texts_of(&scene).contains(&"no data: the server did not start"));
    assert!(texts_of(&scene).contains(&"event (no data)"));
}

#[test]
fn every_kind_of_chart_can_be_empty() {
    let mut timeline = samples::timeline();
    timeline.panels.clear();
    let mut stacked = samples::stacked(false);
    stacked.panels.clear();
    let mut bars = samples::bars(false);
    bars.panels.clear();
    let mut distribution = samples::distribution(true);
    distribution.series.clear();
    let mut ranked = samples::ranked();
    ranked.panels.clear();
    let mut intervals = samples::intervals();
    intervals.rows.clear();
    let mut lanes = samples::lanes();
    lanes.groups.clear();
    let mut curves = samples::curves();
    curves.series.clear();
    let charts: [&dyn Chart; 8] = [
        &timeline,
        &stacked,
        &bars,
        &distribution,
        &ranked,
        &intervals,
        &lanes,
        &curves,
    ];
    for chart in charts {
        let scene = scene(chart).unwrap();
        assert!(texts_of(&scene).contains(&"no data: nothing was recorded"));
    }
}

#[test]
fn every_kind_of_chart_names_the_series_whose_value_is_not_finite() {
    let percentiles = percentiles(f64::NAN);
    let mut timeline = samples::timeline();
    timeline.panels[1].series[2].points[3] = TimelinePoint {
        time_s: 1.0,
        value: f64::INFINITY,
        band: None,
    };
    let mut stacked = samples::stacked(true);
    stacked.panels[0].rows[2].values[4] = f64::NAN;
    let mut bars = samples::bars(false);
    bars.panels[0].groups[1].values[2] = Some(Estimate::new(1.0, f64::NEG_INFINITY, 2.0));
    let mut distribution = samples::distribution(false);
    distribution.series[2].counts[5].0 = f64::NAN;
    let mut ranked = samples::ranked();
    ranked.panels[2].values[7] = f64::INFINITY;
    let mut intervals = samples::intervals();
    intervals.rows[1].label = "event".into();
    intervals.rows[1].estimate = Some(Estimate::new(f64::NAN, 1.0, 2.0));
    let mut lanes = samples::lanes();
    lanes.groups[1].lanes[0].label = "event".into();
    lanes.groups[1].lanes[0].spans[3].to = f64::NAN;
    let mut curves = samples::curves();
    curves.series[2].points[3].y = f64::NAN;
    let charts: [&dyn Chart; 9] = [
        &percentiles,
        &timeline,
        &stacked,
        &bars,
        &distribution,
        &ranked,
        &intervals,
        &lanes,
        &curves,
    ];
    for chart in charts {
        let error = scene(chart).unwrap_err();
        assert!(
            matches!(&error, PlotError::NotFinite { series, .. } if series == "event"),
            "{error:?}"
        );
    }
}

#[test]
fn the_maximum_has_no_place_among_the_nines() {
    let mut chart = percentiles(1.0);
    chart.series[0].points[0].quantile = 1.0;
    assert!(matches!(
        scene(&chart).unwrap_err(),
        PlotError::Quantile { quantile: 1.0, .. }
    ));
}

#[test]
fn zero_has_no_place_on_a_logarithmic_axis_of_ratios() {
    let mut chart = samples::intervals();
    chart.rows[0].estimate = Some(Estimate::new(0.5, 0.0, 1.0));
    assert!(matches!(
        scene(&chart).unwrap_err(),
        PlotError::NotPositive { .. }
    ));
}

#[test]
fn rows_make_the_picture_grow() {
    let mut chart = samples::stacked(false);
    assert_eq!(scene(&chart).unwrap().height, 700.0);
    let row = chart.panels[0].rows[0].clone();
    chart.panels[0].rows = vec![row.clone(); 60];
    assert!(scene(&chart).unwrap().height > 1400.0);
    chart.panels[0].rows = vec![row; 1000];
    assert!(matches!(scene(&chart).unwrap_err(), PlotError::Size { .. }));
}

#[test]
fn the_total_stands_at_the_end_of_a_stacked_bar() {
    let mut chart = samples::stacked(true);
    chart.panels.truncate(1);
    chart.panels[0].rows.truncate(1);
    chart.panels[0].rows[0].values = vec![1e6, 2e5, 0.0, 0.0, 0.0, 0.0, 0.0];
    let scene = scene(&chart).unwrap();
    assert!(texts_of(&scene).contains(&"1.2 ms"));
    assert!(texts_of(&scene).contains(&"83 %"));
    assert!(texts_of(&scene).contains(&"100 %"));
}

#[test]
fn a_far_limit_is_named_but_does_not_press_the_data_flat() {
    let scene = scene(&samples::awkward::timeline_dense()).unwrap();
    let all = texts_of(&scene).join(" ");
    assert!(all.contains("500\u{a0}MB ↑\u{a0}off\u{a0}scale"), "{all}");
    assert!(all.contains("80 MB") && !all.contains("400 MB"), "{all}");
}
