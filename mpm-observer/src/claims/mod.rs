//! The claims stage: judges the tutorial's statements by the figures of interleaved repetitions.
//!
//! Figures in ([`ScenarioRuns`]), verdicts out ([`Claim`]); nothing is read or written. A claim
//! about an amount is judged by [`Effect::of_pairs`], one that an MPM fails by
//! [`Effect::of_shares`]. What was decided about the statistics, and why, is in
//! `docs/decisions/0006-claims.md`.

mod compare;
mod effect;
mod judge;
mod needed;
mod runs;
mod statement;
mod verdict;

pub use compare::{Comparison, RUN_FAILED};
pub use effect::{Effect, Measure};
pub use judge::{Judgement, NotJudged, judge};
pub use needed::{MOST_FURTHER, Needed};
pub use runs::{RunValues, ScenarioRuns};
pub use statement::{Case, Claim, Fair, Tally, claims};
pub use verdict::{Threshold, Verdict};

#[cfg(test)]
mod judge_tests;
#[cfg(test)]
mod made_up;
#[cfg(test)]
mod statement_tests;
