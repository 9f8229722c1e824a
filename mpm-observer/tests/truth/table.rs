//! The table of all comparisons, printed and kept in `target/bench/truth.md`.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    path::Path,
    sync::{Mutex, PoisonError},
};

use mpm_observer::scenario::Mpm;

use crate::verdict::Line;

/// What this run of the tests has compared so far.
static LINES: Mutex<BTreeMap<String, Vec<Line>>> = Mutex::new(BTreeMap::new());

/// Prints the lines, and writes all of this run anew.
pub fn add(mpm: Mpm, lines: Vec<Line>) {
    let name = mpm.to_string();
    println!("{}", text(&[(&name, &lines)]));
    let mut all = LINES.lock().unwrap_or_else(PoisonError::into_inner);
    all.entry(name).or_default().extend(lines);
    let tables: Vec<(&str, &[Line])> = all
        .iter()
        .map(|(mpm, lines)| (mpm.as_str(), lines.as_slice()))
        .collect();
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("bench");
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("truth.md"), text(&tables)).unwrap();
}

/// Microseconds with a decimal.
fn us(ns: i64) -> String {
    format!("{:.1}", ns as f64 / 1e3)
}

fn text(tables: &[(&str, &[Line])]) -> String {
    let mut text = String::from(
        "µs. The truth is known to lie from … to …: these and what was measured are medians of the \
         repetitions. The difference is how far the phase is outside, in the best quarter of them.\
         \n\n| MPM | what | phase | from | to | measured | difference | least | greatest | allowed |\n\
         |---|---|---|---:|---:|---:|---:|---:|---:|---:|\n",
    );
    for (mpm, lines) in tables {
        for line in *lines {
            // Writing to a string does not fail.
            let _ = writeln!(
                text,
                "| {mpm} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
                line.what,
                line.phase.name(),
                us(line.truth.least_ns.cast_signed()),
                us(line.truth.most_ns.cast_signed()),
                us(line.measured_ns),
                us(line.difference_ns),
                us(line.range_ns.0),
                us(line.range_ns.1),
                us(line.limit_ns.cast_signed()),
            );
        }
    }
    text
}
