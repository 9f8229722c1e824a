//! What is printed and written, and what is success.

use std::path::PathBuf;

use clap::Args;
use loadgen::Condition;

/// Where the figures go.
#[derive(Debug, Args)]
pub(in crate::cli) struct OutputArgs {
    /// Write the summary with its histograms and the settings to this file
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) json: Option<PathBuf>,

    /// Write a row per request: FILE.parquet, FILE.csv, any other name binary (144 bytes each);
    /// may be repeated
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) rows: Vec<PathBuf>,

    /// Write a line per second: FILE.json as JSON lines, any other name as CSV; may be repeated
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) series: Vec<PathBuf>,

    /// Write the latencies of each second as a log of HdrHistogram
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) hdr_log: Option<PathBuf>,

    /// Draw percentiles, rate, latency and outcomes over time as a PNG
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) plot: Option<PathBuf>,

    /// End with code 4 when this holds for the finished run, and with 0 in spite of failed
    /// requests when none does, such as p99>200ms, failed>1%, rate<4900, timeout>0; may be
    /// repeated
    #[arg(long, value_name = "CONDITION")]
    pub(in crate::cli) fail_if: Vec<Condition>,

    /// End the run early, with code 4, when this holds for the requests so far, such as
    /// failed>100, refused>5% (a share counts from 100 requests on); may be repeated
    #[arg(long, value_name = "CONDITION")]
    pub(in crate::cli) stop_if: Vec<Condition>,
}
