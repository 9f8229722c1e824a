//! The PNG files themselves: each kind of chart is decoded again and its pixels are looked at.

use std::collections::HashMap;

use plots::{Chart, Color, Frame, PlotError, SeriesStyle};

#[path = "../examples/gallery/samples/mod.rs"]
#[allow(dead_code, reason = "the gallery draws more than these tests look at")]
mod samples;

struct Picture {
    width: u32,
    height: u32,
    /// How often each colour occurs.
    colors: HashMap<Color, usize>,
}

impl Picture {
    fn of(chart: &dyn Chart) -> Self {
        Self::decode(&chart.png().unwrap())
    }

    fn decode(bytes: &[u8]) -> Self {
        let mut reader = png::Decoder::new(std::io::Cursor::new(bytes))
            .read_info()
            .unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        let mut colors = HashMap::new();
        for pixel in pixels.chunks_exact(3) {
            *colors
                .entry(Color(pixel[0], pixel[1], pixel[2]))
                .or_default() += 1;
        }
        Self {
            width: info.width,
            height: info.height,
            colors,
        }
    }

    fn count(&self, color: Color) -> usize {
        self.colors.get(&color).copied().unwrap_or(0)
    }
}

/// Makes the picture small, because a test build draws slowly.
fn shrink(frame: &mut Frame) {
    (frame.width, frame.height) = (600, 400);
}

fn assert_shows_series(picture: &Picture, styles: impl IntoIterator<Item = SeriesStyle>) {
    for style in styles {
        let count = picture.count(style.color);
        assert!(count > 100, "{count} pixels of {style:?}");
    }
    let all = (picture.width * picture.height) as usize;
    let white = picture.count(Color(255, 255, 255));
    assert!(white > all / 4 && white < all);
}

#[test]
fn percentiles_show_every_series() {
    let mut chart = samples::percentiles();
    shrink(&mut chart.frame);
    let picture = Picture::of(&chart);
    assert_eq!((picture.width, picture.height), (600, 400));
    assert_shows_series(&picture, (0..3).map(SeriesStyle::new));
}

#[test]
fn timelines_show_every_series() {
    let mut chart = samples::timeline();
    shrink(&mut chart.frame);
    assert_shows_series(&Picture::of(&chart), (0..3).map(SeriesStyle::new));
}

#[test]
fn stacked_bars_show_every_segment() {
    let mut chart = samples::stacked(false);
    shrink(&mut chart.frame);
    let styles: Vec<_> = chart.segments.iter().map(|s| s.style).collect();
    assert_shows_series(&Picture::of(&chart), styles);
}

#[test]
fn grouped_bars_show_every_series() {
    for log in [false, true] {
        let mut chart = samples::bars(log);
        shrink(&mut chart.frame);
        assert_shows_series(&Picture::of(&chart), (0..3).map(SeriesStyle::new));
    }
}

#[test]
fn distributions_show_every_series() {
    for complementary in [false, true] {
        let mut chart = samples::distribution(complementary);
        shrink(&mut chart.frame);
        assert_shows_series(&Picture::of(&chart), (0..3).map(SeriesStyle::new));
    }
}

#[test]
fn ranks_show_every_series() {
    let mut chart = samples::ranked();
    shrink(&mut chart.frame);
    assert_shows_series(&Picture::of(&chart), (0..3).map(SeriesStyle::new));
}

#[test]
fn intervals_show_every_series() {
    let mut chart = samples::intervals();
    shrink(&mut chart.frame);
    assert_shows_series(&Picture::of(&chart), (1..3).map(SeriesStyle::new));
}

#[test]
fn lanes_show_every_category() {
    let mut chart = samples::lanes();
    shrink(&mut chart.frame);
    let styles: Vec<_> = chart.categories.iter().map(|c| c.style).collect();
    assert_shows_series(&Picture::of(&chart), styles);
}

/// Two states in turn, so quickly that thousands of spans fall into each column of pixels.
#[test]
fn the_colours_of_crowded_lanes_are_in_proportion_to_the_time() {
    let mut chart = samples::awkward::lanes_shares();
    shrink(&mut chart.frame);
    for scale in [1, 2] {
        chart.frame.scale = scale;
        let picture = Picture::of(&chart);
        let [rare, common] = [0, 1].map(|i| picture.count(chart.categories[i].style.color) as f64);
        // The legend's boxes are small beside the bar.
        let share = rare / (rare + common);
        assert!((0.23..0.27).contains(&share), "{share}");
    }
}

#[test]
fn a_lone_span_much_shorter_than_a_pixel_is_seen() {
    let mut chart = samples::awkward::lanes_shares();
    shrink(&mut chart.frame);
    let lane = &mut chart.groups[0].lanes[0];
    lane.spans.truncate(1);
    chart.categories[0].style = SeriesStyle::new(1);
    let legend = 20 * 16;
    assert_eq!(
        Picture::of(&chart).count(SeriesStyle::new(1).color),
        legend + 1
    );
}

#[test]
fn a_dense_screen_gets_the_same_picture_with_four_times_the_pixels() {
    let mut chart = samples::percentiles();
    shrink(&mut chart.frame);
    let single = Picture::of(&chart);
    chart.frame.scale = 2;
    let double = Picture::of(&chart);
    assert_eq!((double.width, double.height), (1200, 800));
    for i in 0..3 {
        let color = SeriesStyle::new(i).color;
        assert!(double.count(color) > 2 * single.count(color));
    }
}

#[test]
fn charts_in_a_column_keep_their_sizes_and_colours() {
    let mut first = samples::percentiles();
    shrink(&mut first.frame);
    let mut second = samples::timeline();
    shrink(&mut second.frame);
    let column = Picture::decode(&plots::png_in_column(&[&first, &second]).unwrap());
    let (above, below) = (Picture::of(&first), Picture::of(&second));
    assert_eq!(
        (column.width, column.height),
        (above.width, above.height + below.height)
    );
    let color = SeriesStyle::new(0).color;
    assert_eq!(column.count(color), above.count(color) + below.count(color));

    second.frame.width += 1;
    for charts in [&[&first as &dyn Chart, &second][..], &[]] {
        assert!(matches!(
            plots::png_in_column(charts),
            Err(PlotError::Column)
        ));
    }
}

#[test]
fn the_picture_is_the_same_every_time() {
    let mut chart = samples::stacked(true);
    shrink(&mut chart.frame);
    assert_eq!(chart.png().unwrap(), chart.png().unwrap());
}

#[test]
fn an_empty_chart_is_text_and_no_error() {
    let mut chart = samples::distribution(false);
    shrink(&mut chart.frame);
    chart.series.clear();
    let picture = Picture::of(&chart);
    for i in 0..3 {
        assert_eq!(picture.count(SeriesStyle::new(i).color), 0);
    }
    assert!(picture.colors.len() > 10, "no text was drawn");
}

#[test]
fn a_file_is_written_only_when_the_chart_can_be_drawn() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("chart.png");
    let mut chart = samples::ranked();
    shrink(&mut chart.frame);
    chart.panels[0].values[0] = f64::NAN;
    assert!(matches!(
        chart.draw(&path).unwrap_err(),
        PlotError::NotFinite { .. }
    ));
    assert!(!path.exists());

    chart.panels[0].values[0] = 1.0;
    chart.draw(&path).unwrap();
    let picture = Picture::decode(&std::fs::read(&path).unwrap());
    assert_eq!(picture.width, 600);

    let nowhere = directory.path().join("missing").join("chart.png");
    assert!(matches!(
        chart.draw(&nowhere).unwrap_err(),
        PlotError::Write { path, .. } if path == nowhere
    ));
}
