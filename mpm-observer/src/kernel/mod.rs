//! The kernel stage: what this kernel offers, the eBPF programs on it, and the records that
//! come from them.

mod adopt;
mod connections;
mod counters;
mod error;
mod links;
mod memory;
mod offsets;
mod ports;
mod probes;
mod reap;
mod record;
mod release;
mod runs;
mod standing;
mod syscalls;
mod tracefs;
mod watch;

pub use adopt::LiveTask;
pub use counters::{Book, Counters, Missed};
pub use error::KernelError;
pub use memory::kernel_memory_bytes;
pub use offsets::KernelTypes;
pub use ports::Ports;
pub use probes::{Hook, PROBES, Probe, Program, Tier};
pub use reap::Reaped;
pub use record::Record;
pub use release::{Release, needed};
pub use runs::{ProgramRuns, count_run_time};
pub use standing::network_of;
pub use syscalls::call_name;
pub(crate) use syscalls::{is_accept, is_wait_for_events, kind_of_call};
pub use tracefs::provide_tracefs;
pub use watch::{Kernel, Options, Watch};
