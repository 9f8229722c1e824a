//! With directories that look like hierarchies.

use super::{hierarchy::mount_line, *};

const LIMITS: Limits = Limits {
    address_space_kb: None,
    data_kb: None,
    stack_kb: None,
    open_files: None,
    processes: None,
    cgroup_tasks: Some(20),
    cgroup_memory_kb: Some(16_384),
};

/// A directory that looks like a hierarchy of version 2.
fn version_2() -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
    write("cgroup.controllers", "cpu memory pids\n");
    write("cgroup.subtree_control", "cpu memory pids\n");
    let mounts = mount_line(2, "rw", "/", dir.path());
    (dir, mounts)
}

fn version_1() -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let mount = |name: &str| {
        let path = dir.path().join(name);
        fs::create_dir(&path).unwrap();
        mount_line(1, &format!("rw,{name}"), "/", &path)
    };
    let mounts = mount("memory") + &mount("pids");
    (dir, mounts)
}

fn text(dir: &tempfile::TempDir, file: &str) -> String {
    fs::read_to_string(dir.path().join(file)).unwrap()
}

#[test]
fn version_2_has_one_directory_with_both_limits() {
    let (dir, mounts) = version_2();
    let run = RunCgroup::create_in(&mounts, "run", &LIMITS, true).unwrap();
    assert_eq!(run.groups().count(), 1);
    assert_eq!(text(&dir, "run/pids.max"), "20");
    assert_eq!(text(&dir, "run/memory.max"), "16777216");
    assert_eq!(text(&dir, "run/memory.swap.max"), "0");
    run.add(77).unwrap();
    assert_eq!(text(&dir, "run/cgroup.procs"), "77");
    assert_eq!(
        run.memory_file(),
        Some(dir.path().join("run/memory.current"))
    );
    assert_eq!(run.tasks_file(), Some(dir.path().join("run/pids.current")));
}

#[test]
fn version_1_has_a_directory_for_each_limit_and_bounds_swap_with_memory() {
    let (dir, mounts) = version_1();
    let run = RunCgroup::create_in(&mounts, "run", &LIMITS, true).unwrap();
    assert_eq!(run.groups().count(), 2);
    assert_eq!(text(&dir, "pids/run/pids.max"), "20");
    assert_eq!(text(&dir, "memory/run/memory.limit_in_bytes"), "16777216");
    assert_eq!(
        text(&dir, "memory/run/memory.memsw.limit_in_bytes"),
        "16777216"
    );
    run.add(77).unwrap();
    assert_eq!(text(&dir, "pids/run/cgroup.procs"), "77");
    assert_eq!(text(&dir, "memory/run/cgroup.procs"), "77");
}

#[test]
fn the_kernel_s_counts_are_read_in_both_versions() {
    let expected = CgroupCounts {
        pids_refused: Some(3),
        memory_hits: Some(41),
        oom_kills: Some(2),
        memory_peak_bytes: Some(16_777_216),
    };
    let (dir, mounts) = version_2();
    let run = RunCgroup::create_in(&mounts, "run", &LIMITS, false).unwrap();
    let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
    write("run/pids.events", "max 3\n");
    write(
        "run/memory.events",
        "low 0\nhigh 0\nmax 41\noom 2\noom_kill 2\noom_group_kill 0\n",
    );
    write("run/memory.peak", "16777216\n");
    assert_eq!(run.counts(), Some(expected));

    let (dir, mounts) = version_1();
    let run = RunCgroup::create_in(&mounts, "run", &LIMITS, false).unwrap();
    let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
    write("pids/run/pids.events", "max 3\n");
    write("memory/run/memory.failcnt", "41\n");
    write(
        "memory/run/memory.oom_control",
        "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
    );
    // An older kernel without the high-water mark.
    assert_eq!(
        run.counts(),
        Some(CgroupCounts {
            memory_peak_bytes: None,
            ..expected
        })
    );
}

#[test]
fn a_missing_controller_matters_only_to_a_limit_of_it() {
    let (_dir, mounts) = version_1();
    let memory_only = mounts.lines().next().unwrap().to_owned() + "\n";
    let error = RunCgroup::create_in(&memory_only, "run", &LIMITS, false).unwrap_err();
    assert_eq!(
        error.to_string(),
        "limits.cgroup_tasks cannot be set: there is no control group hierarchy with the \
         controller `pids` here, of version 1 or 2"
    );
    let run = RunCgroup::create_in(&memory_only, "run", &Limits::default(), false).unwrap();
    assert_eq!((run.groups().count(), run.tasks_file()), (1, None));
    let none = RunCgroup::create_in("", "run", &Limits::default(), false).unwrap();
    assert_eq!(none.counts(), None);
}

#[test]
fn a_limit_that_is_refused_names_its_key_and_file() {
    let (dir, mounts) = version_2();
    // A group with processes of its own does not let the controller be switched on; here a
    // directory is in the file's place.
    fs::remove_file(dir.path().join("cgroup.subtree_control")).unwrap();
    fs::create_dir(dir.path().join("cgroup.subtree_control")).unwrap();
    let error = RunCgroup::create_in(&mounts, "run", &LIMITS, false).unwrap_err();
    let text = error.to_string();
    assert!(
        text.starts_with("limits.cgroup_memory_kb cannot be set: ")
            && text.contains("cgroup.subtree_control"),
        "{text}"
    );
    assert!(RunCgroup::create_in(&mounts, "run", &Limits::default(), false).is_ok());
}

#[test]
fn each_try_is_refused_in_the_same_words() {
    let dir = tempfile::tempdir().unwrap();
    let gone = dir.path().join("hidden");
    let mounts = mount_line(1, "rw,memory", "/", &gone);
    let refused = |name| {
        let error = RunCgroup::create_in(&mounts, name, &LIMITS, false).unwrap_err();
        error.to_string()
    };
    assert_eq!(refused("run-0"), refused("run-1"));
    let expected = format!(
        "limits.cgroup_memory_kb cannot be set: no group can be made in {}: ",
        gone.display()
    );
    assert!(
        refused("run-0").starts_with(&expected),
        "{}",
        refused("run-0")
    );
}

#[test]
fn the_owner_of_a_group_is_in_its_name() {
    assert_eq!(owner("mpm-observer.77-3"), Some(77));
    assert_eq!(owner("mpm-observer.77"), Some(77));
    assert_eq!(owner("system.slice"), None);
    assert_eq!(owner("mpm-observer.x"), None);
}
