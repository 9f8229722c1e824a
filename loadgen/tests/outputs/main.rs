//! The files of a run: each format tells the same, and what the summary tells.

#[path = "../common/mod.rs"]
mod common;
mod conditions;
mod files;
mod rows;
mod seconds;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use loadgen::report::JsonReport;
use tempfile::TempDir;

use common::{OK, Server};

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
