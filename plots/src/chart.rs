//! What all charts do: check the data, lay out the page, draw, write.

use std::path::Path;

use crate::error::PlotError;
use crate::frame::Frame;
use crate::page::{BODY_SIZE, LegendEntry, Page, draw_no_data};
use crate::raster;
use crate::scene::{Rect, Scene};
use crate::text::Fonts;

/// What a kind of chart brings along; the rest is common.
pub trait Paint {
    /// What is around the chart.
    fn frame(&self) -> &Frame;
    /// Refuses data that cannot be drawn.
    fn check(&self) -> Result<(), PlotError>;
    /// Whether there is nothing to draw.
    fn is_empty(&self) -> bool;
    /// The legend, in its order; empty when the chart needs none.
    fn legend(&self) -> Vec<LegendEntry>;
    /// The least height in points that the chart needs when its body has this width.
    fn least_height(&self, _fonts: &Fonts, _width: f64) -> f64 {
        0.0
    }
    /// Draws the chart into `body`. Called only on checked data that is not empty.
    fn paint(&self, scene: &mut Scene, body: &Rect);
}

/// A chart that can be drawn. Every chart of this crate is one.
pub trait Chart: Paint {
    /// Draws the chart and returns the bytes of a PNG file.
    ///
    /// # Errors
    /// When a value cannot be drawn or the size is out of range.
    fn png(&self) -> Result<Vec<u8>, PlotError> {
        raster::png(&scene(self)?, self.frame().scale)
    }

    /// Checks the data and lays the chart out without drawing a pixel: a cheap way to know whether
    /// it can be drawn.
    ///
    /// # Errors
    /// As [`png`](Self::png).
    fn lay_out(&self) -> Result<(), PlotError> {
        scene(self).map(drop)
    }

    /// Draws the chart into a PNG file, which is replaced if it exists. Nothing is written when
    /// the chart cannot be drawn.
    ///
    /// # Errors
    /// As [`png`](Self::png), and when the file cannot be written.
    fn draw(&self, path: &Path) -> Result<(), PlotError> {
        let png = self.png()?;
        std::fs::write(path, png).map_err(|source| PlotError::Write {
            path: path.into(),
            source,
        })
    }
}

impl<T: Paint + ?Sized> Chart for T {}

/// Draws charts below each other and returns the bytes of one PNG file.
///
/// # Errors
/// As [`Chart::png`]; [`PlotError::Column`] when there is no chart, or when one has another
/// width or scale than the first.
pub fn png_in_column(charts: &[&dyn Chart]) -> Result<Vec<u8>, PlotError> {
    let sizes = |chart: &&dyn Chart| (chart.frame().width, chart.frame().scale);
    let first = charts.first().map(sizes).ok_or(PlotError::Column)?;
    if charts.iter().any(|chart| sizes(chart) != first) {
        return Err(PlotError::Column);
    }
    let scenes: Result<Vec<Scene>, PlotError> = charts.iter().map(|chart| scene(*chart)).collect();
    raster::png_in_column(&scenes?, first.1)
}

/// The picture of a chart before it becomes pixels.
pub(crate) fn scene<T: Paint + ?Sized>(chart: &T) -> Result<Scene, PlotError> {
    let frame = chart.frame();
    frame.check_size(frame.height)?;
    chart.check()?;
    let fonts = Fonts::load()?;
    let empty = chart.is_empty();
    let page = Page::new(&fonts, frame, chart.legend());
    let least = if empty {
        0.0
    } else {
        chart.least_height(&fonts, page.body_width())
    };
    let height = f64::from(frame.height).max(page.height_for(least.max(60.0)));
    frame.check_size(height as u32)?;
    let mut scene = Scene::new(fonts, f64::from(frame.width), height);
    let body = page.draw(&mut scene);
    if empty {
        draw_no_data(&mut scene, &body, &frame.no_data, 1.25 * BODY_SIZE);
    } else {
        chart.paint(&mut scene, &body);
    }
    Ok(scene)
}
