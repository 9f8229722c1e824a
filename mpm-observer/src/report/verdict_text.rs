//! Judgements in words.

use super::{
    course::Course,
    figures::ScenarioFigures,
    metrics::{METRICS, Metric},
    text::{self, listing, plural},
};
use crate::{
    claims::{
        Case, Comparison, Effect, Fair, Judgement, MOST_FURTHER, Measure, Needed, NotJudged,
        RUN_FAILED, Verdict,
    },
    scenario::{ClaimText, Direction, Mpm},
    statistics::{Ends, Interval},
};

/// A ratio from here on, or its inverse, is that of something to nothing.
const MANY_TIMES: f64 = 1e6;

/// A ratio of something and nothing.
enum Extreme {
    /// The other has none.
    All,
    /// The subject has none.
    None,
}

impl Extreme {
    fn of(effect: &Effect) -> Option<Self> {
        match effect.measure {
            Measure::Ratio if effect.value >= MANY_TIMES => Some(Self::All),
            Measure::Ratio if effect.value <= 1.0 / MANY_TIMES => Some(Self::None),
            _ => None,
        }
    }
}

fn metric(key: &str) -> Option<&'static Metric> {
    Metric::index(key).map(|index| &METRICS[index])
}

/// What the verdict rests on, in one sentence; `figures` are those of the judged scenario.
pub(super) fn judgement(claim: &ClaimText, it: &Judgement, figures: &ScenarioFigures) -> String {
    let mut text = match it.not_judged {
        Some(why) => return not_judged(claim, it, why),
        None if claim.direction == Some(Direction::Fails) => failing(it, figures),
        None => amounts(it, figures),
    };
    let mut add = |more: String| {
        if !more.is_empty() {
            text += "; ";
            text += &more;
        }
    };
    if it.verdict == Verdict::Refuted {
        add(stated(claim));
    }
    add(undecided(it));
    if !it.unequal_slots.is_empty() {
        let each: Vec<String> = it
            .unequal_slots
            .iter()
            .map(|(mpm, slots)| format!("{mpm} {slots}"))
            .collect();
        add(format!("the slots were not equal: {}", each.join(", ")));
    }
    if claim.direction != Some(Direction::Fails) {
        add(failed_beside(figures));
    }
    text
}

fn not_judged(claim: &ClaimText, it: &Judgement, why: NotJudged) -> String {
    let subject = claim
        .subject
        .map_or_else(String::new, |mpm| mpm.to_string());
    match why {
        NotJudged::NothingToJudge => "the statement names nothing to judge".into(),
        NotJudged::UnknownMetric => format!("the report has no metric `{}`", it.metric),
        NotJudged::SubjectNotRun => format!("{subject} was not run"),
        NotJudged::NoOtherRun => format!("nothing to compare {subject} with was run"),
    }
}

fn failing(it: &Judgement, figures: &ScenarioFigures) -> String {
    let course = |mpm| Course::new(mpm, figures);
    let mut parts: Vec<String> = it
        .subject
        .map(|mpm| course(mpm).in_words())
        .into_iter()
        .collect();
    let others = it.comparisons.iter().map(|each| course(each.other));
    parts.extend(
        others
            .filter(|other| !other.is_clean())
            .map(|other| other.in_words()),
    );
    let each = it.comparisons.iter().filter_map(|each| {
        let points = effect(each.effect.as_ref()?);
        Some(format!("{points} to {}", each.other))
    });
    let share = match it.metric.as_str() {
        RUN_FAILED => "share of runs with a failure",
        _ => "failed share of a run",
    };
    parts.push(format!("{share}: {}", listing(&each.collect::<Vec<_>>())));
    parts.join("; ")
}

fn amounts(it: &Judgement, figures: &ScenarioFigures) -> String {
    let Some(metric) = metric(&it.metric) else {
        return String::new();
    };
    let median = |mpm: Mpm| {
        let spread = figures.spread(mpm, metric.key);
        spread.map(|spread| text::value(metric, spread.median))
    };
    let own = it
        .subject
        .and_then(median)
        .unwrap_or_else(|| "no value".into());
    let against = |each: &Comparison| match (&each.effect, median(each.other)) {
        (Some(_), _) if each.none_in_either => format!("{} has none either", each.other),
        (Some(of), Some(median)) => match Extreme::of(of) {
            Some(Extreme::All) => format!("where {} has none", each.other),
            Some(Extreme::None) => format!("none of {}'s {median}", each.other),
            None => format!("{} {}'s {median}", effect(of), each.other),
        },
        _ => format!("no repetition in which both it and {} came up", each.other),
    };
    let each: Vec<String> = it.comparisons.iter().map(against).collect();
    let counts = || {
        it.comparisons
            .iter()
            .filter_map(|each| Some(each.effect?.n))
    };
    let n = match (counts().min(), counts().max()) {
        (Some(least), Some(most)) if least != most => format!(" (n = {least} to {most} pairs)"),
        (Some(n), _) => format!(" (n = {})", plural(n as u64, "pair")),
        _ => String::new(),
    };
    let subject = it.subject.map_or_else(String::new, |mpm| mpm.to_string());
    format!("{subject} {own}, {}{n}", listing(&each))
}

/// What a refuted claim had said of the size, if it had.
fn stated(claim: &ClaimText) -> String {
    match (claim.direction, claim.least_percent()) {
        (Some(Direction::Fails), Some(least)) => {
            format!("to fail is {least} points or more beyond each other MPM")
        }
        (_, Some(least)) => format!("the statement asks for {least} % or more"),
        _ => String::new(),
    }
}

/// Why it is undecided, and what would decide.
fn undecided(it: &Judgement) -> String {
    let Some(needed) = it.needed else {
        return String::new();
    };
    let mut bound: Vec<String> = Vec::new();
    let open = |each: &&Comparison| each.verdict == Verdict::Undecided;
    for each in it.comparisons.iter().filter(open) {
        let counts = [
            (it.subject, each.client_bound_subject),
            (Some(each.other), each.client_bound_other),
        ];
        for (mpm, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
            let told = mpm.map_or_else(String::new, |mpm| format!("{count} of {mpm}'s"));
            // The subject's runs are in each comparison.
            if !bound.contains(&told) {
                bound.push(told);
            }
        }
    }
    let few = it
        .comparisons
        .iter()
        .filter_map(|each| each.effect)
        .any(|effect| effect.interval.is_none());
    match needed {
        Needed::WouldNotHelp if !bound.is_empty() => format!(
            "the client was the bottleneck in {} runs, so httpd's own figure is not known",
            listing(&bound)
        ),
        Needed::WouldNotHelp => "further repetitions would not decide".into(),
        Needed::TooMany => format!("more than {} would be needed", further(MOST_FURTHER)),
        Needed::Further(count) if few => format!(
            "too few to judge from, an interval takes {}: {} needed",
            Interval::MIN_VALUES,
            further(count)
        ),
        Needed::Further(count) => format!("about {} would decide", further(count)),
    }
}

fn further(count: usize) -> String {
    plural(count as u64, "further repetition")
}

fn failed_beside(figures: &ScenarioFigures) -> String {
    let failed: Vec<String> = figures
        .mpms()
        .into_iter()
        .map(|mpm| (mpm, figures.sum(mpm, "failed_requests")))
        .filter(|(_, failed)| *failed > 0)
        .map(|(mpm, failed)| format!("{} with {mpm}", text::whole(failed)))
        .collect();
    if failed.is_empty() {
        return String::new();
    }
    format!("requests failed: {}", listing(&failed))
}

/// `2.86 times [2.80, 2.91]`, `−83 points [−95, −40]`.
pub(super) fn effect(of: &Effect) -> String {
    let unit = match of.measure {
        Measure::Ratio => "times",
        Measure::ShareDifference => "points",
    };
    let value = format!("{} {unit}", number(of.measure, of.value));
    match of.interval {
        Some(Ends { low, high }) => format!(
            "{value} [{}, {}]",
            number(of.measure, low),
            number(of.measure, high)
        ),
        None => value,
    }
}

fn number(measure: Measure, value: f64) -> String {
    match measure {
        // Only as the end of an interval: in some repetitions one of them had none.
        Measure::Ratio if value >= MANY_TIMES => "all".into(),
        Measure::Ratio if value <= 1.0 / MANY_TIMES => "none".into(),
        Measure::Ratio => text::factor(value),
        Measure::ShareDifference => {
            let points = (100.0 * value).round();
            match points {
                p if p > 0.0 => format!("+{p}"),
                p if p < 0.0 => format!("−{}", -p),
                _ => "0".into(),
            }
        }
    }
}

/// The effect that a verdict rests on most, with the other MPM: `2.86 times worker's`, and its
/// interval; empty where there is none.
pub(super) fn decisive_effect(it: &Judgement) -> (String, String) {
    let Some((comparison, of)) = it.decisive().and_then(|each| Some((each, each.effect?))) else {
        return (String::new(), String::new());
    };
    if comparison.none_in_either {
        return (format!("none, as {}", comparison.other), String::new());
    }
    let value = number(of.measure, of.value);
    let extreme = Extreme::of(&of);
    let against = match of.measure {
        Measure::Ratio if matches!(extreme, Some(Extreme::All)) => {
            format!("{} has none", comparison.other)
        }
        Measure::Ratio if extreme.is_some() => format!("none, {} has some", comparison.other),
        Measure::Ratio => format!("{value} times {}'s", comparison.other),
        Measure::ShareDifference => format!("{value} points to {}", comparison.other),
    };
    let certain = |ends: &Ends| {
        let ratio = of.measure == Measure::Ratio;
        ratio && (ends.low >= MANY_TIMES || ends.high <= 1.0 / MANY_TIMES)
    };
    let interval = of.interval.filter(|ends| !certain(ends)).map_or_else(
        || format!("n = {}", of.n),
        |Ends { low, high }| {
            format!(
                "[{}, {}]",
                number(of.measure, low),
                number(of.measure, high)
            )
        },
    );
    (against, interval)
}

/// What would decide an undecided claim, in a few words; empty for the others.
pub(super) fn asks_for(it: &Judgement) -> String {
    match it.needed {
        None => String::new(),
        Some(Needed::Further(count)) => format!("{} more", plural(count as u64, "repetition")),
        Some(Needed::TooMany) => format!("over {MOST_FURTHER} more"),
        Some(Needed::WouldNotHelp) => "not by repetitions".into(),
    }
}

/// How the tutorial's own set-up and the fair one differ in what they give, in one sentence; empty
/// where there is only one.
pub(super) fn difference(case: &Case) -> String {
    let fair = match &case.fair {
        None => return String::new(),
        Some(Fair::NotRun(name)) => return format!("The fair set-up, {name}, was not run."),
        Some(Fair::Judged(fair)) => fair,
    };
    let own = &case.own;
    let told = |it: &Judgement| {
        let (against, _) = decisive_effect(it);
        match against.is_empty() {
            true => it.verdict.name().to_owned(),
            false => format!("{} ({against})", it.verdict.name()),
        }
    };
    let (in_own, in_fair) = if own.scenario == fair.scenario {
        (
            format!("By {}", counted(&own.metric)),
            format!("by {}", counted(&fair.metric)),
        )
    } else {
        let slots: Vec<String> = own
            .unequal_slots
            .iter()
            .map(|(mpm, slots)| format!("{mpm} {slots}"))
            .collect();
        let slots = match slots.is_empty() {
            true => String::new(),
            false => format!(" (slots: {})", slots.join(", ")),
        };
        (
            format!("In the tutorial's set-up{slots}"),
            format!("in the fair one ({})", fair.title),
        )
    };
    let multiples = by_multiples(own, fair);
    if own.scenario == fair.scenario && multiples.is_some() {
        let (a, b, subject, other) = multiples.unwrap_or_default();
        return format!("{in_own} {subject} has {a} times what {other} has, {in_fair} {b} times.");
    }
    let open = [own.verdict, fair.verdict]
        .iter()
        .any(|verdict| matches!(verdict, Verdict::Undecided | Verdict::NotJudged));
    let outcome = if open {
        "whether the set-up matters is open"
    } else if own.verdict == fair.verdict {
        "the set-up makes no difference to the verdict"
    } else {
        "the set-up decides the verdict"
    };
    format!(
        "{in_own} {}, {in_fair} {}: {outcome}.",
        told(own),
        told(fair)
    )
}

/// Both ratios to the same other MPM, with its name and the subject's.
fn by_multiples(own: &Judgement, fair: &Judgement) -> Option<(String, String, String, String)> {
    let nearest = fair.decisive()?;
    let same = own
        .comparisons
        .iter()
        .find(|each| each.other == nearest.other)?;
    let ratio = |each: &Comparison| {
        let of = each.effect?;
        let is_ratio = of.measure == Measure::Ratio && !each.none_in_either;
        (is_ratio && Extreme::of(&of).is_none()).then(|| number(of.measure, of.value))
    };
    Some((
        ratio(same)?,
        ratio(nearest)?,
        own.subject?.to_string(),
        nearest.other.to_string(),
    ))
}

/// What a metric counts, where that is the difference between two ways of measuring.
pub(super) fn counted(key: &str) -> String {
    match key {
        "rss_bytes" => "summed RSS".into(),
        "pss_max_bytes" => "summed PSS".into(),
        "memory_bytes" | "cgroup_max_bytes" => "what the kernel charges".into(),
        key => metric(key).map_or_else(|| key.to_owned(), |metric| metric.label.to_owned()),
    }
}
