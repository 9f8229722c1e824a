//! The flags of ab.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

/// Flags with ab's letters and ab's meaning.
#[derive(Debug, Args)]
pub(super) struct AbArgs {
    /// Number of requests; without -n and -t, one
    #[arg(short = 'n', value_name = "REQUESTS")]
    pub(super) requests: Option<u64>,

    /// Requests at once
    #[arg(short = 'c', value_name = "CONCURRENCY", default_value_t = 1)]
    pub(super) concurrency: u32,

    /// Use keep-alive connections; without it, every request has a connection of its own
    #[arg(short = 'k')]
    pub(super) keep_alive: bool,

    /// End after so many seconds, or after -n requests if that is earlier
    #[arg(short = 't', value_name = "SECONDS", value_parser = seconds)]
    pub(super) time_limit: Option<Duration>,

    /// Longest time for a request, connecting included, in seconds
    #[arg(short = 's', value_name = "TIMEOUT", default_value = "30", value_parser = seconds)]
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

fn seconds(text: &str) -> Result<Duration, String> {
    text.parse::<f64>()
        .ok()
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .filter(|duration| !duration.is_zero())
        .ok_or_else(|| "must be a number of seconds above 0".to_owned())
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text
        .split_once(':')
        .ok_or("must look like \"Name: value\"")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}
