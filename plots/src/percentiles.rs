//! Latency by percentile: the x axis gives each further nine the same room, y is logarithmic.

use crate::axis::{Axis, Room, X_LABELS_HEIGHT, draw_axes};
use crate::chart::Paint;
use crate::data::{Interval, check_interval, check_not_negative, extent};
use crate::error::PlotError;
use crate::frame::Frame;
use crate::grid::{PANEL_TITLE_HEIGHT, axis_title};
use crate::lines::{LinePoint, draw_series, line_legend};
use crate::page::LegendEntry;
use crate::scene::{Rect, Scene};
use crate::style::SeriesStyle;
use crate::ticks::nines;
use crate::unit::Unit;

/// Values by percentile of several series.
#[derive(Clone, Debug, PartialEq)]
pub struct Percentiles {
    /// What is around the chart.
    pub frame: Frame,
    /// What the quantiles are of, e.g. `percentile of requests`.
    pub x_title: String,
    /// What the values are, e.g. `latency`.
    pub y_title: String,
    /// Unit of the values.
    pub unit: Unit,
    /// The series, in the order of the legend.
    pub series: Vec<PercentileSeries>,
}

/// One line of [`Percentiles`].
#[derive(Clone, Debug, PartialEq)]
pub struct PercentileSeries {
    /// Name in the legend.
    pub name: String,
    /// Colour and marker.
    pub style: SeriesStyle,
    /// The points, in any order.
    pub points: Vec<PercentilePoint>,
}

/// The value at a quantile.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PercentilePoint {
    /// The quantile, 0 <= q < 1. The maximum of n values is at 1 - 1/n.
    pub quantile: f64,
    /// The value, not negative. Zeros are drawn at the lowest label, which then reads `≤`.
    pub value: f64,
    /// Least and greatest over the repetitions, if there were several.
    pub band: Option<Interval>,
}

impl Percentiles {
    fn points(&self) -> impl Iterator<Item = &PercentilePoint> {
        self.series.iter().flat_map(|series| &series.points)
    }

    fn values(&self) -> impl Iterator<Item = f64> {
        self.points().flat_map(|point| {
            let band = point.band.map_or([point.value; 2], |b| [b.low, b.high]);
            [point.value, band[0], band[1]]
        })
    }

    fn axes(&self, scene: &Scene, body: &Rect) -> (Axis, Axis) {
        let values = || self.values().filter(|value| *value > 0.0);
        let range = extent(values()).unwrap_or((1.0, 10.0));
        let has_zeros = self.values().any(|value| value == 0.0);
        let up = Room::Up(body.height() - PANEL_TITLE_HEIGHT - X_LABELS_HEIGHT - 30.0);
        let y = Axis::log(&scene.fonts, up, range, self.unit, has_zeros);
        let (least, greatest) = extent(self.points().map(|p| p.quantile)).unwrap_or((0.5, 0.9));
        let low = if least < 0.5 { 0.0 } else { 0.5 };
        // A little beyond the last point, so that its marker does not sit on the edge.
        let high = 1.0 - 10f64.powf(-1.03 * nines(greatest.max(0.99)));
        let across = Room::Across(body.width() - y.labels_width(&scene.fonts) - 30.0);
        (Axis::nines(&scene.fonts, across, low, high), y)
    }
}

impl Paint for Percentiles {
    fn frame(&self) -> &Frame {
        &self.frame
    }

    fn check(&self) -> Result<(), PlotError> {
        for series in &self.series {
            for point in &series.points {
                if !(0.0..1.0).contains(&point.quantile) {
                    return Err(PlotError::Quantile {
                        series: series.name.clone(),
                        quantile: point.quantile,
                    });
                }
                check_not_negative(&series.name, "value", point.value)?;
                if let Some(band) = point.band {
                    check_interval(&series.name, band, check_not_negative)?;
                }
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

    fn paint(&self, scene: &mut Scene, body: &Rect) {
        let (x, y) = self.axes(scene, body);
        let area = Rect::new(
            body.left + y.labels_width(&scene.fonts),
            body.top + PANEL_TITLE_HEIGHT,
            body.right - 30.0,
            body.bottom - X_LABELS_HEIGHT - 30.0,
        );
        draw_axes(scene, &area, &x, &y);
        scene.text(axis_title(&self.y_title, (body.left, body.top)));
        let under = (area.center().0, area.bottom + X_LABELS_HEIGHT + 6.0);
        scene.text(axis_title(&self.x_title, under).centered());

        let lines: Vec<(SeriesStyle, Vec<LinePoint>)> = self
            .series
            .iter()
            .map(|series| {
                let mut points = series.points.clone();
                points.sort_by(|a, b| a.quantile.total_cmp(&b.quantile));
                let place = |point: &PercentilePoint| LinePoint {
                    at: (x.x(&area, point.quantile), y.y(&area, point.value)),
                    band: point.band.map(|b| (y.y(&area, b.high), y.y(&area, b.low))),
                };
                (series.style, points.iter().map(place).collect())
            })
            .collect();
        draw_series(scene, &lines);
    }
}
