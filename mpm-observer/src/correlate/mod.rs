//! The correlate stage: brings the client's and the kernel's view of each request together and
//! accounts for its time. Pure: rows in, plain values out.

mod conservation;
mod join;
mod phases;
mod rate;
mod run;
mod server;
mod tasks;

pub use conservation::{
    Conservation, CountCheck, GOAL_JOINED, GOAL_RESIDUAL_MEDIAN, GOAL_RESIDUAL_P99,
};
pub(crate) use join::{Ends, client_ends, kernel_ends};
pub use join::{Join, KernelOnly, Missing, Pair, join};
pub use phases::{Phase, Phases, SERVER_PHASES, phases, server_phases};
pub use rate::RateKept;
pub use run::{RunAnalysis, SampleSummary, analyse, load_run};
pub use server::ServerSide;
pub use tasks::{RoleTotals, TaskDeltas, task_deltas};
