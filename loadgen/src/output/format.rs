//! Formats by the names of files.

use std::io::{self, Write};
use std::path::Path;

use super::{About, CsvRows, ParquetRows};
use crate::{RowSink, RowWriter};

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowFormat {
    /// 144 bytes a row, as [`row`](crate::row) describes them.
    Binary,
    /// A line a row, with a header.
    Csv,
    /// Columns, compressed.
    Parquet,
}

impl RowFormat {
    /// `.csv` and `.parquet` mean what they say; every other name is binary.
    #[must_use]
    pub fn of(path: &Path) -> Self {
        match extension(path).as_str() {
            "csv" => Self::Csv,
            "parquet" => Self::Parquet,
            _ => Self::Binary,
        }
    }

    /// A sink that writes this format to `target`, which needs no buffer of its own.
    ///
    /// # Errors
    /// When the head of the file cannot be written.
    pub fn sink(
        self,
        target: impl Write + Send + 'static,
        about: &About,
    ) -> io::Result<Box<dyn RowSink>> {
        Ok(match self {
            Self::Binary => Box::new(RowWriter::new(target)),
            Self::Csv => Box::new(CsvRows::new(target, about)),
            Self::Parquet => Box::new(ParquetRows::new(target, about)?),
        })
    }
}

/// How a time series is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeriesFormat {
    /// A line a second, with a header.
    Csv,
    /// A JSON object a line.
    JsonLines,
}

impl SeriesFormat {
    /// `.json`, `.jsonl` and `.ndjson` are JSON; every other name is CSV.
    #[must_use]
    pub fn of(path: &Path) -> Self {
        match extension(path).as_str() {
            "json" | "jsonl" | "ndjson" => Self::JsonLines,
            _ => Self::Csv,
        }
    }
}

fn extension(path: &Path) -> String {
    let extension = path.extension().unwrap_or_default();
    extension.to_string_lossy().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_tells_the_format() {
        let rows = |name: &str| RowFormat::of(Path::new(name));
        assert_eq!(rows("a.b/rows.parquet"), RowFormat::Parquet);
        assert_eq!(rows("ROWS.CSV"), RowFormat::Csv);
        for name in ["rows", "rows.bin", "csv", ".parquet", "a.csv/rows"] {
            assert_eq!(rows(name), RowFormat::Binary, "{name}");
        }
        let series = |name: &str| SeriesFormat::of(Path::new(name));
        assert_eq!(series("s.csv"), SeriesFormat::Csv);
        assert_eq!(series("s.jsonl"), SeriesFormat::JsonLines);
    }
}
