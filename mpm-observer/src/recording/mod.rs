//! The recording stage: a directory per run of the lab or per live server, with a manifest and Parquet tables.
//!
//! A table is a directory of numbered Parquet files, each complete in itself, closed about every
//! second. A run that is cut off in the middle loses at most the file being written. Everything
//! after this stage reads these files and nothing else.

mod dir;
mod error;
mod failure_row;
mod live_server;
mod manifest;
mod rows;
mod slot_row;
mod table;
mod task_row;
mod trace_row;

pub use dir::{EXPERIMENT_FILE, MANIFEST_FILE, RunDir, is_of_one_server};
pub use error::RecordingError;
pub use failure_row::{FailureKind, FailureRow, Purpose};
pub use live_server::{ClockOffset, Ended, JoinedClient, LiveServer, OffsetAt};
pub use manifest::{
    CgroupCounts, Experiment, FORMAT, HeldOutcome, LoadOutcome, Machine, Manifest, Origin,
    ScenarioNotes, Skipped, StartOutcome, Status, TraceWindow,
};
pub(crate) use manifest::{read_json, write_json};
pub use rows::{ClientRow, KernelRow, MemoryRow, SampleRow, StatusRow, TableRow};
pub use slot_row::SlotRow;
pub use table::{Table, TableWriter, fold_table, read_table};
pub use task_row::{Moment, TaskRow};
pub use trace_row::TraceRow;
