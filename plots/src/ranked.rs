//! How evenly work is spread: values sorted from the largest, one panel per series, one y axis.

use crate::axis::{Axis, Room, TICK_SIZE, X_LABELS_HEIGHT, draw_baseline};
use crate::chart::Paint;
use crate::data::{check_not_negative, extent};
use crate::error::PlotError;
use crate::frame::Frame;
use crate::grid::{Grid, PANEL_TITLE_HEIGHT, axis_title, draw_panel_title};
use crate::page::{LegendEntry, draw_no_data};
use crate::scene::{Rect, Scene, Text};
use crate::style::{Color, SeriesStyle};
use crate::text::{Fonts, LINE_HEIGHT, Weight, wrap};
use crate::unit::Unit;

const LEAST_PANEL: f64 = 240.0;
const NOTE_LINES: usize = 2;
const WIDEST_BAR: f64 = 60.0;

/// Sorted values, e.g. the accepts of each worker.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranked {
    /// What is around the chart. The picture grows in height with the rows of panels.
    pub frame: Frame,
    /// What is ranked, e.g. `workers by rank`. A remark on the line of the mean is added.
    pub x_title: String,
    /// What the values are, e.g. `accepts per worker`.
    pub y_title: String,
    /// Unit of the values.
    pub unit: Unit,
    /// The panels. All share the y axis.
    pub panels: Vec<RankedPanel>,
}

/// A panel of [`Ranked`].
#[derive(Clone, Debug, PartialEq)]
pub struct RankedPanel {
    /// Title of the panel.
    pub name: String,
    /// Colour of the bars.
    pub style: SeriesStyle,
    /// The values, in any order; not negative.
    pub values: Vec<f64>,
    /// How even they are, in words, e.g. `Gini 0.12 · max/mean 1.4`. May be empty.
    pub note: String,
}

impl Ranked {
    fn grid(&self, width: f64) -> Grid {
        Grid::new(self.panels.len(), width, 300.0)
    }

    fn draw_panel(
        &self,
        scene: &mut Scene,
        cell: &Rect,
        panel: &RankedPanel,
        (labels, y): (f64, &Axis),
        with_labels: bool,
    ) {
        let line_height = TICK_SIZE * LINE_HEIGHT;
        let area = self.area(&scene.fonts, cell, labels);
        draw_panel_title(scene, cell, &panel.name);
        let note = note_lines(&scene.fonts, panel, cell.width());
        for (i, line) in note.iter().enumerate() {
            let at = (
                cell.left,
                cell.top + PANEL_TITLE_HEIGHT - 2.0 + i as f64 * line_height,
            );
            scene.text(Text::new(line, at, TICK_SIZE).top().color(Color::MUTED));
        }
        if panel.values.is_empty() {
            draw_no_data(scene, &area, "", TICK_SIZE);
            return;
        }
        y.draw_level_grid(scene, &area);
        if with_labels {
            y.draw_y_labels(scene, &area);
        }
        self.draw_bars(scene, &area, panel, y);
        let count = panel.values.len() as f64;
        let room = Room::Across(area.width());
        let x = Axis::whole(&scene.fonts, room, (0.5, count + 0.5));
        draw_baseline(scene, &area);
        x.draw_x_labels(scene, &area);
    }

    /// The plot inside a panel's cell.
    fn area(&self, fonts: &Fonts, cell: &Rect, labels: f64) -> Rect {
        let lines = |panel| note_lines(fonts, panel, cell.width()).len();
        let note_lines = self.panels.iter().map(lines).max().unwrap_or(0) as f64;
        Rect::new(
            cell.left + labels,
            cell.top + PANEL_TITLE_HEIGHT + note_lines * TICK_SIZE * LINE_HEIGHT + 10.0,
            cell.right - 12.0,
            cell.bottom - X_LABELS_HEIGHT,
        )
    }

    fn draw_bars(&self, scene: &mut Scene, area: &Rect, panel: &RankedPanel, y: &Axis) {
        let mut values = panel.values.clone();
        values.sort_by(|a, b| b.total_cmp(a));
        let slot = area.width() / values.len() as f64;
        let gap = if slot >= 5.0 { 0.14 * slot } else { 0.0 };
        let gap = gap.max(slot - WIDEST_BAR);
        for (i, value) in values.iter().enumerate() {
            let left = area.left + i as f64 * slot;
            let top = y.y(area, *value);
            let bar = Rect::new(left + gap / 2.0, top, left + slot - gap / 2.0, area.bottom);
            scene.fill(bar, panel.style.color);
        }
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        scene.level_dashes(y.y(area, mean), area.left, area.right, Color::INK);
    }
}

impl Paint for Ranked {
    fn frame(&self) -> &Frame {
        &self.frame
    }

    fn check(&self) -> Result<(), PlotError> {
        for panel in &self.panels {
            for value in &panel.values {
                check_not_negative(&panel.name, "value", *value)?;
            }
        }
        Ok(())
    }

    fn is_empty(&self) -> bool {
        self.panels.iter().all(|panel| panel.values.is_empty())
    }

    fn legend(&self) -> Vec<LegendEntry> {
        // Each panel is titled with its series.
        Vec::new()
    }

    fn least_height(&self, _fonts: &Fonts, width: f64) -> f64 {
        self.grid(width).height_for(LEAST_PANEL) + 2.0 * PANEL_TITLE_HEIGHT
    }

    fn paint(&self, scene: &mut Scene, body: &Rect) {
        scene.text(axis_title(&self.y_title, (body.left, body.top)));
        let x_title = format!("{} (dashed line: mean)", self.x_title.trim());
        let under = (body.center().0, body.bottom - PANEL_TITLE_HEIGHT + 8.0);
        scene.text(axis_title(x_title.trim(), under).centered());
        let panels = Rect::new(
            body.left,
            body.top + PANEL_TITLE_HEIGHT + 4.0,
            body.right,
            body.bottom - PANEL_TITLE_HEIGHT,
        );
        let grid = self.grid(body.width());
        let plot = self.area(&scene.fonts, &grid.cell(&panels, 0), 0.0);
        let values = self
            .panels
            .iter()
            .flat_map(|panel| panel.values.iter().copied());
        let (_, high) = extent(values).unwrap_or((0.0, 1.0));
        let y = Axis::linear(
            &scene.fonts,
            Room::Up(plot.height()),
            (0.0, high),
            self.unit,
        );
        let labels = y.labels_width(&scene.fonts);
        for (i, panel) in self.panels.iter().enumerate() {
            let first = i % grid.columns == 0;
            self.draw_panel(scene, &grid.cell(&panels, i), panel, (labels, &y), first);
        }
    }
}

fn note_lines(fonts: &Fonts, panel: &RankedPanel, width: f64) -> Vec<String> {
    let measure = |text: &str| fonts.width(text, TICK_SIZE, Weight::Regular);
    wrap(&panel.note, width, NOTE_LINES, measure)
}
