//! The metrics over HTTP: to scrapers of all kinds, and of real servers.

#[path = "serve/access.rs"]
mod access;
#[path = "serve/client.rs"]
mod client;
#[path = "serve/command.rs"]
mod command;
mod common;
#[path = "serve/control_group.rs"]
mod control_group;
#[path = "serve/helpers.rs"]
mod helpers;
#[path = "serve/hostile.rs"]
mod hostile;
#[path = "serve/live.rs"]
mod live;
#[path = "serve/names.rs"]
mod names;
#[path = "serve/serving.rs"]
mod serving;
