//! What is printed and written.

use std::path::PathBuf;

use clap::Args;

/// Where the figures go.
#[derive(Debug, Args)]
pub(in crate::cli) struct OutputArgs {
    /// Write the summary with its histograms to this file
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) json: Option<PathBuf>,

    /// Write one row of 144 bytes per request to this file
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) rows: Option<PathBuf>,
}
