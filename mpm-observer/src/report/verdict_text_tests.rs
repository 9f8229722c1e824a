use super::verdict_text::{difference, judgement};
use super::{
    figures::{ScenarioFigures, tests::scenario},
    made_up::{self, Figures, of_each},
    metrics::Metric,
    statements::Statements,
};
use crate::{
    claims::{Case, Verdict},
    findings::{Finding, Group},
    scenario::{ClaimText, Direction, Mpm, SummaryRow},
};

fn claim(metric: &str, subject: Mpm, direction: Direction) -> ClaimText {
    let json = serde_json::json!({
        "row": SummaryRow::Overload,
        "says": "said",
        "metric": metric,
        "subject": subject,
        "direction": direction,
    });
    serde_json::from_value(json).unwrap()
}

/// So many runs of each with these megabytes, that judge this claim.
fn memory(repetitions: u32, megabytes: [u64; 3], claim: ClaimText) -> ScenarioFigures {
    let figures = scenario(of_each(repetitions, |mpm, repetition| Figures {
        failed: 0,
        cgroup_bytes: Some(megabytes[mpm as usize] * 1_000_000 + u64::from(repetition)),
        ..Figures::default()
    }));
    with_claim(figures, claim)
}

fn with_claim(mut figures: ScenarioFigures, claim: ClaimText) -> ScenarioFigures {
    figures.notes.tutorial.as_mut().unwrap().claims = vec![claim];
    figures
}

fn more() -> ClaimText {
    claim("memory_bytes", Mpm::Prefork, Direction::More)
}

/// Verdict and sentence of the only claim.
fn own(figures: ScenarioFigures) -> (Verdict, String) {
    let statements = Statements::of(std::slice::from_ref(&figures));
    let claim = &statements.claims[0];
    let it = &claim.cases[0].own;
    (it.verdict, judgement(&claim.text, it, &figures))
}

#[test]
fn a_ratio_is_told_against_each_with_interval_and_pairs() {
    let (verdict, text) = own(memory(8, [26, 9, 8], more()));
    assert_eq!(verdict, Verdict::Confirmed);
    assert_eq!(
        text,
        "prefork 26 MB, 2.89 times [2.89, 2.89] worker's 9 MB and 3.25 times [3.25, 3.25] \
         event's 8 MB (n = 8 pairs)"
    );
}

#[test]
fn a_refuted_size_is_told() {
    let mut claim = more();
    claim.by_percent = Some(300);
    let (verdict, text) = own(memory(8, [26, 9, 8], claim));
    assert_eq!(verdict, Verdict::Refuted);
    assert!(
        text.ends_with("; the statement asks for 300 % or more"),
        "{text}"
    );
}

#[test]
fn too_few_runs_say_how_many_are_missing() {
    let (verdict, text) = own(memory(4, [26, 9, 8], more()));
    assert_eq!(verdict, Verdict::Undecided);
    assert!(
        text.ends_with(
            "(n = 4 pairs); too few to judge from, an interval takes 6: 2 further repetitions \
             needed"
        ),
        "{text}"
    );
}

#[test]
fn an_undecided_claim_asks_for_repetitions_in_the_table_too() {
    let asks = |figures| {
        let line = &Statements::of(&[figures]).lines[0];
        line.own.asks_for.clone()
    };
    assert_eq!(asks(memory(4, [26, 9, 8], more())), "2 repetitions more");
    assert_eq!(asks(memory(8, [26, 9, 8], more())), "");
}

#[test]
fn what_else_differed_is_told() {
    let mut figures = memory(
        8,
        [9, 9, 9],
        claim("requests_per_s", Mpm::Event, Direction::More),
    );
    for run in &mut figures.runs {
        run.client_was_busy = run.repetition == 1 && run.mpm() == Mpm::Event;
        if run.mpm() == Mpm::Prefork {
            run.plan.server.max_request_workers = 50;
        }
    }
    let (verdict, text) = own(figures);
    assert_eq!(verdict, Verdict::Undecided);
    assert!(
        text.ends_with(
            "; the client was the bottleneck in 1 of event's runs, so httpd's own figure is not \
             known; the slots were not equal: prefork 50, worker 75, event 75"
        ),
        "{text}"
    );
}

#[test]
fn failures_are_told_by_runs_and_by_the_difference_of_shares() {
    let fails = claim("failed_requests", Mpm::Prefork, Direction::Fails);
    let (verdict, text) = own(memory(8, [9, 9, 9], fails.clone()));
    assert_eq!(verdict, Verdict::Refuted);
    assert_eq!(
        text,
        "prefork answered all 100 requests in 8 of 8 runs; failed share of a run: 0 points \
         [−32, +32] to worker and 0 points [−32, +32] to event; to fail is 50 points or more \
         beyond each other MPM"
    );

    let runs = (1..=8).flat_map(|repetition| {
        let figures = Figures {
            failed: 0,
            ..Figures::default()
        };
        [
            made_up::run(Mpm::Prefork, repetition, &figures),
            made_up::not_started(Mpm::Event, repetition),
        ]
    });
    let mut runs: Vec<_> = runs.collect();
    runs.sort_by_key(|run| run.manifest.mpm);
    let (verdict, text) = own(with_claim(scenario(runs), fails));
    assert_eq!(verdict, Verdict::Refuted);
    assert!(
        text.contains(
            "httpd with event did not start in 8 of 8 runs; failed share of a run: −100 points"
        ),
        "{text}"
    );
}

#[test]
fn what_is_not_judged_says_why() {
    let (verdict, text) = own(memory(
        8,
        [9, 9, 9],
        claim("speed", Mpm::Prefork, Direction::More),
    ));
    assert_eq!(verdict, Verdict::NotJudged);
    assert_eq!(text, "the report has no metric `speed`");
    let mut gone = memory(8, [9, 9, 9], more());
    gone.runs.retain(|run| run.mpm() != Mpm::Prefork);
    assert_eq!(own(gone).1, "prefork was not run");
}

/// The high-load scenario with this claim, and a twin named as its unfair set-up.
fn two_set_ups(claim: ClaimText) -> [ScenarioFigures; 2] {
    let mut unfair = memory(8, [26, 9, 8], claim.clone());
    unfair.notes.name = "unfair".into();
    unfair.notes.tutorial.as_mut().unwrap().fair = Some("high-load".into());
    let mut fair = memory(8, [9, 9, 9], claim);
    fair.notes.tutorial.as_mut().unwrap().claims.clear();
    [unfair, fair]
}

fn case(scenarios: &[ScenarioFigures]) -> Case {
    Statements::of(scenarios).claims[0].cases[0].clone()
}

#[test]
fn what_the_set_up_makes_of_it_is_one_sentence() {
    let scenarios = two_set_ups(more());
    assert_eq!(
        difference(&case(&scenarios)),
        "In the tutorial's set-up confirmed (2.89 times worker's), in the fair one (High load) no \
         difference (1.00 times worker's): the set-up decides the verdict."
    );
    assert_eq!(
        difference(&case(&scenarios[..1])),
        "The fair set-up, high-load, was not run."
    );
    assert_eq!(difference(&case(&[memory(8, [26, 9, 8], more())])), "");
}

#[test]
fn two_measures_are_set_side_by_side() {
    let mut claim = more();
    claim.metric = Some("rss_bytes".into());
    claim.fair_metric = Some("memory_bytes".into());
    assert_eq!(
        difference(&case(&[memory(8, [26, 9, 8], claim)])),
        "By summed RSS prefork has 1.00 times what worker has, by what the kernel charges 2.89 \
         times."
    );
}

/// What was found of one MPM in a scenario, with a weight.
fn found(figures: &mut ScenarioFigures, mpm: Mpm, weight: f64) {
    let run = figures.runs_of(mpm).next().unwrap();
    let scenario = figures.notes.name.clone();
    figures.findings.push(Group {
        scenario: scenario.clone(),
        title: figures.notes.title.clone(),
        mpm,
        runs: 8,
        plan: Some(run.plan.clone()),
        findings: vec![Finding {
            rule: "made-up".into(),
            scenario,
            mpm,
            runs: vec![1],
            of_runs: 8,
            weight,
            sentence: format!("{mpm}: {weight} of it."),
            evidence: Vec::new(),
            missing: Vec::new(),
            remedies: Vec::new(),
        }],
        blind: Vec::new(),
    });
}

#[test]
fn the_strongest_finding_on_the_mpms_that_are_compared_explains_each_set_up() {
    let mut claim = claim("requests_per_s", Mpm::Prefork, Direction::Less);
    claim.against = vec![Mpm::Worker];
    let mut scenarios = two_set_ups(claim);
    let told = |scenarios: &[ScenarioFigures]| Statements::of(scenarios).lines[0].findings.clone();
    assert_eq!(told(&scenarios), Vec::<String>::new());
    found(&mut scenarios[0], Mpm::Prefork, 0.3);
    found(&mut scenarios[0], Mpm::Event, 0.9);
    assert_eq!(told(&scenarios), ["High load, prefork: 0.3 of it."]);
    found(&mut scenarios[0], Mpm::Worker, 0.5);
    found(&mut scenarios[1], Mpm::Worker, 0.2);
    assert_eq!(
        told(&scenarios),
        [
            "High load, worker: 0.5 of it.",
            "High load, worker: 0.2 of it."
        ]
    );
    // What harmed nobody explains nothing.
    scenarios[1].findings[0].findings[0].weight = 0.001;
    assert_eq!(told(&scenarios), ["High load, worker: 0.5 of it."]);
}

#[test]
fn failures_do_not_explain_what_an_mpm_takes() {
    let mut figures = memory(8, [26, 9, 8], more());
    found(&mut figures, Mpm::Prefork, 1.0);
    assert_eq!(
        Statements::of(&[figures]).lines[0].findings,
        Vec::<String>::new()
    );
}

#[test]
fn a_verdict_that_is_not_the_same_in_all_cases_depends() {
    let more_in_one = memory(8, [26, 9, 8], more());
    let mut less_in_other = memory(8, [7, 9, 8], more());
    less_in_other.notes.name = "other".into();
    less_in_other.notes.title = "Other".into();
    let lines = Statements::of(&[more_in_one.clone(), less_in_other]).lines;
    assert_eq!(lines[0].depends, "");
    assert_eq!(
        lines[1].depends,
        "It depends: confirmed in “High load”; refuted in “Other”."
    );
    assert_eq!(Statements::of(&[more_in_one]).lines[0].depends, "");
}

#[test]
fn nothing_is_told_in_words_and_not_as_a_ratio() {
    let told = |megabytes| {
        let mut figures = memory(8, megabytes, more());
        for run in &mut figures.runs {
            let index = Metric::index("memory_bytes").unwrap();
            let value = run.values[index].unwrap();
            // Without the made-up bytes that tell the repetitions apart.
            run.values[index] = Some((value / 1e6).floor() * 1e6);
        }
        let line = Statements::of(std::slice::from_ref(&figures)).lines[0].clone();
        (line.own.effect, line.own.interval, own(figures).1)
    };
    let (effect, interval, text) = told([0, 0, 0]);
    assert_eq!((&*effect, &*interval), ("none, as worker", ""));
    assert_eq!(
        text,
        "prefork 0 B, worker has none either and event has none either (n = 8 pairs)"
    );
    let (effect, interval, text) = told([26, 0, 0]);
    assert_eq!((&*effect, &*interval), ("worker has none", "n = 8"));
    assert_eq!(
        text,
        "prefork 26 MB, where worker has none and where event has none (n = 8 pairs)"
    );
    let (effect, interval, text) = told([0, 9, 8]);
    assert_eq!((&*effect, &*interval), ("none, worker has some", "n = 8"));
    assert!(
        text.starts_with(
            "prefork 0 B, none of worker's 9 MB and none of event's 8 MB (n = 8 pairs)"
        ),
        "{text}"
    );
}
