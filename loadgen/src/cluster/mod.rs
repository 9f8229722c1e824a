//! One run on several machines: workers that wait for orders, and a coordinator.
//!
//! [`serve`] makes a worker of this process; [`run`] shares a run out over workers,
//! starts them at one moment and merges what they report, exactly, into one [`Summary`]
//! and one stream of rows, as if it had been one machine with all their threads.
//!
//! # Threads
//! The load threads of all workers are numbered through, in the order of the workers.
//! Requests, connections and the schedule of an open loop are divided by thread (see
//! [`Part`]), so that shares add up and the schedules interleave evenly. `thread` in rows
//! and summaries is that number; [`WorkerReport`] tells which are whose.
//!
//! # Clocks
//! CLOCK_MONOTONIC begins at another time on every machine. The coordinator asks each
//! worker for its clock in several round trips and trusts the shortest: the worker's
//! answer lies within it, so half of it bounds the error ([`ClockOffset`]). The workers
//! begin at a time given in their own clocks; all times in rows and summaries are
//! converted to the coordinator's. After the run the clocks are compared once more, and
//! the bound that is reported holds at both ends.
//!
//! # On the wire
//! Frames over one TCP connection: length of the content (u32, little endian), kind (one
//! byte), content: kind 0 a message in JSON, kind 1 encoded rows. Lengths are bounded,
//! and every wait has an end. Versions must be the same on both sides. A [`Key`] keeps
//! strangers from using a worker; nothing is encrypted.
//!
//! [`Summary`]: crate::Summary
//! [`Part`]: crate::Part

mod clock_offset;
mod coordinator;
mod error;
mod follow;
mod key;
mod link;
mod merge;
mod protocol;
mod report;
mod row_pool;
mod session;
mod share;
mod worker;

use std::time::Duration;

pub use clock_offset::ClockOffset;
pub use coordinator::{Fleet, FleetRun, run};
pub use error::{FleetError, LostWorker, Trouble};
pub use key::Key;
pub use protocol::FrameError;
pub use report::{FleetReport, WorkerReport};
pub use worker::{Worker, serve};

/// The port of workers when none is given.
pub const DEFAULT_PORT: u16 = 9911;

/// For connecting, and for each step of the greeting.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// A worker that has no run yet waits so long for the next order: longer than the
/// coordinator may need for all the other workers.
const IDLE: Duration = Duration::from_secs(30);

/// Who is silent for so long during a run is gone.
const SILENCE: Duration = Duration::from_secs(10);

/// How often the coordinator shows that it is there.
const ALIVE_EVERY: Duration = Duration::from_secs(1);

/// How often a worker tells how far it is.
const PROGRESS_EVERY: Duration = Duration::from_millis(200);

/// A worker may need so long to end its run after its time, or after being told to.
const ENDING: Duration = Duration::from_secs(15);
