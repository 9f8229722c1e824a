//! Effects with their confidence intervals, row by row, against a line of "no effect".

use crate::axis::{Axis, Room, X_LABELS_HEIGHT, draw_baseline};
use crate::chart::Paint;
use crate::data::{Estimate, check_finite, check_interval, check_not_negative, extent};
use crate::error::PlotError;
use crate::frame::Frame;
use crate::grid::{PANEL_TITLE_HEIGHT, axis_title};
use crate::page::{BODY_SIZE, LegendEntry};
use crate::scene::{Rect, Scene, Text};
use crate::style::{Color, Marker, SeriesStyle};
use crate::text::{Fonts, LINE_HEIGHT, Weight, shorten, wrap};
use crate::unit::Unit;

const LEAST_ROW: f64 = 32.0;
const TALLEST_ROW: f64 = 80.0;
const COLUMN_GAP: f64 = 22.0;
const ESTIMATE_SIZE: f64 = 15.0;
const BELOW: f64 = X_LABELS_HEIGHT + 30.0;

/// A forest plot.
#[derive(Clone, Debug, PartialEq)]
pub struct Intervals {
    /// What is around the chart. The picture grows in height with the number of rows.
    pub frame: Frame,
    /// What the numbers are, e.g. `ratio of p99, worker to prefork`.
    pub x_title: String,
    /// Unit of the numbers.
    pub unit: Unit,
    /// Uses a logarithmic axis, on which a ratio and its inverse are equally far from 1. All
    /// numbers, the reference too, are then to be above 0.
    pub log: bool,
    /// Where there is no effect: 1 for ratios, 0 for differences.
    pub reference: f64,
    /// What it means to be left of the reference, e.g. `worker is faster`. May be empty.
    pub left_hint: String,
    /// What it means to be right of it. May be empty.
    pub right_hint: String,
    /// The rows from top to bottom.
    pub rows: Vec<IntervalRow>,
}

/// A row of [`Intervals`]. Its marker is filled when the interval leaves out the reference.
#[derive(Clone, Debug, PartialEq)]
pub struct IntervalRow {
    /// What is compared.
    pub label: String,
    /// Colour of marker and interval.
    pub style: SeriesStyle,
    /// The effect with its interval; `None` when there is nothing to draw.
    pub estimate: Option<Estimate>,
    /// What stands in place of the numbers where there is no estimate; empty: `no data`.
    pub instead: String,
    /// What follows from it, e.g. `confirmed`.
    pub verdict: String,
}

/// The columns of the table around the plot.
struct Columns {
    label: f64,
    plot: (f64, f64),
    estimate: f64,
    verdict: f64,
    right: f64,
}

impl Intervals {
    fn estimate_text(&self, row: &IntervalRow) -> String {
        let without = || -> String {
            match row.instead.as_str() {
                "" => "no data".into(),
                instead => instead.into(),
            }
        };
        row.estimate.map_or_else(without, |e| {
            let numbers = [e.value, e.interval.low, e.interval.high];
            let largest = numbers.iter().map(|n| n.abs()).fold(0.0, f64::max);
            // Three digits of the largest number, and as many decimals for the others.
            let digit = 10f64.powi(largest.max(f64::MIN_POSITIVE).log10().floor() as i32 - 2);
            // Hundredths are enough for a factor that is not tiny.
            let coarse = self.unit == Unit::Ratio && largest >= 0.1;
            let digit = if coarse { digit.max(0.01) } else { digit };
            let format = self.unit.axis_format(largest, digit);
            let [value, low, high] = numbers.map(|number| format.write(number));
            format!("{value} [{low}, {high}]")
        })
    }

    fn columns(&self, fonts: &Fonts, body: &Rect) -> Columns {
        let widest = |texts: Vec<String>, size: f64, weight: Weight, most: f64| {
            let widths = texts.iter().map(|text| fonts.width(text, size, weight));
            widths.fold(0.0, f64::max).min(most * body.width())
        };
        let each = |text: fn(&IntervalRow) -> String| self.rows.iter().map(text).collect();
        let labels = widest(each(|r| r.label.clone()), BODY_SIZE, Weight::Regular, 0.27);
        let verdicts = widest(each(|r| r.verdict.clone()), BODY_SIZE, Weight::Bold, 0.18);
        let estimates = self
            .rows
            .iter()
            .map(|row| self.estimate_text(row))
            .collect();
        let estimates = widest(estimates, ESTIMATE_SIZE, Weight::Regular, 0.3);
        let verdict = body.right - verdicts;
        let estimate = verdict - COLUMN_GAP - estimates;
        Columns {
            label: body.left,
            plot: (body.left + labels + COLUMN_GAP, estimate - 1.5 * COLUMN_GAP),
            estimate,
            verdict,
            right: body.right,
        }
    }

    fn axis(&self, fonts: &Fonts, width: f64) -> Axis {
        let estimates = self.rows.iter().filter_map(|row| row.estimate);
        let values = estimates.flat_map(|e| [e.value, e.interval.low, e.interval.high]);
        let range = extent(values.chain([self.reference])).unwrap_or((0.0, 1.0));
        let room = Room::Across(width);
        if self.log {
            Axis::log(fonts, room, range, self.unit, false)
        } else {
            let pad = 0.05 * (range.1 - range.0);
            Axis::linear_exact(fonts, room, (range.0 - pad, range.1 + pad), self.unit)
        }
    }

    fn draw_hints(&self, scene: &mut Scene, body: &Rect, reference: f64) {
        let top = body.top;
        let width = |text: &str| scene.text_width(text, ESTIMATE_SIZE);
        let room = |space: f64| (space - 10.0).max(0.0);
        let mut hints = Vec::new();
        if !self.left_hint.is_empty() {
            let hint = shorten(
                &format!("← {}", self.left_hint),
                room(reference - body.left),
                width,
            );
            hints.push(Text::new(hint, (reference - 10.0, top), ESTIMATE_SIZE).right());
        }
        if !self.right_hint.is_empty() {
            let hint = shorten(
                &format!("{} →", self.right_hint),
                room(body.right - reference),
                width,
            );
            hints.push(Text::new(hint, (reference + 10.0, top), ESTIMATE_SIZE));
        }
        for hint in hints {
            scene.text(hint.top().color(Color::MUTED));
        }
    }

    fn draw_row(
        &self,
        scene: &mut Scene,
        area: &Rect,
        row: &IntervalRow,
        (middle, pitch): (f64, f64),
        (columns, x): (&Columns, &Axis),
    ) {
        let line_height = BODY_SIZE * LINE_HEIGHT;
        let most = if pitch >= 2.0 * line_height { 2 } else { 1 };
        let room = columns.plot.0 - COLUMN_GAP - columns.label;
        let lines = wrap(&row.label, room + 0.5, most, |t| {
            scene.text_width(t, BODY_SIZE)
        });
        let first = middle - (lines.len() as f64 - 1.0) / 2.0 * line_height;
        for (i, line) in lines.iter().enumerate() {
            let at = (columns.label, first + i as f64 * line_height);
            scene.text(Text::new(line, at, BODY_SIZE));
        }
        let width = |text: &str| scene.text_width(text, ESTIMATE_SIZE);
        let room = columns.verdict - COLUMN_GAP - columns.estimate + 0.5;
        let estimate = shorten(&self.estimate_text(row), room, width);
        scene.text(Text::new(
            estimate,
            (columns.estimate, middle),
            ESTIMATE_SIZE,
        ));
        let bold = |text: &str| scene.fonts.width(text, BODY_SIZE, Weight::Bold);
        let lines = wrap(
            &row.verdict,
            columns.right - columns.verdict + 0.5,
            most,
            bold,
        );
        let first = middle - (lines.len() as f64 - 1.0) / 2.0 * line_height;
        for (i, line) in lines.iter().enumerate() {
            let at = (columns.verdict, first + i as f64 * line_height);
            scene.text(Text::new(line, at, BODY_SIZE).bold());
        }

        let Some(Estimate { value, interval }) = row.estimate else {
            return;
        };
        let (low, high) = (x.x(area, interval.low), x.x(area, interval.high));
        let color = row.style.color;
        scene.level(middle, low, high, 3.0, color);
        for end in [low, high] {
            scene.upright(end, middle - 7.0, middle + 7.0, 3.0, color);
        }
        let at = (x.x(area, value), middle);
        if (interval.low..=interval.high).contains(&self.reference) {
            scene.hollow_marker(Marker::Circle, at, 7.0, color);
        } else {
            scene.marker(Marker::Circle, at, 7.0, color);
        }
    }
}

impl Paint for Intervals {
    fn frame(&self) -> &Frame {
        &self.frame
    }

    fn check(&self) -> Result<(), PlotError> {
        let check = if self.log {
            check_above_zero
        } else {
            check_finite
        };
        check("reference", "value", self.reference)?;
        for row in &self.rows {
            if let Some(estimate) = row.estimate {
                check(&row.label, "value", estimate.value)?;
                check_interval(&row.label, estimate.interval, check)?;
            }
        }
        Ok(())
    }

    fn is_empty(&self) -> bool {
        self.rows.iter().all(|row| row.estimate.is_none())
    }

    fn legend(&self) -> Vec<LegendEntry> {
        Vec::new()
    }

    fn least_height(&self, _fonts: &Fonts, _width: f64) -> f64 {
        PANEL_TITLE_HEIGHT + self.rows.len() as f64 * LEAST_ROW + BELOW
    }

    fn paint(&self, scene: &mut Scene, body: &Rect) {
        let columns = self.columns(&scene.fonts, body);
        let top = body.top + PANEL_TITLE_HEIGHT;
        let count = self.rows.len().max(1) as f64;
        let pitch = ((body.bottom - BELOW - top) / count).min(TALLEST_ROW);
        let area = Rect::new(columns.plot.0, top, columns.plot.1, top + count * pitch);
        let x = self.axis(&scene.fonts, area.width());
        x.draw_upright_grid(scene, &area);
        let reference = x.x(&area, self.reference);
        scene.upright(reference, area.top - 6.0, area.bottom, 2.0, Color::INK);
        self.draw_hints(scene, body, reference);
        for (i, row) in self.rows.iter().enumerate() {
            let middle = (top + (i as f64 + 0.5) * pitch).round();
            self.draw_row(scene, &area, row, (middle, pitch), (&columns, &x));
        }
        draw_baseline(scene, &area);
        x.draw_x_labels(scene, &area);
        let under = (area.center().0, area.bottom + X_LABELS_HEIGHT + 6.0);
        scene.text(axis_title(&self.x_title, under).centered());
    }
}

fn check_above_zero(series: &str, what: &'static str, value: f64) -> Result<(), PlotError> {
    check_not_negative(series, what, value)?;
    if value > 0.0 {
        return Ok(());
    }
    Err(PlotError::NotPositive {
        series: series.into(),
        what,
    })
}
