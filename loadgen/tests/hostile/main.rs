//! A server that misbehaves in every way: each request has exactly one outcome, the right one,
//! and nothing hangs.

#[path = "../common/mod.rs"]
mod common;

mod answers;
mod bodies;
mod framing;
mod keep_alive;
mod stages;
mod table;
mod time_outs;
