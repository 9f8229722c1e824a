//! What watching costs: measurements of the observer itself.
//!
//! One private httpd is put under load, watched and not watched in turn, and the two sides of each
//! pair are compared. What can be switched off and on is, many times during one load; for the
//! other watchers each side has a load of its own. Server and client have CPUs of their own, so
//! that the client's work does not slow the server down.

mod collector;
mod cost;
mod file;
mod halves;
mod machine;
mod observer;
mod pairs;
mod profile;
mod server_cpu;
mod sliced;
mod slices;
mod stand;
mod table;
mod tracer;
mod watcher;

pub use collector::{
    CollectorCost, GOAL_CPU_SHARE, GOAL_PEAK_BYTES, GOAL_RATE_PER_S, collector_cost,
};
pub use cost::{Case, Costs, Goal, Half, Overhead, Pair, Verdict};
pub(crate) use machine::busy_ns;
pub use pairs::{Lines, PairsPlan, measure};
pub use profile::{ProgramCost, program_costs};
pub(crate) use server_cpu::{ServerCpu, process_cpu_ns};
pub(crate) use stand::system;
pub use stand::{Ground, plan};
pub use table::table;
pub use watcher::Watcher;
