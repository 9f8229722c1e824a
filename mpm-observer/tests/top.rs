//! `top`, and the looks at a running server that it rests on, with real httpds.

mod common;
#[path = "truth/module.rs"]
mod module;
#[path = "top/once.rs"]
mod once;
#[path = "top/rates.rs"]
mod rates;
#[path = "top/serving.rs"]
mod serving;
#[path = "top/slots.rs"]
mod slots;
#[path = "top/terminal.rs"]
mod terminal;
#[path = "top/watching.rs"]
mod watching;
