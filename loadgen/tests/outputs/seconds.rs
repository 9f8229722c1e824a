//! What is told by the second.

use std::collections::BTreeMap;

use hdrhistogram::serialization::Deserializer;
use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

use crate::common::{OK, Server};
use crate::{Files, csv_table, loadgen, mixed_server};

/// Begin, length and histogram of the intervals of a log.
pub(crate) fn logged(text: &str) -> Vec<(u64, f64, hdrhistogram::Histogram<u64>)> {
    use base64::Engine;
    let mut deserializer = Deserializer::new();
    let entries = IntervalLogIterator::new(text.as_bytes());
    let mut intervals = Vec::new();
    for entry in entries {
        let LogEntry::Interval(interval) = entry.expect("a line of the log") else {
            continue;
        };
        let encoded = interval.encoded_histogram();
        let bytes = base64::engine::general_purpose::STANDARD.decode(encoded);
        let histogram: hdrhistogram::Histogram<u64> = deserializer
            .deserialize(&mut &bytes.expect("base64")[..])
            .expect("a histogram");
        let max_ms = histogram.max() as f64 / 1e6;
        assert!(
            (interval.max() - max_ms).abs() < 0.001,
            "{}",
            interval.max()
        );
        let length_s = interval.duration().as_secs_f64();
        intervals.push((interval.start_timestamp().as_secs(), length_s, histogram));
    }
    intervals
}

#[test]
fn series_and_hdr_log_add_up_to_the_summary() {
    let server = mixed_server();
    let files = Files::new();
    let names = ["s.csv", "s.jsonl", "h.hlog", "r.json"].map(|name| files.text(name));
    let [csv, lines, log, json] = names.each_ref().map(String::as_str);
    let url = server.url();
    let (code, _, stderr) = loadgen(&[
        "-t",
        "2.5",
        "-c",
        "4",
        "--threads",
        "2",
        "-q",
        "--series",
        csv,
        "--series",
        lines,
        "--hdr-log",
        log,
        "--json",
        json,
        &url,
    ]);
    assert_eq!((code, stderr.as_str()), (Some(1), ""));
    let summary = files.report("r.json").summary;
    let seconds = csv_table(csv.as_ref());
    assert_eq!(
        seconds.len(),
        summary.wall_ns.div_ceil(1_000_000_000) as usize
    );
    let number = |row: &BTreeMap<String, String>, name: &str| match row[name].as_str() {
        "" => 0,
        digits => digits.parse::<u64>().expect("a number"),
    };
    let sum = |name: &str| seconds.iter().map(|row| number(row, name)).sum::<u64>();
    for (outcome, count) in summary.outcomes.iter() {
        assert_eq!(sum(outcome.name()), count, "{outcome:?}");
    }
    assert_eq!(sum("answered"), summary.answered());
    assert_eq!(sum("failed"), summary.failed());
    assert_eq!(sum("started") + sum("started_earlier"), summary.requests);
    assert_eq!(sum("body_bytes"), summary.bytes_body);
    assert_eq!(sum("request_bytes"), summary.bytes_sent);
    let connections = sum("connections") + sum("connections_earlier");
    assert_eq!(connections, summary.connections_opened);
    assert_eq!(sum("length_ns"), summary.wall_ns);

    // The same seconds as JSON.
    for (line, row) in files.read("s.jsonl").lines().zip(&seconds) {
        let object: BTreeMap<String, Option<u64>> = serde_json::from_str(line).expect("an object");
        assert_eq!(object.len(), row.len());
        for (name, value) in object {
            assert_eq!(
                value.map_or(String::new(), |v| v.to_string()),
                row[&name],
                "{name}"
            );
        }
    }

    let intervals = logged(&files.read("h.hlog"));
    assert_eq!(intervals.len(), seconds.len());
    let mut total = loadgen::Histogram::new();
    for ((begin_s, length_s, histogram), row) in intervals.iter().zip(&seconds) {
        assert_eq!(*begin_s, number(row, "second"));
        assert!((length_s * 1e9 - number(row, "length_ns") as f64).abs() < 1e6);
        assert_eq!(histogram.len(), number(row, "answered"));
        assert_eq!(histogram.value_at_quantile(0.99), number(row, "p99_ns"));
        for step in histogram.iter_recorded() {
            total.record_n(step.value_iterated_to(), step.count_since_last_iteration());
        }
    }
    let values = |histogram: &loadgen::Histogram| histogram.values().collect::<Vec<_>>();
    assert_eq!(values(&total), values(&summary.latencies.total));
}

#[test]
fn the_log_has_the_head_that_its_standard_tools_look_for() {
    let server = Server::answering(OK);
    let files = Files::new();
    let (code, _, _) = loadgen(&["-q", "--hdr-log", &files.text("log"), &server.url()]);
    assert_eq!(code, Some(0));
    let log = files.read("log");
    let lines: Vec<&str> = log.lines().collect();
    assert_eq!(lines[1], "#[Histogram log format version 1.3]");
    let start_s: f64 = lines[2]
        .strip_prefix("#[StartTime: ")
        .and_then(|rest| rest.strip_suffix(" (seconds since epoch)]"))
        .and_then(|number| number.parse().ok())
        .expect("a time");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let age_s = now.expect("after 1970").as_secs_f64() - start_s;
    assert!((0.0..600.0).contains(&age_s), "{age_s}");
    assert_eq!(lines[3], lines[2].replace("Start", "Base"));
    assert!(lines[4].starts_with("\"StartTimestamp\","));
    // The first interval: when it began after the start, and how long it was.
    let mut numbers = lines[5].split(',').map(|number| number.parse::<f64>());
    assert_eq!(numbers.next(), Some(Ok(0.0)), "{}", lines[5]);
    let length_s = numbers.next().expect("a length").expect("a number");
    // Of one quick request it is rounded to 0.
    assert!((0.0..=600.0).contains(&length_s), "{}", lines[5]);
}
