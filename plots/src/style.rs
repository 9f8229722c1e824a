//! Colours and markers, chosen so that colour-blind readers can tell them apart.

/// An sRGB colour: red, green, blue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Color(pub u8, pub u8, pub u8);

impl Color {
    pub(crate) const WHITE: Self = Self(255, 255, 255);
    /// Titles and values.
    pub(crate) const INK: Self = Self(0x1f, 0x1f, 0x1f);
    /// Tick labels and notes; 7:1 against white.
    pub(crate) const MUTED: Self = Self(0x55, 0x55, 0x55);
    pub(crate) const AXIS: Self = Self(0x80, 0x80, 0x80);
    pub(crate) const GRID: Self = Self(0xe2, 0xe2, 0xe2);
    pub(crate) const GRID_MINOR: Self = Self(0xf2, 0xf2, 0xf2);

    /// Relative luminance by WCAG 2.1, 0 (black) to 1 (white).
    pub(crate) fn luminance(self) -> f64 {
        let linear = |byte: u8| {
            let c = f64::from(byte) / 255.0;
            if c <= 0.04045 {
                c / 12.92
            } else {
                ((c + 0.055) / 1.055).powf(2.4)
            }
        };
        0.2126 * linear(self.0) + 0.7152 * linear(self.1) + 0.0722 * linear(self.2)
    }

    /// Ink or white, whichever reads better on this colour.
    pub(crate) fn text_on(self) -> Self {
        if self.luminance() > 0.18 {
            Self::INK
        } else {
            Self::WHITE
        }
    }
}

/// The shape that marks a series' points, so that it is known without its colour too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Marker {
    /// A disc.
    Circle,
    /// A square.
    Square,
    /// A triangle, point up.
    Triangle,
    /// A square on its corner.
    Diamond,
    /// A triangle, point down.
    TriangleDown,
}

/// Colour and marker of a series.
///
/// Give the same thing the same style in every chart: `SeriesStyle::new(i)` with a fixed `i`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SeriesStyle {
    /// Colour of line, bar and marker.
    pub color: Color,
    /// Shape of the markers on lines.
    pub marker: Marker,
}

/// Okabe and Ito, <https://jfly.uni-koeln.de/color/>, ordered so that the first three stand out
/// from each other and from white; their black is a grey here, because text is black.
const SERIES: [Color; 8] = [
    Color(0x00, 0x72, 0xb2),
    Color(0xd5, 0x5e, 0x00),
    Color(0x00, 0x9e, 0x73),
    Color(0xe6, 0x9f, 0x00),
    Color(0x56, 0xb4, 0xe9),
    Color(0xcc, 0x79, 0xa7),
    Color(0x70, 0x70, 0x70),
    Color(0xf0, 0xe4, 0x42),
];

/// Paul Tol's "light" scheme, <https://personal.sron.nl/~pault/>: safe for colour-blind readers,
/// made for filled areas under dark text, and not to be taken for the colours of series.
const SEGMENTS: [Color; 9] = [
    Color(0x77, 0xaa, 0xdd),
    Color(0xee, 0xdd, 0x88),
    Color(0xee, 0x88, 0x66),
    Color(0x44, 0xbb, 0x99),
    Color(0xff, 0xaa, 0xbb),
    Color(0x99, 0xdd, 0xff),
    Color(0xaa, 0xaa, 0x00),
    Color(0xbb, 0xcc, 0x33),
    Color(0xdd, 0xdd, 0xdd),
];

const MARKERS: [Marker; 5] = [
    Marker::Circle,
    Marker::Square,
    Marker::Triangle,
    Marker::Diamond,
    Marker::TriangleDown,
];

impl SeriesStyle {
    /// The style of the series with this index. Colours repeat after 8, with other markers.
    #[must_use]
    pub const fn new(index: usize) -> Self {
        Self {
            color: SERIES[index % SERIES.len()],
            marker: MARKERS[index % MARKERS.len()],
        }
    }

    /// The style of the part of a stacked bar with this index; lighter than any series. Colours
    /// repeat after 9; the ninth is grey, for "other".
    #[must_use]
    pub const fn segment(index: usize) -> Self {
        Self {
            color: SEGMENTS[index % SEGMENTS.len()],
            marker: Marker::Square,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_eight_series_differ_in_colour_and_the_next_ones_in_marker() {
        let styles: Vec<_> = (0..40).map(SeriesStyle::new).collect();
        for (i, a) in styles.iter().enumerate() {
            for b in &styles[i + 1..] {
                assert_ne!(a, b);
            }
        }
    }

    #[test]
    fn text_is_dark_on_every_segment_and_white_on_the_darkest_series() {
        for i in 0..9 {
            assert_eq!(SeriesStyle::segment(i).color.text_on(), Color::INK);
        }
        assert_eq!(SeriesStyle::new(0).color.text_on(), Color::WHITE);
    }
}
