//! loadgen beside other load generators: what each costs its own machine, and what each counts.
//!
//! What a client costs is measured against one private nginx, in pairs of halves, one right after
//! the other, so that a machine that changes its speed changes both. CPU time is what the kernel
//! says of the client's process from its first instruction to its last; requests and bytes are
//! counted by the server, never by a client. What clients count is measured against httpd, with
//! the tutorial's commands.

mod case;
mod client;
mod measure;
mod most;
mod nginx;
mod process;
mod programs;
mod result;
mod said;
mod table;
mod tutorial;

pub use case::{CASES, Case, Cost, Document, Load, Peer};
pub use client::Client;
pub use measure::{ClientPlan, measure_clients};
pub use nginx::StubStatus;
pub use programs::{Program, Programs};
pub use result::{CaseResult, ClientResults, Comparison, Half, Pair};
pub use said::{AbAccount, AbReport, AbSaid, Said};
pub use table::{markdown, text};
pub use tutorial::{
    COMMANDS, Command, LoadgenSaid, Served, Side, SideResults, Tool, ToolSaid, TutorialPlan,
    Watched, measure_tutorial, side_markdown, side_text,
};
