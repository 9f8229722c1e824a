//! The search for the least value of a limit at which each MPM serves a load without a failure.
//!
//! [`kind`] has the limits as data, [`search`] the search apart from how a value is tried,
//! [`load`] what a trial runs and [`trial`] what it shows; [`find`] runs the trials in the lab, and
//! [`Found`] is what comes of it: `limit.json`, a table, a sentence, a picture and a page.

mod chart;
mod error;
mod find;
mod found;
pub mod kind;
pub mod load;
mod page;
pub mod search;
pub mod trial;
mod words;

pub use error::LimitError;
pub use find::{LimitOptions, find};
pub use found::{Found, LIMIT_FILE, Searched, Trial, Tried};
pub use kind::{KINDS, Kind, Measure};
