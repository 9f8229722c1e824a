//! The page around a chart: title, subtitle and legend above the body, footnote below it.

use crate::frame::Frame;
use crate::scene::{Point, Rect, Scene, Text};
use crate::style::{Color, SeriesStyle};
use crate::text::{Fonts, LINE_HEIGHT, Weight, shorten, wrap};

/// Room that stays free along the edges of the page.
pub(crate) const PAGE_MARGIN: f64 = 28.0;
const TITLE_SIZE: f64 = 24.0;
const SUBTITLE_SIZE: f64 = 17.0;
const LEGEND_SIZE: f64 = 16.0;
const FOOTNOTE_SIZE: f64 = 14.5;
const LEGEND_ROW: f64 = 25.0;
const SWATCH_GAP: f64 = 9.0;
const ENTRY_GAP: f64 = 28.0;
const LONGEST_ENTRY: f64 = 420.0;
/// Size of the names of axes and of values at bars.
pub(crate) const BODY_SIZE: f64 = 16.0;

/// How a series looks in the legend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Swatch {
    /// A line with its marker.
    Line,
    /// A filled box.
    Box,
    /// The outline of a box.
    Outline,
    /// A small triangle, point up.
    Mark,
    /// An arrow.
    Arrow,
}

impl Swatch {
    fn width(self) -> f64 {
        match self {
            Self::Line | Self::Arrow => 30.0,
            Self::Box | Self::Outline => 20.0,
            Self::Mark => 12.0,
        }
    }
}

/// A line of the legend.
#[derive(Clone, Debug, PartialEq)]
pub struct LegendEntry {
    pub(crate) name: String,
    pub(crate) style: SeriesStyle,
    pub(crate) swatch: Swatch,
}

impl LegendEntry {
    pub(crate) fn new(name: impl Into<String>, style: SeriesStyle, swatch: Swatch) -> Self {
        Self {
            name: name.into(),
            style,
            swatch,
        }
    }
}

/// The parts of a page with their text already broken into lines.
pub(crate) struct Page {
    width: f64,
    title: Vec<String>,
    subtitle: Vec<String>,
    /// Rows of entries with the x at which each starts.
    legend: Vec<Vec<(f64, LegendEntry)>>,
    footnote: Vec<String>,
}

impl Page {
    pub(crate) fn new(fonts: &Fonts, frame: &Frame, legend: Vec<LegendEntry>) -> Self {
        let width = f64::from(frame.width);
        let room = width - 2.0 * PAGE_MARGIN;
        let lines = |text: &str, size, weight, most| {
            wrap(text, room, most, |t| fonts.width(t, size, weight))
        };
        Self {
            width,
            title: lines(&frame.title, TITLE_SIZE, Weight::Bold, 2),
            subtitle: lines(&frame.subtitle, SUBTITLE_SIZE, Weight::Regular, 2),
            legend: legend_rows(fonts, legend, width - PAGE_MARGIN),
            footnote: lines(&frame.footnote, FOOTNOTE_SIZE, Weight::Regular, 3),
        }
    }

    /// Height of what stands above the body.
    fn above(&self) -> f64 {
        let legend = self.legend.len() as f64 * LEGEND_ROW;
        22.0 + self.title.len() as f64 * TITLE_SIZE * LINE_HEIGHT
            + self.subtitle.len() as f64 * SUBTITLE_SIZE * LINE_HEIGHT
            + if legend > 0.0 { legend + 8.0 } else { 0.0 }
            + 18.0
    }

    /// Height of what stands below the body.
    fn below(&self) -> f64 {
        let footnote = self.footnote.len() as f64 * FOOTNOTE_SIZE * LINE_HEIGHT;
        footnote + if footnote > 0.0 { 36.0 } else { 20.0 }
    }

    /// The least height of a page whose body has this height.
    pub(crate) fn height_for(&self, body: f64) -> f64 {
        (self.above() + body + self.below()).ceil()
    }

    /// Width of the body.
    pub(crate) fn body_width(&self) -> f64 {
        self.width - 2.0 * PAGE_MARGIN
    }

    /// Draws all around the body and returns the body.
    pub(crate) fn draw(&self, scene: &mut Scene) -> Rect {
        let mut y = 22.0;
        for line in &self.title {
            scene.text(Text::new(line, (PAGE_MARGIN, y), TITLE_SIZE).top().bold());
            y += TITLE_SIZE * LINE_HEIGHT;
        }
        for line in &self.subtitle {
            let text = Text::new(line, (PAGE_MARGIN, y), SUBTITLE_SIZE).top();
            scene.text(text.color(Color::MUTED));
            y += SUBTITLE_SIZE * LINE_HEIGHT;
        }
        y += 8.0;
        for row in &self.legend {
            for (x, entry) in row {
                draw_entry(scene, (*x, y + LEGEND_ROW / 2.0), entry);
            }
            y += LEGEND_ROW;
        }
        let bottom = scene.height - self.below();
        let mut y = bottom + 20.0;
        for line in &self.footnote {
            let text = Text::new(line, (PAGE_MARGIN, y), FOOTNOTE_SIZE).top();
            scene.text(text.color(Color::MUTED));
            y += FOOTNOTE_SIZE * LINE_HEIGHT;
        }
        Rect::new(PAGE_MARGIN, self.above(), self.width - PAGE_MARGIN, bottom)
    }
}

/// Breaks the legend into rows that end before `right`.
fn legend_rows(
    fonts: &Fonts,
    legend: Vec<LegendEntry>,
    right: f64,
) -> Vec<Vec<(f64, LegendEntry)>> {
    let mut rows: Vec<Vec<(f64, LegendEntry)>> = Vec::new();
    let mut x = f64::INFINITY;
    for mut entry in legend {
        let width = |text: &str| fonts.width(text, LEGEND_SIZE, Weight::Regular);
        entry.name = shorten(&entry.name, LONGEST_ENTRY.min(right - 100.0), width);
        let length = entry.swatch.width() + SWATCH_GAP + width(&entry.name);
        if x + length > right {
            rows.push(Vec::new());
            x = PAGE_MARGIN;
        }
        if let Some(row) = rows.last_mut() {
            row.push((x, entry));
        }
        x += length + ENTRY_GAP;
    }
    rows
}

fn draw_entry(scene: &mut Scene, (x, y): Point, entry: &LegendEntry) {
    let color = entry.style.color;
    let width = entry.swatch.width();
    match entry.swatch {
        Swatch::Line => {
            scene.line(&[(x + 1.5, y), (x + width - 1.5, y)], 2.75, color);
            scene.marker(entry.style.marker, (x + width / 2.0, y), 5.5, color);
        }
        Swatch::Box => {
            let swatch = Rect::new(x, y - 8.0, x + width, y + 8.0);
            scene.fill(swatch, color);
        }
        Swatch::Outline => {
            let swatch = Rect::new(x, y - 8.0, x + width, y + 8.0);
            scene.outlined_box(&swatch, color);
        }
        Swatch::Mark => scene.point_up((x + width / 2.0, y - 5.0), color),
        Swatch::Arrow => scene.arrow((x + 1.5, y), (x + width - 1.5, y), color),
    }
    let at = (x + width + SWATCH_GAP, y);
    scene.text(Text::new(&entry.name, at, LEGEND_SIZE));
}

/// Says in the middle of `area` that there is nothing to show, and why if there is a reason.
pub(crate) fn draw_no_data(scene: &mut Scene, area: &Rect, reason: &str, size: f64) {
    let message = if reason.trim().is_empty() {
        "no data".to_string()
    } else {
        format!("no data: {reason}")
    };
    let lines = wrap(&message, area.width() - 24.0, 4, |t| {
        scene.text_width(t, size)
    });
    let (x, middle) = area.center();
    let first = middle - (lines.len() as f64 - 1.0) / 2.0 * size * LINE_HEIGHT;
    for (i, line) in lines.iter().enumerate() {
        let at = (x, first + i as f64 * size * LINE_HEIGHT);
        scene.text(Text::new(line, at, size).centered().color(Color::MUTED));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn legend_entries_that_do_not_fit_go_to_the_next_row() {
        let fonts = Fonts::load().unwrap();
        let entries = |count: usize| -> Vec<LegendEntry> {
            (0..count)
                .map(|i| LegendEntry::new("a series", SeriesStyle::new(i), Swatch::Line))
                .collect()
        };
        assert!(legend_rows(&fonts, entries(0), 1172.0).is_empty());
        assert_eq!(legend_rows(&fonts, entries(3), 1172.0).len(), 1);
        let rows = legend_rows(&fonts, entries(20), 1172.0);
        assert!(rows.len() > 1);
        assert_eq!(rows.iter().map(Vec::len).sum::<usize>(), 20);
        assert!(rows.iter().all(|row| row[0].0 == PAGE_MARGIN));
    }

    #[test]
    fn a_page_without_legend_and_footnote_leaves_more_room_for_its_body() {
        let fonts = Fonts::load().unwrap();
        let bare = Page::new(&fonts, &Frame::new("title"), vec![]);
        let entry = LegendEntry::new("a", SeriesStyle::new(0), Swatch::Box);
        let full = Page::new(&fonts, &Frame::new("title").footnote("n = 3"), vec![entry]);
        assert!(bare.height_for(100.0) < full.height_for(100.0));
    }
}
