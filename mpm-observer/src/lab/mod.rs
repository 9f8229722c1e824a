//! The lab: runs scenarios on a private httpd under each MPM, watched, and records what happens.

mod client;
mod cpus;
mod error;
mod experiment;
mod exposed;
mod held;
mod interrupt;
mod load;
mod place;
mod possible;
mod progress;
mod run;

pub(crate) use client::Client;
pub use client::{ClientOrder, client_main};
pub use cpus::{CpuSplit, allowed_cpus};
pub use error::LabError;
pub use experiment::{LabOptions, Outcome, PlannedRun, interleaved, new_directory, run_experiment};
pub use exposed::ExposeOptions;
pub use held::HoldOrder;
pub use interrupt::Interrupt;
pub use place::{Place, PlaceOptions};
pub(crate) use progress::Progress;
