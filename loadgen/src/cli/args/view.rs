//! What is shown while a run goes on.

use clap::Args;

/// The view of a running run.
#[derive(Debug, Args)]
pub(in crate::cli) struct ViewArgs {
    /// Tell how far the run is in plain lines, also on a terminal
    #[arg(long)]
    pub(in crate::cli) plain: bool,
}
