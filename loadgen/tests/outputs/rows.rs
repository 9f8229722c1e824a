//! Rows in each format.

use std::collections::BTreeMap;
use std::path::Path;

use loadgen::{Outcome, Row, RowReader};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;

use crate::common::ClosedPort;
use crate::seconds::logged;
use crate::{Files, Table, csv_table, loadgen, mixed_server};

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
        ("kept", row.is_kept().to_string()),
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

    // The server closes no connection behind a whole answer, and every other one.
    assert!(
        rows.iter()
            .all(|row| row.is_kept() == row.outcome.is_answered())
    );

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
    let closed = ClosedPort::new();
    let url = closed.url();
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
