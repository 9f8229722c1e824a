//! The result as tables, in plain text and in Markdown.

use super::{
    Client, ClientResults, Cost,
    result::{CaseResult, Comparison, Half, MEMORY_AT_MOST_BYTES, MEMORY_CONNECTIONS},
};
use crate::{
    overhead::Verdict,
    statistics::{Interval, Spread},
    text_table,
};

const NONE: &str = "–";

/// The unit of a cost.
#[must_use]
pub(super) const fn unit(cost: Cost) -> &'static str {
    match cost {
        Cost::PerRequest => "µs/request",
        Cost::PerGigabyte => "s/GB",
    }
}

/// Tables for a terminal and what goes with them.
#[must_use]
pub fn text(results: &ClientResults) -> String {
    pages(results, text_table::aligned, text_table::aligned, |line| {
        format!("{line}\n")
    })
}

/// The same in Markdown.
#[must_use]
pub fn markdown(results: &ClientResults) -> String {
    pages(
        results,
        text_table::markdown,
        text_table::markdown,
        |line| format!("- {line}\n"),
    )
}

fn pages(
    results: &ClientResults,
    costs: impl Fn(&[[String; 8]]) -> String,
    memory: impl Fn(&[[String; 5]]) -> String,
    line: impl Fn(&str) -> String,
) -> String {
    let mut text = format!("{}\n\n{}", about(results), costs(&cost_rows(results)));
    if !results.memory.is_empty() {
        text += "\n";
        text += &memory(&memory_rows(results));
    }
    text + &ending(&notes(results), &conclusion(results), line)
}

/// What stands below the tables of a bench: its notes, then its conclusion.
pub(super) fn ending(notes: &[String], conclusion: &str, line: impl Fn(&str) -> String) -> String {
    let gap = if notes.is_empty() { "" } else { "\n" };
    let lines: String = notes.iter().map(|note| line(note)).collect();
    format!("{gap}{lines}\n{conclusion}\n")
}

fn about(results: &ClientResults) -> String {
    format!(
        "CPU time of the client's process, requests and bytes as nginx counted them; medians, and \
         of the ratio in pairs with its 95 % bootstrap interval; halves of {} s. nginx with one \
         worker on CPU {}, the client on CPU {} of {} ({}, Linux {}); {}.",
        results.seconds,
        results.server_cpu,
        results.client_cpu,
        results.cpus,
        results.processor,
        results.kernel,
        results.programs.join(", ")
    )
}

fn cost_rows(results: &ClientResults) -> Vec<[String; 8]> {
    let head = [
        "case",
        "loadgen",
        "against",
        "its cost",
        "loadgen / it",
        "goal",
        "verdict",
        "others' CPU",
    ];
    let mut rows = vec![head.map(str::to_owned)];
    for case in &results.cases {
        if let Some(limit) = case.cost_at_most {
            rows.push([
                case.title.clone(),
                our_cost(case),
                NONE.into(),
                NONE.into(),
                NONE.into(),
                format!("≤ {limit:.2} {}", unit(case.cost)),
                judged(case.verdict()),
                NONE.into(),
            ]);
        }
        for with in &case.comparisons {
            rows.push(comparison_row(case, with));
        }
    }
    rows
}

fn comparison_row(case: &CaseResult, with: &Comparison) -> [String; 8] {
    let goal = with.at_most.map_or_else(
        || NONE.to_owned(),
        |limit| format!("≤ {limit:.2} × {}", with.client.name()),
    );
    let mut verdict = if with.kept_rate == Some(false) {
        "does not keep the rate".to_owned()
    } else {
        judged(with.verdict())
    };
    if let Some([ours, theirs]) = with.burstiness() {
        verdict += &format!(" (burstiness {ours:.1}, its {theirs:.1})");
    }
    [
        case.title.clone(),
        our_cost(case),
        with.client.name(),
        cost(
            with.their_cost(case.cost).map(|cost| cost.median),
            case.cost,
        ),
        with.ratio.map_or_else(
            || "too few pairs".to_owned(),
            |Interval {
                 median, low, high, ..
             }| format!("{median:.2} [{low:.2}, {high:.2}]"),
        ),
        goal,
        verdict,
        with.others().map_or_else(
            || NONE.to_owned(),
            |others| format!("{:.0} %", others.median * 100.0),
        ),
    ]
}

fn our_cost(case: &CaseResult) -> String {
    let costs = case.our_halves().filter_map(|half| half.cost(case.cost));
    let text = cost(Spread::of(costs).map(|cost| cost.median), case.cost);
    match case.ours {
        Client::LOADGEN => text,
        other => format!("{text} ({})", other.name().trim_start_matches("loadgen ")),
    }
}

fn cost(cost: Option<f64>, of: Cost) -> String {
    let digits = match of {
        Cost::PerRequest => 1,
        Cost::PerGigabyte => 2,
    };
    cost.map_or_else(
        || NONE.to_owned(),
        |cost| format!("{cost:.digits$} {}", unit(of)),
    )
}

fn judged(verdict: Option<Verdict>) -> String {
    verdict.map_or_else(|| NONE.to_owned(), |verdict| verdict.to_string())
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn memory_rows(results: &ClientResults) -> Vec<[String; 5]> {
    let head = ["memory", "ran for", "requests", "peak resident", "goal"];
    let mut rows = vec![head.map(str::to_owned)];
    for result in &results.memory {
        let ours = result.client == Client::LOADGEN;
        let goal = if ours {
            let reached = result.peak_rss_bytes <= MEMORY_AT_MOST_BYTES;
            format!(
                "≤ {:.0} MB: {}",
                megabytes(MEMORY_AT_MOST_BYTES),
                if reached { "reached" } else { "not reached" }
            )
        } else {
            NONE.to_owned()
        };
        rows.push([
            format!(
                "{}, keep-alive, {MEMORY_CONNECTIONS}{}",
                result.client.name(),
                if ours { ", rows on" } else { "" }
            ),
            format!("{} s", result.seconds),
            result.requests.to_string(),
            format!("{:.1} MB", megabytes(result.peak_rss_bytes)),
            goal,
        ]);
    }
    rows
}

/// What the tables do not say.
fn notes(results: &ClientResults) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(most) = &results.most {
        notes.push(match &most.refusal {
            Some(why) => format!("{} connections at once: {why}", most.asked),
            None => format!(
                "{} connections at once: the server saw {} of them together and {} requests, {}; \
                 loadgen's peak resident memory {:.1} MB",
                most.asked,
                most.together,
                most.requests,
                most.said.map_or_else(String::new, |said| format!(
                    "loadgen counts {} answered and {} failed",
                    said.requests, said.failed
                )),
                megabytes(most.peak_rss_bytes)
            ),
        });
        notes.push(format!(
            "the same under a limit of {} open files: {}",
            most.low_limit, most.low_limit_line
        ));
    }
    if results.cases.iter().any(|case| case.rate_per_s.is_some()) {
        notes.push(
            "burstiness: variance of the arrivals at the server in 2 ms divided by their mean; \
             0 is an even stream, 1 chance, the number of connections all of them at once. Who \
             sends in bursts wakes up less often, and needs less CPU for it"
                .to_owned(),
        );
    }
    for case in &results.cases {
        for with in &case.comparisons {
            let mut note = |client: Client, halves: &mut dyn Iterator<Item = &Half>| {
                let mut failed = 0;
                let mut unread = 0;
                for half in halves {
                    match half.said {
                        Some(said) => failed += said.failed,
                        None => unread += 1,
                    }
                }
                let beside = with.client.name();
                if failed > 0 {
                    notes.push(format!(
                        "{} beside {beside}: {} counted {failed} failures",
                        case.name,
                        client.name()
                    ));
                }
                if unread > 0 {
                    notes.push(format!(
                        "{} beside {beside}: {unread} outputs of {} were not understood",
                        case.name,
                        client.name()
                    ));
                }
            };
            note(case.ours, &mut with.pairs.iter().map(|pair| &pair.ours));
            note(with.client, &mut with.pairs.iter().map(|pair| &pair.theirs));
        }
    }
    notes.extend(
        results
            .left_out
            .iter()
            .map(|left| format!("left out: {left}")),
    );
    notes
}

/// One line.
fn conclusion(results: &ClientResults) -> String {
    let verdicts = results.verdicts();
    let count = |wanted| {
        verdicts
            .iter()
            .filter(|&&verdict| verdict == wanted)
            .count()
    };
    let pairs = results.cases.iter().flat_map(|case| &case.comparisons);
    let fewest = pairs.map(|with| with.pairs.len()).min().unwrap_or(0);
    format!(
        "loadgen: {} of {} goals reached, {} not, {} undecided ({fewest} pairs or more each)",
        count(Verdict::Reached),
        verdicts.len(),
        count(Verdict::NotReached),
        count(Verdict::Undecided)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peers::{
        CASES, Said,
        result::{MemoryResult, tests::pairs},
    };

    fn results() -> ClientResults {
        let case = |name: &str, ratio: f64| {
            let case = CASES.iter().find(|case| case.name == name).unwrap();
            let comparisons = case.peers.iter().map(|peer| {
                let pairs = pairs(ratio, 7);
                Comparison::of(case, peer.client, peer.at_most, 2, pairs)
            });
            CaseResult {
                name: case.name.into(),
                title: case.title.into(),
                cost: case.cost,
                ours: case.ours,
                cost_at_most: case.cost_at_most,
                rate_per_s: case.load.rate_per_s,
                comparisons: comparisons.collect(),
            }
        };
        let memory = |client, seconds| MemoryResult {
            client,
            seconds,
            requests: 1,
            peak_rss_bytes: 5 << 20,
        };
        ClientResults {
            format: 3,
            observer_version: "1".into(),
            kernel: "6.18".into(),
            processor: "Made-up".into(),
            cpus: 2,
            server_cpu: 0,
            client_cpu: 1,
            seconds: 2,
            programs: vec!["wrk 4.1.0".into()],
            left_out: vec!["hey: not installed".into()],
            cases: vec![case("keep-alive-64", 0.75), case("large-file", 0.4)],
            memory: vec![memory(Client::LOADGEN, 2), memory(Client::Wrk, 2)],
            most: None,
        }
    }

    #[test]
    fn goals_stand_beside_the_ratios_and_their_intervals() {
        let text = text(&results());
        let line = |part: &str| {
            text.lines()
                .find(|line| line.contains(part))
                .unwrap_or_else(|| panic!("{part:?} is not in\n{text}"))
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(
            line("≤ 0.80 × wrk"),
            "keep-alive, 64 7.5 µs/request wrk 10.0 µs/request 0.75 [0.75, 0.75] ≤ 0.80 × wrk \
             reached 25 %"
        );
        assert!(line("≤ 0.30 × wrk").contains("0.40 s/GB wrk 1.00 s/GB"));
        assert!(line("≤ 0.30 × wrk").contains("not reached"));
        assert!(line("≤ 0.20 s/GB").contains("not reached"));
        assert!(line("rows on").contains("5.0 MB ≤ 12 MB: reached"));
        assert!(text.contains("left out: hey: not installed"));
        // Two ratios, one cost, the memory.
        assert!(text.ends_with(
            "loadgen: 2 of 4 goals reached, 2 not, 0 undecided (7 pairs or more each)\n"
        ));
    }

    #[test]
    fn what_a_client_counted_as_failed_is_told() {
        let mut results = results();
        results.cases[0].comparisons[0].pairs[0].theirs.said = Some(Said {
            requests: 1,
            failed: 9,
        });
        results.cases[0].comparisons[0].pairs[1].ours.said = None;
        let text = markdown(&results);
        assert!(text.contains("- keep-alive-64 beside wrk: wrk counted 9 failures"));
        assert!(text.contains("1 outputs of loadgen were not understood"));
        assert!(text.contains("| case | loadgen | against |"));
    }
}
