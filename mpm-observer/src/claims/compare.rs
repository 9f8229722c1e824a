//! The comparison of a claim's MPM with one other.

use serde::Serialize;

use super::{Effect, Measure, Needed, RunValues, ScenarioRuns, Threshold, Verdict, needed::needed};
use crate::{
    scenario::{ClaimText, Direction, Mpm},
    statistics::Ends,
};

/// A claim's MPM against one other, over the repetitions.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// The other.
    pub other: Mpm,
    /// What follows for this other alone.
    pub verdict: Verdict,
    /// How much more the subject has; `None` if no repetition gave a value for both.
    pub effect: Option<Effect>,
    /// Whether neither had any of the metric in any repetition: equal, but no ratio.
    pub none_in_either: bool,
    /// Repetitions that both MPMs have.
    pub repetitions: usize,
    /// Of these, those in which the client was the bottleneck of a figure that it bounds: of the
    /// subject's.
    pub client_bound_subject: usize,
    /// The same of the other's.
    pub client_bound_other: usize,
    /// What it would come to if the best guess were the truth; `None` without one.
    pub expected: Option<Verdict>,
    /// Further repetitions that would decide, where it is undecided.
    pub needed: Option<Needed>,
}

/// The metric by which failing is judged by runs with any failure, instead of by the share of
/// requests that failed: where httpd makes good what it loses, few of them meet it.
pub const RUN_FAILED: &str = "run_failed";

/// In which direction a busy client bends a metric.
fn bent_by_client(metric: &str) -> Option<Bent> {
    if metric == "requests_per_s" {
        return Some(Bent::Down);
    }
    metric.starts_with("latency_").then_some(Bent::Up)
}

/// How a figure of a run with a busy client relates to httpd's own.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Bent {
    /// httpd may have more.
    Down,
    /// httpd may have less.
    Up,
}

/// Compares by what the claim's direction says: amounts of `metric`, or shares of failures.
pub(super) fn compare(
    claim: &ClaimText,
    metric: &str,
    (subject, other): (Mpm, Mpm),
    runs: &ScenarioRuns,
) -> Comparison {
    if claim.direction == Some(Direction::Fails) {
        failures(claim, metric, (subject, other), runs)
    } else {
        amounts(claim, metric, (subject, other), runs)
    }
}

fn failures(
    claim: &ClaimText,
    metric: &str,
    (subject, other): (Mpm, Mpm),
    runs: &ScenarioRuns,
) -> Comparison {
    let shares = |mpm| -> Vec<f64> {
        let share = match metric {
            RUN_FAILED => RunValues::any_failed,
            _ => RunValues::failed_share,
        };
        runs.runs_of(mpm).filter_map(share).collect()
    };
    let (own, others) = (shares(subject), shares(other));
    let threshold = Threshold::new(
        Measure::ShareDifference,
        true,
        claim.margin(),
        claim.least_percent(),
    );
    let mean = |shares: &[f64]| shares.iter().sum::<f64>() / shares.len() as f64;
    let mut comparison = Comparison {
        other,
        verdict: Verdict::Undecided,
        effect: Effect::of_shares(&own, &others),
        none_in_either: false,
        repetitions: runs.pairs(subject, other).count(),
        client_bound_subject: 0,
        client_bound_other: 0,
        expected: None,
        needed: None,
    };
    let unbent = |ends| ends;
    comparison.decide(&threshold, Some((mean(&own), mean(&others))), unbent);
    comparison
}

fn amounts(
    claim: &ClaimText,
    metric: &str,
    (subject, other): (Mpm, Mpm),
    runs: &ScenarioRuns,
) -> Comparison {
    let valued: Vec<_> = runs
        .pairs(subject, other)
        .filter_map(|(own, others)| {
            Some(((own.value(metric)?, others.value(metric)?), own, others))
        })
        .collect();
    let bent = bent_by_client(metric);
    let bound = |busy: bool| usize::from(busy && bent.is_some());
    let amounts: Vec<(f64, f64)> = valued.iter().map(|(amounts, ..)| *amounts).collect();
    let more = claim.direction != Some(Direction::Less);
    let threshold = Threshold::new(Measure::Ratio, more, claim.margin(), claim.least_percent());
    let mut comparison = Comparison {
        other,
        verdict: Verdict::Undecided,
        effect: Effect::of_pairs(&amounts),
        none_in_either: amounts.iter().all(|pair| *pair == (0.0, 0.0)) && !amounts.is_empty(),
        repetitions: runs.pairs(subject, other).count(),
        client_bound_subject: valued
            .iter()
            .map(|(_, own, _)| bound(own.client_was_busy))
            .sum(),
        client_bound_other: valued
            .iter()
            .map(|(.., others)| bound(others.client_was_busy))
            .sum(),
        expected: None,
        needed: None,
    };
    // On the claimed side, up is what favours the claim. Where the client was the bottleneck, the
    // true ratio may lie anywhere beyond the measured one, on the side to which it was bent.
    let (own, others) = (
        comparison.client_bound_subject > 0,
        comparison.client_bound_other > 0,
    );
    let up = more == (bent == Some(Bent::Down));
    let (open_above, open_below) = if up { (own, others) } else { (others, own) };
    comparison.decide(&threshold, None, |ends| Ends {
        low: if open_below {
            f64::NEG_INFINITY
        } else {
            ends.low
        },
        high: if open_above { f64::INFINITY } else { ends.high },
    });
    comparison
}

impl Comparison {
    /// Sets verdict and needed repetitions. `open` widens the interval, on the scale of the
    /// threshold, by what the values cannot tell.
    fn decide(
        &mut self,
        threshold: &Threshold,
        shares: Option<(f64, f64)>,
        open: impl Fn(Ends) -> Ends,
    ) {
        let Some(effect) = self.effect else {
            self.needed = Some(Needed::WouldNotHelp);
            return;
        };
        let guess = Ends {
            low: effect.value,
            high: effect.value,
        };
        self.expected = Some(threshold.decide(threshold.toward(guess)));
        let toward = effect.interval.map(|ends| threshold.toward(ends));
        if let Some(toward) = toward {
            self.verdict = threshold.decide(open(toward));
        }
        if self.verdict == Verdict::Undecided {
            // With the client as the bottleneck, only what it cannot bend is worth repeating.
            let bent = toward.is_some_and(|toward| threshold.decide(toward) != Verdict::Undecided);
            let yield_per_run = effect.n as f64 / self.repetitions.max(1) as f64;
            self.needed = Some(if bent {
                Needed::WouldNotHelp
            } else {
                needed(&effect, shares, threshold, yield_per_run.min(1.0))
            });
        }
    }
}
