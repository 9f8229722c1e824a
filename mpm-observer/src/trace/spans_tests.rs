use mpm_observer_common::{BlockedIn, TraceEvent, TraceKind, WakeContext};

use super::{Span, State, TaskSpans, Wake, task_spans};
use crate::recording::TraceWindow;

const TID: u32 = 7;
const WINDOW: TraceWindow = TraceWindow {
    from_ns: 100,
    until_ns: 1_000,
};
const FUTEX: i32 = BlockedIn::Futex as i32;
const IN_FUTEX: State = State::Blocked(BlockedIn::Futex);

/// An event of the task at a time, with a value.
fn event(time_ns: u64, kind: TraceKind, value: i32) -> TraceEvent {
    TraceEvent {
        event: kind as u32,
        time_ns,
        pid: TID,
        other: 99,
        value,
        ..TraceEvent::default()
    }
}

fn wake(time_ns: u64) -> TraceEvent {
    event(time_ns, TraceKind::Wake, WakeContext::Network as i32)
}

fn switch_in(time_ns: u64) -> TraceEvent {
    event(time_ns, TraceKind::SwitchIn, 0)
}

fn block(time_ns: u64) -> TraceEvent {
    event(time_ns, TraceKind::Block, FUTEX)
}

fn preempt(time_ns: u64) -> TraceEvent {
    event(time_ns, TraceKind::Preempt, 0)
}

/// The tasks of these events; each is without gap and overlap.
fn tasks(events: &[TraceEvent]) -> Vec<TaskSpans> {
    let tasks = task_spans(events, WINDOW);
    for task in &tasks {
        let mut at_ns = task.from_ns;
        for span in &task.spans {
            assert_eq!(span.from_ns, at_ns, "{task:?}");
            assert!(span.to_ns > span.from_ns, "{task:?}");
            at_ns = span.to_ns;
        }
        assert_eq!(at_ns, task.to_ns, "{task:?}");
    }
    tasks
}

/// The only task's states with their ends.
fn states(events: &[TraceEvent]) -> Vec<(u64, State)> {
    let tasks = tasks(events);
    assert_eq!(tasks.len(), 1, "{tasks:?}");
    let end = |span: &Span| (span.to_ns, span.state);
    tasks[0].spans.iter().map(end).collect()
}

#[test]
fn a_wait_is_split_at_its_wake_up_and_knows_who_ended_it() {
    let events = [switch_in(200), block(300), wake(400), switch_in(450)];
    assert_eq!(
        states(&events),
        [
            (200, State::Unknown),
            (300, State::OnCpu),
            (400, IN_FUTEX),
            (450, State::Woken),
            (1_000, State::OnCpu),
        ]
    );
    let task = &tasks(&events)[0];
    assert_eq!(
        task.spans[2].wake,
        Some(Wake {
            at_ns: 400,
            by: 99,
            context: WakeContext::Network,
        })
    );
    assert_eq!((task.missing, task.time_ns(IN_FUTEX)), (0, 100));
}

#[test]
fn before_its_first_event_a_task_is_unknown_even_if_it_was_then_woken() {
    assert_eq!(
        states(&[wake(300), switch_in(350)]),
        [
            (300, State::Unknown),
            (350, State::Woken),
            (1_000, State::OnCpu)
        ]
    );
    assert_eq!(
        states(&[block(300)]),
        [(300, State::Unknown), (1_000, IN_FUTEX)]
    );
}

#[test]
fn a_lost_wake_up_leaves_the_wait_whole_and_without_a_waker() {
    let events = [switch_in(100), block(300), switch_in(500), block(600)];
    assert_eq!(
        states(&events),
        [
            (300, State::OnCpu),
            (500, IN_FUTEX),
            (600, State::OnCpu),
            (1_000, IN_FUTEX)
        ]
    );
    let task = &tasks(&events)[0];
    assert_eq!((task.spans[1].wake, task.missing), (None, 1));
}

#[test]
fn a_wake_up_just_before_the_switch_ends_the_wait_at_once() {
    let events = [switch_in(100), wake(299), block(300), switch_in(320)];
    assert_eq!(
        states(&events),
        [
            (300, State::OnCpu),
            (320, State::Woken),
            (1_000, State::OnCpu)
        ]
    );
    assert_eq!(tasks(&events)[0].missing, 0);
}

#[test]
fn a_wake_up_just_before_the_first_switch_of_the_window_is_no_gap() {
    let events = [wake(200), block(210), wake(300), switch_in(320)];
    assert_eq!(
        states(&events),
        [
            (210, State::Unknown),
            (300, IN_FUTEX),
            (320, State::Woken),
            (1_000, State::OnCpu)
        ]
    );
    assert_eq!(tasks(&events)[0].missing, 0);
    // Later on it is one.
    let events = [block(150), wake(200), block(210)];
    assert_eq!(tasks(&events)[0].missing, 1);
}

#[test]
fn an_early_wake_up_that_was_for_something_else_does_not_shorten_the_wait() {
    let events = [
        switch_in(100),
        wake(200),
        block(300),
        wake(400),
        switch_in(420),
    ];
    assert_eq!(
        states(&events),
        [
            (300, State::OnCpu),
            (400, IN_FUTEX),
            (420, State::Woken),
            (1_000, State::OnCpu)
        ]
    );
    // Nor does one after which it worked on.
    let mut read = event(250, TraceKind::Read, 10);
    read.conn = 1;
    let events = [switch_in(100), wake(200), read, block(300), switch_in(500)];
    assert_eq!(
        states(&events),
        [(300, State::OnCpu), (500, IN_FUTEX), (1_000, State::OnCpu)]
    );
}

#[test]
fn preempted_while_waking_stays_preempted() {
    let events = [switch_in(100), preempt(300), wake(350), switch_in(400)];
    assert_eq!(
        states(&events),
        [
            (300, State::OnCpu),
            (400, State::Preempted),
            (1_000, State::OnCpu)
        ]
    );
    // A second wake-up of a task that waits for its CPU changes nothing either.
    let events = [block(200), wake(300), wake(350), switch_in(400)];
    assert_eq!(states(&events)[2], (400, State::Woken));
}

#[test]
fn exit_while_blocked_is_an_unseen_way_back() {
    let events = [switch_in(100), block(300), event(600, TraceKind::Exit, 0)];
    assert_eq!(
        states(&events),
        [(300, State::OnCpu), (600, State::Unknown)]
    );
    let task = &tasks(&events)[0];
    assert!(task.ended);
    assert_eq!((task.to_ns, task.missing), (600, 1));
}

#[test]
fn events_at_the_same_time_leave_no_empty_span() {
    let events = [
        switch_in(300),
        block(300),
        wake(300),
        switch_in(300),
        preempt(400),
        switch_in(400),
    ];
    assert_eq!(
        states(&events),
        [(300, State::Unknown), (1_000, State::OnCpu)]
    );
}

#[test]
fn a_missing_switch_out_or_in_is_unknown_from_the_last_certain_moment() {
    // It left its CPU at some time after the read at 250.
    let events = [
        switch_in(100),
        event(250, TraceKind::Read, 10),
        switch_in(500),
    ];
    assert_eq!(
        states(&events),
        [
            (250, State::OnCpu),
            (500, State::Unknown),
            (1_000, State::OnCpu)
        ]
    );
    assert_eq!(tasks(&events)[0].missing, 1);
    // It came to a CPU at some time before it blocked again.
    let events = [block(200), wake(300), block(500), wake(600)];
    assert_eq!(
        states(&events),
        [
            (200, State::Unknown),
            (300, IN_FUTEX),
            (500, State::Unknown),
            (600, IN_FUTEX),
            (1_000, State::Woken)
        ]
    );
    // A task that reads has a CPU.
    let events = [block(200), event(400, TraceKind::Read, 10)];
    assert_eq!(
        states(&events),
        [(400, State::Unknown), (1_000, State::OnCpu)]
    );
}

#[test]
fn a_thread_id_that_is_used_again_is_another_task() {
    let events = [
        switch_in(200),
        event(300, TraceKind::Exit, 0),
        event(500, TraceKind::NewTask, 0),
        switch_in(550),
    ];
    let both = tasks(&events);
    assert_eq!(both.len(), 2);
    assert_eq!((both[0].from_ns, both[0].to_ns), (100, 300));
    assert_eq!((both[1].from_ns, both[1].to_ns), (500, 1_000));
    assert!(both[1].made && !both[0].made);
    assert_eq!(both[1].spans[0].state, State::Woken);

    // The end of the first is missing: when it was is not known.
    let events = [
        switch_in(200),
        event(300, TraceKind::Read, 10),
        event(500, TraceKind::NewTask, 0),
        switch_in(550),
    ];
    let both = tasks(&events);
    assert_eq!(both.len(), 2);
    let states: Vec<_> = both[0].spans.iter().map(|s| (s.to_ns, s.state)).collect();
    assert_eq!(
        states,
        [
            (200, State::Unknown),
            (300, State::OnCpu),
            (500, State::Unknown)
        ]
    );

    // The making of the second is missing.
    let events = [
        switch_in(200),
        event(300, TraceKind::Exit, 0),
        switch_in(550),
    ];
    let both = tasks(&events);
    assert_eq!(both.len(), 2);
    assert_eq!((both[1].from_ns, both[1].made), (550, false));
}
