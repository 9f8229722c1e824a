use super::*;
use crate::statistics::SplitMix64;

/// Requests of a client whose clock is `offset_ns` ahead at its moment 0 and gains
/// `drift_ns_per_s`, with delays of their own on each way.
fn requests(
    random: &mut SplitMix64,
    count: u64,
    every_ns: u64,
    (offset_ns, drift_ns_per_s): (i64, f64),
    (there_ns, back_ns): (u64, u64),
) -> Vec<Sight> {
    let truth = |client_ns: u64| offset_ns + (drift_ns_per_s * client_ns as f64 / 1e9) as i64;
    let server = |client_ns: u64| client_ns.checked_add_signed(-truth(client_ns)).unwrap();
    let mut sights = Vec::new();
    for index in 0..count {
        let sent_ns = START_NS + index * every_ns;
        let arrival_ns = sent_ns + there_ns + delay(random, 400_000);
        let pickup_ns = arrival_ns + delay(random, 50_000);
        let first_byte_ns = pickup_ns + back_ns + delay(random, 400_000);
        let client = ClientRow {
            sent_ns,
            first_byte_ns,
            last_byte_ns: first_byte_ns,
            ..ClientRow::default()
        };
        let kernel = KernelRow {
            arrival_ns: server(arrival_ns),
            pickup_ns: server(pickup_ns),
            first_send_ns: server(first_byte_ns),
            sends: 1,
            ..KernelRow::default()
        };
        sights.push(Sight::of(&client, &kernel));
    }
    sights
}

fn delay(random: &mut SplitMix64, below_ns: usize) -> u64 {
    random.below(below_ns) as u64
}

/// Both clocks have run for hours.
const START_NS: u64 = 90_000_000_000_000;

/// Whether the truth lies within the bound at every moment.
fn holds(found: &ClockOffset, truth: impl Fn(u64) -> i64, length_ns: u64) {
    for step in 0..=100 {
        let at_ns = START_NS + length_ns / 100 * step;
        let apart = (found.at(at_ns) - truth(at_ns)).unsigned_abs();
        assert!(
            apart <= found.bound_ns(),
            "{apart} beside the truth at step {step}, bound {}: {found:?}",
            found.bound_ns()
        );
    }
}

#[test]
fn the_true_offset_lies_within_the_bound_however_unlike_the_two_ways_are() {
    let mut random = SplitMix64(7);
    for offset_ns in [
        0,
        1,
        -1,
        5_000_000_000,
        -3_600_000_000_000,
        80_000_000_000_000,
    ] {
        for ways in [(1000, 1000), (50_000, 2_000_000), (9_000_000, 20_000)] {
            for count in [1, 2, 3, 500] {
                let sights = requests(&mut random, count, 2_000_000, (offset_ns, 0.0), ways);
                let found = estimate(sights).unwrap();
                holds(&found, |_| offset_ns, (count - 1) * 2_000_000);
                assert_eq!((found.pairs, found.contradicting), (count, 0));
            }
        }
    }
}

#[test]
fn the_bound_is_half_of_the_shortest_way_there_and_back() {
    let mut random = SplitMix64(3);
    let sights = requests(
        &mut random,
        5000,
        2_000_000,
        (123_456, 0.0),
        (40_000, 60_000),
    );
    let found = estimate(sights).unwrap();
    // Of 5000 requests some had next to no delay beside the least one of 100 µs.
    assert!((50_000..75_000).contains(&found.bound_ns()), "{found:?}");
}

#[test]
fn a_drift_is_followed() {
    let mut random = SplitMix64(11);
    for drift in [-400_000.0, -20_000.0, 50_000.0, 900_000.0] {
        let sights = requests(
            &mut random,
            3000,
            20_000_000,
            (77_000_000, drift),
            (30_000, 30_000),
        );
        let found = estimate(sights).unwrap();
        let truth = |at_ns: u64| 77_000_000 + (drift * at_ns as f64 / 1e9) as i64;
        holds(&found, truth, 2999 * 20_000_000);
        assert!(found.bound_ns() < 400_000, "{drift}: {found:?}");
        let drifted = found.drift_ns() as f64;
        assert!(
            (drifted - drift * 60.0).abs() < 800_000.0,
            "{drift}: {drifted}"
        );
    }
}

#[test]
fn a_rate_that_changes_on_the_way_is_followed_in_pieces() {
    let mut random = SplitMix64(5);
    // For 30 s it gains 0.04 %, then it loses as much.
    const TURN_NS: u64 = 30_000_000_000;
    let truth = |at_ns: u64| {
        let passed_ns = at_ns - START_NS;
        let up = passed_ns.min(TURN_NS) as f64;
        let down = passed_ns.saturating_sub(TURN_NS) as f64;
        ((up - down) * 0.0004) as i64
    };
    let mut sights = Vec::new();
    for index in 0..6000_u64 {
        let sent_ns = START_NS + index * 10_000_000;
        let low = delay(&mut random, 100_000);
        let high = delay(&mut random, 100_000);
        sights.push(Sight {
            low_at_ns: sent_ns,
            low_ns: truth(sent_ns) - low.cast_signed(),
            high_at_ns: sent_ns,
            high_ns: truth(sent_ns) + high.cast_signed(),
        });
    }
    let found = estimate(sights).unwrap();
    assert!(found.at.len() > 2, "{found:?}");
    assert_eq!(found.contradicting, 0);
    // At the pieces' own ends; where the rate turned a piece may hold both.
    for point in &found.at {
        let apart = (point.offset_ns - truth(point.client_ns)).unsigned_abs();
        assert!(apart <= point.bound_ns, "{apart}: {point:?}");
    }
}

#[test]
fn requests_that_were_paired_wrongly_are_left_out_and_counted() {
    let mut random = SplitMix64(9);
    let mut sights = requests(
        &mut random,
        600,
        2_000_000,
        (1_000_000_000, 0.0),
        (20_000, 20_000),
    );
    for sight in sights.iter_mut().step_by(3) {
        sight.low_ns += 7_000_000_000;
        sight.high_ns += 7_000_000_000;
    }
    let found = estimate(sights).unwrap();
    holds(&found, |_| 1_000_000_000, 600 * 2_000_000);
    assert_eq!((found.pairs, found.contradicting), (400, 200));
}

#[test]
fn where_no_offset_fits_most_requests_there_is_none() {
    assert_eq!(estimate(Vec::new()), Err(NoOffset::NoPairs));
    let sights = (0..100_u64)
        .map(|index| Sight {
            low_at_ns: START_NS + index * 1000,
            low_ns: index.cast_signed() * 1_000_000_000,
            high_at_ns: START_NS + index * 1000,
            high_ns: index.cast_signed() * 1_000_000_000 + 1000,
        })
        .collect();
    let error = estimate(sights).unwrap_err();
    assert!(
        matches!(error, NoOffset::Contradiction { pairs: 100, .. }),
        "{error:?}"
    );
}

#[test]
fn an_answer_in_pieces_ends_the_interval_where_its_last_one_can_have_begun() {
    let client = ClientRow {
        sent_ns: 100,
        first_byte_ns: 900,
        last_byte_ns: 950,
        ..ClientRow::default()
    };
    let mut kernel = KernelRow {
        arrival_ns: 40,
        pickup_ns: 50,
        first_send_ns: 700,
        last_send_ns: 990,
        sends: 2,
        ..KernelRow::default()
    };
    let sight = Sight::of(&client, &kernel);
    assert_eq!(
        (sight.low_ns, sight.high_ns, sight.high_at_ns),
        (60, 250, 950)
    );
    kernel.sends = 1;
    let sight = Sight::of(&client, &kernel);
    assert_eq!((sight.high_ns, sight.high_at_ns), (850, 900));
}
