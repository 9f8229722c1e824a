//! The files of a run: each format tells the same, and what the summary tells.

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::{OK, Server};
use hdrhistogram::serialization::Deserializer;
use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};
use loadgen::report::JsonReport;
use loadgen::{Outcome, Row, RowReader};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use tempfile::TempDir;

/// Runs the program; returns its exit code, standard output and standard error.
fn loadgen(args: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_loadgen"))
        .args(args)
        .stdin(Stdio::null())
        .output()
        .expect("started");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("temporary directory"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).expect("readable")
    }

    fn report(&self, name: &str) -> JsonReport {
        serde_json::from_str(&self.read(name)).expect("a report")
    }
}

/// Answers well, badly, cut off and not at all, in turn of the connections.
fn mixed_server() -> Server {
    Server::start(|mut connection| {
        let number = connection.number;
        while connection.request().is_some() {
            match number % 4 {
                0 => connection.send(OK),
                1 => connection.send(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"),
                2 => {
                    connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ncut");
                    return;
                }
                _ => return connection.reset(),
            }
        }
    })
}

type Table = Vec<BTreeMap<String, String>>;

fn csv_table(path: &Path) -> Table {
    let mut reader = csv::Reader::from_path(path).expect("opened");
    let rows = reader.deserialize::<BTreeMap<String, String>>();
    rows.map(|row| row.expect("a row")).collect()
}

fn parquet_table(path: &Path) -> Table {
    let file = std::fs::File::open(path).expect("opened");
    let reader = SerializedFileReader::new(file).expect("Parquet");
    let text = |field: &Field| match field {
        Field::Null => String::new(),
        Field::Str(text) => text.clone(),
        number => number.to_string(),
    };
    let row = |row: parquet::errors::Result<parquet::record::Row>| {
        let row = row.expect("a row");
        let columns = row.get_column_iter();
        columns
            .map(|(name, field)| (name.clone(), text(field)))
            .collect()
    };
    reader.get_row_iter(None).expect("rows").map(row).collect()
}

/// The value of a key in the metadata of a Parquet file.
fn metadata(path: &Path, key: &str) -> String {
    let file = std::fs::File::open(path).expect("opened");
    let reader = SerializedFileReader::new(file).expect("Parquet");
    let entries = reader.metadata().file_metadata().key_value_metadata();
    let entry = entries.expect("metadata").iter().find(|e| e.key == key);
    entry.and_then(|e| e.value.clone()).expect("the key")
}

/// A binary row as the other formats are to show it.
fn expected(row: &Row) -> BTreeMap<String, String> {
    let some = |value: u64| match value {
        0 => String::new(),
        value => value.to_string(),
    };
    [
        ("local_ip", row.local().ip().to_string()),
        ("local_port", some(row.local_port.into())),
        ("remote_ip", row.remote().ip().to_string()),
        ("remote_port", some(row.remote_port.into())),
        ("thread", row.thread.to_string()),
        ("slot", row.slot.to_string()),
        ("ordinal", row.ordinal.to_string()),
        ("url", row.url.to_string()),
        ("intended_ns", some(row.intended_ns)),
        ("start_ns", some(row.start_ns)),
        ("connect_start_ns", some(row.connect_start_ns)),
        ("connected_ns", some(row.connected_ns)),
        ("sent_ns", some(row.sent_ns)),
        ("loop_wake_ns", some(row.loop_wake_ns)),
        ("first_byte_ns", some(row.first_byte_ns)),
        ("last_byte_ns", some(row.last_byte_ns)),
        ("end_ns", some(row.end_ns)),
        ("outcome", row.outcome.name().to_owned()),
        ("detail", some(row.detail.into())),
        ("status", some(row.status.into())),
        ("errno", some(row.errno.into())),
        ("request_bytes", row.request_bytes.to_string()),
        ("header_bytes", row.header_bytes.to_string()),
        ("body_bytes", row.body_bytes.to_string()),
        ("retried", row.is_retry().to_string()),
        ("reused", row.is_reused().to_string()),
        ("warm_up", row.is_warm_up().to_string()),
        ("waited", row.has_waited().to_string()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

#[test]
fn rows_of_all_formats_agree_with_each_other_and_the_summary() {
    let server = mixed_server();
    let files = Files::new();
    let names = ["r.bin", "r.csv", "r.parquet", "r.json"].map(|name| files.text(name));
    let [binary, csv, parquet, json] = names.each_ref().map(String::as_str);
    let url = server.url();
    let (code, _, stderr) = loadgen(&[
        "-n",
        "400",
        "-c",
        "8",
        "-k",
        "-q",
        "-H",
        "Cookie: secret",
        "--rows",
        binary,
        "--rows",
        csv,
        "--rows",
        parquet,
        "--json",
        json,
        &url,
    ]);
    assert_eq!((code, stderr.as_str()), (Some(1), ""));

    let bytes = std::fs::read(binary).expect("rows");
    let rows: Vec<Row> = RowReader::new(&bytes[..])
        .map(|row| row.expect("a row"))
        .collect();
    let report = files.report("r.json");
    for (outcome, count) in report.summary.outcomes.iter() {
        let in_rows = rows.iter().filter(|row| row.outcome == outcome).count();
        assert_eq!(in_rows as u64, count, "{outcome:?}");
    }
    for bad in [
        Outcome::Non2xx,
        Outcome::ShortBody,
        Outcome::ResetBeforeFirstByte,
    ] {
        assert!(
            report.summary.outcomes.get(bad) > 0,
            "{bad:?} did not occur"
        );
    }

    let (in_csv, in_parquet) = (csv_table(csv.as_ref()), parquet_table(parquet.as_ref()));
    assert_eq!(in_csv.len(), rows.len());
    assert_eq!(in_csv, in_parquet);
    let offset = metadata(parquet.as_ref(), "loadgen.wall_offset_ns");
    for (mut shown, row) in in_csv.into_iter().zip(&rows) {
        assert_eq!(shown.remove("wall_offset_ns"), Some(offset.clone()));
        assert_eq!(shown, expected(row));
    }

    let config = metadata(parquet.as_ref(), "loadgen.config");
    let config: serde_json::Value = serde_json::from_str(&config).expect("JSON");
    assert_eq!(config, report.config);
    assert_eq!(config["requests"], 400);
    assert!(!config.to_string().contains("secret"), "{config}");
}

#[test]
fn a_run_without_an_answer_leaves_readable_files() {
    let files = Files::new();
    // Nobody listens on a port that was just given back.
    let url = Server::answering(OK).url();
    let names = ["r.csv", "r.parquet", "s.csv", "h.hlog", "p.png"].map(|name| files.text(name));
    let [csv, parquet, series, log, plot] = names.each_ref().map(String::as_str);
    let (code, _, stderr) = loadgen(&[
        "-n",
        "3",
        "-q",
        "--rows",
        csv,
        "--rows",
        parquet,
        "--series",
        series,
        "--hdr-log",
        log,
        "--plot",
        plot,
        &url,
    ]);
    assert_eq!((code, stderr.as_str()), (Some(1), ""));
    let rows = csv_table(csv.as_ref());
    assert_eq!(rows, parquet_table(parquet.as_ref()));
    assert!(
        rows.iter()
            .all(|row| row["outcome"] == "refused" && row["status"].is_empty())
    );
    assert_eq!(rows.len(), 3);
    let series = csv_table(series.as_ref());
    assert_eq!(
        (&series[0]["refused"][..], &series[0]["p99_ns"][..]),
        ("3", "")
    );
    assert_eq!(logged(&files.read("h.hlog")).len(), series.len());
}

/// Begin, length and histogram of the intervals of a log.
fn logged(text: &str) -> Vec<(u64, f64, hdrhistogram::Histogram<u64>)> {
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
    assert!(lines[5].starts_with("0.000,0."), "{}", lines[5]);
}

#[test]
fn the_picture_is_a_png() {
    let server = mixed_server();
    let files = Files::new();
    let (code, _, stderr) = loadgen(&[
        "-n",
        "100",
        "-q",
        "--plot",
        &files.text("p.png"),
        &server.url(),
    ]);
    assert_eq!((code, stderr.as_str()), (Some(1), ""));
    let png = std::fs::read(files.path("p.png")).expect("a file");
    assert!(png.starts_with(b"\x89PNG") && png.ends_with(b"IEND\xaeB`\x82"));
}

#[test]
fn conditions_decide_what_is_success() {
    let server = mixed_server();
    let url = server.url();
    let run = |conditions: &[&str]| {
        let mut args = vec!["-n", "100", "-q"];
        args.extend(
            conditions
                .iter()
                .flat_map(|condition| ["--fail-if", condition]),
        );
        args.push(&url);
        let (code, _, stderr) = loadgen(&args);
        (code, stderr)
    };
    assert_eq!(run(&["failed>50%", "max>60s"]), (Some(0), String::new()));
    let (code, stderr) = run(&["failed>50%", "failed >= 10%", "non2xx>0"]);
    assert_eq!(code, Some(4));
    assert_eq!(
        stderr,
        "loadgen: --fail-if failed>=10%: it was 50.000 %, 50 of 100\n\
         loadgen: --fail-if non2xx>0: there were 25 of 100\n"
    );
    let (code, stderr) = run(&["p99>200"]);
    assert_eq!(code, Some(2));
    assert!(
        stderr.contains("'p99>200'") && stderr.contains("character 5"),
        "{stderr}"
    );
}

#[test]
fn a_stop_condition_ends_a_run_that_would_go_on() {
    let server = mixed_server();
    let files = Files::new();
    let (rows, json) = (files.text("rows"), files.text("json"));
    let (code, stdout, stderr) = loadgen(&[
        "-t",
        "600",
        "-c",
        "4",
        "-q",
        "--stop-if",
        "short_body>20",
        "--rows",
        &rows,
        "--json",
        &json,
        &server.url(),
    ]);
    assert_eq!((code, stderr.as_str()), (Some(4), ""));
    assert!(
        stdout.contains("Ended early by --stop-if short_body>20: there were "),
        "{stdout}"
    );
    let summary = files.report("json").summary;
    assert!(
        summary
            .stopped_by
            .is_some_and(|reason| reason.starts_with("short_body>20"))
    );
    assert!(summary.outcomes.get(Outcome::ShortBody) > 20);
    let bytes = std::fs::read(rows).expect("rows");
    let counted = summary.outcomes.sum_where(|_| true);
    assert_eq!(bytes.len() as u64, counted * Row::SIZE as u64);
    let (code, _, stderr) = loadgen(&["--stop-if", "p99>1s", &server.url()]);
    assert_eq!(code, Some(2));
    assert!(stderr.contains("not known before the end"), "{stderr}");
}

#[test]
fn a_full_disk_is_said_and_ends_neither_the_run_nor_the_other_files() {
    let server = Server::answering(OK);
    let files = Files::new();
    for (index, (option, name)) in [
        ("--rows", "full"),
        ("--rows", "full.csv"),
        ("--rows", "full.parquet"),
        ("--series", "full.csv"),
        ("--series", "full.json"),
        ("--hdr-log", "full"),
        ("--json", "full"),
        ("--plot", "full"),
    ]
    .into_iter()
    .enumerate()
    {
        let full = files.path(&format!("{index}-{name}"));
        std::os::unix::fs::symlink("/dev/full", &full).expect("a link");
        let full = full.display().to_string();
        let rows = files.text(&format!("{index}-rows"));
        let (code, stdout, stderr) = loadgen(&[
            "-n",
            "3000",
            "-k",
            "-q",
            option,
            &full,
            "--rows",
            &rows,
            &server.url(),
        ]);
        assert_eq!(code, Some(1), "{option} {name}");
        let said = format!("{stdout}{stderr}");
        assert!(
            said.contains(&full) && said.contains("No space left"),
            "{said}"
        );
        assert!(stdout.contains("Complete requests:      3000"), "{stdout}");
        let written = std::fs::metadata(rows).expect("rows").len();
        assert_eq!(written, 3000 * Row::SIZE as u64, "{option} {name}");
    }
    let nowhere = "/nonexistent/directory/file";
    for option in ["--rows", "--series", "--hdr-log", "--json", "--plot"] {
        let (code, _, stderr) = loadgen(&[option, nowhere, &server.url()]);
        assert_eq!(code, Some(3), "{option}");
        assert!(
            stderr.contains(&format!("cannot create {nowhere}")),
            "{stderr}"
        );
    }
}
