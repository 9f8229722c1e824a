//! The findings stage: what went wrong in the runs of an experiment, in sentences that rest on
//! rows of the recording.

mod change;
mod finding;

pub use change::Change;
pub use finding::{Evidence, Finding, Remedy};
