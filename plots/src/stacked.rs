//! Stacked bars: where a total comes from. Panels have scales of their own, because what is to
//! be compared may differ by orders of magnitude and a stack has no logarithmic scale.

use crate::axis::{Axis, Room, TICK_SIZE, X_LABELS_HEIGHT};
use crate::chart::Paint;
use crate::data::{Series, check_not_negative};
use crate::error::PlotError;
use crate::frame::Frame;
use crate::grid::{PANEL_TITLE_HEIGHT, draw_panel_title};
use crate::page::{BODY_SIZE, LegendEntry, Swatch, draw_no_data};
use crate::scene::{Rect, Scene, Text};
use crate::style::Color;
use crate::text::{Fonts, LINE_HEIGHT, wrap};
use crate::unit::Unit;

const PANEL_GAP: f64 = 16.0;
const LEAST_ROW: f64 = 24.0;
const TALLEST_BAR: f64 = 36.0;
const EMPTY_PANEL: f64 = 40.0;
/// Share of the width that row labels may take.
const LABELS_SHARE: f64 = 0.28;
const SHARE_SIZE: f64 = 14.0;

/// Level bars made of parts, in panels below each other.
#[derive(Clone, Debug, PartialEq)]
pub struct Stacked {
    /// What is around the chart. The picture grows in height with the number of rows.
    pub frame: Frame,
    /// Unit of the values.
    pub unit: Unit,
    /// The parts from left to right; [`SeriesStyle::segment`](crate::SeriesStyle::segment) has
    /// colours for them.
    pub segments: Vec<Series>,
    /// The panels from top to bottom, each with a scale of its own, e.g. one per quantile.
    pub panels: Vec<StackedPanel>,
    /// Draws all bars equally long, as shares of their total; the totals are still written.
    pub normalised: bool,
}

/// A panel of [`Stacked`].
#[derive(Clone, Debug, PartialEq)]
pub struct StackedPanel {
    /// What the rows have in common, e.g. `p99`.
    pub title: String,
    /// The rows from top to bottom.
    pub rows: Vec<StackedRow>,
}

/// A bar of [`Stacked`].
#[derive(Clone, Debug, PartialEq)]
pub struct StackedRow {
    /// What the bar stands for.
    pub label: String,
    /// One value per segment, in their order; not negative.
    pub values: Vec<f64>,
}

impl StackedRow {
    fn total(&self) -> f64 {
        self.values.iter().sum()
    }
}

/// Places that all panels share.
struct Columns {
    /// Where the labels start.
    labels: f64,
    /// Where the bars start.
    left: f64,
    /// Where the longest bar ends.
    right: f64,
}

impl Stacked {
    fn rows(&self) -> impl Iterator<Item = &StackedRow> {
        self.panels.iter().flat_map(|panel| &panel.rows)
    }

    fn columns(&self, scene: &Scene, body: &Rect) -> Columns {
        let width = |text: &str, size| scene.text_width(text, size);
        let labels = self.rows().map(|row| width(&row.label, BODY_SIZE));
        let totals = self
            .rows()
            .map(|row| width(&self.unit.format(row.total()), BODY_SIZE));
        let label_room = labels.fold(0.0, f64::max).min(LABELS_SHARE * body.width());
        Columns {
            labels: body.left,
            left: body.left + label_room + 12.0,
            right: body.right - totals.fold(0.0, f64::max).max(40.0) - 12.0,
        }
    }

    /// Height of a panel without its rows.
    fn panel_overhead() -> f64 {
        PANEL_TITLE_HEIGHT + X_LABELS_HEIGHT + PANEL_GAP
    }

    fn draw_panel(&self, scene: &mut Scene, area: &Rect, panel: &StackedPanel, columns: &Columns) {
        let largest = panel.rows.iter().map(StackedRow::total).fold(0.0, f64::max);
        let room = Room::Across(area.width());
        let axis = if self.normalised {
            Axis::linear_exact(&scene.fonts, room, (0.0, 100.0), Unit::Percent)
        } else {
            Axis::linear_exact(&scene.fonts, room, (0.0, largest), self.unit)
        };
        axis.draw_upright_grid(scene, area);
        axis.draw_x_labels(scene, area);
        let pitch = area.height() / panel.rows.len() as f64;
        let thickness = (0.76 * pitch).min(TALLEST_BAR);
        for (i, row) in panel.rows.iter().enumerate() {
            let middle = area.top + (i as f64 + 0.5) * pitch;
            self.draw_label(scene, row, middle, pitch, columns);
            let bar = Rect::new(
                area.left,
                (middle - thickness / 2.0).round(),
                area.right,
                (middle + thickness / 2.0).round(),
            );
            self.draw_bar(scene, &bar, row, &axis);
        }
        scene.upright(area.left, area.top, area.bottom, 1.0, Color::AXIS);
    }

    fn draw_label(
        &self,
        scene: &mut Scene,
        row: &StackedRow,
        middle: f64,
        pitch: f64,
        columns: &Columns,
    ) {
        let line_height = BODY_SIZE * LINE_HEIGHT;
        let most = if pitch >= 2.0 * line_height { 2 } else { 1 };
        let room = columns.left - columns.labels - 12.0;
        let lines = wrap(&row.label, room + 0.5, most, |t| {
            scene.text_width(t, BODY_SIZE)
        });
        let first = middle - (lines.len() as f64 - 1.0) / 2.0 * line_height;
        for (i, line) in lines.iter().enumerate() {
            let at = (columns.left - 12.0, first + i as f64 * line_height);
            scene.text(Text::new(line, at, BODY_SIZE).right());
        }
    }

    /// Draws the parts with their shares where these fit, and the total after the last part.
    fn draw_bar(&self, scene: &mut Scene, bar: &Rect, row: &StackedRow, axis: &Axis) {
        let total = row.total();
        let to_axis = match (self.normalised, total > 0.0) {
            (true, true) => 100.0 / total,
            (true, false) => 0.0,
            (false, _) => 1.0,
        };
        let middle = bar.center().1;
        let mut sum = 0.0;
        let mut end = bar.left;
        for (segment, value) in self.segments.iter().zip(&row.values) {
            let start = axis.x(bar, sum * to_axis);
            sum += value;
            end = axis.x(bar, sum * to_axis);
            let color = segment.style.color;
            // A white seam sets the parts apart; a part thinner than that keeps its full width.
            let seam = if end - start > 3.0 { 1.0 } else { 0.0 };
            scene.fill(Rect::new(start, bar.top, end - seam, bar.bottom), color);
            let share =
                Unit::Percent.format((100.0 * value / total.max(f64::MIN_POSITIVE)).round());
            let fits = scene.text_width(&share, SHARE_SIZE) + 10.0 < end - start
                && SHARE_SIZE + 3.0 < bar.height();
            if fits {
                let at = (f64::midpoint(start, end - seam), middle);
                let text = Text::new(share, at, SHARE_SIZE).centered();
                scene.text(text.color(color.text_on()));
            }
        }
        let at = (end + 10.0, middle);
        scene.text(Text::new(self.unit.format(total), at, BODY_SIZE));
    }
}

impl Paint for Stacked {
    fn frame(&self) -> &Frame {
        &self.frame
    }

    fn check(&self) -> Result<(), PlotError> {
        for row in self.rows() {
            if row.values.len() != self.segments.len() {
                return Err(PlotError::Length {
                    row: row.label.clone(),
                    found: row.values.len(),
                    expected: self.segments.len(),
                });
            }
            for value in &row.values {
                check_not_negative(&row.label, "value", *value)?;
            }
            check_not_negative(&row.label, "the total", row.total())?;
        }
        Ok(())
    }

    fn is_empty(&self) -> bool {
        self.segments.is_empty() || self.rows().next().is_none()
    }

    fn legend(&self) -> Vec<LegendEntry> {
        self.segments
            .iter()
            .map(|segment| LegendEntry::new(&segment.name, segment.style, Swatch::Box))
            .collect()
    }

    fn least_height(&self, _fonts: &Fonts, _width: f64) -> f64 {
        let panels = self.panels.iter().map(|panel| {
            let rows = panel.rows.len() as f64 * LEAST_ROW;
            Self::panel_overhead() + rows.max(EMPTY_PANEL)
        });
        panels.sum()
    }

    fn paint(&self, scene: &mut Scene, body: &Rect) {
        let columns = self.columns(scene, body);
        // Every row is equally high, whichever panel it is in.
        let units = |panel: &StackedPanel| panel.rows.len().max(1) as f64;
        let all: f64 = self.panels.iter().map(units).sum();
        let overhead = self.panels.len() as f64 * Self::panel_overhead() - PANEL_GAP;
        let row = ((body.height() - overhead) / all).min(3.0 * TALLEST_BAR);
        let mut top = body.top;
        for panel in &self.panels {
            let title = Rect::new(body.left, top, body.right, top + PANEL_TITLE_HEIGHT);
            draw_panel_title(scene, &title, &panel.title);
            let area_bottom = title.bottom + units(panel) * row;
            let area = Rect::new(columns.left, title.bottom, columns.right, area_bottom);
            if panel.rows.is_empty() {
                draw_no_data(scene, &area, "", TICK_SIZE);
            } else {
                self.draw_panel(scene, &area, panel, &columns);
            }
            top = area.bottom + X_LABELS_HEIGHT + PANEL_GAP;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::style::SeriesStyle;

    #[test]
    fn a_row_needs_one_value_per_segment() {
        let chart = Stacked {
            frame: Frame::new("t"),
            unit: Unit::Nanoseconds,
            segments: vec![Series::new("a", SeriesStyle::segment(0))],
            panels: vec![StackedPanel {
                title: "p".into(),
                rows: vec![StackedRow {
                    label: "event p50".into(),
                    values: vec![1.0, 2.0],
                }],
            }],
            normalised: false,
        };
        assert_eq!(
            chart.check().unwrap_err().to_string(),
            "\"event p50\" has 2 values, but the chart has 1 series; pass one for each"
        );
    }
}
