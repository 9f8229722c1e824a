//! The tutorial's statements with their judgements, each in the tutorial's own set-up and in the
//! fair one.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Judgement, ScenarioRuns, Verdict, judge};
use crate::scenario::ClaimText;

/// A statement of the tutorial.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Claim {
    /// It.
    pub text: ClaimText,
    /// What was measured, one for each scenario that has the statement.
    pub cases: Vec<Case>,
}

impl Claim {
    /// The verdicts that count with their cases, where they are not all the same; otherwise empty.
    #[must_use]
    pub fn depends(&self) -> Vec<(Verdict, Vec<&Judgement>)> {
        let mut by_verdict: BTreeMap<Verdict, Vec<&Judgement>> = BTreeMap::new();
        for judgement in self.cases.iter().map(Case::counts) {
            by_verdict
                .entry(judgement.verdict)
                .or_default()
                .push(judgement);
        }
        match by_verdict.len() {
            0 | 1 => Vec::new(),
            _ => by_verdict.into_iter().collect(),
        }
    }
}

/// A statement in one of its scenarios.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Case {
    /// As the tutorial has it.
    pub own: Judgement,
    /// In the fair set-up, where the tutorial's is not.
    pub fair: Option<Fair>,
}

/// A statement in the fair set-up.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fair {
    /// It was run.
    Judged(Box<Judgement>),
    /// The scenario of this name has no run in the experiment.
    NotRun(String),
}

impl Case {
    /// The judgement in the fair set-up, if it was run.
    #[must_use]
    pub fn fair(&self) -> Option<&Judgement> {
        match &self.fair {
            Some(Fair::Judged(judgement)) => Some(judgement),
            _ => None,
        }
    }

    /// The judgement that counts: the fair one, where there is one.
    #[must_use]
    pub fn counts(&self) -> &Judgement {
        self.fair().unwrap_or(&self.own)
    }
}

/// The statements of all scenarios, each once, in the order of the table's rows and then of the
/// scenarios. `known` tells whether there is a metric of a name.
#[must_use]
pub fn claims(scenarios: &[ScenarioRuns], known: impl Fn(&str) -> bool) -> Vec<Claim> {
    let mut claims: Vec<Claim> = Vec::new();
    for runs in scenarios {
        let Some(tutorial) = &runs.tutorial else {
            continue;
        };
        for text in &tutorial.claims {
            let case = case(text, runs, tutorial.fair.as_deref(), scenarios, &known);
            match claims.iter_mut().find(|claim| claim.text == *text) {
                Some(claim) => claim.cases.push(case),
                None => claims.push(Claim {
                    text: text.clone(),
                    cases: vec![case],
                }),
            }
        }
    }
    claims.sort_by_key(|claim| claim.text.row);
    claims
}

fn case(
    text: &ClaimText,
    runs: &ScenarioRuns,
    fair_scenario: Option<&str>,
    scenarios: &[ScenarioRuns],
    known: &impl Fn(&str) -> bool,
) -> Case {
    let own = text.metric.as_deref();
    let fairly = text.fair_metric.as_deref().or(own);
    let fair = match fair_scenario {
        None if fairly == own => None,
        None => Some(Fair::Judged(Box::new(judge(text, fairly, runs, known)))),
        Some(name) => Some(match scenarios.iter().find(|other| other.name == name) {
            Some(fair) => Fair::Judged(Box::new(judge(text, fairly, fair, known))),
            None => Fair::NotRun(name.to_owned()),
        }),
    };
    Case {
        own: judge(text, own, runs, known),
        fair,
    }
}

/// How often each verdict was given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Cases by the verdict that counts, the fair one where there is one.
    pub verdicts: BTreeMap<Verdict, usize>,
    /// Cases in which the tutorial's own set-up gives another verdict than the fair one.
    pub otherwise_in_own: usize,
}

impl Tally {
    /// Counts the cases of all claims.
    #[must_use]
    pub fn of(claims: &[Claim]) -> Self {
        let mut tally = Self::default();
        for case in claims.iter().flat_map(|claim| &claim.cases) {
            let verdict = case.counts().verdict;
            *tally.verdicts.entry(verdict).or_default() += 1;
            tally.otherwise_in_own += usize::from(case.own.verdict != verdict);
        }
        tally
    }

    /// In words: `of 9 claims 2 confirmed, 4 refuted, 1 no difference, 2 undecided`; empty
    /// without claims.
    #[must_use]
    pub fn in_words(&self) -> String {
        let total: usize = self.verdicts.values().sum();
        if total == 0 {
            return String::new();
        }
        let each: Vec<String> = self
            .verdicts
            .iter()
            .map(|(verdict, count)| format!("{count} {}", verdict.name()))
            .collect();
        let claims = if total == 1 { "claim" } else { "claims" };
        let mut text = format!("of {total} {claims} {}", each.join(", "));
        if self.otherwise_in_own > 0 {
            text += &format!(
                " ({} otherwise in the tutorial's own set-up)",
                self.otherwise_in_own
            );
        }
        text
    }
}
