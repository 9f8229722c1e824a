use super::{
    Fair, ScenarioRuns, Tally, Verdict, claims,
    made_up::{claim, noise, scenario},
};
use crate::scenario::{ClaimText, Direction, Mpm, SummaryRow};

fn with_claims(
    mut runs: ScenarioRuns,
    name: &str,
    claims: &[ClaimText],
    fair: Option<&str>,
) -> ScenarioRuns {
    runs.name = name.into();
    let json = serde_json::json!({
        "section": 1,
        "command": "ab",
        "expects": { "overall": "x" },
        "fair": fair,
        "claims": claims,
    });
    runs.tutorial = Some(serde_json::from_value(json).unwrap());
    runs
}

fn speeds(event: f64) -> ScenarioRuns {
    scenario("requests_per_s", 8, move |mpm, repetition| {
        let own = if mpm == Mpm::Event { event } else { 1.0 };
        own * noise(repetition + mpm as u32)
    })
}

fn event_is_faster() -> ClaimText {
    claim("requests_per_s", Mpm::Event, Direction::More)
}

#[test]
fn a_claim_is_judged_in_its_own_set_up_and_in_the_fair_one() {
    let own = with_claims(speeds(1.5), "unfair", &[event_is_faster()], Some("fair"));
    let fair = with_claims(speeds(1.0), "fair", &[], None);
    let found = claims(&[own.clone(), fair], |_| true);
    assert_eq!(found.len(), 1);
    let case = &found[0].cases[0];
    assert_eq!(case.own.verdict, Verdict::Confirmed);
    assert_eq!(case.fair().unwrap().verdict, Verdict::NoDifference);
    assert_eq!(case.fair().unwrap().scenario, "fair");
    assert_eq!(case.counts().verdict, Verdict::NoDifference);
    assert_eq!(
        Tally::of(&found).in_words(),
        "of 1 claim 1 no difference (1 otherwise in the tutorial's own set-up)"
    );

    let alone = claims(&[own], |_| true);
    assert_eq!(alone[0].cases[0].fair, Some(Fair::NotRun("fair".into())));
    assert_eq!(alone[0].cases[0].counts().verdict, Verdict::Confirmed);
}

#[test]
fn a_claim_is_judged_by_the_tutorial_s_measure_and_by_the_fair_one() {
    let mut runs = scenario("rss_bytes", 8, |mpm, _| {
        if mpm == Mpm::Prefork { 320.0 } else { 20.0 }
    });
    for run in &mut runs.runs {
        let memory = if run.mpm == Mpm::Prefork { 8.9 } else { 9.0 };
        run.values.insert("memory_bytes", memory);
    }
    let mut text = claim("rss_bytes", Mpm::Prefork, Direction::More);
    text.fair_metric = Some("memory_bytes".into());
    let found = claims(&[with_claims(runs, "one", &[text], None)], |_| true);
    let case = &found[0].cases[0];
    assert_eq!(case.own.verdict, Verdict::Confirmed);
    assert!((case.own.effect().unwrap().value - 16.0).abs() < 1e-9);
    assert_eq!(case.fair().unwrap().verdict, Verdict::NoDifference);
    assert_eq!(case.fair().unwrap().metric, "memory_bytes");
}

#[test]
fn a_fair_set_up_has_no_second_judgement_and_one_statement_stands_once() {
    let scenarios = [
        with_claims(speeds(1.5), "a", &[event_is_faster()], None),
        with_claims(speeds(0.5), "b", &[event_is_faster()], None),
    ];
    let found = claims(&scenarios, |_| true);
    assert_eq!(found.len(), 1);
    assert!(found[0].cases.iter().all(|case| case.fair.is_none()));
    assert_eq!(
        Tally::of(&found).in_words(),
        "of 2 claims 1 confirmed, 1 refuted"
    );
    assert_eq!(Tally::of(&[]).in_words(), "");
}

#[test]
fn statements_stand_in_the_order_of_the_table() {
    let mut first = event_is_faster();
    first.row = SummaryRow::HighLoad;
    let runs = with_claims(speeds(1.5), "a", &[event_is_faster(), first], None);
    let rows: Vec<SummaryRow> = claims(&[runs], |_| true)
        .iter()
        .map(|claim| claim.text.row)
        .collect();
    assert_eq!(rows, [SummaryRow::HighLoad, SummaryRow::Overload]);
}
