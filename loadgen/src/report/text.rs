//! A summary for people.

use std::fmt::{self, Write};

use super::{FailureGroups, ms};
use crate::brake::Brake;
use crate::{Arrivals, Config, Histogram, Outcome, Pace, Summary};

/// The percentiles of ab's table.
const PERCENTILES: [f64; 11] = [
    50.0, 66.0, 75.0, 80.0, 90.0, 95.0, 98.0, 99.0, 99.9, 99.99, 100.0,
];

/// From this share of the requests on, waiting for a free connection is worth a warning.
const WAITED_SHARE: f64 = 0.01;

/// What the text contains beside the figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// The table of percentiles.
    pub percentiles: bool,
    /// Standard deviation and median in the table of connection times.
    pub deviations: bool,
}

impl Default for Layout {
    /// Everything.
    fn default() -> Self {
        Self {
            percentiles: true,
            deviations: true,
        }
    }
}

/// The figures that ab prints, in its layout, then the outcomes told apart, and one
/// line that says it all. Times are in milliseconds with three decimals.
///
/// ab's warning that median and mean are more than a standard deviation apart is left
/// out: they never are, it comes from ab's rounding.
#[must_use]
pub fn text(config: &Config, summary: &Summary, layout: Layout) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = figures(&mut out, config, summary)
        .and_then(|()| connection_times(&mut out, summary, layout))
        .and_then(|()| percentiles(&mut out, config, summary, layout))
        .and_then(|()| open_loop(&mut out, config, summary))
        .and_then(|()| urls(&mut out, config, summary))
        .and_then(|()| outcomes(&mut out, summary));
    let _ = writeln!(out, "\n{}", conclusion(config, summary));
    out
}

fn figures(out: &mut String, config: &Config, summary: &Summary) -> fmt::Result {
    let target = config.target();
    let version = env!("CARGO_PKG_VERSION");
    writeln!(out, "This is loadgen, Version {version}\n")?;
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
        let groups = FailureGroups::of(summary);
        writeln!(
            out,
            "   (Connect: {}, Receive: {}, Length: {}, Exceptions: {})",
            groups.connect, groups.receive, groups.length, groups.exceptions
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
        // In an open loop most connections are not busy all the time.
        if !config.pace.is_open() {
            let of_a_slot_ms = each_ms * f64::from(config.slots());
            writeln!(out, "Time per request:       {of_a_slot_ms:.3} [ms] (mean)")?;
        }
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
        if !config.body.is_empty() {
            let sent = summary.bytes_sent as f64 / 1024.0 / seconds;
            let both = rate + sent;
            writeln!(out, "                        {sent:.2} kb/s sent")?;
            writeln!(out, "                        {both:.2} kb/s total")?;
        }
    }
    Ok(())
}

pub(super) fn document_length(summary: &Summary) -> String {
    match (summary.body_min_bytes, summary.body_max_bytes) {
        (Some(min), Some(max)) if min == max => format!("{min} bytes"),
        (Some(min), Some(max)) => format!("{min} to {max} bytes"),
        _ => "unknown (no answer below status 400)".to_owned(),
    }
}

fn connection_times(out: &mut String, summary: &Summary, layout: Layout) -> fmt::Result {
    let latencies = &summary.latencies;
    if latencies.total.count() == 0 {
        return Ok(());
    }
    // As in ab, a request on a reused connection took no time to connect.
    let mut connect = latencies.connect.clone();
    connect.record_n(0, latencies.total.count().saturating_sub(connect.count()));
    writeln!(out, "\nConnection Times (ms)")?;
    if layout.deviations {
        writeln!(
            out,
            "              {:>9} {:>9} {:>9} {:>9} {:>9}",
            "min", "mean", "[+/-sd]", "median", "max"
        )?;
    } else {
        writeln!(out, "              {:>9} {:>9} {:>9}", "min", "avg", "max")?;
    }
    for (name, times) in [
        ("Connect:", &connect),
        ("Processing:", &latencies.processing),
        ("Waiting:", &latencies.first_byte),
        ("Total:", &latencies.total),
    ] {
        let (min, mean) = (ms(times.min_ns() as f64), ms(times.mean_ns()));
        write!(out, "{name:<13} {min:>9.3} {mean:>9.3}")?;
        if layout.deviations {
            let median = ms(times.percentile_ns(50.0) as f64);
            write!(out, " {:>9.3} {median:>9.3}", ms(times.stdev_ns()))?;
        }
        writeln!(out, " {:>9.3}", ms(times.max_ns() as f64))?;
    }
    Ok(())
}

fn percentiles(
    out: &mut String,
    config: &Config,
    summary: &Summary,
    layout: Layout,
) -> fmt::Result {
    let (total, raw) = (&summary.latencies.total, &summary.latencies.raw);
    if total.count() == 0 || !layout.percentiles {
        return Ok(());
    }
    writeln!(
        out,
        "\nPercentage of the requests served within a certain time (ms)"
    )?;
    if config.pace.is_open() {
        writeln!(out, "{:>7} {:>9} {:>9}", "", "from due", "raw")?;
    }
    for p in PERCENTILES {
        let at = |times: &Histogram| ms(times.percentile_ns(p) as f64);
        write!(out, "{:>7} {:>9.3}", format!("{p}%"), at(total))?;
        if config.pace.is_open() {
            write!(out, " {:>9.3}", at(raw))?;
        }
        let longest = if p == 100.0 { " (longest request)" } else { "" };
        writeln!(out, "{longest}")?;
    }
    Ok(())
}

/// Requests that were due per second, over the measured time.
fn rate_asked(config: &Config, summary: &Summary) -> Option<f64> {
    let Pace::Open { rate, .. } = &config.pace else {
        return None;
    };
    let (begin_s, length_s) = (config.warm_up.as_secs_f64(), summary.wall_seconds());
    let due = rate.area_to(begin_s + length_s) - rate.area_to(begin_s);
    (length_s > 0.0).then(|| due / length_s)
}

fn open_loop(out: &mut String, config: &Config, summary: &Summary) -> fmt::Result {
    let (Pace::Open { arrivals, .. }, Some(asked)) = (&config.pace, rate_asked(config, summary))
    else {
        return Ok(());
    };
    let how = match arrivals {
        Arrivals::Constant => "at even distances",
        Arrivals::Poisson => "at exponential distances",
    };
    let started = summary.requests as f64 / summary.wall_seconds();
    writeln!(out, "\nOpen loop, requests due {how}")?;
    writeln!(out, "Rate asked:             {asked:.2} [#/sec] (mean)")?;
    writeln!(out, "Rate started:           {started:.2} [#/sec] (mean)")?;
    writeln!(out, "Never began:            {}", summary.unsent)?;
    let late = |times: &Histogram| {
        format!(
            "{} (late by {:.3} ms at p50, {:.3} at p99, {:.3} at most)",
            times.count(),
            ms(times.percentile_ns(50.0) as f64),
            ms(times.percentile_ns(99.0) as f64),
            ms(times.max_ns() as f64)
        )
    };
    let latencies = &summary.latencies;
    writeln!(
        out,
        "Had a free connection:  {}",
        late(&latencies.loop_delay)
    )?;
    if latencies.slot_wait.count() > 0 {
        writeln!(
            out,
            "Waited for one:         {}",
            late(&latencies.slot_wait)
        )?;
    }
    Ok(())
}

fn urls(out: &mut String, config: &Config, summary: &Summary) -> fmt::Result {
    if summary.urls.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "\n{:>10} {:>10} {:>10} {:>12}  URL",
        "Answered", "4xx, 5xx", "Failed", "Bytes/answer"
    )?;
    for (counts, weighted) in summary.urls.iter().zip(&config.targets) {
        writeln!(
            out,
            "{:>10} {:>10} {:>10} {:>12.0}  {}",
            counts.answered,
            counts.non2xx,
            counts.failed,
            counts.bytes_body as f64 / counts.answered.max(1) as f64,
            weighted.target.url()
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
    if summary.warm_up_attempts > 0 {
        writeln!(
            out,
            "{:>10}  more in the warm-up, which is in no figure",
            summary.warm_up_attempts
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
fn conclusion(config: &Config, summary: &Summary) -> String {
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
    if let Some(reason) = &summary.stopped_by {
        let _ = write!(text, "\nEnded early by --stop-if {reason}.");
    }
    for warning in warnings(config, summary) {
        let _ = write!(text, "\nWarning: {warning}");
    }
    text
}

fn warnings(config: &Config, summary: &Summary) -> Vec<String> {
    let mut warnings = Vec::new();
    if summary.unsent > 0 {
        let due = summary.requests + summary.unsent;
        warnings.push(format!(
            "the rate was missed: {} of {due} requests were due and never began.",
            summary.unsent
        ));
    }
    let waited = &summary.latencies.slot_wait;
    let share = waited.count() as f64 / summary.answered().max(1) as f64;
    if share >= WAITED_SHARE {
        warnings.push(format!(
            "{:.0} % of the requests waited for a free connection, up to {:.3} ms, which is in \
             their latency: the server does not keep up with the rate on {} connections; with -c \
             there can be more.",
            share * 100.0,
            ms(waited.max_ns() as f64),
            config.concurrency
        ));
    }
    warnings.extend(Brake::all_of(summary).iter().map(ToString::to_string));
    let rows = &summary.rows;
    warnings.extend(rows.error.as_ref().map(|error| match rows.not_written {
        0 => format!("a file is not complete: {error}"),
        missing => format!(
            "{missing} of {} rows were not written: {error}",
            rows.recorded
        ),
    }));
    warnings
}

#[cfg(test)]
mod tests;
