//! A kernel-level observer for Apache httpd's multi-processing modules.
//!
//! One module per stage of the data's way: a [`scenario`] says what to do, [`httpd`] is started
//! under it, the [`kernel`] and [`resources`] stages watch, [`collect`] writes what they saw into
//! the [`recording`];
//! from it alone [`correlate`] joins both sides, [`claims`] judges, and the [`report`] is made.

pub mod claims;
pub mod collect;
pub mod commands;
pub mod correlate;
pub mod dashboards;
pub mod findings;
pub mod hosts;
pub mod httpd;
pub mod kernel;
pub mod lab;
pub mod limit;
pub mod live;
pub mod metrics;
pub mod otlp;
pub mod overhead;
pub mod peers;
pub mod privileges;
pub mod prometheus;
pub mod recording;
pub mod report;
pub mod resources;
pub mod scenario;
pub mod serve;
pub mod soak;
pub mod statistics;
mod text_table;
pub mod top;
pub mod trace;
pub mod witness;
mod wording;
