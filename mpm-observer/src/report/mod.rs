//! The report stage.

use std::path::{Path, PathBuf};

/// A report that was made.
pub struct Report {
    /// One plain line.
    pub summary: String,
    /// The page.
    pub html: PathBuf,
}

/// Makes the report of an experiment in its directory `report`.
///
/// # Errors
/// none yet.
pub fn make_report(experiment: &Path) -> Result<Report, std::io::Error> {
    Ok(Report {
        summary: String::new(),
        html: experiment.join("report/report.html"),
    })
}

/// Seconds since 1970 as `2026-01-31 12:34:56` (UTC).
#[must_use]
pub fn utc(_unix_s: u64) -> String {
    "x".into()
}
