//! The tutorial's commands, run with ab and with loadgen side by side against each MPM, with what
//! each of them counts and what the server counted.

mod commands;
mod measure;
mod served;
mod side;
mod stand;
mod table;

pub use commands::{COMMANDS, Command, Tool};
pub use measure::{TutorialPlan, measure_tutorial};
pub use served::Served;
pub use side::{LoadgenSaid, Side, SideResults, ToolSaid, Watched};
pub use table::{side_markdown, side_text};
