//! Values over a number that was chosen, such as a limit, with the interval of each.

use crate::axis::{Axis, Room, X_LABELS_HEIGHT, draw_axes};
use crate::chart::Paint;
use crate::data::{Interval, check_finite, check_interval, check_not_negative, extent};
use crate::error::PlotError;
use crate::flags::Flags;
use crate::frame::Frame;
use crate::grid::{PANEL_TITLE_HEIGHT, axis_title};
use crate::lines::{draw_line, line_legend};
use crate::page::LegendEntry;
use crate::scene::{Point, Rect, Scene};
use crate::style::{Color, SeriesStyle};
use crate::text::Fonts;
use crate::timeline::EventMarker;
use crate::unit::Unit;

/// Room right of the area, for half a marker or half a label.
const RIGHT_MARGIN: f64 = 30.0;
const BELOW: f64 = X_LABELS_HEIGHT + 30.0;
const LEAST_AREA: f64 = 160.0;
/// Half the width of the ends of an interval.
const CAP: f64 = 4.0;
/// Distance of points of different series that stand at the same place.
const DODGE: f64 = 9.0;

/// Curves of one or more series over a numeric x.
#[derive(Clone, Debug, PartialEq)]
pub struct Curves {
    /// What is around the chart.
    pub frame: Frame,
    /// What x is, e.g. `limit of address space`.
    pub x_title: String,
    /// Unit of x.
    pub x_unit: Unit,
    /// Uses a logarithmic x axis; each x is then to be above 0.
    pub log: bool,
    /// What y is, e.g. `share of failing trials`.
    pub y_title: String,
    /// Unit of y.
    pub y_unit: Unit,
    /// The range of the y axis; without one it reaches from 0 over all values.
    pub y_range: Option<Interval>,
    /// Draws steps from point to point, each level up to the next x, instead of straight lines.
    pub steps: bool,
    /// The series, in the order of the legend.
    pub series: Vec<CurveSeries>,
}

/// A curve of [`Curves`].
#[derive(Clone, Debug, PartialEq)]
pub struct CurveSeries {
    /// Name in the legend.
    pub name: String,
    /// Colour and marker.
    pub style: SeriesStyle,
    /// The points, in any order. Those of several series at one x are drawn beside each other.
    pub points: Vec<CurvePoint>,
    /// An x marked by an upright line, e.g. the result that the curve leads to.
    pub mark: Option<CurveMark>,
}

/// A point of a curve.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CurvePoint {
    /// Its x.
    pub x: f64,
    /// Its y.
    pub y: f64,
    /// What y may as well have been, drawn as a whisker.
    pub interval: Option<Interval>,
}

/// A marked x.
#[derive(Clone, Debug, PartialEq)]
pub struct CurveMark {
    /// Where it is.
    pub x: f64,
    /// What it is, written above the chart.
    pub label: String,
}

impl Curves {
    fn points(&self) -> impl Iterator<Item = &CurvePoint> {
        self.series.iter().flat_map(|series| &series.points)
    }

    fn marks(&self) -> impl Iterator<Item = &CurveMark> {
        self.series.iter().filter_map(|series| series.mark.as_ref())
    }

    /// The labels of the marks, those at one x in one label.
    fn labels(&self) -> Vec<EventMarker> {
        let mut labels: Vec<EventMarker> = Vec::new();
        for mark in self.marks() {
            match labels.iter_mut().find(|label| label.time_s == mark.x) {
                Some(label) => label.label += &format!(", {}", mark.label),
                None => labels.push(EventMarker {
                    time_s: mark.x,
                    label: mark.label.clone(),
                }),
            }
        }
        labels
    }

    fn y_range(&self) -> (f64, f64) {
        if let Some(range) = self.y_range {
            return (range.low, range.high);
        }
        let ends = self.points().flat_map(|point| {
            let ends = point.interval.map_or([point.y; 2], |i| [i.low, i.high]);
            [point.y, ends[0], ends[1], 0.0]
        });
        extent(ends).unwrap_or((0.0, 1.0))
    }

    fn x_axis(&self, fonts: &Fonts, width: f64) -> Axis {
        let values = self.points().map(|point| point.x);
        let all = values.chain(self.marks().map(|mark| mark.x));
        let range = extent(all).unwrap_or((1.0, 10.0));
        let room = Room::Across(width);
        if self.log {
            Axis::log(fonts, room, range, self.x_unit, false)
        } else {
            let pad = 0.03 * (range.1 - range.0);
            Axis::linear_exact(fonts, room, (range.0 - pad, range.1 + pad), self.x_unit)
        }
    }

    /// How far the point of a series is moved aside, because other series have one at the same x.
    fn dodge(&self, index: usize, x: f64) -> f64 {
        let with_point = |series: &CurveSeries| series.points.iter().any(|point| point.x == x);
        let before = self.series[..index]
            .iter()
            .filter(|s| with_point(s))
            .count();
        let all = self.series.iter().filter(|s| with_point(s)).count();
        DODGE * (before as f64 - (all.max(1) - 1) as f64 / 2.0)
    }

    fn across(&self, area: &Rect, index: usize, at: f64, x: &Axis) -> f64 {
        (x.x(area, at) + self.dodge(index, at)).clamp(area.left, area.right)
    }

    /// The intervals of a series, paler than its line, which they would hide where points are
    /// dense.
    fn draw_intervals(&self, scene: &mut Scene, area: &Rect, index: usize, (x, y): (&Axis, &Axis)) {
        let series = &self.series[index];
        let color = pale(series.style.color);
        for point in &series.points {
            if let Some(interval) = point.interval {
                let across = self.across(area, index, point.x, x);
                let (top, bottom) = (y.y(area, interval.high), y.y(area, interval.low));
                scene.upright(across, top, bottom, 1.0, color);
                for end in [top, bottom] {
                    scene.level(end, across - CAP, across + CAP, 1.0, color);
                }
            }
        }
    }

    fn draw_curve(&self, scene: &mut Scene, area: &Rect, index: usize, (x, y): (&Axis, &Axis)) {
        let series = &self.series[index];
        let mut points = series.points.clone();
        points.sort_by(|a, b| a.x.total_cmp(&b.x));
        let place = |point: &CurvePoint| -> Point {
            let across = self.across(area, index, point.x, x);
            (across, y.y(area, point.y))
        };
        let places: Vec<Point> = points.iter().map(place).collect();
        let line = if self.steps {
            stepped(&places)
        } else {
            places.clone()
        };
        draw_line(scene, &line, &places, series.style, index);
    }
}

/// A colour halfway to white.
fn pale(Color(red, green, blue): Color) -> Color {
    let halfway = |part: u8| part.midpoint(255);
    Color(halfway(red), halfway(green), halfway(blue))
}

/// The corners of steps that are level up to the next point.
fn stepped(places: &[Point]) -> Vec<Point> {
    let corners = places
        .windows(2)
        .flat_map(|pair| [pair[0], (pair[1].0, pair[0].1)]);
    corners.chain(places.last().copied()).collect()
}

impl Paint for Curves {
    fn frame(&self) -> &Frame {
        &self.frame
    }

    fn check(&self) -> Result<(), PlotError> {
        let check_x = |series: &CurveSeries, x: f64| {
            if !self.log {
                return check_finite(&series.name, "x", x);
            }
            check_not_negative(&series.name, "x", x)?;
            if x > 0.0 {
                return Ok(());
            }
            Err(PlotError::NotPositive {
                series: series.name.clone(),
                what: "x",
            })
        };
        if let Some(range) = self.y_range {
            check_interval(&self.y_title, range, check_finite)?;
        }
        for series in &self.series {
            for point in &series.points {
                check_x(series, point.x)?;
                check_finite(&series.name, "value", point.y)?;
                if let Some(interval) = point.interval {
                    check_interval(&series.name, interval, check_finite)?;
                }
            }
            if let Some(mark) = &series.mark {
                check_x(series, mark.x)?;
            }
        }
        Ok(())
    }

    fn is_empty(&self) -> bool {
        self.points().next().is_none()
    }

    fn legend(&self) -> Vec<LegendEntry> {
        let series = self.series.iter();
        line_legend(series.map(|series| (&*series.name, series.style, !series.points.is_empty())))
    }

    fn least_height(&self, _fonts: &Fonts, _width: f64) -> f64 {
        PANEL_TITLE_HEIGHT + LEAST_AREA + BELOW
    }

    fn paint(&self, scene: &mut Scene, body: &Rect) {
        let bottom = body.bottom - BELOW;
        let top = body.top + PANEL_TITLE_HEIGHT;
        let up = |top: f64| Room::Up(bottom - top);
        let range = self.y_range();
        // The height that the labels of marks leave depends on the width of the y labels.
        let draft = Axis::linear(&scene.fonts, up(top), range, self.y_unit);
        let left = body.left + draft.labels_width(&scene.fonts) + 8.0;
        let right = body.right - RIGHT_MARGIN;
        let x = self.x_axis(&scene.fonts, right - left);
        let labels = self.labels();
        let flags = Flags::place(scene, &labels, &x, (left, right));
        let area = Rect::new(left, top + flags.height(), right, bottom);
        let y = Axis::linear(&scene.fonts, up(area.top), range, self.y_unit);

        draw_axes(scene, &area, &x, &y);
        scene.text(axis_title(&self.y_title, (body.left, body.top)));
        flags.draw(scene, area.top);
        for index in 0..self.series.len() {
            self.draw_intervals(scene, &area, index, (&x, &y));
        }
        for series in &self.series {
            if let Some(mark) = &series.mark {
                let at = x.x(&area, mark.x);
                scene.upright_dashes(at, area.top, area.bottom, series.style.color);
            }
        }
        for index in 0..self.series.len() {
            self.draw_curve(scene, &area, index, (&x, &y));
        }
        let mut title = self.x_title.clone();
        if flags.left_out > 0 {
            title += &format!(" · labels left out for want of room: {}", flags.left_out);
        }
        let under = (area.center().0, area.bottom + X_LABELS_HEIGHT + 6.0);
        scene.text(axis_title(&title, under).centered());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curves(points: &[&[(f64, f64)]]) -> Curves {
        let series = |(i, points): (usize, &&[(f64, f64)])| CurveSeries {
            name: format!("series {i}"),
            style: SeriesStyle::new(i),
            points: points
                .iter()
                .map(|&(x, y)| CurvePoint {
                    x,
                    y,
                    interval: None,
                })
                .collect(),
            mark: None,
        };
        Curves {
            frame: Frame::new("t"),
            x_title: "x".into(),
            x_unit: Unit::Count,
            log: true,
            y_title: "y".into(),
            y_unit: Unit::Count,
            y_range: None,
            steps: false,
            series: points.iter().enumerate().map(series).collect(),
        }
    }

    #[test]
    fn steps_are_level_up_to_the_next_point() {
        assert_eq!(
            stepped(&[(0.0, 5.0), (10.0, 3.0)]),
            [(0.0, 5.0), (10.0, 5.0), (10.0, 3.0)]
        );
        assert_eq!(stepped(&[(1.0, 2.0)]), [(1.0, 2.0)]);
        assert_eq!(stepped(&[]), []);
    }

    #[test]
    fn points_at_the_same_x_stand_beside_each_other() {
        let chart = curves(&[&[(4.0, 1.0), (8.0, 1.0)], &[(4.0, 0.0)], &[(4.0, 0.0)]]);
        let at = |index| chart.dodge(index, 4.0);
        assert_eq!([at(0), at(1), at(2)], [-DODGE, 0.0, DODGE]);
        assert_eq!(chart.dodge(0, 8.0), 0.0);
    }

    #[test]
    fn marks_at_one_x_share_a_label() {
        let mut chart = curves(&[&[(4.0, 1.0)], &[(4.0, 0.0)], &[(9.0, 0.0)]]);
        for (series, x) in chart.series.iter_mut().zip([4.0, 4.0, 9.0]) {
            let label = series.name.clone();
            series.mark = Some(CurveMark { x, label });
        }
        let labels: Vec<String> = chart.labels().into_iter().map(|l| l.label).collect();
        assert_eq!(labels, ["series 0, series 1", "series 2"]);
    }

    #[test]
    fn zero_has_no_place_on_a_logarithmic_axis_but_on_a_linear_one() {
        let mut chart = curves(&[&[(0.0, 1.0)]]);
        assert!(matches!(
            chart.check(),
            Err(PlotError::NotPositive { what: "x", .. })
        ));
        chart.log = false;
        assert!(chart.check().is_ok());
    }

    #[test]
    fn the_y_axis_reaches_from_zero_over_all_values_unless_it_is_given() {
        let mut chart = curves(&[&[(1.0, 3.0), (2.0, 7.0)]]);
        assert_eq!(chart.y_range(), (0.0, 7.0));
        chart.y_range = Some(Interval {
            low: 0.0,
            high: 100.0,
        });
        assert_eq!(chart.y_range(), (0.0, 100.0));
    }
}
