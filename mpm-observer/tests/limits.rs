//! That a limit of a scenario is really in force, seen from outside of a real httpd, and that
//! nothing of it is left.

mod common;

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use common::{GRACE, NEVER, PROGRAM, Place, START, small, wait_until};
use mpm_observer::{
    correlate::{KernelOnly, RunAnalysis, load_run},
    httpd::{self, Httpd, IdleAccount, RuntimeDir, Setup, StartFailure, error_log::LogLine},
    recording::{Experiment, RunDir, Status},
    resources::{RunCgroup, memory_cgroup_version, tasks_cgroup_version},
    scenario::{Limits, Mpm, RunPlan, StartAs},
};
use nix::{
    fcntl::{FcntlArg, FdFlag, fcntl},
    unistd::geteuid,
};

fn root() -> bool {
    common::have("root", geteuid().is_root())
}

fn proc_file(pid: u32, name: &str) -> String {
    String::from_utf8_lossy(&fs::read(format!("/proc/{pid}/{name}")).unwrap()).into_owned()
}

/// Soft and hard value of a line of `/proc/PID/limits`.
fn limit_of(pid: u32, name: &str) -> (u64, u64) {
    let text = proc_file(pid, "limits");
    let line = text.lines().find(|line| line.starts_with(name)).unwrap();
    let values: Vec<u64> = line[name.len()..]
        .split_whitespace()
        .filter_map(|field| field.parse().ok())
        .collect();
    (values[0], values[1])
}

fn uids(pid: u32) -> Vec<u32> {
    let text = proc_file(pid, "status");
    let line = text.lines().find_map(|line| line.strip_prefix("Uid:"));
    line.unwrap()
        .split_whitespace()
        .map(|uid| uid.parse().unwrap())
        .collect()
}

fn start(setup: &Setup<'_>) -> Httpd {
    httpd::start(setup, START, &NEVER, |_| Ok(())).unwrap().0
}

#[test]
fn the_limits_of_a_process_are_those_of_the_scenario() {
    let Some(place) = Place::new() else { return };
    let runtime = RuntimeDir::create_in(&place.base()).unwrap();
    let limits = "address_space_kb = 400000\ndata_kb = 300000\nstack_kb = 2048\nopen_files = 60\n";
    let plan = small(Mpm::Prefork, "cold", limits);
    let httpd = start(&place.setup(&runtime, &plan, 0));
    for (name, value) in [
        ("Max address space", 400_000 * 1024),
        ("Max data size", 300_000 * 1024),
        ("Max stack size", 2048 * 1024),
        ("Max open files", 60),
    ] {
        assert_eq!(limit_of(httpd.pid(), name), (value, value), "{name}");
    }
    assert_eq!(httpd.stop(GRACE).unwrap().left, [0; 0]);
}

#[test]
fn what_the_caller_has_open_does_not_reach_httpd() {
    let Some(place) = Place::new() else { return };
    let runtime = RuntimeDir::create_in(&place.base()).unwrap();
    // As a program's that does not mark its files to be closed.
    let leaked = fs::File::open("/proc/version").unwrap();
    fcntl(&leaked, FcntlArg::F_SETFD(FdFlag::empty())).unwrap();
    let plan = small(Mpm::Prefork, "cold", "");
    let httpd = start(&place.setup(&runtime, &plan, 0));
    let open: Vec<PathBuf> = fs::read_dir(format!("/proc/{}/fd", httpd.pid()))
        .unwrap()
        .filter_map(|entry| fs::read_link(entry.unwrap().path()).ok())
        .collect();
    assert!(open.contains(&"/dev/null".into()), "{open:?}");
    assert!(!open.contains(&"/proc/version".into()), "{open:?}");
    assert_eq!(httpd.stop(GRACE).unwrap().left, [0; 0]);
}

#[test]
fn the_environment_of_the_scenario_reaches_every_process() {
    let Some(place) = Place::new() else { return };
    let runtime = RuntimeDir::create_in(&place.base()).unwrap();
    let mut plan = small(Mpm::Event, "cold", "");
    let variable = ("MALLOC_ARENA_MAX".to_owned(), "1".to_owned());
    plan.server.environment.extend([variable]);
    let httpd = start(&place.setup(&runtime, &plan, 0));
    for task in httpd.tasks().unwrap() {
        let environment = proc_file(task.pid, "environ");
        assert!(
            environment
                .split('\0')
                .any(|set| set == "MALLOC_ARENA_MAX=1"),
            "{environment}"
        );
    }
    httpd.stop(GRACE).unwrap();
}

/// A directory that only root may enter, as root's own is.
fn closed_dir(place: &Place) -> PathBuf {
    let outer = place.dir.path().join("closed");
    let inner = outer.join("run");
    fs::create_dir_all(&inner).unwrap();
    fs::set_permissions(&outer, fs::Permissions::from_mode(0o700)).unwrap();
    inner
}

#[test]
fn an_httpd_of_an_ordinary_user_serves_and_logs_even_where_the_user_may_not_go() {
    if !root() {
        return;
    }
    let Some(place) = Place::new() else { return };
    let runtime = RuntimeDir::create_in(&place.base()).unwrap();
    let account = IdleAccount::take(place.user.as_ref()).unwrap();
    let uid = account.user().uid;
    let mut plan = small(Mpm::Event, "warm", "processes = 100\n");
    plan.server.start_as = StartAs::User;
    let run_dir = closed_dir(&place);
    let setup = Setup {
        user: Some(account.user()),
        run_dir: &run_dir,
        ..place.setup(&runtime, &plan, 0)
    };
    let httpd = start(&setup);
    let tasks = httpd.tasks().unwrap();
    assert!(tasks.len() > 10);
    for task in &tasks {
        assert_eq!(uids(task.pid), [uid; 4]);
    }
    assert_eq!(limit_of(httpd.pid(), "Max processes"), (100, 100));
    assert_eq!(httpd.stop(GRACE).unwrap().left, [0; 0]);
    let log = run_dir.join("error.log");
    assert_eq!(fs::metadata(&log).unwrap().uid(), uid);
    let text = fs::read_to_string(&log).unwrap();
    // "resuming normal operations" and "caught SIGTERM, shutting down".
    assert!(
        text.contains("AH00489") && text.contains("AH00491"),
        "{text}"
    );
}

#[test]
fn a_limit_of_a_user_s_tasks_binds_the_threads_of_the_children_that_root_starts() {
    if !root() {
        return;
    }
    let Some(place) = Place::new() else { return };
    let runtime = RuntimeDir::create_in(&place.base()).unwrap();
    let account = IdleAccount::take(place.user.as_ref()).unwrap();
    // Two children of 7 tasks do not fit.
    let plan = small(Mpm::Worker, "cold", "processes = 9\n");
    let setup = Setup {
        user: Some(account.user()),
        ..place.setup(&runtime, &plan, 0)
    };
    // Which threads are refused is a race of the children: one of them may serve, or none, and then
    // httpd gives up.
    let started = httpd::start(&setup, START, &NEVER, |_| Ok(()));
    let log = place.dir.path().join("error.log");
    wait_until("a thread is refused", || {
        fs::read_to_string(&log).is_ok_and(|text| {
            let refused = ["AH03142", "AH00275"];
            refused.iter().any(|code| text.contains(code))
        })
    });
    match started {
        Ok((httpd, _)) => {
            assert_eq!(uids(httpd.pid())[0], 0);
            httpd.stop(GRACE).unwrap();
        }
        Err(StartFailure::Exited { log_tail, .. }) => {
            let gave_up = |line: &LogLine| line.code.as_deref() == Some("AH02325");
            assert!(log_tail.iter().any(gave_up), "{log_tail:?}");
        }
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn the_limits_of_a_control_group_hold_are_counted_and_go_with_the_run() {
    let present = memory_cgroup_version() != 0 && tasks_cgroup_version() != 0;
    if !root() || !common::have("control groups for memory and tasks", present) {
        return;
    }
    let Some(place) = Place::new() else { return };
    let runtime = RuntimeDir::create_in(&place.base()).unwrap();
    let limits = Limits {
        cgroup_tasks: Some(4),
        cgroup_memory_kb: Some(65_536),
        ..Limits::default()
    };
    let cgroup = RunCgroup::create(&limits).unwrap();
    let tasks_file = cgroup.tasks_file().unwrap();
    let memory_file = cgroup.memory_file().unwrap();
    let number = |path: &Path| -> u64 { fs::read_to_string(path).unwrap().trim().parse().unwrap() };
    assert_eq!(number(&tasks_file.with_file_name("pids.max")), 4);
    let limit_file = match memory_cgroup_version() {
        1 => "memory.limit_in_bytes",
        _ => "memory.max",
    };
    assert_eq!(
        number(&memory_file.with_file_name(limit_file)),
        65_536 << 10
    );
    // A parent and three of its five children fit.
    let plan = small(Mpm::Prefork, "cold", "");
    let (httpd, _) = httpd::start(
        &place.setup(&runtime, &plan, 0),
        START,
        &NEVER,
        |prepared| {
            cgroup
                .add(prepared.pid())
                .map_err(|error| error.to_string())
        },
    )
    .unwrap();
    wait_until("a fork is refused", || {
        cgroup.counts().unwrap().pids_refused.unwrap() > 0
    });
    assert_eq!(number(&tasks_file), 4);
    assert_eq!(httpd.tasks().unwrap().len(), 4);
    let counts = cgroup.counts().unwrap();
    assert!(number(&memory_file) > 0);
    assert!(counts.memory_peak_bytes.is_none_or(|bytes| bytes > 0));
    assert_eq!(counts.oom_kills, Some(0));
    assert_eq!(httpd.stop(GRACE).unwrap().left, [0; 0]);
    drop(cgroup);
    assert!(!tasks_file.exists() && !memory_file.exists());
}

/// A lab of one repetition in a directory of its own.
struct Bench {
    dir: tempfile::TempDir,
}

impl Bench {
    fn new() -> Option<Self> {
        common::dir_of_lab().map(|dir| Self { dir })
    }

    fn scenario(&self, name: &str, more: &str) -> PathBuf {
        let path = self.dir.path().join(format!("{name}.toml"));
        let text = format!(
            "name = \"{name}\"\ntitle = \"Test\"\nwhat = \"A test.\"\n\
             [size]\nfull = {{ requests = 10, concurrency = 2 }}\n\
             quick = {{ requests = 10, concurrency = 2, max_duration_s = 20 }}\n{more}"
        );
        fs::write(&path, text).unwrap();
        path
    }

    fn out(&self) -> PathBuf {
        self.dir.path().join("out")
    }

    fn lab(&self, scenarios: &[PathBuf], mpms: &str) -> Output {
        let mut lab = Command::new(PROGRAM);
        lab.args(["lab", "--repetitions", "1", "--no-overhead", "--mpm", mpms]);
        for scenario in scenarios {
            lab.arg("--scenario").arg(scenario);
        }
        lab.arg("--out")
            .arg(self.out())
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    fn runs(&self) -> Vec<RunAnalysis> {
        let experiment = Experiment::read(&self.out()).unwrap();
        let load = |name: &String| load_run(&RunDir::of(&self.out(), name)).unwrap();
        experiment.runs.iter().map(load).collect()
    }
}

const SIX_SLOTS: &str =
    "max_request_workers = 6\nworker.threads_per_child = 3\nevent.threads_per_child = 3\n";

/// No process may have so many open files (`fs.nr_open`).
const IMPOSSIBLE: &str = "[limits]\nopen_files = 1099511627776\n";

#[test]
fn a_scenario_that_cannot_be_set_is_named_and_skipped_and_the_rest_is_run() {
    let Some(bench) = Bench::new() else { return };
    let server = format!("[server]\nstart = \"cold\"\n{SIX_SLOTS}");
    let impossible = bench.scenario("impossible", &format!("{server}{IMPOSSIBLE}"));
    let small = bench.scenario("small", &server);
    let output = bench.lab(&[impossible, small], "event");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{errors}");
    let told: Vec<&str> = errors
        .lines()
        .filter(|line| line.starts_with("skipped impossible: limits.open_files cannot be set"))
        .collect();
    assert_eq!(told.len(), 1, "{errors}");
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(stdout.contains("1 of 1 runs recorded in"), "{stdout}");
    assert!(stdout.contains("(1 skipped"), "{stdout}");
    let experiment = Experiment::read(&bench.out()).unwrap();
    assert_eq!(experiment.runs, ["small.event.1"]);
    assert_eq!(experiment.skipped.len(), 1);
    assert_eq!(experiment.skipped[0].scenario, "impossible");
    for file in ["report.md", "report.html", "comparison.json"] {
        let text = fs::read_to_string(bench.out().join("report").join(file)).unwrap();
        assert!(text.contains("impossible"), "{file}");
    }
}

#[test]
fn a_lab_of_which_nothing_can_be_run_makes_nothing() {
    let Some(bench) = Bench::new() else { return };
    let impossible = bench.scenario("impossible", IMPOSSIBLE);
    let output = bench.lab(&[impossible], "event,prefork");
    assert_eq!(output.status.code(), Some(3));
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(errors.lines().count(), 1, "{errors}");
    assert!(errors.contains("impossible: limits.open_files"), "{errors}");
    assert!(!bench.out().exists());
}

#[test]
fn half_a_head_takes_the_slots_of_every_mpm() {
    let Some(bench) = Bench::new() else { return };
    let more = format!(
        "[load]\ntimeout_s = 2\n[load.held]\nkind = \"half-header\"\nconnections = 12\n\
         [server]\n{SIX_SLOTS}"
    );
    let scenario = bench.scenario("half", &more);
    let output = bench.lab(&[scenario], "prefork,worker,event");
    assert_eq!(output.status.code(), Some(0));
    let runs = bench.runs();
    assert_eq!(runs.len(), 3);
    for run in &runs {
        let name = run.manifest.mpm.name();
        assert_eq!(run.manifest.status, Status::Complete, "{name}");
        assert_eq!(
            (run.ok(), run.outcomes.get("timeout")),
            (0, Some(&10)),
            "{name}"
        );
        let held = run.manifest.held.unwrap();
        assert_eq!((held.tried, held.held, held.ended_by_server), (12, 12, 0));
        let slow = run.client.iter().filter(|row| row.is_slow_client());
        assert_eq!(slow.count(), 12);
        assert_eq!(run.join.kernel_only.get(&KernelOnly::Other), None, "{name}");
        assert!(run.manifest.server_gone && run.manifest.counters.balanced());
    }
}

#[test]
fn idle_connections_keep_a_slot_of_prefork_and_none_of_event() {
    let Some(bench) = Bench::new() else { return };
    let more = format!(
        "[load]\ntimeout_s = 2\n[load.held]\nkind = \"idle-keep-alive\"\nconnections = 12\n\
         [server]\nkeep_alive_timeout_s = 60\n{SIX_SLOTS}"
    );
    let scenario = bench.scenario("idle", &more);
    let output = bench.lab(&[scenario], "prefork,event");
    assert_eq!(output.status.code(), Some(0));
    for run in bench.runs() {
        let held = run.manifest.held.unwrap();
        let (expected_ok, expected_held) = match run.manifest.mpm {
            Mpm::Event => (10, 12),
            _ => (0, 6),
        };
        assert_eq!((run.ok(), held.held), (expected_ok, expected_held));
        assert_eq!(run.join.missing_count(), 0);
        assert_eq!(run.join.strangers(), 0);
        // What the six that got in had answered.
        assert!(run.join.kernel_only[&KernelOnly::Held] >= 6);
    }
}

#[test]
fn a_group_s_tasks_are_sampled_and_its_counts_are_in_the_manifest() {
    let present = tasks_cgroup_version() != 0;
    if !common::have("a control group for tasks", present) {
        return;
    }
    let Some(bench) = Bench::new() else { return };
    let more = "[server]\nstart = \"cold\"\nmax_request_workers = 10\n\
        prefork.start_servers = 10\nworker.threads_per_child = 5\nevent.threads_per_child = 5\n\
        [limits]\ncgroup_tasks = 5\n";
    let scenario = bench.scenario("tasks", more);
    let output = bench.lab(&[scenario], "prefork,worker");
    assert_eq!(output.status.code(), Some(0));
    let runs = bench.runs();
    let prefork = &runs[0];
    assert_eq!(prefork.manifest.status, Status::Complete);
    assert_eq!(prefork.samples.last().unwrap().cgroup_tasks, Some(5));
    assert!(prefork.manifest.cgroup.unwrap().pids_refused.unwrap() > 0);
    assert!(prefork.manifest.start.log_codes.contains(&"AH00159".into()));
    // A child of five threads has seven tasks.
    assert_eq!(runs[1].manifest.status, Status::NotStarted);
    assert!(runs[1].manifest.cgroup.unwrap().pids_refused.unwrap() > 0);
}

/// Plans of all kinds of limits can be tried; used by those that search for one.
#[test]
fn what_can_be_set_here_is_known_without_a_run() {
    if !root() {
        return;
    }
    let program = Path::new(PROGRAM);
    let plan: RunPlan = small(Mpm::Event, "cold", "open_files = 100\n");
    assert_eq!(httpd::try_limits(&plan.limits, program), Ok(()));
    let error = httpd::try_limits(
        &Limits {
            open_files: Some(1 << 40),
            ..Limits::default()
        },
        program,
    )
    .unwrap_err();
    assert!(
        error.starts_with("limits.open_files cannot be set"),
        "{error}"
    );
}
