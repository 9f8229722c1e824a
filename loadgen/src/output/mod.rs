//! What a run leaves in files: rows, time series, an HdrHistogram log, a picture.
//!
//! Each of them is a [`RowSink`](crate::RowSink), so that any number of them can stand
//! behind a [`Tee`](crate::Tee), and needs the same memory however long the run is
//! (Parquet, whose index stands at the end of the file, grows a little:
//! see [`ParquetRows`]).
//!
//! - Rows of every request: [`ParquetRows`], [`CsvRows`] and, in the layout of
//!   [`row`](crate::row), [`RowWriter`](crate::RowWriter); [`RowFormat`] chooses by the
//!   name of the file. The first two have the same columns by the same names: those of
//!   [`Row`](crate::Row), without a value where nothing happened, addresses and outcome as
//!   text, the flags as `retried`, `reused`, `kept`, `warm_up` and `waited`, and
//!   `wall_offset_ns`, which added to a time gives nanoseconds since 1970.
//! - Figures by the second, [`Second`]: [`Series`] as CSV or JSON, [`HdrLog`] for the tools
//!   of HdrHistogram; [`BySecond`] makes either a sink.
//! - [`Course`], from which [`picture`] is drawn when the run is over.

mod about;
mod by_second;
mod columns;
mod course;
mod csv_rows;
mod format;
mod hdr_log;
mod parquet_rows;
mod picture;
mod seconds;
mod series;

pub use about::About;
pub(crate) use about::shown;
pub use by_second::{BySecond, SecondWriter};
pub use course::{Course, SharedCourse};
pub use csv_rows::CsvRows;
pub use format::{RowFormat, SeriesFormat};
pub use hdr_log::HdrLog;
pub use parquet_rows::ParquetRows;
pub use picture::picture;
pub use seconds::Second;
pub use series::Series;
