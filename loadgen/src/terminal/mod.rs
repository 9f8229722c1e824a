//! What views on a terminal are made of: the screen with its keys, lines from the top of an area,
//! durations in few digits. For this program's view and for others'.

mod page;
mod screen;
mod text;

pub use page::Page;
pub use screen::{Key, Screen, Stream, has_keys};
pub use text::duration;
