//! Tasks that come and go, made up.

use super::*;
use crate::metrics::tests::{task, written};

const FIRST: u32 = 100;

fn totals(on_cpu_s: u64) -> TaskTotals {
    let mut totals = TaskTotals::default();
    totals.sched.on_cpu_ns = on_cpu_s * 1_000_000_000;
    totals
}

fn child(pid: u32, on_cpu_s: u64) -> TaskRecord {
    TaskRecord {
        pid,
        tgid: pid,
        parent_tgid: FIRST,
        created_ns: u64::from(pid),
        totals: totals(on_cpu_s),
        ..TaskRecord::default()
    }
}

fn look(records: &[TaskRecord]) -> Look {
    let tasks = records.iter().map(|record| {
        let mut task = task(record.pid);
        (task.record, task.role) = (*record, Role::Child);
        task
    });
    Look {
        tasks: tasks.collect(),
        ..Look::default()
    }
}

fn tasks() -> Tasks {
    let mut tasks = Tasks::default();
    tasks.begin(Mpm::Prefork, FIRST);
    tasks
}

fn get(tasks: &Tasks, name: &str, labels: &[&str]) -> f64 {
    let exposition = written(|to| tasks.write(to));
    exposition.get(name, labels).unwrap_or(-1.0)
}

fn cpu_s(tasks: &Tasks) -> f64 {
    get(tasks, "httpd_task_cpu_seconds_total", &["child"])
}

#[test]
fn a_tasks_time_counts_once_whether_it_was_looked_at_or_not() {
    let mut tasks = tasks();
    tasks.look(&look(&[child(1, 2), child(2, 3)]));
    assert_eq!(cpu_s(&tasks), 5.0);
    tasks.count(&child(1, 4));
    assert_eq!(cpu_s(&tasks), 7.0);
    // It was still in the table when the next look read it.
    tasks.look(&look(&[child(1, 4), child(2, 3)]));
    tasks.look(&look(&[child(1, 4), child(2, 3)]));
    assert_eq!(cpu_s(&tasks), 7.0);
    // One that lived between two looks.
    tasks.count(&child(3, 1));
    assert_eq!(cpu_s(&tasks), 8.0);
    assert_eq!(get(&tasks, "httpd_children", &[]), 1.0);
}

#[test]
fn a_record_that_comes_after_the_task_was_missed_counts_the_rest_only() {
    let mut tasks = tasks();
    tasks.look(&look(&[child(1, 2)]));
    tasks.look(&look(&[]));
    tasks.count(&child(1, 5));
    assert_eq!(cpu_s(&tasks), 5.0);
}

#[test]
fn a_task_whose_record_was_lost_is_forgotten() {
    let mut tasks = tasks();
    tasks.look(&look(&[child(1, 2)]));
    for _ in 0..LOOKS_UNTIL_LOST {
        tasks.look(&look(&[]));
    }
    assert!(tasks.known.is_empty());
    assert_eq!(cpu_s(&tasks), 2.0);
}

#[test]
fn the_time_of_a_thread_stays_where_it_was_counted_when_its_role_shows() {
    let mut tasks = tasks();
    let mut looked = look(&[child(1, 2)]);
    looked.tasks[0].role = Role::Thread;
    tasks.look(&looked);
    let mut looked = look(&[child(1, 3)]);
    looked.tasks[0].role = Role::Worker;
    tasks.look(&looked);
    let of = |role| get(&tasks, "httpd_task_cpu_seconds_total", &[role]);
    assert_eq!((of("thread"), of("worker")), (2.0, 1.0));
}

#[test]
fn children_count_as_started_from_the_second_look_on() {
    let mut tasks = tasks();
    tasks.look(&look(&[child(1, 0), child(2, 0)]));
    let started = |tasks: &Tasks| get(tasks, "httpd_children_started_total", &[]);
    assert_eq!(started(&tasks), 0.0);
    tasks.look(&look(&[child(1, 0), child(2, 0), child(3, 0)]));
    // A program that a child runs is none of the server's children.
    let program = TaskRecord {
        parent_tgid: 3,
        ..child(9, 0)
    };
    tasks.look(&look(&[child(3, 0), program]));
    assert_eq!(started(&tasks), 1.0);
    assert_eq!(get(&tasks, "httpd_children", &[]), 1.0);
    tasks.count(&child(4, 0));
    assert_eq!(started(&tasks), 2.0);
}

#[test]
fn a_program_of_a_piped_log_is_no_child_however_it_ends() {
    let mut tasks = tasks();
    let program = |pid| TaskRecord {
        flags: TaskFlags::OTHER_PROGRAM,
        exit_code: 1 << 8,
        ..child(pid, 0)
    };
    tasks.look(&look(&[child(1, 0)]));
    tasks.look(&look(&[child(1, 0), program(2)]));
    tasks.count(&program(2));
    tasks.count(&program(3));
    let of = |name, labels: &[&str]| get(&tasks, name, labels);
    assert_eq!(of("httpd_children", &[]), 1.0);
    assert_eq!(of("httpd_children_started_total", &[]), 0.0);
    assert_eq!(of("httpd_children_ended_total", &["error", ""]), 0.0);
    // Of one that no look has seen the role is known too.
    assert_eq!(tasks.by_role[index_of(Role::Helper)].alive, 0);
    tasks.count(&TaskRecord {
        totals: totals(3),
        ..program(4)
    });
    assert_eq!(
        get(&tasks, "httpd_task_cpu_seconds_total", &["helper"]),
        3.0
    );
}

#[test]
fn a_process_that_is_about_to_execute_another_program_is_no_started_child() {
    let mut tasks = tasks();
    tasks.look(&look(&[child(1, 0)]));
    tasks.look(&look(&[child(1, 0), child(2, 0), child(3, 0)]));
    let executed = TaskRecord {
        flags: TaskFlags::OTHER_PROGRAM,
        ..child(2, 0)
    };
    let started = |tasks: &Tasks| get(tasks, "httpd_children_started_total", &[]);
    for _ in 0..2 {
        tasks.look(&look(&[child(1, 0), executed, child(3, 0)]));
        assert_eq!(started(&tasks), 1.0);
    }
    tasks.count(&child(3, 0));
    assert_eq!(started(&tasks), 1.0);
    // One that ends after its first look has been a child.
    tasks.look(&look(&[child(1, 0), executed, child(4, 0)]));
    tasks.count(&child(4, 0));
    assert_eq!(started(&tasks), 2.0);
}

#[test]
fn the_ends_of_children_are_told_by_status_and_signal() {
    let mut tasks = tasks();
    for (pid, exit_code) in [(1, 0), (2, 1 << 8), (3, 11 | 0x80), (4, 9), (5, 9)] {
        tasks.count(&TaskRecord {
            exit_code,
            ..child(pid, 0)
        });
    }
    let thread = TaskRecord {
        flags: TaskFlags::THREAD,
        ..child(6, 0)
    };
    tasks.count(&thread);
    let ended = |how, signal| get(&tasks, "httpd_children_ended_total", &[how, signal]);
    assert_eq!(ended("ok", ""), 1.0);
    assert_eq!(ended("error", ""), 1.0);
    assert_eq!(ended("signal", "SIGSEGV"), 1.0);
    assert_eq!(ended("signal", "SIGKILL"), 2.0);
}

#[test]
fn faults_whose_kind_is_not_known_yet_never_go_down() {
    let mut tasks = tasks();
    let mut record = child(1, 0);
    let mut sum_and_other = |user, anonymous| {
        record.totals.faults_user = user;
        record.totals.faults_anon = anonymous;
        tasks.look(&look(&[record]));
        let of = |kind| get(&tasks, "httpd_page_faults_total", &["child", kind]);
        (of("anonymous"), of("other"))
    };
    assert_eq!(sum_and_other(5, 3), (3.0, 2.0));
    assert_eq!(sum_and_other(5, 4), (4.0, 2.0));
    assert_eq!(sum_and_other(9, 6), (6.0, 3.0));
}

#[test]
fn who_reads_a_request_is_a_child_a_worker_or_the_listener() {
    let mut tasks = tasks();
    assert_eq!(tasks.role_of_reader(7), Role::Child);
    tasks.begin(Mpm::Event, FIRST);
    let mut looked = look(&[child(7, 0)]);
    looked.tasks[0].role = Role::Listener;
    tasks.look(&looked);
    assert_eq!(tasks.role_of_reader(7), Role::Listener);
    assert_eq!(tasks.role_of_reader(8), Role::Worker);
}

#[test]
fn the_names_of_reasons_and_kinds_are_the_documented_ones() {
    assert_eq!(BLOCKED.labels[1].values, REASONS.join(", "));
    assert_eq!(ACCEPTS.labels[0].values, OUTCOMES.join(", "));
    assert_eq!(
        FAULTS.labels[1].values,
        format!("{}, other", FAULT_KINDS.join(", "))
    );
}
