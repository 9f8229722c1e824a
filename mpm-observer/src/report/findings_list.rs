//! The findings as the page tells them.

use serde::Serialize;

use super::{
    figures::ScenarioFigures,
    text::{listing, plural},
};
use crate::findings::Finding;

/// What went wrong, over all scenarios.
#[derive(Clone, Debug, Serialize)]
pub(super) struct FindingsList {
    /// The strongest first.
    pub findings: Vec<Told>,
    /// Where nothing failed.
    pub without: String,
    /// What keeps failures from being known.
    pub blind: Vec<String>,
}

/// One finding.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Told {
    /// What happened.
    pub sentence: String,
    /// Title of the scenario.
    pub scenario: String,
    /// Anchor of its section.
    pub anchor: String,
    /// What is not known.
    pub missing: Vec<String>,
    /// What would have helped.
    pub remedies: Vec<String>,
    /// The rows that it rests on.
    pub rows: String,
}

impl FindingsList {
    /// Takes the findings of all scenarios; `anchor` names the section of each.
    pub fn of(scenarios: &[ScenarioFigures], anchor: impl Fn(usize) -> String) -> Self {
        let mut all: Vec<(&Finding, usize)> = scenarios
            .iter()
            .enumerate()
            .flat_map(|(index, figures)| {
                let groups = figures.findings.iter();
                groups.flat_map(move |group| group.findings.iter().map(move |one| (one, index)))
            })
            .collect();
        all.sort_by(|(a, _), (b, _)| b.weight.total_cmp(&a.weight));
        let groups = || scenarios.iter().flat_map(|figures| &figures.findings);
        Self {
            findings: all
                .into_iter()
                .map(|(finding, index)| Told {
                    scenario: scenarios[index].notes.title.clone(),
                    anchor: anchor(index),
                    ..Told::of(finding)
                })
                .collect(),
            without: without(scenarios),
            blind: groups()
                .flat_map(|group| group.blind.iter().cloned())
                .collect(),
        }
    }
}

impl Told {
    /// A finding without its place on the page.
    pub fn of(finding: &Finding) -> Self {
        Self {
            sentence: finding.sentence.clone(),
            scenario: String::new(),
            anchor: String::new(),
            missing: finding.missing.clone(),
            remedies: finding
                .remedies
                .iter()
                .map(|one| one.text.clone())
                .collect(),
            rows: rows(finding),
        }
    }
}

/// The tables of a finding with their rows, summed over its runs.
fn rows(finding: &Finding) -> String {
    let mut tables: Vec<(&str, u64)> = Vec::new();
    for evidence in &finding.evidence {
        match tables
            .iter_mut()
            .find(|(table, _)| *table == evidence.table)
        {
            Some((_, rows)) => *rows += evidence.rows,
            None => tables.push((&evidence.table, evidence.rows)),
        }
    }
    let each: Vec<String> = tables
        .into_iter()
        .map(|(table, rows)| format!("{} of {table}", plural(rows, "row")))
        .collect();
    let Some(first) = finding.evidence.first() else {
        return String::new();
    };
    format!("{}; such as: {}", listing(&each), first.example)
}

/// Scenarios and MPMs in which nothing failed, in one sentence.
fn without(scenarios: &[ScenarioFigures]) -> String {
    let mut parts = Vec::new();
    for figures in scenarios {
        let mpms: Vec<String> = figures
            .findings
            .iter()
            .filter(|group| group.findings.is_empty() && group.blind.is_empty())
            .map(|group| group.mpm.to_string())
            .collect();
        if !mpms.is_empty() {
            parts.push(format!("{} ({})", figures.notes.title, listing(&mpms)));
        }
    }
    if parts.is_empty() {
        return String::new();
    }
    format!("Nothing failed in: {}.", parts.join("; "))
}
