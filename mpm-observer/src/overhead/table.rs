//! The result as a table in plain text.

use crate::statistics::Spread;

use super::{
    Goal, Overhead,
    file::{load_name, percent},
};
use crate::text_table::aligned;

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
        "others' CPU",
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
        let halves = case.pairs.iter().flat_map(|pair| [&pair.off, &pair.on]);
        let others = Spread::of(halves.map(|half| half.others_cpu_share * 100.0));
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
            others.map_or_else(String::new, |others| {
                format!(
                    "{:.0} % [{:.0}, {:.0}]",
                    others.median, others.low, others.high
                )
            }),
        ]);
    }
    aligned(&rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        overhead::{Case, Costs, Watcher, cost::tests::pair, file::tests::overhead},
        scenario::Mpm,
    };

    #[test]
    fn each_case_has_its_row_and_its_verdicts() {
        let pairs = vec![pair(0.9); 6];
        let overhead = Overhead {
            cases: vec![Case {
                mpm: Mpm::Worker,
                keep_alive: false,
                watcher: Watcher::Bpftrace,
                costs: Costs::of(&pairs),
                pairs,
            }],
            ..overhead(&[])
        };
        let text = table(&overhead);
        let row = text.lines().nth(1).unwrap();
        for part in [
            "worker  new connections  bpftrace  6",
            "\u{2212}10.0 % [\u{2212}10.0, \u{2212}10.0]  not reached",
            "+11.1 % [+11.1, +11.1]",
            "25 % [25, 25]",
        ] {
            assert!(row.contains(part), "{part:?} is not in {row:?}");
        }
    }
}
