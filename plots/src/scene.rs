//! The picture as a list of shapes and texts in points, before it becomes pixels. Charts build
//! it without errors, and tests ask it where every text stands.

use crate::style::{Color, Marker};
use crate::text::{Fonts, VerticalAnchor, Weight, one_line};

/// Half the width and the height of the triangles that mark moments.
const POINT_HALF_WIDTH: f64 = 4.5;
const POINT_HEIGHT: f64 = 8.0;
/// Width of the lines of arrows.
pub(crate) const ARROW_WIDTH: f64 = 1.25;
const HEAD_LENGTH: f64 = 6.0;
const HEAD_HALF_WIDTH: f64 = 3.0;

/// x to the right, y downwards, in points from the upper left corner.
pub(crate) type Point = (f64, f64);

/// A box with upright sides.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rect {
    pub(crate) left: f64,
    pub(crate) top: f64,
    pub(crate) right: f64,
    pub(crate) bottom: f64,
}

impl Rect {
    pub(crate) const fn new(left: f64, top: f64, right: f64, bottom: f64) -> Self {
        Self {
            left,
            top,
            right,
            bottom,
        }
    }

    pub(crate) fn width(&self) -> f64 {
        self.right - self.left
    }

    pub(crate) fn height(&self) -> f64 {
        self.bottom - self.top
    }

    pub(crate) fn center(&self) -> Point {
        (
            f64::midpoint(self.left, self.right),
            f64::midpoint(self.top, self.bottom),
        )
    }
}

/// Something to be filled.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Shape {
    /// A filled box.
    Box(Rect, Color),
    /// A line through points, with round corners and ends.
    Line {
        points: Vec<Point>,
        width: f64,
        color: Color,
    },
    /// The area between two curves: x, upper y, lower y; x does not fall.
    Band {
        columns: Vec<(f64, f64, f64)>,
        color: Color,
        opacity: f64,
    },
    /// A convex polygon.
    Polygon(Vec<Point>, Color),
    /// A disc.
    Disc(Point, f64, Color),
}

/// Which horizontal place of the text its position means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HorizontalAnchor {
    Left,
    Center,
    Right,
}

/// A line of text.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Text {
    pub content: String,
    pub at: Point,
    pub size: f64,
    pub color: Color,
    pub weight: Weight,
    pub horizontal: HorizontalAnchor,
    pub vertical: VerticalAnchor,
    /// Runs upwards instead of to the right; the anchors turn with it.
    pub upwards: bool,
}

impl Text {
    pub(crate) fn new(content: impl AsRef<str>, at: Point, size: f64) -> Self {
        Self {
            content: one_line(content.as_ref()),
            at,
            size,
            color: Color::INK,
            weight: Weight::Regular,
            horizontal: HorizontalAnchor::Left,
            vertical: VerticalAnchor::Middle,
            upwards: false,
        }
    }

    pub(crate) fn color(mut self, color: Color) -> Self {
        self.color = color;
        self
    }

    pub(crate) fn bold(mut self) -> Self {
        self.weight = Weight::Bold;
        self
    }

    pub(crate) fn centered(mut self) -> Self {
        self.horizontal = HorizontalAnchor::Center;
        self
    }

    pub(crate) fn right(mut self) -> Self {
        self.horizontal = HorizontalAnchor::Right;
        self
    }

    pub(crate) fn top(mut self) -> Self {
        self.vertical = VerticalAnchor::Top;
        self
    }

    pub(crate) fn bottom(mut self) -> Self {
        self.vertical = VerticalAnchor::Bottom;
        self
    }

    pub(crate) fn upwards(mut self) -> Self {
        self.upwards = true;
        self
    }

    /// Where along its line the text starts, relative to its position.
    pub(crate) fn start(&self, width: f64) -> f64 {
        match self.horizontal {
            HorizontalAnchor::Left => 0.0,
            HorizontalAnchor::Center => -width / 2.0,
            HorizontalAnchor::Right => -width,
        }
    }
}

/// All shapes and texts of a picture. Texts are drawn last.
#[derive(Clone, Debug)]
pub struct Scene {
    pub(crate) width: f64,
    pub(crate) height: f64,
    pub(crate) fonts: Fonts,
    pub(crate) shapes: Vec<Shape>,
    pub(crate) texts: Vec<Text>,
}

impl Scene {
    pub(crate) fn new(fonts: Fonts, width: f64, height: f64) -> Self {
        Self {
            width,
            height,
            fonts,
            shapes: Vec::new(),
            texts: Vec::new(),
        }
    }

    /// Width of regular text.
    pub(crate) fn text_width(&self, text: &str, size: f64) -> f64 {
        self.fonts.width(text, size, Weight::Regular)
    }

    pub(crate) fn text(&mut self, text: Text) {
        if !text.content.trim().is_empty() {
            self.texts.push(text);
        }
    }

    pub(crate) fn fill(&mut self, rect: Rect, color: Color) {
        self.shapes.push(Shape::Box(rect, color));
    }

    /// A level line whose edges fall on whole points, so that it is crisp.
    pub(crate) fn level(&mut self, y: f64, left: f64, right: f64, width: f64, color: Color) {
        let top = (y - width / 2.0).round();
        self.fill(Rect::new(left, top, right, top + width), color);
    }

    /// An upright line whose edges fall on whole points.
    pub(crate) fn upright(&mut self, x: f64, top: f64, bottom: f64, width: f64, color: Color) {
        let left = (x - width / 2.0).round();
        self.fill(Rect::new(left, top, left + width, bottom), color);
    }

    /// A dashed level line.
    pub(crate) fn level_dashes(&mut self, y: f64, left: f64, right: f64, color: Color) {
        for (from, to) in dashes(left, right) {
            self.level(y, from, to, 2.0, color);
        }
    }

    /// A dashed upright line.
    pub(crate) fn upright_dashes(&mut self, x: f64, top: f64, bottom: f64, color: Color) {
        for (from, to) in dashes(top, bottom) {
            self.upright(x, from, to, 2.0, color);
        }
    }

    /// A whisker: an upright line with a bar at each end.
    pub(crate) fn whisker(&mut self, x: f64, y: (f64, f64), cap: f64, color: Color) {
        self.upright(x, y.0.min(y.1), y.0.max(y.1), 2.0, color);
        for end in [y.0, y.1] {
            self.level(end, x - cap, x + cap, 2.0, color);
        }
    }

    pub(crate) fn line(&mut self, points: &[Point], width: f64, color: Color) {
        let points = merge_columns(points);
        self.shapes.push(Shape::Line {
            points,
            width,
            color,
        });
    }

    pub(crate) fn band(&mut self, columns: Vec<(f64, f64, f64)>, color: Color) {
        self.shapes.push(Shape::Band {
            columns,
            color,
            opacity: 0.18,
        });
    }

    /// A white box with a thin outline inside its edges.
    pub(crate) fn outlined_box(&mut self, rect: &Rect, color: Color) {
        self.fill(*rect, color);
        let inner = Rect::new(
            rect.left + 1.0,
            rect.top + 1.0,
            rect.right - 1.0,
            rect.bottom - 1.0,
        );
        self.fill(inner, Color::WHITE);
    }

    /// A small triangle whose upper corner is at `tip`.
    pub(crate) fn point_up(&mut self, (x, y): Point, color: Color) {
        let corners = vec![
            (x, y),
            (x + POINT_HALF_WIDTH, y + POINT_HEIGHT),
            (x - POINT_HALF_WIDTH, y + POINT_HEIGHT),
        ];
        self.shapes.push(Shape::Polygon(corners, color));
    }

    /// A disc.
    pub(crate) fn disc(&mut self, center: Point, radius: f64, color: Color) {
        self.shapes.push(Shape::Disc(center, radius, color));
    }

    /// A thin line with a head at `tip`.
    pub(crate) fn arrow(&mut self, tail: Point, tip: Point, color: Color) {
        let (dx, dy) = (tip.0 - tail.0, tip.1 - tail.1);
        let length = dx.hypot(dy);
        // An arrow to its own start has no direction; it points to the right.
        let (dx, dy) = if length > 0.0 {
            (dx / length, dy / length)
        } else {
            (1.0, 0.0)
        };
        let (neck_x, neck_y) = (tip.0 - HEAD_LENGTH * dx, tip.1 - HEAD_LENGTH * dy);
        let (side_x, side_y) = (HEAD_HALF_WIDTH * dy, -HEAD_HALF_WIDTH * dx);
        if length > HEAD_LENGTH {
            self.line(&[tail, (neck_x, neck_y)], ARROW_WIDTH, color);
        }
        let corners = vec![
            tip,
            (neck_x + side_x, neck_y + side_y),
            (neck_x - side_x, neck_y - side_y),
        ];
        self.shapes.push(Shape::Polygon(corners, color));
    }

    /// A marker with a thin white rim that sets it off from lines under it.
    pub(crate) fn marker(&mut self, marker: Marker, at: Point, radius: f64, color: Color) {
        self.bare_marker(marker, at, radius + 1.5, Color::WHITE);
        self.bare_marker(marker, at, radius, color);
    }

    /// A marker drawn as an outline.
    pub(crate) fn hollow_marker(&mut self, marker: Marker, at: Point, radius: f64, color: Color) {
        self.bare_marker(marker, at, radius, color);
        self.bare_marker(marker, at, radius - 2.5, Color::WHITE);
    }

    /// A marker without a rim.
    pub(crate) fn bare_marker(&mut self, marker: Marker, (x, y): Point, radius: f64, color: Color) {
        // Equal areas look equally strong: the factors bring each shape near the disc's area.
        let polygon = match marker {
            Marker::Circle => {
                self.shapes.push(Shape::Disc((x, y), radius, color));
                return;
            }
            Marker::Square => {
                let r = radius * 0.89;
                vec![
                    (x - r, y - r),
                    (x + r, y - r),
                    (x + r, y + r),
                    (x - r, y + r),
                ]
            }
            Marker::Triangle => {
                let r = radius * 1.3;
                vec![
                    (x, y - r),
                    (x + 0.9 * r, y + 0.6 * r),
                    (x - 0.9 * r, y + 0.6 * r),
                ]
            }
            Marker::Diamond => {
                let r = radius * 1.25;
                vec![(x, y - r), (x + r, y), (x, y + r), (x - r, y)]
            }
            Marker::TriangleDown => {
                let r = radius * 1.3;
                vec![
                    (x, y + r),
                    (x + 0.9 * r, y - 0.6 * r),
                    (x - 0.9 * r, y - 0.6 * r),
                ]
            }
        };
        self.shapes.push(Shape::Polygon(polygon, color));
    }

    /// The box that a text fills.
    #[cfg(test)]
    pub(crate) fn bounds(&self, text: &Text) -> Rect {
        let width = self.fonts.width(&text.content, text.size, text.weight);
        let start = text.start(width);
        let (above, below) = text.vertical.reach();
        let (above, below) = (above * text.size, below * text.size);
        let (x, y) = text.at;
        if text.upwards {
            Rect::new(x + above, y - start - width, x + below, y - start)
        } else {
            Rect::new(x + start, y + above, x + start + width, y + below)
        }
    }
}

/// Cuts a stretch into dashes of 7 points with gaps of 5.
fn dashes(from: f64, to: f64) -> impl Iterator<Item = (f64, f64)> {
    let count = ((to - from) / 12.0).ceil().max(0.0) as usize;
    (0..count).map(move |i| {
        let start = from + 12.0 * i as f64;
        (start, (start + 7.0).min(to))
    })
}

/// Thins a line of many points without changing its look: of the points within half a point of
/// width, the first, the last, the highest and the lowest stay, in their order.
fn merge_columns(points: &[Point]) -> Vec<Point> {
    if points.len() < 2000 {
        return points.to_vec();
    }
    let column_of = |point: &Point| (point.0 * 2.0).floor() as i64;
    let mut merged = Vec::new();
    for column in points.chunk_by(|a, b| column_of(a) == column_of(b)) {
        let by_height = |a: &usize, b: &usize| column[*a].1.total_cmp(&column[*b].1);
        let mut kept = vec![0, column.len() - 1];
        kept.extend((0..column.len()).min_by(by_height));
        kept.extend((0..column.len()).max_by(by_height));
        kept.sort_unstable();
        kept.dedup();
        merged.extend(kept.into_iter().map(|i| column[i]));
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dashes_cover_the_stretch_and_do_not_pass_its_end() {
        let all: Vec<_> = dashes(0.0, 28.0).collect();
        assert_eq!(all, [(0.0, 7.0), (12.0, 19.0), (24.0, 28.0)]);
        assert_eq!(dashes(5.0, 5.0).count(), 0);
        assert_eq!(dashes(5.0, 1.0).count(), 0);
    }

    #[test]
    fn a_line_of_many_points_keeps_its_extremes_and_loses_most_points() {
        let mut points: Vec<Point> = (0..10_000).map(|i| (f64::from(i) * 0.01, 50.0)).collect();
        points[5_004].1 = 1.0;
        points[5_006].1 = 99.0;
        let merged = merge_columns(&points);
        assert!(merged.len() < 1000, "{}", merged.len());
        assert!(merged.contains(&points[5_004]) && merged.contains(&points[5_006]));
        assert_eq!(merged.first(), points.first());
        assert_eq!(merged.last(), points.last());
        assert!(merged.is_sorted_by(|a, b| a.0 <= b.0));
    }

    #[test]
    fn a_line_of_few_points_is_left_alone() {
        let points = [(0.0, 1.0), (0.1, 2.0), (0.2, 3.0)];
        assert_eq!(merge_columns(&points), points);
    }
}
