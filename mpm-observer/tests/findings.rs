//! That each limit which httpd really runs into is named, by its own finding and in its words, and
//! that nothing is found where nothing failed.

mod common;

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    process::{Command, Output, Stdio},
    sync::{Mutex, PoisonError},
};

use common::PROGRAM;
use mpm_observer::{
    correlate::load_run,
    findings::{Compared, Group, RunEvidence, group, look, rules::RULES},
    recording::{Experiment, RunDir},
    scenario::{Mpm, Scenario, Set, builtin, of_set},
};

/// These runs use all CPUs, so that two at once would be two loads at once.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn run(program: &mut Command) -> Output {
    let output = {
        let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        program.stdin(Stdio::null()).output().unwrap()
    };
    assert!(
        output.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// What was found in each run of an experiment.
fn found(out: &Path) -> Vec<Group> {
    let experiment = Experiment::read(out).unwrap();
    assert_eq!(experiment.skipped.len(), 0, "{:?}", experiment.skipped);
    let runs = experiment.runs.iter().map(|name| {
        let dir = RunDir::of(out, name);
        let run = load_run(&dir).unwrap();
        group("Test", &[look(&RunEvidence::read(&dir, name, &run))]).unwrap()
    });
    let runs: Vec<Group> = runs.collect();
    let mpms: BTreeSet<Mpm> = runs.iter().map(|run| run.mpm).collect();
    assert_eq!(mpms.len(), runs.len());
    for run in &runs {
        assert_eq!(run.blind, [] as [&str; 0], "{}", run.mpm);
    }
    runs
}

/// How often a scenario is run on a machine whose stalls bring further findings: a connection that
/// waits for a second while the slots are taken is one, whatever it waited for. A wrong rule finds
/// something each time.
const TRIES: u32 = 3;

/// Runs a scenario once with each MPM, and holds what was found against what its file expects.
fn is_named(name: &str) {
    let scenario: Scenario = of_set(Set::Limits)
        .into_iter()
        .find(|one| one.name == name)
        .unwrap();
    let Some(place) = common::dir_of_lab() else {
        return;
    };
    for number in 1..=TRIES {
        let out = place.path().join(format!("out-{number}"));
        run(Command::new(PROGRAM)
            .args(["__bench", "limits", "--tries", "1", "--scenario", name])
            .arg("--out")
            .arg(&out)
            .current_dir(place.path()));
        let groups = found(&out);
        assert_eq!(groups.len(), scenario.server.mpms.len());
        let mut others = Vec::new();
        for found in &groups {
            let compared = Compared::new(&scenario, found.mpm, found);
            let expected = scenario.findings.iter();
            let expected = expected.filter(|finding| finding.mpms.contains(&found.mpm));
            assert_eq!(compared.expected.len(), expected.count());
            let told = format!("{name}, {}: {compared:#?}", found.mpm);
            assert!(compared.is_named(), "{told}");
            // A failure leads to others, such as a death while httpd stops.
            if !compared.is_alone() && compared.expected.is_empty() {
                others.push(told);
            }
        }
        if others.is_empty() {
            return;
        }
        assert!(number < TRIES, "{others:#?}");
    }
}

macro_rules! limits {
    ($($test:ident $scenario:literal)*) => {
        $(
            #[test]
            fn $test() {
                is_named($scenario);
            }
        )*

        const TESTED: &[&str] = &[$($scenario),*];
    };
}

limits! {
    address_space_is_named "address-space"
    data_is_named "data"
    refused_arenas_are_named_though_they_harm_nobody "stack"
    open_files_are_named "open-files"
    tasks_of_a_user_are_named_where_root_starts_httpd "tasks-user-root"
    tasks_of_a_user_are_named_where_the_user_starts_httpd "tasks-user"
    tasks_of_a_control_group_are_named "tasks-cgroup"
    memory_of_a_control_group_is_named "memory-cgroup"
    a_full_accept_queue_is_named "backlog"
    too_few_slots_are_named "slots"
    half_heads_in_the_slots_are_named "half-header"
    idle_connections_in_the_slots_are_named "idle-keep-alive"
    slow_readers_in_the_slots_are_named "slow-reader"
    slow_readers_are_named_without_mapped_files "slow-reader-no-mmap"
    slow_readers_are_named_with_sendfile "slow-reader-sendfile"
    the_fork_ramp_of_a_cold_start_is_named "cold-start"
    two_limits_at_once_are_both_named "two-limits"
}

#[test]
fn each_limit_of_the_catalogue_is_tested_here() {
    let all: Vec<String> = of_set(Set::Limits)
        .into_iter()
        .map(|one| one.name)
        .collect();
    assert_eq!(all, TESTED);
}

#[test]
fn each_expected_finding_is_one_that_a_rule_can_find_and_says_something() {
    let mut expected_of_a_limit = 0;
    for scenario in builtin() {
        let mut known = BTreeSet::new();
        for expected in &scenario.findings {
            let rule = RULES.iter().find(|rule| rule.name == expected.rule);
            assert!(rule.is_some(), "{}: {}", scenario.name, expected.rule);
            assert!(!expected.says.is_empty(), "{}", scenario.name);
            for mpm in &expected.mpms {
                let runs = scenario.server.mpms.contains(mpm);
                assert!(runs, "{}: {mpm}", scenario.name);
                let first = known.insert((*mpm, expected.rule.clone()));
                assert!(first, "{}: {mpm}: {} twice", scenario.name, expected.rule);
            }
            expected_of_a_limit += 1;
        }
    }
    assert!(expected_of_a_limit > 0);
    for scenario in of_set(Set::Limits) {
        assert!(!scenario.findings.is_empty(), "{}", scenario.name);
    }
}

#[test]
fn nothing_is_found_where_nothing_failed() {
    let Some(place) = common::dir_of_lab() else {
        return;
    };
    let scenario = place.path().join("clean.toml");
    let sizes = "{ requests = 3000, concurrency = 8 }";
    let text = format!(
        "name = \"clean\"\ntitle = \"Clean\"\nwhat = \"A load within the slots.\"\n\
         [load]\nkeep_alive = true\n\
         [size]\nfull = {sizes}\nquick = {sizes}\n\
         [server]\nmax_request_workers = 50\n"
    );
    fs::write(&scenario, text).unwrap();
    let out = place.path().join("out");
    run(Command::new(PROGRAM)
        .args(["lab", "--repetitions", "1", "--no-overhead", "--scenario"])
        .arg(&scenario)
        .arg("--out")
        .arg(&out)
        .current_dir(place.path()));
    let groups = found(&out);
    assert_eq!(groups.len(), 3);
    for found in &groups {
        let findings = &found.findings;
        assert!(findings.is_empty(), "{}: {findings:#?}", found.mpm);
    }
}
