//! What a search found: the file `limit.json` in its directory.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{
    kind::Kind,
    search::{Border, Reversal, Search},
    trial::{Counts, Signs},
};
use crate::{
    recording::{FORMAT, Machine, RecordingError, read_json, write_json},
    scenario::{Mpm, RunPlan},
    statistics::{Ends, wilson},
};

/// Name of the file in the search's directory.
pub const LIMIT_FILE: &str = "limit.json";

/// A search, as far as it came. Values are in the unit of [`Found::key`]: kibibytes for the keys
/// that end in `_kb`, else a count.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Found {
    /// The recording's format.
    pub format: u32,
    /// [`Kind::name`] of the limit.
    pub kind: String,
    /// Its key in a scenario's `[limits]`.
    pub key: String,
    /// What counted as a failure.
    pub counts: Counts,
    /// Trials without a failure that made a value safe.
    pub repetitions: u32,
    /// How far the lowest safe value might be above the highest failing one: 0.02 for 2 %.
    pub precision: f64,
    /// The command line.
    pub command: Vec<String>,
    /// Where.
    pub machine: Machine,
    /// httpd's version line; empty before the first trial.
    pub httpd_version: String,
    /// Whether the user ended it early.
    pub interrupted: bool,
    /// What was found of each MPM, in the order of [`Mpm::ALL`].
    pub searches: Vec<Searched>,
}

/// What was found of one MPM.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Searched {
    /// The MPM.
    pub mpm: Mpm,
    /// What its trials ran, without the limit.
    pub plan: RunPlan,
    /// The border between failing and serving.
    pub border: Border,
    /// The lowest and the highest value at which some trials failed and others did not.
    pub mixed: Option<(u64, u64)>,
    /// Failures above values that had been safe.
    pub reversals: Vec<Reversal>,
    /// All values that were tried, from the lowest.
    pub values: Vec<Tried>,
    /// All trials, in their order.
    pub trials: Vec<Trial>,
}

/// The trials of one value together.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tried {
    /// The value.
    pub value: u64,
    /// How many trials it had.
    pub trials: u32,
    /// How many of them failed.
    pub failures: u32,
    /// Low end of the share of failures' 95 % interval by Wilson.
    pub low: f64,
    /// Its high end.
    pub high: f64,
    /// The share of all its requests that were not answered with 2xx.
    pub request_failure_share: f64,
}

/// One trial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// The value that was tried.
    pub value: u64,
    /// Which trial of this value, from 1.
    pub repetition: u32,
    /// Directory of the run below `runs`.
    pub run: String,
    /// Whether that directory was kept.
    pub kept: bool,
    /// How long it took, httpd's start and end included.
    pub took_ms: u64,
    /// Whether it counts as a failure.
    pub failed: bool,
    /// What it showed.
    pub signs: Signs,
}

impl Searched {
    /// A search with its trials.
    #[must_use]
    pub fn of(plan: RunPlan, search: &Search, trials: Vec<Trial>) -> Self {
        let values = search.tallies().iter().map(|(value, tally)| {
            let of_value = || trials.iter().filter(|trial| trial.value == *value);
            let shares: f64 = of_value().map(|trial| trial.signs.failure_share()).sum();
            let share = f64::from(tally.failures) / f64::from(tally.trials.max(1));
            let Ends { low, high } = wilson(share, tally.trials as usize);
            // More digits tell nothing, and would not be read back as they were written.
            let rounded = |share: f64| (share * 1e6).round() / 1e6;
            Tried {
                value: *value,
                trials: tally.trials,
                failures: tally.failures,
                low: rounded(low),
                high: rounded(high),
                request_failure_share: rounded(shares / of_value().count().max(1) as f64),
            }
        });
        Self {
            mpm: plan.mpm,
            border: search.border(),
            mixed: search.mixed(),
            reversals: search.reversals().to_vec(),
            values: values.collect(),
            plan,
            trials,
        }
    }

    /// The trials of a value together.
    #[must_use]
    pub fn tried(&self, value: u64) -> Option<&Tried> {
        self.values.iter().find(|tried| tried.value == value)
    }

    /// What the first failing trial of a value showed.
    #[must_use]
    pub fn failure_at(&self, value: u64) -> Option<&Signs> {
        self.trials
            .iter()
            .find(|trial| trial.value == value && trial.failed)
            .map(|trial| &trial.signs)
    }
}

impl Found {
    /// Writes it into the search's directory.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, dir: &Path) -> Result<(), RecordingError> {
        write_json(&dir.join(LIMIT_FILE), self)
    }

    /// Reads it from the search's directory.
    ///
    /// # Errors
    /// When the file is missing, broken, or of another format.
    pub fn read(dir: &Path) -> Result<Self, RecordingError> {
        read_json(&dir.join(LIMIT_FILE))
    }

    /// The limit; `None` if this version knows none of that name.
    #[must_use]
    pub fn kind(&self) -> Option<&'static Kind> {
        Kind::named(&self.kind)
    }

    /// How many trials were made.
    #[must_use]
    pub fn trials(&self) -> usize {
        self.searches.iter().map(|one| one.trials.len()).sum()
    }

    /// An empty one.
    #[must_use]
    pub(super) fn begin(kind: &Kind, counts: Counts, command: &[String]) -> Self {
        Self {
            format: FORMAT,
            kind: kind.name.into(),
            key: kind.key.into(),
            counts,
            repetitions: 0,
            precision: 0.0,
            command: command.to_vec(),
            machine: Machine::default(),
            httpd_version: String::new(),
            interrupted: false,
            searches: Vec::new(),
        }
    }
}
