//! A row of a dashboard as a picture, from the answers of a Prometheus.

use std::collections::BTreeMap;

use plots::{
    Chart, EventMarker, Frame, PlotError, SeriesStyle, Timeline, TimelinePanel, TimelinePoint,
    TimelineSeries, Unit, png_in_column,
};
use thiserror::Error;

use super::{Filled, Kind, Panel, PanelUnit, Row};
use crate::{
    prometheus::{Api, PrometheusError, Sampled},
    scenario::Mpm,
    wording::plural,
};

/// Lines in one chart; a reader tells no more apart.
const MOST_LINES: usize = 8;
const WIDTH: u32 = 1200;
const HEIGHT: u32 = 380;

/// Why there is no picture.
#[derive(Debug, Error)]
pub enum PictureError {
    /// Prometheus did not answer.
    #[error(transparent)]
    Prometheus(#[from] PrometheusError),
    /// The answer cannot be drawn.
    #[error(transparent)]
    Plot(#[from] PlotError),
}

/// The time that is shown.
#[derive(Clone, Debug, PartialEq)]
pub struct Window {
    /// Its begin, seconds since 1970.
    pub from_s: f64,
    /// Its end.
    pub to_s: f64,
    /// The distance of values, seconds.
    pub step_s: f64,
    /// What happened meanwhile: when, seconds since 1970, and what.
    pub marks: Vec<(f64, String)>,
}

/// Asks for all that the lines of a row show, and draws the panels below each other: PNG.
///
/// # Errors
/// When Prometheus does not answer, or a panel cannot be drawn.
pub fn picture(
    row: &Row,
    filled: &Filled,
    api: &Api,
    window: &Window,
) -> Result<Vec<u8>, PictureError> {
    let mut charts = Vec::new();
    for panel in row.panels.iter().filter(|panel| panel.kind == Kind::Lines) {
        let mut lines = Vec::new();
        for query in &panel.queries {
            let expression = query.for_prometheus(filled);
            let times = (window.from_s, window.to_s);
            for series in api.query_range(&expression, times, window.step_s)? {
                lines.push((named(&query.legend, &series.labels), series));
            }
        }
        charts.push(chart(panel, lines, window));
    }
    let charts: Vec<&dyn Chart> = charts.iter().map(|chart| chart as &dyn Chart).collect();
    Ok(png_in_column(&charts)?)
}

/// The chart of a panel. Of more lines than can be told apart the largest are drawn.
fn chart(panel: &Panel, mut lines: Vec<(String, Sampled)>, window: &Window) -> Timeline {
    let (unit, factor) = drawn_as(panel.unit);
    let mean = |series: &Sampled| {
        let finite = series.points.iter().map(|point| point.1);
        let finite: Vec<f64> = finite.filter(|value| value.is_finite()).collect();
        finite.iter().sum::<f64>() / finite.len().max(1) as f64
    };
    lines.retain(|(_, series)| series.points.iter().any(|point| point.1.is_finite()));
    let left_out = lines.len().saturating_sub(MOST_LINES);
    if left_out > 0 {
        lines.sort_by(|a, b| mean(&b.1).total_cmp(&mean(&a.1)));
        lines.truncate(MOST_LINES);
    }
    // A colour means an MPM where all lines are MPMs, and elsewhere tells lines apart.
    let of_mpm = |name: &str| Mpm::ALL.into_iter().find(|mpm| mpm.name() == name);
    let all_are_mpms = lines.iter().all(|(name, _)| of_mpm(name).is_some());
    let mut footnote = Vec::new();
    if panel.stacked {
        footnote.push("Grafana stacks these lines; here they stand beside each other.".to_owned());
    }
    if left_out > 0 {
        let lines = plural(left_out as u64, "line");
        footnote.push(format!("{lines} of the least values left out."));
    }
    let series = lines
        .into_iter()
        .enumerate()
        .flat_map(|(index, (name, series))| {
            let mpm = of_mpm(&name).filter(|_| all_are_mpms);
            let style = SeriesStyle::new(mpm.map_or(index, |mpm| mpm as usize));
            let finite = series
                .points
                .into_iter()
                .filter(|point| point.1.is_finite());
            let finite: Vec<(f64, f64)> = finite.collect();
            // A line ends where there are no values, and goes on where there are some again.
            let unbroken = |a: &(f64, f64), b: &(f64, f64)| b.0 - a.0 < 1.5 * window.step_s;
            let piece = |points: &[(f64, f64)]| TimelineSeries {
                name: name.clone(),
                style,
                points: points
                    .iter()
                    .map(|(time, value)| TimelinePoint {
                        time_s: time - window.from_s,
                        value: value * factor,
                        band: None,
                    })
                    .collect(),
            };
            finite.chunk_by(unbroken).map(piece).collect::<Vec<_>>()
        });
    let marks = window.marks.iter().map(|(time, label)| EventMarker {
        time_s: time - window.from_s,
        label: label.clone(),
    });
    Timeline {
        frame: Frame::new(&panel.title)
            .footnote(footnote.join(" "))
            .no_data("Prometheus has no values for this time")
            .size(WIDTH, HEIGHT),
        x_title: "time".into(),
        panels: vec![TimelinePanel {
            title: axis_title(panel.unit).into(),
            unit,
            log: panel.log,
            series: series.collect(),
            limits: Vec::new(),
        }],
        events: marks.collect(),
    }
}

/// The unit in which a panel's values are drawn, and the factor that brings them there.
const fn drawn_as(unit: PanelUnit) -> (Unit, f64) {
    match unit {
        PanelUnit::Count | PanelUnit::YesNo => (Unit::Count, 1.0),
        PanelUnit::PerSecond | PanelUnit::RequestsPerSecond => (Unit::PerSecond, 1.0),
        PanelUnit::Seconds => (Unit::Seconds, 1.0),
        PanelUnit::Share => (Unit::Percent, 100.0),
        PanelUnit::Bytes | PanelUnit::BytesPerSecond => (Unit::Bytes, 1.0),
    }
}

const fn axis_title(unit: PanelUnit) -> &'static str {
    match unit {
        PanelUnit::Count => "number",
        PanelUnit::PerSecond => "per second",
        PanelUnit::RequestsPerSecond => "requests per second",
        PanelUnit::Seconds => "time",
        PanelUnit::Share => "share",
        PanelUnit::Bytes => "bytes",
        PanelUnit::BytesPerSecond => "bytes per second",
        PanelUnit::YesNo => "1: yes, 0: no",
    }
}

/// A legend with the values of its labels, as Grafana fills it in.
fn named(legend: &str, labels: &BTreeMap<String, String>) -> String {
    let mut name = String::new();
    let mut rest = legend;
    while let Some((before, label, after)) = rest.split_once("{{").and_then(|(before, rest)| {
        let (label, after) = rest.split_once("}}")?;
        Some((before, label.trim(), after))
    }) {
        name.push_str(before);
        name.push_str(labels.get(label).map_or("", |value| value));
        rest = after;
    }
    name.push_str(rest);
    name.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dashboards::Query;

    fn panel(unit: PanelUnit) -> Panel {
        Panel {
            title: "P".into(),
            description: "how".into(),
            kind: Kind::Lines,
            unit,
            stacked: false,
            log: false,
            width: 12,
            bad_from: None,
            good_from: None,
            queries: vec![Query {
                expr: "x{$where}".into(),
                legend: "{{mpm}}".into(),
            }],
        }
    }

    fn line(name: &str, values: &[f64]) -> (String, Sampled) {
        let points = values.iter().enumerate();
        let points = points.map(|(index, value)| (100.0 + index as f64, *value));
        let sampled = Sampled {
            points: points.collect(),
            ..Sampled::default()
        };
        (name.into(), sampled)
    }

    fn window() -> Window {
        Window {
            from_s: 100.0,
            to_s: 110.0,
            step_s: 1.0,
            marks: vec![(105.0, "load".into())],
        }
    }

    #[test]
    fn labels_stand_in_the_legend_and_those_that_are_not_there_leave_nothing() {
        let labels = BTreeMap::from([("how".to_owned(), "ok".to_owned())]);
        assert_eq!(named("ended: {{how}} {{signal}}", &labels), "ended: ok");
        assert_eq!(named("{{ how }}!", &labels), "ok!");
        assert_eq!(named("free", &labels), "free");
    }

    #[test]
    fn times_count_from_the_begin_and_shares_are_per_cent() {
        let chart = chart(
            &panel(PanelUnit::Share),
            vec![line("event", &[0.25])],
            &window(),
        );
        let series = &chart.panels[0].series[0];
        assert_eq!(series.points[0].time_s, 0.0);
        assert_eq!(series.points[0].value, 25.0);
        assert_eq!(series.style, SeriesStyle::new(Mpm::Event as usize));
        assert_eq!(chart.events[0].time_s, 5.0);
    }

    #[test]
    fn a_line_of_another_kind_has_no_mpms_colour_twice() {
        let lines = ["child", "listener", "worker"].map(|name| line(name, &[1.0]));
        let chart = chart(&panel(PanelUnit::Count), lines.into(), &window());
        let styles: Vec<SeriesStyle> = chart.panels[0].series.iter().map(|s| s.style).collect();
        assert_eq!(styles, [0, 1, 2].map(SeriesStyle::new));
    }

    #[test]
    fn values_that_are_no_numbers_are_left_out() {
        let lines = vec![line("a", &[f64::NAN, 1.0]), line("b", &[f64::NAN])];
        let chart = chart(&panel(PanelUnit::Count), lines, &window());
        let series = &chart.panels[0].series;
        assert_eq!((series.len(), series[0].points.len()), (1, 1));
        assert!(chart.png().is_ok());
    }

    #[test]
    fn a_line_ends_where_values_are_missing() {
        let (name, mut sampled) = line("a", &[1.0, 2.0, 3.0, 4.0]);
        sampled.points.remove(2);
        let chart = chart(&panel(PanelUnit::Count), vec![(name, sampled)], &window());
        let pieces = chart.panels[0].series.iter();
        let lengths: Vec<usize> = pieces.map(|series| series.points.len()).collect();
        assert_eq!(lengths, [2, 1]);
    }

    #[test]
    fn of_many_lines_the_largest_are_drawn_and_the_others_counted() {
        let lines = (0..10).map(|value| line(&format!("l{value}"), &[f64::from(value)]));
        let chart = chart(&panel(PanelUnit::Count), lines.collect(), &window());
        assert_eq!(chart.panels[0].series.len(), MOST_LINES);
        assert_eq!(chart.panels[0].series[0].name, "l9");
        assert!(
            chart.frame.footnote.contains("2 lines"),
            "{}",
            chart.frame.footnote
        );
    }
}
