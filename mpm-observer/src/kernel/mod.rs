//! The kernel stage: what this kernel offers, the eBPF programs on it, and the records that
//! come from them.

mod counters;
mod error;
mod offsets;
mod probes;
mod record;
mod syscalls;
mod tracefs;
mod watch;

pub use counters::{Book, Counters, Missed};
pub use error::KernelError;
pub use offsets::KernelTypes;
pub use probes::{Hook, PROBES, Probe, Program, Tier};
pub use record::Record;
pub use tracefs::{TRACEFS, provide_tracefs};
pub use watch::{Kernel, Options, Watch};
