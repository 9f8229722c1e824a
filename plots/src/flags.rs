//! Labels of moments above a timeline, each like a flag on its pole, in as few rows as they need.

use crate::axis::{Axis, TICK_SIZE};
use crate::scene::{Rect, Scene, Text};
use crate::style::Color;
use crate::text::{LINE_HEIGHT, shorten};
use crate::timeline::EventMarker;

/// Most rows of labels.
pub(crate) const EVENT_ROWS: usize = 3;
/// Height of a row.
pub(crate) const EVENT_ROW: f64 = TICK_SIZE * LINE_HEIGHT;
/// Gap between a pole and its label, and between labels.
const GAP: f64 = 6.0;

/// A label with its place.
#[derive(Clone, Debug, PartialEq)]
struct Flag {
    label: String,
    /// Where the pole stands.
    x: f64,
    /// Where the label starts and ends.
    span: (f64, f64),
    /// 0 is the row next to the panel.
    row: usize,
}

/// The labels that found room.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Flags {
    flags: Vec<Flag>,
    /// How many labels found none.
    pub left_out: usize,
}

impl Flags {
    /// Places the labels of `events` between `left` and `right`.
    pub(crate) fn place(
        scene: &Scene,
        events: &[EventMarker],
        x: &Axis,
        (left, right): (f64, f64),
    ) -> Self {
        let line = Rect::new(left, 0.0, right, 0.0);
        let width = |text: &str| scene.text_width(text, TICK_SIZE);
        let labels: Vec<(f64, String, f64)> = events
            .iter()
            .map(|event| {
                let label = shorten(&event.label, 0.4 * (right - left), width);
                let length = width(&label);
                (x.x(&line, event.time_s), label, length)
            })
            .collect();
        Self::arrange(labels, right)
    }

    /// Goes from right to left and takes for each the lowest free row. A label stands right of
    /// its pole, so the poles of later moments, which are lower, do not cross it; where the right
    /// edge leaves no room, it stands left of the pole.
    fn arrange(mut labels: Vec<(f64, String, f64)>, right: f64) -> Self {
        labels.sort_by(|a, b| b.0.total_cmp(&a.0));
        let mut placed = Self {
            flags: Vec::new(),
            left_out: 0,
        };
        for (x, label, length) in labels {
            let start = if x + GAP + length <= right {
                x + GAP
            } else {
                x - GAP - length
            };
            let span = (start, start + length);
            match (0..EVENT_ROWS).find(|row| placed.is_free(*row, x, span)) {
                Some(row) => placed.flags.push(Flag {
                    label,
                    x,
                    span,
                    row,
                }),
                None => placed.left_out += 1,
            }
        }
        placed
    }

    /// Whether a label fits into the row without touching labels there or poles that cross the
    /// row, and its pole without crossing labels below.
    fn is_free(&self, row: usize, x: f64, (start, end): (f64, f64)) -> bool {
        self.flags.iter().all(|other| {
            let (from, to) = (other.span.0 - GAP, other.span.1 + GAP);
            let labels_apart = other.row != row || end < from || start > to;
            let pole_clear = other.row >= row || x < from || x > to;
            let other_pole_clear = other.row < row || other.x <= start || other.x >= end;
            labels_apart && pole_clear && other_pole_clear
        })
    }

    /// Height of the rows in use.
    pub(crate) fn height(&self) -> f64 {
        let rows = self.flags.iter().map(|flag| flag.row + 1).max();
        rows.unwrap_or(0) as f64 * EVENT_ROW
    }

    /// Draws labels and poles above `bottom`, the upper edge of the panel.
    pub(crate) fn draw(&self, scene: &mut Scene, bottom: f64) {
        for flag in &self.flags {
            let top = bottom - (flag.row + 1) as f64 * EVENT_ROW;
            let text = Text::new(&flag.label, (flag.span.0, top), TICK_SIZE).top();
            scene.text(text.color(Color::MUTED));
            scene.upright_dashes(flag.x, top, bottom, Color::AXIS);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(labels: &[(f64, f64)], right: f64) -> (Vec<(f64, usize)>, usize) {
        let labels = labels
            .iter()
            .map(|(x, length)| (*x, "label".into(), *length));
        let flags = Flags::arrange(labels.collect(), right);
        let rows = flags.flags.iter().map(|flag| (flag.x, flag.row)).collect();
        (rows, flags.left_out)
    }

    #[test]
    fn labels_far_apart_share_the_lowest_row() {
        let (rows, left_out) = rows(&[(10.0, 50.0), (100.0, 50.0)], 500.0);
        assert_eq!(rows, [(100.0, 0), (10.0, 0)]);
        assert_eq!(left_out, 0);
    }

    #[test]
    fn an_earlier_label_rises_above_a_later_one_that_it_would_touch() {
        let (rows, _) = rows(&[(10.0, 80.0), (40.0, 80.0)], 500.0);
        assert_eq!(rows, [(40.0, 0), (10.0, 1)]);
    }

    #[test]
    fn labels_that_fit_nowhere_are_counted() {
        let crowd: Vec<_> = (0..10).map(|i| (f64::from(i) * 5.0, 100.0)).collect();
        let (rows, left_out) = rows(&crowd, 500.0);
        assert_eq!(rows.len() + left_out, 10);
        assert!(left_out > 0);
    }

    #[test]
    fn a_label_at_the_right_edge_stands_left_of_its_pole() {
        let labels = vec![(490.0, "end".to_string(), 40.0)];
        let flags = Flags::arrange(labels, 500.0);
        assert!(flags.flags[0].span.1 < 490.0);
    }
}
