//! Drawing the parts of a lane.

use std::collections::HashSet;

use super::places::LanePlace;
use super::shares::{columns, runs};
use super::window::Window;
use super::{Lane, LaneCounter, LaneSlice, SLICE};
use crate::axis::{Axis, TICK_SIZE};
use crate::data::{Series, extent};
use crate::scene::{Point, Rect, Scene, Text};
use crate::style::Color;
use crate::text::{LINE_HEIGHT, shorten, wrap};

/// Gap between a label and its lane.
const LABEL_GAP: f64 = 12.0;
const SLICE_LABEL_SIZE: f64 = 12.5;
/// Narrower slices have no room for an outline and are drawn as columns.
const LEAST_OUTLINE: f64 = 4.0;
/// Lighter than an outline, or a crowd of them would look heavier than anything else.
const NARROW_SLICE: Color = Color(0xa0, 0xa0, 0xa0);

/// The picture with what all lanes have in common.
pub(super) struct Canvas<'a> {
    pub scene: &'a mut Scene,
    pub window: Window,
    pub x: &'a Axis,
    /// Where labels start.
    pub labels_left: f64,
    /// Where lanes start and end.
    pub left: f64,
    pub right: f64,
    /// Width of a pixel in points.
    pub pixel: f64,
}

impl Canvas<'_> {
    pub(super) fn x(&self, time: f64) -> f64 {
        self.left + self.x.fraction(time) * (self.right - self.left)
    }

    /// The column of pixels of a time.
    fn column(&self, time: f64) -> i64 {
        ((self.x(time) - self.left) / self.pixel) as i64
    }

    /// Writes lines of text left of the lanes around `middle`.
    fn label_lines(&mut self, lines: &[String], middle: f64, color: Color) {
        let line_height = TICK_SIZE * LINE_HEIGHT;
        let first = middle - (lines.len() as f64 - 1.0) / 2.0 * line_height;
        for (i, line) in lines.iter().enumerate() {
            let at = (self.left - LABEL_GAP, first + i as f64 * line_height);
            let text = Text::new(line, at, TICK_SIZE).right();
            self.scene.text(text.color(color));
        }
    }

    /// Room for labels left of the lanes; half a point lets the widest label fit itself.
    fn label_room(&self) -> f64 {
        self.left - LABEL_GAP - self.labels_left + 0.5
    }

    pub(super) fn label(&mut self, label: &str, place: &LanePlace) {
        let two_lines = place.pitch >= 2.0 * TICK_SIZE * LINE_HEIGHT;
        let lines = wrap(label, self.label_room(), 1 + usize::from(two_lines), |t| {
            self.scene.text_width(t, TICK_SIZE)
        });
        self.label_lines(&lines, place.middle(), Color::INK);
    }

    /// A line under the bar, to be seen where the lane has no span.
    pub(super) fn ground(&mut self, place: &LanePlace) {
        let bar = &place.bar;
        self.scene
            .level(bar.bottom, bar.left, bar.right, 1.0, Color::GRID);
    }

    /// Draws columns of pixels in which categories have shares.
    fn columns(
        &mut self,
        spans: impl Iterator<Item = (f64, f64, usize)>,
        area: &Rect,
        color: impl Fn(usize) -> Color,
    ) {
        let count = ((self.right - self.left) / self.pixel).round() as usize;
        let columns = columns(spans, self.window, count);
        for run in runs(&columns, area.height(), 1.0) {
            let left = area.left + run.start as f64 * self.pixel;
            let right = area.left + run.end as f64 * self.pixel;
            for (category, low, high) in run.parts {
                let part = Rect::new(left, area.bottom - high, right, area.bottom - low);
                self.scene.fill(part, color(category));
            }
        }
    }

    pub(super) fn spans(&mut self, lane: &Lane, place: &LanePlace, categories: &[Series]) {
        let spans = lane.spans.iter();
        self.columns(
            spans.map(|span| (span.from, span.to, span.category)),
            &place.bar,
            |category| categories[category].style.color,
        );
    }

    pub(super) fn slices(&mut self, lane: &Lane, place: &LanePlace) {
        let Some(row) = &place.slices else { return };
        let mut slices: Vec<(f64, f64, &LaneSlice)> = lane
            .slices
            .iter()
            .filter_map(|slice| {
                let (from, to) = self.window.clip(slice.from, slice.to)?;
                Some((from, to, slice))
            })
            .collect();
        slices.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (wide, narrow): (Vec<_>, Vec<_>) = slices
            .iter()
            .partition(|(from, to, _)| self.x(*to) - self.x(*from) >= LEAST_OUTLINE);
        for &&(from, to, _) in &wide {
            let slice = Rect::new(self.x(from), row.top, self.x(to), row.bottom);
            self.scene.outlined_box(&slice, SLICE);
        }
        let narrow = narrow.iter().map(|(from, to, _)| (*from, *to, 0));
        self.columns(narrow, row, |_| NARROW_SLICE);
        // A label ends where the next slice begins, if that is before the end of its own.
        for (i, (from, to, slice)) in slices.iter().enumerate() {
            let next = slices.get(i + 1).map_or(*to, |next| next.0.min(*to));
            let (left, right) = (self.x(*from), self.x(next));
            let width = self.scene.text_width(&slice.label, SLICE_LABEL_SIZE);
            if right - left >= width + 8.0 {
                let at = (f64::midpoint(left, right), row.center().1);
                let text = Text::new(&slice.label, at, SLICE_LABEL_SIZE);
                self.scene.text(text.centered());
            }
        }
    }

    pub(super) fn marks(&mut self, lane: &Lane, place: &LanePlace, kinds: &[Series]) {
        let mut drawn = HashSet::new();
        for mark in &lane.marks {
            let is_new = drawn.insert((self.column(mark.at), mark.kind));
            if !self.window.contains(mark.at) || !is_new {
                continue;
            }
            let tip = (self.x(mark.at), place.bar.bottom + 1.0);
            self.scene.point_up(tip, kinds[mark.kind].style.color);
        }
    }

    pub(super) fn counter(&mut self, counter: &LaneCounter, area: &Rect) {
        let corners = self.window.steps(&counter.points);
        let highest = extent(corners.iter().map(|(_, value)| *value)).map_or(0.0, |e| e.1);
        let width = |text: &str| self.scene.text_width(text, TICK_SIZE);
        let lines = [counter.name.clone(), counter.maximum_label(self.window)]
            .map(|line| shorten(&line, self.label_room(), width));
        self.label_lines(&lines, area.center().1, Color::MUTED);
        // The line's own width has room above the highest value.
        let (zero, top) = (area.bottom - 2.0, area.top + 4.0);
        let color = Color::GRID;
        self.scene.level(zero, area.left, area.right, 1.0, color);
        if corners.is_empty() {
            return;
        }
        let y = |value: f64| zero - (zero - top) * value / highest.max(f64::MIN_POSITIVE);
        let places: Vec<Point> = corners
            .iter()
            .map(|(time, value)| (self.x(*time), y(*value)))
            .collect();
        self.scene.line(&places, 1.5, Color::INK);
    }
}
