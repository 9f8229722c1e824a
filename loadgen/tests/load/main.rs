//! When requests start, and over which connections.

#[path = "../common/mod.rs"]
mod common;

mod closed;
mod open;
mod stall;
mod ways;
