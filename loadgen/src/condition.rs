//! Conditions on the figures of a run, as `--fail-if` and `--stop-if` take them.
//!
//! A condition is a measure, a comparison and a limit: `p99>200ms`, `failed>=1%`,
//! `rate<4900`. The measures:
//!
//! | measure | limit | what it is |
//! |---|---|---|
//! | `p50`, `p99.9`, any `pN` with N above 0 up to 100 | duration | percentile of the latencies |
//! | `mean`, `max` | duration | of the latencies |
//! | `rate` | number | complete answers per second |
//! | `failed` | number or % | requests without a right answer, [`Summary::failed`] |
//! | `non2xx`, `stale`, the name of any [`Outcome`] | number or % | attempts with this outcome |
//! | `unsent`, `missed` | number or % | requests of an open loop that never began |
//!
//! A duration has a unit: `ns`, `us`, `ms` or `s`. Per cent are of the requests; with
//! `unsent`, of the requests that were due.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::summary::OutcomeCounts;
use crate::{Outcome, Summary};

/// While a run goes on, a share is judged from so many requests on: before, a single one
/// would be several per cent.
const LEAST_FOR_SHARE: u64 = 100;

/// A condition on the figures of a run, written as `p99>200ms` or `failed>1%`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Condition {
    measure: Measure,
    comparison: Comparison,
    limit: Limit,
    /// As it was written, without spaces.
    text: String,
}

/// Why a text is no condition, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("character {}: {reason}", .at + 1)]
pub struct ConditionError {
    /// Characters before the place.
    pub at: usize,
    /// What is wrong there, and what would be right.
    pub reason: String,
}

/// A condition that holds, with the value that was measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    condition: String,
    measured: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.condition, self.measured)
    }
}

/// What is looked at.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Measure {
    Percentile(f64),
    Mean,
    Max,
    Rate,
    Failed,
    Unsent,
    Outcome(Outcome),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Comparison {
    Above,
    AtLeast,
    Below,
    AtMost,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Limit {
    DurationNs(f64),
    Count(f64),
    Percent(f64),
}

impl Comparison {
    /// The longer ones first, as they begin like the shorter ones.
    const ALL: [(&'static str, Self); 4] = [
        (">=", Self::AtLeast),
        ("<=", Self::AtMost),
        (">", Self::Above),
        ("<", Self::Below),
    ];

    fn holds(self, value: f64, limit: f64) -> bool {
        match self {
            Self::Above => value > limit,
            Self::AtLeast => value >= limit,
            Self::Below => value < limit,
            Self::AtMost => value <= limit,
        }
    }
}

/// Counts that are known while a run goes on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LiveCounts {
    pub(crate) completed: u64,
    pub(crate) failed: u64,
    pub(crate) outcomes: OutcomeCounts,
}

impl Condition {
    /// Holds the condition against the figures of a finished run; `None` when it does not
    /// hold. A condition on latencies holds when there are none to judge by.
    #[must_use]
    pub fn check(&self, summary: &Summary) -> Option<Violation> {
        let latencies = &summary.latencies.total;
        let (value, total) = match self.measure {
            Measure::Percentile(_) | Measure::Mean | Measure::Max if latencies.count() == 0 => {
                return Some(self.violation("no request was answered".to_owned()));
            }
            Measure::Percentile(percentile) => (latencies.percentile_ns(percentile) as f64, 0),
            Measure::Mean => (latencies.mean_ns(), 0),
            Measure::Max => (latencies.max_ns() as f64, 0),
            Measure::Rate => (summary.answers_per_second(), 0),
            Measure::Failed => (summary.failed() as f64, summary.requests),
            Measure::Unsent => (summary.unsent as f64, summary.requests + summary.unsent),
            Measure::Outcome(outcome) => (summary.outcomes.get(outcome) as f64, summary.requests),
        };
        self.judge(value, total)
    }

    /// Whether it can be told while a run goes on: counts and shares of outcomes can.
    #[must_use]
    pub const fn is_live(&self) -> bool {
        matches!(self.measure, Measure::Failed | Measure::Outcome(_))
    }

    /// Holds the condition against counts of a run that goes on.
    pub(crate) fn check_live(&self, counts: &LiveCounts) -> Option<Violation> {
        let value = match self.measure {
            Measure::Failed => counts.failed,
            Measure::Outcome(outcome) => counts.outcomes.get(outcome),
            _ => return None,
        };
        if matches!(self.limit, Limit::Percent(_)) && counts.completed < LEAST_FOR_SHARE {
            return None;
        }
        self.judge(value as f64, counts.completed)
    }

    fn judge(&self, value: f64, total: u64) -> Option<Violation> {
        let share = |value: f64| 100.0 * value / total.max(1) as f64;
        let (holds, measured) = match self.limit {
            Limit::DurationNs(limit) => {
                let measured = format!("it was {:.3} ms", value / 1e6);
                (self.comparison.holds(value, limit), measured)
            }
            Limit::Count(limit) if matches!(self.measure, Measure::Rate) => {
                let measured = format!("it was {value:.1} per second");
                (self.comparison.holds(value, limit), measured)
            }
            Limit::Count(limit) => {
                let measured = format!("there were {value} of {total}");
                (self.comparison.holds(value, limit), measured)
            }
            Limit::Percent(limit) => {
                let measured = format!("it was {:.3} %, {value} of {total}", share(value));
                (self.comparison.holds(share(value), limit), measured)
            }
        };
        holds.then(|| self.violation(measured))
    }

    fn violation(&self, measured: String) -> Violation {
        Violation {
            condition: self.text.clone(),
            measured,
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<Condition> for String {
    fn from(condition: Condition) -> Self {
        condition.text
    }
}

impl TryFrom<String> for Condition {
    type Error = ConditionError;

    fn try_from(text: String) -> Result<Self, ConditionError> {
        text.parse()
    }
}

impl FromStr for Condition {
    type Err = ConditionError;

    fn from_str(text: &str) -> Result<Self, ConditionError> {
        let error = |at: usize, reason: String| {
            let at = text[..at].chars().count();
            Err(ConditionError { at, reason })
        };
        let Some(at) = text.find(['<', '>']) else {
            let reason = "a comparison (>, >=, <, <=) is missing, as in p99>200ms".to_owned();
            return error(text.len(), reason);
        };
        let begin = text.len() - text.trim_start().len();
        let measure = match measure(text[..at].trim()) {
            Ok(measure) => measure,
            Err(reason) => return error(begin.min(at), reason),
        };
        let Some((sign, comparison)) = Comparison::ALL
            .into_iter()
            .find(|(sign, _)| text[at..].starts_with(sign))
        else {
            return error(at, "this is no comparison".to_owned());
        };
        let rest = &text[at + sign.len()..];
        let limit_at = text.len() - rest.trim_start().len();
        let limit = match limit(measure, rest.trim()) {
            Ok(limit) => limit,
            Err(reason) => return error(limit_at, reason),
        };
        Ok(Self {
            measure,
            comparison,
            limit,
            text: text.split_whitespace().collect(),
        })
    }
}

fn measure(name: &str) -> Result<Measure, String> {
    let percentile = name.strip_prefix('p').and_then(|n| n.parse::<f64>().ok());
    if let Some(percentile) = percentile {
        return match percentile {
            p if p > 0.0 && p <= 100.0 => Ok(Measure::Percentile(p)),
            p => Err(format!("a percentile is above 0 and up to 100, not {p}")),
        };
    }
    match name {
        "mean" => Ok(Measure::Mean),
        "max" => Ok(Measure::Max),
        "rate" => Ok(Measure::Rate),
        "failed" => Ok(Measure::Failed),
        "unsent" | "missed" => Ok(Measure::Unsent),
        "stale" => Ok(Measure::Outcome(Outcome::StaleKeepAlive)),
        _ => {
            let outcome = Outcome::ALL.into_iter().find(|o| o.name() == name);
            outcome.map(Measure::Outcome).ok_or_else(|| {
                let outcomes = Outcome::ALL.map(Outcome::name).join(", ");
                format!(
                    "{name:?} is not measured; there are p50 to p100, mean, max, rate, failed, \
                     unsent, missed, stale, {outcomes}"
                )
            })
        }
    }
}

fn limit(measure: Measure, text: &str) -> Result<Limit, String> {
    let digits = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = (&text[..digits], text[digits..].trim());
    let Ok(number) = number.parse::<f64>() else {
        return Err("a number is missing here".to_owned());
    };
    match measure {
        Measure::Percentile(_) | Measure::Mean | Measure::Max => {
            let factor = match unit {
                "ns" => 1.0,
                "us" | "µs" => 1e3,
                "ms" => 1e6,
                "s" => 1e9,
                _ => return Err("a duration needs a unit: ns, us, ms or s".to_owned()),
            };
            Ok(Limit::DurationNs(number * factor))
        }
        Measure::Rate => match unit {
            "" | "/s" => Ok(Limit::Count(number)),
            _ => Err("a rate is a plain number, per second".to_owned()),
        },
        Measure::Failed | Measure::Unsent | Measure::Outcome(_) => match unit {
            "" => Ok(Limit::Count(number)),
            "%" => Ok(Limit::Percent(number)),
            _ => Err("a count is a plain number, or one with %".to_owned()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition(text: &str) -> Condition {
        text.parse().expect(text)
    }

    /// 990 answers of 10 ms each and 10 time-outs in 2 s, with 5 requests that never began.
    fn summary() -> Summary {
        let mut summary = Summary::empty(0, crate::EngineKind::Epoll);
        summary.requests = 1000;
        summary.unsent = 5;
        summary.wall_ns = 2_000_000_000;
        summary.outcomes.add(Outcome::Ok, 990);
        summary.outcomes.add(Outcome::Timeout, 10);
        summary.latencies.total.record_n(10_000_000, 990);
        summary
    }

    #[test]
    fn each_measure_is_held_against_its_limit() {
        for (text, holds) in [
            ("p50>9ms", true),
            ("p50>11ms", false),
            ("p99.99<0.1s", true),
            ("mean >= 9990us", true),
            ("max<=9000000ns", false),
            ("rate<495.5", true),
            ("rate<495", false),
            ("rate<=495/s", true),
            ("failed>9", true),
            ("failed>10", false),
            ("failed>=1%", true),
            ("failed>1%", false),
            ("timeout >= 10", true),
            ("refused>0", false),
            ("non2xx>0%", false),
            ("stale>0", false),
            ("ok<99.5 %", true),
            ("missed>4", true),
            ("unsent>0.4%", true),
            ("unsent>0.5%", false),
        ] {
            assert_eq!(condition(text).check(&summary()).is_some(), holds, "{text}");
        }
    }

    #[test]
    fn a_violation_says_what_was_measured() {
        let said = |text| {
            let violation = condition(text).check(&summary()).expect(text);
            violation.to_string()
        };
        assert_eq!(said("rate < 600"), "rate<600: it was 495.0 per second");
        assert_eq!(said("failed>1"), "failed>1: there were 10 of 1000");
        assert_eq!(
            said("timeout>0.5%"),
            "timeout>0.5%: it was 1.000 %, 10 of 1000"
        );
        assert!(said("p99>1ms").starts_with("p99>1ms: it was 10.0"));
    }

    #[test]
    fn without_an_answer_no_latency_is_good_enough() {
        let nothing = Summary::empty(0, crate::EngineKind::Epoll);
        let violation = condition("p99>200ms").check(&nothing).expect("holds");
        assert_eq!(violation.to_string(), "p99>200ms: no request was answered");
        assert_eq!(condition("failed>0%").check(&nothing), None);
    }

    #[test]
    fn a_bad_condition_is_refused_at_its_place() {
        for (text, at, part) in [
            ("", 0, "comparison"),
            ("p99", 3, "comparison"),
            ("p99>200", 4, "unit"),
            ("p99 > 200 parsecs", 6, "unit"),
            ("p101>1ms", 0, "up to 100"),
            ("p0>1ms", 0, "above 0"),
            (" luck>1", 1, "luck"),
            (">1", 0, "not measured"),
            ("failed>", 7, "number"),
            ("failed>-1", 7, "number"),
            ("failed>>1", 7, "number"),
            ("failed=>1", 0, "failed="),
            ("failed>1ms", 7, "plain number"),
            ("rate<10%", 5, "plain number"),
            ("µ>1", 0, "not measured"),
        ] {
            let error = text.parse::<Condition>().expect_err(text);
            assert_eq!(error.at, at, "{text}: {error}");
            assert!(error.to_string().contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn a_share_is_not_judged_by_the_first_requests() {
        let counts = |completed, failed| LiveCounts {
            completed,
            failed,
            outcomes: OutcomeCounts::default(),
        };
        let share = condition("failed>5%");
        assert_eq!(share.check_live(&counts(99, 99)), None);
        assert!(share.check_live(&counts(100, 6)).is_some());
        assert_eq!(share.check_live(&counts(100, 5)), None);
        assert!(condition("failed>5").check_live(&counts(6, 6)).is_some());
        assert!(condition("timeout>5").is_live() && !condition("p99>1s").is_live());
    }

    #[test]
    fn it_is_written_and_read_as_text() {
        let json = serde_json::to_string(&condition("p99 > 200 ms")).expect("text");
        assert_eq!(json, "\"p99>200ms\"");
        let back: Condition = serde_json::from_str(&json).expect("readable");
        assert_eq!(back, condition("p99>200ms"));
        assert!(serde_json::from_str::<Condition>("\"p99\"").is_err());
    }
}
