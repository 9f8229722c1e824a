use std::time::Duration;

use super::*;
use crate::pace::{Arrivals, Stage};
use crate::{Target, WeightedTarget};

const MS: u64 = 1_000_000;

fn config(pace: Pace, requests: Option<u64>) -> Config {
    let mut config = Config::new(Target::parse("http://127.0.0.1/").expect("good"));
    config.pace = pace;
    config.requests = requests;
    config
}

fn closed(think: Duration, connections: Option<Profile>) -> Pace {
    Pace::Closed { think, connections }
}

/// A request each millisecond.
fn open() -> Pace {
    Pace::Open {
        arrivals: Arrivals::Constant,
        rate: Profile::constant(1000.0),
    }
}

fn plan(config: &Config, slots: u32) -> Plan<'_> {
    Plan {
        slots,
        ..Plan::of_test(config)
    }
}

/// What starts now, in order.
fn starts(dispatcher: &mut Dispatcher<'_>, now_ns: u64) -> Vec<Start> {
    std::iter::from_fn(|| dispatcher.next(now_ns)).collect()
}

fn slots(starts: &[Start]) -> Vec<u32> {
    starts.iter().map(|start| start.slot).collect()
}

fn fresh(start: Start) -> Fresh {
    match start.kind {
        StartKind::Fresh(fresh) => fresh,
        StartKind::Retry => panic!("a retry"),
    }
}

fn freed_at_once(next: Next) -> Fresh {
    match next {
        Next::Start(start) => fresh(start),
        other => panic!("{other:?}"),
    }
}

#[test]
fn in_a_closed_loop_each_slot_goes_on_until_the_requests_are_used_up() {
    let config = config(Pace::CLOSED, Some(5));
    let mut dispatcher = Dispatcher::new(&plan(&config, 2));
    assert_eq!(dispatcher.wake_ns(0), Some(0));
    assert_eq!(slots(&starts(&mut dispatcher, 0)), [0, 1]);
    assert_eq!(dispatcher.wake_ns(0), None);
    let third = freed_at_once(dispatcher.freed(1, 10, true));
    assert_eq!((third.due_ns, third.flags), (None, 0));
    // Without a connection the turn comes in `next`, so that nothing recurses.
    assert_eq!(dispatcher.freed(0, 20, false), Next::Wait);
    assert_eq!(dispatcher.wake_ns(20), Some(20));
    assert_eq!(slots(&starts(&mut dispatcher, 20)), [0]);
    freed_at_once(dispatcher.freed(1, 30, true));
    assert_eq!(dispatcher.freed(0, 40, true), Next::Leave);
    assert!(!dispatcher.is_over());
    assert_eq!(dispatcher.freed(1, 50, true), Next::Leave);
    assert!(dispatcher.is_over());
    assert_eq!((dispatcher.unsent(99), dispatcher.wake_ns(99)), (0, None));
}

#[test]
fn without_a_number_of_requests_there_is_no_end() {
    let config = config(Pace::CLOSED, None);
    let mut dispatcher = Dispatcher::new(&plan(&config, 1));
    starts(&mut dispatcher, 0);
    for now_ns in 1..100 {
        freed_at_once(dispatcher.freed(0, now_ns, true));
        assert!(!dispatcher.is_over());
    }
}

#[test]
fn a_retry_is_no_further_request_and_comes_before_all_others() {
    let config = config(Pace::CLOSED, Some(3));
    let mut dispatcher = Dispatcher::new(&plan(&config, 2));
    starts(&mut dispatcher, 0);
    dispatcher.retry(1);
    assert!(!dispatcher.is_over());
    assert_eq!(dispatcher.wake_ns(5), Some(5));
    assert_eq!(dispatcher.freed(0, 5, false), Next::Wait);
    let started = starts(&mut dispatcher, 5);
    assert_eq!(slots(&started), [1, 0]);
    assert_eq!(started[0].kind, StartKind::Retry);
    assert_eq!(dispatcher.freed(0, 6, true), Next::Leave);
    // The last one is stale too: all requests have begun, and yet it is not over.
    dispatcher.retry(1);
    assert!(!dispatcher.is_over());
    assert_eq!(dispatcher.take_retries(), [1]);
    assert!(dispatcher.is_over());
}

#[test]
fn a_slot_thinks_before_its_next_request_and_keeps_its_connection() {
    let think = Duration::from_millis(5);
    let config = config(closed(think, None), Some(4));
    let mut dispatcher = Dispatcher::new(&plan(&config, 2));
    assert_eq!(starts(&mut dispatcher, 0).len(), 2);
    assert_eq!(dispatcher.freed(0, MS, true), Next::Wait);
    assert_eq!(dispatcher.freed(1, 2 * MS, false), Next::Wait);
    assert_eq!(dispatcher.wake_ns(2 * MS), Some(6 * MS));
    assert!(starts(&mut dispatcher, 6 * MS - 1).is_empty());
    assert_eq!(slots(&starts(&mut dispatcher, 6 * MS)), [0]);
    assert_eq!(dispatcher.wake_ns(6 * MS), Some(7 * MS));
    assert_eq!(slots(&starts(&mut dispatcher, 7 * MS)), [1]);
    assert_eq!(dispatcher.wake_ns(8 * MS), None);
    assert_eq!(dispatcher.freed(0, 8 * MS, true), Next::Leave);
    assert_eq!(dispatcher.freed(1, 8 * MS, true), Next::Leave);
    assert!(dispatcher.is_over());
}

#[test]
fn an_open_loop_starts_when_requests_are_due_and_not_before() {
    let config = config(open(), Some(3));
    let mut dispatcher = Dispatcher::new(&plan(&config, 2));
    let first = starts(&mut dispatcher, 0);
    assert_eq!(slots(&first), [0]);
    assert_eq!(fresh(first[0]).due_ns, Some(0));
    assert_eq!(dispatcher.wake_ns(0), Some(MS));
    // Not due yet: the slot waits, with its connection, behind the one that is free.
    assert_eq!(dispatcher.freed(0, 10, true), Next::Wait);
    assert!(starts(&mut dispatcher, MS - 1).is_empty());
    // The loop is late: that is no waiting for a slot.
    let second = starts(&mut dispatcher, MS + 300);
    assert_eq!(slots(&second), [1]);
    let fresh = fresh(second[0]);
    assert_eq!((fresh.due_ns, fresh.flags), (Some(MS), 0));
    assert_eq!(slots(&starts(&mut dispatcher, 2 * MS)), [0]);
    assert_eq!(dispatcher.wake_ns(2 * MS), None);
    assert_eq!(dispatcher.freed(0, 3 * MS, true), Next::Leave);
    assert_eq!(dispatcher.freed(1, 3 * MS, true), Next::Leave);
    assert!(dispatcher.is_over());
    assert_eq!(dispatcher.unsent(9 * MS), 0);
}

#[test]
fn requests_that_find_no_slot_wait_in_their_order_and_say_so() {
    let config = config(open(), None);
    let mut dispatcher = Dispatcher::new(&plan(&config, 1));
    assert_eq!(starts(&mut dispatcher, 0).len(), 1);
    // Nothing can start, so there is nothing to wake for.
    assert_eq!(dispatcher.wake_ns(5 * MS), None);
    assert!(starts(&mut dispatcher, 5 * MS).is_empty());
    for due_ms in 1..=3 {
        let next = freed_at_once(dispatcher.freed(0, 5 * MS, true));
        assert_eq!((next.due_ns, next.flags), (Some(due_ms * MS), Row::WAITED));
    }
    // The same when the connection is gone.
    assert_eq!(dispatcher.freed(0, 5 * MS, false), Next::Wait);
    assert_eq!(dispatcher.wake_ns(5 * MS), Some(4 * MS));
    let next = fresh(starts(&mut dispatcher, 5 * MS)[0]);
    assert_eq!((next.due_ns, next.flags), (Some(4 * MS), Row::WAITED));
    // Due at the very moment in which the slot becomes free: it waited for nobody.
    let next = freed_at_once(dispatcher.freed(0, 5 * MS, true));
    assert_eq!((next.due_ns, next.flags), (Some(5 * MS), 0));
    // Free before the next one is due, which then did not wait however late the loop is.
    assert_eq!(dispatcher.freed(0, 5 * MS + 1, true), Next::Wait);
    let next = fresh(starts(&mut dispatcher, 7 * MS)[0]);
    assert_eq!((next.due_ns, next.flags), (Some(6 * MS), 0));
}

#[test]
fn what_was_due_and_never_began_is_counted() {
    for arrivals in [Arrivals::Constant, Arrivals::Poisson] {
        let pace = Pace::Open {
            arrivals,
            rate: Profile::constant(1000.0),
        };
        let mut all = config(pace, None);
        all.seed = 7;
        // The same schedule, once counted one by one and once in a sum.
        let mut slow = Dispatcher::new(&plan(&all, 1));
        let mut one_by_one = 0;
        while slow.take(100 * MS, 0).is_some() {
            one_by_one += 1;
        }
        let mut quick = Dispatcher::new(&plan(&all, 1));
        assert_eq!(quick.unsent(100 * MS), one_by_one);
        assert!((50..200).contains(&one_by_one), "{one_by_one}");
        let limited = Config {
            requests: Some(3),
            ..all
        };
        let mut dispatcher = Dispatcher::new(&plan(&limited, 1));
        assert_eq!(
            starts(&mut dispatcher, 0).len(),
            usize::from(arrivals == Arrivals::Constant)
        );
        let begun = u64::from(arrivals == Arrivals::Constant);
        assert_eq!(dispatcher.unsent(100 * MS), 3 - begun);
    }
}

#[test]
fn a_schedule_that_ends_ends_the_run_before_the_requests_do() {
    let stage = Stage {
        from: 1000.0,
        to: 0.0,
        duration: Duration::from_millis(4),
    };
    let pace = Pace::Open {
        arrivals: Arrivals::Constant,
        rate: Profile::new(vec![stage]).expect("good"),
    };
    let config = config(pace, Some(1000));
    let mut dispatcher = Dispatcher::new(&plan(&config, 10));
    let started = starts(&mut dispatcher, 100 * MS);
    assert!((2..=3).contains(&started.len()), "{started:?}");
    assert_eq!(dispatcher.unsent(100 * MS), 0);
    for start in &started {
        assert!(!dispatcher.is_over());
        assert_eq!(dispatcher.freed(start.slot, 101 * MS, true), Next::Leave);
    }
    assert!(dispatcher.is_over());
}

#[test]
fn requests_of_the_warm_up_are_marked_and_not_counted() {
    for pace in [Pace::CLOSED, open()] {
        let config = config(pace, Some(2));
        let plan = Plan {
            measured_from_ns: 3 * MS,
            ..plan(&config, 1)
        };
        let mut dispatcher = Dispatcher::new(&plan);
        let mut flags = vec![fresh(starts(&mut dispatcher, 0)[0]).flags];
        for now_ms in 1..=4 {
            flags.push(freed_at_once(dispatcher.freed(0, now_ms * MS, true)).flags);
        }
        let warm = Row::WARM_UP;
        assert_eq!(flags, [warm, warm, warm, 0, 0]);
        assert_eq!(dispatcher.freed(0, 9 * MS, true), Next::Leave);
        assert!(dispatcher.is_over());
    }
}

#[test]
fn a_growing_number_of_connections_lets_slots_begin_one_by_one() {
    let stage = Stage {
        from: 0.0,
        to: 4.0,
        duration: Duration::from_secs(4),
    };
    let ramp = Profile::new(vec![stage]).expect("good");
    let config = config(closed(Duration::ZERO, Some(ramp)), None);
    let mut dispatcher = Dispatcher::new(&plan(&config, 4));
    let second_ns = 1000 * MS;
    assert!(starts(&mut dispatcher, 0).is_empty());
    assert_eq!(dispatcher.wake_ns(0), Some(RAMP_STEP_NS));
    assert_eq!(slots(&starts(&mut dispatcher, second_ns)), [0]);
    assert_eq!(slots(&starts(&mut dispatcher, 3 * second_ns)), [1, 2]);
    assert_eq!(slots(&starts(&mut dispatcher, 9 * second_ns)), [3]);
    assert_eq!(dispatcher.wake_ns(9 * second_ns), None);
}

#[test]
fn a_shrinking_number_of_connections_sends_slots_away_and_takes_them_back() {
    let stage = |from, to| Stage {
        from,
        to,
        duration: Duration::from_secs(1),
    };
    let stages = vec![stage(3.0, 3.0), stage(1.0, 1.0), stage(3.0, 3.0)];
    let ramp = Profile::new(stages).expect("good");
    let config = config(closed(Duration::ZERO, Some(ramp)), None);
    let mut dispatcher = Dispatcher::new(&plan(&config, 3));
    assert_eq!(slots(&starts(&mut dispatcher, 0)), [0, 1, 2]);
    let during_ns = 1500 * MS;
    assert_eq!(dispatcher.freed(1, during_ns, true), Next::Leave);
    freed_at_once(dispatcher.freed(0, during_ns, true));
    assert_eq!(dispatcher.freed(2, during_ns, true), Next::Leave);
    assert!(starts(&mut dispatcher, during_ns).is_empty());
    assert!(!dispatcher.is_over());
    assert_eq!(slots(&starts(&mut dispatcher, 2500 * MS)), [1, 2]);
}

#[test]
fn threads_share_the_connections_of_a_ramp_without_losing_any() {
    for wanted in 0..10_u32 {
        for threads in 1..=4 {
            let profile = Profile::constant(f64::from(wanted));
            let shares = (0..threads).map(|thread| {
                let share = Share {
                    origin_ns: 0,
                    thread,
                    threads,
                };
                share.of(&profile, 5)
            });
            assert_eq!(shares.sum::<u32>(), wanted, "{threads} threads");
        }
    }
}

#[test]
fn urls_are_drawn_by_their_weights_and_alike_for_the_same_seed() {
    let mut config = config(Pace::CLOSED, None);
    let target = config.targets[0].target.clone();
    config.targets = [3, 0, 1]
        .map(|weight| WeightedTarget {
            target: target.clone(),
            weight,
        })
        .to_vec();
    let draw = |config: &Config, thread: u16| {
        let mut mix = Mix::new(config, thread);
        (0..8000).map(|_| mix.draw()).collect::<Vec<u16>>()
    };
    let drawn = draw(&config, 0);
    let count = |url: u16| drawn.iter().filter(|drawn| **drawn == url).count();
    // The standard deviation is 39.
    assert!((5800..6200).contains(&count(0)), "{}", count(0));
    assert_eq!((count(1), count(0) + count(2)), (0, 8000));
    assert_eq!(drawn, draw(&config, 0));
    assert_ne!(drawn, draw(&config, 1));
    config.seed += 1;
    assert_ne!(drawn, draw(&config, 0));
}

#[test]
fn a_request_due_at_the_end_of_the_run_is_not_missed() {
    let config = config(open(), None);
    let mut plan = plan(&config, 1);
    plan.until_ns = Some(5 * MS);
    let mut dispatcher = Dispatcher::new(&plan);
    for due_ms in 0..4 {
        let slot = dispatcher.next(due_ms * MS).expect("due").slot;
        assert_eq!(dispatcher.freed(slot, due_ms * MS, true), Next::Wait);
    }
    // Due at 4 ms, and at 5 ms, which is the end.
    assert_eq!(dispatcher.unsent(5 * MS + 200_000), 1);
}
