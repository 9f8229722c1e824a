//! How many connections loadgen has at once, and what it says where a limit forbids them.

use serde::{Deserialize, Serialize};

use super::Said;
use crate::overhead::Verdict;

/// Connections that it is to have.
pub(super) const ASKED: u32 = 15_000;
/// A limit of open files that is too low for them.
pub(super) const LOW_LIMIT: u64 = 1000;

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MostResult {
    /// Connections asked for.
    pub asked: u32,
    /// The most that the server saw at once.
    pub together: u64,
    /// Requests that the server counted.
    pub requests: u64,
    /// loadgen's own count; `None` if it did not run.
    pub said: Option<Said>,
    /// The most of loadgen's memory that was resident.
    pub peak_rss_bytes: u64,
    /// What it said instead of running, if this machine's own limit is too low.
    pub refusal: Option<String>,
    /// A limit of open files that is too low for them.
    pub low_limit: u64,
    /// What it said of that one.
    pub low_limit_line: String,
}

impl MostResult {
    /// All connections were there at once, and a limit that is too low is named in one line
    /// together with what was asked for.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        if !names_limit(&self.low_limit_line, self.asked, self.low_limit) {
            return Verdict::NotReached;
        }
        match &self.refusal {
            Some(_) => Verdict::Undecided,
            None if self.together >= u64::from(self.asked) => Verdict::Reached,
            None => Verdict::NotReached,
        }
    }
}

/// Whether a line names the number asked for and the limit, so that a user knows what to change.
fn names_limit(line: &str, asked: u32, limit: u64) -> bool {
    let words = line.split(|c: char| !c.is_ascii_digit());
    let numbers: Vec<&str> = words.collect();
    let has = |number: &str| numbers.contains(&number);
    has(&asked.to_string()) && has(&limit.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(together: u64, refusal: Option<&str>, line: &str) -> MostResult {
        MostResult {
            asked: 15_000,
            together,
            requests: 100_000,
            said: None,
            peak_rss_bytes: 0,
            refusal: refusal.map(str::to_owned),
            low_limit: 1000,
            low_limit_line: line.to_owned(),
        }
    }

    #[test]
    fn both_the_connections_and_the_clear_line_are_needed() {
        let line = "loadgen: 15000 connections need 15010 open files, but the limit of this \
            process is 1000 (hard limit 1000): ...";
        assert_eq!(result(15_000, None, line).verdict(), Verdict::Reached);
        assert_eq!(result(14_999, None, line).verdict(), Verdict::NotReached);
        assert_eq!(result(0, Some(line), line).verdict(), Verdict::Undecided);
        let unclear = "loadgen: Too many open files (os error 24)";
        assert_eq!(result(15_000, None, unclear).verdict(), Verdict::NotReached);
    }
}
