//! The system calls of an observer, held against the unit's filter.

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use mpm_observer::{httpd::RuntimeDir, scenario::Mpm};
use nix::sys::signal::Signal;

use super::{
    follow::{wait_for_a_request, wait_until_followed},
    observer::{Observer, Step},
    unit::of_unit,
};
use crate::common::{GRACE, Place, have, small};

/// The calls of a group of systemd's, and of those in it.
fn calls_of(group: &str) -> BTreeSet<String> {
    let listed = Command::new("systemd-analyze")
        .args(["syscall-filter", "--no-pager", group])
        .output()
        .unwrap();
    assert!(listed.status.success(), "{group}");
    let text = String::from_utf8(listed.stdout).unwrap();
    let mut calls = BTreeSet::new();
    for line in text.lines().skip(1).map(str::trim) {
        if line.starts_with('@') {
            calls.extend(calls_of(line));
        } else if !line.is_empty() && !line.starts_with('#') {
            calls.insert(line.to_owned());
        }
    }
    calls
}

/// The calls in a summary of strace's.
fn counted(path: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(path).unwrap();
    let rows = text
        .lines()
        .skip_while(|line| !line.starts_with("---"))
        .skip(1);
    rows.take_while(|line| !line.starts_with("---"))
        .filter_map(|line| line.split_whitespace().last().map(str::to_owned))
        .collect()
}

#[test]
fn an_observer_makes_no_system_call_that_the_unit_forbids() {
    let works = |program: &str| Command::new(program).arg("--version").output().is_ok();
    if !have("root", nix::unistd::geteuid().is_root())
        || !have("strace", works("strace"))
        || !have("systemd-analyze", works("systemd-analyze"))
    {
        return;
    }
    let Some(place) = Place::new() else { return };
    let runtime = RuntimeDir::create_in(&place.base()).unwrap();
    let (httpd, _) = place.start(&runtime, &small(Mpm::Event, "warm", ""));
    let summary = place.dir.path().join("calls");
    let mut traced = Command::new("strace");
    traced
        // The observer stays the child that signals go to.
        .args([
            "--daemonize=grandchild",
            "--follow-forks",
            "--summary-only",
            "--output",
        ])
        .arg(&summary)
        .arg(std::env::current_exe().unwrap());
    let mut observer = Observer::start_by(traced, place.dir.path());
    observer.wait_for("the begin", |step| *step == Step::Begin(httpd.pid()));
    wait_until_followed(&observer, &httpd);
    wait_for_a_request(&observer, &httpd);
    assert_eq!(observer.end(Signal::SIGTERM), Some(0));
    assert_eq!(httpd.stop(GRACE).unwrap().left, Vec::<u32>::new());

    // strace writes when the last thread has ended.
    crate::common::wait_until("strace has written", || {
        fs::read_to_string(&summary).is_ok_and(|text| text.trim_end().ends_with("total"))
    });
    let made = counted(&summary);
    assert!(made.contains("bpf") && made.contains("openat"), "{made:?}");
    let allowed: BTreeSet<String> = of_unit("SystemCallFilter")
        .into_iter()
        .flat_map(|word| match word.starts_with('@') {
            true => calls_of(&word),
            false => BTreeSet::from([word]),
        })
        .collect();
    let forbidden: Vec<&String> = made.difference(&allowed).collect();
    assert_eq!(forbidden, Vec::<&String>::new());
}
