//! What can go wrong, said so that the caller knows what to change.

use std::path::PathBuf;

/// Why a chart could not be drawn. A chart without data is not among the reasons: it is drawn.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlotError {
    /// A value is NaN or infinite.
    #[error("series \"{series}\": {what} is {value}; leave it out or pass a finite number")]
    NotFinite {
        /// Name of the series, row or panel.
        series: String,
        /// Which of its values, e.g. `value`.
        what: &'static str,
        /// The value.
        value: f64,
    },
    /// A value is negative where the chart has no place for one.
    #[error("series \"{series}\": {what} is {value}; this chart shows no negative values")]
    Negative {
        /// Name of the series, row or panel.
        series: String,
        /// Which of its values.
        what: &'static str,
        /// The value.
        value: f64,
    },
    /// A value is zero where a logarithmic axis has no place for it.
    #[error("series \"{series}\": {what} is 0, which has no place on this logarithmic axis")]
    NotPositive {
        /// Name of the series or row.
        series: String,
        /// Which of its values.
        what: &'static str,
    },
    /// A quantile is not in 0 ..= 1, or is 1, which has no place on an axis of nines.
    #[error(
        "series \"{series}\": quantile {quantile} is not in 0 <= q < 1; for the maximum, pass 1 - 1/n"
    )]
    Quantile {
        /// Name of the series.
        series: String,
        /// The quantile.
        quantile: f64,
    },
    /// Charts cannot be put below each other.
    #[error("charts in a column need one width and one scale, and there must be one at least")]
    Column,
    /// The low end of an interval is above its high end.
    #[error("series \"{series}\": the interval's low end {low} is above its high end {high}")]
    Interval {
        /// Name of the series or row.
        series: String,
        /// Low end.
        low: f64,
        /// High end.
        high: f64,
    },
    /// A row has more or fewer values than the chart has series.
    #[error("\"{row}\" has {found} values, but the chart has {expected} series; pass one for each")]
    Length {
        /// Label of the row or group.
        row: String,
        /// Number of values passed.
        found: usize,
        /// Number of series.
        expected: usize,
    },
    /// An index names a category, kind or lane that the chart does not have.
    #[error(
        "series \"{series}\": there is no {what} {index}; they count from 0 and there are {count}"
    )]
    Index {
        /// Label of the lane or title of the group.
        series: String,
        /// What the index names, e.g. `category`.
        what: &'static str,
        /// The index.
        index: usize,
        /// How many there are.
        count: usize,
    },
    /// The picture is too small to hold a chart, or too large to make.
    #[error(
        "a picture of {width}x{height} at scale {scale} cannot be made: width 480 to 4000, \
         height 320 to 8000, scale 1 to 4; split a chart with too many rows"
    )]
    Size {
        /// Width in points.
        width: u32,
        /// Height in points, as far as the rows make it grow.
        height: u32,
        /// Pixels per point.
        scale: u32,
    },
    /// The file could not be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The PNG encoder failed.
    #[error("cannot encode the picture as PNG")]
    Encode(#[from] png::EncodingError),
    /// The drawing backend failed.
    #[error("cannot draw the picture: {0}")]
    Raster(String),
    /// The compiled-in font could not be read.
    #[error("cannot read the compiled-in font")]
    Font(#[from] ab_glyph::InvalidFont),
}
