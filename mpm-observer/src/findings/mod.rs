//! The findings stage: what went wrong in the runs of an experiment, in sentences that rest on
//! rows of the recording.
//!
//! A rule looks at one run and tells what it saw there with figures; over the repetitions of one
//! MPM in one scenario these become one [`Finding`]. See [`rules::RULES`].

mod change;
mod error_log_lines;
mod evidence;
mod expected;
mod experiment;
mod finding;
mod observation;
pub(crate) mod occupancy;
pub(crate) mod reached;
pub mod rules;
mod verify;
pub(crate) mod words;

pub use change::Change;
pub use error_log_lines::TimedLine;
pub(crate) use evidence::was_stopped;
pub use evidence::{RunEvidence, StartResult, start_result};
pub use expected::Compared;
pub use experiment::{Explained, FindingsError, Group, Look, explain, group, look};
pub use finding::{Evidence, Finding, Remedy};
pub(crate) use observation::LEAST_WEIGHT;
pub use observation::{Claimed, Observation, Seen};
pub(crate) use occupancy::{Occupancy, Slots};
pub use reached::Reached;
pub use verify::{Effect, Tried, Verification, plan_verification};
pub(crate) use words::errno_name;
