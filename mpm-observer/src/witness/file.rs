//! The file of what was shown, beside the recording.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Incident, Truth};
use crate::{
    recording::{FORMAT, RecordingError, read_json, write_json},
    scenario::Mpm,
};

const FILE: &str = "witness.json";

/// What one side's metrics showed of an incident.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Shown {
    /// How long after the trouble's begin they first showed it, seconds; `None`: they never did.
    pub after_s: Option<f64>,
    /// The largest amount that they showed meanwhile; `None` without a value.
    pub largest: Option<f64>,
}

/// What Prometheus knew of one incident.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Testimony {
    /// The scenario.
    pub scenario: String,
    /// The MPM.
    pub mpm: Mpm,
    /// Which repetition, from 1.
    pub repetition: u32,
    /// What it was.
    pub incident: Incident,
    /// What really happened.
    pub truth: Truth,
    /// What mod_status' metrics showed; `None`: it has none that could.
    pub mod_status: Option<Shown>,
    /// What the kernel's metrics showed.
    pub kernel: Shown,
    /// For how much of the incident mod_status did not answer, 0 to 1, by the values that
    /// Prometheus has; `None` if it has none.
    pub silent: Option<f64>,
}

/// All of an experiment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Witness {
    /// [`FORMAT`].
    format: u32,
    /// How often Prometheus asked, seconds.
    pub interval_s: f64,
    /// By run and incident.
    pub testimonies: Vec<Testimony>,
}

impl Witness {
    /// That of an experiment.
    #[must_use]
    pub const fn new(interval_s: f64, testimonies: Vec<Testimony>) -> Self {
        Self {
            format: FORMAT,
            interval_s,
            testimonies,
        }
    }

    /// Writes it into the experiment's directory.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, dir: &Path) -> Result<(), RecordingError> {
        write_json(&dir.join(FILE), self)
    }

    /// Reads it from the experiment's directory; `None` if no Prometheus watched.
    ///
    /// # Errors
    /// When the file is broken or of another format.
    pub fn read(dir: &Path) -> Result<Option<Self>, RecordingError> {
        let path = dir.join(FILE);
        if !path.exists() {
            return Ok(None);
        }
        read_json(&path).map(Some)
    }
}
