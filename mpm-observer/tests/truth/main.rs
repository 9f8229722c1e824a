//! Injected truth: a real httpd does, within a request, a known thing for a known time, or has it
//! done to it, and the phase that should carry it is compared with what was measured at the spot.

#[path = "../common/mod.rs"]
mod common;

mod client;
mod hog;
mod inside;
mod module;
mod outside;
mod span;
mod stand;
mod stop;
mod table;
mod verdict;

use std::{thread, time::Duration};

use client::{Client, Exchange};
use mpm_observer::{correlate::Phase, recording::ClientRow, scenario::Mpm};
use span::Span;
use stand::Stand;
use verdict::{Truth, judge};

/// How often each thing is done …
const REPETITIONS: usize = 11;
/// … and one that takes most of a second.
const LONG_REPETITIONS: usize = 5;

/// A request and what is true of it.
struct Case {
    truth: Truth,
    row: ClientRow,
}

impl Case {
    /// One for others to be compared with.
    fn plain(what: &str, exchange: Exchange) -> Self {
        Self::new(what, "", exchange, Vec::new(), Vec::new())
    }

    /// One that costs what `plain` costs, and in which besides the phases of `carries` are so
    /// long. Those of `explains` may be longer by that.
    fn new(
        what: &str,
        plain: &'static str,
        exchange: Exchange,
        carries: Vec<(Phase, Span)>,
        mut explains: Vec<(Phase, u64)>,
    ) -> Self {
        explains.push((Phase::ToClient, exchange.without_cpu_ns));
        let what = what.to_owned();
        Self {
            truth: Truth {
                what,
                plain,
                carries,
                explains,
            },
            row: exchange.row,
        }
    }
}

/// Requests that do nothing, each after a while: one that follows at once finds the CPU's caches
/// warm, and costs a third.
fn nothing(client: &mut Client) -> Vec<Case> {
    (0..REPETITIONS)
        .map(|_| {
            thread::sleep(Duration::from_millis(30));
            Case::plain("nothing", client.get("/truth?do=nothing"))
        })
        .collect()
}

/// Does a thing `count` times. One that returns `None` came too late to be what it is meant to be,
/// as it may on a machine that stalls, and is done again.
fn repeat(count: usize, mut attempt: impl FnMut() -> Option<Case>) -> Vec<Case> {
    let mut cases = Vec::new();
    for _ in 0..20 * count {
        cases.extend(attempt());
        if cases.len() == count {
            return cases;
        }
    }
    panic!("only {} of {count} were in time", cases.len());
}

/// Ends httpd, and compares all requests with what is true of them.
fn settle(stand: Stand, cases: Vec<Case>) {
    let mpm = stand.mpm;
    let (truths, rows): (Vec<Truth>, Vec<ClientRow>) =
        cases.into_iter().map(|case| (case.truth, case.row)).unzip();
    let joined = stand.finish(&rows);
    for (truth, joined) in truths.iter().zip(&joined) {
        let residual_ns = joined.phases.residual_ns().unsigned_abs();
        let limit_ns = (joined.phases.wall_ns / 100).max(20_000);
        assert!(
            residual_ns <= limit_ns,
            "{mpm}, {}: {residual_ns} ns not accounted for: {joined:#?}",
            truth.what
        );
    }
    let phases = joined.iter().map(|joined| joined.phases);
    let judged: Vec<_> = truths.into_iter().zip(phases).collect();
    let (lines, strays) = judge(&judged);
    let wrong: Vec<_> = lines.iter().filter(|line| !line.holds()).cloned().collect();
    table::add(mpm, lines);
    assert!(wrong.is_empty(), "{mpm}: {wrong:#?}");
    assert!(strays.is_empty(), "{mpm}: {strays:#?}");
}

/// Tests under the name of each MPM.
macro_rules! for_each_mpm {
    ($($stage:ident::$name:ident)*) => {
        for_each_mpm!(@ truth_of_prefork Prefork $($stage::$name)*);
        for_each_mpm!(@ truth_of_worker Worker $($stage::$name)*);
        for_each_mpm!(@ truth_of_event Event $($stage::$name)*);
    };
    (@ $module:ident $mpm:ident $($stage:ident::$name:ident)*) => {
        mod $module {
            $(
                #[test]
                fn $name() {
                    crate::$stage::$name(crate::Mpm::$mpm);
                }
            )*
        }
    };
}

for_each_mpm! {
    inside::a_wait_is_in_the_phase_of_what_is_waited_for
    inside::a_cold_file_is_in_the_phase_of_its_reading
    inside::time_on_a_cpu_and_waiting_for_one_are_told_apart
    inside::a_woken_task_without_a_cpu_is_in_its_run_queue
    inside::a_stopped_process_is_in_the_phase_of_that
    inside::page_faults_of_a_request_are_those_of_its_task
    outside::a_slow_client_is_seen_as_that
    outside::a_slow_reader_is_seen_as_that
    outside::a_slow_reader_of_sendfile_is_seen_as_that
    outside::an_idle_time_between_requests_is_in_none
    outside::a_request_that_finds_all_slots_held_waits_in_the_accept_queue
    outside::a_request_behind_another_waits_for_its_worker
}
