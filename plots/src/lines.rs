//! Lines with bands and markers, as percentiles and timelines draw them.

use crate::page::{LegendEntry, Swatch};
use crate::scene::{Point, Scene};
use crate::style::SeriesStyle;

const LINE_WIDTH: f64 = 2.75;
/// Width of lines that go up and down more often than a wide one could show.
const RESTLESS_WIDTH: f64 = 1.5;
const MARKER_RADIUS: f64 = 5.0;
/// Up to so many points, each has its marker.
const EACH_MARKED: usize = 25;
/// Distance of markers on a line of more points.
const MARKER_DISTANCE: f64 = 150.0;

/// A point of a line in points of the page, with the y of both ends of its band.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct LinePoint {
    pub at: Point,
    /// Upper and lower y.
    pub band: Option<(f64, f64)>,
}

/// The legend of lines, each with its name, style and whether it has data.
pub(crate) fn line_legend<'a>(
    lines: impl Iterator<Item = (&'a str, SeriesStyle, bool)>,
) -> Vec<LegendEntry> {
    let entry = |(name, style, has_data): (&str, SeriesStyle, bool)| {
        let name = match has_data {
            true => name.to_owned(),
            false => format!("{name} (no data)"),
        };
        LegendEntry::new(name, style, Swatch::Line)
    };
    lines.map(entry).collect()
}

/// Draws the bands of a series: as areas where neighbours both have one, else as whiskers.
fn draw_bands(scene: &mut Scene, points: &[LinePoint], style: SeriesStyle) {
    for run in points.chunk_by(|a, b| a.band.is_some() && b.band.is_some()) {
        let columns: Vec<_> = run
            .iter()
            .filter_map(|p| p.band.map(|(upper, lower)| (p.at.0, upper, lower)))
            .collect();
        match columns[..] {
            [] => {}
            [(x, upper, lower)] => scene.whisker(x, (upper, lower), 6.0, style.color),
            _ => scene.band(columns, style.color),
        }
    }
}

/// Draws the line of a series with markers at `marks`. `index` shifts the markers of long lines,
/// so that those of different series do not stand on each other.
pub(crate) fn draw_line(
    scene: &mut Scene,
    places: &[Point],
    marks: &[Point],
    style: SeriesStyle,
    index: usize,
) {
    let width = if is_restless(places) {
        RESTLESS_WIDTH
    } else {
        LINE_WIDTH
    };
    scene.line(places, width, style.color);
    for place in marked(marks, index) {
        scene.marker(style.marker, place, MARKER_RADIUS, style.color);
    }
}

/// Draws several series: first all bands, then all lines over them.
pub(crate) fn draw_series(scene: &mut Scene, series: &[(SeriesStyle, Vec<LinePoint>)]) {
    for (style, points) in series {
        draw_bands(scene, points, *style);
    }
    for (i, (style, points)) in series.iter().enumerate() {
        let places: Vec<Point> = points.iter().map(|p| p.at).collect();
        draw_line(scene, &places, &places, *style, i);
    }
}

/// Whether a line's way up and down is many times its way to the right.
fn is_restless(places: &[Point]) -> bool {
    let climbed: f64 = places
        .windows(2)
        .map(|pair| (pair[1].1 - pair[0].1).abs())
        .sum();
    let across = match (places.first(), places.last()) {
        (Some(first), Some(last)) => last.0 - first.0,
        _ => 0.0,
    };
    across > 0.0 && climbed > 8.0 * across
}

/// Which of the places get a marker.
fn marked(places: &[Point], index: usize) -> Vec<Point> {
    if places.len() <= EACH_MARKED {
        return places.to_vec();
    }
    let mut next = places[0].0 + MARKER_DISTANCE * (0.25 + 0.3 * (index % 3) as f64);
    let mut marked = Vec::new();
    for place in places {
        if place.0 >= next {
            marked.push(*place);
            next = place.0 + MARKER_DISTANCE;
        }
    }
    marked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_restless_and_a_steep_climb_is_not() {
        let noise: Vec<Point> = (0..1000)
            .map(|i| (f64::from(i) * 0.1, f64::from(i % 2) * 5.0))
            .collect();
        assert!(is_restless(&noise));
        assert!(!is_restless(&[(0.0, 0.0), (100.0, 400.0)]));
        assert!(!is_restless(&[(5.0, 0.0), (5.0, 400.0)]));
        assert!(!is_restless(&[]));
    }

    #[test]
    fn short_lines_are_marked_at_each_point_and_long_ones_at_distances() {
        let line = |count: u32| -> Vec<Point> { (0..count).map(|i| (f64::from(i), 0.0)).collect() };
        assert_eq!(marked(&line(25), 0).len(), 25);
        assert_eq!(marked(&[], 0).len(), 0);
        let long = marked(&line(1000), 0);
        assert!((5..=8).contains(&long.len()), "{}", long.len());
        let other = marked(&line(1000), 1);
        assert!(long.iter().all(|place| !other.contains(place)));
    }
}
