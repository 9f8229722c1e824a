//! The result as a table in plain text.

use super::{
    Goal, Overhead,
    file::{load_name, percent},
};

/// A row for each case: changes in per cent, and whether the goals are reached.
#[must_use]
pub fn table(overhead: &Overhead) -> String {
    let head = [
        "MPM",
        "load",
        "watcher",
        "pairs",
        "throughput",
        "goal \u{2265} \u{2212}1 %",
        "p99",
        "goal \u{2264} +3 %",
        "server CPU/request",
        "client CPU/request",
        "watcher CPU",
    ];
    let mut rows = vec![head.map(str::to_owned)];
    for case in &overhead.cases {
        let costs = &case.costs;
        let watcher_us: Vec<f64> = case
            .pairs
            .iter()
            .map(|pair| pair.on.watcher_cpu_ns / 1e3)
            .collect();
        let watcher_us = watcher_us.iter().sum::<f64>() / watcher_us.len().max(1) as f64;
        rows.push([
            case.mpm.to_string(),
            load_name(case.keep_alive).to_owned(),
            case.watcher.name().to_owned(),
            case.pairs.len().to_string(),
            percent(costs.throughput),
            Goal::THROUGHPUT.judge(costs.throughput).to_string(),
            percent(costs.p99),
            Goal::P99.judge(costs.p99).to_string(),
            percent(costs.server_cpu),
            percent(costs.client_cpu),
            format!("{watcher_us:.1} µs/request"),
        ]);
    }
    aligned(&rows)
}

/// Columns as wide as their widest cell, two spaces apart.
fn aligned<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |text: &String| text.chars().count();
    let mut widths = [0; N];
    for row in rows {
        for (widest, cell) in widths.iter_mut().zip(row) {
            *widest = width(cell).max(*widest);
        }
    }
    let mut text = String::new();
    for row in rows {
        let cells: Vec<String> = row
            .iter()
            .zip(widths)
            .map(|(cell, widest)| format!("{cell:widest$}"))
            .collect();
        text += cells.join("  ").trim_end();
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        overhead::{Case, Costs, Watcher, cost::tests::pair},
        recording::FORMAT,
        scenario::Mpm,
    };

    #[test]
    fn columns_line_up_whatever_signs_they_hold() {
        let rows = [
            ["a".to_owned(), "\u{2212}1".to_owned(), "x".to_owned()],
            ["long".to_owned(), "+10".to_owned(), "y".to_owned()],
        ];
        assert_eq!(aligned(&rows), "a     \u{2212}1   x\nlong  +10  y\n");
    }

    #[test]
    fn each_case_has_its_row_and_its_verdicts() {
        let pairs = vec![pair(0.9); 6];
        let overhead = Overhead {
            format: FORMAT,
            observer_version: "1".into(),
            kernel: "6.18".into(),
            server_cpus: vec![0],
            client_cpus: vec![1],
            connections: 64,
            body_bytes: 1000,
            half_ms: 1000,
            cases: vec![Case {
                mpm: Mpm::Worker,
                keep_alive: false,
                watcher: Watcher::Bpftrace,
                costs: Costs::of(&pairs),
                pairs,
            }],
        };
        let text = table(&overhead);
        let row = text.lines().nth(1).unwrap();
        for part in [
            "worker  new connections  bpftrace  6",
            "\u{2212}10.0 % [\u{2212}10.0, \u{2212}10.0]  not reached",
            "+11.1 % [+11.1, +11.1]",
        ] {
            assert!(row.contains(part), "{part:?} is not in {row:?}");
        }
    }
}
