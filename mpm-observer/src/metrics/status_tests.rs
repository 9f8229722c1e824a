//! Pages of mod_status and what becomes of them.

use super::*;
use crate::metrics::tests::written;

const EVENT: &str = "127.0.0.1\nServerVersion: Apache/2.4.62 (Debian)\nServerMPM: event\n\
    Server Built: 2024-10-04T15:21:08\nCurrentTime: Monday, 23-Nov-2026 10:00:00 UTC\n\
    ParentServerConfigGeneration: 1\nParentServerMPMGeneration: 0\nServerUptimeSeconds: 75\n\
    Load1: 0.25\nLoad5: 1.5\nLoad15: 2\nTotal Accesses: 12\nTotal kBytes: 3\n\
    Total Duration: 40\nCPUUser: .5\nCPUSystem: .25\nCPUChildrenUser: 1\nCPUChildrenSystem: 0\n\
    CPULoad: .0225\nUptime: 75\nReqPerSec: .16\nBusyWorkers: 1\nGracefulWorkers: 0\n\
    IdleWorkers: 74\nProcesses: 3\nStopping: 0\nConnsTotal: 5\nConnsAsyncWriting: 0\n\
    ConnsAsyncKeepAlive: 4\nConnsAsyncClosing: 0\nScoreboard: __W_..x\n";

fn exposition(page: &str) -> Exposition {
    let mut status = Status::default();
    status.asked(StatusOutcome::Answered, StatusPage::parse(page), 1_000);
    written(|to| status.write(to))
}

#[test]
fn the_page_of_event_gives_what_apache_exporter_gives() {
    let exposition = exposition(EVENT);
    for (name, labels, expected) in [
        ("apache_up", &[][..], 1.0),
        ("apache_exporter_scrape_failures_total", &[], 0.0),
        ("apache_version", &[], 2.04062),
        ("apache_info", &["Apache/2.4.62 (Debian)", "event"], 1.0),
        ("apache_generation", &["config"], 1.0),
        ("apache_load", &["5min"], 1.5),
        ("apache_accesses_total", &[], 12.0),
        ("apache_sent_kilobytes_total", &[], 3.0),
        ("apache_duration_ms_total", &[], 40.0),
        ("apache_cpu_time_ms_total", &["user"], 1500.0),
        ("apache_cpu_time_ms_total", &["system"], 250.0),
        ("apache_cpuload", &[], 0.0225),
        ("apache_uptime_seconds_total", &[], 75.0),
        ("apache_workers", &["busy"], 1.0),
        ("apache_workers", &["idle"], 74.0),
        ("apache_processes", &["all"], 3.0),
        ("apache_connections", &["keepalive"], 4.0),
        ("apache_scoreboard", &["idle"], 3.0),
        ("apache_scoreboard", &["reply"], 1.0),
        ("apache_scoreboard", &["open_slot"], 2.0),
        ("apache_scoreboard", &["dns"], 0.0),
        ("apache_scoreboard", &["x"], 1.0),
    ] {
        assert_eq!(
            exposition.get(name, labels),
            Some(expected),
            "{name} {labels:?}"
        );
    }
}

#[test]
fn balancers_are_told_by_name_and_worker() {
    let page = format!(
        "{EVENT}ProxyBalancer[0]Name: balancer://one\n\
         ProxyBalancer[0]Worker[0]Name: http://a:80\nProxyBalancer[0]Worker[0]Status: Init Ok \n\
         ProxyBalancer[0]Worker[0]Elected: 58\nProxyBalancer[0]Worker[0]Busy: 2\n\
         ProxyBalancer[0]Worker[0]Sent: 31K\nProxyBalancer[0]Worker[0]Rcvd: 7k\n\
         ProxyBalancer[0]Worker[1]Name: http://b:80\nProxyBalancer[0]Worker[1]Elected: 5\n"
    );
    let exposition = exposition(&page);
    let of = |name, worker| exposition.get(name, &["balancer://one", worker]);
    assert_eq!(
        of("apache_proxy_balancer_accesses_total", "http://a:80"),
        Some(58.0)
    );
    assert_eq!(
        of("apache_proxy_balancer_accesses_total", "http://b:80"),
        Some(5.0)
    );
    assert_eq!(of("apache_proxy_balancer_busy", "http://a:80"), Some(2.0));
    let sent = "apache_proxy_balancer_request_kbytes_total";
    assert_eq!(of(sent, "http://a:80"), Some(31.0));
    let received = "apache_proxy_balancer_response_kbytes_total";
    assert_eq!(of(received, "http://a:80"), Some(7.0));
    let labels = ["balancer://one", "http://a:80", "Init Ok"];
    assert_eq!(
        exposition.get("apache_proxy_balancer_status", &labels),
        Some(1.0)
    );
}

#[test]
fn what_a_page_lacks_is_absent_and_a_line_that_cannot_be_read_is_left_out() {
    let page = "ServerVersion: Apache\nBusyWorkers: 1\nIdleWorkers: 4\nUptime: soon\n";
    let exposition = exposition(page);
    for name in [
        "apache_version",
        "apache_uptime_seconds_total",
        "apache_accesses_total",
    ] {
        assert_eq!(exposition.get(name, &[]), None, "{name}");
    }
    assert_eq!(
        exposition.get("apache_info", &["Apache", "UNKNOWN"]),
        Some(1.0)
    );
    assert_eq!(exposition.get("apache_connections", &["total"]), None);
}

#[test]
fn a_line_that_comes_twice_counts_once() {
    let exposition = exposition(&format!("{EVENT}{EVENT}"));
    let families = &exposition.families;
    let accesses = families
        .iter()
        .find(|of| of.family.name == "apache_accesses_total");
    assert_eq!(accesses.map(|of| of.samples.len()), Some(1));
}

#[test]
fn another_page_is_none() {
    assert_eq!(StatusPage::parse("<html>Not Found</html>"), None);
    assert_eq!(StatusPage::parse("BusyWorkers: many\n"), None);
    assert_eq!(StatusPage::parse(""), None);
}

#[test]
fn while_it_does_not_answer_only_that_is_told() {
    let mut status = Status::default();
    assert_eq!(written(|to| status.write(to)), Exposition::default());
    status.asked(StatusOutcome::Answered, StatusPage::parse(EVENT), 1_000);
    status.asked(StatusOutcome::Timeout, None, 2_000);
    let exposition = written(|to| status.write(to));
    assert_eq!(exposition.families.len(), 2);
    assert_eq!(exposition.get("apache_up", &[]), Some(0.0));
    let failures = exposition.get("apache_exporter_scrape_failures_total", &[]);
    assert_eq!(failures, Some(1.0));
}

#[test]
fn of_one_that_cannot_be_asked_it_is_not_told_whether_it_is_up() {
    let mut status = Status::default();
    status.asked(StatusOutcome::Unreachable, None, 0);
    assert_eq!(written(|to| status.write(to)), Exposition::default());
    assert_eq!(status.took_ns(), None);
    assert_eq!(status.outcomes().last(), Some(("unreachable", 1)));
    // The server before it could be asked, and the counter goes on.
    let mut status = Status::default();
    status.asked(StatusOutcome::Timeout, None, 2_000);
    status.asked(StatusOutcome::Unreachable, None, 0);
    let exposition = written(|to| status.write(to));
    assert_eq!(exposition.get("apache_up", &[]), None);
    let failures = exposition.get("apache_exporter_scrape_failures_total", &[]);
    assert_eq!(failures, Some(1.0));
    assert_eq!(status.took_ns(), Some(2_000));
}

#[test]
fn every_state_of_the_scoreboard_is_documented() {
    let states: Vec<&str> = SCOREBOARD_STATES.iter().map(|(_, state)| *state).collect();
    assert_eq!(SCOREBOARD.labels[0].values, states.join(", "));
}
