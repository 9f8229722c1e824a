//! The whole way, from the command line to the report, and every way it can end.

mod common;

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use common::{PROGRAM, wait_until};
use mpm_observer::{
    correlate::{KernelOnly, Phase, RateKept, RunAnalysis, load_run},
    overhead::Overhead,
    recording::{Experiment, RunDir, Status},
    scenario::Mpm,
};
use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// A directory with a scenario of its own. `None` if the lab cannot run here.
struct Bench {
    dir: tempfile::TempDir,
}

impl Bench {
    fn new() -> Option<Self> {
        common::dir_of_lab().map(|dir| Self { dir })
    }

    fn scenario(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.path().join(format!("{name}.toml"));
        let head = format!("name = \"{name}\"\ntitle = \"Test\"\nwhat = \"A test.\"\n");
        fs::write(&path, head + text).unwrap();
        path
    }

    fn out(&self) -> PathBuf {
        self.dir.path().join("out")
    }

    fn lab(&self, scenario: &Path) -> Command {
        let mut lab = Command::new(PROGRAM);
        lab.args(["lab", "--repetitions", "1", "--scenario"])
            .arg(scenario)
            .arg("--out")
            .arg(self.out())
            .arg("--no-overhead")
            .current_dir(self.dir.path())
            .stdin(Stdio::null());
        lab
    }

    fn runs(&self) -> Vec<RunAnalysis> {
        let experiment = Experiment::read(&self.out()).unwrap();
        experiment
            .runs
            .iter()
            .map(|name| load_run(&RunDir::of(&self.out(), name)).unwrap())
            .collect()
    }
}

/// How long a lab of these tests may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);

const SMALL: &str = "[size]\nfull = { requests = 300, concurrency = 20 }\n\
    quick = { requests = 300, concurrency = 20 }\n\
    [server]\nmax_request_workers = 10\n\
    worker.threads_per_child = 5\nevent.threads_per_child = 5\n";

/// Requests enough for some seconds.
const LONG: &str = "[size]\nfull = { requests = 300000, concurrency = 20 }\n\
    quick = { requests = 300000, concurrency = 20 }\n\
    [server]\nmax_request_workers = 10\n\
    worker.threads_per_child = 5\nevent.threads_per_child = 5\n";

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The process ids whose command line holds `mark`.
fn processes_with(mark: &str) -> Vec<u32> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else {
            continue;
        };
        let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        if text(&command).contains(mark) {
            found.push(pid);
        }
    }
    found
}

/// What a lab of process `pid` with its files in `out` could have left behind.
fn nothing_is_left(pid: u32, out: &Path) -> bool {
    let mark = out.display().to_string();
    let of_lab = |base: &str, name: &str| {
        fs::read_dir(base).is_ok_and(|entries| {
            entries
                .flatten()
                .any(|entry| entry.file_name().to_string_lossy().starts_with(name))
        })
    };
    processes_with(&mark).is_empty()
        && !Path::new(&format!("/run/mpm-observer/{pid}-0")).exists()
        && ["", "/memory", "/pids"].iter().all(|hierarchy| {
            let base = format!("/sys/fs/cgroup{hierarchy}");
            !of_lab(&base, &format!("mpm-observer.{pid}-"))
        })
}

fn read_in_background(mut source: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        source.read_to_end(&mut bytes).unwrap();
        bytes
    })
}

/// Runs a lab to its end; one that hangs is killed and fails the test.
fn run(command: &mut Command) -> (u32, Output) {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = child.id();
    let errors = read_in_background(child.stderr.take().unwrap());
    let standard = read_in_background(child.stdout.take().unwrap());
    let deadline = Instant::now() + PATIENCE;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if Instant::now() >= deadline {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("the lab did not end: {}", text(&errors.join().unwrap()));
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    let output = Output {
        status,
        stdout: standard.join().unwrap(),
        stderr: errors.join().unwrap(),
    };
    (pid, output)
}

fn check_complete(run: &RunAnalysis, requests: u64) {
    let name = format!("{}", run.manifest.mpm);
    assert_eq!(run.manifest.status, Status::Complete, "{name}");
    assert!(run.manifest.server_gone && run.manifest.start.all_slots);
    assert!(run.manifest.counters.balanced());
    assert_eq!(run.manifest.counters.lost(), 0);
    assert_eq!(run.ok(), requests, "{name}: {:?}", run.outcomes);
    assert_eq!(
        run.join.missing_count(),
        0,
        "{name}: {:?}",
        run.join.missing
    );
    assert_eq!(run.join.kernel_only.get(&KernelOnly::Other), None, "{name}");
    assert!(!run.samples.is_empty() && !run.memory.is_empty());
    assert!(run.tasks.all.on_cpu_ns > 0);
    // A request's phases sum to its time but for the overlap of both sides' last steps.
    for phases in run.phases() {
        assert!(phases.residual_ns().unsigned_abs() <= phases.wall_ns);
    }
}

#[test]
fn a_small_scenario_goes_from_the_command_line_to_a_report_with_every_request_joined() {
    let Some(bench) = Bench::new() else { return };
    let scenario = bench.scenario("small", SMALL);
    let (pid, output) = run(&mut bench.lab(&scenario));
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let runs = bench.runs();
    assert_eq!(runs.len(), 3);
    for run in &runs {
        check_complete(run, 300);
        assert_eq!(run.accept_waits_ns.len(), 300);
        // Between the two looks at the tasks all of the load is accepted, and of the connections
        // of others (mod_status, the warming up) some or all: each connection once.
        let connections = run.kernel.iter().filter(|row| row.ordinal == 0).count() as u64;
        assert!((300..=connections).contains(&run.tasks.all.accepts));
        let ever: u64 = run.ends.iter().map(|task| task.accepts).sum();
        assert!((run.tasks.all.accepts..=connections).contains(&ever));
    }
    let stdout = text(&output.stdout);
    let path = stdout
        .lines()
        .last()
        .unwrap()
        .strip_prefix("report: ")
        .unwrap();
    assert!(bench.dir.path().join(path).is_file(), "{stdout}");
    assert!(nothing_is_left(pid, &bench.out()));
}

#[test]
fn keep_alive_requests_are_joined_by_their_place_in_the_connection() {
    let Some(bench) = Bench::new() else { return };
    let keep_alive = SMALL.to_owned() + "[load]\nkeep_alive = true\n";
    let scenario = bench.scenario("kept", &keep_alive);
    let (_, output) = run(bench.lab(&scenario).args(["--mpm", "event,prefork"]));
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    for run in bench.runs() {
        check_complete(&run, 300);
        assert_ne!(run.manifest.mpm, Mpm::Worker);
        assert!(run.kernel.iter().any(|row| row.ordinal > 0));
    }
}

/// 300 requests due at 200/s, after half as many for warming up.
const OPEN: &str = "[load]\nwarm_up_s = 1\n\
    [size]\nfull = { requests = 300, concurrency = 20, requests_per_s = 200 }\n\
    quick = { requests = 300, concurrency = 20, requests_per_s = 200 }\n\
    [server]\nmax_request_workers = 10\n\
    worker.threads_per_child = 5\nevent.threads_per_child = 5\n";

#[test]
fn the_requests_of_an_open_loop_keep_their_schedule_and_their_phases_add_up() {
    let Some(bench) = Bench::new() else { return };
    let scenario = bench.scenario("open", OPEN);
    let (_, output) = run(&mut bench.lab(&scenario));
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    for run in bench.runs() {
        check_complete(&run, 300);
        let mut due: Vec<u64> = run
            .client
            .iter()
            .filter(|row| row.measured)
            .map(|row| row.intended_ns)
            .collect();
        due.sort_unstable();
        for pair in due.windows(2) {
            // 5 ms, but for the rounding of each.
            assert!((pair[1] - pair[0]).abs_diff(5_000_000) <= 1, "{pair:?}");
        }
        // The time of warming up is in the record and in no figure.
        let began_ns = run.manifest.load.as_ref().unwrap().began_ns;
        assert!(due[0].abs_diff(began_ns) <= 1);
        let summary = &run.manifest.load.as_ref().unwrap().summary;
        assert_eq!(summary.warm_up_attempts, 200);
        assert_eq!(run.phases().len(), 300);
        // The wait from when it was due to its begin is a part of each request's time.
        let late: u64 = run.phases().iter().map(|p| p.get(Phase::LateStart)).sum();
        let rows = run.client.iter().filter(|row| row.measured);
        let expected: u64 = rows.map(|row| row.start_ns - row.intended_ns).sum();
        assert_eq!(late, expected);
        let rate = RateKept::of(&run).expect("an open loop");
        assert_eq!((rate.asked_per_s, rate.unsent), (200.0, 0));
    }
    let report = fs::read_to_string(bench.out().join("report/report.md")).unwrap();
    assert!(report.contains("requests due per second"), "{report}");
}

#[test]
fn the_observers_own_cost_is_measured_after_the_runs_and_read_back() {
    let Some(bench) = Bench::new() else { return };
    let scenario = bench.scenario("small", SMALL);
    let mut lab = Command::new(PROGRAM);
    lab.args(["lab", "--repetitions", "1", "--mpm", "worker", "--scenario"])
        .arg(&scenario)
        .arg("--out")
        .arg(bench.out())
        .stdin(Stdio::null());
    let (pid, output) = run(&mut lab);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let overhead = Overhead::read(&bench.out())
        .unwrap()
        .expect("overhead.json");
    let cases: Vec<(Mpm, bool)> = overhead
        .observer()
        .map(|case| (case.mpm, case.keep_alive))
        .collect();
    assert_eq!(cases, [(Mpm::Worker, true), (Mpm::Worker, false)]);
    for case in &overhead.cases {
        assert_eq!(case.costs.throughput.unwrap().n, case.pairs.len());
        for pair in &case.pairs {
            assert!(pair.on.answered > 0 && pair.off.answered > 0);
            assert_eq!((pair.on.failed, pair.off.failed), (0, 0));
            assert!(pair.on.watcher_cpu_ns > 0.0);
            assert!(pair.off.server_cpu_ns.unwrap() > 0.0);
        }
        let on_first = case.pairs.iter().filter(|pair| pair.on_first).count();
        assert_eq!(on_first, case.pairs.len() / 2, "order alternates");
    }
    assert_eq!(overhead.lines().len(), 2);
    assert!(nothing_is_left(pid, &bench.out()));
}

#[test]
fn an_httpd_that_cannot_start_is_a_result_and_not_an_error() {
    let Some(bench) = Bench::new() else { return };
    let limited = SMALL.to_owned() + "[limits]\naddress_space_kb = 60000\n";
    let scenario = bench.scenario("limited", &limited);
    let (pid, output) = run(bench.lab(&scenario).args(["--mpm", "worker"]));
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let runs = bench.runs();
    assert_eq!(runs[0].manifest.status, Status::NotStarted);
    assert_eq!(runs[0].outcomes.get("refused"), Some(&300));
    assert!(runs[0].manifest.start.failure.is_some());
    assert!(runs[0].manifest.server_gone);
    assert!(nothing_is_left(pid, &bench.out()));
}

/// Whether a run has rows of the client, more than the first, and of the kernel.
fn has_rows_of_both(run: &Path) -> bool {
    run.join("client_requests/part-00001.parquet").exists()
        && run.join("kernel_requests/part-00000.parquet").exists()
}

/// Starts a lab and returns once its load is under way.
fn start_and_wait_for_load(bench: &Bench, scenario: &Path) -> Child {
    let lab = bench
        .lab(scenario)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let rows = bench.out().join("runs");
    wait_until("rows are written", || {
        fs::read_dir(&rows)
            .is_ok_and(|runs| runs.flatten().any(|run| has_rows_of_both(&run.path())))
    });
    lab
}

#[test]
fn ctrl_c_ends_httpd_keeps_what_was_recorded_and_reports_the_runs_that_ended() {
    let Some(bench) = Bench::new() else { return };
    let small = bench.scenario("small", SMALL);
    let long = bench.scenario("long", LONG);
    let mut lab = bench.lab(&small);
    lab.arg("--scenario").arg(&long).args(["--mpm", "event"]);
    let mut lab = lab
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = lab.id();
    // The first run's line, then the second run's first rows.
    let mut errors = BufReader::new(lab.stderr.take().unwrap());
    let mut line = String::new();
    errors.read_line(&mut line).unwrap();
    assert!(line.contains("small.event.1"), "{line}");
    let second = bench.out().join("runs/long.event.1");
    wait_until("the second load is under way", || has_rows_of_both(&second));
    kill(Pid::from_raw(pid.cast_signed()), Signal::SIGINT).unwrap();
    let rest = std::thread::spawn(move || {
        let mut rest = String::new();
        errors.read_to_string(&mut rest).unwrap();
        rest
    });
    let output = lab.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", rest.join().unwrap());
    let runs = bench.runs();
    check_complete(&runs[0], 300);
    assert_eq!(runs[1].manifest.status, Status::Interrupted);
    assert!(!runs[1].client.is_empty() && !runs[1].kernel.is_empty());
    assert!(Experiment::read(&bench.out()).unwrap().interrupted);
    assert!(bench.out().join("report/report.html").is_file());
    assert!(nothing_is_left(pid, &bench.out()));
}

#[test]
fn after_kill_9_nothing_runs_on_and_what_was_recorded_reads() {
    let Some(bench) = Bench::new() else { return };
    let long = bench.scenario("long", LONG);
    let mut lab = start_and_wait_for_load(&bench, &long);
    let pid = lab.id();
    kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL).unwrap();
    lab.wait().unwrap();
    let mark = bench.out().display().to_string();
    wait_until("httpd is gone", || processes_with(&mark).is_empty());
    wait_until("the runtime directory is gone", || {
        !Path::new(&format!("/run/mpm-observer/{pid}-0")).exists()
    });
    let runs = bench.runs();
    assert_eq!(runs[0].manifest.status, Status::Running);
    assert!(!runs[0].client.is_empty() && !runs[0].kernel.is_empty());
    assert!(runs[0].unreadable.is_empty(), "{:?}", runs[0].unreadable);
    assert!(!runs[0].join.pairs.is_empty());
    // The cgroup goes with the next start.
    let small = bench.scenario("small", SMALL);
    let (_, output) = run(bench.lab(&small).args(["--mpm", "prefork"]));
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(nothing_is_left(pid, &bench.out()));
}

#[test]
fn a_bad_scenario_file_is_told_with_line_and_key_before_anything_starts() {
    let Some(bench) = Bench::new() else { return };
    let bad = SMALL.replace(
        "concurrency = 20 }\n[server]",
        "concurrency = 900 }\n[server]",
    );
    let scenario = bench.scenario("bad", &bad);
    let (_, output) = run(&mut bench.lab(&scenario));
    assert_eq!(output.status.code(), Some(2));
    let error = text(&output.stderr);
    assert!(error.contains("bad.toml:"), "{error}");
    assert!(error.contains("concurrency"), "{error}");
    assert!(!bench.out().exists());
}

#[test]
fn a_missing_httpd_is_told_in_one_line() {
    let Some(bench) = Bench::new() else { return };
    let scenario = bench.scenario("small", SMALL);
    let (_, output) = run(bench.lab(&scenario).args(["--httpd", "/nowhere/httpd"]));
    assert_eq!(output.status.code(), Some(3));
    let error = text(&output.stderr);
    assert_eq!(error.lines().count(), 1, "{error}");
    assert!(error.contains("/nowhere/httpd"), "{error}");
    assert!(!bench.out().exists());
}

#[test]
fn an_ordinary_user_is_told_that_root_is_needed() {
    let Some(bench) = Bench::new() else { return };
    let program = bench.dir.path().join("mpm-observer");
    fs::copy(PROGRAM, &program).unwrap();
    let output = Command::new(&program)
        .args(["lab", "--out"])
        .arg(bench.out())
        .current_dir("/")
        .uid(65_534)
        .gid(65_534)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3));
    let error = text(&output.stderr);
    assert_eq!(error.lines().count(), 1, "{error}");
    assert!(error.contains("root is needed"), "{error}");
}

/// A small file system that is taken away again at the end.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn new(path: PathBuf) -> Self {
        fs::create_dir(&path).unwrap();
        let options = Some("size=200k,mode=755");
        mount(
            Some("none"),
            &path,
            Some("tmpfs"),
            MsFlags::empty(),
            options,
        )
        .unwrap();
        Self(path)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = umount2(&self.0, MntFlags::MNT_DETACH);
    }
}

#[test]
fn a_full_disk_is_told_in_one_line_and_nothing_runs_on() {
    let Some(bench) = Bench::new() else { return };
    let disk = SmallDisk::new(bench.out());
    let long = bench.scenario("long", LONG);
    let (pid, output) = run(bench.lab(&long).args(["--mpm", "event"]));
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{error}");
    assert!(error.to_lowercase().contains("no space left"), "{error}");
    assert!(nothing_is_left(pid, &bench.out()));
    drop(disk);
}
