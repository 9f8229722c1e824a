//! What the kernel tells, for collectors that speak OpenTelemetry's protocol (OTLP over HTTP).
//!
//! ```text
//! Feed ──> Otlp ──> instruments ──(every interval)──────────────> POST /v1/metrics
//!            └────> Sampler ──> bounded queue ──(in batches)────> POST /v1/traces
//! ```
//!
//! [`Otlp`] is a [`Consumer`](crate::live::Consumer). Nothing that the network does holds it up:
//! metrics are sent by a thread of their own, and spans for which the queue has no room are
//! dropped and counted.

mod answer;
mod client;
mod clock;
mod consumer;
mod environment;
mod error;
mod metric_exporter;
mod metrics;
mod queue;
mod rate;
mod sample;
mod span;

pub use consumer::{Otlp, OtlpOptions, SEND_TIMEOUT};
pub use error::OtlpError;
pub use queue::SpanCounts;
pub use rate::{BadRate, Rate};
pub use sample::{Sampler, Why};
