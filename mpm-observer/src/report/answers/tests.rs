use super::*;
use crate::{
    correlate::RunAnalysis,
    report::{
        figures::tests::scenario,
        made_up::{self, Figures, three_of_each},
    },
    scenario::SummaryRow,
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

fn no_failures() -> Figures {
    Figures {
        failed: 0,
        ..Figures::default()
    }
}

fn prefork_fails() -> ClaimText {
    claim("failed_requests", Mpm::Prefork, Direction::Fails)
}

/// Memory in MB by MPM and repetition.
fn memory(megabytes: [[u64; 3]; 3]) -> ScenarioFigures {
    scenario(three_of_each(|mpm, repetition| Figures {
        cgroup_bytes: Some(megabytes[mpm as usize][repetition as usize - 1] * 1_000_000),
        ..no_failures()
    }))
}

fn prefork_uses_more() -> ClaimText {
    claim("memory_bytes", Mpm::Prefork, Direction::More)
}

#[test]
fn an_mpm_that_answers_everything_does_not_fail() {
    let figures = scenario(three_of_each(|_, _| no_failures()));
    let answer = answer(&prefork_fails(), &figures);
    assert_eq!(answer.verdict, Verdict::NotSeen);
    assert_eq!(
        answer.text,
        "prefork answered all 100 requests in 3 of 3 runs"
    );
}

#[test]
fn a_few_failures_are_failing_in_part_and_are_told_by_outcome() {
    let figures = scenario(three_of_each(|mpm, _| Figures {
        failed: if mpm == Mpm::Prefork { 4 } else { 0 },
        ..Figures::default()
    }));
    let answer = answer(&prefork_fails(), &figures);
    assert_eq!(answer.verdict, Verdict::InPart);
    assert_eq!(
        answer.text,
        "prefork failed 12 of 312 requests (3.85 %) in 3 runs: 12 timed out"
    );
}

#[test]
fn failing_half_of_the_requests_is_failing() {
    let figures = scenario(three_of_each(|mpm, _| Figures {
        failed: if mpm == Mpm::Prefork { 100 } else { 0 },
        ..Figures::default()
    }));
    assert_eq!(answer(&prefork_fails(), &figures).verdict, Verdict::Seen);
}

fn with_starts(starts: impl Fn(Mpm, u32) -> bool) -> ScenarioFigures {
    let mut runs: Vec<RunAnalysis> = Vec::new();
    for mpm in Mpm::ALL {
        for repetition in 1..=3 {
            runs.push(if starts(mpm, repetition) {
                made_up::run(mpm, repetition, &no_failures())
            } else {
                made_up::not_started(mpm, repetition)
            });
        }
    }
    scenario(runs)
}

#[test]
fn an_httpd_that_does_not_start_fails() {
    let answer = answer(&prefork_fails(), &with_starts(|mpm, _| mpm != Mpm::Prefork));
    assert_eq!(answer.verdict, Verdict::Seen);
    assert_eq!(
        answer.text,
        "httpd with prefork did not start in 3 of 3 runs"
    );
}

#[test]
fn it_is_the_opposite_when_only_the_others_do_not_start() {
    let figures = with_starts(|mpm, repetition| mpm != Mpm::Worker || repetition == 2);
    let answer = answer(&prefork_fails(), &figures);
    assert_eq!(answer.verdict, Verdict::Opposite);
    assert_eq!(
        answer.text,
        "prefork answered all 100 requests in 3 of 3 runs; httpd with worker did not start in 2 \
         of 3 runs (100 successful, 200 failed requests in all)"
    );
}

#[test]
fn requests_that_were_cut_off_are_not_called_answered() {
    let mut figures = scenario(three_of_each(|_, _| no_failures()));
    for run in &mut figures.runs {
        run.plan.load.requests = 120;
    }
    let answer = answer(&prefork_fails(), &figures);
    assert_eq!(answer.verdict, Verdict::NotSeen);
    assert_eq!(
        answer.text,
        "prefork failed none of 300 requests in 3 runs; 60 of those planned were cut off at the \
         end of the time"
    );
}

#[test]
fn more_than_both_others_is_seen_with_the_factor_to_the_nearest() {
    let figures = memory([[26, 27, 26], [9, 9, 8], [8, 8, 7]]);
    let answer = answer(&prefork_uses_more(), &figures);
    assert_eq!(answer.verdict, Verdict::Seen);
    assert_eq!(answer.text, "prefork 26 MB, 2.89 times worker's 9 MB");
}

#[test]
fn overlapping_ranges_are_no_clear_difference() {
    let answer = answer(
        &prefork_uses_more(),
        &memory([[9, 12, 10], [9, 9, 8], [8, 8, 7]]),
    );
    assert_eq!(answer.verdict, Verdict::Unclear);
    assert_eq!(answer.text, "the range of prefork overlaps that of worker");
}

#[test]
fn less_than_one_other_is_not_seen_and_less_than_both_the_opposite() {
    let between = answer(
        &prefork_uses_more(),
        &memory([[5, 5, 5], [9, 9, 8], [1, 1, 1]]),
    );
    assert_eq!(between.verdict, Verdict::NotSeen);
    assert_eq!(
        between.text,
        "worker has clearly more than prefork: worker 9 MB, 1.80 times prefork's 5 MB"
    );
    let least = answer(
        &prefork_uses_more(),
        &memory([[5, 5, 5], [9, 9, 8], [7, 7, 7]]),
    );
    assert_eq!(least.verdict, Verdict::Opposite);
    assert_eq!(
        least.text,
        "prefork has clearly the least: prefork 5 MB, 0.71 times event's 7 MB"
    );
}

#[test]
fn a_lead_below_the_stated_one_is_seen_in_part() {
    let mut ahead = claim("requests_per_s", Mpm::Event, Direction::More);
    let figures = scenario(three_of_each(|mpm, _| Figures {
        load_ns: if mpm == Mpm::Event {
            1_800_000_000
        } else {
            2_000_000_000
        },
        ..no_failures()
    }));
    assert_eq!(answer(&ahead, &figures).verdict, Verdict::Seen);
    ahead.by_percent = Some(50);
    let answer = answer(&ahead, &figures);
    assert_eq!(answer.verdict, Verdict::InPart);
    assert!(answer.text.contains("1.11 times"), "{}", answer.text);
}

#[test]
fn less_is_judged_from_the_other_side() {
    let less = claim("memory_bytes", Mpm::Event, Direction::Less);
    let figures = memory([[26, 27, 26], [9, 9, 9], [8, 8, 7]]);
    let answer = answer(&less, &figures);
    assert_eq!(answer.verdict, Verdict::Seen);
    assert_eq!(answer.text, "event 8 MB, 0.89 times worker's 9 MB");
}

#[test]
fn two_runs_are_too_few_to_judge_from() {
    let mut figures = memory([[26, 27, 26], [9, 9, 8], [8, 8, 7]]);
    figures.runs.retain(|run| run.repetition < 3);
    for claim in [prefork_uses_more(), prefork_fails()] {
        let answer = answer(&claim, &figures);
        assert_eq!(answer.verdict, Verdict::NotMeasured);
        assert!(
            answer
                .text
                .starts_with("2 runs of each MPM, too few to judge from: "),
            "{}",
            answer.text
        );
    }
}

#[test]
fn a_comparison_says_what_else_differed() {
    let mut figures = scenario(three_of_each(|mpm, _| Figures {
        failed: if mpm == Mpm::Event { 1 } else { 0 },
        ..no_failures()
    }));
    for run in &mut figures.runs {
        run.client_was_busy = run.repetition == 1;
        if run.mpm() == Mpm::Prefork {
            run.plan.server.max_request_workers = 50;
        }
    }
    let answer = answer(
        &claim("requests_per_s", Mpm::Event, Direction::More),
        &figures,
    );
    assert_eq!(answer.verdict, Verdict::Unclear);
    assert!(
        answer.text.ends_with(
            "; the slots were not equal: prefork 50, worker 75, event 75; requests failed: 3 with \
             event; the client was the bottleneck in 3 of 9 runs"
        ),
        "{}",
        answer.text
    );
}

#[test]
fn a_statement_without_figures_is_not_judged() {
    let mut unknown = prefork_uses_more();
    unknown.metric = Some("speed".into());
    let figures = memory([[1; 3]; 3]);
    assert_eq!(
        answer(&unknown, &figures).text,
        "the report has no metric `speed`"
    );

    let mut figures_only = prefork_uses_more();
    (figures_only.subject, figures_only.direction) = (None, None);
    let figures_only = answer(&figures_only, &figures);
    assert_eq!(figures_only.verdict, Verdict::NotMeasured);
    assert_eq!(figures_only.text, "prefork 1 MB, worker 1 MB, event 1 MB");

    let nothing_ran = with_starts(|_, _| false);
    let answer = answer(&prefork_uses_more(), &nothing_ran);
    assert_eq!(answer.verdict, Verdict::NotMeasured);
}

#[test]
fn an_mpm_that_was_not_run_is_not_judged() {
    let mut figures = memory([[1; 3]; 3]);
    figures.runs.retain(|run| run.mpm() != Mpm::Prefork);
    let answer = answer(&prefork_fails(), &figures);
    assert_eq!(answer.text, "prefork was not run");
    assert_eq!(answer.verdict, Verdict::NotMeasured);
}
