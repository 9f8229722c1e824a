//! The resources stage: what httpd, its queue and the machine look like from outside, sampled
//! while a run goes on.

mod cgroup;
mod limits;
mod listener;
mod machine;
mod memory;
mod mod_status;
mod network;
mod own;
mod processes;
mod sampler;

pub(crate) use cgroup::group_below_mount;
pub use cgroup::{CgroupError, RunCgroup, memory_cgroup_version, tasks_cgroup_version};
pub use limits::{LimitUse, LimitsLook, limits_look};
pub use listener::{AcceptQueue, Listener};
pub use machine::machine;
pub use memory::{ProcessMemory, read_memory};
pub use mod_status::watch_status;
pub use network::{ListenCounters, accept_queue, listen_counters, listen_counters_of};
pub use own::{OwnProcess, own_process};
pub use processes::{ProcessStat, children_of, cpu_ns_with_ended, process_stat};
pub use sampler::{SampleTargets, sample};
