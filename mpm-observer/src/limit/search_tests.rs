//! The search in made-up worlds.

use super::*;
use crate::statistics::SplitMix64;

const RANGE: Range = Range {
    lowest: 4,
    highest: 1 << 20,
    start: 4096,
    step: 4,
};

/// Searches a world to the end; `fails` is asked once for each trial.
fn search(range: Range, effort: Effort, mut fails: impl FnMut(u64) -> bool) -> Search {
    let mut search = Search::new(range, effort);
    while let Some(value) = search.next() {
        assert!((range.lowest..=range.highest).contains(&value), "{value}");
        assert_eq!(value % range.step, 0, "{value}");
        assert!(search.remaining() > 0);
        search.note(value, fails(value));
    }
    assert_eq!(search.remaining(), 0);
    search
}

fn two_percent() -> Effort {
    Effort::new(5, 0.02)
}

#[test]
fn a_step_is_found_within_the_precision_wherever_it_is() {
    for step in [5, 8, 100, 4095, 4096, 4097, 5000, 60_000, 999_999] {
        let found = search(RANGE, two_percent(), |value| value < step);
        let Border::Found {
            smallest_served,
            highest_failing,
        } = found.border()
        else {
            panic!("{step}: {:?}", found.border());
        };
        assert!(highest_failing < step && step <= smallest_served, "{step}");
        let near = smallest_served as f64 <= 1.02 * highest_failing as f64;
        assert!(near || smallest_served - highest_failing <= 4, "{step}");
        assert!(found.reversals().is_empty());
        assert_eq!(found.mixed(), None);
        assert!(found.trials() < 120, "{step}: {}", found.trials());
        // Both ends are known by more than one trial.
        assert_eq!(found.tallies()[&smallest_served].trials, 10);
        assert_eq!(found.tallies()[&highest_failing].trials, 5);
    }
}

#[test]
fn counts_are_found_to_the_unit() {
    let range = Range {
        lowest: 4,
        highest: 65_536,
        start: 64,
        step: 1,
    };
    for step in [5, 9, 38, 64, 65, 230] {
        let found = search(range, Effort::new(3, 0.001), |value| value < step);
        let border = Border::Found {
            smallest_served: step,
            highest_failing: step - 1,
        };
        assert_eq!(found.border(), border);
    }
}

/// A world in which all trials fail below 40,000, none from 50,000 on, and in between the fewer
/// the higher the value.
fn noisy(random: &mut SplitMix64) -> impl FnMut(u64) -> bool + '_ {
    |value| {
        let chance = (50_000.0 - value as f64) / 10_000.0;
        (random.below(1_000_000) as f64) < chance * 1e6
    }
}

#[test]
fn a_noisy_border_is_found_where_failures_become_rare_for_nearly_every_seed() {
    let seeds = 300;
    let (mut near, mut covered, mut most) = (0, 0, 0);
    for seed in 0..seeds {
        let mut random = SplitMix64(seed);
        let found = search(RANGE, two_percent(), noisy(&mut random));
        let border = found.border();
        let (Some(served), Some(failing)) = (border.smallest_served(), border.highest_failing())
        else {
            panic!("seed {seed}: {border:?}");
        };
        assert!(failing < 50_000 && served > failing, "seed {seed}");
        most = most.max(found.trials());
        // A value is taken for safe after 10 trials: below 47,500 (a chance of 25 % to fail) that
        // happens once in 18 searches that get there, above 51,000 nothing is left to find.
        near += usize::from((47_000..=51_000).contains(&served));
        // The whole zone in which chance decides has its end within the spread, or just above.
        let (low, _) = found.mixed().unwrap_or((failing, failing));
        covered += usize::from(low <= 49_000 && (48_000..=51_000).contains(&served));
    }
    assert!(near >= 285, "near {near} of {seeds}");
    assert!(covered >= 255, "covered {covered} of {seeds}");
    assert!(most <= two_percent().most_trials, "{most}");
}

#[test]
fn more_repetitions_come_nearer_to_the_value_that_never_fails() {
    let mean_distance = |repetitions| {
        let distances = (0..100).map(|seed| {
            let mut random = SplitMix64(seed);
            let found = search(RANGE, Effort::new(repetitions, 0.01), noisy(&mut random));
            let served = found.border().smallest_served().unwrap_or(0);
            50_000.0 - served.min(50_000) as f64
        });
        distances.sum::<f64>() / 100.0
    };
    let (few, many) = (mean_distance(2), mean_distance(20));
    assert!(many < 0.5 * few, "{few} and {many}");
}

#[test]
fn a_failure_above_a_safe_value_moves_the_border_up_and_is_kept() {
    // Safe from 1000 on, but for a hole at 1500 to 3000.
    let found = search(RANGE, two_percent(), |value| {
        value < 1000 || (1500..3000).contains(&value)
    });
    let border = found.border();
    let served = border.smallest_served().unwrap();
    assert!((3000..3100).contains(&served), "{border:?}");
    assert!((2900..3000).contains(&border.highest_failing().unwrap()));
    let [reversal] = found.reversals() else {
        panic!("{:?}", found.reversals());
    };
    assert!(reversal.safe < 1500 && (1500..3000).contains(&reversal.failing));
}

#[test]
fn a_value_that_fails_when_it_is_tried_again_is_not_safe() {
    let mut tried = 0;
    // The first five trials at the border are lucky.
    let found = search(RANGE, two_percent(), |value| {
        if (30_000..40_000).contains(&value) {
            tried += 1;
            return tried > 5;
        }
        value < 30_000
    });
    let served = found.border().smallest_served().unwrap();
    assert!((40_000..41_000).contains(&served), "{served}");
}

#[test]
fn a_world_without_failures_is_said_to_have_none_down_to_the_least_value() {
    let found = search(RANGE, two_percent(), |_| false);
    assert_eq!(found.border(), Border::NeverFails { lowest_tried: 4 });
    assert_eq!(found.tallies()[&4].trials, 10);
}

#[test]
fn a_world_of_failures_is_said_to_fail_up_to_the_greatest_value() {
    let found = search(RANGE, two_percent(), |_| true);
    let border = Border::AlwaysFails {
        highest_tried: 1 << 20,
    };
    assert_eq!(found.border(), border);
    assert!(found.trials() < 10, "{}", found.trials());
}

#[test]
fn a_world_of_pure_chance_ends_after_the_trials_that_are_allowed() {
    let mut random = SplitMix64(7);
    let effort = Effort {
        most_trials: 60,
        ..two_percent()
    };
    let found = search(RANGE, effort, |_| random.below(4) == 0);
    assert!(found.trials() <= 60);
}

#[test]
fn a_search_that_is_cut_off_tells_both_sides_as_far_as_they_are_known() {
    let effort = Effort {
        most_trials: 8,
        ..two_percent()
    };
    let found = search(RANGE, effort, |value| value < 3000);
    let Border::Unfinished {
        smallest_served: Some(4096),
        highest_failing: Some(1024),
    } = found.border()
    else {
        panic!("{:?}", found.border());
    };
    let nothing = Search::new(RANGE, effort).border();
    assert_eq!(nothing.smallest_served(), None);
    assert_eq!(nothing.highest_failing(), None);
}

#[test]
fn the_trials_to_come_are_fewer_the_further_it_is() {
    let mut search = Search::new(RANGE, two_percent());
    let mut estimates = Vec::new();
    while let Some(value) = search.next() {
        estimates.push(search.remaining());
        search.note(value, value < 5000);
    }
    let made = u32::try_from(estimates.len()).unwrap();
    let first = estimates[0];
    assert!((made / 2..=made * 2).contains(&first), "{first} for {made}");
    assert!(estimates[estimates.len() - 1] <= 10, "{estimates:?}");
}
