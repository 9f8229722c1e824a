//! Values over time: panels below each other that share the time axis.

use crate::axis::{Axis, Room, TICK_SIZE, X_LABELS_HEIGHT, draw_baseline};
use crate::chart::Paint;
use crate::data::{Interval, check_finite, check_interval, extent};
use crate::error::PlotError;
use crate::flags::{EVENT_ROW, EVENT_ROWS, Flags};
use crate::frame::Frame;
use crate::grid::{PANEL_TITLE_HEIGHT, axis_title, draw_panel_title};
use crate::lines::{LinePoint, draw_series};
use crate::page::{LegendEntry, PAGE_MARGIN, Swatch, draw_no_data};
use crate::scene::{Rect, Scene, Text};
use crate::style::{Color, SeriesStyle};
use crate::text::{Fonts, NO_BREAK, Weight, wrap};
use crate::unit::Unit;

const PANEL_GAP: f64 = 24.0;
const LEAST_PANEL: f64 = 120.0;
/// Least and greatest room for the labels of limits right of the panels.
const LIMIT_LABELS: (f64, f64) = (118.0, 220.0);
const LIMIT_GAP: f64 = 12.0;

/// Lines over time in one or more panels.
#[derive(Clone, Debug, PartialEq)]
pub struct Timeline {
    /// What is around the chart.
    pub frame: Frame,
    /// What the time counts from, e.g. `time since the start of the load`.
    pub x_title: String,
    /// The panels, from top to bottom.
    pub panels: Vec<TimelinePanel>,
    /// Moments marked in all panels.
    pub events: Vec<EventMarker>,
}

/// A panel of [`Timeline`]: series of one unit.
#[derive(Clone, Debug, PartialEq)]
pub struct TimelinePanel {
    /// What is shown, e.g. `throughput`.
    pub title: String,
    /// Unit of the values.
    pub unit: Unit,
    /// Whether the values are on a logarithmic axis; those that are not positive stand at its foot.
    pub log: bool,
    /// The series. Those of the same name in other panels share one entry in the legend.
    pub series: Vec<TimelineSeries>,
    /// Values marked by a level line.
    pub limits: Vec<LimitLine>,
}

/// A line of a [`TimelinePanel`].
#[derive(Clone, Debug, PartialEq)]
pub struct TimelineSeries {
    /// Name in the legend.
    pub name: String,
    /// Colour and marker.
    pub style: SeriesStyle,
    /// The points, in any order.
    pub points: Vec<TimelinePoint>,
}

/// A value at a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TimelinePoint {
    /// Time in seconds.
    pub time_s: f64,
    /// The value.
    pub value: f64,
    /// Its range over the repetitions, if there were several.
    pub band: Option<Interval>,
}

/// A level line, e.g. the configured number of slots. One far above the data is named at the top
/// of its panel instead of pressing the data flat.
#[derive(Clone, Debug, PartialEq)]
pub struct LimitLine {
    /// Where it is, in the unit of the panel.
    pub value: f64,
    /// What it is.
    pub label: String,
}

/// A moment, e.g. `graceful restart`.
#[derive(Clone, Debug, PartialEq)]
pub struct EventMarker {
    /// Time in seconds.
    pub time_s: f64,
    /// What happened.
    pub label: String,
}

impl TimelinePanel {
    /// All values, with the ends of their bands.
    fn values(&self) -> impl Iterator<Item = f64> {
        let points = self.series.iter().flat_map(|series| &series.points);
        points.flat_map(|point| {
            let ends = point.band.map_or([point.value; 2], |b| [b.low, b.high]);
            [point.value, ends[0], ends[1]]
        })
    }

    fn axis(&self, fonts: &Fonts, height: f64) -> Axis {
        let room = Room::Up(height);
        if self.log {
            let range = extent(self.values().filter(|value| *value > 0.0));
            let has_zeros = self.values().any(|value| value <= 0.0);
            return Axis::log(
                fonts,
                room,
                range.unwrap_or((1.0, 10.0)),
                self.unit,
                has_zeros,
            );
        }
        Axis::linear(fonts, room, self.range(), self.unit)
    }

    /// The range of the axis: zero, the data, and the limits that are near the data.
    fn range(&self) -> (f64, f64) {
        let (low, high) = extent(self.values()).unwrap_or((0.0, 0.0));
        let (low, mut high) = (low.min(0.0), high.max(0.0));
        let reach = if high > 0.0 {
            3.0 * high
        } else {
            f64::INFINITY
        };
        for limit in &self.limits {
            if limit.value <= reach {
                high = high.max(limit.value);
            }
        }
        let lowest = self.limits.iter().map(|l| l.value).fold(low, f64::min);
        (lowest, high)
    }
}

impl Timeline {
    fn time_range(&self) -> (f64, f64) {
        let points = self.panels.iter().flat_map(|panel| &panel.series);
        let times = points.flat_map(|series| series.points.iter().map(|point| point.time_s));
        let events = self.events.iter().map(|event| event.time_s);
        let (low, high) = extent(times.chain(events)).unwrap_or((0.0, 1.0));
        // An axis from zero, unless that would leave much of it bare.
        let low = if low > 0.0 && low < 0.3 * high {
            0.0
        } else {
            low
        };
        (low, high)
    }

    /// Room right of the panels, where the labels of limits stand.
    fn right_margin(&self, fonts: &Fonts) -> f64 {
        let limits = self.panels.iter().flat_map(|panel| &panel.limits);
        let words = limits.flat_map(|limit| limit.label.split_whitespace());
        let (least, most) = LIMIT_LABELS;
        let widest = words
            .map(|word| fonts.width(word, TICK_SIZE, Weight::Regular) + LIMIT_GAP + 2.0)
            .reduce(f64::max);
        widest.map_or(26.0, |widest| widest.clamp(least, most))
    }
}

impl Paint for Timeline {
    fn frame(&self) -> &Frame {
        &self.frame
    }

    fn check(&self) -> Result<(), PlotError> {
        for panel in &self.panels {
            for series in &panel.series {
                for point in &series.points {
                    check_finite(&series.name, "time", point.time_s)?;
                    check_finite(&series.name, "value", point.value)?;
                    if let Some(band) = point.band {
                        check_interval(&series.name, band, check_finite)?;
                    }
                }
            }
            for limit in &panel.limits {
                check_finite(&limit.label, "limit", limit.value)?;
            }
        }
        for event in &self.events {
            check_finite(&event.label, "time of the event", event.time_s)?;
        }
        Ok(())
    }

    fn is_empty(&self) -> bool {
        let mut series = self.panels.iter().flat_map(|panel| &panel.series);
        series.all(|series| series.points.is_empty())
    }

    fn legend(&self) -> Vec<LegendEntry> {
        let mut entries: Vec<LegendEntry> = Vec::new();
        for series in self.panels.iter().flat_map(|panel| &panel.series) {
            if entries.iter().all(|entry| entry.name != series.name) {
                let name = series.name.clone();
                entries.push(LegendEntry::new(name, series.style, Swatch::Line));
            }
        }
        entries
    }

    fn least_height(&self, _fonts: &Fonts, _width: f64) -> f64 {
        let events = self.events.len().min(EVENT_ROWS) as f64 * EVENT_ROW;
        let panel = LEAST_PANEL + PANEL_TITLE_HEIGHT + PANEL_GAP;
        events + self.panels.len() as f64 * panel + X_LABELS_HEIGHT + 30.0
    }

    fn paint(&self, scene: &mut Scene, body: &Rect) {
        let count = self.panels.len().max(1) as f64;
        let right = body.right - self.right_margin(&scene.fonts);
        let bottom = body.bottom - X_LABELS_HEIGHT - 30.0;
        // The labels of the y axes depend on the height that event labels leave, and the room
        // for these on the width of the axes' labels: the axes come first, without events.
        let pitch = (bottom - body.top + PANEL_GAP) / count;
        let plot_height = pitch - PANEL_GAP - PANEL_TITLE_HEIGHT;
        let axes = |scene: &Scene, height: f64| -> Vec<Axis> {
            let panels = self.panels.iter();
            panels
                .map(|panel| panel.axis(&scene.fonts, height))
                .collect()
        };
        let drafts = axes(scene, plot_height);
        let labels = drafts.iter().map(|axis| axis.labels_width(&scene.fonts));
        let left = body.left + labels.fold(0.0, f64::max) + 8.0;
        let across = Room::Across(right - left);
        let x = Axis::linear_exact(&scene.fonts, across, self.time_range(), Unit::Seconds);
        let flags = Flags::place(scene, &self.events, &x, (left, right));

        let plot_height = plot_height - flags.height() / count;
        let mut panel_top = body.top;
        let mut last = Rect::new(left, body.top, right, bottom);
        for (i, (panel, y)) in self
            .panels
            .iter()
            .zip(&axes(scene, plot_height))
            .enumerate()
        {
            let title = Rect::new(body.left, panel_top, right, panel_top + PANEL_TITLE_HEIGHT);
            draw_panel_title(scene, &title, &panel.title);
            let area_top = title.bottom + if i == 0 { flags.height() } else { 0.0 };
            let area = Rect::new(left, area_top, right, area_top + plot_height);
            if panel.values().next().is_some() {
                draw_panel(scene, &area, panel, (&x, y), &self.events);
            } else {
                draw_no_data(scene, &area, "", TICK_SIZE);
            }
            if i == 0 {
                flags.draw(scene, area.top);
            }
            panel_top = area.bottom + PANEL_GAP;
            last = area;
        }
        draw_baseline(scene, &last);
        x.draw_x_labels(scene, &last);
        let mut title = self.x_title.clone();
        if flags.left_out > 0 {
            let left_out = format!(" · labels left out for want of room: {}", flags.left_out);
            title.push_str(&left_out);
        }
        let under = (last.center().0, last.bottom + X_LABELS_HEIGHT + 6.0);
        scene.text(axis_title(&title, under).centered());
    }
}

fn draw_panel(
    scene: &mut Scene,
    area: &Rect,
    panel: &TimelinePanel,
    (x, y): (&Axis, &Axis),
    events: &[EventMarker],
) {
    y.draw_level_grid(scene, area);
    x.draw_upright_grid(scene, area);
    y.draw_y_labels(scene, area);
    let foot = if panel.log { y.low } else { 0.0 };
    scene.level(y.y(area, foot), area.left, area.right, 1.0, Color::AXIS);
    for event in events {
        scene.upright_dashes(x.x(area, event.time_s), area.top, area.bottom, Color::AXIS);
    }
    let lines: Vec<(SeriesStyle, Vec<LinePoint>)> = panel
        .series
        .iter()
        .map(|series| {
            let mut points = series.points.clone();
            points.sort_by(|a, b| a.time_s.total_cmp(&b.time_s));
            let place = |point: &TimelinePoint| LinePoint {
                at: (x.x(area, point.time_s), y.y(area, point.value)),
                band: point.band.map(|b| (y.y(area, b.high), y.y(area, b.low))),
            };
            (series.style, points.iter().map(place).collect())
        })
        .collect();
    draw_series(scene, &lines);
    draw_limits(scene, area, panel, y);
}

/// Draws the limits with their labels right of the panel, moved apart where they would touch.
fn draw_limits(scene: &mut Scene, area: &Rect, panel: &TimelinePanel, y: &Axis) {
    let mut limits: Vec<_> = panel.limits.iter().collect();
    limits.sort_by(|a, b| b.value.total_cmp(&a.value));
    let line_height = TICK_SIZE * 1.2;
    let mut free_from = area.top - TICK_SIZE;
    for limit in limits {
        let off_scale = limit.value > y.high;
        let value = panel.unit.format(limit.value).replace(' ', NO_BREAK);
        let label = if off_scale {
            format!("{} {value} ↑{NO_BREAK}off{NO_BREAK}scale", limit.label)
        } else {
            format!("{} {value}", limit.label)
        };
        let place = y.y(area, limit.value);
        if !off_scale {
            scene.level_dashes(place, area.left, area.right + 6.0, Color::INK);
        }
        let room = scene.width - PAGE_MARGIN - area.right - LIMIT_GAP;
        let lines = wrap(&label, room, 4, |t| scene.text_width(t, TICK_SIZE));
        let height = lines.len() as f64 * line_height;
        let top = (place - height / 2.0).max(free_from);
        for (i, line) in lines.iter().enumerate() {
            let at = (area.right + LIMIT_GAP, top + i as f64 * line_height);
            scene.text(Text::new(line, at, TICK_SIZE).top());
        }
        free_from = top + height + 4.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn panel(values: &[f64], limits: &[f64]) -> TimelinePanel {
        let point = |(i, value): (usize, &f64)| TimelinePoint {
            time_s: i as f64,
            value: *value,
            band: None,
        };
        TimelinePanel {
            title: String::new(),
            unit: Unit::Count,
            log: false,
            series: vec![TimelineSeries {
                name: "a".into(),
                style: SeriesStyle::new(0),
                points: values.iter().enumerate().map(point).collect(),
            }],
            limits: limits
                .iter()
                .map(|value| LimitLine {
                    value: *value,
                    label: "limit".into(),
                })
                .collect(),
        }
    }

    #[test]
    fn the_axis_starts_at_zero_and_reaches_near_limits_but_not_far_ones() {
        assert_eq!(panel(&[40.0, 50.0], &[]).range(), (0.0, 50.0));
        assert_eq!(panel(&[40.0, 50.0], &[100.0]).range(), (0.0, 100.0));
        assert_eq!(panel(&[40.0, 50.0], &[500.0]).range(), (0.0, 50.0));
        assert_eq!(panel(&[0.0], &[500.0]).range(), (0.0, 500.0));
        assert_eq!(panel(&[-3.0, 5.0], &[]).range(), (-3.0, 5.0));
    }

    #[test]
    fn a_logarithmic_axis_is_of_the_positive_values_and_says_what_stands_at_its_foot() {
        let fonts = Fonts::load().unwrap();
        let axis = |values: &[f64]| {
            let mut panel = panel(values, &[]);
            panel.log = true;
            panel.axis(&fonts, 300.0)
        };
        let whole = axis(&[0.002, 30.0]);
        assert!(whole.low <= 0.002 && whole.low > 0.0001 && whole.high >= 30.0);
        assert!(!whole.ticks[0].label.starts_with('≤'));
        assert!(axis(&[0.0, 0.002, 30.0]).ticks[0].label.starts_with('≤'));
        assert!(axis(&[0.0]).high.is_finite());
    }
}
