//! The top stage: a running server on a terminal, or once for scripts.
//!
//! ```text
//! live::follow ──records, looks──> Model ──picture()──> Picture ──> View: a screen, or lines
//!                                  window, last minute          └─> JSON
//! ```
//!
//! The [`Model`] folds what comes, in bounded memory; a [`Picture`] is what it knows at one moment,
//! plain data that is serialised as it is; a [`View`] draws it, and knows nothing else.

mod findings;
#[cfg(test)]
mod made_up;
mod minute;
mod model;
mod once;
pub mod picture;
mod show;
mod spread;
mod view;
mod window;
mod words;
mod work;

pub use findings::Finding;
pub use model::Model;
pub use once::lines;
pub use picture::Picture;
pub use show::{Shared, is_possible, show};
pub use spread::Spread;
pub use view::{Keys, Look, Signs, Sort, View};
