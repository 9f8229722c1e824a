//! The search for limits, from the command line to values that hold when they are tried again.

mod common;

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Command, Output, Stdio},
};

use common::PROGRAM;
use mpm_observer::{
    correlate::load_run,
    limit::{Found, search::Border},
    recording::{Experiment, RunDir, Status},
    scenario::Mpm,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// A directory for a search. `None` if none can run here.
struct Bench {
    dir: tempfile::TempDir,
}

impl Bench {
    fn new() -> Option<Self> {
        common::dir_of_lab().map(|dir| Self { dir })
    }

    fn out(&self) -> PathBuf {
        self.dir.path().join("out")
    }

    fn limit(&self, arguments: &[&str]) -> Command {
        let mut limit = Command::new(PROGRAM);
        limit
            .arg("limit")
            .args(arguments)
            .arg("--out")
            .arg(self.out())
            .current_dir(self.dir.path())
            .stdin(Stdio::null());
        limit
    }

    /// Runs the load of a search once more, under a limit of open files: whether all went well.
    fn serves(&self, mpm: Mpm, open_files: u64, name: &str) -> bool {
        let scenario = self.dir.path().join(format!("{name}.toml"));
        let text = format!(
            "name = \"{name}\"\ntitle = \"Again\"\nwhat = \"A test.\"\n\
             [size]\nfull = {{ requests = 80, concurrency = 4 }}\n\
             quick = {{ requests = 80, concurrency = 4 }}\n\
             [load]\ntimeout_s = 10\n\
             [server]\nstart = \"cold\"\ncpus = \"all\"\nmax_request_workers = 4\n\
             worker.threads_per_child = 4\nevent.threads_per_child = 4\n\
             [limits]\nopen_files = {open_files}\n"
        );
        fs::write(&scenario, text).unwrap();
        let out = self.dir.path().join(name);
        let output = Command::new(PROGRAM)
            .args(["lab", "--repetitions", "1", "--no-overhead"])
            .args(["--mpm", mpm.name(), "--scenario"])
            .arg(&scenario)
            .arg("--out")
            .arg(&out)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", text_of(&output.stderr));
        let experiment = Experiment::read(&out).unwrap();
        let run = load_run(&RunDir::of(&out, &experiment.runs[0])).unwrap();
        run.manifest.status == Status::Complete && run.ok() == 80
    }
}

fn text_of(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn refused(output: &Output, code: i32) -> String {
    let error = text_of(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{error}");
    error
}

#[test]
fn the_value_found_serves_when_it_is_tried_again_and_the_one_below_fails() {
    let Some(bench) = Bench::new() else { return };
    let output = bench
        .limit(&["--find", "nofile", "--mpm", "prefork", "--slots", "4"])
        .args(["--repetitions", "2", "--precision", "10"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text_of(&output.stderr));
    let found = Found::read(&bench.out()).unwrap();
    assert_eq!(found.searches.len(), 1);
    let mut kept = Vec::new();
    // Prefork's need is no matter of chance: a child has one connection.
    for one in &found.searches {
        let Border::Found {
            smallest_served,
            highest_failing,
        } = one.border
        else {
            panic!("{}: {:?}", one.mpm, one.border);
        };
        let near = smallest_served as f64 <= 1.1 * highest_failing as f64;
        assert!(
            near || smallest_served == highest_failing + 1,
            "{}",
            one.mpm
        );
        assert_eq!(one.tried(smallest_served).unwrap().failures, 0);
        assert!(one.tried(highest_failing).unwrap().failures > 0);
        assert!(bench.serves(one.mpm, smallest_served, &format!("{}-above", one.mpm)));
        assert!(!bench.serves(one.mpm, highest_failing, &format!("{}-below", one.mpm)));
        let of_kept = |trial: &&mpm_observer::limit::Trial| trial.kept;
        kept.extend(one.trials.iter().filter(of_kept).map(|t| t.run.clone()));
        let values: Vec<u64> = one.trials.iter().filter(of_kept).map(|t| t.value).collect();
        assert!(values.contains(&smallest_served) && values.contains(&highest_failing));
        assert!(values.len() < one.trials.len());
    }
    // What stays is an experiment of its own, of the runs at the border and no others.
    let mut runs = Experiment::read(&bench.out()).unwrap().runs;
    let listed = fs::read_dir(bench.out().join("runs")).unwrap().flatten();
    let mut there: Vec<String> = listed
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    runs.sort();
    kept.sort();
    there.sort();
    assert_eq!(runs, kept);
    assert_eq!(there, kept);
    for run in &runs {
        load_run(&RunDir::of(&bench.out(), run)).unwrap();
    }
    let stdout = text_of(&output.stdout);
    assert!(stdout.contains(&found.sentence()), "{stdout}");
    assert!(stdout.contains(&found.table()), "{stdout}");
    assert!(bench.out().join("limit.html").is_file());
    assert!(bench.out().join("failure-share.png").is_file());
}

#[test]
fn ctrl_c_keeps_what_was_found() {
    let Some(bench) = Bench::new() else { return };
    let mut limit = bench
        .limit(&["--find", "nofile", "--slots", "4", "--repetitions", "100"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut errors = BufReader::new(limit.stderr.take().unwrap());
    let mut line = String::new();
    for _ in 0..3 {
        line.clear();
        errors.read_line(&mut line).unwrap();
    }
    assert!(line.contains("nofile-"), "{line}");
    assert!(line.contains("left"), "{line}");
    kill(Pid::from_raw(limit.id().cast_signed()), Signal::SIGINT).unwrap();
    let rest = std::thread::spawn(move || {
        let mut rest = String::new();
        errors.read_to_string(&mut rest).unwrap();
        rest
    });
    let output = limit.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", rest.join().unwrap());
    let found = Found::read(&bench.out()).unwrap();
    assert!(found.interrupted && found.trials() >= 3);
    for one in &found.searches {
        assert!(matches!(one.border, Border::Unfinished { .. }));
    }
    assert!(Experiment::read(&bench.out()).unwrap().interrupted);
    assert!(bench.out().join("limit.html").is_file());
    assert!(text_of(&output.stdout).contains("search not finished"));
}

#[test]
fn what_cannot_be_looked_for_is_told_before_anything_starts() {
    let Some(bench) = Bench::new() else { return };
    let unknown = bench.limit(&["--find", "walltime"]).output().unwrap();
    assert!(refused(&unknown, 2).contains("rlimit-as"));
    let odd = bench.limit(&["--find", "pids", "--slots", "60"]).output();
    let error = refused(&odd.unwrap(), 2);
    assert!(error.contains("multiple of the 25 threads"), "{error}");
    let several = bench.limit(&["--find", "pids", "--scenario", "tutorial"]);
    assert!(refused(&{ several }.output().unwrap(), 2).contains("name one"));
    let missing = bench.limit(&["--find", "nofile", "--httpd", "/nowhere/httpd"]);
    let error = refused(&{ missing }.output().unwrap(), 3);
    assert_eq!(error.lines().count(), 1, "{error}");
    assert!(!bench.out().exists());
}

#[test]
fn a_limit_that_this_process_cannot_set_is_told_in_one_line() {
    let Some(bench) = Bench::new() else { return };
    // The limit of tasks does not bind root, so the program itself still works.
    let output = Command::new("bash")
        .args([
            "-c",
            "ulimit -u 2 && exec \"$0\" limit --find nproc --out \"$1\"",
        ])
        .arg(PROGRAM)
        .arg(bench.out())
        .output()
        .unwrap();
    let error = refused(&output, 3);
    assert_eq!(error.lines().count(), 1, "{error}");
    assert!(error.contains("hard limit of this process is 2"), "{error}");
    assert!(!bench.out().exists());
}

#[test]
fn an_ordinary_user_is_told_that_root_is_needed() {
    let Some(bench) = Bench::new() else { return };
    let program = bench.dir.path().join("mpm-observer");
    fs::copy(PROGRAM, &program).unwrap();
    let output = Command::new(&program)
        .args(["limit", "--find", "nofile", "--out"])
        .arg(bench.out())
        .current_dir("/")
        .uid(65_534)
        .gid(65_534)
        .output()
        .unwrap();
    let error = refused(&output, 3);
    assert_eq!(error.lines().count(), 1, "{error}");
    assert!(error.contains("root is needed"), "{error}");
}
