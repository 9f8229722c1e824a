//! Checks, legend and layout of the chart.

use super::draw::Canvas;
use super::links::Arrows;
use super::places::{GroupPlace, Sizes, arrange};
use super::window::Window;
use super::{Lane, LaneCounter, LaneGroup, Lanes, SLICE};
use crate::axis::{Axis, Room, TICK_SIZE, X_LABELS_HEIGHT, draw_baseline};
use crate::chart::Paint;
use crate::data::{Interval, Series, check_finite, check_interval, check_not_negative, extent};
use crate::error::PlotError;
use crate::frame::Frame;
use crate::grid::{axis_title, draw_panel_title};
use crate::page::{LegendEntry, Swatch, draw_no_data};
use crate::scene::{Rect, Scene, Text};
use crate::style::{Color, Marker, SeriesStyle};
use crate::text::{Fonts, Weight};

/// Share of the width that the labels of lanes may take.
const LABELS_SHARE: f64 = 0.24;
/// Room right of the lanes for half of the last label of the axis.
const RIGHT_MARGIN: f64 = 26.0;
const BELOW: f64 = X_LABELS_HEIGHT + 30.0;

impl Lanes {
    /// Width of the widest label.
    fn labels_width(&self, fonts: &Fonts) -> f64 {
        let lanes = self.lanes().map(|lane| lane.label.clone());
        let window = self.window();
        let counters = self
            .counters()
            .flat_map(|counter| [counter.name.clone(), counter.maximum_label(window)]);
        lanes
            .chain(counters)
            .map(|label| fonts.width(&label, TICK_SIZE, Weight::Regular))
            .fold(0.0, f64::max)
    }

    fn draw_group(&self, canvas: &mut Canvas<'_>, place: &GroupPlace, group: &LaneGroup) {
        let arrows = Arrows::place(group, &place.lanes, canvas.window, |time| canvas.x(time));
        draw_title(canvas.scene, &place.title, &group.title, &arrows.note());
        if group.is_empty() {
            draw_no_data(canvas.scene, &place.body, "", TICK_SIZE);
        } else {
            canvas.x.draw_upright_grid(canvas.scene, &place.body);
        }
        for place in &place.lanes {
            canvas.ground(place);
        }
        // Under the lanes: an arrow never hides a state or the label of a slice.
        arrows.draw(canvas.scene, &self.link_kinds);
        for (lane, place) in group.lanes.iter().zip(&place.lanes) {
            canvas.label(&lane.label, place);
            canvas.spans(lane, place, &self.categories);
            canvas.slices(lane, place);
            canvas.marks(lane, place, &self.mark_kinds);
        }
        if let (Some(counter), Some(place)) = (&group.counter, &place.counter) {
            canvas.counter(counter, place);
        }
    }
}

impl Lane {
    fn check(&self, chart: &Lanes) -> Result<(), PlotError> {
        for span in &self.spans {
            check_times(&self.label, span.from, span.to)?;
            check_index(
                &self.label,
                "category",
                span.category,
                chart.categories.len(),
            )?;
        }
        for slice in &self.slices {
            check_times(&self.label, slice.from, slice.to)?;
        }
        for mark in &self.marks {
            check_finite(&self.label, "time of a mark", mark.at)?;
            check_index(
                &self.label,
                "kind of mark",
                mark.kind,
                chart.mark_kinds.len(),
            )?;
        }
        Ok(())
    }
}

impl LaneCounter {
    pub(super) fn maximum_label(&self, window: Window) -> String {
        let values = window
            .steps(&self.points)
            .into_iter()
            .map(|(_, value)| value);
        extent(values).map_or("no data".into(), |(_, high)| {
            format!("max {}", self.unit.format(high))
        })
    }
}

impl Paint for Lanes {
    fn frame(&self) -> &Frame {
        &self.frame
    }

    fn check(&self) -> Result<(), PlotError> {
        if let Some(window) = self.window {
            check_interval("window", window, check_finite)?;
        }
        for group in &self.groups {
            for lane in &group.lanes {
                lane.check(self)?;
            }
            for link in &group.links {
                check_times(&group.title, link.from, link.to)?;
                check_index(
                    &group.title,
                    "kind of link",
                    link.kind,
                    self.link_kinds.len(),
                )?;
                for lane in [link.from_lane, link.to_lane] {
                    check_index(&group.title, "lane of a link", lane, group.lanes.len())?;
                }
            }
            if let Some(counter) = &group.counter {
                for (time, value) in &counter.points {
                    check_finite(&counter.name, "time", *time)?;
                    check_not_negative(&counter.name, "value", *value)?;
                }
            }
        }
        Ok(())
    }

    fn is_empty(&self) -> bool {
        self.times().next().is_none()
    }

    fn legend(&self) -> Vec<LegendEntry> {
        let window = self.window();
        let occurring = |kinds: &[Series], used: Vec<usize>, swatch: Swatch| {
            let entry = |(i, kind): (usize, &Series)| {
                used.contains(&i)
                    .then(|| LegendEntry::new(&kind.name, kind.style, swatch))
            };
            let entries: Vec<_> = kinds.iter().enumerate().filter_map(entry).collect();
            entries
        };
        let mut spans = vec![false; self.categories.len()];
        for span in self.lanes().flat_map(|lane| &lane.spans) {
            spans[span.category] |= window.shows(span.from, span.to);
        }
        let spans = (0..spans.len()).filter(|i| spans[*i]).collect();
        let mut entries = occurring(&self.categories, spans, Swatch::Box);
        let mut slices = self.lanes().flat_map(|lane| &lane.slices);
        if !self.slice_name.is_empty() && slices.any(|slice| window.shows(slice.from, slice.to)) {
            let style = SeriesStyle {
                color: SLICE,
                marker: Marker::Square,
            };
            entries.push(LegendEntry::new(&self.slice_name, style, Swatch::Outline));
        }
        let marks = self.lanes().flat_map(|lane| &lane.marks);
        let marks = marks.filter(|mark| window.shows(mark.at, mark.at));
        let marks = marks.map(|mark| mark.kind).collect();
        entries.extend(occurring(&self.mark_kinds, marks, Swatch::Mark));
        let links = self.links().filter(|link| window.shows(link.from, link.to));
        let links = links.map(|link| link.kind).collect();
        entries.extend(occurring(&self.link_kinds, links, Swatch::Arrow));
        entries
    }

    fn least_height(&self, _fonts: &Fonts, _width: f64) -> f64 {
        Sizes::least().height(&self.groups) + BELOW
    }

    fn paint(&self, scene: &mut Scene, body: &Rect) {
        let labels = self.labels_width(&scene.fonts);
        let labels = labels.min(LABELS_SHARE * body.width());
        // Whole points, so that columns of pixels are columns of the lanes.
        let left = (body.left + labels + 12.0).ceil();
        let right = (body.right - RIGHT_MARGIN).floor();
        let window = self.window();
        let room = Room::Across(right - left);
        let x = Axis::linear_exact(&scene.fonts, room, (window.low, window.high), self.unit);
        let sizes = Sizes::filling(&self.groups, body.height() - BELOW);
        let places = arrange(&self.groups, sizes, body, (left, right));
        let mut canvas = Canvas {
            scene,
            // An axis of one moment has been widened.
            window: Window {
                low: x.low,
                high: x.high,
            },
            x: &x,
            labels_left: body.left,
            left,
            right,
            pixel: 1.0 / f64::from(self.frame.scale),
        };
        for (group, place) in self.groups.iter().zip(&places) {
            self.draw_group(&mut canvas, place, group);
        }
        let bottom = places.last().map_or(body.top, |place| place.body.bottom);
        let area = Rect::new(left, body.top, right, bottom);
        draw_baseline(scene, &area);
        x.draw_x_labels(scene, &area);
        let under = (area.center().0, bottom + X_LABELS_HEIGHT + 6.0);
        scene.text(axis_title(&self.x_title, under).centered());
    }
}

/// Writes the title of a group and, at the right end of its line, a note.
fn draw_title(scene: &mut Scene, area: &Rect, title: &str, note: &str) {
    let mut room = *area;
    if !note.is_empty() {
        let at = (area.right, area.top);
        let text = Text::new(note, at, TICK_SIZE).top().right();
        scene.text(text.color(Color::MUTED));
        room.right -= scene.text_width(note, TICK_SIZE) + 16.0;
    }
    draw_panel_title(scene, &room, title);
}

fn check_times(series: &str, from: f64, to: f64) -> Result<(), PlotError> {
    let times = Interval {
        low: from,
        high: to,
    };
    check_interval(series, times, check_finite)
}

fn check_index(
    series: &str,
    what: &'static str,
    index: usize,
    count: usize,
) -> Result<(), PlotError> {
    if index < count {
        return Ok(());
    }
    Err(PlotError::Index {
        series: series.into(),
        what,
        index,
        count,
    })
}
