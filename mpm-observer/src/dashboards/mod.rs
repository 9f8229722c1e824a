//! Grafana's dashboards: made from short sources, asked of Prometheus, drawn without Grafana.
//!
//! ```text
//! dashboards/*.toml ──> Source ──> grafana: dashboards/*.json, which Grafana imports
//!                          └─────> fill: queries for Prometheus ──> picture: PNG
//! ```
//!
//! A source says what is shown and how to read it. Places, numbers, variables and all that Grafana
//! wants beside that is the same for every panel and comes from [`Source::grafana`], so that no
//! panel can lack it.

mod fill;
mod grafana;
mod picture;
mod source;

pub use fill::Filled;
pub use picture::{PictureError, Window, picture};
pub use source::{Kind, Panel, PanelUnit, Query, Row, Source, SourceError, sources};
