//! Pairs of whole halves, each with a client of its own: for watchers that cannot be switched off
//! and on under load.

use std::time::{Duration, Instant};

use loadgen::Summary;

use super::{
    Half, Pair, Watcher, machine,
    stand::{Stand, system},
    tracer::Tracing,
};
use crate::lab::LabError;

/// A load that is watched, and one that is not; `None` if the user interrupted.
///
/// # Errors
/// When httpd, the client or the watcher fails.
pub(super) fn make_pair(
    stand: &Stand<'_>,
    watcher: Watcher,
    keep_alive: bool,
    on_first: bool,
    duration: Duration,
) -> Result<Option<Pair>, LabError> {
    let half = |watcher| make_half(stand, watcher, keep_alive, duration);
    let (first, second) = if on_first {
        (Some(watcher), None)
    } else {
        (None, Some(watcher))
    };
    let Some(first) = half(first)? else {
        return Ok(None);
    };
    let Some(second) = half(second)? else {
        return Ok(None);
    };
    let (on, off) = if on_first {
        (first, second)
    } else {
        (second, first)
    };
    Ok(Some(Pair { off, on, on_first }))
}

fn make_half(
    stand: &Stand<'_>,
    watcher: Option<Watcher>,
    keep_alive: bool,
    duration: Duration,
) -> Result<Option<Half>, LabError> {
    let cpus = stand.cpus();
    let busy_ns = || machine::busy_ns(&cpus).map_err(system("/proc/stat"));
    let tracing = match watcher {
        Some(watcher) => watcher.start_tracer(stand)?,
        None => None,
    };
    let watcher_cpu_ns = || tracing.as_ref().map_or(Ok(0), Tracing::cpu_ns);
    let (began, busy_before_ns) = (Instant::now(), busy_ns()?);
    let (server_before, watcher_before_ns) = (stand.server_cpu()?, watcher_cpu_ns()?);
    let loaded = stand.load(keep_alive, duration)?;
    let (server_after, watcher_after_ns) = (stand.server_cpu()?, watcher_cpu_ns()?);
    let busy_ns = busy_ns()?.saturating_sub(busy_before_ns) as f64;
    let all_ns = began.elapsed().as_nanos() as f64 * cpus.len() as f64;
    if let Some(tracing) = tracing {
        tracing.stop(loaded.as_ref().map_or(0, Summary::answered))?;
    }
    Ok(loaded.map(|summary| {
        let mut half = half_of(
            &summary,
            server_after.since(&server_before),
            watcher_after_ns.saturating_sub(watcher_before_ns),
        );
        let known_ns = half.server_cpu_ns.unwrap_or(0.0) + half.client_cpu_ns + half.watcher_cpu_ns;
        let others_ns = busy_ns - known_ns * half.answered as f64;
        half.others_cpu_share = (others_ns / all_ns).clamp(0.0, 1.0);
        half
    }))
}

fn half_of(summary: &Summary, server_cpu_ns: Option<u64>, watcher_cpu_ns: u64) -> Half {
    let answered = summary.answered();
    let per_request = |ns: f64| ns / answered as f64;
    let latencies = &summary.latencies.total;
    Half {
        answered,
        failed: summary.failed(),
        throughput_per_s: summary.answers_per_second(),
        p50_ns: latencies.percentile_ns(50.0) as f64,
        p99_ns: latencies.percentile_ns(99.0) as f64,
        server_cpu_ns: server_cpu_ns.map(|ns| per_request(ns as f64)),
        client_cpu_ns: per_request(summary.cpu_seconds() * 1e9),
        watcher_cpu_ns: per_request(watcher_cpu_ns as f64),
        others_cpu_share: 0.0,
    }
}
