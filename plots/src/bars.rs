//! Grouped bars with intervals: medians of repetitions side by side, in one panel or several
//! with units of their own.

use crate::axis::{Axis, Room, TICK_SIZE, draw_baseline};
use crate::chart::Paint;
use crate::data::{Estimate, Series, check_finite, check_interval, check_not_negative, extent};
use crate::error::PlotError;
use crate::frame::Frame;
use crate::grid::{Grid, PANEL_TITLE_HEIGHT, draw_panel_title};
use crate::page::{LegendEntry, Swatch, draw_no_data};
use crate::scene::{Rect, Scene, Text};
use crate::style::{Color, SeriesStyle};
use crate::text::{Fonts, LINE_HEIGHT, Weight, shorten, wrap};
use crate::unit::Unit;

/// Least height of the bars' own area.
const LEAST_PLOT: f64 = 130.0;
const VALUE_SIZE: f64 = 13.5;
const VALUE_GAP: f64 = 6.0;
/// Longest label that runs upwards under its group.
const LONGEST_UPWARDS: f64 = 150.0;
/// Shares of a group's width.
const GROUP_FILL: f64 = 0.82;
const WIDEST_BAR: f64 = 72.0;

/// Bars in groups, one bar per series.
#[derive(Clone, Debug, PartialEq)]
pub struct Bars {
    /// What is around the chart. The picture grows in height with the rows of panels.
    pub frame: Frame,
    /// What the bars of a group stand for, from left to right.
    pub series: Vec<Series>,
    /// The panels; several stand beside and below each other.
    pub panels: Vec<BarPanel>,
}

/// A panel of [`Bars`].
#[derive(Clone, Debug, PartialEq)]
pub struct BarPanel {
    /// What the values are, e.g. `context switches per request`.
    pub title: String,
    /// Unit of the values.
    pub unit: Unit,
    /// Uses a logarithmic scale, on which the values are points: the length of a bar means
    /// nothing there. Values must not be negative, and zeros stand at the lowest label.
    pub log: bool,
    /// The groups from left to right.
    pub groups: Vec<BarGroup>,
}

/// A group of [`BarPanel`].
#[derive(Clone, Debug, PartialEq)]
pub struct BarGroup {
    /// What the group stands for; may be empty when it is the only one.
    pub label: String,
    /// One value per series, `None` where nothing was measured; its place shows a dash.
    pub values: Vec<Option<Estimate>>,
}

/// How the labels of groups are set.
#[derive(Clone, Debug, PartialEq)]
enum GroupLabels {
    /// Lines under each group.
    Level(Vec<Vec<String>>),
    /// One line under each group that runs upwards.
    Upwards(Vec<String>),
}

impl GroupLabels {
    fn new(fonts: &Fonts, groups: &[BarGroup], pitch: f64) -> Self {
        let width = |text: &str| fonts.width(text, TICK_SIZE, Weight::Regular);
        let fits = groups.iter().all(|group| {
            let mut words = group.label.split_whitespace();
            words.all(|word| width(word) <= pitch - 8.0)
        });
        if fits {
            let lines = |group: &BarGroup| wrap(&group.label, pitch - 8.0, 3, width);
            return Self::Level(groups.iter().map(lines).collect());
        }
        if pitch >= TICK_SIZE + 3.0 {
            let line = |group: &BarGroup| shorten(&group.label, LONGEST_UPWARDS, width);
            return Self::Upwards(groups.iter().map(line).collect());
        }
        // Not even upright lines fit beside each other: label every n-th group.
        let every = ((TICK_SIZE + 3.0) / pitch).ceil() as usize;
        let line = |(i, group): (usize, &BarGroup)| {
            if i % every == 0 {
                shorten(&group.label, LONGEST_UPWARDS, width)
            } else {
                String::new()
            }
        };
        Self::Upwards(groups.iter().enumerate().map(line).collect())
    }

    fn height(&self, fonts: &Fonts) -> f64 {
        let labels = match self {
            Self::Level(groups) => {
                let lines = groups.iter().map(Vec::len).max().unwrap_or(0);
                lines as f64 * TICK_SIZE * LINE_HEIGHT
            }
            Self::Upwards(lines) => lines
                .iter()
                .map(|line| fonts.width(line, TICK_SIZE, Weight::Regular))
                .fold(0.0, f64::max),
        };
        labels + 12.0
    }

    fn draw(&self, scene: &mut Scene, index: usize, x: f64, top: f64) {
        match self {
            Self::Level(groups) => {
                for (i, line) in groups[index].iter().enumerate() {
                    let at = (x, top + i as f64 * TICK_SIZE * LINE_HEIGHT);
                    scene.text(Text::new(line, at, TICK_SIZE).top().centered());
                }
            }
            Self::Upwards(lines) => {
                let text = Text::new(&lines[index], (x, top), TICK_SIZE);
                scene.text(text.right().upwards());
            }
        }
    }
}

impl BarPanel {
    fn estimates(&self) -> impl Iterator<Item = Estimate> {
        self.groups
            .iter()
            .flat_map(|group| group.values.iter().copied().flatten())
    }

    fn values(&self) -> impl Iterator<Item = f64> {
        self.estimates()
            .flat_map(|e| [e.value, e.interval.low, e.interval.high])
    }

    fn axis(&self, fonts: &Fonts, height: f64, headroom: f64) -> Axis {
        let room = Room::Up(height);
        let share = (headroom / height).min(0.5);
        if self.log {
            let (low, high) = extent(self.values().filter(|v| *v > 0.0)).unwrap_or((1.0, 10.0));
            let high = high * (high / low).max(10.0).powf(share / (1.0 - share));
            let has_zeros = self.values().any(|value| value == 0.0);
            return Axis::log(fonts, room, (low, high), self.unit, has_zeros);
        }
        let (low, high) = extent(self.values()).unwrap_or((0.0, 1.0));
        let (low, high) = (low.min(0.0), high.max(0.0));
        let grown = (high - low) / (1.0 - share);
        let high = if high > 0.0 { low + grown } else { high };
        let low = if low < 0.0 {
            high - grown / (1.0 - share)
        } else {
            low
        };
        Axis::linear(fonts, room, (low, high), self.unit)
    }
}

/// How values are written at their bars.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ValueLabels {
    Level,
    Upwards,
    None,
}

impl Bars {
    /// The least width at which a panel's bars can be told apart.
    fn least_panel_width(&self) -> f64 {
        let groups = self.panels.iter().map(|panel| panel.groups.len()).max();
        let group = (self.series.len() as f64 * 22.0 + 8.0).max(40.0);
        70.0 + groups.unwrap_or(1) as f64 * group
    }

    fn draw_panel(&self, scene: &mut Scene, cell: &Rect, panel: &BarPanel) {
        draw_panel_title(scene, cell, &panel.title);
        let top = cell.top + PANEL_TITLE_HEIGHT;
        if panel.estimates().next().is_none() {
            let area = Rect::new(cell.left, top, cell.right, cell.bottom);
            draw_no_data(scene, &area, "", TICK_SIZE);
            return;
        }
        // The width of the y labels depends on the axis, the axis on the height that the group
        // labels leave, and these on the width: a first axis settles the widths.
        let count = panel.groups.len().max(1) as f64;
        let series = self.series.len().max(1) as f64;
        let draft = panel.axis(
            &scene.fonts,
            cell.height() - PANEL_TITLE_HEIGHT - 40.0,
            20.0,
        );
        let left = cell.left + draft.labels_width(&scene.fonts) + 6.0;
        let pitch = (cell.right - left) / count;
        let slot = (GROUP_FILL * pitch / series).min(WIDEST_BAR);
        let labels = GroupLabels::new(&scene.fonts, &panel.groups, pitch);
        let (value_labels, headroom) = value_labels(scene, panel, slot);
        let bottom = cell.bottom - labels.height(&scene.fonts);
        let area = Rect::new(left, top, cell.right, bottom);
        let y = panel.axis(&scene.fonts, area.height(), headroom);

        y.draw_level_grid(scene, &area);
        y.draw_y_labels(scene, &area);
        for (i, group) in panel.groups.iter().enumerate() {
            let middle = area.left + (i as f64 + 0.5) * pitch;
            labels.draw(scene, i, middle, area.bottom + 8.0);
            let first = middle - slot * (series - 1.0) / 2.0;
            for (j, (series, value)) in self.series.iter().zip(&group.values).enumerate() {
                let x = first + j as f64 * slot;
                match value {
                    Some(value) => {
                        draw_value(scene, &area, (x, slot), value, series.style, panel, &y);
                        draw_value_label(scene, &area, x, value, panel, &y, value_labels);
                    }
                    None if slot >= 16.0 => {
                        let at = (x, area.bottom - VALUE_GAP);
                        let text = Text::new("–", at, TICK_SIZE).centered().bottom();
                        scene.text(text.color(Color::MUTED));
                    }
                    None => {}
                }
            }
        }
        if panel.log {
            draw_baseline(scene, &area);
        } else {
            scene.level(y.y(&area, 0.0), area.left, area.right, 1.0, Color::AXIS);
        }
    }
}

/// How the values of a panel can be written, and the room they take above the bars.
fn value_labels(scene: &Scene, panel: &BarPanel, slot: f64) -> (ValueLabels, f64) {
    let widths = panel
        .estimates()
        .map(|e| scene.text_width(&panel.unit.format(e.value), VALUE_SIZE));
    let widest = widths.fold(0.0, f64::max);
    if widest + 4.0 <= slot {
        (ValueLabels::Level, VALUE_SIZE + 2.0 * VALUE_GAP)
    } else if slot >= VALUE_SIZE + 1.0 {
        (ValueLabels::Upwards, widest + 2.0 * VALUE_GAP)
    } else {
        (ValueLabels::None, 4.0)
    }
}

fn draw_value(
    scene: &mut Scene,
    area: &Rect,
    (x, slot): (f64, f64),
    estimate: &Estimate,
    style: SeriesStyle,
    panel: &BarPanel,
    y: &Axis,
) {
    let cap = (0.22 * slot).min(8.0);
    let ends = (
        y.y(area, estimate.interval.low),
        y.y(area, estimate.interval.high),
    );
    let place = y.y(area, estimate.value);
    if panel.log {
        // Caps wider than the marker show the ends of an interval that the marker hides.
        let radius = (0.3 * slot).clamp(2.0, 5.5);
        scene.bare_marker(style.marker, (x, place), radius, style.color);
        scene.whisker(x, ends, radius + 4.0, style.color);
        return;
    }
    let zero = y.y(area, 0.0);
    let half = if slot > 8.0 {
        (slot - 3.0) / 2.0
    } else {
        0.46 * slot
    };
    let bar = Rect::new(x - half, place.min(zero), x + half, place.max(zero));
    scene.fill(bar, style.color);
    if ends.0 != ends.1 {
        scene.whisker(x, ends, cap, Color::INK);
    }
}

fn draw_value_label(
    scene: &mut Scene,
    area: &Rect,
    x: f64,
    estimate: &Estimate,
    panel: &BarPanel,
    y: &Axis,
    labels: ValueLabels,
) {
    let value = panel.unit.format(estimate.value);
    let below = estimate.value < 0.0;
    let marker = if panel.log { VALUE_GAP } else { 0.0 };
    let at = if below {
        y.y(area, estimate.interval.low.min(estimate.value)) + VALUE_GAP
    } else {
        y.y(area, estimate.interval.high.max(estimate.value)) - VALUE_GAP - marker
    };
    let text = Text::new(value, (x, at), VALUE_SIZE);
    match (labels, below) {
        (ValueLabels::Level, true) => scene.text(text.centered().top()),
        (ValueLabels::Level, false) => scene.text(text.centered().bottom()),
        (ValueLabels::Upwards, true) => scene.text(text.right().upwards()),
        (ValueLabels::Upwards, false) => scene.text(text.upwards()),
        (ValueLabels::None, _) => {}
    }
}

impl Paint for Bars {
    fn frame(&self) -> &Frame {
        &self.frame
    }

    fn check(&self) -> Result<(), PlotError> {
        for panel in &self.panels {
            let check = if panel.log {
                check_not_negative
            } else {
                check_finite
            };
            for group in &panel.groups {
                if group.values.len() != self.series.len() {
                    return Err(PlotError::Length {
                        row: format!("{} {}", panel.title, group.label).trim().into(),
                        found: group.values.len(),
                        expected: self.series.len(),
                    });
                }
                for (series, value) in self.series.iter().zip(&group.values) {
                    if let Some(estimate) = value {
                        check(&series.name, "value", estimate.value)?;
                        check_interval(&series.name, estimate.interval, check)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn is_empty(&self) -> bool {
        self.panels
            .iter()
            .all(|panel| panel.estimates().next().is_none())
    }

    fn legend(&self) -> Vec<LegendEntry> {
        let points = self.panels.iter().all(|panel| panel.log);
        let swatch = if points { Swatch::Line } else { Swatch::Box };
        self.series
            .iter()
            .map(|series| LegendEntry::new(&series.name, series.style, swatch))
            .collect()
    }

    fn least_height(&self, fonts: &Fonts, width: f64) -> f64 {
        let grid = Grid::new(self.panels.len(), width, self.least_panel_width());
        let cell = grid.cell(&Rect::new(0.0, 0.0, width, 0.0), 0).width();
        let labels = self.panels.iter().map(|panel| {
            let pitch = (cell - 80.0) / panel.groups.len().max(1) as f64;
            GroupLabels::new(fonts, &panel.groups, pitch).height(fonts)
        });
        grid.height_for(PANEL_TITLE_HEIGHT + LEAST_PLOT + labels.fold(0.0, f64::max))
    }

    fn paint(&self, scene: &mut Scene, body: &Rect) {
        let grid = Grid::new(self.panels.len(), body.width(), self.least_panel_width());
        for (i, panel) in self.panels.iter().enumerate() {
            self.draw_panel(scene, &grid.cell(body, i), panel);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups(labels: &[&str]) -> Vec<BarGroup> {
        let group = |label: &&str| BarGroup {
            label: (*label).into(),
            values: vec![],
        };
        labels.iter().map(group).collect()
    }

    #[test]
    fn group_labels_turn_upwards_when_they_do_not_fit_and_then_thin_out() {
        let fonts = Fonts::load().unwrap();
        let groups = groups(&["keep-alive", "high load", "overload", "memory"]);
        assert!(matches!(
            GroupLabels::new(&fonts, &groups, 200.0),
            GroupLabels::Level(_)
        ));
        let GroupLabels::Upwards(lines) = GroupLabels::new(&fonts, &groups, 30.0) else {
            panic!("level labels in 30 points");
        };
        assert_eq!(lines[0], "keep-alive");
        let GroupLabels::Upwards(lines) = GroupLabels::new(&fonts, &groups, 10.0) else {
            panic!("level labels in 10 points");
        };
        assert_eq!(lines, ["keep-alive", "", "overload", ""]);
    }

    #[test]
    fn linear_bars_start_at_zero_and_leave_room_for_their_labels() {
        let fonts = Fonts::load().unwrap();
        let panel = BarPanel {
            title: String::new(),
            unit: Unit::Count,
            log: false,
            groups: vec![BarGroup {
                label: String::new(),
                values: vec![Some(Estimate::new(100.0, 90.0, 110.0)), None],
            }],
        };
        let axis = panel.axis(&fonts, 300.0, 30.0);
        assert_eq!(axis.low, 0.0);
        assert!(axis.high * 0.9 >= 110.0);
    }
}
