//! An axis: from values to places, with as many labels as fit beside each other.

use crate::scene::{Rect, Scene, Text};
use crate::style::Color;
use crate::text::{Fonts, Weight};
use crate::ticks::{
    LogDensity, linear_ticks, log_minor_ticks, log_range, log_ticks, nines, nines_ticks,
    snap_outwards,
};
use crate::unit::Unit;

/// Size of tick labels; still legible when the picture is shown at two thirds of its width.
pub(crate) const TICK_SIZE: f64 = 15.0;
/// Distance of labels from the axis.
const LABEL_GAP: f64 = 10.0;
/// Height of the row of labels under an axis.
pub(crate) const X_LABELS_HEIGHT: f64 = TICK_SIZE + LABEL_GAP;

/// Values beyond this are drawn at the end of their axis: ticks up to the greatest float would
/// overflow.
const EXTREME: f64 = 1e200;

/// How values become places.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mapping {
    Linear,
    Log,
    Nines,
}

impl Mapping {
    fn apply(self, value: f64) -> f64 {
        match self {
            Self::Linear => value,
            Self::Log => value.log10(),
            Self::Nines => nines(value),
        }
    }
}

/// The room that an axis has for its labels.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Room {
    /// So many points from left to right.
    Across(f64),
    /// So many points from bottom to top.
    Up(f64),
}

impl Room {
    /// The number of parts to try first; more would look crowded even if the labels fit.
    fn most_parts(self) -> usize {
        let (length, least) = match self {
            Self::Across(length) => (length, 55.0),
            Self::Up(length) => (length, 30.0),
        };
        ((length / least) as usize).clamp(1, 9)
    }
}

/// A place on an axis with its label.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tick {
    pub value: f64,
    pub label: String,
}

/// An axis from `low` to `high`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Axis {
    mapping: Mapping,
    pub low: f64,
    pub high: f64,
    pub ticks: Vec<Tick>,
    minors: Vec<f64>,
}

impl Axis {
    /// A linear axis whose ends are moved out to whole steps.
    pub(crate) fn linear(fonts: &Fonts, room: Room, range: (f64, f64), unit: Unit) -> Self {
        Self::fit_linear(fonts, room, range, unit, snap_outwards)
    }

    /// A linear axis with these very ends.
    pub(crate) fn linear_exact(fonts: &Fonts, room: Room, range: (f64, f64), unit: Unit) -> Self {
        Self::fit_linear(fonts, room, range, unit, |low, high, _| (low, high))
    }

    /// An axis of whole numbers with these very ends, e.g. of ranks.
    pub(crate) fn whole(fonts: &Fonts, room: Room, range: (f64, f64)) -> Self {
        let mut axis = Self::linear_exact(fonts, room, range, Unit::Count);
        if range.1 - range.0 <= 10.0 {
            let all = (range.0.ceil() as i64)..=(range.1.floor() as i64);
            axis.ticks = all
                .map(|value| Tick {
                    value: value as f64,
                    label: String::new(),
                })
                .collect();
        }
        axis.ticks.retain(|tick| tick.value.fract() == 0.0);
        for tick in &mut axis.ticks {
            tick.label = format!("{:.0}", tick.value);
        }
        axis
    }

    fn fit_linear(
        fonts: &Fonts,
        room: Room,
        (low, high): (f64, f64),
        unit: Unit,
        ends: fn(f64, f64, usize) -> (f64, f64),
    ) -> Self {
        let (low, high) = (low.max(-EXTREME), high.min(EXTREME));
        let high = if high > low { high } else { low + 1.0 };
        let build = |parts: usize| {
            let (low, high) = ends(low, high, parts);
            let ticks = linear_ticks(low, high, parts);
            let largest = low.abs().max(high.abs());
            let format = unit.axis_format(largest, ticks.step);
            let labelled = ticks.values.iter().map(|value| Tick {
                value: *value,
                label: format.write(*value),
            });
            Self {
                mapping: Mapping::Linear,
                low,
                high,
                ticks: labelled.collect(),
                minors: Vec::new(),
            }
        };
        (2..=room.most_parts().max(2))
            .rev()
            .map(build)
            .find(|axis| axis.labels_fit(fonts, room))
            .unwrap_or_else(|| build(1))
    }

    /// A logarithmic axis around positive values. With `has_zeros` the lowest label says that
    /// lower values are drawn there too.
    pub(crate) fn log(
        fonts: &Fonts,
        room: Room,
        range: (f64, f64),
        unit: Unit,
        has_zeros: bool,
    ) -> Self {
        let (mut low, high) = log_range(range.0.max(1.0 / EXTREME), range.1.min(EXTREME));
        if has_zeros {
            // A whole power of ten is labelled at every density.
            low = 10f64.powi((low.log10() - 1e-9).floor() as i32);
        }
        let build = |density| {
            let mut ticks: Vec<Tick> = log_ticks(low, high, density)
                .into_iter()
                .map(|value| Tick {
                    value,
                    label: unit.format(value),
                })
                .collect();
            if has_zeros && let Some(first) = ticks.first_mut() {
                first.label.insert_str(0, "≤ ");
            }
            Self {
                mapping: Mapping::Log,
                low,
                high,
                ticks,
                minors: log_minor_ticks(low, high),
            }
        };
        let coarser = (1..40).map(LogDensity::Decades);
        std::iter::once(LogDensity::OneTwoFive)
            .filter(|_| high / low <= 1001.0)
            .chain(coarser)
            .map(build)
            .find(|axis| axis.labels_fit(fonts, room))
            .unwrap_or_else(|| build(LogDensity::Decades(40)))
    }

    /// An axis of quantiles, stretched towards 1 so that each further nine takes the same room.
    pub(crate) fn nines(fonts: &Fonts, room: Room, low: f64, high: f64) -> Self {
        let build = |every: usize| Self {
            mapping: Mapping::Nines,
            low,
            high,
            ticks: nines_ticks(low, high)
                .into_iter()
                .step_by(every)
                .map(|(value, label)| Tick { value, label })
                .collect(),
            minors: Vec::new(),
        };
        (1..8)
            .map(build)
            .find(|axis| axis.labels_fit(fonts, room))
            .unwrap_or_else(|| build(8))
    }

    /// Whether no two labels touch.
    fn labels_fit(&self, fonts: &Fonts, room: Room) -> bool {
        let mut free_from = f64::NEG_INFINITY;
        self.ticks.iter().all(|tick| {
            let (place, half, gap) = match room {
                Room::Across(length) => {
                    let width = fonts.width(&tick.label, TICK_SIZE, Weight::Regular);
                    (self.fraction(tick.value) * length, width / 2.0, 14.0)
                }
                Room::Up(length) => (self.fraction(tick.value) * length, TICK_SIZE / 2.0, 6.0),
            };
            let fits = place - half >= free_from;
            free_from = place + half + gap;
            fits
        })
    }

    /// Where a value is, from 0 at the low end to 1 at the high end; values beyond stay there.
    pub(crate) fn fraction(&self, value: f64) -> f64 {
        let value = value.clamp(self.low, self.high);
        let (low, high) = (self.mapping.apply(self.low), self.mapping.apply(self.high));
        if high > low {
            (self.mapping.apply(value) - low) / (high - low)
        } else {
            0.5
        }
    }

    /// The x of a value when the axis runs along the bottom of `area`.
    pub(crate) fn x(&self, area: &Rect, value: f64) -> f64 {
        area.left + self.fraction(value) * area.width()
    }

    /// The y of a value when the axis runs up the left side of `area`.
    pub(crate) fn y(&self, area: &Rect, value: f64) -> f64 {
        area.bottom - self.fraction(value) * area.height()
    }

    /// Width of the column of labels left of the axis, with its gap.
    pub(crate) fn labels_width(&self, fonts: &Fonts) -> f64 {
        let widest = self
            .ticks
            .iter()
            .map(|tick| fonts.width(&tick.label, TICK_SIZE, Weight::Regular))
            .fold(0.0, f64::max);
        widest + LABEL_GAP
    }

    /// Level grid lines.
    pub(crate) fn draw_level_grid(&self, scene: &mut Scene, area: &Rect) {
        for (value, color) in self.grid() {
            scene.level(self.y(area, value), area.left, area.right, 1.0, color);
        }
    }

    /// Upright grid lines.
    pub(crate) fn draw_upright_grid(&self, scene: &mut Scene, area: &Rect) {
        for (value, color) in self.grid() {
            scene.upright(self.x(area, value), area.top, area.bottom, 1.0, color);
        }
    }

    /// Values with a grid line; those with labels come last, over the others.
    fn grid(&self) -> Vec<(f64, Color)> {
        let minor = self.minors.iter().map(|v| (*v, Color::GRID_MINOR));
        let major = self.ticks.iter().map(|tick| (tick.value, Color::GRID));
        minor.chain(major).collect()
    }

    /// Labels left of `area`.
    pub(crate) fn draw_y_labels(&self, scene: &mut Scene, area: &Rect) {
        for tick in &self.ticks {
            let at = (area.left - LABEL_GAP, self.y(area, tick.value));
            scene.text(
                Text::new(&tick.label, at, TICK_SIZE)
                    .right()
                    .color(Color::MUTED),
            );
        }
    }

    /// Labels under `area`, with a small mark on the axis for each.
    pub(crate) fn draw_x_labels(&self, scene: &mut Scene, area: &Rect) {
        for tick in &self.ticks {
            let x = self.x(area, tick.value);
            scene.upright(x, area.bottom, area.bottom + 5.0, 1.0, Color::AXIS);
            let at = (x, area.bottom + LABEL_GAP);
            let label = Text::new(&tick.label, at, TICK_SIZE).top().centered();
            scene.text(label.color(Color::MUTED));
        }
    }
}

/// Both axes of an area: grid, baseline and labels.
pub(crate) fn draw_axes(scene: &mut Scene, area: &Rect, x: &Axis, y: &Axis) {
    y.draw_level_grid(scene, area);
    x.draw_upright_grid(scene, area);
    draw_baseline(scene, area);
    y.draw_y_labels(scene, area);
    x.draw_x_labels(scene, area);
}

/// The line along the bottom of `area`.
pub(crate) fn draw_baseline(scene: &mut Scene, area: &Rect) {
    scene.level(area.bottom, area.left, area.right, 1.0, Color::AXIS);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|tick| tick.label.as_str()).collect()
    }

    #[test]
    fn a_linear_axis_has_fewer_labels_where_there_is_less_room() {
        let fonts = Fonts::load().unwrap();
        let wide = Axis::linear(&fonts, Room::Up(400.0), (0.0, 2e6), Unit::Nanoseconds);
        assert_eq!(labels(&wide), ["0", "0.5 ms", "1.0 ms", "1.5 ms", "2.0 ms"]);
        let narrow = Axis::linear(&fonts, Room::Up(110.0), (0.0, 2e6), Unit::Nanoseconds);
        assert_eq!(labels(&narrow), ["0", "1 ms", "2 ms"]);
    }

    #[test]
    fn a_log_axis_drops_labels_before_they_touch() {
        let fonts = Fonts::load().unwrap();
        let axis = |room, high| Axis::log(&fonts, room, (1e3, high), Unit::Nanoseconds, false);
        assert_eq!(
            labels(&axis(Room::Up(400.0), 1e5)),
            ["1 µs", "2 µs", "5 µs", "10 µs", "20 µs", "50 µs", "100 µs"]
        );
        assert_eq!(
            labels(&axis(Room::Up(100.0), 1e5)),
            ["1 µs", "10 µs", "100 µs"]
        );
        assert_eq!(
            labels(&axis(Room::Up(100.0), 1e9)),
            ["1 µs", "100 µs", "10 ms", "1 s"]
        );
    }

    #[test]
    fn zeros_stand_at_the_lowest_label_of_a_log_axis_which_says_so() {
        let fonts = Fonts::load().unwrap();
        let axis = Axis::log(&fonts, Room::Up(300.0), (3e3, 8e5), Unit::Nanoseconds, true);
        assert_eq!(labels(&axis)[0], "≤ 1 µs");
        assert_eq!(axis.fraction(0.0), 0.0);
        assert!(axis.fraction(3e3) > 0.0);
    }

    #[test]
    fn values_are_placed_between_the_ends_and_never_beyond() {
        let fonts = Fonts::load().unwrap();
        let axis = Axis::linear(&fonts, Room::Across(500.0), (0.0, 10.0), Unit::Count);
        let area = Rect::new(100.0, 0.0, 600.0, 50.0);
        assert_eq!(axis.x(&area, 0.0), 100.0);
        assert_eq!(axis.x(&area, 5.0), 350.0);
        assert_eq!(axis.x(&area, 99.0), 600.0);
        assert_eq!(axis.y(&area, 10.0), 0.0);
    }

    #[test]
    fn an_axis_of_one_value_has_a_place_for_it() {
        let fonts = Fonts::load().unwrap();
        let axis = Axis::linear_exact(&fonts, Room::Across(500.0), (3.0, 3.0), Unit::Seconds);
        assert!(axis.fraction(3.0).is_finite());
        assert!(!axis.ticks.is_empty());
    }

    #[test]
    fn the_most_extreme_numbers_have_an_axis_with_few_ticks() {
        let fonts = Fonts::load().unwrap();
        let room = Room::Across(900.0);
        let linear = Axis::linear(&fonts, room, (f64::MIN, f64::MAX), Unit::Count);
        assert!((1..20).contains(&linear.ticks.len()));
        assert_eq!(linear.fraction(f64::MAX), 1.0);
        let log = Axis::log(&fonts, room, (5e-324, f64::MAX), Unit::Nanoseconds, true);
        assert!((1..20).contains(&log.ticks.len()), "{:?}", labels(&log));
        let apart = Axis::linear_exact(&fonts, room, (1e18, 1e18 + 1024.0), Unit::Count);
        assert!(apart.ticks.len() < 20);
    }

    #[test]
    fn ranks_are_labelled_with_whole_numbers_only() {
        let fonts = Fonts::load().unwrap();
        let axis = Axis::whole(&fonts, Room::Across(600.0), (0.5, 3.5));
        assert_eq!(labels(&axis), ["1", "2", "3"]);
    }
}
