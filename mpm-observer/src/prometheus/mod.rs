//! Prometheus as a process beside this one, and what can be asked of it.
//!
//! ```text
//! Config ──> Prometheus::start ──> Api: query, query_range, targets, rules
//! ```
//!
//! It listens on loopback, keeps its data in the directory that it is given, and ends with the
//! value that stands for it.

mod api;
mod config;
mod error;
mod process;

pub use api::{Api, Sampled, Target};
pub use config::{Config, Scrape};
pub use error::PrometheusError;
pub use process::{Prometheus, find};
