//! The options of the export to a collector.

use std::{net::SocketAddr, time::Duration};

use clap::Args;

use super::span::parse_span_within;
use crate::otlp::{Otlp, OtlpError, OtlpOptions, Rate, SEND_TIMEOUT};

/// A look comes no sooner.
const SHORTEST: Duration = Duration::from_secs(1);
/// Longer is as good as never.
const LONGEST: Duration = Duration::from_secs(3600);

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
    /// Time between two exports, 1s to 1h
    #[arg(long, value_name = "TIME", default_value = "10s", requires = "otlp", value_parser = interval)]
    otlp_interval: Duration,
    /// Leave out spans of requests that are slower than 99 % of the minute before
    #[arg(long, requires = "otlp")]
    otlp_no_slow: bool,
    /// Tell the client's address and port in the spans
    #[arg(long, requires = "otlp")]
    otlp_client_address: bool,
}

fn interval(text: &str) -> Result<Duration, String> {
    parse_span_within(&(SHORTEST..=LONGEST), "1s and 1h", text)
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
        Otlp::start(&OtlpOptions {
            endpoint: endpoint.clone(),
            sample: self.otlp_sample,
            slow: !self.otlp_no_slow,
            interval: self.otlp_interval,
            send_timeout: SEND_TIMEOUT,
            client_address: self.otlp_client_address,
            listen: Some(listen),
        })
        .map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_have_their_bounds_and_others_are_refused() {
        assert_eq!(interval("1"), Ok(SHORTEST));
        assert_eq!(interval("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(interval("60m"), Ok(LONGEST));
        for bad in ["", "nan", "inf", "-5", "0", "999ms", "2h", "1e9"] {
            assert!(interval(bad).is_err(), "{bad:?}");
        }
    }
}
