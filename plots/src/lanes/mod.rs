//! What each of many tasks did when: lanes of coloured spans below each other, on one time axis.

mod draw;
mod links;
mod paint;
mod places;
mod shares;
mod window;

use crate::data::{Interval, Series, extent};
use crate::frame::Frame;
use crate::style::Color;
use crate::unit::Unit;
use window::Window;

/// Outlines of slices.
const SLICE: Color = Color::MUTED;

/// Lanes of states over time, in groups below each other that share the time axis.
///
/// Each lane is a bar of coloured [spans](LaneSpan). Above it stand its [slices](LaneSlice),
/// outlined and labelled where the label fits, and under it its [marks](LaneMark);
/// [links](LaneLink) run from lane to lane.
///
/// What is narrower than a pixel is neither lost nor drawn over: a column of pixels in which
/// several spans fall is divided in proportion to the time of each category in it, from the first
/// category at the bottom up, and time without a span stays white. A category that occurs in a
/// column has at least one point of its height. Spans that overlap share the height. Marks of one
/// kind that fall on the same pixel are drawn once. Links run behind the lanes; where a group has
/// so many that they would hide each other, some are left out and the group's title says how many.
///
/// ```
/// use plots::{Chart, Frame, Lane, LaneGroup, LaneSlice, LaneSpan, Lanes, Series, SeriesStyle, Unit};
///
/// let worker = Lane {
///     spans: vec![
///         LaneSpan { from: 0.0, to: 300e3, category: 1 },
///         LaneSpan { from: 300e3, to: 1.1e6, category: 0 },
///     ],
///     slices: vec![LaneSlice { from: 300e3, to: 1.1e6, label: "GET /".into() }],
///     ..Lane::new("worker 1235")
/// };
/// let chart = Lanes {
///     categories: vec![
///         Series::new("on CPU", SeriesStyle::segment(3)),
///         Series::new("waiting", SeriesStyle::segment(8)),
///     ],
///     slice_name: "request".into(),
///     groups: vec![LaneGroup { lanes: vec![worker], ..LaneGroup::new("worker") }],
///     ..Lanes::new(Frame::new("What the tasks did").size(1200, 320), Unit::Nanoseconds)
/// };
/// assert!(chart.png()?.starts_with(b"\x89PNG"));
/// # Ok::<(), plots::PlotError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Lanes {
    /// What is around the chart. The picture grows in height with the number of lanes.
    pub frame: Frame,
    /// What the time counts from, e.g. `time since the first request`.
    pub x_title: String,
    /// Unit of all times.
    pub unit: Unit,
    /// The time that is shown; what lies outside is cut off. `None` shows all.
    pub window: Option<Interval>,
    /// What the colours of spans mean. The legend names those that occur in the window.
    pub categories: Vec<Series>,
    /// What the slices are, for the legend, e.g. `request`. May be empty.
    pub slice_name: String,
    /// What marks stand for; only the colour of the style is used.
    pub mark_kinds: Vec<Series>,
    /// What links stand for, e.g. `wake-up`; only the colour of the style is used.
    pub link_kinds: Vec<Series>,
    /// The groups from top to bottom.
    pub groups: Vec<LaneGroup>,
}

/// A group of [`Lanes`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LaneGroup {
    /// What the lanes have in common.
    pub title: String,
    /// The lanes from top to bottom.
    pub lanes: Vec<Lane>,
    /// Arrows between lanes of this group.
    pub links: Vec<LaneLink>,
    /// A number over time, drawn under the lanes.
    pub counter: Option<LaneCounter>,
}

/// A lane of a [`LaneGroup`]. Its spans, slices and marks may be in any order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Lane {
    /// Name at the left, e.g. `listener 1234`.
    pub label: String,
    /// The states.
    pub spans: Vec<LaneSpan>,
    /// What was worked on.
    pub slices: Vec<LaneSlice>,
    /// Moments.
    pub marks: Vec<LaneMark>,
}

/// A state of a [`Lane`] for some time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LaneSpan {
    /// Start.
    pub from: f64,
    /// End, at least `from`.
    pub to: f64,
    /// Index into [`Lanes::categories`].
    pub category: usize,
}

/// A labelled stretch of time in a [`Lane`], e.g. a request.
#[derive(Clone, Debug, PartialEq)]
pub struct LaneSlice {
    /// Start.
    pub from: f64,
    /// End, at least `from`.
    pub to: f64,
    /// Written into the slice where it fits.
    pub label: String,
}

/// A moment in a [`Lane`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LaneMark {
    /// When.
    pub at: f64,
    /// Index into [`Lanes::mark_kinds`].
    pub kind: usize,
}

/// An arrow from one lane to another, e.g. from a waker to the task it woke.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LaneLink {
    /// Index of the lane where it starts.
    pub from_lane: usize,
    /// When it starts.
    pub from: f64,
    /// Index of the lane where it ends.
    pub to_lane: usize,
    /// When it ends, at least `from`.
    pub to: f64,
    /// Index into [`Lanes::link_kinds`].
    pub kind: usize,
}

/// A number over time, e.g. the length of a queue, on a scale from 0 to its greatest value.
#[derive(Clone, Debug, PartialEq)]
pub struct LaneCounter {
    /// Name at the left.
    pub name: String,
    /// Unit of the values.
    pub unit: Unit,
    /// Times and values, in any order. A value, not negative, holds until the next point, the
    /// last one until the end of the window.
    pub points: Vec<(f64, f64)>,
}

impl Lanes {
    /// A chart without groups and categories that will show all its time.
    #[must_use]
    pub fn new(frame: Frame, unit: Unit) -> Self {
        Self {
            frame,
            x_title: String::new(),
            unit,
            window: None,
            categories: Vec::new(),
            slice_name: String::new(),
            mark_kinds: Vec::new(),
            link_kinds: Vec::new(),
            groups: Vec::new(),
        }
    }

    fn lanes(&self) -> impl Iterator<Item = &Lane> {
        self.groups.iter().flat_map(|group| &group.lanes)
    }

    fn links(&self) -> impl Iterator<Item = &LaneLink> {
        self.groups.iter().flat_map(|group| &group.links)
    }

    fn counters(&self) -> impl Iterator<Item = &LaneCounter> {
        self.groups.iter().filter_map(|g| g.counter.as_ref())
    }

    /// The time that is shown.
    fn window(&self) -> Window {
        let (low, high) = self.window.map_or_else(
            || extent(self.times()).unwrap_or((0.0, 1.0)),
            |window| (window.low, window.high),
        );
        Window { low, high }
    }

    /// All times in the chart.
    fn times(&self) -> impl Iterator<Item = f64> {
        let of_lane = |lane: &Lane| -> Vec<f64> {
            let spans = lane.spans.iter().flat_map(|span| [span.from, span.to]);
            let slices = lane.slices.iter().flat_map(|slice| [slice.from, slice.to]);
            let marks = lane.marks.iter().map(|mark| mark.at);
            extent(spans.chain(slices).chain(marks)).map_or(vec![], |(low, high)| vec![low, high])
        };
        let links = self.links().flat_map(|link| [link.from, link.to]);
        let points = self.counters().flat_map(|counter| &counter.points);
        let counters = points.map(|(time, _)| *time);
        self.lanes().flat_map(of_lane).chain(links).chain(counters)
    }
}

impl LaneGroup {
    /// A group without lanes.
    #[must_use]
    pub fn new(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            ..Self::default()
        }
    }

    fn is_empty(&self) -> bool {
        self.lanes.is_empty() && self.counter.is_none()
    }
}

impl Lane {
    /// A lane in which nothing happens.
    #[must_use]
    pub fn new(label: impl Into<String>) -> Self {
        Self {
            label: label.into(),
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests;
