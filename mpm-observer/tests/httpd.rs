//! Starting and stopping the real httpd.

mod common;

use common::{GRACE, NEVER, PROGRAM, Place, START, alive, kill_9, parent_of, small, wait_until};

use std::{
    fs,
    io::{BufRead, BufReader},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::AtomicBool,
    time::Duration,
};

use mpm_observer::httpd::{
    self, ExitStatus, How, Httpd, Role, RuntimeDir, Setup, StartFailure, clean_up_stale_in, config,
    http,
};
use mpm_observer::scenario::{Mpm, Size, Start, builtin};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

#[test]
fn httpd_accepts_the_configuration_of_every_built_in_scenario() {
    let Some(place) = Place::new() else { return };
    let runtime = RuntimeDir::create_in(&place.base()).unwrap();
    for scenario in builtin() {
        for mpm in Mpm::ALL {
            for size in [Size::Quick, Size::Full] {
                let plan = scenario.plan(mpm, size);
                let paths = config::Paths {
                    config: place.dir.path().join("httpd.conf"),
                    error_log: place.dir.path().join("error.log"),
                    output: place.dir.path().join("httpd.out"),
                    server_dir: runtime.path().to_owned(),
                    docroot: runtime.docroot(),
                };
                let text = config::httpd_conf(
                    &plan,
                    &place.installation,
                    8080,
                    place.user.as_ref(),
                    &paths,
                );
                fs::write(&paths.config, text).unwrap();
                let output = Command::new(&place.installation.binary)
                    .args(["-t", "-f"])
                    .arg(&paths.config)
                    .output()
                    .unwrap();
                let said = String::from_utf8_lossy(&output.stderr);
                assert!(
                    output.status.success(),
                    "{} {mpm} {size}: {said}",
                    scenario.name
                );
                assert_eq!(said.trim(), "Syntax OK", "{} {mpm} {size}", scenario.name);
            }
        }
    }
}

#[test]
fn each_mpm_starts_all_slots_answers_and_leaves_nothing() {
    let Some(place) = Place::new() else { return };
    let runtime = RuntimeDir::create_in(&place.base()).unwrap();
    for mpm in Mpm::ALL {
        let plan = small(mpm, "warm", "");
        let (httpd, ready) = place.start(&runtime, &plan);
        assert_eq!(ready.slots, Some(10), "{mpm}");
        assert!(!ready.probe_ports.is_empty(), "{mpm}");
        let url = runtime.body(1000).unwrap();
        let mut port = 0;
        let answer = http::get(httpd.addr(), &url, Duration::from_secs(10), &mut port).unwrap();
        assert_eq!(answer.status, 200, "{mpm}");

        let tasks = httpd.tasks().unwrap();
        let count = |role| tasks.iter().filter(|task| task.role == role).count();
        assert_eq!(count(Role::Parent), 1, "{mpm}: {tasks:?}");
        let children = if mpm == Mpm::Prefork { 10 } else { 2 };
        assert_eq!(count(Role::Child), children, "{mpm}: {tasks:?}");
        // Five that serve and the listener in each child.
        let threads = if mpm == Mpm::Prefork { 0 } else { 12 };
        assert_eq!(count(Role::Thread), threads, "{mpm}: {tasks:?}");

        let stopped = httpd.stop(GRACE).unwrap();
        assert_eq!(
            stopped.status,
            Some(ExitStatus::Code(0)),
            "{mpm}: {stopped:?}"
        );
        assert_eq!(stopped.how, How::Term, "{mpm}: {stopped:?}");
        assert_eq!(stopped.left, Vec::<u32>::new(), "{mpm}");
        assert!(tasks.iter().all(|task| !alive(task.pid)), "{mpm}");
    }
    drop(runtime);
    assert_eq!(fs::read_dir(place.base()).unwrap().count(), 0);
}

#[test]
fn the_process_that_waits_becomes_httpd_under_its_limits_and_cpus() {
    let Some(place) = Place::new() else { return };
    let runtime = RuntimeDir::create_in(&place.base()).unwrap();
    let plan = small(Mpm::Prefork, "cold", "open_files = 64\nstack_kb = 1024");
    let setup = Setup {
        cpus: &[0],
        ..place.setup(&runtime, &plan, httpd::free_port().unwrap())
    };
    let prepared = Httpd::prepare(&setup).unwrap();
    let pid = prepared.pid();
    let exe = || fs::read_link(format!("/proc/{pid}/exe")).unwrap();
    assert_eq!(exe(), fs::canonicalize(PROGRAM).unwrap());

    let mut httpd = prepared.go().unwrap();
    httpd.wait_ready(START, &NEVER).unwrap();
    assert_eq!(httpd.pid(), pid);
    assert_eq!(exe(), fs::canonicalize(&place.installation.binary).unwrap());
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let limit = |name: &str| {
        let line = limits.lines().find(|line| line.starts_with(name)).unwrap();
        line[name.len()..]
            .split_whitespace()
            .take(2)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(limit("Max open files"), ["64", "64"]);
    assert_eq!(limit("Max stack size"), ["1048576", "1048576"]);
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    assert!(status.contains("Cpus_allowed_list:\t0\n"), "{status}");
    // The guard blocks signals and the test runner may ignore some: httpd must not inherit that.
    assert!(status.contains("SigBlk:\t0000000000000000\n"), "{status}");
    httpd.stop(GRACE).unwrap();
}

#[test]
fn children_serve_as_an_unprivileged_user_when_started_by_root() {
    if !common::have("root", nix::unistd::geteuid().is_root()) {
        return;
    }
    let Some(place) = Place::new() else { return };
    let runtime = RuntimeDir::create_in(&place.base()).unwrap();
    let plan = small(Mpm::Event, "warm", "");
    let (httpd, _) = place.start(&runtime, &plan);
    let expected = place.user.as_ref().unwrap().uid;
    for task in httpd
        .tasks()
        .unwrap()
        .iter()
        .filter(|task| task.role == Role::Child)
    {
        let status = fs::read_to_string(format!("/proc/{}/status", task.pid)).unwrap();
        let uid = status
            .lines()
            .find_map(|line| line.strip_prefix("Uid:\t"))
            .unwrap();
        assert!(
            uid.split('\t').all(|id| id == expected.to_string()),
            "{uid}"
        );
    }
    httpd.stop(GRACE).unwrap();
}

#[test]
fn a_start_that_the_address_space_limit_prevents_is_told_with_httpd_s_message() {
    let Some(place) = Place::new() else { return };
    let runtime = RuntimeDir::create_in(&place.base()).unwrap();
    let plan = small(Mpm::Worker, "warm", "address_space_kb = 40_000");
    let failure =
        httpd::start(&place.setup(&runtime, &plan, 0), START, &NEVER, |_| Ok(())).unwrap_err();
    assert!(matches!(failure, StartFailure::Exited { .. }), "{failure}");
    // A thread cannot be created; the parent gives up when its only children fail.
    assert!(failure.codes().contains(&"AH03142"), "{failure}");
    assert!(!failure.is_port_in_use());
}

#[test]
fn a_port_in_use_is_told_and_start_takes_another() {
    let Some(place) = Place::new() else { return };
    let runtime = RuntimeDir::create_in(&place.base()).unwrap();
    let plan = small(Mpm::Event, "cold", "");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let prepared = Httpd::prepare(&place.setup(&runtime, &plan, port)).unwrap();
    // The listener answers a connection, but with no HTTP.
    let failure = prepared
        .go()
        .unwrap()
        .wait_ready(START, &NEVER)
        .unwrap_err();
    assert!(failure.is_port_in_use(), "{failure}");

    // Taken at the last moment the first time, free the second.
    let mut attempts = Vec::new();
    let mut thief = None;
    let setup = place.setup(&runtime, &plan, 0);
    let (httpd, _) = httpd::start(&setup, START, &NEVER, |prepared| {
        attempts.push(prepared.addr());
        if attempts.len() == 1 {
            thief = Some(TcpListener::bind(prepared.addr()).map_err(|e| e.to_string())?);
        }
        Ok(())
    })
    .unwrap();
    assert_eq!(attempts.len(), 2);
    assert_eq!(httpd.addr(), attempts[1]);
    httpd.stop(GRACE).unwrap();
}

#[test]
fn a_start_that_is_cancelled_ends_at_once_and_leaves_nothing() {
    let Some(place) = Place::new() else { return };
    let runtime = RuntimeDir::create_in(&place.base()).unwrap();
    // Five slots start, ten are waited for: it would never be ready by itself.
    let mut plan = small(Mpm::Prefork, "cold", "");
    plan.server.start = Start::Warm;
    let setup = place.setup(&runtime, &plan, httpd::free_port().unwrap());
    let prepared = Httpd::prepare(&setup).unwrap();
    let pid = prepared.pid();
    let mut httpd = prepared.go().unwrap();
    let forever = Duration::from_secs(3600);
    let failure = httpd
        .wait_ready(forever, &AtomicBool::new(true))
        .unwrap_err();
    assert!(
        matches!(failure, StartFailure::TimedOut { .. }),
        "{failure}"
    );
    drop(httpd);
    assert!(!alive(pid));
}

#[test]
fn a_limit_that_cannot_be_set_is_named() {
    let Some(place) = Place::new() else { return };
    let runtime = RuntimeDir::create_in(&place.base()).unwrap();
    // More than any kernel allows, also to root.
    let plan = small(Mpm::Event, "cold", "open_files = 1_000_000_000_000");
    let failure = Httpd::prepare(&place.setup(&runtime, &plan, 1)).unwrap_err();
    let text = failure.to_string();
    assert!(
        text.contains("limits.open_files cannot be set to 1000000000000"),
        "{text}"
    );
}

#[test]
fn a_prepared_httpd_that_is_dropped_leaves_nothing() {
    let Some(place) = Place::new() else { return };
    let runtime = RuntimeDir::create_in(&place.base()).unwrap();
    let plan = small(Mpm::Prefork, "warm", "");
    let prepared = Httpd::prepare(&place.setup(&runtime, &plan, 1)).unwrap();
    let pid = prepared.pid();
    let guard = parent_of(pid);
    assert!(alive(pid) && alive(guard));
    drop(prepared);
    assert!(!alive(pid) && !alive(guard));
}

#[test]
fn a_crashed_parent_takes_its_children_with_it_and_is_reported() {
    let Some(place) = Place::new() else { return };
    let runtime = RuntimeDir::create_in(&place.base()).unwrap();
    let plan = small(Mpm::Prefork, "warm", "");
    let (mut httpd, _) = place.start(&runtime, &plan);
    let tasks = httpd.tasks().unwrap();
    assert_eq!(httpd.exit_status(), None);
    kill_9(httpd.pid());
    wait_until("no child is left", || {
        tasks.iter().all(|task| !alive(task.pid))
    });
    let stopped = httpd.stop(GRACE).unwrap();
    assert_eq!(
        stopped.status,
        Some(ExitStatus::Signal(Signal::SIGKILL as i32))
    );
    assert_eq!(stopped.how, How::Itself);
    assert_eq!(stopped.left, Vec::<u32>::new());
}

#[test]
fn a_killed_guard_does_not_keep_stop_from_ending_everything() {
    let Some(place) = Place::new() else { return };
    let runtime = RuntimeDir::create_in(&place.base()).unwrap();
    let plan = small(Mpm::Prefork, "warm", "");
    let (httpd, _) = place.start(&runtime, &plan);
    let tasks = httpd.tasks().unwrap();
    kill_9(parent_of(httpd.pid()));
    let stopped = httpd.stop(GRACE).unwrap();
    assert_eq!(stopped.left, Vec::<u32>::new(), "{stopped:?}");
    assert_eq!(stopped.how, How::Kill);
    assert!(tasks.iter().all(|task| !alive(task.pid)));
}

/// The lab of the tests below, as a process of its own: it starts an httpd, prints the numbers of
/// its processes, and waits for its end.
#[test]
#[ignore = "other tests run this as a process of its own"]
fn lab_process() {
    let base = PathBuf::from(std::env::var_os("MPM_OBSERVER_TEST_BASE").unwrap());
    // Nobody drops anything here: the directory goes with that of the test.
    let place = Place::new_in(base.parent().unwrap()).unwrap();
    let runtime = RuntimeDir::create_in(&base).unwrap();
    let plan = small(Mpm::Prefork, "warm", "");
    let (httpd, _) = place.start(&runtime, &plan);
    let mut pids: Vec<u32> = httpd.tasks().unwrap().iter().map(|task| task.pid).collect();
    pids.retain(|pid| *pid != httpd.pid());
    println!("LAB {} {} {pids:?}", parent_of(httpd.pid()), httpd.pid());
    loop {
        std::thread::park();
    }
}

/// A running [`lab_process`].
struct Lab {
    process: std::process::Child,
    guard: u32,
    httpd: u32,
    children: Vec<u32>,
}

impl Lab {
    fn start(base: &Path) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "lab_process", "--ignored", "--nocapture"])
            .env("MPM_OBSERVER_TEST_BASE", base)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        // The test harness prints its own words before, on the same line.
        let line = lines
            .map(Result::unwrap)
            .find_map(|line| line.split_once("LAB ").map(|(_, rest)| rest.to_owned()))
            .expect("the lab failed");
        let mut parts = line.splitn(3, ' ');
        let guard = parts.next().unwrap().parse().unwrap();
        let httpd = parts.next().unwrap().parse().unwrap();
        let children = serde_json::from_str(parts.next().unwrap()).unwrap();
        Lab {
            process,
            guard,
            httpd,
            children,
        }
    }

    fn is_gone(&self) -> bool {
        !alive(self.guard) && !alive(self.httpd) && self.children.iter().all(|pid| !alive(*pid))
    }
}

#[test]
fn after_kill_9_of_the_lab_its_guard_ends_httpd_and_removes_the_directory() {
    let Some(place) = Place::new() else { return };
    let mut lab = Lab::start(&place.base());
    assert_eq!(lab.children.len(), 10);
    assert_eq!(fs::read_dir(place.base()).unwrap().count(), 1);
    lab.process.kill().unwrap();
    lab.process.wait().unwrap();
    wait_until("guard and httpd have ended", || lab.is_gone());
    assert_eq!(fs::read_dir(place.base()).unwrap().count(), 0);
}

#[test]
fn after_kill_9_of_guard_and_lab_the_next_start_ends_httpd_and_removes_the_directory() {
    let Some(place) = Place::new() else { return };
    let mut lab = Lab::start(&place.base());
    // The guard is stopped, so that it does nothing between the two kills.
    kill(
        Pid::from_raw(lab.guard.try_into().unwrap()),
        Signal::SIGSTOP,
    )
    .unwrap();
    lab.process.kill().unwrap();
    lab.process.wait().unwrap();
    kill_9(lab.guard);
    wait_until("the guard has ended", || !alive(lab.guard));
    wait_until("httpd's parent has ended with its guard", || {
        !alive(lab.httpd)
    });
    let left = lab.children.iter().filter(|pid| alive(**pid)).count();
    assert_eq!(left, 10, "prefork's children do not end by themselves");

    let done = clean_up_stale_in(&place.base());
    assert_eq!(done.failures, Vec::<String>::new());
    assert_eq!(done.killed.len(), 10);
    assert_eq!(done.removed.len(), 1);
    assert!(lab.is_gone());
    assert_eq!(fs::read_dir(place.base()).unwrap().count(), 0);
}
