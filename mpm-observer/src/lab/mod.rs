//! The lab: runs scenarios on a private httpd under each MPM, watched, and records what happens.

mod client;
mod collector;
mod cpus;
mod error;
mod experiment;
mod interrupt;
mod load;
mod progress;
mod roles;
mod run;

pub use client::{ClientOrder, client_main};
pub use cpus::{CpuSplit, allowed_cpus};
pub use error::LabError;
pub use experiment::{LabOptions, Outcome, new_directory, run_experiment};
pub use interrupt::Interrupt;
