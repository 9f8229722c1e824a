//! The witness stage: what Prometheus showed of what went wrong in a run, held against the
//! recording of the same run, which is the truth.
//!
//! ```text
//! recording ──> Truth: what, from when to when, how much ──┐
//! Prometheus ──> Shown: by mod_status, by the kernel ──────┴──> Testimony ──> report
//! ```
//!
//! Each kind of [`Incident`] names the metrics of mod_status (those of apache_exporter) and of the
//! kernel that could show it. Whether they did, how late, and how much of it, is asked of the
//! Prometheus that watched.

mod ask;
mod file;
mod incident;
mod table;
mod truth;

pub use ask::{Clock, testimonies};
pub use file::{Shown, Testimony, Witness};
pub use incident::Incident;
pub use table::{WitnessRow, rows};
pub use truth::{Truth, truths};
