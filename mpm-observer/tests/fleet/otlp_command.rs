//! The export of `mpm-observer serve`: what it says, and what OpenTelemetry's variables change.

use std::process::Command;

use mpm_observer::{httpd::RuntimeDir, scenario::Mpm};
use nix::sys::signal::Signal;

use super::{
    collector::{Answers, Collector, text},
    otlp::load,
};
use crate::{
    common::{GRACE, PROGRAM, Place, have, small, wait_until},
    serving::Serving,
};

fn root() -> bool {
    have("root", nix::unistd::geteuid().is_root())
}

#[test]
fn metrics_that_are_refused_are_told_of_once_with_the_status() {
    if !root() {
        return;
    }
    let collector = Collector::start(Answers::TakesSpans(405));
    let serving = Serving::start(&[
        // It waits.
        "--unit",
        "mpm-observer-no-such-unit",
        "--no-status",
        "--otlp",
        &collector.endpoint,
        "--otlp-interval",
        "1",
    ]);
    wait_until("metrics were refused three times", || {
        collector.received.lock().unwrap().refused >= 3
    });
    let (code, lines) = serving.end_with_lines(Signal::SIGTERM);
    assert_eq!(code, Some(0));
    let told = lines.iter().filter(|line| line.contains("not taken"));
    assert_eq!(
        told.collect::<Vec<_>>(),
        [
            "warn: metrics were not taken: /v1/metrics: 405 Method Not Allowed; this is said once",
            "warn: the last metrics were not taken: /v1/metrics: 405 Method Not Allowed",
        ]
    );
}

#[test]
fn spans_alone_can_be_sent_and_are_counted_in_the_metrics_for_prometheus() {
    const REQUESTS: usize = 20;
    if !root() {
        return;
    }
    let Some(place) = Place::new() else { return };
    let runtime = RuntimeDir::create_in(&place.base()).unwrap();
    let (httpd, _) = place.start(&runtime, &small(Mpm::Event, "warm", ""));
    let collector = Collector::start(Answers::Takes);
    let pid = httpd.pid().to_string();
    let mut command = Command::new(PROGRAM);
    command.envs([
        ("OTEL_METRICS_EXPORTER", "none"),
        ("OTEL_SERVICE_NAME", ""),
        ("OTEL_RESOURCE_ATTRIBUTES", "peer.service.name=x"),
    ]);
    let arguments = [&["--pid", &pid, "--no-status"], &collector.arguments()[..]];
    let serving = Serving::start_by(command, &arguments.concat());
    serving.wait_for_line("watching httpd");
    load(httpd.addr(), REQUESTS);
    let exported = "mpm_observer_spans_total{outcome=\"exported\"}";
    let scrape = serving.wait_until("all are exported", |scrape| {
        scrape.get(exported) == Some(REQUESTS as f64)
    });
    for outcome in ["dropped", "failed"] {
        let series = format!("mpm_observer_spans_total{{outcome=\"{outcome}\"}}");
        assert_eq!(scrape.of_series(&series), 0.0);
    }
    let address = serving.address;
    let (code, lines) = serving.end_with_lines(Signal::SIGTERM);
    assert_eq!(code, Some(0));
    assert!(
        !lines.iter().any(|line| line.starts_with("warn")),
        "{lines:?}"
    );
    assert_eq!(httpd.stop(GRACE).unwrap().left, Vec::<u32>::new());

    assert!(collector.received.lock().unwrap().metrics.is_empty());
    let resources = collector.resources();
    assert!(!resources.is_empty());
    for resource in resources {
        let get = |key| text(&resource.attributes, key);
        assert_eq!(get("service.name").as_deref(), Some("httpd"));
        assert_eq!(get("peer.service.name").as_deref(), Some("x"));
        let instance = format!("{}:{address}", get("host.name").unwrap());
        assert_eq!(get("service.instance.id"), Some(instance));
    }
}

#[test]
fn what_the_observer_asks_mod_status_is_neither_a_request_nor_a_span() {
    const REQUESTS: usize = 20;
    const ASKED: &str = "mpm_observer_status_requests_total{outcome=\"answered\"}";
    const RECEIVED: &str = "mpm_observer_records_received_total{kind=\"request\"}";
    if !root() {
        return;
    }
    let Some(place) = Place::new() else { return };
    let runtime = RuntimeDir::create_in(&place.base()).unwrap();
    let (httpd, _) = place.start(&runtime, &small(Mpm::Event, "warm", ""));
    let collector = Collector::start(Answers::Takes);
    let pid = httpd.pid().to_string();
    let arguments = [
        &["--pid", &pid, "--otlp-no-slow"],
        &collector.arguments()[..],
    ];
    let serving = Serving::start(&arguments.concat());
    serving.wait_for_line("watching httpd");
    load(httpd.addr(), REQUESTS);
    // Twice before the end, so that the records of both have come.
    serving.wait_until("mod_status was asked and its records have come", |scrape| {
        let asked = scrape.get(ASKED).unwrap_or(0.0);
        asked >= 2.0 && scrape.of_series(RECEIVED) >= REQUESTS as f64 + 2.0
    });
    assert_eq!(serving.end(Signal::SIGTERM), Some(0));
    let told = ["answered", "unanswered", "unread"]
        .map(|outcome| collector.value("httpd.requests", "outcome", outcome));
    assert_eq!(told, [REQUESTS as u64, 0, 0]);
    let spans = collector.spans();
    let requests = spans.iter().filter(|span| span.parent_span_id.is_empty());
    assert_eq!(requests.count(), REQUESTS);
    assert_eq!(httpd.stop(GRACE).unwrap().left, Vec::<u32>::new());
}
