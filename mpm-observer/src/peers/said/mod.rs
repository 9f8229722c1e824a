//! What the clients print, read for the two numbers that a comparison needs: one file per tool.

mod ab;
mod h2load;
mod hey;
mod oha;
mod wrk;

pub use ab::{AbAccount, AbReport, AbSaid};
use serde::{Deserialize, Serialize};

use super::Client;

/// A client's own count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// Requests that it took for answered.
    pub requests: u64,
    /// Failures, whatever it counts as one. Requests cut off by the end of the time are none.
    pub failed: u64,
}

impl Said {
    /// Reads what a client printed to standard output; `None` if there is no result in it.
    #[must_use]
    pub fn read(client: Client, output: &str) -> Option<Self> {
        match client {
            // loadgen has ab's layout, with counts of its own.
            Client::Loadgen { .. } | Client::Ab => {
                let report = AbReport::read(output)?;
                Some(Self {
                    requests: report.complete,
                    failed: report.failed,
                })
            }
            Client::Wrk => wrk::read(output),
            Client::Oha => oha::read(output),
            Client::H2load => h2load::read(output),
            Client::Hey => hey::read(output),
        }
    }
}

/// The number at the beginning of a text.
fn leading_number(text: &str) -> Option<u64> {
    let text = text.trim_start();
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    text[..end].parse().ok()
}
