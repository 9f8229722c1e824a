//! What the observer tells of itself.

use super::*;
use crate::{
    kernel::{Book, Missed},
    metrics::tests::written,
};

fn look(lost: u64, runs: u64) -> Look {
    let book = Book {
        what: "requests".into(),
        sent: 100,
        lost,
        ..Book::default()
    };
    Look {
        at_ns: 4_000_000_000,
        counters: Counters {
            books: vec![book],
            tasks_unfollowed: 2 * lost,
            missed: vec![Missed {
                program: "sched_switch".into(),
                runs: 7,
            }],
            ..Counters::default()
        },
        effort: Effort {
            programs: vec![ProgramRuns {
                program: "sched_switch".into(),
                runs,
                time_ns: runs * 500,
                missed: 7,
            }],
            ..Effort::default()
        },
        ..Look::default()
    }
}

fn exposition(observer: &Observer, now_ns: u64) -> Exposition {
    let (status, scrapes) = (Status::default(), ScrapeFigures::default());
    written(|to| observer.write(now_ns, &status, &scrapes, None, to))
}

#[test]
fn losses_and_runs_add_up_over_the_servers() {
    let mut observer = Observer::default();
    for (lost, runs) in [(3, 1000), (1, 500)] {
        observer.begin(Mpm::Event, 80.into(), 1_000_000_000);
        observer.look(&look(lost, runs));
        observer.look(&look(lost, runs));
        observer.end();
    }
    let exposition = exposition(&observer, 5_000_000_000);
    let lost = |kind| exposition.get("mpm_observer_events_lost_total", &[kind]);
    assert_eq!(
        (lost("request"), lost("task_unfollowed")),
        (Some(4.0), Some(8.0))
    );
    assert_eq!(lost("failure"), Some(0.0));
    let skipped = exposition.get("mpm_observer_program_runs_skipped_total", &[]);
    assert_eq!(skipped, Some(14.0));
    let of_program = |name| exposition.get(name, &["sched_switch"]);
    assert_eq!(of_program("mpm_observer_program_runs_total"), Some(1500.0));
    let seconds = of_program("mpm_observer_program_run_seconds_total");
    assert_eq!(seconds, Some(0.00075));
    let servers = exposition.get("mpm_observer_servers_watched_total", &[]);
    assert_eq!(servers, Some(2.0));
}

#[test]
fn what_was_lost_after_the_last_look_counts() {
    let mut observer = Observer::default();
    observer.begin(Mpm::Event, 80.into(), 1_000_000_000);
    observer.look(&look(3, 1000));
    let last = look(5, 1200);
    observer.counted(&last.counters, &last.effort);
    observer.end();
    let exposition = exposition(&observer, 5_000_000_000);
    let lost = exposition.get("mpm_observer_events_lost_total", &["request"]);
    assert_eq!(lost, Some(5.0));
    let runs = exposition.get("mpm_observer_program_runs_total", &["sched_switch"]);
    assert_eq!(runs, Some(1200.0));
}

#[test]
fn a_watched_server_is_told_with_its_mpm_and_since_when() {
    let mut observer = Observer::default();
    let nothing = exposition(&observer, 9_000_000_000);
    let get = |from: &Exposition, name| from.get(name, &[]);
    assert_eq!(get(&nothing, "mpm_observer_server_watched"), Some(0.0));
    assert_eq!(get(&nothing, "mpm_observer_attached_seconds"), Some(0.0));
    assert_eq!(get(&nothing, "mpm_observer_last_look_seconds"), None);
    observer.begin(Mpm::Worker, 8080.into(), 2_000_000_000);
    observer.look(&look(0, 0));
    let watched = exposition(&observer, 5_000_000_000);
    assert_eq!(get(&watched, "mpm_observer_server_watched"), Some(1.0));
    assert_eq!(get(&watched, "mpm_observer_attached_seconds"), Some(3.0));
    assert_eq!(get(&watched, "mpm_observer_last_look_seconds"), Some(1.0));
    let info = watched.get("mpm_observer_server_info", &["worker", "8080"]);
    assert_eq!(info, Some(1.0));
    // Programs whose runs are not counted are not told of.
    let run = ["overload", "worker", "2"];
    let lab_run = |of: &Exposition| of.get("mpm_observer_lab_run_info", &run);
    assert_eq!(lab_run(&watched), None);
    observer.lab_run(Some(("overload", 2)));
    assert_eq!(lab_run(&exposition(&observer, 5_000_000_000)), Some(1.0));
    let runs = watched.get("mpm_observer_program_runs_total", &["sched_switch"]);
    assert_eq!(runs, None);
}

#[test]
fn the_kinds_are_the_documented_ones() {
    assert_eq!(RECEIVED.labels[0].values, RECORDS.join(", "));
    assert_eq!(LOST.labels[0].values, LOSSES.join(", "));
}
