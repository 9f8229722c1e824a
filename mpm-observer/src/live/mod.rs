//! The live stage: a server that runs already, watched without touching it.
//!
//! ```text
//! choose a Server ──> attach: the probes on its tasks ──> Feed ──> Consumers
//!                                                          records   top, metrics, spans, tables
//!                                                          looks
//! ```
//!
//! A [`Consumer`] gets every record of the kernel as it comes and, about once a second, a [`Look`]:
//! what each task and connection does at that moment. [`follow`] does this for months: it waits
//! for a server, watches it until it is gone, and waits for the next.

mod attach;
mod choose;
mod doing;
mod error;
mod feed;
mod follow;
mod look;
mod now;
mod place;
mod recognise;
mod record;
mod reload;
mod roles;
mod server;
mod slot;

pub use attach::attach;
pub(crate) use choose::require_initial_pid_namespace;
pub use choose::{Target, choose, none_fits};
pub use doing::{Doing, Wait};
pub use error::LiveError;
pub(crate) use feed::look_at;
pub use feed::{Consumer, Ended, feed};
pub use follow::follow;
pub use look::{ConnectionsLook, Effort, Look, QueueLook, TaskLook, resident_bytes};
pub use now::{Beside, Polls, SocketNow, System, TaskNow};
pub use place::Place;
pub use recognise::{mpm_by_behaviour, mpm_of};
pub use record::{RecordOrder, record};
pub use server::{Server, servers};
pub use slot::{Partner, SlotState};
