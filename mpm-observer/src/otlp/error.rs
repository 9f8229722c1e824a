//! What can be wrong with an export before it begins.

use thiserror::Error;

/// Each message says what to do about it.
#[derive(Debug, Error)]
pub enum OtlpError {
    /// The address is none, or not of HTTP.
    #[error(
        "{0:?} is no address of a collector: use http://HOST:PORT (usually port 4318); for TLS, \
         send to a collector on this host that passes it on"
    )]
    Endpoint(String),
    /// The exporter cannot be made.
    #[error("the OTLP exporter cannot be made: {0}")]
    Exporter(#[from] opentelemetry_otlp::ExporterBuildError),
    /// The system refused a thread or a runtime.
    #[error("the OTLP exporter cannot be started: {0}")]
    System(#[from] std::io::Error),
}
