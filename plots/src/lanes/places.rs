//! Where each group and lane stands: pure arithmetic on heights in points.

use super::{Lane, LaneGroup};
use crate::axis::TICK_SIZE;
use crate::grid::PANEL_TITLE_HEIGHT;
use crate::scene::Rect;
use crate::text::LINE_HEIGHT;

const LEAST_BAR: f64 = 14.0;
const LEAST_SLICE: f64 = 18.0;
/// Two lines of text: name and greatest value.
const LEAST_COUNTER: f64 = 2.0 * TICK_SIZE * LINE_HEIGHT + 1.0;
/// Height of the strip for marks under a bar.
const MARKS: f64 = 9.0;
/// Between the slices and the bar.
const SLICE_GAP: f64 = 2.0;
/// Leaves room for the head of an arrow.
const LANE_GAP: f64 = 8.0;
const GROUP_GAP: f64 = 22.0;
const EMPTY_GROUP: f64 = 40.0;
/// How far a picture with room to spare makes bars grow, in twentieths of their least height.
const MOST_GROWTH: u32 = 30;

/// Heights of what can grow when there is room.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sizes {
    bar: f64,
    slice: f64,
    counter: f64,
}

/// Where a lane stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct LanePlace {
    /// The row of slices; `None` in a lane without any.
    pub slices: Option<Rect>,
    /// The bar of states.
    pub bar: Rect,
    /// Height from this lane to the next.
    pub pitch: f64,
}

impl LanePlace {
    /// Upper end of the lane.
    pub(super) fn top(&self) -> f64 {
        self.slices.map_or(self.bar.top, |slices| slices.top)
    }

    /// Half way between the upper end of the slices and the lower end of the bar.
    pub(super) fn middle(&self) -> f64 {
        f64::midpoint(self.top(), self.bar.bottom)
    }
}

/// Where a group stands.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct GroupPlace {
    pub title: Rect,
    pub lanes: Vec<LanePlace>,
    pub counter: Option<Rect>,
    /// Lanes and counter, or the room for a note that there are none.
    pub body: Rect,
}

impl Sizes {
    pub(super) fn least() -> Self {
        Self::grown(0)
    }

    fn grown(twentieths: u32) -> Self {
        let factor = 1.0 + f64::from(twentieths) / 20.0;
        Self {
            bar: (LEAST_BAR * factor).floor(),
            slice: (LEAST_SLICE * factor.min(1.5)).floor(),
            counter: (LEAST_COUNTER * factor).floor(),
        }
    }

    /// The largest sizes with which the groups fit into `room`, or the least ones.
    pub(super) fn filling(groups: &[LaneGroup], room: f64) -> Self {
        (0..=MOST_GROWTH)
            .rev()
            .map(Self::grown)
            .find(|sizes| sizes.height(groups) <= room)
            .unwrap_or_else(Self::least)
    }

    fn lane(self, lane: &Lane) -> f64 {
        let slices = if lane.slices.is_empty() {
            0.0
        } else {
            self.slice + SLICE_GAP
        };
        let marks = if lane.marks.is_empty() { 0.0 } else { MARKS };
        slices + self.bar + marks + LANE_GAP
    }

    fn group_body(self, group: &LaneGroup) -> f64 {
        let lanes: f64 = group.lanes.iter().map(|lane| self.lane(lane)).sum();
        let counter = group.counter.as_ref().map_or(0.0, |_| self.counter);
        let note = if group.is_empty() { EMPTY_GROUP } else { 0.0 };
        lanes + counter + note
    }

    /// Height of all groups.
    pub(super) fn height(self, groups: &[LaneGroup]) -> f64 {
        let each = groups
            .iter()
            .map(|group| PANEL_TITLE_HEIGHT.ceil() + self.group_body(group) + GROUP_GAP);
        each.sum::<f64>() - GROUP_GAP
    }
}

/// Places the groups from the top of `page` down, their lanes between `left` and `right`.
pub(super) fn arrange(
    groups: &[LaneGroup],
    sizes: Sizes,
    page: &Rect,
    (left, right): (f64, f64),
) -> Vec<GroupPlace> {
    let mut top = page.top.ceil();
    let mut places = Vec::new();
    for group in groups {
        let body_top = top + PANEL_TITLE_HEIGHT.ceil();
        let mut free = body_top;
        let lanes: Vec<LanePlace> = group
            .lanes
            .iter()
            .map(|lane| {
                let place = place_lane(lane, sizes, free, (left, right));
                free += place.pitch;
                place
            })
            .collect();
        if group.is_empty() {
            free += EMPTY_GROUP;
        }
        let counter = group
            .counter
            .as_ref()
            .map(|_| Rect::new(left, free, right, free + sizes.counter));
        let bottom = counter.map_or(free, |counter| counter.bottom);
        places.push(GroupPlace {
            title: Rect::new(page.left, top, right, body_top),
            lanes,
            counter,
            body: Rect::new(left, body_top, right, bottom),
        });
        top = bottom + GROUP_GAP;
    }
    places
}

fn place_lane(lane: &Lane, sizes: Sizes, top: f64, (left, right): (f64, f64)) -> LanePlace {
    let slices = (!lane.slices.is_empty()).then(|| Rect::new(left, top, right, top + sizes.slice));
    let bar_top = slices.map_or(top, |slices| slices.bottom + SLICE_GAP);
    LanePlace {
        slices,
        bar: Rect::new(left, bar_top, right, bar_top + sizes.bar),
        pitch: sizes.lane(lane),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lanes::{LaneCounter, LaneMark, LaneSlice};
    use crate::unit::Unit;

    fn groups(lanes: usize) -> Vec<LaneGroup> {
        let plain = Lane::new("plain");
        let full = Lane {
            slices: vec![LaneSlice {
                from: 0.0,
                to: 1.0,
                label: String::new(),
            }],
            marks: vec![LaneMark { at: 0.5, kind: 0 }],
            ..plain.clone()
        };
        let lanes = [full, plain].into_iter().cycle().take(lanes);
        let counter = LaneCounter {
            name: "queue".into(),
            unit: Unit::Count,
            points: vec![],
        };
        vec![
            LaneGroup {
                lanes: lanes.collect(),
                counter: Some(counter),
                ..LaneGroup::new("first")
            },
            LaneGroup::new("empty"),
        ]
    }

    #[test]
    fn lanes_stand_below_each_other_and_end_where_the_height_says() {
        let groups = groups(5);
        let page = Rect::new(0.0, 50.0, 500.0, 900.0);
        let sizes = Sizes::least();
        let places = arrange(&groups, sizes, &page, (100.0, 480.0));
        for pair in places[0].lanes.windows(2) {
            assert!(pair[1].top() > pair[0].bar.bottom);
        }
        assert!(places[0].lanes[1].slices.is_none());
        let counter = places[0].counter.unwrap();
        assert!(counter.top > places[0].lanes[4].bar.bottom);
        assert!(places[1].title.top > counter.bottom);
        assert_eq!(places[1].body.bottom, page.top + sizes.height(&groups));
    }

    #[test]
    fn bars_grow_with_the_room_but_not_without_end_and_never_shrink() {
        let groups = groups(3);
        let least = Sizes::least();
        let height = least.height(&groups);
        assert_eq!(Sizes::filling(&groups, height), least);
        assert_eq!(Sizes::filling(&groups, 10.0), least);
        let roomy = Sizes::filling(&groups, 1.5 * height);
        assert!(roomy.bar > least.bar && roomy.height(&groups) <= 1.5 * height);
        assert_eq!(Sizes::filling(&groups, 1e6), Sizes::grown(MOST_GROWTH));
    }
}
