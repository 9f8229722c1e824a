//! Watching servers that run already: the live stage against real httpds under load.

#[path = "attach/attached.rs"]
mod attached;
#[path = "attach/choosing.rs"]
mod choosing;
mod common;
#[path = "attach/debian.rs"]
mod debian;
#[path = "attach/disturbance.rs"]
mod disturbance;
#[path = "attach/private.rs"]
mod private;
