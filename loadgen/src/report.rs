//! A summary for people, in the layout of Apache's `ab`, and for programs, as JSON.

use std::fmt::{self, Write};

use serde::{Deserialize, Serialize};

use crate::cluster::FleetReport;
use crate::{Config, Histogram, Outcome, Summary};

/// The percentiles of ab's table.
const PERCENTILES: [f64; 11] = [
    50.0, 66.0, 75.0, 80.0, 90.0, 95.0, 98.0, 99.0, 99.9, 99.99, 100.0,
];

/// What `--json` writes: the summary, and what it is the summary of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JsonReport {
    /// Version of loadgen.
    pub loadgen_version: String,
    /// What was asked for.
    pub url: String,
    /// The request method.
    pub method: String,
    /// Requests at once.
    pub concurrency: u32,
    /// Whether connections were used again.
    pub keep_alive: bool,
    /// All of the [`Config`]; the body as its length `body_bytes`, and without credentials.
    #[serde(default)]
    pub config: serde_json::Value,
    /// Who did what, in a run on several machines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workers: Option<FleetReport>,
    /// The figures.
    #[serde(flatten)]
    pub summary: Summary,
}

impl JsonReport {
    /// The report of a run of `config`.
    #[must_use]
    pub fn new(config: &Config, summary: Summary) -> Self {
        let target = config.target();
        Self {
            loadgen_version: env!("CARGO_PKG_VERSION").to_owned(),
            url: target.url(),
            method: config.method.clone(),
            concurrency: config.concurrency,
            keep_alive: config.keep_alive,
            config: crate::output::shown(config),
            workers: None,
            summary,
        }
    }
}

/// The figures that ab prints, in its layout, then the outcomes told apart, and one
/// line that says it all. Times are in milliseconds with three decimals.
#[must_use]
pub fn text(config: &Config, summary: &Summary) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = figures(&mut out, config, summary)
        .and_then(|()| connection_times(&mut out, summary))
        .and_then(|()| percentiles(&mut out, &summary.latencies.total))
        .and_then(|()| outcomes(&mut out, summary));
    let _ = writeln!(out, "\n{}", conclusion(summary));
    out
}

fn figures(out: &mut String, config: &Config, summary: &Summary) -> fmt::Result {
    let target = config.target();
    let server = summary.server_software.as_deref().unwrap_or("");
    writeln!(out, "Server Software:        {server}")?;
    writeln!(out, "Server Hostname:        {}", target.host)?;
    writeln!(out, "Server Port:            {}", target.addr.port())?;
    writeln!(out, "\nDocument Path:          {}", target.path)?;
    writeln!(out, "Document Length:        {}", document_length(summary))?;
    writeln!(out, "\nConcurrency Level:      {}", config.concurrency)?;
    let seconds = summary.wall_seconds();
    writeln!(out, "Time taken for tests:   {seconds:.3} seconds")?;
    writeln!(out, "Complete requests:      {}", summary.answered())?;
    writeln!(out, "Failed requests:        {}", summary.failed())?;
    if summary.failed() > 0 {
        let sum = |outcomes: &[Outcome]| summary.outcomes.sum_where(|o| outcomes.contains(&o));
        writeln!(
            out,
            "   (Connect: {}, Receive: {}, Length: {}, Exceptions: {})",
            sum(&[
                Outcome::Refused,
                Outcome::ResetConnecting,
                Outcome::ConnectFailed
            ]),
            sum(&[
                Outcome::ResetBeforeFirstByte,
                Outcome::ResetInBody,
                Outcome::ClosedEarly
            ]),
            sum(&[Outcome::ShortBody, Outcome::WrongBody]),
            sum(&[Outcome::Malformed, Outcome::Timeout]),
        )?;
    }
    let non2xx = summary.outcomes.get(Outcome::Non2xx);
    if non2xx > 0 {
        writeln!(out, "Non-2xx/3xx responses:  {non2xx}")?;
    }
    if config.keep_alive {
        writeln!(
            out,
            "Keep-Alive requests:    {}",
            summary.keep_alive_answers
        )?;
    }
    writeln!(
        out,
        "Total transferred:      {} bytes",
        summary.bytes_received
    )?;
    if !config.body.is_empty() {
        writeln!(out, "Total body sent:        {}", summary.bytes_sent)?;
    }
    writeln!(out, "HTML transferred:       {} bytes", summary.bytes_body)?;
    let rate = summary.answers_per_second();
    writeln!(out, "Requests per second:    {rate:.2} [#/sec] (mean)")?;
    if summary.answered() > 0 {
        let each_ms = seconds * 1e3 / summary.answered() as f64;
        let of_a_slot_ms = each_ms * f64::from(config.slots());
        writeln!(out, "Time per request:       {of_a_slot_ms:.3} [ms] (mean)")?;
        writeln!(
            out,
            "Time per request:       {each_ms:.3} [ms] (mean, across all concurrent requests)"
        )?;
    }
    if summary.wall_ns > 0 {
        let rate = summary.bytes_received as f64 / 1024.0 / seconds;
        writeln!(
            out,
            "Transfer rate:          {rate:.2} [Kbytes/sec] received"
        )?;
    }
    Ok(())
}

fn document_length(summary: &Summary) -> String {
    match (summary.body_min_bytes, summary.body_max_bytes) {
        (Some(min), Some(max)) if min == max => format!("{min} bytes"),
        (Some(min), Some(max)) => format!("{min} to {max} bytes"),
        _ => "unknown (no answer below status 400)".to_owned(),
    }
}

fn connection_times(out: &mut String, summary: &Summary) -> fmt::Result {
    let latencies = &summary.latencies;
    if latencies.total.count() == 0 {
        return Ok(());
    }
    // As in ab, a request on a reused connection took no time to connect.
    let mut connect = latencies.connect.clone();
    connect.record_n(0, latencies.total.count().saturating_sub(connect.count()));
    writeln!(out, "\nConnection Times (ms)")?;
    writeln!(
        out,
        "              {:>9} {:>9} {:>9} {:>9} {:>9}",
        "min", "mean", "[+/-sd]", "median", "max"
    )?;
    for (name, times) in [
        ("Connect:", &connect),
        ("Processing:", &latencies.processing),
        ("Waiting:", &latencies.first_byte),
        ("Total:", &latencies.total),
    ] {
        writeln!(
            out,
            "{name:<13} {:>9.3} {:>9.3} {:>9.3} {:>9.3} {:>9.3}",
            ms(times.min_ns() as f64),
            ms(times.mean_ns()),
            ms(times.stdev_ns()),
            ms(times.percentile_ns(50.0) as f64),
            ms(times.max_ns() as f64),
        )?;
    }
    Ok(())
}

fn percentiles(out: &mut String, total: &Histogram) -> fmt::Result {
    if total.count() == 0 {
        return Ok(());
    }
    writeln!(
        out,
        "\nPercentage of the requests served within a certain time (ms)"
    )?;
    for p in PERCENTILES {
        let longest = if p == 100.0 { " (longest request)" } else { "" };
        writeln!(
            out,
            "{:>7} {:>9.3}{longest}",
            format!("{p}%"),
            ms(total.percentile_ns(p) as f64)
        )?;
    }
    Ok(())
}

fn outcomes(out: &mut String, summary: &Summary) -> fmt::Result {
    writeln!(out, "\nOutcomes of {} requests", summary.requests)?;
    let counted = summary.outcomes.iter().filter(|(_, count)| *count > 0);
    for (outcome, count) in counted {
        writeln!(out, "{count:>10}  {}", outcome.meaning())?;
    }
    if let Some(reason) = &summary.tls_failure {
        writeln!(out, "{:>10}  TLS: {reason}{}", "", tls_remedy(reason))?;
    }
    if summary.surplus > 0 {
        writeln!(
            out,
            "{:>10}  of the answers had bytes after their end",
            summary.surplus
        )?;
    }
    writeln!(
        out,
        "Connections opened: {}; client: {:.3} s CPU, {:.1} us per request",
        summary.connections_opened,
        summary.cpu_seconds(),
        summary.cpu_seconds() * 1e6 / summary.requests.max(1) as f64,
    )
}

/// What to do about a certificate that is not accepted.
fn tls_remedy(reason: &str) -> &'static str {
    if reason.contains("UnknownIssuer") {
        " (name the issuer's certificate with --cacert, or accept any with --insecure)"
    } else if reason.contains("CaUsedAsEndEntity") {
        " (an issuer's own certificate, as openssl req -x509 makes them: accept it nevertheless \
         with --insecure)"
    } else if reason.contains("invalid peer certificate") {
        " (accept it nevertheless with --insecure)"
    } else {
        ""
    }
}

/// One plain sentence, and a warning for what makes the figures doubtful.
fn conclusion(summary: &Summary) -> String {
    let total = &summary.latencies.total;
    let mut text = format!(
        "{} of {} requests answered in {:.3} s, {:.0} per second",
        summary.answered(),
        summary.requests,
        summary.wall_seconds(),
        summary.answers_per_second()
    );
    if total.count() > 0 {
        let _ = write!(
            text,
            "; half of the answers within {:.3} ms, 99 % within {:.3} ms",
            ms(total.percentile_ns(50.0) as f64),
            ms(total.percentile_ns(99.0) as f64)
        );
    }
    let _ = match (summary.failed(), summary.outcomes.get(Outcome::Non2xx)) {
        (0, 0) => write!(text, "; none failed."),
        (failed, 0) => write!(text, "; {failed} failed."),
        (failed, non2xx) => write!(text, "; {failed} failed, {non2xx} had status 4xx or 5xx."),
    };
    if summary.client_was_busy() {
        let _ = write!(
            text,
            "\nWarning: a load thread used or waited for its CPU {:.0} % of the time: the client \
             was the brake, the server may be faster. Give it CPUs of its own, or more of \
             them, with --cpus.",
            summary.busiest_thread_share() * 100.0
        );
    }
    if let Some(reason) = &summary.stopped_by {
        let _ = write!(text, "\nEnded early by --stop-if {reason}.");
    }
    let rows = &summary.rows;
    let _ = match &rows.error {
        Some(error) if rows.not_written > 0 => write!(
            text,
            "\nWarning: {} of {} rows were not written: {error}",
            rows.not_written, rows.recorded
        ),
        Some(error) => write!(text, "\nWarning: a file is not complete: {error}"),
        None => Ok(()),
    };
    text
}

fn ms(ns: f64) -> f64 {
    ns / 1e6
}
