//! A run's figures for people, in the layout of Apache's `ab`, and for programs.

mod ab_files;
mod ab_table;
mod html;
mod text;

use serde::{Deserialize, Serialize};

use crate::cluster::FleetReport;
use crate::{Config, Outcome, Summary};

pub use ab_files::{Gnuplot, percentages_csv};
pub use ab_table::ab_table;
pub use html::{HtmlAttributes, html};
pub use text::{Layout, text};

/// What `--json` writes: the summary, and what it is the summary of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JsonReport {
    /// Version of loadgen.
    pub loadgen_version: String,
    /// What was asked for.
    pub url: String,
    /// The request method.
    pub method: String,
    /// Requests at once.
    pub concurrency: u32,
    /// Whether connections were used again.
    pub keep_alive: bool,
    /// All of the [`Config`]; the body as its length `body_bytes`, and without credentials.
    #[serde(default)]
    pub config: serde_json::Value,
    /// Who did what, in a run on several machines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workers: Option<FleetReport>,
    /// The figures.
    #[serde(flatten)]
    pub summary: Summary,
}

impl JsonReport {
    /// The report of a run of `config`.
    #[must_use]
    pub fn new(config: &Config, summary: Summary) -> Self {
        let target = config.target();
        Self {
            loadgen_version: env!("CARGO_PKG_VERSION").to_owned(),
            url: target.url(),
            method: config.method.clone(),
            concurrency: config.concurrency,
            keep_alive: config.keep_alive,
            config: crate::output::shown(config),
            workers: None,
            summary,
        }
    }
}

/// The failed requests in the groups of ab's line "(Connect: …)".
struct FailureGroups {
    connect: u64,
    receive: u64,
    length: u64,
    exceptions: u64,
}

impl FailureGroups {
    fn of(summary: &Summary) -> Self {
        let sum = |outcomes: &[Outcome]| summary.outcomes.sum_where(|o| outcomes.contains(&o));
        Self {
            connect: sum(&[
                Outcome::Refused,
                Outcome::ResetConnecting,
                Outcome::ConnectFailed,
            ]),
            // Stale connections that were met and not tried again count as closed.
            receive: sum(&[
                Outcome::ResetBeforeFirstByte,
                Outcome::ResetInBody,
                Outcome::ClosedEarly,
            ]) + summary.outcomes.get(Outcome::StaleKeepAlive)
                - summary.stale_retries,
            length: sum(&[Outcome::ShortBody, Outcome::WrongBody]),
            exceptions: sum(&[Outcome::Malformed, Outcome::Timeout]),
        }
    }
}

fn ms(ns: f64) -> f64 {
    ns / 1e6
}
