use super::{
    Judgement, Needed, NotJudged, ScenarioRuns, Verdict, judge,
    made_up::{claim, noise, scenario},
};
use crate::scenario::{ClaimText, Direction, Mpm};

const MEMORY: &str = "memory_bytes";
const SPEED: &str = "requests_per_s";

fn judged(claim: &ClaimText, runs: &ScenarioRuns) -> Judgement {
    judge(claim, claim.metric.as_deref(), runs, |key| {
        [MEMORY, SPEED].contains(&key)
    })
}

fn prefork_has_more() -> ClaimText {
    claim(MEMORY, Mpm::Prefork, Direction::More)
}

/// Amounts of prefork, worker and event with noise.
fn memory(repetitions: u32, amounts: [f64; 3]) -> ScenarioRuns {
    scenario(MEMORY, repetitions, |mpm, repetition| {
        amounts[mpm as usize] * noise(repetition + 3 * mpm as u32)
    })
}

#[test]
fn more_than_each_of_the_others_is_confirmed_with_the_ratio_to_the_nearest() {
    let judgement = judged(&prefork_has_more(), &memory(8, [26.0, 9.0, 8.0]));
    assert_eq!(judgement.verdict, Verdict::Confirmed);
    assert_eq!(judgement.decisive().unwrap().other, Mpm::Worker);
    let effect = judgement.effect().unwrap();
    assert!((effect.value - 26.0 / 9.0).abs() < 0.06, "{effect:?}");
    assert_eq!((effect.n, judgement.needed), (8, None));
}

#[test]
fn the_contrary_against_one_other_refutes_it() {
    let judgement = judged(&prefork_has_more(), &memory(8, [5.0, 9.0, 1.0]));
    assert_eq!(judgement.verdict, Verdict::Refuted);
    assert_eq!(judgement.decisive().unwrap().other, Mpm::Worker);
}

#[test]
fn equal_amounts_are_no_difference_even_without_any_variance() {
    assert_eq!(
        judged(&prefork_has_more(), &memory(8, [9.0, 9.0, 9.0])).verdict,
        Verdict::NoDifference
    );
    for amount in [0.0, 9.0] {
        let exact = scenario(MEMORY, 6, |_, _| amount);
        let judgement = judged(&prefork_has_more(), &exact);
        assert_eq!(judgement.verdict, Verdict::NoDifference, "{amount}");
        assert_eq!(judgement.effect().unwrap().value, 1.0);
    }
}

#[test]
fn amounts_that_scatter_are_undecided_and_say_how_many_more_it_takes() {
    let scattered = scenario(MEMORY, 8, |mpm, repetition| match mpm {
        Mpm::Prefork => 10.0 * [0.9, 1.4, 1.1, 1.3, 1.0, 1.2, 0.95, 1.5][repetition as usize - 1],
        _ => 10.0,
    });
    let judgement = judged(&prefork_has_more(), &scattered);
    assert_eq!(judgement.verdict, Verdict::Undecided);
    let Some(Needed::Further(further)) = judgement.needed else {
        panic!("{:?}", judgement.needed);
    };
    assert!((1..=60).contains(&further), "{further}");
}

#[test]
fn one_other_that_is_going_to_refute_it_is_not_waited_for_by_the_rest() {
    // Against worker it is open for long, against event nearly refuted.
    let scattered = scenario(MEMORY, 8, |mpm, repetition| {
        let index = repetition as usize - 1;
        match mpm {
            Mpm::Prefork => 10.0,
            Mpm::Worker => 9.5 * [0.6, 1.4, 0.8, 1.2, 0.7, 1.3, 0.9, 1.1][index],
            Mpm::Event => 10.0 * [0.99, 1.4, 1.1, 1.3, 1.1, 1.2, 0.98, 1.5][index],
        }
    });
    let judgement = judged(&prefork_has_more(), &scattered);
    assert_eq!(judgement.verdict, Verdict::Undecided);
    let [worker, event] = judgement.comparisons.as_slice() else {
        panic!("{judgement:?}");
    };
    assert_eq!(event.expected, Some(Verdict::Refuted));
    assert!(worker.needed > event.needed, "{judgement:?}");
    assert_eq!(judgement.needed, event.needed);
}

#[test]
fn five_repetitions_decide_nothing_and_one_more_is_asked_for() {
    let judgement = judged(&prefork_has_more(), &memory(5, [26.0, 9.0, 8.0]));
    assert_eq!(judgement.verdict, Verdict::Undecided);
    assert_eq!(judgement.needed, Some(Needed::Further(1)));
    assert_eq!(judgement.effect().unwrap().interval, None);
}

#[test]
fn far_ahead_by_three_per_cent_is_refuted() {
    let mut ahead = claim(SPEED, Mpm::Event, Direction::More);
    ahead.by_percent = Some(50);
    let speeds = |event: f64| {
        scenario(SPEED, 8, move |mpm, repetition| match mpm {
            Mpm::Event => event * noise(repetition),
            _ => 1000.0 * noise(repetition + 5),
        })
    };
    assert_eq!(judged(&ahead, &speeds(1030.0)).verdict, Verdict::Refuted);
    assert_eq!(judged(&ahead, &speeds(1300.0)).verdict, Verdict::Refuted);
    assert_eq!(judged(&ahead, &speeds(1500.0)).verdict, Verdict::Undecided);
    assert_eq!(judged(&ahead, &speeds(1600.0)).verdict, Verdict::Confirmed);
}

#[test]
fn less_is_judged_from_the_other_side() {
    let less = claim(MEMORY, Mpm::Event, Direction::Less);
    let judgement = judged(&less, &memory(8, [26.0, 9.0, 8.0]));
    assert_eq!(judgement.verdict, Verdict::Confirmed);
    assert_eq!(judgement.decisive().unwrap().other, Mpm::Worker);
    assert_eq!(
        judged(&less, &memory(8, [7.0, 9.0, 8.0])).verdict,
        Verdict::Refuted
    );
}

#[test]
fn only_those_that_it_is_said_against_count() {
    let mut against = prefork_has_more();
    against.against = vec![Mpm::Event];
    let judgement = judged(&against, &memory(8, [5.0, 9.0, 1.0]));
    assert_eq!(judgement.verdict, Verdict::Confirmed);
    assert_eq!(judgement.comparisons.len(), 1);
}

#[test]
fn a_wider_margin_makes_the_same_difference_none() {
    let runs = memory(8, [10.0, 9.0, 9.0]);
    let mut claim = prefork_has_more();
    assert_eq!(judged(&claim, &runs).verdict, Verdict::Confirmed);
    claim.margin_percent = Some(20);
    assert_eq!(judged(&claim, &runs).verdict, Verdict::NoDifference);
}

#[test]
fn swapping_the_data_of_two_mpms_swaps_the_verdict() {
    for (a, b, there, back) in [
        (12.0, 9.0, Verdict::Confirmed, Verdict::Refuted),
        (9.0, 9.1, Verdict::NoDifference, Verdict::NoDifference),
        // About the margin: more, or as good as equal. The other way round it is not more at all.
        (9.45, 9.0, Verdict::Undecided, Verdict::Refuted),
    ] {
        let mut runs = memory(8, [a, b, 1.0]);
        let mut claim = prefork_has_more();
        claim.against = vec![Mpm::Worker];
        assert_eq!(judged(&claim, &runs).verdict, there, "{a} {b}");
        for run in &mut runs.runs {
            run.mpm = match run.mpm {
                Mpm::Prefork => Mpm::Worker,
                Mpm::Worker => Mpm::Prefork,
                Mpm::Event => Mpm::Event,
            };
        }
        assert_eq!(judged(&claim, &runs).verdict, back, "{b} {a}");
    }
}

#[test]
fn a_drift_of_the_machine_does_not_hide_a_difference() {
    // Each repetition is twice as slow as the last: the ranges overlap all but wholly.
    let drifting = scenario(MEMORY, 8, |mpm, repetition| {
        let own = if mpm == Mpm::Prefork { 1.2 } else { 1.0 };
        own * 2f64.powi(repetition as i32) * noise(repetition + mpm as u32)
    });
    assert_eq!(
        judged(&prefork_has_more(), &drifting).verdict,
        Verdict::Confirmed
    );
}

#[test]
fn a_repetition_without_a_value_of_both_is_no_pair() {
    let mut runs = memory(8, [26.0, 9.0, 8.0]);
    runs.runs
        .retain(|run| (run.mpm, run.repetition) != (Mpm::Worker, 2));
    for run in &mut runs.runs {
        if run.mpm == Mpm::Event && run.repetition > 5 {
            run.started = false;
        }
    }
    let judgement = judged(&prefork_has_more(), &runs);
    let n = |other: Mpm| {
        let of = |each: &&super::Comparison| each.other == other;
        judgement
            .comparisons
            .iter()
            .find(of)
            .unwrap()
            .effect
            .unwrap()
            .n
    };
    assert_eq!((n(Mpm::Worker), n(Mpm::Event)), (7, 5));
    assert_eq!(judgement.verdict, Verdict::Undecided);
    // One value more, of which five in eight repetitions are had.
    assert_eq!(judgement.needed, Some(Needed::Further(2)));
}

#[test]
fn nothing_is_claimed_against_an_mpm_that_never_came_up() {
    let speed = |mpm: Mpm, _| if mpm == Mpm::Event { 2000.0 } else { 1000.0 };
    let mut runs = scenario(SPEED, 8, speed);
    for run in runs.runs.iter_mut().filter(|run| run.mpm == Mpm::Worker) {
        (run.started, run.ok, run.failed) = (false, 0, 100);
    }
    let faster = claim(SPEED, Mpm::Event, Direction::More);
    let judgement = judged(&faster, &runs);
    assert_eq!(judgement.verdict, Verdict::Undecided);
    assert_eq!(judgement.needed, Some(Needed::WouldNotHelp));
    // What the other one says still counts.
    let slower = claim(SPEED, Mpm::Prefork, Direction::More);
    assert_eq!(judged(&slower, &runs).verdict, Verdict::Refuted);
}

/// Event is as fast as the others, or half as fast again, with a busy client in some runs.
fn speeds(event: f64, busy: Mpm, metric: &'static str) -> ScenarioRuns {
    let mut runs = scenario(metric, 8, |mpm, repetition| {
        let own = if mpm == Mpm::Event { event } else { 1.0 };
        own * noise(repetition + mpm as u32)
    });
    for run in &mut runs.runs {
        run.client_was_busy = run.mpm == busy && run.repetition == 1;
    }
    runs
}

#[test]
fn a_busy_client_forbids_what_it_may_have_caused_and_no_more() {
    let mut faster = claim(SPEED, Mpm::Event, Direction::More);
    faster.against = vec![Mpm::Worker];
    for (event, busy, verdict) in [
        // Event may be faster than it could show.
        (1.0, Mpm::Event, Verdict::Undecided),
        (0.8, Mpm::Event, Verdict::Undecided),
        (1.5, Mpm::Event, Verdict::Confirmed),
        // Worker may be.
        (1.0, Mpm::Worker, Verdict::Undecided),
        (0.8, Mpm::Worker, Verdict::Refuted),
        (1.5, Mpm::Worker, Verdict::Undecided),
        // Of no concern.
        (1.5, Mpm::Prefork, Verdict::Confirmed),
    ] {
        let judgement = judged(&faster, &speeds(event, busy, SPEED));
        assert_eq!(judgement.verdict, verdict, "{event} {busy}");
        if verdict == Verdict::Undecided {
            assert_eq!(judgement.needed, Some(Needed::WouldNotHelp));
        }
    }
}

#[test]
fn a_busy_client_lengthens_latencies_and_leaves_memory_alone() {
    let known = |_: &str| true;
    let latency = "latency_p99_ns";
    for (event, busy, verdict) in [
        (1.5, Mpm::Event, Verdict::Undecided),
        (0.7, Mpm::Event, Verdict::Confirmed),
        (0.7, Mpm::Worker, Verdict::Undecided),
        (1.5, Mpm::Worker, Verdict::Refuted),
    ] {
        let mut less = claim(latency, Mpm::Event, Direction::Less);
        less.against = vec![Mpm::Worker];
        let judgement = judge(&less, Some(latency), &speeds(event, busy, latency), known);
        assert_eq!(judgement.verdict, verdict, "{event} {busy}");
    }
    let memory = claim(MEMORY, Mpm::Event, Direction::More);
    let judgement = judged(&memory, &speeds(1.5, Mpm::Worker, MEMORY));
    assert_eq!(judgement.verdict, Verdict::Confirmed);
}

fn prefork_fails() -> ClaimText {
    claim("failed_requests", Mpm::Prefork, Direction::Fails)
}

/// Runs of which so many of each MPM do not come up.
fn starts(repetitions: u32, not_started: [u32; 3]) -> ScenarioRuns {
    let mut runs = scenario(MEMORY, repetitions, |_, _| 1.0);
    for run in &mut runs.runs {
        if run.repetition <= not_started[run.mpm as usize] {
            (run.started, run.ok, run.failed) = (false, 0, 100);
        }
    }
    runs
}

#[test]
fn starts_are_judged_by_the_difference_of_shares() {
    for (repetitions, not_started, verdict) in [
        (8, [8, 0, 0], Verdict::Confirmed),
        (6, [6, 0, 0], Verdict::Undecided),
        (8, [0, 0, 0], Verdict::Refuted),
        (6, [0, 0, 0], Verdict::Refuted),
        (3, [0, 0, 0], Verdict::Undecided),
        // All fail alike: prefork is not the one.
        (8, [8, 8, 8], Verdict::Refuted),
        // The contrary.
        (20, [0, 17, 15], Verdict::Refuted),
        (20, [10, 0, 0], Verdict::Undecided),
        (20, [3, 0, 0], Verdict::Refuted),
    ] {
        let judgement = judged(&prefork_fails(), &starts(repetitions, not_started));
        assert_eq!(
            judgement.verdict, verdict,
            "{not_started:?} of {repetitions}"
        );
    }
    let contrary = judged(&prefork_fails(), &starts(20, [0, 17, 15]));
    assert_eq!(contrary.decisive().unwrap().other, Mpm::Worker);
    assert!((contrary.effect().unwrap().value + 0.85).abs() < 1e-12);
}

#[test]
fn all_against_none_in_six_starts_asks_for_two_more() {
    let judgement = judged(&prefork_fails(), &starts(6, [6, 0, 0]));
    assert_eq!(judgement.needed, Some(Needed::Further(2)));
}

#[test]
fn many_requests_of_few_runs_are_few_values() {
    let mut runs = starts(3, [0, 0, 0]);
    for run in &mut runs.runs {
        run.ok = 1_000_000;
    }
    let judgement = judged(&prefork_fails(), &runs);
    assert_eq!(judgement.verdict, Verdict::Undecided);
    assert_eq!(judgement.effect().unwrap().n, 3);
}

#[test]
fn failed_requests_count_as_their_share_of_a_run() {
    let mut runs = starts(8, [0, 0, 0]);
    for run in runs.runs.iter_mut().filter(|run| run.mpm == Mpm::Prefork) {
        (run.ok, run.failed) = (1, 99);
    }
    let judgement = judged(&prefork_fails(), &runs);
    assert_eq!(judgement.verdict, Verdict::Confirmed);
    assert!((judgement.effect().unwrap().value - 0.99).abs() < 1e-12);
}

#[test]
fn what_cannot_be_judged_says_why() {
    let runs = memory(8, [26.0, 9.0, 8.0]);
    let mut silent = prefork_has_more();
    silent.direction = None;
    let unknown = claim("speed", Mpm::Prefork, Direction::More);
    let without = |gone: &[Mpm]| {
        let mut runs = runs.clone();
        runs.runs.retain(|run| !gone.contains(&run.mpm));
        runs
    };
    for (claim, runs, why) in [
        (silent, runs.clone(), NotJudged::NothingToJudge),
        (unknown, runs.clone(), NotJudged::UnknownMetric),
        (
            prefork_has_more(),
            without(&[Mpm::Prefork]),
            NotJudged::SubjectNotRun,
        ),
        (
            prefork_has_more(),
            without(&[Mpm::Worker, Mpm::Event]),
            NotJudged::NoOtherRun,
        ),
    ] {
        let judgement = judged(&claim, &runs);
        assert_eq!(judgement.verdict, Verdict::NotJudged);
        assert_eq!(judgement.not_judged, Some(why));
    }
}

#[test]
fn unequal_slots_are_told() {
    let mut runs = memory(8, [26.0, 9.0, 8.0]);
    assert!(judged(&prefork_has_more(), &runs).unequal_slots.is_empty());
    for run in runs.runs.iter_mut().filter(|run| run.mpm == Mpm::Prefork) {
        run.slots = 50;
    }
    assert_eq!(
        judged(&prefork_has_more(), &runs).unequal_slots,
        [(Mpm::Prefork, 50), (Mpm::Worker, 75), (Mpm::Event, 75)]
    );
}
