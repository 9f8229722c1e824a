//! What a finding is.

use serde::{Deserialize, Serialize};

use super::Change;
use crate::scenario::Mpm;

/// One explanation of what happened to one MPM in one scenario, over all its repetitions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// Name of the rule that found it, in small letters with `-`.
    pub rule: String,
    /// The scenario.
    pub scenario: String,
    /// The MPM.
    pub mpm: Mpm,
    /// Repetitions in which it was found.
    pub runs: Vec<u32>,
    /// Repetitions that there are.
    pub of_runs: u32,
    /// How much harm was done: the share of slots, connections or requests that were affected,
    /// from 0 to 1. Findings are told in the order of it.
    pub weight: f64,
    /// What happened, with its figures, in one or two sentences.
    pub sentence: String,
    /// What it rests on.
    pub evidence: Vec<Evidence>,
    /// What would have been evidence and is not there, each with the reason.
    pub missing: Vec<String>,
    /// What would have helped.
    pub remedies: Vec<Remedy>,
}

/// Rows of the recording.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// The run's directory.
    pub run: String,
    /// The table, or the file, in it.
    pub table: String,
    /// How many rows or lines.
    pub rows: u64,
    /// The first of them in words.
    pub example: String,
}

/// What would have helped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remedy {
    /// In one sentence, with the value.
    pub text: String,
    /// The change that a further run can be made with; `None` where only a person can make it.
    pub change: Option<Change>,
}
