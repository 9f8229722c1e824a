//! The arrows between lanes, thinned where they would hide each other.

use super::places::LanePlace;
use super::window::Window;
use super::{LaneGroup, LaneLink};
use crate::data::Series;
use crate::scene::{ARROW_WIDTH, Point, Scene};
use crate::unit::whole;

/// Up to so many arrows in a group are all drawn.
const FEW: usize = 60;
/// Of more, those of a kind start at least so far from each other, in points.
const LEAST_DISTANCE: f64 = 8.0;

/// An arrow on the page.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Arrow {
    tail: Point,
    tip: Point,
    /// Whether it starts and ends in the window.
    has_start: bool,
    has_end: bool,
    kind: usize,
}

/// The arrows of a group.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Arrows {
    drawn: Vec<Arrow>,
    /// How many are to be seen in the window, drawn or not.
    visible: usize,
}

impl Arrows {
    /// Places the links of a group; `x` tells the place of a time.
    pub(super) fn place(
        group: &LaneGroup,
        lanes: &[LanePlace],
        window: Window,
        x: impl Fn(f64) -> f64,
    ) -> Self {
        let arrow = |link: &LaneLink| {
            let (from_y, to_y) = heights(link, lanes);
            let visible = window.clip_link((link.from, from_y), (link.to, to_y))?;
            let place = |(time, y): Point| (x(time), y);
            Some(Arrow {
                tail: place(visible.ends.0),
                tip: place(visible.ends.1),
                has_start: visible.has_start,
                has_end: visible.has_end,
                kind: link.kind,
            })
        };
        let mut all: Vec<Arrow> = group.links.iter().filter_map(arrow).collect();
        all.sort_by(|a, b| a.tail.0.total_cmp(&b.tail.0));
        let visible = all.len();
        Self {
            drawn: if visible > FEW { thinned(&all) } else { all },
            visible,
        }
    }

    /// What is to be said about arrows that are not drawn; empty if all are.
    pub(super) fn note(&self) -> String {
        let left_out = self.visible - self.drawn.len();
        if left_out == 0 {
            return String::new();
        }
        format!(
            "{} of {} arrows left out",
            whole(left_out as u64),
            whole(self.visible as u64)
        )
    }

    pub(super) fn draw(&self, scene: &mut Scene, kinds: &[Series]) {
        for arrow in &self.drawn {
            let color = kinds[arrow.kind].style.color;
            if arrow.has_start {
                scene.disc(arrow.tail, 2.0, color);
            }
            if arrow.has_end {
                scene.arrow(arrow.tail, arrow.tip, color);
            } else {
                scene.line(&[arrow.tail, arrow.tip], ARROW_WIDTH, color);
            }
        }
    }
}

/// The y of both ends of a link: the edges of its lanes that face each other. A link of a lane
/// with itself runs under its bar.
fn heights(link: &LaneLink, lanes: &[LanePlace]) -> (f64, f64) {
    let (from, to) = (&lanes[link.from_lane], &lanes[link.to_lane]);
    match link.from_lane.cmp(&link.to_lane) {
        std::cmp::Ordering::Less => (from.bar.bottom + 1.0, to.top() - 1.0),
        std::cmp::Ordering::Greater => (from.top() - 1.0, to.bar.bottom + 1.0),
        std::cmp::Ordering::Equal => (from.bar.bottom + 3.0, from.bar.bottom + 3.0),
    }
}

/// From left to right, the arrows that keep their distance from the last of their kind.
fn thinned(sorted: &[Arrow]) -> Vec<Arrow> {
    let mut last = Vec::new();
    let mut kept: Vec<Arrow> = Vec::new();
    for arrow in sorted {
        if last.len() <= arrow.kind {
            last.resize(arrow.kind + 1, f64::NEG_INFINITY);
        }
        if arrow.tail.0 - last[arrow.kind] >= LEAST_DISTANCE {
            last[arrow.kind] = arrow.tail.0;
            kept.push(*arrow);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scene::Rect;

    fn lanes() -> [LanePlace; 2] {
        [(0.0, 20.0), (30.0, 50.0)].map(|(top, bottom)| LanePlace {
            slices: None,
            bar: Rect::new(0.0, top, 1000.0, bottom),
            pitch: 30.0,
        })
    }

    fn place(count: usize, kinds: usize) -> Arrows {
        let link = |i: usize| LaneLink {
            from_lane: i % 2,
            from: i as f64,
            to_lane: 1,
            to: i as f64 + 1.0,
            kind: i % kinds,
        };
        let group = LaneGroup {
            links: (0..count).rev().map(link).collect(),
            ..LaneGroup::default()
        };
        let window = Window {
            low: 0.0,
            high: 1000.0,
        };
        Arrows::place(&group, &lanes(), window, |time| time)
    }

    #[test]
    fn an_arrow_joins_the_edges_that_face_each_other() {
        let arrows = place(2, 1).drawn;
        assert_eq!((arrows[0].tail, arrows[0].tip), ((0.0, 21.0), (1.0, 29.0)));
        // The second lane's arrow to itself.
        assert_eq!((arrows[1].tail, arrows[1].tip), ((1.0, 53.0), (2.0, 53.0)));
    }

    #[test]
    fn few_arrows_are_all_drawn() {
        let arrows = place(FEW, 1);
        assert_eq!(arrows.drawn.len(), FEW);
        assert_eq!(arrows.note(), "");
    }

    #[test]
    fn of_many_arrows_those_too_close_to_the_last_of_their_kind_are_left_out_and_counted() {
        let arrows = place(800, 1);
        assert_eq!(arrows.drawn.len(), 100);
        assert_eq!(arrows.note(), "700 of 800 arrows left out");
        for pair in arrows.drawn.windows(2) {
            assert!(pair[1].tail.0 - pair[0].tail.0 >= LEAST_DISTANCE);
        }
        // Each kind is thinned for itself: 400 of each, two apart.
        assert_eq!(place(800, 2).drawn.len(), 200);
    }
}
