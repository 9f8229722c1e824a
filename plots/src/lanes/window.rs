//! What of the data lies in the time that is shown: pure arithmetic.

use crate::scene::Point;

/// The time that is shown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Window {
    pub low: f64,
    pub high: f64,
}

/// The visible part of a link.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct VisibleLink {
    /// Time and y of both ends.
    pub ends: (Point, Point),
    /// Whether it starts in the window.
    pub has_start: bool,
    /// Whether it ends in the window.
    pub has_end: bool,
}

impl Window {
    pub(super) fn contains(self, time: f64) -> bool {
        (self.low..=self.high).contains(&time)
    }

    /// Whether a stretch of time, or a moment if both ends are equal, is to be seen. A stretch
    /// that only touches the window is not.
    pub(super) fn shows(self, from: f64, to: f64) -> bool {
        (from < self.high && to > self.low) || (from >= to && self.contains(from))
    }

    /// The visible part of a stretch.
    pub(super) fn clip(self, from: f64, to: f64) -> Option<(f64, f64)> {
        self.shows(from, to)
            .then(|| (from.max(self.low), to.min(self.high)))
    }

    /// The visible part of a straight line between two places, each a time and a y, in the order
    /// of time.
    pub(super) fn clip_link(self, start: Point, end: Point) -> Option<VisibleLink> {
        if start.0 > self.high || end.0 < self.low {
            return None;
        }
        let at = |time: f64| {
            let share = (time - start.0) / (end.0 - start.0);
            (time, start.1 + share * (end.1 - start.1))
        };
        let has_start = self.contains(start.0);
        let has_end = self.contains(end.0);
        Some(VisibleLink {
            ends: (
                if has_start { start } else { at(self.low) },
                if has_end { end } else { at(self.high) },
            ),
            has_start,
            has_end,
        })
    }

    /// The corners of the line of a counter whose values hold until the next point.
    pub(super) fn steps(self, points: &[(f64, f64)]) -> Vec<Point> {
        let mut points = points.to_vec();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut corners = Vec::new();
        for (i, &(time, value)) in points.iter().enumerate() {
            let until = points.get(i + 1).map_or(self.high, |next| next.0);
            let over_before = until <= self.low && time < self.low;
            if time > self.high || over_before {
                continue;
            }
            corners.push((time.max(self.low), value));
            corners.push((until.min(self.high), value));
        }
        corners
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Window = Window {
        low: 10.0,
        high: 20.0,
    };

    #[test]
    fn stretches_are_cut_to_the_window() {
        assert_eq!(WINDOW.clip(5.0, 12.0), Some((10.0, 12.0)));
        assert_eq!(WINDOW.clip(12.0, 15.0), Some((12.0, 15.0)));
        assert_eq!(WINDOW.clip(19.0, 25.0), Some((19.0, 20.0)));
        assert_eq!(WINDOW.clip(0.0, 99.0), Some((10.0, 20.0)));
        assert_eq!(WINDOW.clip(0.0, 9.0), None);
        assert_eq!(WINDOW.clip(21.0, 22.0), None);
    }

    #[test]
    fn a_stretch_that_only_touches_the_window_is_outside_and_a_moment_on_its_edge_inside() {
        assert_eq!(WINDOW.clip(5.0, 10.0), None);
        assert_eq!(WINDOW.clip(20.0, 25.0), None);
        assert_eq!(WINDOW.clip(10.0, 10.0), Some((10.0, 10.0)));
        assert_eq!(WINDOW.clip(20.0, 20.0), Some((20.0, 20.0)));
        assert_eq!(WINDOW.clip(15.0, 15.0), Some((15.0, 15.0)));
        assert_eq!(WINDOW.clip(9.0, 9.0), None);
    }

    #[test]
    fn a_link_cut_by_the_window_keeps_its_slope_and_loses_its_end() {
        let inside = WINDOW.clip_link((12.0, 0.0), (14.0, 50.0)).unwrap();
        assert_eq!(inside.ends, ((12.0, 0.0), (14.0, 50.0)));
        assert!(inside.has_start && inside.has_end);

        let across = WINDOW.clip_link((5.0, 0.0), (25.0, 100.0)).unwrap();
        assert_eq!(across.ends, ((10.0, 25.0), (20.0, 75.0)));
        assert!(!across.has_start && !across.has_end);

        let upright = WINDOW.clip_link((20.0, 0.0), (20.0, 9.0)).unwrap();
        assert_eq!(upright.ends, ((20.0, 0.0), (20.0, 9.0)));

        assert_eq!(WINDOW.clip_link((5.0, 0.0), (9.0, 9.0)), None);
        assert_eq!(WINDOW.clip_link((21.0, 0.0), (30.0, 9.0)), None);
    }

    #[test]
    fn a_counter_holds_its_value_from_before_the_window_to_its_end() {
        let points = [(15.0, 3.0), (0.0, 7.0), (5.0, 1.0), (30.0, 9.0)];
        assert_eq!(
            WINDOW.steps(&points),
            [(10.0, 1.0), (15.0, 1.0), (15.0, 3.0), (20.0, 3.0)]
        );
        assert_eq!(WINDOW.steps(&[(12.0, 2.0)]), [(12.0, 2.0), (20.0, 2.0)]);
        assert_eq!(WINDOW.steps(&[(20.0, 2.0)]), [(20.0, 2.0), (20.0, 2.0)]);
        assert!(WINDOW.steps(&[(21.0, 2.0)]).is_empty());
        // The value at the left edge is the one that begins there.
        assert_eq!(
            WINDOW.steps(&[(0.0, 5.0), (10.0, 2.0)]),
            [(10.0, 2.0), (20.0, 2.0)]
        );
    }
}
