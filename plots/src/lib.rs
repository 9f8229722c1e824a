//! Charts of latency, phases and resources, drawn as PNG.
//!
//! One file per kind of chart. Each chart is a plain struct of data with a [`Frame`] (title,
//! subtitle, footnote, size); [`Chart::draw`] writes it to a file, [`Chart::png`] returns the
//! bytes. The crate knows charts, not what is measured: the caller passes names, units and, for
//! each series, a [`SeriesStyle`], so that one thing keeps its colour in every chart.
//!
//! What holds for every chart:
//! - Legends and labels stand beside the data, never on it.
//! - A chart without data is drawn and says why ([`Frame::no_data`]); that is no error.
//! - A value that is not finite is an error that names its series.
//! - The text is set in DejaVu Sans, which is compiled in; no font of the system is used.
//!
//! ```
//! use plots::{Chart, Frame, PercentilePoint, PercentileSeries, Percentiles, SeriesStyle, Unit};
//!
//! let chart = Percentiles {
//!     frame: Frame::new("Latency by percentile").footnote("n = 1,000"),
//!     x_title: "percentile of requests".into(),
//!     y_title: "latency".into(),
//!     unit: Unit::Nanoseconds,
//!     series: vec![PercentileSeries {
//!         name: "event".into(),
//!         style: SeriesStyle::new(0),
//!         points: vec![
//!             PercentilePoint { quantile: 0.5, value: 350_000.0, band: None },
//!             PercentilePoint { quantile: 0.99, value: 1_200_000.0, band: None },
//!         ],
//!     }],
//! };
//! let png = chart.png()?;
//! assert!(png.starts_with(b"\x89PNG"));
//! # Ok::<(), plots::PlotError>(())
//! ```

#[cfg(test)]
extern crate self as plots;

mod axis;
mod bars;
mod chart;
mod curves;
mod data;
mod distribution;
mod error;
mod flags;
mod frame;
mod grid;
mod intervals;
mod lanes;
#[cfg(test)]
mod layout_tests;
mod lines;
mod page;
mod percentiles;
mod ranked;
mod raster;
mod scene;
mod stacked;
mod style;
mod text;
mod ticks;
mod timeline;
mod unit;

pub use bars::{BarGroup, BarPanel, Bars};
pub use chart::{Chart, png_in_column};
pub use curves::{CurveMark, CurvePoint, CurveSeries, Curves};
pub use data::{Estimate, Interval, Series};
pub use distribution::{Distribution, DistributionSeries};
pub use error::PlotError;
pub use frame::Frame;
pub use intervals::{IntervalRow, Intervals};
pub use lanes::{Lane, LaneCounter, LaneGroup, LaneLink, LaneMark, LaneSlice, LaneSpan, Lanes};
pub use percentiles::{PercentilePoint, PercentileSeries, Percentiles};
pub use ranked::{Ranked, RankedPanel};
pub use stacked::{Stacked, StackedPanel, StackedRow};
pub use style::{Color, Marker, SeriesStyle};
pub use timeline::{
    EventMarker, LimitLine, Timeline, TimelinePanel, TimelinePoint, TimelineSeries,
};
pub use unit::Unit;
