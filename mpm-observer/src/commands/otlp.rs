//! The options of the export to a collector.

use std::{net::SocketAddr, time::Duration};

use clap::Args;

use crate::otlp::{Otlp, OtlpError, OtlpOptions, Rate, SEND_TIMEOUT};

/// Whether and what is sent to an OpenTelemetry collector.
#[derive(Debug, Clone, Args)]
pub(super) struct OtlpArguments {
    /// Send metrics, and sampled requests as spans, to the collector at this address by OTLP over
    /// HTTP, such as http://127.0.0.1:4318
    #[arg(long, value_name = "URL")]
    otlp: Option<String>,
    /// How many requests become spans: a share of all, such as 0.01, or so many a second, such as
    /// 5/s; slow ones come on top
    #[arg(
        long,
        value_name = "SHARE|N/s",
        default_value = "1/s",
        requires = "otlp"
    )]
    otlp_sample: Rate,
    /// Seconds between two exports
    #[arg(long, value_name = "S", default_value_t = 10.0, requires = "otlp")]
    otlp_interval: f64,
    /// Leave out spans of requests that are slower than 99 % of the minute before
    #[arg(long, requires = "otlp")]
    otlp_no_slow: bool,
    /// Tell the client's address and port in the spans
    #[arg(long, requires = "otlp")]
    otlp_client_address: bool,
}

impl OtlpArguments {
    /// Starts the export of an observer that listens there; `None` if none is wanted.
    ///
    /// # Errors
    /// When the address is none, or threads are refused.
    pub(super) fn start(&self, listen: SocketAddr) -> Result<Option<Otlp>, OtlpError> {
        let Some(endpoint) = &self.otlp else {
            return Ok(None);
        };
        // Not shorter than a look, and not so long that it is as good as never.
        let interval_s = self.otlp_interval.clamp(1.0, 3600.0);
        Otlp::start(&OtlpOptions {
            endpoint: endpoint.clone(),
            sample: self.otlp_sample,
            slow: !self.otlp_no_slow,
            interval: Duration::from_secs_f64(interval_s),
            send_timeout: SEND_TIMEOUT,
            client_address: self.otlp_client_address,
            listen: Some(listen),
        })
        .map(Some)
    }
}
