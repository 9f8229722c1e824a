//! `top --once` as scripts use it.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    process::{Child, ChildStderr, Command, Stdio},
};

use loadgen::{Config, Outcome, Progress};
use mpm_observer::{live::SlotState, scenario::Mpm};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

use crate::{
    common::{
        NEVER, PROGRAM, alive,
        capabilities::assert_only_kept,
        debian::{DebianHttpd, Differently},
        have, kill_9, wait_until,
        watched::exchange,
    },
    watching::{HALF_HEAD, SLOTS, Stand, Watching},
};

/// `top --once` on a server, that measures already.
struct Once {
    child: Child,
    said: BufReader<ChildStderr>,
}

struct Ended {
    code: Option<i32>,
    out: String,
    said: String,
}

impl Once {
    fn start(pid: u32, arguments: &[&str]) -> Self {
        let pid = pid.to_string();
        let mut child = Command::new(PROGRAM)
            .args(["top", "--once", "--pid", &pid])
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        said.read_line(&mut line).unwrap();
        assert!(line.contains("watching httpd"), "{line}");
        Self { child, said }
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).unwrap();
    }

    fn end(mut self) -> Ended {
        let mut out = String::new();
        self.child
            .stdout
            .take()
            .unwrap()
            .read_to_string(&mut out)
            .unwrap();
        let mut said = String::new();
        self.said.read_to_string(&mut said).unwrap();
        Ended {
            code: self.child.wait().unwrap().code(),
            out,
            said,
        }
    }
}

fn number(value: &Value) -> u64 {
    value
        .as_u64()
        .unwrap_or_else(|| panic!("{value} is no number"))
}

/// The finding of a rule in a picture.
fn finding<'a>(picture: &'a Value, rule: &str) -> &'a Value {
    let findings = picture["findings"].as_array().unwrap();
    let found = findings.iter().find(|finding| finding["rule"] == rule);
    found.unwrap_or_else(|| panic!("no {rule} in {findings:#?}"))
}

/// Waits until the server has closed its side of all connections of a port: then the kernel has told
/// their last requests.
fn wait_until_closed(port: u16) {
    // ESTABLISHED and CLOSE_WAIT, and the address as the kernel writes it.
    let open = ["01", "08"];
    let port = format!(":{port:04X}");
    wait_until("all connections are closed", || {
        let table = fs::read_to_string("/proc/net/tcp").unwrap();
        let mut fields = table.lines().map(|line| line.split_whitespace());
        !fields.any(|mut fields| {
            let is_ours = fields.nth(1).is_some_and(|local| local.ends_with(&port));
            is_ours && fields.nth(1).is_some_and(|state| open.contains(&state))
        })
    });
}

fn figures_are_those_of_the_load_generator(mpm: Mpm) {
    const REQUESTS: u64 = 400;
    let Some((stand, _)) = Stand::start(mpm, "") else {
        return;
    };
    let once = Once::start(stand.httpd().pid(), &["--json", "--window", "1h"]);
    let mut config = Config::new(stand.target(&stand.body(1_000)));
    config.requests = Some(REQUESTS);
    config.concurrency = 4;
    config.keep_alive = true;
    let summary = loadgen::run(&config, None, &Progress::default(), &NEVER).unwrap();
    assert_eq!(summary.outcomes.get(Outcome::Ok), REQUESTS);
    wait_until_closed(stand.httpd().addr().port());
    once.signal(Signal::SIGINT);
    let ended = once.end();
    assert_eq!(ended.code, Some(130), "{}", ended.said);

    let picture: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(picture["version"], 1);
    assert_eq!(picture["server"]["pid"], stand.httpd().pid());
    assert_eq!(picture["server"]["mpm"], mpm.name());
    let requests = &picture["requests"];
    for field in ["answered", "picked_up"] {
        assert_eq!(number(&requests[field]), REQUESTS, "{field}");
    }
    assert_eq!(number(&requests["unanswered"]), 0);
    assert_eq!(number(&requests["bytes_out"]), summary.bytes_received);
    assert_eq!(number(&requests["latency"]["count"]), REQUESTS);
    let connections = &picture["connections"];
    assert_eq!(
        number(&connections["established"]),
        summary.connections_opened
    );
    assert_eq!(number(&connections["open"]), 0);
    let waits = number(&picture["accept_queue"]["wait"]["count"]);
    assert_eq!(waits, summary.connections_opened);

    // The server's part lies within the client's, and its phases sum to it.
    let spread = |value: &Value, field: &str| number(&value[field]);
    let latency = &requests["latency"];
    let times = ["p50_ns", "p99_ns", "p999_ns", "max_ns"].map(|name| spread(latency, name));
    assert!(times.is_sorted() && times[0] > 0, "{times:?}");
    assert!(times[3] <= summary.wall_ns, "{times:?}");
    let phases = requests["phases"].as_array().unwrap();
    let shares: f64 = phases
        .iter()
        .map(|phase| phase["share"].as_f64().unwrap())
        .sum();
    // The report holds the residual of a request under a hundredth.
    assert!((shares - 1.0).abs() < 0.01, "{shares}");
    let each = &requests["each"];
    assert!(each["on_cpu_ns"].as_f64().unwrap() > 0.0, "{each}");

    let slots = &picture["slots"];
    assert_eq!(number(&slots["total"]), u64::from(SLOTS));
    let by_state = slots["by_state"].as_object().unwrap();
    assert_eq!(by_state.len(), SlotState::ALL.len());
    let sum: u64 = by_state.values().map(number).sum();
    assert_eq!(sum, u64::from(SLOTS));
    assert_eq!(picture["tasks"].as_array().unwrap().len(), SLOTS as usize);
    assert_eq!(number(&picture["observer"]["lost"]), 0);
    assert_eq!(number(&picture["observer"]["records"]), REQUESTS);
    assert!(number(&picture["observer"]["cpu_ns"]) > 0);
    stand.stop();
}

#[test]
fn figures_of_prefork_are_those_of_the_load_generator() {
    figures_are_those_of_the_load_generator(Mpm::Prefork);
}

#[test]
fn figures_of_worker_are_those_of_the_load_generator() {
    figures_are_those_of_the_load_generator(Mpm::Worker);
}

#[test]
fn figures_of_event_are_those_of_the_load_generator() {
    figures_are_those_of_the_load_generator(Mpm::Event);
}

fn a_killed_child_and_taken_slots_are_findings(mpm: Mpm) {
    let Some((stand, kernel)) = Stand::start(mpm, "") else {
        return;
    };
    let watching = Watching::start(kernel, stand.httpd().pid());
    let once = Once::start(stand.httpd().pid(), &["--json", "--window", "1h"]);
    let tasks = stand.httpd().tasks().unwrap();
    let child = tasks.iter().find(|task| task.ppid == stand.httpd().pid());
    let child = child.unwrap().pid;
    kill_9(child);
    wait_until("the child has ended", || !alive(child));

    // Where slots went with the child, these wait until there are new ones.
    let _held = stand.hold(HALF_HEAD, SLOTS, "/alive.txt");
    watching.wait_for_states(&[(SlotState::ReadingClient, SLOTS)]);
    let waiting = [(); 2].map(|()| {
        let mut stream = TcpStream::connect(stand.httpd().addr()).unwrap();
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
        stream
    });
    watching.wait_for("two that wait", |look| look.connections.unread == 2);
    once.signal(Signal::SIGINT);
    let ended = once.end();
    drop(waiting);
    assert_eq!(ended.code, Some(130), "{}", ended.said);

    let picture: Value = serde_json::from_str(&ended.out).unwrap();
    let taken = finding(&picture, "slots-taken");
    let text = taken["text"].as_str().unwrap();
    let begin = "all 10 slots were taken, most of which waited for the rest of a request's head, \
                 while up to ";
    let rest = text.strip_prefix(begin).unwrap_or_else(|| panic!("{text}"));
    // More of them while the slots of the killed child were not there again.
    let waited: u32 = rest.split(' ').next().unwrap().parse().unwrap();
    assert!(waited >= 2 && rest.contains("connections waited"), "{text}");
    assert!(number(&taken["count"]) > 0, "{taken}");
    let killed = finding(&picture, "killed");
    assert_eq!(killed["text"], "1 process ended by SIGKILL");
    assert_eq!(number(&killed["count"]), 1);
    let evidence = killed["evidence"].as_str().unwrap();
    assert!(
        evidence.contains(&format!("(process {child})")),
        "{evidence}"
    );
    drop(watching);
    stand.stop();
}

#[test]
fn a_killed_child_and_taken_slots_of_prefork_are_findings() {
    a_killed_child_and_taken_slots_are_findings(Mpm::Prefork);
}

#[test]
fn a_killed_child_and_taken_slots_of_worker_are_findings() {
    a_killed_child_and_taken_slots_are_findings(Mpm::Worker);
}

#[test]
fn a_killed_child_and_taken_slots_of_event_are_findings() {
    a_killed_child_and_taken_slots_are_findings(Mpm::Event);
}

fn a_plain_debian_httpd_is_measured(mpm: Mpm, differently: Differently<'_>) {
    let Some(httpd) = DebianHttpd::start_as(mpm, differently) else {
        return;
    };
    let once = Once::start(httpd.pid(), &["--json", "--window", "1h"]);
    for _ in 0..3 {
        let addr = httpd.addr();
        let mut stream = httpd.network().within(|| TcpStream::connect(addr).unwrap());
        for request in 1..=5 {
            exchange(&mut stream, "/", request == 5);
        }
        // The server's end: then the kernel has told the last request.
        stream.read_to_end(&mut Vec::new()).unwrap();
    }
    once.signal(Signal::SIGINT);
    let ended = once.end();
    assert_eq!(ended.code, Some(130), "{}", ended.said);
    let picture: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(picture["server"]["pid"], httpd.pid());
    assert_eq!(picture["server"]["mpm"], mpm.name());
    assert_eq!(number(&picture["requests"]["answered"]), 15);
    assert_eq!(number(&picture["requests"]["picked_up"]), 15);
    assert_eq!(number(&picture["connections"]["established"]), 3);
    assert_eq!(number(&picture["accept_queue"]["limit"]), 511);
    assert!(number(&picture["slots"]["total"]) > 0, "{picture}");
    httpd.stop();
}

#[test]
fn a_plain_debian_prefork_is_measured() {
    a_plain_debian_httpd_is_measured(Mpm::Prefork, Differently::default());
}

#[test]
fn a_plain_debian_worker_is_measured() {
    a_plain_debian_httpd_is_measured(Mpm::Worker, Differently::default());
}

#[test]
fn a_plain_debian_event_is_measured() {
    a_plain_debian_httpd_is_measured(Mpm::Event, Differently::default());
}

#[test]
fn a_debian_httpd_in_a_pid_namespace_is_measured() {
    let apart = Differently {
        pid_namespace: true,
        ..Differently::default()
    };
    a_plain_debian_httpd_is_measured(Mpm::Event, apart);
}

#[test]
fn a_window_that_ends_by_itself_is_printed_as_text() {
    let Some((stand, _)) = Stand::start(Mpm::Event, "") else {
        return;
    };
    let ended = Once::start(stand.httpd().pid(), &["--window", "2s"]).end();
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    for words in ["event MPM", "0 of 10 busy", "accept queue", "nothing lost"] {
        assert!(ended.out.contains(words), "{words}: {}", ended.out);
    }
    assert!(!ended.out.contains('\x1b'));
    stand.stop();
}

#[test]
fn it_watches_with_nothing_but_the_privileges_that_watching_needs() {
    let Some((stand, _)) = Stand::start(Mpm::Event, "") else {
        return;
    };
    let once = Once::start(stand.httpd().pid(), &["--window", "1h"]);
    assert_only_kept(once.child.id(), &[]);
    once.signal(Signal::SIGINT);
    assert_eq!(once.end().code, Some(130));
    stand.stop();
}

#[test]
fn the_end_of_the_server_within_the_window_is_a_failure() {
    let Some((stand, _)) = Stand::start(Mpm::Prefork, "") else {
        return;
    };
    let once = Once::start(stand.httpd().pid(), &["--json", "--window", "1h"]);
    stand.stop();
    let ended = once.end();
    assert_eq!(ended.code, Some(4), "{}", ended.said);
    assert!(ended.said.contains("has ended"), "{}", ended.said);
    assert_eq!(ended.out, "");
}

fn run(arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(PROGRAM)
        .arg("top")
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.stdout.is_empty());
    (
        output.status.code(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

#[test]
fn without_a_terminal_once_is_asked_for() {
    let (code, said) = run(&["--pid", "1"]);
    assert_eq!(code, Some(2));
    assert!(said.contains("--once"), "{said}");
}

#[test]
fn a_process_that_is_no_httpd_is_told() {
    let own = std::process::id().to_string();
    let (code, said) = run(&["--once", "--pid", &own]);
    assert_ne!(code, Some(0), "{said}");
    assert!(said.contains(&own), "{said}");
    let (code, said) = run(&["--once", "--window", "never"]);
    assert_eq!(code, Some(2), "{said}");
}

#[test]
fn a_process_that_is_not_there_is_told() {
    if !have("root", nix::unistd::geteuid().is_root()) {
        return;
    }
    // More than any kernel allows.
    let (code, said) = run(&["--once", "--pid", "99999999"]);
    assert_eq!(code, Some(5), "{said}");
    assert!(
        said.contains("process 99999999, which is not there"),
        "{said}"
    );
    let (code, said) = run(&["--once", "--unit", "mpm-observer-no-such-unit"]);
    assert_eq!(code, Some(5), "{said}");
    assert!(
        said.contains("in the unit mpm-observer-no-such-unit"),
        "{said}"
    );
    let (code, said) = run(&["--once", "--container", ""]);
    assert_eq!(code, Some(2), "{said}");
}

#[test]
fn a_port_that_the_server_does_not_listen_on_is_told_at_once() {
    let Some((stand, _)) = Stand::start(Mpm::Event, "") else {
        return;
    };
    let pid = stand.httpd().pid().to_string();
    let own = stand.httpd().addr().port();
    let other = if own == 1 { 2 } else { 1 };
    let (code, said) = run(&["--once", "--pid", &pid, "--port", &other.to_string()]);
    assert_eq!(code, Some(5), "{said}");
    let told = format!("does not listen on port {other}, but on port {own}");
    assert!(said.contains(&told), "{said}");
    stand.stop();
}

#[test]
fn an_ordinary_user_is_told_that_root_is_needed() {
    if !have("root", nix::unistd::geteuid().is_root()) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = dir.path().join("mpm-observer");
    fs::copy(PROGRAM, &program).unwrap();
    for target in [&["--pid", "1"][..], &[]] {
        let output = Command::new(&program)
            .args(["top", "--once"])
            .args(target)
            .current_dir("/")
            .uid(65_534)
            .gid(65_534)
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(3), "{said}");
        assert!(said.contains("root is needed"), "{said}");
    }
}
