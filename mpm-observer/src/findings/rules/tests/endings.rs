//! Processes that were ended.

use loadgen::Outcome;

use super::{BEGIN_NS, MadeUp, SECOND, STOP_NS, clean_rows, contains, failed, prefork};
use crate::{
    findings::Change,
    recording::{CgroupCounts, FailureKind, FailureRow, Purpose, TaskRow},
    report::made_up::rows::of_live_server,
    scenario::Mpm,
};

const KILL: u8 = 9;
const ABRT: u8 = 6;
const SEGV: u8 = 11;
const TERM: u8 = 15;

/// prefork with ten children, of which some ended by a signal two seconds into the load.
fn ended(victims: usize, signal: u8) -> MadeUp {
    let mut rows = clean_rows(Mpm::Prefork);
    rows.client
        .push(failed(50_000, 2, Outcome::ResetBeforeFirstByte, 0));
    let mut made_up = MadeUp::of(rows);
    made_up.run.ends = prefork(10);
    for row in &mut made_up.run.ends[1..=victims] {
        row.exited_ns = BEGIN_NS + 2 * SECOND + SECOND / 2;
        row.exit_signal = signal;
    }
    made_up
}

fn about(kind: FailureKind, victim: &TaskRow) -> FailureRow {
    FailureRow {
        t_ns: victim.exited_ns - 1000,
        kind,
        tid: victim.tid,
        pid: victim.pid,
        role: victim.role.clone(),
        signal: victim.exit_signal,
        ..FailureRow::default()
    }
}

/// Children that the kernel killed for want of memory.
fn out_of_memory(victims: usize) -> MadeUp {
    let made_up = ended(victims, KILL);
    let rows: Vec<FailureRow> = made_up.run.ends[1..=victims]
        .iter()
        .flat_map(|victim| {
            let kill = FailureRow {
                cgroup_memory_limit: Some(16_000_000),
                cgroup_memory: Some(16_000_000),
                ..about(FailureKind::OomKill, victim)
            };
            [kill, about(FailureKind::Signal, victim)]
        })
        .collect();
    made_up.with_failures(rows)
}

#[test]
fn what_the_lab_ends_after_the_parent_is_no_kill_of_its_own() {
    let mut made_up = out_of_memory(4);
    // The kernel chose the parent too; then the guard ended the rest.
    for (place, row) in made_up.run.ends.iter_mut().enumerate() {
        let after_ns = match place {
            0 => 0,
            1..=4 => continue,
            _ => 1_000_000,
        };
        row.alive = false;
        row.exit_signal = KILL;
        row.exited_ns = BEGIN_NS + 3 * SECOND + after_ns;
    }
    let parent = FailureRow {
        cgroup_memory_limit: Some(16_000_000),
        cgroup_memory: Some(16_000_000),
        ..about(FailureKind::OomKill, &made_up.run.ends[0])
    };
    made_up.run.failures.push(parent);
    assert!(
        !made_up.found().contains(&"killed".to_owned()),
        "{:?}",
        made_up.found()
    );
}

#[test]
fn kills_for_want_of_memory_are_told_and_that_the_log_is_silent() {
    let made_up = out_of_memory(4);
    assert_eq!(made_up.found(), ["killed-for-memory"]);
    let finding = made_up.finding("killed-for-memory");
    assert_eq!(
        finding.sentence,
        "prefork: 4 children killed by the kernel (SIGKILL) for want of memory, the memory of the \
         control group being at 16.0 MB of 16.0 MB (memory.max): none of it in the error log; 1 of the 101 requests \
         failed: reset before the first byte."
    );
    // 1.6 MB for each of the ten that were there.
    assert_eq!(
        finding.remedies[0].change,
        Some(Change::MaxRequestWorkers(9))
    );
    contains(
        &finding.remedies[0].text,
        &["1.6 MB for each of the 10 slots"],
    );
}

/// A call that found the control group without memory.
fn without_memory(task: &TaskRow, call: &str) -> FailureRow {
    FailureRow {
        t_ns: BEGIN_NS + 2 * SECOND,
        call: call.into(),
        errno: 12,
        signal: 0,
        cgroup_memory_limit: Some(16_000_000),
        cgroup_memory: Some(15_990_000),
        ..about(FailureKind::Call, task)
    }
}

#[test]
fn calls_that_found_no_memory_belong_to_the_kills_beside_them() {
    let made_up = out_of_memory(2);
    let calls = [
        without_memory(&made_up.run.ends[1], "accept4"),
        without_memory(&made_up.run.ends[5], "accept4"),
        // The use was not read, but it is one of those that were killed.
        FailureRow {
            cgroup_memory: None,
            ..without_memory(&made_up.run.ends[2], "openat")
        },
    ];
    let made_up = made_up.with_failures(calls);
    assert_eq!(made_up.found(), ["killed-for-memory"]);
    contains(
        &made_up.finding("killed-for-memory").sentence,
        &[
            "2 children killed by the kernel (SIGKILL)",
            "3 calls refused besides (accept4 with ENOMEM (2) and openat with ENOMEM (1))",
        ],
    );
}

#[test]
fn calls_that_found_no_memory_are_told_where_nobody_was_killed() {
    let made_up = MadeUp::clean(Mpm::Prefork);
    let call = without_memory(&prefork(1)[1], "accept4");
    let made_up = made_up.with_failures([call]);
    assert_eq!(made_up.found(), ["memory-of-the-cgroup"]);
    contains(
        &made_up.finding("memory-of-the-cgroup").sentence,
        &[
            "accept4 by a child failed with ENOMEM once",
            "at 16.0 MB of 16.0 MB of memory of the control group (memory.max)",
            "no request failed",
        ],
    );
}

#[test]
fn a_log_that_tells_of_the_kill_is_not_called_silent() {
    let made_up = out_of_memory(1).logged(3, "AH00052: child pid 100 exit signal Killed (9)");
    let sentence = made_up.finding("killed-for-memory").sentence;
    contains(&sentence, &["1 child killed", "AH00052 in the error log"]);
    assert!(!sentence.contains("none of it"), "{sentence}");
}

#[test]
fn kills_that_were_counted_and_not_recorded_are_told_as_missing() {
    let mut made_up = out_of_memory(2);
    made_up.run.manifest.cgroup = Some(CgroupCounts {
        oom_kills: Some(5),
        ..CgroupCounts::default()
    });
    let missing = made_up.finding("killed-for-memory").missing;
    assert_eq!(missing, ["the control group counted 5 kills, 2 recorded"]);
    made_up.run.failures.clear();
    let finding = made_up.finding("killed-for-memory");
    contains(&finding.sentence, &["5 processes killed"]);
    contains(&finding.missing[0], &["no kill was recorded"]);
}

#[test]
fn a_kill_by_somebody_else_names_the_sender() {
    let made_up = ended(1, KILL);
    let signal = FailureRow {
        by_tid: 4242,
        ..about(FailureKind::Signal, &made_up.run.ends[1])
    };
    let made_up = made_up.with_failures([signal]);
    assert_eq!(made_up.found(), ["killed"]);
    contains(
        &made_up.finding("killed").sentence,
        &[
            "1 child ended by SIGKILL",
            "by task 4242, which is none of httpd's",
            "reset before",
        ],
    );
    let unknown = ended(1, KILL).finding("killed");
    assert_eq!(unknown.missing, ["who sent the signal was not recorded"]);
}

#[test]
fn what_the_lab_clears_away_after_the_parent_s_death_is_not_told_as_killed() {
    let mut made_up = ended(3, KILL);
    // The kernel chose the parent; then the lab ended what was left.
    made_up.run.ends[0].exited_ns = BEGIN_NS + 2 * SECOND;
    made_up.run.ends[0].exit_signal = KILL;
    let parent = FailureRow {
        cgroup_memory_limit: Some(16_000_000),
        cgroup_memory: Some(16_000_000),
        ..about(FailureKind::OomKill, &made_up.run.ends[0])
    };
    let left = made_up.run.ends[1..=3].iter().map(|victim| FailureRow {
        by_tid: 9,
        ..about(FailureKind::Signal, victim)
    });
    let rows: Vec<FailureRow> = left.chain([parent]).collect();
    let made_up = made_up.with_failures(rows);
    assert_eq!(made_up.found(), ["killed-for-memory"]);
    contains(
        &made_up.finding("killed-for-memory").sentence,
        &["1 parent killed", "httpd came up and then ended"],
    );
}

#[test]
fn a_crash_is_told_apart_from_a_kill() {
    let made_up = ended(2, SEGV).logged(3, "AH00051: child pid 100 exit signal Segmentation fault");
    assert_eq!(made_up.found(), ["crashed"]);
    contains(
        &made_up.finding("crashed").sentence,
        &["2 children ended by SIGSEGV", "AH00051 in the error log"],
    );
}

#[test]
fn an_httpd_that_came_up_and_ended_is_told_apart_from_one_that_did_not_start() {
    let mut made_up = ended(1, SEGV);
    made_up.run.ends[0].exited_ns = STOP_NS - SECOND;
    let sentence = made_up.finding("crashed").sentence;
    contains(&sentence, &["httpd came up and then ended"]);
    assert_eq!(made_up.found(), ["crashed"]);
}

#[test]
fn processes_that_aborted_for_want_of_memory_belong_to_the_limit() {
    let made_up = ended(3, ABRT);
    let refused: Vec<FailureRow> = made_up.run.ends[1..=3]
        .iter()
        .map(|victim| FailureRow {
            call: "brk".into(),
            purpose: Purpose::Heap,
            errno: 12,
            bytes: 135_168,
            address_space_limit: Some(6_000_000),
            address_space: Some(5_900_000),
            ..about(FailureKind::Call, victim)
        })
        .collect();
    let made_up = made_up.with_failures(refused);
    assert_eq!(made_up.found(), ["address-space"]);
    contains(
        &made_up.finding("address-space").sentence,
        &[
            "brk of the heap (135,168 B) by a child failed with ENOMEM 3 times",
            "3 processes aborted",
        ],
    );
}

#[test]
fn children_that_the_parent_has_no_need_of_are_no_failure() {
    let mut made_up = ended(3, TERM);
    made_up.run.client.retain(|row| row.is_ok());
    assert_eq!(made_up.found(), [] as [&str; 0]);
}

#[test]
fn a_crash_after_the_order_to_stop_is_of_its_own_kind_and_weighs_little() {
    let mut made_up = MadeUp::clean(Mpm::Prefork);
    made_up.run.ends = prefork(3);
    made_up.run.ends[1].exit_signal = SEGV;
    made_up.run.ends[1].exited_ns = STOP_NS + SECOND;
    let fork = FailureRow {
        t_ns: STOP_NS + 10,
        call: "clone".into(),
        errno: 11,
        ..FailureRow::default()
    };
    let made_up = made_up.with_failures([fork]);
    assert_eq!(made_up.found(), ["crashed-while-stopping"]);
    let finding = made_up.finding("crashed-while-stopping");
    contains(
        &finding.sentence,
        &[
            "while httpd was being stopped",
            "1 of 4 ended by SIGSEGV",
            "clone with EAGAIN",
        ],
    );
    assert!(finding.weight < 0.01);
}

/// A live httpd whose parent ended with this status, and one client that found nobody.
fn live_that_ended(status: u8, refused: bool) -> MadeUp {
    let mut rows = of_live_server(clean_rows(Mpm::Prefork));
    if refused {
        rows.client.push(failed(50_000, 2, Outcome::Refused, 0));
    }
    let mut made_up = MadeUp::of(rows);
    made_up.run.ends = prefork(2);
    for row in &mut made_up.run.ends {
        row.exited_ns = BEGIN_NS + 2 * SECOND;
        row.exit_status = if row.is_first { status } else { 0 };
    }
    made_up
}

#[test]
fn a_live_server_that_was_stopped_did_not_fail() {
    assert_eq!(live_that_ended(0, false).found(), [] as [&str; 0]);
    assert_eq!(
        live_that_ended(0, true).finding("unexplained").sentence,
        "prefork: 1 of the 1 request failed: connection refused. httpd was stopped in that time."
    );
}

#[test]
fn a_live_server_that_ended_with_an_error_did() {
    contains(
        &live_that_ended(1, false).finding("unexplained").sentence,
        &[
            "httpd ended while it was recorded",
            "No failure that would explain it",
        ],
    );
}
