//! The collect stage: what the attached probes tell becomes the tables of a recording. The lab and
//! the recording of a live server both build on it; who wants the records as they come, without a
//! recording, takes [`live::feed`](crate::live::feed).

mod collector;
mod error;
mod failures;
mod roles;
mod tables;

pub(crate) use collector::{Collector, Effort, TRACE_RING_BYTES, Tap};
pub use error::CollectError;
