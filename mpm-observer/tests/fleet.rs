//! Months of watching in short: servers that come and go, an observer that is ended in any way,
//! and what it sends to collectors.

#[path = "fleet/calls.rs"]
mod calls;
#[allow(dead_code, reason = "the tests of `serve` use the rest")]
#[path = "serve/client.rs"]
mod client;
#[path = "fleet/collector.rs"]
mod collector;
mod common;
#[path = "fleet/follow.rs"]
mod follow;
#[path = "fleet/observer.rs"]
mod observer;
#[path = "fleet/otlp.rs"]
mod otlp;
#[path = "fleet/otlp_command.rs"]
mod otlp_command;
#[path = "fleet/privileges.rs"]
mod privileges;
#[path = "fleet/programs.rs"]
mod programs;
#[path = "fleet/rotel.rs"]
mod rotel;
#[allow(dead_code, reason = "the tests of `serve` use the rest")]
#[path = "serve/serving.rs"]
mod serving;
#[path = "fleet/soak.rs"]
mod soak;
#[path = "fleet/unit.rs"]
mod unit;
