//! Recording a live server from the command line, and what is made of the recording.

mod common;

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    os::unix::fs::chown,
    path::Path,
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use common::{
    GRACE, PROGRAM, Place,
    capabilities::assert_only_kept,
    client::{get, load},
    debian::DebianHttpd,
    have, small, wait_until,
};
use mpm_observer::{
    correlate::{RunAnalysis, ServerSide, load_run},
    httpd::{Role, RuntimeDir, ServerStatus},
    privileges::{FOR_OTHER_DIRECTORIES, FOR_OTHER_NETWORKS},
    recording::{Ended, RunDir, Status, TaskRow},
    scenario::Mpm,
};
use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// How long a recording may take to come to its end on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A recording under way.
struct Recording {
    child: Child,
    out: std::path::PathBuf,
}

impl Recording {
    fn start(pid: u32, out: &Path, more: &[&str]) -> Self {
        let child = Command::new(PROGRAM)
            .args(["record", "--pid", &pid.to_string(), "--out"])
            .arg(out)
            .args(more)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            child,
            out: out.to_owned(),
        }
    }

    /// Returns when the probes are attached.
    fn wait_until_attached(&self) {
        // This table is made when the others are.
        wait_until("the recording has begun", || {
            self.out.join("slots").exists()
        });
    }

    fn interrupt(&self) {
        let pid = Pid::from_raw(self.child.id().cast_signed());
        kill(pid, Signal::SIGINT).unwrap();
    }

    fn end(mut self) -> (Option<i32>, String, String) {
        let deadline = Instant::now() + PATIENCE;
        while self.child.try_wait().unwrap().is_none() {
            assert!(Instant::now() < deadline, "the recording does not end");
            thread::sleep(Duration::from_millis(20));
        }
        let (mut stdout, mut stderr) = (String::new(), String::new());
        let streams = (self.child.stdout.take(), self.child.stderr.take());
        streams.0.unwrap().read_to_string(&mut stdout).unwrap();
        streams.1.unwrap().read_to_string(&mut stderr).unwrap();
        (self.child.wait().unwrap().code(), stdout, stderr)
    }
}

fn run(arguments: &[&str], path: &Path) -> Output {
    let mut command = Command::new(PROGRAM);
    command.args(arguments).arg(path).stdin(Stdio::null());
    command.output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn accesses(httpd: &DebianHttpd) -> u64 {
    let page = httpd
        .network()
        .within(|| get(httpd.addr(), "/server-status?auto"));
    let status = ServerStatus::parse(&page).expect("a page of mod_status");
    status.total_accesses.expect("ExtendedStatus")
}

fn recorded(out: &Path) -> RunAnalysis {
    load_run(&RunDir::at(out)).unwrap()
}

#[test]
fn it_records_with_nothing_but_the_privileges_that_watching_and_writing_need() {
    const ANOTHER: u32 = 65_534;
    let Some(httpd) = DebianHttpd::start(Mpm::Event) else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let of_another = dir.path().join("another's");
    fs::create_dir(&of_another).unwrap();
    chown(&of_another, Some(ANOTHER), None).unwrap();
    // It lies in a network of its own.
    let new = (dir.path().join("new"), &[FOR_OTHER_NETWORKS][..]);
    let both = [FOR_OTHER_NETWORKS, FOR_OTHER_DIRECTORIES];
    for (out, more) in [new, (of_another, &both)] {
        let recording = Recording::start(httpd.pid(), &out, &["--duration", "10m"]);
        recording.wait_until_attached();
        assert_only_kept(recording.child.id(), more);
        httpd.network().within(|| load(httpd.addr(), 50, 1, false));
        recording.interrupt();
        let (code, stdout, stderr) = recording.end();
        assert_eq!(code, Some(0), "{stdout}{stderr}");
        assert_eq!(recorded(&out).manifest.status, Status::Complete);
    }
    httpd.stop();
}

fn what_is_served_is_recorded(mpm: Mpm) {
    const KEPT: u64 = 3000;
    const EACH: u64 = 500;
    let Some(httpd) = DebianHttpd::start(mpm) else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("recording");
    let recording = Recording::start(
        httpd.pid(),
        &out,
        &["--duration", "10m", "--trace", "100ms"],
    );
    recording.wait_until_attached();
    let before = accesses(&httpd);
    httpd.network().within(|| {
        load(httpd.addr(), KEPT, 16, true);
        load(httpd.addr(), EACH, 8, false);
    });
    let after = accesses(&httpd);
    recording.interrupt();
    let (code, stdout, stderr) = recording.end();
    assert_eq!(code, Some(0), "{stdout}{stderr}");
    assert!(stdout.contains("ended early"), "{stdout}");
    assert!(!stdout.contains("not answered"), "{stdout}");
    assert!(stdout.contains("next: mpm-observer report"), "{stdout}");

    // mod_status counts the first look itself between the two, and not yet the second one.
    assert_eq!(after - before, KEPT + EACH + 1);
    let run = recorded(&out);
    let side = ServerSide::of(&run.kernel);
    assert_eq!(side.answered, KEPT + EACH + 2, "{mpm}");
    assert_eq!((side.unanswered, side.touched), (0, 0));
    assert!(run.unreadable.is_empty(), "{:?}", run.unreadable);
    assert!(run.manifest.counters.balanced() && run.manifest.counters.lost() == 0);
    assert_eq!(run.manifest.status, Status::Complete);
    let live = run.manifest.live().expect("a live server");
    assert_eq!((live.pid, live.ended), (httpd.pid(), Ended::Interrupted));
    assert!(live.attached_ns != 0 && live.attached_ns < live.ended_ns);
    assert!(run.manifest.httpd_version.starts_with("Apache/2.4"));
    assert_eq!(run.manifest.httpd_user, "www-data");
    // ListenBacklog 511, or less by somaxconn; asked of its own network.
    let limits = run.samples.iter().filter_map(|row| row.accept_queue_limit);
    assert!(limits.max().is_some_and(|limit| (1..=511).contains(&limit)));
    let of_tasks: u64 = run.ends.iter().map(|row| row.requests).sum();
    assert_eq!(of_tasks, side.answered);
    let server = if mpm.is_threaded() {
        Role::Worker
    } else {
        Role::Child
    };
    let serves = |row: &&TaskRow| row.requests > 0;
    assert!(
        run.ends
            .iter()
            .filter(serves)
            .all(|row| row.role == server.name())
    );
    assert!(run.samples.len() > 1 && !run.memory.is_empty() && !run.slots.is_empty());
    assert!(run.manifest.trace.is_some());

    let report = run_report(&out);
    for of_trace in ["trace.png", "trace.perfetto-trace"] {
        let bytes = fs::metadata(out.join("report").join(of_trace))
            .unwrap()
            .len();
        assert!(bytes > 0, "{of_trace}");
    }
    assert!(
        report.contains(&format!("{} requests answered", "3,502")),
        "{report}"
    );
    let explained = self::run(&["explain"], &out);
    assert_eq!(
        explained.status.code(),
        Some(0),
        "{}",
        text(&explained.stderr)
    );
    let explained = text(&explained.stdout);
    assert!(
        explained.contains(&format!("{mpm}: no failure is known")),
        "{explained}"
    );
}

/// Makes the report and checks that all of it is there; returns the summary.
fn run_report(out: &Path) -> String {
    let made = run(&["report"], out);
    assert_eq!(made.status.code(), Some(0), "{}", text(&made.stderr));
    let html = fs::read_to_string(out.join("report/report.html")).unwrap();
    assert!(!html.contains("could not be drawn"), "a chart is missing");
    for chart in ["phases", "times", "course", "slots", "resources"] {
        assert!(out.join(format!("report/{chart}.png")).exists(), "{chart}");
    }
    assert!(out.join("report/report.md").exists());
    let json = fs::read_to_string(out.join("report/server.json")).unwrap();
    let figures: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert!(figures["requests"]["answered"].is_u64(), "{json}");
    text(&made.stdout)
}

#[test]
fn what_prefork_serves_is_recorded() {
    what_is_served_is_recorded(Mpm::Prefork);
}

#[test]
fn what_worker_serves_is_recorded() {
    what_is_served_is_recorded(Mpm::Worker);
}

#[test]
fn what_event_serves_is_recorded() {
    what_is_served_is_recorded(Mpm::Event);
}

/// A connection that has sent these bytes.
fn sender_of(addr: SocketAddr, bytes: &str) -> TcpStream {
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(bytes.as_bytes()).unwrap();
    stream
}

/// Of a private httpd, whose ten slots wait for the rest of a head each while two clients wait.
fn slots_that_were_taken_are_what_went_wrong(mpm: Mpm) {
    const SLOTS: u64 = 10;
    /// From here on a wait is a long one.
    const LONG_NS: u64 = 1_000_000_000;
    if !have("root", nix::unistd::geteuid().is_root()) {
        return;
    }
    let Some(place) = Place::new() else { return };
    let runtime = RuntimeDir::create_in(&place.base()).unwrap();
    let (httpd, _) = place.start(&runtime, &small(mpm, "warm", ""));
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("recording");
    let recording = Recording::start(httpd.pid(), &out, &["--duration", "10m"]);
    recording.wait_until_attached();

    let held: Vec<TcpStream> = (0..SLOTS)
        .map(|_| sender_of(httpd.addr(), "GET /alive.txt HTTP/1.1\r\nHost: t"))
        .collect();
    let whole = "GET /alive.txt HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n";
    let mut waiting = [(); 2].map(|()| sender_of(httpd.addr(), whole));
    let ports = waiting
        .each_ref()
        .map(|stream| stream.local_addr().unwrap().port());
    // This is their wait.
    thread::sleep(Duration::from_nanos(2 * LONG_NS));
    drop(held);
    for stream in &mut waiting {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    recording.interrupt();
    let (code, stdout, stderr) = recording.end();
    assert_eq!(code, Some(0), "{stdout}{stderr}");
    let line = stdout.lines().find(|line| line.starts_with("went wrong: "));
    let line = line.unwrap_or_else(|| panic!("{stdout}"));
    let told = format!("(mpm-observer explain {})", out.display());
    assert!(
        line.contains("slots taken") && line.ends_with(&told),
        "{line}"
    );

    let run = recorded(&out);
    assert_eq!(run.manifest.live().unwrap().pid, httpd.pid());
    for port in ports {
        let row = run.kernel.iter().find(|row| row.remote_port == port);
        let row = row.unwrap_or_else(|| panic!("no request from port {port}"));
        assert!(row.pickup_ns - row.arrival_ns >= LONG_NS, "{row:?}");
    }
    run_report(&out);
    let explained = text(&self::run(&["explain"], &out).stdout);
    let report = fs::read_to_string(out.join("report/report.md")).unwrap();
    for text in [explained, report] {
        // They are broken into lines.
        let text: Vec<&str> = text.split_whitespace().collect();
        let text = text.join(" ");
        for words in [
            "before a task read from them",
            "because all 10 slots that existed waited for the rest of a request's head",
            "RequestReadTimeout",
        ] {
            assert!(text.contains(words), "{words}: {text}");
        }
    }
    assert_eq!(httpd.stop(GRACE).unwrap().left, Vec::<u32>::new());
}

#[test]
fn slots_of_prefork_that_were_taken_are_what_went_wrong() {
    slots_that_were_taken_are_what_went_wrong(Mpm::Prefork);
}

#[test]
fn slots_of_worker_that_were_taken_are_what_went_wrong() {
    slots_that_were_taken_are_what_went_wrong(Mpm::Worker);
}

#[test]
fn slots_of_event_that_were_taken_are_what_went_wrong() {
    slots_that_were_taken_are_what_went_wrong(Mpm::Event);
}

#[test]
fn a_server_that_ends_leaves_what_was_recorded() {
    let Some(httpd) = DebianHttpd::start(Mpm::Event) else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("recording");
    let recording = Recording::start(httpd.pid(), &out, &["--duration", "10m"]);
    recording.wait_until_attached();
    httpd.network().within(|| load(httpd.addr(), 200, 4, true));
    httpd.stop();
    let (code, stdout, stderr) = recording.end();
    assert_eq!(code, Some(0), "{stdout}{stderr}");
    assert!(
        stdout.contains("httpd ended while it was recorded"),
        "{stdout}"
    );
    let run = recorded(&out);
    assert_eq!(ServerSide::of(&run.kernel).answered, 200);
    assert_eq!(run.manifest.live().unwrap().ended, Ended::ServerGone);
    assert!(run.ends.iter().all(|row| !row.alive), "{:?}", run.ends);
    assert!(run_report(&out).contains("200 requests answered"));
    let explained = self::run(&["explain"], &out);
    let told = text(&explained.stdout);
    assert!(
        told.contains("which was stopped while it was recorded")
            && told.contains("event: no failure is known"),
        "{told}"
    );
}

#[test]
fn a_time_in_which_nothing_is_served_says_so_and_is_kept() {
    let Some(httpd) = DebianHttpd::start(Mpm::Prefork) else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("recording");
    let recording = Recording::start(httpd.pid(), &out, &["--duration", "300ms"]);
    let (code, _, stderr) = recording.end();
    assert_eq!(code, Some(7), "{stderr}");
    assert!(stderr.contains("nothing was served on port 80"), "{stderr}");
    assert!(run_report(&out).contains("nothing was served on port 80"));
}

#[test]
fn what_cannot_be_recorded_is_said_in_one_line_with_a_code_of_its_own() {
    let Some(httpd) = DebianHttpd::start(Mpm::Event) else {
        return;
    };
    let Some(_other) = DebianHttpd::start(Mpm::Event) else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let expect = |recorded: Output, code: i32, words: &str| {
        let stderr = text(&recorded.stderr);
        assert_eq!(recorded.status.code(), Some(code), "{stderr}");
        assert!(stderr.contains(words), "{stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
    };
    let record = |more: &[&str], out: &Path| {
        let mut arguments = vec!["record"];
        arguments.extend(more);
        arguments.push("--out");
        run(&arguments, out)
    };
    let new = dir.path().join("new");
    // At least the two of this test.
    expect(record(&[], &new), 6, "several httpds");
    // This test is no httpd.
    let own = std::process::id().to_string();
    expect(record(&["--pid", &own], &new), 5, "httpd");
    let pid = httpd.pid().to_string();
    fs::write(dir.path().join("kept"), "kept").unwrap();
    expect(record(&["--pid", &pid], dir.path()), 2, "is not empty");
    let none = dir.path().join("kept/below");
    expect(record(&["--pid", &pid], &none), 2, "kept/below");
    assert!(!new.exists());
}

#[test]
fn a_recording_that_cannot_begin_leaves_nothing_behind() {
    let Some(httpd) = DebianHttpd::start(Mpm::Event) else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let record = |out: &Path| {
        // Enough to look at httpd, too few for the programs and their maps.
        let recorded = Command::new("prlimit")
            .args(["--nofile=24", PROGRAM, "record", "--pid"])
            .arg(httpd.pid().to_string())
            .arg("--out")
            .arg(out)
            .output()
            .unwrap();
        let stderr = text(&recorded.stderr);
        assert_eq!(recorded.status.code(), Some(3), "{stderr}");
        assert!(stderr.contains("Too many open files"), "{stderr}");
        // It had begun.
        assert!(stderr.contains("recording "), "{stderr}");
    };
    let new = dir.path().join("new");
    record(&new);
    assert!(!new.exists());
    record(&dir.path().join("new/and/below"));
    record(dir.path());
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_full_disk_ends_the_recording_and_what_was_written_is_readable() {
    let Some(httpd) = DebianHttpd::start(Mpm::Event) else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let small = Some("size=3m");
    mount(
        Some("tmpfs"),
        dir.path(),
        Some("tmpfs"),
        MsFlags::empty(),
        small,
    )
    .unwrap();
    let out = dir.path().join("recording");
    let mut recording = Recording::start(httpd.pid(), &out, &["--duration", "10m"]);
    recording.wait_until_attached();
    let deadline = Instant::now() + PATIENCE;
    while recording.child.try_wait().unwrap().is_none() {
        assert!(Instant::now() < deadline, "nothing ends the recording");
        httpd.network().within(|| load(httpd.addr(), 2000, 8, true));
    }
    let (code, stdout, stderr) = recording.end();
    assert_eq!(code, Some(4), "{stdout}{stderr}");
    assert!(
        stderr.contains("the recording cannot be written"),
        "{stderr}"
    );
    let kept = recorded(&out);
    assert!(!kept.kernel.is_empty());
    umount2(dir.path(), MntFlags::MNT_DETACH).unwrap();
}
