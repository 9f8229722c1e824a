//! `mpm-observer report`

use std::path::PathBuf;

use clap::Args;

use super::exit::{CommandResult, Exit};
use crate::report::make_report;

/// Options of `report`.
#[derive(Debug, Args)]
pub(super) struct ReportArguments {
    /// Directory of the experiment, or of the recording of a live server
    experiment: PathBuf,
}

/// Runs it.
pub(super) fn run(arguments: &ReportArguments) -> CommandResult {
    let report =
        make_report(&arguments.experiment).map_err(|error| (Exit::Failed, error.to_string()))?;
    if !report.table.is_empty() {
        println!("{}", report.table);
    }
    println!("{}", report.summary);
    println!("report: {}", report.html.display());
    Ok(Exit::Done)
}
