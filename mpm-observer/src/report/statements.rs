//! The tutorial's statements with what the runs say to them, in plain words: for the pages, the
//! terminal and programs.

use serde::Serialize;
use serde_json::{Value, json};

use super::{
    figures::{RunFigures, ScenarioFigures},
    metrics::{METRICS, Metric},
    text::listing,
    verdict_text::{asks_for, counted, decisive_effect, difference, judgement},
};
use crate::{
    claims::{
        self, Case, Claim, Fair, Judgement, RUN_FAILED, RunValues, ScenarioRuns, Tally, Verdict,
    },
    findings::{Finding, LEAST_WEIGHT},
    scenario::{ClaimText, Direction, SummaryRow},
};

/// All statements of an experiment.
#[derive(Clone, Debug)]
pub(super) struct Statements {
    /// With their judgements.
    pub claims: Vec<Claim>,
    /// How often each verdict was given.
    pub tally: Tally,
    /// One for each case of each claim, in their order.
    pub lines: Vec<Line>,
}

/// A statement in one scenario, in words.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Line {
    /// The row of the tutorial's summary table.
    pub row: SummaryRow,
    /// The statement.
    pub says: String,
    /// As the tutorial has it.
    pub own: SetUp,
    /// In the fair set-up; `None` if that is the tutorial's own.
    pub fair: Option<SetUp>,
    /// How both differ, in one sentence; may be empty.
    pub difference: String,
    /// Of each set-up the finding that explains its verdict, where there is one.
    pub findings: Vec<String>,
    /// After the last case of a statement whose verdict is not the same in all: on what it
    /// depends. Otherwise empty.
    pub depends: String,
}

/// A judgement in words.
#[derive(Clone, Debug, Serialize)]
pub(super) struct SetUp {
    /// The scenario's name; of one that was not run too.
    pub scenario: String,
    /// Its title.
    pub title: String,
    /// Name of the metric; empty if there is none.
    pub metric: String,
    /// The metric's key; empty if there is none.
    pub key: String,
    /// The verdict in words.
    pub verdict: String,
    /// The verdict as a name of style.
    pub style: Verdict,
    /// The effect it rests on most, against whom.
    pub effect: String,
    /// Its interval.
    pub interval: String,
    /// What would decide it if it is undecided; otherwise empty.
    pub asks_for: String,
    /// All of it in one sentence.
    pub text: String,
    /// The strongest finding about the MPMs concerned, where one bears on it; may be empty.
    pub finding: String,
}

impl Statements {
    /// Judges all statements of the scenarios.
    pub fn of(scenarios: &[ScenarioFigures]) -> Self {
        let runs: Vec<ScenarioRuns> = scenarios.iter().map(plain).collect();
        let claims = claims::claims(&runs, |key| Metric::index(key).is_some());
        let lines = claims.iter().flat_map(|claim| {
            let last = claim.cases.len().saturating_sub(1);
            claim.cases.iter().enumerate().map(move |(place, case)| {
                let mut line = line(&claim.text, case, scenarios);
                if place == last {
                    line.depends = depends(claim);
                }
                line
            })
        });
        Self {
            lines: lines.collect(),
            tally: Tally::of(&claims),
            claims,
        }
    }

    /// For programs: each statement with its cases; a judgement has the effects with their
    /// intervals against each other MPM, and the further repetitions that would decide.
    pub fn json(&self) -> Value {
        let mut lines = self.lines.iter();
        let claims = self.claims.iter().map(|claim| {
            let cases: Vec<Value> = claim
                .cases
                .iter()
                .zip(&mut lines)
                .map(|(case, line)| {
                    json!({
                        "own": judged(&case.own, &line.own),
                        "fair": match (&case.fair, &line.fair) {
                            (Some(Fair::Judged(fair)), Some(words)) => judged(fair, words),
                            (Some(Fair::NotRun(name)), _) => json!({ "not_run": name }),
                            _ => Value::Null,
                        },
                        "difference": line.difference,
                    })
                })
                .collect();
            json!({ "claim": claim.text, "depends": depends(claim), "cases": cases })
        });
        claims.collect()
    }
}

fn judged(judgement: &Judgement, words: &SetUp) -> Value {
    let effect = judgement.effect();
    json!({
        "scenario": judgement.scenario,
        "metric": judgement.metric,
        "verdict": judgement.verdict,
        "against": judgement.decisive().map(|each| each.other),
        "effect": effect,
        "needed_repetitions": judgement.needed,
        "not_judged": judgement.not_judged,
        "comparisons": judgement.comparisons,
        "text": words.text,
        "finding": words.finding,
    })
}

/// The figures that claims are judged from.
fn plain(figures: &ScenarioFigures) -> ScenarioRuns {
    let values = |run: &RunFigures| {
        let with_key = METRICS.iter().zip(&run.values);
        with_key
            .filter_map(|(metric, value)| Some((metric.key, (*value)?)))
            .collect()
    };
    ScenarioRuns {
        name: figures.notes.name.clone(),
        title: figures.notes.title.clone(),
        tutorial: figures.notes.tutorial.clone(),
        runs: figures
            .runs
            .iter()
            .map(|run| RunValues {
                mpm: run.mpm(),
                repetition: run.repetition,
                started: run.count("httpd_started") > 0,
                slots: run.plan.server.max_request_workers,
                ok: run.count("ok_requests"),
                failed: run.count("failed_requests"),
                client_was_busy: run.client_was_busy,
                values: values(run),
            })
            .collect(),
    }
}

fn line(claim: &ClaimText, case: &Case, scenarios: &[ScenarioFigures]) -> Line {
    let own = set_up(claim, &case.own, scenarios);
    let fair = case.fair.as_ref().map(|fair| match fair {
        Fair::Judged(fair) => set_up(claim, fair, scenarios),
        Fair::NotRun(name) => not_run(name),
    });
    // By another metric it is the same runs that are explained.
    let other = fair.as_ref().filter(|fair| fair.scenario != own.scenario);
    let findings = match (&*own.finding, other) {
        (finding, Some(fair)) => [(&own.title, finding), (&fair.title, &*fair.finding)]
            .into_iter()
            .filter(|(_, finding)| !finding.is_empty())
            .map(|(title, finding)| format!("{title}, {finding}"))
            .collect(),
        ("", None) => Vec::new(),
        (finding, None) => vec![finding.to_owned()],
    };
    Line {
        row: claim.row,
        says: claim.says.clone(),
        difference: difference(case),
        own,
        fair,
        findings,
        depends: String::new(),
    }
}

/// On what the verdict depends, in one sentence; empty if it is the same in all cases.
fn depends(claim: &Claim) -> String {
    let each: Vec<String> = claim
        .depends()
        .into_iter()
        .map(|(verdict, judgements)| {
            let titles: Vec<String> = judgements
                .iter()
                .map(|it| format!("“{}”", it.title))
                .collect();
            format!("{} in {}", verdict.name(), listing(&titles))
        })
        .collect();
    match each.is_empty() {
        true => String::new(),
        false => format!("It depends: {}.", each.join("; ")),
    }
}

fn set_up(claim: &ClaimText, it: &Judgement, scenarios: &[ScenarioFigures]) -> SetUp {
    let figures = scenarios
        .iter()
        .find(|figures| figures.notes.name == it.scenario);
    let (effect, interval) = decisive_effect(it);
    // What fails is judged by requests and starts, whatever metric the file names.
    let metric = match claim.direction {
        Some(Direction::Fails) if it.metric == RUN_FAILED => {
            "runs with a failed request or start".to_owned()
        }
        Some(Direction::Fails) => "failed requests and starts".to_owned(),
        _ if claim.fair_metric.is_some() => counted(&it.metric),
        _ => Metric::index(&it.metric).map_or_else(
            || it.metric.clone(),
            |index| METRICS[index].label.to_owned(),
        ),
    };
    SetUp {
        scenario: it.scenario.clone(),
        title: it.title.clone(),
        metric,
        key: it.metric.clone(),
        verdict: it.verdict.name().into(),
        style: it.verdict,
        effect,
        interval,
        asks_for: asks_for(it),
        text: figures.map_or_else(String::new, |figures| judgement(claim, it, figures)),
        finding: figures.map_or_else(String::new, |figures| explanation(claim, it, figures)),
    }
}

fn not_run(name: &str) -> SetUp {
    SetUp {
        scenario: name.into(),
        title: name.into(),
        metric: String::new(),
        key: String::new(),
        verdict: "not run".into(),
        style: Verdict::NotJudged,
        effect: String::new(),
        interval: String::new(),
        asks_for: String::new(),
        text: format!("the scenario {name} has no run in this experiment"),
        finding: String::new(),
    }
}

/// The strongest finding on the MPMs that were compared. Findings are of failures and waits; what
/// an MPM takes of memory or CPU they do not explain.
fn explanation(claim: &ClaimText, it: &Judgement, figures: &ScenarioFigures) -> String {
    let bears = claim.direction == Some(Direction::Fails)
        || it.metric == "requests_per_s"
        || it.metric.starts_with("latency_");
    if !bears {
        return String::new();
    }
    let concerned = |finding: &&Finding| {
        let mut others = it.comparisons.iter().map(|each| each.other);
        it.subject == Some(finding.mpm) || others.any(|other| other == finding.mpm)
    };
    let against = it.decisive().map(|each| each.other);
    let groups = figures.findings.iter();
    let strongest = groups
        .flat_map(|group| &group.findings)
        .filter(|finding| finding.weight > LEAST_WEIGHT)
        .filter(concerned)
        .max_by(|a, b| {
            let decisive = |one: &Finding| Some(one.mpm) == against;
            let by_weight = a.weight.total_cmp(&b.weight);
            by_weight.then(decisive(a).cmp(&decisive(b)))
        });
    strongest.map_or_else(String::new, |finding| finding.sentence.clone())
}
