//! The flags of ab.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::units::time;

/// Flags with ab's letters and ab's meaning.
#[derive(Debug, Args)]
pub(super) struct AbArgs {
    /// Number of requests; without -n and -t, one
    #[arg(short = 'n', long, value_name = "REQUESTS")]
    pub(super) requests: Option<u64>,

    /// Requests at once, which is connections at once; without -c, one
    #[arg(short = 'c', long, value_name = "CONCURRENCY")]
    pub(super) concurrency: Option<u32>,

    /// Use keep-alive connections; without it, every request has a connection of its own
    #[arg(short = 'k', long)]
    pub(super) keep_alive: bool,

    /// End after this time, or after -n requests if that is earlier: 10, 10s, 500ms, 2m (-d is
    /// ab's, it has no short form)
    #[arg(short = 't', long, value_name = "TIME", value_parser = time)]
    pub(super) duration: Option<Duration>,

    /// Longest time for a request, connecting included
    #[arg(short = 's', long, value_name = "TIME", default_value = "30", value_parser = time)]
    pub(super) timeout: Duration,

    /// A further header, "Name: value"; may be repeated
    #[arg(short = 'H', value_name = "HEADER", value_parser = header)]
    pub(super) headers: Vec<(String, String)>,

    /// Request method
    #[arg(short = 'm', value_name = "METHOD", conflicts_with = "head")]
    pub(super) method: Option<String>,

    /// Send HEAD requests
    #[arg(short = 'i')]
    pub(super) head: bool,

    /// Send the content of this file as the body; the method is then POST unless -m says otherwise
    #[arg(short = 'p', value_name = "FILE", conflicts_with = "head")]
    pub(super) body_file: Option<PathBuf>,

    /// Content-Type of the body
    #[arg(
        short = 'T',
        value_name = "TYPE",
        requires = "body_file",
        default_value = "text/plain"
    )]
    pub(super) content_type: String,

    /// No progress
    #[arg(short = 'q')]
    pub(super) quiet: bool,
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text
        .split_once(':')
        .ok_or("must look like \"Name: value\"")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}
