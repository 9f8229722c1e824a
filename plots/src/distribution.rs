//! The distribution of a duration or size, as the share of values up to x or from x on.

use crate::axis::{Axis, Room, X_LABELS_HEIGHT, draw_axes};
use crate::chart::Paint;
use crate::data::{check_not_negative, extent};
use crate::error::PlotError;
use crate::frame::Frame;
use crate::grid::{PANEL_TITLE_HEIGHT, axis_title};
use crate::lines::draw_line;
use crate::page::{LegendEntry, Swatch};
use crate::scene::{Point, Rect, Scene};
use crate::style::SeriesStyle;
use crate::unit::{Unit, whole};

/// Empirical distributions of several series over a logarithmic axis.
#[derive(Clone, Debug, PartialEq)]
pub struct Distribution {
    /// What is around the chart.
    pub frame: Frame,
    /// What the values are, e.g. `wait in the accept queue`.
    pub x_title: String,
    /// What the shares are of, e.g. `share of connections`.
    pub y_title: String,
    /// Unit of the values.
    pub unit: Unit,
    /// Shows the share of values that are at least x, over a logarithmic share axis, which
    /// spreads the slowest; otherwise the share of values that are at most x.
    pub complementary: bool,
    /// The series, in the order of the legend.
    pub series: Vec<DistributionSeries>,
}

/// One line of [`Distribution`].
#[derive(Clone, Debug, PartialEq)]
pub struct DistributionSeries {
    /// Name in the legend, where n is added.
    pub name: String,
    /// Colour and marker.
    pub style: SeriesStyle,
    /// Values with how often each occurred, in any order. Values are not negative; zeros are
    /// drawn at the lowest label, which then reads `≤`.
    pub counts: Vec<(f64, u64)>,
}

impl DistributionSeries {
    /// A series from single values.
    pub fn from_samples(
        name: impl Into<String>,
        style: SeriesStyle,
        samples: impl IntoIterator<Item = f64>,
    ) -> Self {
        Self {
            name: name.into(),
            style,
            counts: samples.into_iter().map(|value| (value, 1)).collect(),
        }
    }

    fn n(&self) -> u64 {
        self.counts.iter().map(|(_, count)| count).sum()
    }

    /// Each distinct value with the share of values below it and the share up to it.
    fn steps(&self) -> Vec<(f64, f64, f64)> {
        let mut counts: Vec<_> = self
            .counts
            .iter()
            .filter(|(_, n)| *n > 0)
            .copied()
            .collect();
        counts.sort_by(|a, b| a.0.total_cmp(&b.0));
        let n = self.n() as f64;
        let mut below = 0;
        counts
            .chunk_by(|a, b| a.0 == b.0)
            .map(|same| {
                let up_to = below + same.iter().map(|(_, count)| count).sum::<u64>();
                let step = (same[0].0, below as f64 / n, up_to as f64 / n);
                below = up_to;
                step
            })
            .collect()
    }
}

impl Distribution {
    fn values(&self) -> impl Iterator<Item = f64> {
        let seen = self.series.iter().flat_map(|series| &series.counts);
        seen.filter(|(_, count)| *count > 0)
            .map(|(value, _)| *value)
    }

    fn axes(&self, scene: &Scene, body: &Rect) -> (Axis, Axis) {
        let fonts = &scene.fonts;
        let up = Room::Up(body.height() - PANEL_TITLE_HEIGHT - X_LABELS_HEIGHT - 30.0);
        let y = if self.complementary {
            let most = self.series.iter().map(DistributionSeries::n).max();
            let least_share = 100.0 / most.unwrap_or(1).max(10) as f64;
            Axis::log(fonts, up, (least_share, 100.0), Unit::Percent, false)
        } else {
            Axis::linear(fonts, up, (0.0, 100.0), Unit::Percent)
        };
        let range = extent(self.values().filter(|v| *v > 0.0)).unwrap_or((1.0, 10.0));
        let has_zeros = self.values().any(|value| value == 0.0);
        let across = Room::Across(body.width() - y.labels_width(fonts) - 34.0);
        (Axis::log(fonts, across, range, self.unit, has_zeros), y)
    }

    /// The corners of the stairs that go through the marks: shares up to x rise at their value,
    /// shares from x on fall after it. They begin and end with the series' own values, so that
    /// series do not hide each other along the edges.
    fn stairs(&self, marks: &[Point], area: &Rect) -> Vec<Point> {
        let mut corners = Vec::with_capacity(2 * marks.len() + 2);
        if self.complementary {
            let mut from = marks.first().map_or(area.left, |mark| mark.0);
            for (x, y) in marks {
                corners.extend([(from, *y), (*x, *y)]);
                from = *x;
            }
        } else {
            let mut from = area.bottom;
            for (x, y) in marks {
                corners.extend([(*x, from), (*x, *y)]);
                from = *y;
            }
        }
        corners
    }
}

impl Paint for Distribution {
    fn frame(&self) -> &Frame {
        &self.frame
    }

    fn check(&self) -> Result<(), PlotError> {
        for series in &self.series {
            for (value, _) in &series.counts {
                check_not_negative(&series.name, "value", *value)?;
            }
        }
        Ok(())
    }

    fn is_empty(&self) -> bool {
        self.values().next().is_none()
    }

    fn legend(&self) -> Vec<LegendEntry> {
        let name =
            |series: &DistributionSeries| format!("{} (n = {})", series.name, whole(series.n()));
        self.series
            .iter()
            .map(|series| LegendEntry::new(name(series), series.style, Swatch::Line))
            .collect()
    }

    fn paint(&self, scene: &mut Scene, body: &Rect) {
        let (x, y) = self.axes(scene, body);
        let area = Rect::new(
            body.left + y.labels_width(&scene.fonts),
            body.top + PANEL_TITLE_HEIGHT,
            body.right - 34.0,
            body.bottom - X_LABELS_HEIGHT - 30.0,
        );
        draw_axes(scene, &area, &x, &y);
        scene.text(axis_title(&self.y_title, (body.left, body.top)));
        let under = (area.center().0, area.bottom + X_LABELS_HEIGHT + 6.0);
        scene.text(axis_title(&self.x_title, under).centered());
        for (i, series) in self.series.iter().enumerate() {
            if series.n() == 0 {
                continue;
            }
            let steps = series.steps();
            let marks: Vec<Point> = steps
                .iter()
                .map(|(value, below, up_to)| {
                    let share = if self.complementary {
                        1.0 - below
                    } else {
                        *up_to
                    };
                    (x.x(&area, *value), y.y(&area, 100.0 * share))
                })
                .collect();
            let corners = self.stairs(&marks, &area);
            draw_line(scene, &corners, &marks, series.style, i);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_carry_the_shares_below_and_up_to_each_distinct_value() {
        let series = DistributionSeries {
            name: "a".into(),
            style: SeriesStyle::new(0),
            counts: vec![(3.0, 1), (1.0, 1), (2.0, 0), (1.0, 2)],
        };
        assert_eq!(series.n(), 4);
        assert_eq!(series.steps(), [(1.0, 0.0, 0.75), (3.0, 0.75, 1.0)]);
    }

    #[test]
    fn samples_count_once_each() {
        let series = DistributionSeries::from_samples("a", SeriesStyle::new(0), [5.0, 5.0]);
        assert_eq!(series.steps(), [(5.0, 0.0, 1.0)]);
    }
}
