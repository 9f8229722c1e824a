//! Made-up runs, for the tests of this stage.

use std::collections::BTreeMap;

use super::{RunValues, ScenarioRuns};
use crate::scenario::{ClaimText, Direction, Mpm, SummaryRow};

/// A claim of no size.
pub fn claim(metric: &str, subject: Mpm, direction: Direction) -> ClaimText {
    let json = serde_json::json!({
        "row": SummaryRow::Overload,
        "says": "said",
        "metric": metric,
        "subject": subject,
        "direction": direction,
    });
    serde_json::from_value(json).unwrap()
}

/// A run that came up, answered 100 requests and has this much of a metric.
pub fn run(mpm: Mpm, repetition: u32, metric: &'static str, value: f64) -> RunValues {
    RunValues {
        mpm,
        repetition,
        started: true,
        slots: 75,
        ok: 100,
        failed: 0,
        client_was_busy: false,
        values: BTreeMap::from([(metric, value)]),
    }
}

/// A scenario with so many repetitions of each MPM; `value` gives each its amount.
pub fn scenario(
    metric: &'static str,
    repetitions: u32,
    value: impl Fn(Mpm, u32) -> f64,
) -> ScenarioRuns {
    let runs = (1..=repetitions)
        .flat_map(|repetition| Mpm::ALL.map(|mpm| (mpm, repetition)))
        .map(|(mpm, repetition)| run(mpm, repetition, metric, value(mpm, repetition)))
        .collect();
    ScenarioRuns {
        name: "made-up".into(),
        title: "Made up".into(),
        tutorial: None,
        runs,
    }
}

/// A little up and down, within 1 %, so that no two MPMs go along with each other.
pub fn noise(repetition: u32) -> f64 {
    1.0 + 0.002 * f64::from(repetition * repetition * 7 % 11) - 0.01
}
