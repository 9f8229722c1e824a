//! From scene to PNG. Shapes are drawn by plotters at several times the resolution, in strips so
//! that a tall picture takes little memory, and averaged down, which smooths every edge alike;
//! text is drawn at the final resolution, because its pixels' coverage is exact.

use plotters::backend::{BitMapBackend, DrawingBackend};
use plotters_color::solid;

use crate::error::PlotError;
use crate::scene::{Point, Scene, Shape, Text};
use crate::style::Color;

/// Rows of pixels in a strip.
const STRIP: u32 = 64;
const CHANNELS: usize = 3;

/// Colours in the form plotters wants.
mod plotters_color {
    use crate::style::Color;
    use plotters::style::RGBAColor;

    pub(super) fn solid(color: Color) -> RGBAColor {
        mixed(color, 1.0)
    }

    pub(super) fn mixed(color: Color, opacity: f64) -> RGBAColor {
        RGBAColor(color.0, color.1, color.2, opacity)
    }
}

/// Draws the scene with `scale` pixels per point.
pub(crate) fn png(scene: &Scene, scale: u32) -> Result<Vec<u8>, PlotError> {
    let (pixels, width, height) = pixels(scene, scale)?;
    encode(&pixels, width, height)
}

/// Draws the scenes below each other; they must be of one width.
pub(crate) fn png_in_column(scenes: &[Scene], scale: u32) -> Result<Vec<u8>, PlotError> {
    let (mut all, mut width, mut height) = (Vec::new(), 0, 0);
    for scene in scenes {
        let (pixels, its_width, its_height) = pixels(scene, scale)?;
        all.extend(pixels);
        width = its_width;
        height += its_height;
    }
    encode(&all, width, height)
}

/// The pixels of a scene, their width and height.
fn pixels(scene: &Scene, scale: u32) -> Result<(Vec<u8>, u32, u32), PlotError> {
    let width = scene.width as u32 * scale;
    let height = scene.height as u32 * scale;
    // About 16 samples a pixel at scale 1; dense pixels need fewer.
    let samples = (4 / scale).max(2);
    let mut pixels = Vec::with_capacity(width as usize * height as usize * CHANNELS);
    let mut strip = vec![0; (width * samples) as usize * (STRIP * samples) as usize * CHANNELS];
    let mut top = 0;
    while top < height {
        let rows = STRIP.min(height - top);
        strip.fill(255);
        let mut brush = Brush {
            backend: BitMapBackend::with_buffer(&mut strip, (width * samples, STRIP * samples)),
            factor: f64::from(scale * samples),
            top: f64::from(top * samples),
            height: f64::from(STRIP * samples),
        };
        for shape in &scene.shapes {
            brush.shape(shape)?;
        }
        drop(brush);
        average(
            &strip,
            width as usize,
            rows as usize,
            samples as usize,
            &mut pixels,
        );
        top += rows;
    }
    draw_texts(scene, scale, &mut pixels, (width, height))?;
    Ok((pixels, width, height))
}

type Drawn = Result<(), PlotError>;

fn failed(error: impl std::error::Error) -> PlotError {
    PlotError::Raster(error.to_string())
}

/// Draws shapes on one strip.
struct Brush<'a> {
    backend: BitMapBackend<'a>,
    /// Pixels of the strip per point.
    factor: f64,
    /// Where the strip starts, in its pixels.
    top: f64,
    height: f64,
}

impl Brush<'_> {
    fn pixel(&self, (x, y): Point) -> (i32, i32) {
        (
            (x * self.factor).round() as i32,
            (y * self.factor - self.top).round() as i32,
        )
    }

    /// Whether anything between these heights (points) falls on the strip.
    fn misses(&self, top: f64, bottom: f64) -> bool {
        bottom * self.factor < self.top || top * self.factor > self.top + self.height
    }

    fn shape(&mut self, shape: &Shape) -> Drawn {
        match shape {
            Shape::Box(rect, color) => {
                if self.misses(rect.top, rect.bottom) {
                    return Ok(());
                }
                let from = self.pixel((rect.left, rect.top));
                let to = self.pixel((rect.right, rect.bottom));
                if from.0 == to.0 || from.1 == to.1 {
                    return Ok(());
                }
                self.backend
                    .draw_rect(from, to, &solid(*color), true)
                    .map_err(failed)
            }
            Shape::Polygon(points, color) => self.polygon(points, *color),
            Shape::Disc(center, radius, color) => self.disc(*center, *radius, *color),
            Shape::Line {
                points,
                width,
                color,
            } => self.line(points, width / 2.0, *color),
            Shape::Band {
                columns,
                color,
                opacity,
            } => self.band(columns, *color, *opacity),
        }
    }

    fn polygon(&mut self, points: &[Point], color: Color) -> Drawn {
        let top = points.iter().map(|p| p.1).fold(f64::INFINITY, f64::min);
        let bottom = points.iter().map(|p| p.1).fold(f64::NEG_INFINITY, f64::max);
        if self.misses(top, bottom) {
            return Ok(());
        }
        let corners: Vec<_> = points.iter().map(|p| self.pixel(*p)).collect();
        self.backend
            .fill_polygon(corners, &solid(color))
            .map_err(failed)
    }

    fn disc(&mut self, center: Point, radius: f64, color: Color) -> Drawn {
        if self.misses(center.1 - radius, center.1 + radius) {
            return Ok(());
        }
        let pixels = (radius * self.factor).round().max(0.0) as u32;
        let center = self.pixel(center);
        self.backend
            .draw_circle(center, pixels, &solid(color), true)
            .map_err(failed)
    }

    /// A box for each stretch and a disc at each point: plotters' own thick paths have spikes at
    /// sharp turns and holes where a path crosses itself.
    fn line(&mut self, points: &[Point], half: f64, color: Color) -> Drawn {
        for point in points {
            self.disc(*point, half, color)?;
        }
        for pair in points.windows(2) {
            let ((x0, y0), (x1, y1)) = (pair[0], pair[1]);
            let length = (x1 - x0).hypot(y1 - y0);
            if length * self.factor < 1.0 {
                continue;
            }
            let (dx, dy) = (half * (y1 - y0) / length, half * (x0 - x1) / length);
            let corners = [
                (x0 + dx, y0 + dy),
                (x1 + dx, y1 + dy),
                (x1 - dx, y1 - dy),
                (x0 - dx, y0 - dy),
            ];
            self.polygon(&corners, color)?;
        }
        Ok(())
    }

    /// Column by column, so that no pixel is mixed twice.
    fn band(&mut self, columns: &[(f64, f64, f64)], color: Color, opacity: f64) -> Drawn {
        let color = plotters_color::mixed(color, opacity);
        for pair in columns.windows(2) {
            let ((x0, upper0, lower0), (x1, upper1, lower1)) = (pair[0], pair[1]);
            let (from, to) = (self.pixel((x0, 0.0)).0, self.pixel((x1, 0.0)).0);
            for x in from..to {
                let part = f64::from(x - from) / f64::from(to - from);
                let upper = upper0 + part * (upper1 - upper0);
                let lower = lower0 + part * (lower1 - lower0);
                if self.misses(upper, lower) {
                    continue;
                }
                let (top, bottom) = (self.pixel((0.0, upper)).1, self.pixel((0.0, lower)).1);
                if top < bottom {
                    self.backend
                        .draw_rect((x, top), (x + 1, bottom), &color, true)
                        .map_err(failed)?;
                }
            }
        }
        Ok(())
    }
}

/// Appends to `pixels` the means of the strip's squares of `samples` x `samples`.
fn average(strip: &[u8], width: usize, rows: usize, samples: usize, pixels: &mut Vec<u8>) {
    let stride = width * samples * CHANNELS;
    let count = (samples * samples) as u32;
    let mut sums = vec![0u32; width * CHANNELS];
    for row in 0..rows {
        sums.fill(0);
        for line in strip[row * samples * stride..].chunks(stride).take(samples) {
            for (sum, square) in sums
                .chunks_exact_mut(CHANNELS)
                .zip(line.chunks_exact(samples * CHANNELS))
            {
                for sample in square.chunks_exact(CHANNELS) {
                    for (sum, channel) in sum.iter_mut().zip(sample) {
                        *sum += u32::from(*channel);
                    }
                }
            }
        }
        pixels.extend(sums.iter().map(|sum| ((sum + count / 2) / count) as u8));
    }
}

fn draw_texts(
    scene: &Scene,
    scale: u32,
    pixels: &mut [u8],
    size: (u32, u32),
) -> Result<(), PlotError> {
    let mut backend = BitMapBackend::with_buffer(pixels, size);
    for text in &scene.texts {
        draw_text(scene, text, f64::from(scale), &mut backend)?;
    }
    Ok(())
}

fn draw_text(scene: &Scene, text: &Text, scale: f64, backend: &mut BitMapBackend<'_>) -> Drawn {
    let size = text.size * scale;
    let (x, y) = (text.at.0 * scale, text.at.1 * scale);
    let start = text.start(scene.fonts.width(&text.content, size, text.weight));
    let baseline = text.vertical.baseline() * size;
    // A baseline on a whole pixel keeps the feet of the letters sharp.
    let origin = if text.upwards {
        (start - y.fract(), 0.0)
    } else {
        (x + start, (y + baseline).round())
    };
    let turned = ((x + baseline).round() as i32, y.trunc() as i32);
    let mut drawn = Ok(());
    scene.fonts.rasterize(
        &text.content,
        size,
        text.weight,
        origin,
        |px, py, coverage| {
            let at = if text.upwards {
                (turned.0 + py, turned.1 - px)
            } else {
                (px, py)
            };
            let color = plotters::style::Color::to_backend_color(&plotters_color::mixed(
                text.color, coverage,
            ));
            if drawn.is_ok() {
                drawn = backend.draw_pixel(at, color).map_err(failed);
            }
        },
    );
    drawn
}

fn encode(pixels: &[u8], width: u32, height: u32) -> Result<Vec<u8>, PlotError> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(pixels)?;
    writer.finish()?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scene::Rect;
    use crate::text::Fonts;

    /// The colour of a pixel of a picture of 100 x 100 points at scale 1.
    fn picture(draw: impl FnOnce(&mut Scene)) -> impl Fn(usize, usize) -> [u8; 3] {
        let mut scene = Scene::new(Fonts::load().unwrap(), 100.0, 100.0);
        draw(&mut scene);
        let bytes = png(&scene, 1).unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(bytes))
            .read_info()
            .unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut pixels).unwrap();
        move |x, y| {
            let at = (y * 100 + x) * CHANNELS;
            [pixels[at], pixels[at + 1], pixels[at + 2]]
        }
    }

    const WHITE: [u8; 3] = [255; 3];
    const BLACK: Color = Color(0, 0, 0);

    #[test]
    fn a_box_fills_its_pixels_wholly_and_those_it_halves_by_half() {
        // It reaches over the border of two strips.
        let pixel = picture(|scene| scene.fill(Rect::new(10.0, 10.0, 20.5, 90.0), BLACK));
        assert_eq!(pixel(9, 50), WHITE);
        assert_eq!(pixel(10, 10), [0; 3]);
        assert_eq!(pixel(19, 89), [0; 3]);
        assert_eq!(pixel(20, 50), [128; 3]);
        assert_eq!(pixel(21, 50), WHITE);
        assert_eq!(pixel(15, 9), WHITE);
        assert_eq!(pixel(15, 90), WHITE);
        for y in 10..90 {
            assert_eq!(pixel(15, y), [0; 3], "row {y}");
        }
    }

    #[test]
    fn a_band_is_evenly_light_also_where_its_stretches_meet() {
        let columns = vec![(10.0, 20.0, 80.0), (50.0, 20.0, 80.0), (90.0, 20.0, 80.0)];
        let pixel = picture(|scene| scene.band(columns, BLACK));
        let inside = pixel(30, 40);
        assert_ne!(inside, WHITE);
        for x in 10..90 {
            assert_eq!(pixel(x, 40), inside, "column {x}");
        }
        assert_eq!(pixel(9, 40), WHITE);
        assert_eq!(pixel(90, 40), WHITE);
    }

    #[test]
    fn a_line_with_a_sharp_turn_has_neither_spike_nor_hole() {
        let points = [(10.0, 90.0), (50.0, 10.0), (51.0, 90.0)];
        let pixel = picture(|scene| scene.line(&points, 4.0, BLACK));
        assert_eq!(pixel(50, 11), [0; 3]);
        assert_eq!(pixel(50, 6), WHITE);
        assert_eq!(pixel(50, 60), [0; 3]);
    }

    #[test]
    fn text_that_runs_upwards_is_drawn_above_its_start() {
        let pixel = picture(|scene| {
            scene.text(Text::new("lll", (50.0, 80.0), 30.0).upwards());
        });
        let ink = |rows: std::ops::Range<usize>| {
            let places = rows.flat_map(|y| (0..100).map(move |x| (x, y)));
            places.filter(|(x, y)| pixel(*x, *y) != WHITE).count()
        };
        assert!(ink(50..80) > 50);
        assert_eq!(ink(81..100), 0);
    }
}
