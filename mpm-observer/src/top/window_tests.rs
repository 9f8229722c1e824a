use super::*;
use crate::top::made_up::{answered, look};

const SECOND_NS: u64 = 1_000_000_000;

#[test]
fn a_window_holds_the_last_seconds_and_no_more() {
    let mut window = Window::new(0, Some(10 * SECOND_NS));
    for second in 0..100 {
        window.request(second * SECOND_NS, &answered(second + 1));
    }
    let sum = window.sum(99 * SECOND_NS + 1);
    assert_eq!(sum.from_ns, 89 * SECOND_NS + SECOND_NS / 2);
    assert_eq!(sum.requests.answered, 10);
    assert_eq!(sum.requests.latency.spread(10).max_ns, 100);
    // Nobody asks anything more.
    let sum = window.sum(200 * SECOND_NS);
    assert_eq!(sum.requests.answered, 0);
}

#[test]
fn memory_is_bounded_whatever_the_rate_and_the_time() {
    let mut window = Window::new(0, Some(10 * SECOND_NS));
    for number in 0..200_000 {
        window.request(number * SECOND_NS / 100, &answered(number % 5_000 + 1));
    }
    assert!(window.panes.len() <= PANES as usize + 2);
}

#[test]
fn a_window_that_does_not_slide_holds_everything() {
    let mut window = Window::new(0, None);
    for second in 0..100 {
        window.request(second * SECOND_NS, &answered(7));
    }
    let sum = window.sum(200 * SECOND_NS);
    assert_eq!((sum.from_ns, sum.requests.answered), (0, 100));
}

#[test]
fn requests_without_an_answer_or_touched_by_a_loss_have_no_durations() {
    let mut window = Window::new(0, None);
    let unanswered = RequestRecord {
        sends: 0,
        last_send_ns: 0,
        ..answered(9)
    };
    let touched = RequestRecord {
        flags: RequestFlags::AFTER_LOSS,
        ..answered(9)
    };
    for request in [answered(9), unanswered, touched] {
        window.request(1, &request);
    }
    let requests = window.sum(2).requests;
    assert_eq!((requests.answered, requests.unanswered), (2, 1));
    assert_eq!((requests.touched, requests.measured()), (1, 1));
    assert_eq!(requests.latency.count(), 1);
}

#[test]
fn what_was_served_while_the_probes_were_attached_is_not_called_unanswered() {
    let mut window = Window::new(SECOND_NS, None);
    let unread = |established_ns| RequestRecord {
        established_ns,
        pickup_ns: 0,
        sends: 0,
        ..answered(9)
    };
    // One of a connection that stood has no such time.
    for request in [unread(0), unread(SECOND_NS - 1), unread(SECOND_NS)] {
        window.request(2 * SECOND_NS, &request);
    }
    assert_eq!(window.sum(2 * SECOND_NS).requests.unanswered, 1);
}

#[test]
fn the_wait_in_the_accept_queue_is_that_of_first_requests() {
    let mut window = Window::new(0, None);
    let first = RequestRecord {
        queued_ns: 100,
        accepted_ns: 400,
        ..answered(9)
    };
    let later = RequestRecord {
        ordinal: 1,
        ..first
    };
    window.request(1, &first);
    window.request(1, &later);
    let requests = window.sum(2).requests;
    assert_eq!(requests.queued, 1);
    assert_eq!(requests.queue_wait.spread(1).max_ns, 300);
}

#[test]
fn phases_sum_to_the_servers_part() {
    let mut window = Window::new(0, None);
    window.request(1, &answered(500));
    let requests = window.sum(2).requests;
    let sum_ns: u64 = requests.phases().map(|(_, sum_ns, _)| sum_ns).sum();
    assert_eq!((sum_ns, requests.latency.sum_ns()), (500, 500));
}

/// Slots of no state.
const NONE: [u32; SlotState::ALL.len()] = [0; SlotState::ALL.len()];

fn picked_up(requests: u64) -> Work {
    Work {
        requests,
        ..Work::default()
    }
}

#[test]
fn what_stands_is_counted_from_the_begin_of_the_window() {
    let mut window = Window::new(0, Some(10 * SECOND_NS));
    for second in 1..=30 {
        let mut look = look(second * SECOND_NS, Vec::new());
        look.counters.conns_established = 3 * second;
        look.effort.cpu_ns = second * 1_000;
        window.look(&look, &NONE, &picked_up(7));
    }
    let sum = window.sum(30 * SECOND_NS);
    assert_eq!(sum.from_ns, 20 * SECOND_NS);
    // From the look at 19 s to the one at 30 s.
    assert_eq!((sum.looks.count, sum.covered_ns), (11, 11 * SECOND_NS));
    assert_eq!(sum.came.established, 3 * 11);
    assert_eq!(sum.came.observer_cpu_ns, 11 * 1_000);
    assert_eq!(sum.came.work.requests, 7 * 11);
}

/// A look comes every 1.05 s, and 200 requests a second, of which every tenth ends its task.
fn at_200_a_second(length_ns: u64, mut at: impl FnMut(u64, Sum)) {
    const STEP_NS: u64 = 1_050_000_000;
    const PER_STEP: u64 = 210;
    let mut window = Window::new(SECOND_NS, Some(length_ns));
    for number in 0..40 {
        let looked_ns = SECOND_NS + 20_000_000 + number * STEP_NS;
        // What was served before the first look is in it, of unknown begin.
        let served = if number == 0 { 33 } else { PER_STEP };
        window.ended(&picked_up(served / 10));
        let work = picked_up(served - served / 10);
        window.look(&look(looked_ns, Vec::new()), &NONE, &work);
        // The screen is drawn at any time between two looks.
        for ms in [0, 10, 333, 500, 997, 1_049] {
            let now_ns = looked_ns + ms * 1_000_000;
            window.request(now_ns, &answered(9));
            if ms == 500 {
                window.ended(&picked_up(10));
            }
            let sum = window.sum(now_ns);
            if number > 0 {
                at(now_ns - SECOND_NS, sum);
            }
        }
        // It is told with the next look.
        window.ended = Work::default();
    }
}

#[test]
fn a_rate_is_that_of_the_time_between_looks_whatever_the_window_and_the_moment() {
    for length_ms in [100, 1_000, 2_000, 3_000, 10_000] {
        let length_ns = length_ms * 1_000_000;
        let mut moments = 0;
        at_200_a_second(length_ns, |passed_ns, sum| {
            let rate = sum.came.work.requests as f64 / (sum.covered_ns as f64 / 1e9);
            assert!((rate - 200.0).abs() < 1e-6, "{length_ms} ms: {rate}");
            assert!(sum.covered_ns <= passed_ns);
            // A look more than fits, and those before a pane that has begun before the window.
            assert!(sum.covered_ns < length_ns + 2_200_000_000, "{sum:?}");
            assert!(sum.looks.count > 0);
            moments += 1;
        });
        assert_eq!(moments, 39 * 6);
    }
}

#[test]
fn the_length_of_a_window_is_never_more_than_was_asked_for() {
    let length_ns = 10 * SECOND_NS;
    let mut longest_ns = 0;
    at_200_a_second(length_ns, |passed_ns, sum| {
        let shown_ns = passed_ns + SECOND_NS - sum.from_ns;
        assert!(shown_ns <= length_ns, "{shown_ns}");
        assert!(shown_ns >= passed_ns.min(length_ns - length_ns / PANES));
        longest_ns = longest_ns.max(shown_ns);
    });
    assert!(longest_ns > length_ns - length_ns / PANES, "{longest_ns}");
}

#[test]
fn a_window_shorter_than_the_time_between_looks_shows_the_last_one() {
    let mut window = Window::new(0, Some(SECOND_NS / 10));
    let mut slots = NONE;
    slots[SlotState::Sending as usize] = 3;
    for second in 1..=3 {
        window.look(&look(second * SECOND_NS, Vec::new()), &slots, &picked_up(5));
    }
    let sum = window.sum(3 * SECOND_NS + SECOND_NS / 2);
    assert!((sum.looks.mean(SlotState::Sending) - 3.0).abs() < 1e-9);
    assert_eq!(
        (sum.came.work.requests, sum.covered_ns),
        (5, SECOND_NS),
        "between the last two looks"
    );
}

#[test]
fn a_task_that_ends_counts_with_the_look_after_it_and_after_the_last_one_too() {
    for length_ns in [None, Some(10 * SECOND_NS)] {
        let mut window = Window::new(0, length_ns);
        window.look(&look(SECOND_NS, Vec::new()), &NONE, &picked_up(0));
        window.ended(&picked_up(4));
        window.look(&look(2 * SECOND_NS, Vec::new()), &NONE, &picked_up(6));
        window.ended(&picked_up(1));
        // On a screen it would count to the second before it.
        let expected = if length_ns.is_none() { 11 } else { 10 };
        let sum = window.sum(2 * SECOND_NS);
        assert_eq!(sum.came.work.requests, expected);
        assert_eq!(sum.covered_ns, SECOND_NS);
    }
}

#[test]
fn after_the_end_rates_fall_to_nothing() {
    let mut window = Window::new(0, Some(10 * SECOND_NS));
    for second in 1..=20 {
        window.look(&look(second * SECOND_NS, Vec::new()), &NONE, &picked_up(10));
    }
    window.end();
    let sum = window.sum(25 * SECOND_NS);
    assert_eq!(sum.covered_ns, 11 * SECOND_NS);
    assert_eq!(sum.came.work.requests, 60);
    let sum = window.sum(60 * SECOND_NS);
    assert_eq!((sum.came.work.requests, sum.looks.count), (0, 0));
}
