//! Where things lie.
//!
//! ```text
//! EXPERIMENT/experiment.json
//! EXPERIMENT/runs/high-load.prefork.1/manifest.json
//!                                     httpd.conf, error.log
//!                                     kernel_requests/part-00000.parquet …
//! EXPERIMENT/report/
//!
//! RECORDING/manifest.json                      of a live server
//!           kernel_requests/part-00000.parquet …
//!           report/
//! ```

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{
    Experiment, Manifest, RecordingError,
    manifest::{read_json, write_json},
};
use crate::scenario::Mpm;

/// Name of the file that makes a directory an experiment.
pub const EXPERIMENT_FILE: &str = "experiment.json";
/// Name of the file that makes a directory a recording of one server.
pub const MANIFEST_FILE: &str = "manifest.json";
const RUNS: &str = "runs";

/// Whether a directory is a recording of one server, as `record` and `join` write it, and no
/// experiment.
#[must_use]
pub fn is_of_one_server(dir: &Path) -> bool {
    !dir.join(EXPERIMENT_FILE).exists() && dir.join(MANIFEST_FILE).exists()
}

impl Experiment {
    /// Writes it into the experiment's directory.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, dir: &Path) -> Result<(), RecordingError> {
        write_json(&dir.join(EXPERIMENT_FILE), self)
    }

    /// Reads it from the experiment's directory.
    ///
    /// # Errors
    /// When the file is missing, broken, or of a later format.
    pub fn read(dir: &Path) -> Result<Self, RecordingError> {
        read_json(&dir.join(EXPERIMENT_FILE))
    }
}

/// The directory of one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunDir {
    path: PathBuf,
}

impl RunDir {
    /// Name of a run's directory.
    #[must_use]
    pub fn name(scenario: &str, mpm: Mpm, repetition: u32) -> String {
        format!("{scenario}.{mpm}.{repetition}")
    }

    /// Makes the directory of a new run.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn create(experiment: &Path, name: &str) -> Result<Self, RecordingError> {
        let path = experiment.join(RUNS).join(name);
        fs::create_dir_all(&path).map_err(RecordingError::io(&path))?;
        Ok(Self { path })
    }

    /// A directory that is a recording in itself, as that of a live server is.
    #[must_use]
    pub fn at(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
        }
    }

    /// The directory of a run that exists.
    #[must_use]
    pub fn of(experiment: &Path, name: &str) -> Self {
        Self {
            path: experiment.join(RUNS).join(name),
        }
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the manifest.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_manifest(&self, manifest: &Manifest) -> Result<(), RecordingError> {
        write_json(&self.path.join(MANIFEST_FILE), manifest)
    }

    /// Reads the manifest.
    ///
    /// # Errors
    /// When the file is missing, broken, or of a later format.
    pub fn read_manifest(&self) -> Result<Manifest, RecordingError> {
        read_json(&self.path.join(MANIFEST_FILE))
    }
}
