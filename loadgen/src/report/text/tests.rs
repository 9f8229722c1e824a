use std::time::Duration;

use super::*;
use crate::summary::UrlCounts;
use crate::{EngineKind, Profile, Target, WeightedTarget};

fn config() -> Config {
    let mut config = Config::new(Target::parse("http://127.0.0.1:81/a").expect("good"));
    config.concurrency = 4;
    config.requests = Some(1000);
    config
}

/// 1000 requests in 2 s: 990 of 1 ms, 8 reset, 2 with status 500.
fn summary() -> Summary {
    let mut summary = Summary::empty(0, EngineKind::Epoll);
    summary.wall_ns = 2_000_000_000;
    summary.requests = 1000;
    summary.outcomes.add(Outcome::Ok, 990);
    summary.outcomes.add(Outcome::Non2xx, 2);
    summary.outcomes.add(Outcome::ResetInBody, 8);
    summary.bytes_received = 204_800;
    summary.bytes_body = 102_400;
    summary.bytes_sent = 51_200;
    summary.connections_opened = 1000;
    (summary.body_min_bytes, summary.body_max_bytes) = (Some(100), Some(100));
    summary.server_software = Some("test/1".to_owned());
    let latencies = &mut summary.latencies;
    for times in [
        &mut latencies.total,
        &mut latencies.processing,
        &mut latencies.first_byte,
    ] {
        times.record_n(1_000_000, 992);
    }
    latencies.connect.record_n(250_000, 992);
    summary
}

const GOLDEN: &str = "\
Server Software:        test/1
Server Hostname:        127.0.0.1
Server Port:            81

Document Path:          /a
Document Length:        100 bytes

Concurrency Level:      4
Time taken for tests:   2.000 seconds
Complete requests:      992
Failed requests:        8
   (Connect: 0, Receive: 8, Length: 0, Exceptions: 0)
Non-2xx/3xx responses:  2
Total transferred:      204800 bytes
HTML transferred:       102400 bytes
Requests per second:    496.00 [#/sec] (mean)
Time per request:       8.065 [ms] (mean)
Time per request:       2.016 [ms] (mean, across all concurrent requests)
Transfer rate:          100.00 [Kbytes/sec] received

Connection Times (ms)
                    min      mean   [+/-sd]    median       max
Connect:          0.250     0.250     0.000     0.250     0.250
Processing:       1.000     1.000     0.000     1.000     1.000
Waiting:          1.000     1.000     0.000     1.000     1.000
Total:            1.000     1.000     0.000     1.000     1.000

Percentage of the requests served within a certain time (ms)
    50%     1.000
    66%     1.000
    75%     1.000
    80%     1.000
    90%     1.000
    95%     1.000
    98%     1.000
    99%     1.000
  99.9%     1.000
 99.99%     1.000
   100%     1.000 (longest request)

Outcomes of 1000 requests
       990  answered with 2xx or 3xx
         2  answered with 4xx or 5xx
         8  reset after the first byte
Connections opened: 1000; client: 0.000 s CPU, 0.0 us per request

992 of 1000 requests answered in 2.000 s, 496 per second; half of the answers within 1.000 ms, \
99 % within 1.000 ms; 8 failed, 2 had status 4xx or 5xx.
";

#[test]
fn the_figures_stand_in_abs_layout() {
    let text = text(&config(), &summary(), Layout::default());
    let version = env!("CARGO_PKG_VERSION");
    let expected = format!("This is loadgen, Version {version}\n\n{GOLDEN}");
    assert_eq!(text, expected);
}

#[test]
fn tables_can_be_left_out() {
    let layout = Layout {
        percentiles: false,
        deviations: false,
    };
    let text = text(&config(), &summary(), layout);
    assert!(!text.contains("Percentage of the requests"), "{text}");
    assert!(!text.contains("[+/-sd]"), "{text}");
    assert!(
        text.contains("                    min       avg       max\n"),
        "{text}"
    );
    assert!(
        text.contains("Total:            1.000     1.000     1.000\n"),
        "{text}"
    );
}

#[test]
fn the_four_groups_are_all_failures() {
    let mut summary = summary();
    for (count, outcome) in (1..).zip(Outcome::ALL) {
        summary.outcomes.add(outcome, count);
    }
    summary.stale_retries = 5;
    let groups = FailureGroups::of(&summary);
    let sum = groups.connect + groups.receive + groups.length + groups.exceptions;
    assert_eq!(sum, summary.failed());
}

#[test]
fn a_body_that_was_sent_has_its_rates() {
    let mut config = config();
    config.body = b"x".to_vec();
    let text = text(&config, &summary(), Layout::default());
    for line in [
        "Total body sent:        51200\n",
        "                        25.00 kb/s sent\n",
        "                        125.00 kb/s total\n",
    ] {
        assert!(text.contains(line), "{line:?} is missing in\n{text}");
    }
}

fn open_loop(rate: f64) -> (Config, Summary) {
    let mut config = config();
    config.pace = Pace::Open {
        arrivals: Arrivals::Constant,
        rate: Profile::constant(rate),
    };
    let mut summary = summary();
    summary.latencies.raw.record_n(500_000, 992);
    summary.latencies.loop_delay.record_n(50_000, 992);
    (config, summary)
}

#[test]
fn an_open_loop_shows_the_rate_and_both_latencies() {
    let (config, mut summary) = open_loop(500.0);
    summary.warm_up_attempts = 30;
    let text = text(&config, &summary, Layout::default());
    for line in [
        "         from due       raw\n    50%     1.000     0.500\n",
        "Open loop, requests due at even distances\n",
        "Rate asked:             500.00 [#/sec] (mean)\n",
        "Rate started:           500.00 [#/sec] (mean)\n",
        "Never began:            0\n",
        "Had a free connection:  992 (late by 0.050 ms at p50, 0.050 at p99, 0.050 at most)\n",
        "        30  more in the warm-up, which is in no figure\n",
    ] {
        assert!(text.contains(line), "{line:?} is missing in\n{text}");
    }
    assert!(
        !text.contains("Warning") && !text.contains("Waited for one"),
        "{text}"
    );
    assert_eq!(text.matches("Time per request:").count(), 1, "{text}");
}

#[test]
fn a_missed_rate_and_a_backlog_are_said_loudly() {
    let (config, mut summary) = open_loop(750.0);
    summary.unsent = 500;
    summary.latencies.slot_wait.record_n(300_000_000, 496);
    let text = text(&config, &summary, Layout::default());
    for line in [
        "Rate asked:             750.00 [#/sec] (mean)\n",
        "Never began:            500\n",
        "Waited for one:         496 (late by 300.",
        "\nWarning: the rate was missed: 500 of 1500 requests were due and never began.\n",
        "\nWarning: 50 % of the requests waited for a free connection, up to 300.",
    ] {
        assert!(text.contains(line), "{line:?} is missing in\n{text}");
    }
}

#[test]
fn a_ramp_asks_for_its_mean_after_the_warm_up() {
    let (mut config, summary) = open_loop(1.0);
    let stage = |from, to, seconds| crate::Stage {
        from,
        to,
        duration: Duration::from_secs(seconds),
    };
    config.pace = Pace::Open {
        arrivals: Arrivals::Poisson,
        rate: Profile::new(vec![stage(0.0, 400.0, 4)]).expect("good"),
    };
    config.warm_up = Duration::from_secs(2);
    let text = text(&config, &summary, Layout::default());
    assert!(text.contains("Rate asked:             300.00"), "{text}");
    assert!(text.contains("exponential distances"), "{text}");
}

#[test]
fn several_urls_have_a_line_each() {
    let mut config = config();
    let target = Target::parse("http://127.0.0.1:81/b").expect("good");
    config.targets.push(WeightedTarget { target, weight: 1 });
    let mut summary = summary();
    let counts = UrlCounts {
        answered: 10,
        non2xx: 1,
        failed: 2,
        bytes_body: 55,
    };
    summary.urls = vec![UrlCounts::default(), counts];
    let text = text(&config, &summary, Layout::default());
    for line in [
        "         0          0          0            0  http://127.0.0.1:81/a\n",
        "        10          1          2            6  http://127.0.0.1:81/b\n",
    ] {
        assert!(text.contains(line), "{line:?} is missing in\n{text}");
    }
}

#[test]
fn a_client_that_was_the_brake_says_so() {
    let mut summary = summary();
    summary.latencies.client_delay.record_n(400_000, 992);
    let text = text(&config(), &summary, Layout::default());
    assert!(
        text.contains("\nWarning: 1 % of the answers were read 40"),
        "{text}"
    );
}
