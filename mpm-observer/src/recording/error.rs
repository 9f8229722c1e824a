//! What can go wrong with a recording.

use std::{io, path::PathBuf};

use thiserror::Error;

/// Each message names the file.
#[derive(Debug, Error)]
pub enum RecordingError {
    /// A file or directory could not be made, written or read.
    #[error("{path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A Parquet file could not be written.
    #[error("{path}: {source}")]
    Parquet {
        /// Which.
        path: PathBuf,
        /// Why.
        source: parquet::errors::ParquetError,
    },
    /// Rows could not be turned into columns or back.
    #[error("{path}: {source}")]
    Columns {
        /// Which table.
        path: PathBuf,
        /// Why.
        source: serde_arrow::Error,
    },
    /// A manifest is not readable as one.
    #[error("{path}: {source}")]
    Manifest {
        /// Which.
        path: PathBuf,
        /// Why, with line and column.
        source: serde_json::Error,
    },
    /// Written by another version.
    #[error(
        "{path} has format {found}, this version reads format {known}: use the version that wrote \
         it, or record again"
    )]
    Format {
        /// Which manifest.
        path: PathBuf,
        /// The file's format.
        found: u32,
        /// The format known here.
        known: u32,
    },
}

impl RecordingError {
    pub(super) fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        |source| Self::Io { path, source }
    }
}
