//! From a statement of the tutorial to the answer that the measured figures give.
//!
//! Two kinds of statements are judged: that an MPM fails, by the share of its failed requests and
//! by whether httpd came up; and that it has more or less of something than each of the others,
//! by the ranges over the repetitions. Nothing is judged from fewer than [`LEAST_RUNS`] runs.

use serde::Serialize;

use super::{
    figures::{LEAST_RUNS, ScenarioFigures},
    metrics::{METRICS, Metric},
    text::{self, listing, percent, plural, whole},
};
use crate::{
    scenario::{ClaimText, Direction, Mpm},
    statistics::Spread,
};

/// From this share of failed requests on, an MPM is said to fail; below, in part.
const FAILS_FROM_SHARE: f64 = 0.5;

/// What the figures say to a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Verdict {
    /// It was so.
    Seen,
    /// It was so, but less than stated.
    InPart,
    /// It was not so.
    NotSeen,
    /// The contrary was so.
    Opposite,
    /// The figures do not decide.
    Unclear,
    /// There are no figures, or the statement names nothing to judge.
    NotMeasured,
}

impl Verdict {
    /// In words.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Seen => "seen",
            Self::InPart => "in part",
            Self::NotSeen => "not seen",
            Self::Opposite => "the opposite",
            Self::Unclear => "no clear difference",
            Self::NotMeasured => "not judged",
        }
    }
}

/// The answer to a statement in one scenario.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Answer {
    /// What follows.
    pub verdict: Verdict,
    /// In one sentence, with the figures.
    pub text: String,
}

impl Answer {
    fn new(verdict: Verdict, text: impl Into<String>) -> Self {
        Self {
            verdict,
            text: text.into(),
        }
    }
}

/// Answers a statement from the figures of a scenario.
pub(super) fn answer(claim: &ClaimText, figures: &ScenarioFigures) -> Answer {
    let metric = match claim.metric.as_deref().map(Metric::index) {
        Some(Some(index)) => Some(&METRICS[index]),
        Some(None) => {
            let key = claim.metric.as_deref().unwrap_or_default();
            let text = format!("the report has no metric `{key}`");
            return Answer::new(Verdict::NotMeasured, text);
        }
        None => None,
    };
    match (claim.subject, claim.direction, metric) {
        (Some(subject), Some(Direction::Fails), _) => fails(subject, figures),
        (Some(subject), Some(direction), Some(metric)) => {
            let least_percent = f64::from(claim.by_percent.unwrap_or(0));
            let more = direction == Direction::More;
            let compared = Comparison::new(metric, figures).judge(subject, more, least_percent);
            with_circumstances(compared, metric, figures)
        }
        (_, _, Some(metric)) => {
            let text = Comparison::new(metric, figures).medians();
            Answer::new(Verdict::NotMeasured, text)
        }
        _ => Answer::new(
            Verdict::NotMeasured,
            "the statement names nothing that is measured",
        ),
    }
}

/// How the runs of one MPM went.
struct Course {
    mpm: Mpm,
    runs: u64,
    not_started: u64,
    planned: u64,
    ok: u64,
    failed: u64,
    /// The failures by outcome, in words.
    failures: Vec<String>,
}

impl Course {
    fn new(mpm: Mpm, figures: &ScenarioFigures) -> Self {
        let runs = figures.runs_of(mpm).count() as u64;
        let failures = loadgen::Outcome::ALL
            .into_iter()
            .filter(|outcome| outcome.is_failure() || *outcome == loadgen::Outcome::Non2xx)
            .filter_map(|outcome| {
                let count_of = |run: &super::figures::RunFigures| {
                    run.outcomes.get(outcome.name()).copied().unwrap_or(0)
                };
                let count: u64 = figures.runs_of(mpm).map(count_of).sum();
                (count > 0).then(|| format!("{} {}", whole(count), outcome.meaning()))
            })
            .collect();
        Self {
            mpm,
            runs,
            not_started: runs - figures.sum(mpm, "httpd_started"),
            planned: figures.runs_of(mpm).map(|run| run.plan.load.requests).sum(),
            ok: figures.sum(mpm, "ok_requests"),
            failed: figures.sum(mpm, "failed_requests"),
            failures,
        }
    }

    fn failed_share(&self) -> f64 {
        self.failed as f64 / (self.ok + self.failed).max(1) as f64
    }

    /// Whether it failed, in part or altogether.
    fn verdict(&self) -> Verdict {
        if self.not_started == 0 && self.failed == 0 {
            Verdict::NotSeen
        } else if self.not_started == self.runs || self.failed_share() >= FAILS_FROM_SHARE {
            Verdict::Seen
        } else {
            Verdict::InPart
        }
    }

    fn in_words(&self) -> String {
        let Self { mpm, runs, .. } = self;
        let all = plural(*runs, "run");
        if self.not_started > 0 {
            let mut text = format!(
                "httpd with {mpm} did not start in {} of {all}",
                self.not_started
            );
            if self.not_started < *runs {
                text.push_str(&format!(
                    " ({} successful, {} failed requests in all)",
                    whole(self.ok),
                    whole(self.failed)
                ));
            }
            return text;
        }
        if self.failed > 0 {
            return format!(
                "{mpm} failed {} of {} requests ({}) in {all}: {}",
                whole(self.failed),
                whole(self.ok + self.failed),
                percent(100.0 * self.failed_share()),
                self.failures.join(", ")
            );
        }
        if self.ok >= self.planned {
            let each = whole(self.planned / (*runs).max(1));
            return format!("{mpm} answered all {each} requests in {runs} of {all}");
        }
        format!(
            "{mpm} failed none of {} requests in {all}; {} of those planned were cut off at the end of the time",
            whole(self.ok),
            whole(self.planned - self.ok)
        )
    }
}

/// Whether an MPM fails, and whether the others do.
fn fails(subject: Mpm, figures: &ScenarioFigures) -> Answer {
    let courses: Vec<Course> = figures
        .mpms()
        .into_iter()
        .map(|mpm| Course::new(mpm, figures))
        .collect();
    let Some(own) = courses.iter().find(|course| course.mpm == subject) else {
        let text = format!("{subject} was not run");
        return Answer::new(Verdict::NotMeasured, text);
    };
    let others: Vec<&Course> = courses
        .iter()
        .filter(|course| course.mpm != subject && course.verdict() != Verdict::NotSeen)
        .collect();
    let mut parts = vec![own.in_words()];
    parts.extend(others.iter().map(|course| course.in_words()));
    let text = parts.join("; ");
    if own.runs < LEAST_RUNS as u64 {
        return too_few(own.runs, &text);
    }
    let reversed = others
        .iter()
        .any(|course| course.not_started > 0 || course.verdict() == Verdict::Seen);
    let verdict = match own.verdict() {
        Verdict::NotSeen if reversed => Verdict::Opposite,
        verdict => verdict,
    };
    Answer::new(verdict, text)
}

fn too_few(runs: u64, text: &str) -> Answer {
    let runs = plural(runs, "run");
    Answer::new(
        Verdict::NotMeasured,
        format!("{runs} of each MPM, too few to judge from: {text}"),
    )
}

/// A metric over the MPMs.
struct Comparison {
    metric: &'static Metric,
    spreads: Vec<(Mpm, Option<Spread>)>,
}

impl Comparison {
    fn new(metric: &'static Metric, figures: &ScenarioFigures) -> Self {
        let spread = |mpm| (mpm, figures.spread(mpm, metric.key));
        Self {
            metric,
            spreads: figures.mpms().into_iter().map(spread).collect(),
        }
    }

    /// All medians with their ranges.
    fn medians(&self) -> String {
        let one = |(mpm, spread): &(Mpm, Option<Spread>)| match spread {
            Some(spread) => format!("{mpm} {}", text::median_with_range(self.metric, spread)),
            None => format!("{mpm} no value"),
        };
        self.spreads.iter().map(one).collect::<Vec<_>>().join(", ")
    }

    fn judge(&self, subject: Mpm, more: bool, least_percent: f64) -> Answer {
        let found = |(mpm, spread): &(Mpm, Option<Spread>)| spread.map(|spread| (*mpm, spread));
        let (own, others): (Vec<_>, Vec<_>) = self
            .spreads
            .iter()
            .filter_map(found)
            .partition(|(mpm, _)| *mpm == subject);
        let missing: Vec<String> = self
            .spreads
            .iter()
            .filter(|(_, spread)| spread.is_none())
            .map(|(mpm, _)| mpm.to_string())
            .collect();
        let (Some((_, own)), false) = (own.first(), others.is_empty()) else {
            let text = format!("nothing to compare: {}", self.medians());
            return Answer::new(Verdict::NotMeasured, text);
        };
        let least = others.iter().map(|(_, other)| other.n).chain([own.n]).min();
        if let Some(n) = least.filter(|&n| n < LEAST_RUNS) {
            return too_few(n as u64, &self.medians());
        }
        // "Beyond" is on the side of which the statement speaks.
        let beyond = |one: &Spread, other: &Spread| {
            if more {
                one.low > other.high
            } else {
                one.high < other.low
            }
        };
        let mut answer = if others.iter().all(|(_, other)| beyond(own, other)) {
            self.leads((subject, own), &others, more, least_percent)
        } else if others.iter().all(|(_, other)| beyond(other, own)) {
            let least = if more { "the least" } else { "the most" };
            let against = self.against_nearest((subject, own), &others);
            Answer::new(
                Verdict::Opposite,
                format!("{subject} has clearly {least}: {against}"),
            )
        } else if let Some((other, spread)) = others.iter().find(|(_, other)| beyond(other, own)) {
            let more = if more { "more" } else { "less" };
            let against = self.against_nearest((*other, spread), &[(subject, *own)]);
            Answer::new(
                Verdict::NotSeen,
                format!("{other} has clearly {more} than {subject}: {against}"),
            )
        } else {
            let touching: Vec<String> = others
                .iter()
                .filter(|(_, other)| !beyond(own, other))
                .map(|(mpm, _)| mpm.to_string())
                .collect();
            let ranges = if touching.len() > 1 { "those" } else { "that" };
            let text = format!(
                "the range of {subject} overlaps {ranges} of {}",
                listing(&touching)
            );
            Answer::new(Verdict::Unclear, text)
        };
        if !missing.is_empty() {
            let without = format!("; {} without a value", listing(&missing));
            answer.text.push_str(&without);
        }
        answer
    }

    /// The subject is clearly beyond all others: by how much, against the nearest of them?
    fn leads(
        &self,
        (subject, own): (Mpm, &Spread),
        others: &[(Mpm, Spread)],
        more: bool,
        least_percent: f64,
    ) -> Answer {
        let text = self.against_nearest((subject, own), others);
        let percent_beyond = |(_, other): &(Mpm, Spread)| {
            let (larger, smaller) = if more { (own, other) } else { (other, own) };
            100.0 * (larger.median / smaller.median - 1.0)
        };
        let least_beyond = others
            .iter()
            .map(percent_beyond)
            .fold(f64::INFINITY, f64::min);
        let verdict = if least_beyond < least_percent {
            Verdict::InPart
        } else {
            Verdict::Seen
        };
        Answer::new(verdict, text)
    }

    /// A median with its factor to the nearest of the others.
    fn against_nearest(&self, (mpm, own): (Mpm, &Spread), others: &[(Mpm, Spread)]) -> String {
        let write = |spread: &Spread| text::value(self.metric, spread.median);
        let distance = |other: &Spread| (own.median - other.median).abs();
        let nearest = others
            .iter()
            .min_by(|a, b| distance(&a.1).total_cmp(&distance(&b.1)));
        let Some((other, nearest)) = nearest else {
            return format!("{mpm} {}", write(own));
        };
        let times = own.median / nearest.median;
        // A factor to or from nothing says nothing.
        let factor = if times.is_finite() && times > 0.0 {
            format!("{} times", text::factor(times))
        } else {
            "against".into()
        };
        format!(
            "{mpm} {}, {factor} {other}'s {}",
            write(own),
            write(nearest)
        )
    }
}

/// Adds what a reader has to know about a comparison: unequal slots, failures, a busy client.
fn with_circumstances(mut answer: Answer, metric: &Metric, figures: &ScenarioFigures) -> Answer {
    let mut add = |text: String| {
        answer.text.push_str("; ");
        answer.text.push_str(&text);
    };
    let slots = figures.slots();
    if slots.windows(2).any(|pair| pair[0].1 != pair[1].1) {
        let each: Vec<String> = slots
            .iter()
            .map(|(mpm, slots)| format!("{mpm} {slots}"))
            .collect();
        add(format!("the slots were not equal: {}", each.join(", ")));
    }
    let failed: Vec<String> = figures
        .mpms()
        .into_iter()
        .map(|mpm| (mpm, figures.sum(mpm, "failed_requests")))
        .filter(|(_, failed)| *failed > 0)
        .map(|(mpm, failed)| format!("{} with {mpm}", whole(failed)))
        .collect();
    if !failed.is_empty() {
        add(format!("requests failed: {}", listing(&failed)));
    }
    let about_speed = metric.key == "requests_per_s" || metric.key.starts_with("latency_");
    let busy = figures.total(|run| u64::from(run.client_was_busy));
    if about_speed && busy > 0 {
        add(format!(
            "the client was the bottleneck in {busy} of {}",
            plural(figures.runs.len() as u64, "run")
        ));
    }
    answer
}

#[cfg(test)]
mod tests;
