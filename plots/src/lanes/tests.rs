//! Checks and legend of the chart as a whole.

use super::*;
use crate::chart::{Paint, scene};
use crate::error::PlotError;
use crate::scene::Shape;
use crate::style::SeriesStyle;

fn chart() -> Lanes {
    let span = |from, to, category| LaneSpan { from, to, category };
    let listener = Lane {
        spans: vec![span(0.0, 10.0, 0), span(10.0, 30.0, 2)],
        marks: vec![LaneMark { at: 5.0, kind: 0 }],
        ..Lane::new("listener")
    };
    let worker = Lane {
        slices: vec![LaneSlice {
            from: 20.0,
            to: 30.0,
            label: "GET /".into(),
        }],
        ..Lane::new("worker")
    };
    let named = |name: &str| Series::new(name, SeriesStyle::new(0));
    Lanes {
        categories: ["on CPU", "blocked", "idle"].map(named).to_vec(),
        slice_name: "request".into(),
        mark_kinds: vec![named("accept")],
        link_kinds: vec![named("hand-off")],
        groups: vec![LaneGroup {
            lanes: vec![listener, worker],
            links: vec![LaneLink {
                from_lane: 0,
                from: 8.0,
                to_lane: 1,
                to: 20.0,
                kind: 0,
            }],
            ..LaneGroup::new("worker MPM")
        }],
        ..Lanes::new(Frame::new("t"), Unit::Nanoseconds)
    }
}

fn legend(chart: &Lanes) -> Vec<String> {
    chart.legend().into_iter().map(|entry| entry.name).collect()
}

#[test]
fn the_legend_names_what_occurs_in_the_window_and_nothing_else() {
    let mut chart = chart();
    assert_eq!(
        legend(&chart),
        ["on CPU", "idle", "request", "accept", "hand-off"]
    );
    chart.window = Some(Interval {
        low: 10.0,
        high: 18.0,
    });
    assert_eq!(legend(&chart), ["idle", "hand-off"]);
    chart.window = Some(Interval {
        low: 20.5,
        high: 25.0,
    });
    chart.slice_name.clear();
    assert_eq!(legend(&chart), ["idle"]);
}

#[test]
fn all_time_is_shown_unless_a_window_is_given() {
    let mut chart = chart();
    assert_eq!((chart.window().low, chart.window().high), (0.0, 30.0));
    chart.groups[0].counter = Some(LaneCounter {
        name: "queue".into(),
        unit: Unit::Count,
        points: vec![(40.0, 1.0)],
    });
    assert_eq!(chart.window().high, 40.0);
}

#[test]
fn a_span_that_ends_before_it_starts_is_refused() {
    let mut chart = chart();
    chart.groups[0].lanes[0].spans[1].to = 9.0;
    assert!(matches!(
        scene(&chart).unwrap_err(),
        PlotError::Interval { series, low: 10.0, high: 9.0 } if series == "listener"
    ));
}

#[test]
fn times_that_are_not_finite_and_negative_counts_are_refused() {
    let spoil: [fn(&mut Lanes); 5] = [
        |c| c.groups[0].lanes[0].spans[0].from = f64::NEG_INFINITY,
        |c| c.groups[0].lanes[1].slices[0].to = f64::NAN,
        |c| c.groups[0].lanes[0].marks[0].at = f64::INFINITY,
        |c| c.groups[0].links[0].to = f64::NAN,
        |c| {
            c.window = Some(Interval {
                low: f64::NAN,
                high: 1.0,
            });
        },
    ];
    for spoil in spoil {
        let mut chart = chart();
        spoil(&mut chart);
        let error = scene(&chart).unwrap_err();
        assert!(matches!(error, PlotError::NotFinite { .. }), "{error:?}");
    }
    let mut chart = chart();
    chart.groups[0].counter = Some(LaneCounter {
        name: "queue".into(),
        unit: Unit::Count,
        points: vec![(0.0, -1.0)],
    });
    assert!(matches!(
        scene(&chart).unwrap_err(),
        PlotError::Negative { series, .. } if series == "queue"
    ));
}

#[test]
fn an_index_that_names_nothing_is_refused() {
    let spoil: [fn(&mut Lanes); 4] = [
        |c| c.groups[0].lanes[0].spans[0].category = 3,
        |c| c.groups[0].lanes[0].marks[0].kind = 1,
        |c| c.groups[0].links[0].kind = 1,
        |c| c.groups[0].links[0].to_lane = 2,
    ];
    let names = ["category", "kind of mark", "kind of link", "lane of a link"];
    for (spoil, expected) in spoil.into_iter().zip(names) {
        let mut chart = chart();
        spoil(&mut chart);
        let error = scene(&chart).unwrap_err();
        assert!(
            matches!(&error, PlotError::Index { what, .. } if *what == expected),
            "{error:?}"
        );
    }
    let mut chart = chart();
    chart.groups[0].lanes[0].spans[0].category = 3;
    assert_eq!(
        scene(&chart).unwrap_err().to_string(),
        "series \"listener\": there is no category 3; they count from 0 and there are 3"
    );
}

#[test]
fn lanes_make_the_picture_grow_until_it_is_too_tall() {
    let mut chart = chart();
    assert_eq!(scene(&chart).unwrap().height, 700.0);
    chart.groups[0].lanes = vec![chart.groups[0].lanes[0].clone(); 60];
    assert!(scene(&chart).unwrap().height > 1700.0);
    chart.groups[0].lanes = vec![chart.groups[0].lanes[0].clone(); 1000];
    assert!(matches!(scene(&chart).unwrap_err(), PlotError::Size { .. }));
}

#[test]
fn the_greatest_value_of_a_counter_in_the_window_is_written() {
    let mut chart = chart();
    chart.window = Some(Interval {
        low: 0.0,
        high: 24.0,
    });
    chart.groups[0].counter = Some(LaneCounter {
        name: "accept queue".into(),
        unit: Unit::Count,
        points: vec![(0.0, 3.0), (5.0, 12.0), (25.0, 99.0)],
    });
    let scene = scene(&chart).unwrap();
    let texts: Vec<_> = scene.texts.iter().map(|t| t.content.as_str()).collect();
    assert!(texts.contains(&"max 12"), "{texts:?}");
    assert!(texts.contains(&"GET /"), "{texts:?}");
}

#[test]
fn a_chart_of_one_moment_can_be_drawn() {
    let mut chart = chart();
    let group = &mut chart.groups[0];
    group.links.clear();
    group.lanes.truncate(1);
    group.lanes[0].spans.clear();
    assert!(scene(&chart).is_ok());
}

#[test]
fn thousands_of_spans_marks_and_links_cost_no_more_shapes_than_there_are_pixels() {
    let mut chart = chart();
    let group = &mut chart.groups[0];
    let (mark, link) = (group.lanes[0].marks[0], group.links[0]);
    let times = (0..100_000).map(|i| f64::from(i) * 0.01);
    group.lanes[0].spans = times
        .clone()
        .enumerate()
        .map(|(i, at)| LaneSpan {
            from: at,
            to: at + 0.01,
            category: i % 3,
        })
        .collect();
    group.lanes[0].marks = times.clone().map(|at| LaneMark { at, ..mark }).collect();
    group.links = times
        .map(|at| LaneLink {
            from: at,
            to: at + 1.0,
            ..link
        })
        .collect();
    let shapes = scene(&chart).unwrap().shapes.len();
    assert!(shapes < 15_000, "{shapes}");
}

#[test]
fn an_arrow_never_hides_a_state() {
    let mut chart = chart();
    let state = chart.categories[0].style.color;
    let link = SeriesStyle::new(1).color;
    chart.link_kinds[0].style.color = link;
    chart.mark_kinds[0].style.color = SeriesStyle::new(2).color;
    let scene = scene(&chart).unwrap();
    let last_arrow = scene
        .shapes
        .iter()
        .rposition(|shape| matches!(shape, Shape::Polygon(_, color) if *color == link));
    let bar = scene
        .shapes
        .iter()
        .rposition(|shape| matches!(shape, Shape::Box(_, color) if *color == state));
    assert!(last_arrow.unwrap() < bar.unwrap());
}

#[test]
fn the_most_extreme_times_can_be_drawn() {
    let mut chart = chart();
    let spans = &mut chart.groups[0].lanes[0].spans;
    spans[0].from = f64::MIN;
    spans[1].to = f64::MAX;
    assert!(scene(&chart).is_ok());
    chart.window = Some(Interval {
        low: 0.0,
        high: 5e-324,
    });
    assert!(scene(&chart).is_ok());
}
