//! HTTP/1.1 load generator that keeps a record of every request.
//!
//! In a closed loop each of `concurrency` slots sends its next request as soon as the
//! last one has an outcome; in an open loop requests are due by a schedule ([`Pace`]).
//! Every attempt ends with exactly one [`Outcome`] and leaves
//! one [`Row`] with its four-tuple, its place in the connection and its times on
//! CLOCK_MONOTONIC, so that it can be joined with what the server's kernel saw.
//!
//! ```no_run
//! use std::sync::atomic::AtomicBool;
//!
//! let mut config = loadgen::Config::new(loadgen::Target::parse("http://127.0.0.1/")?);
//! config.requests = Some(10_000);
//! config.concurrency = 100;
//! let rows = std::fs::File::create("rows.bin").expect("writable");
//! let summary = loadgen::run(
//!     &config,
//!     Some(Box::new(loadgen::RowWriter::new(rows))),
//!     &loadgen::Progress::new(),
//!     &AtomicBool::new(false),
//! )?;
//! println!("{} of {} answered", summary.answered(), summary.requests);
//! # Ok::<(), loadgen::Error>(())
//! ```

mod ab_counts;
mod brake;
pub mod clock;
pub mod cluster;
mod condition;
mod config;
mod early_end;
mod engine;
mod error;
mod histogram;
pub mod hold;
mod limits;
pub mod live;
mod outcome;
pub mod output;
mod pace;
mod part;
mod progress;
mod recorder;
pub mod report;
mod request;
pub mod response;
pub mod row;
mod run;
mod sink;
pub mod summary;
mod target;
mod tee;
pub mod terminal;
mod trust;

pub use ab_counts::{AbCounter, AbCounts, AbEnd, AbFold, AbRules};
pub use brake::Brake;
pub use condition::{Condition, ConditionError, Violation};
pub use config::{BodyCheck, Config, EngineKind, WeightedTarget};
pub use engine::available as available_engines;
pub use error::Error;
pub use histogram::Histogram;
pub use limits::{check_limits, raise_open_file_limit};
pub use outcome::Outcome;
pub use pace::{Arrivals, Pace, Profile, Stage};
pub use part::Part;
pub use progress::Progress;
pub use response::Malformed;
pub use row::{Row, RowReader, TlsFailure};
pub use run::{run, run_part};
pub use sink::{RowSink, RowWriter};
pub use summary::Summary;
pub use target::{Resolved, Target};
pub use tee::Tee;
pub use trust::Trust;
