//! The soak: the live stage on a server that never comes to rest, with the metrics of `serve` and
//! somebody who scrapes them, the last minute of `top` and an export beside it, to see whether
//! anything grows.
//!
//! Children that end after few connections, clients that come and go in every way, graceful
//! restarts and whole ones go on all the time. Then it calms down, some connections are left open,
//! and what the programs still hold is compared with what /proc shows, entry by entry.

mod churn;
mod run;
mod scrape;
mod seen;
mod verdict;

pub use churn::Churned;
pub use run::{SoakPlan, soak};
pub use seen::{Sample, Seen};
pub use verdict::{Entries, MOST_GROWTH_BYTES, Soaked};
