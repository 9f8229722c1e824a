//! Refused calls.

use loadgen::Outcome;
use nix::errno::Errno;

use super::{BEGIN_NS, MadeUp, SECOND, clean_rows, contains, failed, prefork, task};
use crate::{
    findings::{Change, group},
    recording::{CgroupCounts, FailureRow, Purpose},
    scenario::{Mpm, Start},
};

/// A thread's stack that does not fit into the address space.
fn stack(after_s: u64) -> FailureRow {
    FailureRow {
        t_ns: BEGIN_NS + after_s * SECOND,
        tid: 101,
        pid: 100,
        uid: 65_534,
        role: "child".into(),
        call: "mmap".into(),
        purpose: Purpose::ThreadStack,
        errno: Errno::ENOMEM as u32,
        bytes: 8_392_704,
        address_space_limit: Some(512_000_000),
        address_space: Some(505_000_000),
        thread_stacks: 20,
        thread_stack_bytes: 20 * 8_392_704,
        malloc_arenas: 4,
        malloc_arena_bytes: 4 * 67_108_864,
        ..FailureRow::default()
    }
}

fn fork(uid: u32) -> FailureRow {
    FailureRow {
        t_ns: BEGIN_NS + SECOND,
        tid: 10,
        pid: 10,
        uid,
        role: "parent".into(),
        call: "clone".into(),
        purpose: Purpose::Process,
        errno: Errno::EAGAIN as u32,
        ..FailureRow::default()
    }
}

#[test]
fn a_start_at_the_limit_of_address_space_is_told_with_what_filled_it() {
    let made_up = MadeUp::not_started(Mpm::Worker)
        .with_failures([stack(1), stack(2)])
        .logged(
            1,
            "(11)Resource temporarily unavailable: AH03142: ap_thread_create: unable",
        )
        .logged(
            2,
            "AH02325: A resource shortage or other unrecoverable failure",
        )
        .logged(2, "AH00161: of something else");
    assert_eq!(made_up.found(), ["address-space"]);
    let finding = made_up.finding("address-space");
    assert_eq!(
        finding.sentence,
        "worker: mmap of a thread's stack (8,392,704 B) by a starting child failed with ENOMEM 2 \
         times, at 505.0 MB of 512.0 MB of address space (ulimit -v 500000), of which 20 thread \
         stacks 167.9 MB, 4 malloc arenas 268.4 MB, the rest 68.7 MB: httpd did not start; 100 of \
         the 100 requests failed: connection refused; AH03142 and AH02325 in the error log."
    );
    assert_eq!(finding.weight, 1.0);
    assert_eq!(finding.missing, [] as [&str; 0]);
    let tables: Vec<(&str, u64)> = finding
        .evidence
        .iter()
        .map(|evidence| (evidence.table.as_str(), evidence.rows))
        .collect();
    assert_eq!(
        tables,
        [("failures", 2), ("error.log", 2), ("client_requests", 100)]
    );
    let changes: Vec<Option<&Change>> = finding
        .remedies
        .iter()
        .map(|one| one.change.as_ref())
        .collect();
    assert!(
        matches!(changes[0], Some(Change::Environment { name, .. }) if name == "MALLOC_ARENA_MAX"),
        "{changes:?}"
    );
    assert!(
        changes.contains(&Some(&Change::Directive("ThreadStackSize 1048576".into()))),
        "{changes:?}"
    );
    // 27 stacks of 8 MiB and 27 arenas: far more than the limit.
    assert!(
        matches!(changes.last(), Some(Some(Change::Limit { key, value: Some(kib) }))
            if key == "address_space_kb" && *kib > 2_000_000),
        "{changes:?}"
    );
}

#[test]
fn a_start_that_the_end_of_the_run_cut_off_is_not_called_the_start_s_result() {
    let mut made_up = MadeUp::clean(Mpm::Event).with_failures([stack(1)]);
    let server = &mut made_up.run.manifest.plan_mut().unwrap().server;
    (server.start, server.max_request_workers) = (Start::Cold, 50);
    server.threads_per_child = 25;
    let child = |pid: u32, threads: u32| {
        let workers = (1..=threads).map(move |n| task(pid + n, pid, "worker", 3));
        [task(pid, pid, "child", 2)].into_iter().chain(workers)
    };
    made_up.run.ends = vec![task(10, 10, "parent", 1)];
    made_up.run.ends.extend(child(200, 25));
    contains(
        &made_up.finding("address-space").sentence,
        &["httpd came up with 25 of 50 slots"],
    );
    made_up.run.ends.extend(child(300, 10));
    contains(
        &made_up.finding("address-space").sentence,
        &["httpd had 35 of 50 slots when the run ended"],
    );
    // glibc does without an arena: that keeps no slot away.
    made_up.run.failures[0].purpose = Purpose::MallocArena;
    contains(
        &made_up.finding("address-space").sentence,
        &["httpd came up whole and no request failed"],
    );
}

#[test]
fn arenas_that_were_refused_stand_behind_what_did_harm() {
    let arena = |after_s| FailureRow {
        purpose: Purpose::MallocArena,
        bytes: 134_217_728,
        ..stack(after_s)
    };
    let made_up = MadeUp::not_started(Mpm::Event).with_failures([arena(1), arena(1), stack(2)]);
    contains(
        &made_up.finding("address-space").sentence,
        &[
            "event: mmap of a thread's stack (8,392,704 B) by a starting child failed with ENOMEM \
             once (beside 2 refused malloc arenas that glibc does without), at 505.0 MB",
        ],
    );
    // Nothing else failed: then it is what there is to tell.
    let only = MadeUp::clean(Mpm::Event).with_failures([arena(1)]);
    contains(
        &only.finding("address-space").sentence,
        &[
            "mmap of a malloc arena (134,217,728 B)",
            "no request failed",
        ],
    );
}

#[test]
fn arenas_are_not_recommended_away_where_that_would_not_do() {
    let narrow = FailureRow {
        address_space_limit: Some(150_000_000),
        address_space: Some(149_000_000),
        thread_stacks: 8,
        thread_stack_bytes: 8 * 8_392_704,
        malloc_arenas: 1,
        malloc_arena_bytes: 67_108_864,
        ..stack(1)
    };
    let finding = MadeUp::not_started(Mpm::Event)
        .with_failures([narrow])
        .finding("address-space");
    let texts: Vec<&str> = finding
        .remedies
        .iter()
        .map(|one| one.text.as_str())
        .collect();
    assert!(
        !texts.iter().any(|text| text.contains("ARENA")),
        "{texts:?}"
    );
}

#[test]
fn the_repetitions_of_a_race_become_one_finding() {
    let whole = MadeUp::clean(Mpm::Worker);
    let died = MadeUp::not_started(Mpm::Worker).with_failures([stack(1)]);
    let more = MadeUp::not_started(Mpm::Worker).with_failures([stack(1), stack(1), stack(1)]);
    let looks = [whole.look(), died.look(), more.look(), whole.look()];
    let group = group("Made up", &looks).unwrap();
    assert_eq!(group.findings.len(), 1);
    let finding = &group.findings[0];
    contains(
        &finding.sentence,
        &[
            "1 to 3 times a run, in 2 of 4 runs",
            "httpd did not start in 2 of 4 starts",
            "200 of the 200 requests of these runs failed",
        ],
    );
    assert_eq!(finding.weight, 0.5);
    assert_eq!((finding.runs.len(), finding.of_runs), (2, 4));
}

#[test]
fn private_memory_at_its_limit_is_not_taken_for_address_space() {
    let row = FailureRow {
        call: "mprotect".into(),
        address_space_limit: None,
        data_limit: Some(102_400_000),
        data: Some(100_000_000),
        ..stack(1)
    };
    let made_up = MadeUp::not_started(Mpm::Event).with_failures([row]);
    assert_eq!(made_up.found(), ["data"]);
    let finding = made_up.finding("data");
    contains(
        &finding.sentence,
        &[
            "mprotect of a thread's stack",
            "100.0 MB of 102.4 MB of private writable memory",
            "ulimit -d 100000",
        ],
    );
    let text = &finding.remedies[0].text;
    contains(text, &["ThreadStackSize"]);
}

#[test]
fn a_limit_whose_use_was_not_read_is_not_guessed_at() {
    let row = FailureRow {
        address_space: None,
        ..stack(1)
    };
    let made_up = MadeUp::not_started(Mpm::Event).with_failures([row]);
    assert_eq!(made_up.found(), ["other-failed-calls"]);
    let finding = made_up.finding("other-failed-calls");
    contains(
        &finding.sentence,
        &["mmap with ENOMEM", "httpd did not start"],
    );
    assert_eq!(finding.missing, ["the use of RLIMIT_AS was not read"]);
}

fn no_more_files(call: &str, errno: Errno) -> FailureRow {
    FailureRow {
        t_ns: BEGIN_NS + 5 * SECOND + 1000,
        role: "worker".into(),
        call: call.into(),
        purpose: Purpose::File,
        errno: errno as u32,
        open_files_limit: Some(24),
        open_files: Some(24),
        ..FailureRow::default()
    }
}

#[test]
fn files_at_their_limit_are_told_with_the_answers_that_clients_got() {
    let mut rows = clean_rows(Mpm::Worker);
    rows.client.push(failed(50_000, 5, Outcome::Non2xx, 403));
    // It was under way at another time.
    rows.client.push(failed(50_001, 9, Outcome::Non2xx, 403));
    let made_up = MadeUp::of(rows)
        .with_failures([no_more_files("openat", Errno::EMFILE)])
        .logged(
            5,
            "(24)Too many open files: [client 127.0.0.1:1] AH00132: file permissions deny",
        );
    assert_eq!(made_up.found(), ["open-files", "unexplained"]);
    let finding = made_up.finding("open-files");
    assert_eq!(
        finding.sentence,
        "worker: openat of a file by a worker failed with EMFILE once, at 24 of 24 open files \
         (ulimit -n): 1 of the 102 requests failed: answered with 403; AH00132 in the error log."
    );
    assert_eq!(
        finding.remedies[0].change,
        Some(Change::Limit {
            key: "open_files".into(),
            value: Some(74)
        })
    );
}

#[test]
fn an_httpd_that_refuses_after_it_came_up_has_ended() {
    let mut rows = clean_rows(Mpm::Worker);
    rows.client
        .extend([0, 1].map(|n| failed(50_000 + n, 9, Outcome::Refused, 0)));
    let made_up = MadeUp::of(rows)
        .with_failures([no_more_files("accept4", Errno::EMFILE)])
        .logged(
            6,
            "AH02325: A resource shortage or other unrecoverable failure",
        );
    assert_eq!(made_up.found(), ["open-files"]);
    contains(
        &made_up.finding("open-files").sentence,
        &[
            "httpd came up and then ended",
            "2 of the 102 requests failed: connection refused",
            "AH02325",
        ],
    );
}

#[test]
fn files_of_the_system_and_a_full_disk_are_told_apart() {
    let system = MadeUp::clean(Mpm::Event).with_failures([no_more_files("accept4", Errno::ENFILE)]);
    assert_eq!(system.found(), ["open-files-of-the-system"]);
    let disk = MadeUp::clean(Mpm::Event).with_failures([no_more_files("openat", Errno::ENOSPC)]);
    assert_eq!(disk.found(), ["disk-full"]);
    let told = MadeUp::clean(Mpm::Event).logged(
        1,
        "(28)No space left on device: AH00646: Error writing to access.log",
    );
    assert_eq!(told.found(), ["disk-full"]);
    assert_eq!(
        told.finding("disk-full").missing,
        ["the call that failed was not recorded"]
    );
}

#[test]
fn forks_at_pids_max_are_told_with_the_slots_that_came() {
    let mut rows = clean_rows(Mpm::Prefork);
    rows.manifest.plan_mut().unwrap().server.start = Start::Cold;
    rows.manifest.plan_mut().unwrap().limits.cgroup_tasks = Some(20);
    rows.manifest.cgroup = Some(CgroupCounts {
        pids_refused: Some(3),
        ..CgroupCounts::default()
    });
    let row = FailureRow {
        cgroup_tasks_limit: Some(20),
        cgroup_tasks: Some(20),
        ..fork(0)
    };
    let mut made_up = MadeUp::of(rows).with_failures([row.clone(), row]).logged(
        1,
        "(11)Resource temporarily unavailable: AH00159: fork: Unable to fork",
    );
    made_up.run.ends = prefork(19);
    assert_eq!(made_up.found(), ["tasks-of-the-cgroup"]);
    let finding = made_up.finding("tasks-of-the-cgroup");
    assert_eq!(
        finding.sentence,
        "prefork: clone of a process by the parent failed with EAGAIN 2 times, at 20 of 20 tasks \
         of the control group (pids.max): httpd came up with 19 of 75 slots; AH00159 in the error \
         log."
    );
    assert_eq!(
        finding.missing,
        ["the control group counted 1 more refused calls than were recorded"]
    );
    let changes: Vec<Option<Change>> = finding
        .remedies
        .iter()
        .map(|one| one.change.clone())
        .collect();
    assert_eq!(
        changes,
        [
            Some(Change::Limit {
                key: "cgroup_tasks".into(),
                value: Some(76)
            }),
            Some(Change::MaxRequestWorkers(19)),
        ]
    );
}

#[test]
fn refused_tasks_that_only_the_cgroup_counted_are_told_with_what_is_missing() {
    let mut rows = clean_rows(Mpm::Prefork);
    rows.manifest.plan_mut().unwrap().limits.cgroup_tasks = Some(20);
    rows.manifest.cgroup = Some(CgroupCounts {
        pids_refused: Some(3),
        ..CgroupCounts::default()
    });
    let finding = MadeUp::of(rows).finding("tasks-of-the-cgroup");
    contains(&finding.missing[0], &["no failed call was recorded"]);
    assert_eq!(finding.evidence[0].table, "manifest.json");
}

#[test]
fn forks_at_the_limit_of_a_user_name_the_user() {
    let row = FailureRow {
        processes_limit: Some(50),
        processes: Some(50),
        ..fork(65_534)
    };
    let mut made_up = MadeUp::clean(Mpm::Worker).with_failures([row]);
    made_up.run.ends = vec![task(10, 10, "parent", 1)];
    assert_eq!(made_up.found(), ["tasks-of-the-user"]);
    contains(
        &made_up.finding("tasks-of-the-user").sentence,
        &[
            "at 50 of 50 tasks of user 65534 (ulimit -u)",
            "httpd came up whole",
        ],
    );
}

#[test]
fn refused_tasks_with_neither_limit_reached_say_what_is_not_known() {
    let row = FailureRow {
        processes_limit: Some(50),
        processes: Some(40),
        ..fork(65_534)
    };
    let made_up = MadeUp::clean(Mpm::Worker).with_failures([row]);
    assert_eq!(made_up.found(), ["tasks-refused"]);
    contains(
        &made_up.finding("tasks-refused").missing[0],
        &[
            "RLIMIT_NPROC was 50, with 40 in use",
            "pids.max was not limited",
            "threads-max",
        ],
    );
}

#[test]
fn two_failures_at_once_are_both_named() {
    let made_up = MadeUp::not_started(Mpm::Worker)
        .with_failures([stack(1), no_more_files("openat", Errno::EMFILE)]);
    let mut found = made_up.found();
    found.sort();
    assert_eq!(found, ["address-space", "open-files"]);
}

#[test]
fn an_httpd_that_was_given_up_with_fewer_slots_refused_nobody() {
    let mut made_up = MadeUp::not_started(Mpm::Event).with_failures([stack(1)]);
    made_up.run.manifest.start.slots = Some(25);
    assert_eq!(made_up.found(), ["address-space"]);
    let finding = made_up.finding("address-space");
    contains(&finding.sentence, &["httpd came up with 25 of 75 slots"]);
    assert!(
        !finding.sentence.contains("refused"),
        "{}",
        finding.sentence
    );
}
