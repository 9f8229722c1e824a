//! Setting text in DejaVu Sans: measuring, wrapping, shortening, and the pixels of the glyphs.

use ab_glyph::{Font, FontRef, PxScale, ScaleFont, point};

use crate::error::PlotError;

/// Height of the tallest ASCII letters over the baseline, per point of size.
const ASCENT: f64 = 0.76;
/// Half the height of capitals: where the middle of a line is over its baseline.
const HALF_CAPITAL: f64 = 0.365;
/// Depth of the letters under the baseline, per point of size.
const DESCENT: f64 = 0.24;
/// Distance of baselines in a text of several lines, per point of size.
pub(crate) const LINE_HEIGHT: f64 = 1.3;

/// Weight of the letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weight {
    Regular,
    Bold,
}

/// Which vertical place of the text its position means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum VerticalAnchor {
    Top,
    Middle,
    Bottom,
}

impl VerticalAnchor {
    /// How far above (negative) and below the anchor the text reaches, per point of size.
    #[cfg(test)]
    pub(crate) fn reach(self) -> (f64, f64) {
        let baseline = self.baseline();
        (baseline - ASCENT, baseline + DESCENT)
    }

    /// How far below the anchor the baseline is, per point of size.
    pub(crate) fn baseline(self) -> f64 {
        match self {
            Self::Top => ASCENT,
            Self::Middle => HALF_CAPITAL,
            Self::Bottom => -DESCENT,
        }
    }
}

/// The compiled-in fonts.
#[derive(Clone, Debug)]
pub struct Fonts {
    regular: FontRef<'static>,
    bold: FontRef<'static>,
}

impl Fonts {
    pub(crate) fn load() -> Result<Self, PlotError> {
        Ok(Self {
            regular: FontRef::try_from_slice(dejavu::sans::regular())?,
            bold: FontRef::try_from_slice(dejavu::sans::bold())?,
        })
    }

    fn font(&self, weight: Weight) -> &FontRef<'static> {
        match weight {
            Weight::Regular => &self.regular,
            Weight::Bold => &self.bold,
        }
    }

    /// ab_glyph scales by ascent plus descent, everyone else by the em.
    fn px_scale(font: &FontRef<'_>, size: f64) -> PxScale {
        let em = f64::from(font.units_per_em().unwrap_or(2048.0));
        PxScale::from((size * f64::from(font.height_unscaled()) / em) as f32)
    }

    /// Width of one line of text, in the unit of `size`.
    pub(crate) fn width(&self, text: &str, size: f64, weight: Weight) -> f64 {
        let font = self.font(weight);
        let scaled = font.as_scaled(Self::px_scale(font, size));
        let mut width = 0.0;
        let mut previous = None;
        for c in text.chars() {
            let glyph = scaled.glyph_id(c);
            if let Some(previous) = previous {
                width += scaled.kern(previous, glyph);
            }
            width += scaled.h_advance(glyph);
            previous = Some(glyph);
        }
        f64::from(width)
    }

    /// Calls `pixel(x, y, coverage)` for each pixel that the text touches. `x`, `y` are relative
    /// to whole pixels; the pen starts at `(x, y)` on the baseline.
    pub(crate) fn rasterize(
        &self,
        text: &str,
        size: f64,
        weight: Weight,
        (x, y): (f64, f64),
        mut pixel: impl FnMut(i32, i32, f64),
    ) {
        let font = self.font(weight);
        let scale = Self::px_scale(font, size);
        let scaled = font.as_scaled(scale);
        let mut pen = x as f32;
        let mut previous = None;
        for c in text.chars() {
            let id = scaled.glyph_id(c);
            if let Some(previous) = previous {
                pen += scaled.kern(previous, id);
            }
            let glyph = id.with_scale_and_position(scale, point(pen, y as f32));
            if let Some(outline) = font.outline_glyph(glyph) {
                let corner = outline.px_bounds().min;
                outline.draw(|dx, dy, coverage| {
                    pixel(
                        corner.x as i32 + dx as i32,
                        corner.y as i32 + dy as i32,
                        f64::from(coverage.clamp(0.0, 1.0)),
                    );
                });
            }
            pen += scaled.h_advance(id);
            previous = Some(id);
        }
    }
}

/// Makes one printable line: what breaks lines or cannot be seen becomes a blank.
pub(crate) fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// Cuts text to `limit` with an ellipsis at its end. Empty when not even the ellipsis fits.
pub(crate) fn shorten(text: &str, limit: f64, width: impl Fn(&str) -> f64) -> String {
    if width(text) <= limit {
        return text.to_string();
    }
    let mut kept: Vec<char> = text.chars().collect();
    while kept.pop().is_some() {
        let mut candidate: String = kept.iter().collect();
        candidate.truncate(candidate.trim_end().len());
        candidate.push('…');
        if width(&candidate) <= limit {
            return candidate;
        }
    }
    String::new()
}

/// What keeps two words on one line.
pub(crate) const NO_BREAK: &str = "\u{a0}";

/// Breaks text at blanks, though not at [`NO_BREAK`], into at most `lines` lines of at most `limit` width; what is left over
/// goes with an ellipsis, and so does a word that is wider than a line.
pub(crate) fn wrap(
    text: &str,
    limit: f64,
    lines: usize,
    width: impl Fn(&str) -> f64,
) -> Vec<String> {
    let mut wrapped: Vec<String> = Vec::new();
    let words: Vec<&str> = text
        .split(|c: char| c.is_whitespace() && c != '\u{a0}')
        .filter(|word| !word.is_empty())
        .collect();
    let mut next = 0;
    while next < words.len() && wrapped.len() < lines {
        let last_line = wrapped.len() + 1 == lines;
        let mut line = words[next].to_string();
        next += 1;
        while next < words.len() {
            let longer = format!("{line} {}", words[next]);
            if !last_line && width(&longer) > limit {
                break;
            }
            line = longer;
            next += 1;
        }
        wrapped.push(shorten(&line, limit, &width));
    }
    wrapped
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every character is one wide.
    fn width(text: &str) -> f64 {
        text.chars().count() as f64
    }

    #[test]
    fn text_that_fits_is_left_alone_and_longer_text_ends_in_an_ellipsis() {
        assert_eq!(shorten("prefork", 7.0, width), "prefork");
        assert_eq!(shorten("prefork", 6.0, width), "prefo…");
        assert_eq!(shorten("a b", 2.0, width), "a…");
        assert_eq!(shorten("ab", 1.0, width), "…");
        assert_eq!(shorten("ab", 0.5, width), "");
    }

    #[test]
    fn lines_break_at_blanks_and_the_last_one_takes_the_rest_with_an_ellipsis() {
        assert_eq!(wrap("one two three", 20.0, 2, width), ["one two three"]);
        assert_eq!(wrap("one two three", 7.0, 2, width), ["one two", "three"]);
        assert_eq!(
            wrap("one two three four", 7.0, 2, width),
            ["one two", "three…"]
        );
        assert_eq!(wrap("incomprehensible a", 6.0, 2, width), ["incom…", "a"]);
        assert!(wrap("  ", 6.0, 2, width).is_empty());
        assert_eq!(wrap("a 500\u{a0}MB", 6.0, 2, width), ["a", "500\u{a0}MB"]);
    }

    #[test]
    fn the_font_has_the_signs_that_labels_use() {
        let fonts = Fonts::load().unwrap();
        for c in "µ·–—≤≥×−…→←↑↓±²αβé\u{a0}".chars() {
            for weight in [Weight::Regular, Weight::Bold] {
                assert_ne!(fonts.font(weight).glyph_id(c).0, 0, "{c} is missing");
            }
        }
    }

    #[test]
    fn width_grows_with_size_and_text() {
        let fonts = Fonts::load().unwrap();
        let of = |text, size| fonts.width(text, size, Weight::Regular);
        assert_eq!(of("", 16.0), 0.0);
        assert!((of("99.9", 32.0) - 2.0 * of("99.9", 16.0)).abs() < 0.01);
        // A digit of DejaVu Sans is 1303 of 2048 units wide.
        assert!((of("0", 2048.0) - 1303.0).abs() < 1.0);
    }

    #[test]
    fn the_pixels_of_a_text_lie_within_its_measured_box() {
        let fonts = Fonts::load().unwrap();
        let mut ink = 0.0;
        let right = fonts.width("Type µ", 20.0, Weight::Regular);
        fonts.rasterize(
            "Type µ",
            20.0,
            Weight::Regular,
            (0.0, 0.0),
            |x, y, coverage| {
                if coverage > 0.0 {
                    assert!((-1..=right as i32 + 1).contains(&x), "{x}");
                    assert!((-16..=6).contains(&y), "{y}");
                    ink += coverage;
                }
            },
        );
        assert!(ink > 50.0);
    }

    #[test]
    fn control_characters_become_blanks() {
        assert_eq!(one_line("a\nb\tc"), "a b c");
    }
}
