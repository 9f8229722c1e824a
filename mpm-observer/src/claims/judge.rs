//! The judgement on a claim in one scenario.

use serde::Serialize;

use super::{Comparison, Effect, Needed, ScenarioRuns, Verdict, compare::compare};
use crate::scenario::{ClaimText, Direction, Mpm};

/// What the figures of one scenario say to a claim.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Judgement {
    /// The scenario's name.
    pub scenario: String,
    /// Its title.
    pub title: String,
    /// The metric that was judged; empty if the claim names none.
    pub metric: String,
    /// What follows.
    pub verdict: Verdict,
    /// The MPM that the claim is about, if it was judged.
    pub subject: Option<Mpm>,
    /// Against each of the others.
    pub comparisons: Vec<Comparison>,
    /// Which of them the verdict rests on most.
    pub decisive: Option<usize>,
    /// Further repetitions that would be expected to decide, where it is undecided.
    pub needed: Option<Needed>,
    /// Why it was not judged.
    pub not_judged: Option<NotJudged>,
    /// Slots of each MPM, where they were not equal.
    pub unequal_slots: Vec<(Mpm, u32)>,
}

/// Why a claim was not judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NotJudged {
    /// It names no MPM or no direction.
    NothingToJudge,
    /// There is no such metric.
    UnknownMetric,
    /// The MPM it is about was not run.
    SubjectNotRun,
    /// None of the MPMs to compare with was run.
    NoOtherRun,
}

impl Judgement {
    /// The effect that the verdict rests on most.
    #[must_use]
    pub fn effect(&self) -> Option<&Effect> {
        self.decisive()?.effect.as_ref()
    }

    /// The comparison that the verdict rests on most.
    #[must_use]
    pub fn decisive(&self) -> Option<&Comparison> {
        self.comparisons.get(self.decisive?)
    }
}

/// Judges a claim by `metric` (the claim's own or its fair one) in a scenario. `known` tells
/// whether there is such a metric.
#[must_use]
pub fn judge(
    claim: &ClaimText,
    metric: Option<&str>,
    runs: &ScenarioRuns,
    known: impl Fn(&str) -> bool,
) -> Judgement {
    let mpms = runs.mpms();
    let mut judgement = Judgement {
        scenario: runs.name.clone(),
        title: runs.title.clone(),
        metric: metric.unwrap_or_default().to_owned(),
        verdict: Verdict::NotJudged,
        subject: claim.subject,
        comparisons: Vec::new(),
        decisive: None,
        needed: None,
        not_judged: None,
        unequal_slots: runs.unequal_slots(),
    };
    let others = claim.others(&mpms);
    let fails = claim.direction == Some(Direction::Fails);
    let named = claim.subject.is_some() && claim.direction.is_some();
    let why = if !named || (!fails && metric.is_none()) {
        Some(NotJudged::NothingToJudge)
    } else if !fails && !metric.is_some_and(known) {
        Some(NotJudged::UnknownMetric)
    } else if !claim.subject.is_some_and(|subject| mpms.contains(&subject)) {
        Some(NotJudged::SubjectNotRun)
    } else if others.is_empty() {
        Some(NotJudged::NoOtherRun)
    } else {
        None
    };
    judgement.not_judged = why;
    let (None, Some(subject)) = (why, claim.subject) else {
        return judgement;
    };
    let metric = metric.unwrap_or_default();
    judgement.comparisons = others
        .into_iter()
        .map(|other| compare(claim, metric, (subject, other), runs))
        .collect();
    let verdicts: Vec<Verdict> = judgement
        .comparisons
        .iter()
        .map(|each| each.verdict)
        .collect();
    judgement.verdict = Verdict::of_all(&verdicts);
    judgement.decisive = decisive(claim, &judgement);
    if judgement.verdict == Verdict::Undecided {
        judgement.needed = needed(&judgement.comparisons);
    }
    judgement
}

/// Further repetitions that would decide: one other against the claim is enough, so where one is
/// expected to be, the first of these; otherwise all have to be for it.
fn needed(comparisons: &[Comparison]) -> Option<Needed> {
    let against = |each: &&Comparison| {
        let expected = each.expected;
        [Some(Verdict::Refuted), Some(Verdict::NoDifference)].contains(&expected)
    };
    let within_reach = |needed: &Needed| *needed != Needed::WouldNotHelp;
    let first = comparisons
        .iter()
        .filter(against)
        .filter_map(|each| each.needed)
        .filter(within_reach)
        .min();
    first.or_else(|| comparisons.iter().filter_map(|each| each.needed).max())
}

/// Of the comparisons with the verdict of the whole: where it is for the claim or open, the one
/// that comes nearest to denying it; where it is against it, the one that denies it most.
fn decisive(claim: &ClaimText, judgement: &Judgement) -> Option<usize> {
    let sign = match claim.direction {
        Some(Direction::Less) => -1.0,
        _ => 1.0,
    };
    let least_for = |(_, comparison): &(usize, &Comparison)| {
        let effect = comparison
            .effect
            .map_or(f64::NEG_INFINITY, |effect| effect.value);
        sign * effect
    };
    judgement
        .comparisons
        .iter()
        .enumerate()
        .filter(|(_, each)| each.verdict == judgement.verdict)
        .min_by(|a, b| least_for(a).total_cmp(&least_for(b)))
        .map(|(index, _)| index)
}
