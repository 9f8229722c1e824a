//! What is known about a run besides its tables, and about an experiment besides its runs.

use std::{fmt, fs, path::Path};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{LiveServer, RecordingError};
use crate::{
    kernel::Counters,
    scenario::{Expectation, Mpm, RunPlan, Tutorial},
};

/// The recording format that this version writes, and the only one it reads. Format 1 had one
/// column for all blocked time, format 2 no failures, format 3 only runs of the lab.
pub const FORMAT: u32 = 4;

/// How far a run came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Under way, or cut off: a finished run has another status.
    Running,
    /// All of it.
    Complete,
    /// httpd did not start; that is a result.
    NotStarted,
    /// The user ended it.
    Interrupted,
    /// Something of the observer's own failed.
    Failed(String),
}

/// The machine a run was made on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Kernel release.
    pub kernel: String,
    /// CPUs that the lab may use.
    pub cpus: u32,
    /// Memory in bytes.
    pub memory_bytes: u64,
    /// cgroup hierarchy of the memory controller: 1, 2, or 0 for none.
    pub memory_cgroup: u8,
}

/// How httpd came up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartOutcome {
    /// Whether it answered.
    pub answered: bool,
    /// From its first instruction to its first answer (or to giving up), milliseconds.
    pub took_ms: u64,
    /// Whether all slots were there before the load began (warm start).
    pub all_slots: bool,
    /// The slots that mod_status counted last (warm start).
    pub slots: Option<u32>,
    /// Why it did not come up, in one line.
    pub failure: Option<String>,
    /// Ports from which the observer asked whether httpd is ready.
    pub probe_ports: Vec<u16>,
    /// Codes (AHnnnnn) of warnings and errors in its log, in order, each once.
    pub log_codes: Vec<String>,
}

/// What the kernel counted of the run's own control group, from its making to its end. `None`:
/// this kernel or version has no such count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CgroupCounts {
    /// Forks and clones refused for `pids.max`.
    pub pids_refused: Option<u64>,
    /// How often memory reached its limit.
    pub memory_hits: Option<u64>,
    /// Processes killed for want of memory.
    pub oom_kills: Option<u64>,
    /// The most memory ever charged, bytes.
    pub memory_peak_bytes: Option<u64>,
}

/// What became of the slow clients beside the load.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldOutcome {
    /// Connections that were tried.
    pub tried: u32,
    /// … that reached what they wait in: half a head sent, an answer had, a file's begin read.
    pub held: u32,
    /// … of these, that the server had ended before the load did.
    pub ended_by_server: u32,
    /// When the first of these ended; 0 for none.
    pub first_end_ns: u64,
    /// Bytes that they read in all.
    pub bytes_read: u64,
}

/// What the load generator said of the measured load.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoadOutcome {
    /// The load generator's own summary.
    pub summary: loadgen::Summary,
    /// When the load began.
    pub began_ns: u64,
    /// When its last request ended.
    pub ended_ns: u64,
}

/// The time of which all events were kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceWindow {
    /// Its begin.
    pub from_ns: u64,
    /// Its end.
    pub until_ns: u64,
}

/// What was recorded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// A private httpd of the lab, with what was to be done.
    Lab(Box<RunPlan>),
    /// A server that ran already.
    Live(Box<LiveServer>),
}

impl Manifest {
    /// What was to be done; `None` of a live server.
    #[must_use]
    pub fn plan(&self) -> Option<&RunPlan> {
        match &self.origin {
            Origin::Lab(plan) => Some(plan),
            Origin::Live(_) => None,
        }
    }

    /// The same, to be changed.
    pub fn plan_mut(&mut self) -> Option<&mut RunPlan> {
        match &mut self.origin {
            Origin::Lab(plan) => Some(plan),
            Origin::Live(_) => None,
        }
    }

    /// The live server; `None` of a run of the lab.
    #[must_use]
    pub fn live(&self) -> Option<&LiveServer> {
        match &self.origin {
            Origin::Lab(_) => None,
            Origin::Live(server) => Some(server),
        }
    }
}

/// A run's manifest. Times in `_ns` are `CLOCK_MONOTONIC`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`FORMAT`] of the version that wrote it.
    pub format: u32,
    /// This program's version.
    pub observer_version: String,
    /// How far it came.
    pub status: Status,
    /// Which repetition, from 1.
    pub repetition: u32,
    /// The MPM of httpd.
    pub mpm: Mpm,
    /// What was recorded: a run of the lab or a live server.
    pub origin: Origin,
    /// Where.
    pub machine: Machine,
    /// Seconds since 1970 at the begin.
    pub began_unix_s: u64,
    /// Nanoseconds of that second.
    pub began_subsec_ns: u32,
    /// The same moment on the monotonic clock, read next: the two are apart by the time of one
    /// reading, below a microsecond unless the observer was preempted there.
    pub began_ns: u64,
    /// httpd's version line.
    pub httpd_version: String,
    /// httpd's binary.
    pub httpd_path: String,
    /// The user that httpd's children run as.
    pub httpd_user: String,
    /// httpd's port; of a live server's the lowest that is watched.
    pub port: u16,
    /// CPUs of httpd; empty: all.
    pub server_cpus: Vec<usize>,
    /// CPUs of the load generator and of the observer; empty: all.
    pub client_cpus: Vec<usize>,
    /// How httpd came up; of a live server only that it answered, as it ran.
    pub start: StartOutcome,
    /// The load, if it was begun and ended.
    pub load: Option<LoadOutcome>,
    /// The slow clients beside it, if there were any.
    pub held: Option<HeldOutcome>,
    /// What the kernel counted of the run's control group, where there is one.
    pub cgroup: Option<CgroupCounts>,
    /// Requests sent for warming up, before the load.
    pub warm_up_requests: u64,
    /// What the probes counted and lost.
    pub counters: Counters,
    /// The time of the trace, if one was made.
    #[serde(default)]
    pub trace: Option<TraceWindow>,
    /// Optional programs that this kernel refused.
    pub absent_programs: Vec<String>,
    /// When httpd was told to stop, or, if it did not come up, was given up; of a live server the
    /// end of the recording. 0: the run did not come so far. What happens later is no part of it.
    pub stop_ns: u64,
    /// CPU time that the observer used in user space during the run, nanoseconds.
    pub observer_cpu_ns: u64,
    /// Whether httpd and all its tasks were seen to be gone.
    pub server_gone: bool,
}

/// What a report says about a scenario, kept with the recording because the scenario's file may
/// not be there any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScenarioNotes {
    /// Its name, as in [`RunPlan::scenario`].
    pub name: String,
    /// Its title.
    pub title: String,
    /// What it does, in one sentence.
    pub what: String,
    /// What the tutorial says about it.
    pub tutorial: Option<Tutorial>,
    /// What is expected where no tutorial says it.
    pub expects: Option<Expectation>,
}

/// A part of the experiment that this machine cannot run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// The scenario.
    pub scenario: String,
    /// The MPM; `None`: all of them.
    pub mpm: Option<Mpm>,
    /// Why, in one line.
    pub why: String,
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.mpm {
            Some(mpm) => write!(f, "{} with {mpm}: {}", self.scenario, self.why),
            None => write!(f, "{}: {}", self.scenario, self.why),
        }
    }
}

/// What is known about an experiment: the runs lie in its directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Experiment {
    /// [`FORMAT`].
    pub format: u32,
    /// The scenarios, in the order in which they were run.
    pub scenarios: Vec<ScenarioNotes>,
    /// The command line.
    pub command: Vec<String>,
    /// Directories of the runs in the order in which they were made, below `runs`.
    pub runs: Vec<String>,
    /// Runs that were planned; skipped ones are not among them.
    pub planned: u32,
    /// What this machine cannot run.
    pub skipped: Vec<Skipped>,
    /// Whether the user ended it early.
    pub interrupted: bool,
}

/// The part of each file that every format has.
#[derive(Deserialize)]
struct FormatOnly {
    format: u32,
}

/// Writes `value` so that a reader sees the old file or the new one, never half of one.
pub(crate) fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<(), RecordingError> {
    let text = serde_json::to_string_pretty(value).map_err(|source| RecordingError::Manifest {
        path: path.into(),
        source,
    })?;
    let unfinished = path.with_extension("tmp");
    fs::write(&unfinished, text).map_err(RecordingError::io(&unfinished))?;
    fs::rename(&unfinished, path).map_err(RecordingError::io(path))
}

/// Reads what [`write_json`] wrote: an object with a field `format`.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, RecordingError> {
    let text = fs::read_to_string(path).map_err(RecordingError::io(path))?;
    let broken = |source| RecordingError::Manifest {
        path: path.into(),
        source,
    };
    // What another format holds may not even parse as this one.
    let FormatOnly { format } = serde_json::from_str(&text).map_err(broken)?;
    if format != FORMAT {
        return Err(RecordingError::Format {
            path: path.into(),
            found: format,
            known: FORMAT,
        });
    }
    serde_json::from_str(&text).map_err(broken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_experiment_of_another_format_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("experiment.json");
        let experiment = Experiment {
            format: FORMAT + 1,
            scenarios: vec![],
            command: vec!["lab".into()],
            runs: vec![],
            planned: 1,
            skipped: vec![],
            interrupted: false,
        };
        write_json(&path, &experiment).unwrap();
        let error = read_json::<Experiment>(&path).unwrap_err().to_string();
        assert!(error.contains("experiment.json has format 5"), "{error}");

        // Of an earlier one nothing but the number is known.
        fs::write(&path, "{\"format\": 1}").unwrap();
        let error = read_json::<Experiment>(&path).unwrap_err().to_string();
        assert!(error.contains("experiment.json has format 1"), "{error}");
    }

    #[test]
    fn a_broken_manifest_is_named_with_line_and_column() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("manifest.json");
        fs::write(&path, "{\n  \"format\": x").unwrap();
        let error = read_json::<Manifest>(&path).unwrap_err().to_string();
        assert!(error.contains("manifest.json"), "{error}");
        assert!(error.contains("line 2"), "{error}");
    }
}
