//! What a rule saw in one run, and the same over all repetitions.

use std::collections::{BTreeMap, HashSet};

use super::{
    evidence::{RunEvidence, StartResult, is_failed},
    words::{mb, seconds},
};
use crate::{
    scenario::{Mpm, RunPlan},
    wording::{listing, plural, whole},
};

/// The least weight: something failed and harmed nobody that is known.
pub(crate) const LEAST_WEIGHT: f64 = 0.001;

/// What a rule saw in one run.
#[derive(Clone, Debug, Default)]
pub struct Observation {
    /// The share of slots, connections or requests that were affected, 0 to 1.
    pub weight: f64,
    pub(super) figures: BTreeMap<&'static str, f64>,
    pub(super) words: BTreeMap<&'static str, String>,
    /// What came of the start, where the failure bears on it.
    pub start: Option<StartResult>,
    /// Places of the failures that it accounts for.
    pub failures: Vec<usize>,
    /// Places of the client's rows that it accounts for.
    pub clients: Vec<usize>,
    /// Processes whose end it accounts for.
    pub processes: Vec<u32>,
    /// Codes in the error log that are about it.
    pub codes: Vec<String>,
    /// Table, number of rows, and one of them in words.
    pub evidence: Vec<(&'static str, u64, String)>,
    /// What would have been evidence and is not there.
    pub missing: Vec<String>,
    /// Failed requests that it accounts for, by outcome.
    pub(super) hit: BTreeMap<String, u64>,
    /// Requests there were.
    pub(super) requests: u64,
}

impl Observation {
    /// Sets a figure.
    pub fn figure(&mut self, name: &'static str, value: f64) -> &mut Self {
        self.figures.insert(name, value);
        self
    }

    /// Sets a word.
    pub fn word(&mut self, name: &'static str, value: impl Into<String>) -> &mut Self {
        self.words.insert(name, value.into());
        self
    }

    /// Adds rows that it rests on.
    pub fn rests_on(&mut self, table: &'static str, rows: usize, example: impl Into<String>) {
        if rows > 0 {
            self.evidence.push((table, rows as u64, example.into()));
        }
    }

    /// Counts the requests that it accounts for. A start that failed accounts for all that
    /// failed.
    pub fn settle(&mut self, run: &RunEvidence<'_>) {
        let wanted = run.plan().map_or(1, |plan| plan.server.max_request_workers);
        let wanted = f64::from(wanted.max(1));
        let start_share = match self.start {
            Some(StartResult::Died | StartResult::Ended) => {
                self.clients = run.failed_requests().map(|(place, _)| place).collect();
                1.0
            }
            Some(StartResult::Degraded { slots, .. }) => 1.0 - f64::from(slots) / wanted,
            Some(StartResult::Whole) | None => 0.0,
        };
        if run.was_given_up() {
            self.clients.clear();
        }
        self.requests = run.request_count();
        let mut failed = 0;
        for place in &self.clients {
            let row = &run.run.client[*place];
            if is_failed(row) {
                failed += 1;
                *self.hit.entry(outcome(row)).or_default() += 1;
            }
        }
        let share = failed as f64 / self.requests.max(1) as f64;
        let weight = self.weight.max(start_share).max(share);
        self.weight = weight.clamp(LEAST_WEIGHT, 1.0);
        if failed > 0 {
            let example = format!("{} of {}", failed, plural(self.requests, "request"));
            self.rests_on("client_requests", failed, example);
        }
    }
}

/// How a request failed, in words.
fn outcome(row: &crate::recording::ClientRow) -> String {
    if row.outcome == "non2xx" {
        return format!("answered with {}", row.status);
    }
    let known = loadgen::Outcome::ALL
        .into_iter()
        .find(|outcome| outcome.name() == row.outcome);
    known.map_or_else(|| row.outcome.clone(), |known| known.meaning().to_owned())
}

/// The failures and requests that earlier rules account for.
#[derive(Clone, Debug, Default)]
pub struct Claimed {
    /// Places in the table of failures.
    pub failures: HashSet<usize>,
    /// Places in the client's table.
    pub clients: HashSet<usize>,
    /// Processes whose end is accounted for.
    pub processes: HashSet<u32>,
    /// Whether they account for a start that was not whole.
    pub start: bool,
}

impl Claimed {
    /// Adds those of a rule.
    pub fn add(&mut self, observation: &Observation) {
        self.failures.extend(&observation.failures);
        self.clients.extend(&observation.clients);
        self.processes.extend(&observation.processes);
        self.start |= observation
            .start
            .is_some_and(|start| start != StartResult::Whole);
    }
}

/// What a rule saw over the repetitions of one MPM in one scenario.
pub struct Seen<'a> {
    /// The MPM of these runs.
    pub mpm: Mpm,
    /// The plan of these runs; `None` of a live server.
    pub plan: Option<&'a RunPlan>,
    /// Repetitions there are.
    pub of_runs: u32,
    /// One for each in which it saw something; at least one.
    pub all: &'a [Observation],
}

impl Seen<'_> {
    fn values(&self, name: &str) -> Vec<f64> {
        let mut values: Vec<f64> = self
            .all
            .iter()
            .filter_map(|one| one.figures.get(name).copied())
            .collect();
        values.sort_by(f64::total_cmp);
        values
    }

    /// The figure of the repetition in the middle, of an even number the lower one.
    pub fn middle(&self, name: &str) -> Option<f64> {
        let values = self.values(name);
        let middle = values.len().checked_sub(1)? / 2;
        Some(values[middle])
    }

    /// The greatest.
    pub fn most(&self, name: &str) -> Option<f64> {
        self.values(name).last().copied()
    }

    /// In how many repetitions it is known.
    pub fn runs_with(&self, name: &str) -> usize {
        self.values(name).len()
    }

    fn span(&self, name: &str, say: impl Fn(f64) -> String) -> String {
        let values = self.values(name);
        let (Some(low), Some(high)) = (values.first(), values.last()) else {
            return "an unknown number".into();
        };
        let (low, high) = (say(*low), say(*high));
        if low == high {
            low
        } else {
            format!("{low} to {high}")
        }
    }

    /// A count: `12`, or `8 to 15` over the repetitions.
    pub fn count(&self, name: &str) -> String {
        self.span(name, |value| whole(value as u64))
    }

    /// A figure with one decimal.
    pub fn decimal(&self, name: &str) -> String {
        self.span(name, |value| format!("{value:.1}"))
    }

    /// A count with its noun.
    pub fn plural(&self, name: &str, noun: &str) -> String {
        let count = self.count(name);
        let ending = if count == "1" { "" } else { "s" };
        format!("{count} {noun}{ending}")
    }

    /// A size.
    pub fn mb(&self, name: &str) -> String {
        self.span(name, mb)
    }

    /// A duration in seconds.
    pub fn seconds(&self, name: &str) -> String {
        self.span(name, seconds)
    }

    /// The word of most repetitions; empty if none has it.
    pub fn word(&self, name: &str) -> &str {
        let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
        for word in self.all.iter().filter_map(|one| one.words.get(name)) {
            *counts.entry(word).or_default() += 1;
        }
        let most = counts.into_iter().max_by_key(|(_, count)| *count);
        most.map_or("", |(word, _)| word)
    }

    /// Whether a repetition has the word.
    pub fn has_word(&self, name: &str) -> bool {
        self.all.iter().any(|one| one.words.contains_key(name))
    }

    /// ` in 3 of 20 runs`; nothing where it was seen in all of them.
    pub fn in_runs(&self) -> String {
        let runs = self.all.len() as u32;
        match (runs, self.of_runs) {
            (1, 1) => String::new(),
            (runs, of) if runs == of => format!(", in all {of} runs"),
            (runs, of) => format!(", in {runs} of {of} runs"),
        }
    }

    /// What followed from it, as parts of a sentence: of the start, the requests, the log.
    pub fn consequences(&self) -> Vec<String> {
        let mut told = self.start_consequences();
        if self.most("aborted").is_some_and(|most| most > 0.0) {
            let each = if self.all.len() > 1 { " a run" } else { "" };
            let count = self.count("aborted");
            let who = if count == "1" { "process" } else { "processes" };
            told.push(format!("{count} {who}{each} aborted for it (SIGABRT)"));
        }
        told.extend(self.request_consequence());
        let mut codes: Vec<String> = Vec::new();
        for code in self.all.iter().flat_map(|one| &one.codes) {
            if !codes.contains(code) {
                codes.push(code.clone());
            }
        }
        if !codes.is_empty() {
            told.push(format!("{} in the error log", listing(&codes)));
        }
        // Without a client's rows nobody knows that no request failed.
        let has_clients = self.plan.is_some() || self.all.iter().any(|one| one.requests > 0);
        if told.is_empty() && !has_clients {
            told.push("what its clients saw was not recorded".into());
        }
        told
    }

    fn start_consequences(&self) -> Vec<String> {
        let of_starts = |count: usize| match self.of_runs {
            1 => String::new(),
            of => format!(" in {count} of {of} starts"),
        };
        let mut told = Vec::new();
        let starts = || self.all.iter().filter_map(|one| one.start);
        let died = starts().filter(|start| *start == StartResult::Died).count();
        if died > 0 {
            told.push(format!("httpd did not start{}", of_starts(died)));
        }
        let ended = starts()
            .filter(|start| *start == StartResult::Ended)
            .count();
        if ended > 0 {
            told.push(match self.plan {
                Some(_) => format!("httpd came up and then ended{}", of_starts(ended)),
                None => "httpd ended while it was recorded".into(),
            });
        }
        for ended_first in [false, true] {
            let mut slots: Vec<u32> = starts()
                .filter_map(|start| match start {
                    StartResult::Degraded { slots, going_on } if going_on == ended_first => {
                        Some(slots)
                    }
                    _ => None,
                })
                .collect();
            slots.sort_unstable();
            let (Some(least), Some(most)) = (slots.first(), slots.last()) else {
                continue;
            };
            let range = if least == most {
                least.to_string()
            } else {
                format!("{least} to {most}")
            };
            let wanted = self.plan.map_or(0, |plan| plan.server.max_request_workers);
            let of_starts = of_starts(slots.len());
            told.push(if ended_first {
                format!("httpd had {range} of {wanted} slots when the run ended{of_starts}")
            } else {
                format!("httpd came up with {range} of {wanted} slots{of_starts}")
            });
        }
        told
    }

    fn request_consequence(&self) -> Option<String> {
        let failed = |one: &Observation| one.hit.values().sum::<u64>();
        let hit: u64 = self.all.iter().map(failed).sum();
        if hit == 0 {
            return None;
        }
        let mut outcomes: BTreeMap<&str, u64> = BTreeMap::new();
        for (outcome, count) in self.all.iter().flat_map(|one| &one.hit) {
            *outcomes.entry(outcome).or_default() += count;
        }
        let requests: u64 = self.all.iter().map(|one| one.requests).sum();
        let mut outcomes: Vec<(&str, u64)> = outcomes.into_iter().collect();
        outcomes.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let how = match outcomes.as_slice() {
            [(one, _)] => (*one).to_owned(),
            several => {
                let each: Vec<String> = several
                    .iter()
                    .map(|(outcome, count)| format!("{} {outcome}", whole(*count)))
                    .collect();
                listing(&each)
            }
        };
        let of_these = if self.all.len() > 1 {
            " of these runs"
        } else {
            ""
        };
        Some(format!(
            "{} of the {}{of_these} failed: {how}",
            whole(hit),
            plural(requests, "request"),
        ))
    }
}
