//! Workers that are machines of their own as far as the kernel can make them so: each in
//! a network namespace behind a veth pair, and with a CLOCK_MONOTONIC of its own.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use loadgen::clock::monotonic_ns;
use loadgen::{Outcome, Row};
use nix::sched::{CloneFlags, unshare};

use crate::common::{OK, Server};
use crate::processes::{Files, Process, coordinator, text};

/// How far the workers' clocks are ahead of this machine's.
const AHEAD_S: [i64; 2] = [100_000, 7];

/// Whether a test can run that needs `what`. If not, the test says so and is to return at once;
/// with `MPM_OBSERVER_REQUIRE_ALL=1`, as in continuous integration, it fails.
fn have(what: &str, present: bool) -> bool {
    if !present {
        let required = std::env::var_os("MPM_OBSERVER_REQUIRE_ALL").is_some_and(|v| v == "1");
        assert!(
            !required,
            "this test needs {what}, and MPM_OBSERVER_REQUIRE_ALL is set"
        );
        // Not println!, which is shown only for tests that fail.
        let _ = writeln!(std::io::stderr(), "SKIPPED: {what} is missing");
    }
    present
}

fn succeeds(program: &str, args: &[&str]) -> bool {
    let status = Command::new(program)
        .args(args)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}

fn ip(args: &str) {
    let words: Vec<&str> = args.split(' ').collect();
    let output = Command::new("ip").args(&words).output().expect("ip");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {args}: {stderr}");
}

/// A worker in namespaces of its own, at 10.77.N.2, reached from 10.77.N.1.
fn worker(number: usize, key: &str) -> Process {
    let mut command = Command::new("unshare");
    let ahead_s = AHEAD_S[number].to_string();
    command
        .args(["--net", "--time", "--monotonic", &ahead_s])
        .args(["--fork", "--kill-child", "--"])
        .arg(env!("CARGO_BIN_EXE_loadgen"))
        .args([
            "--worker",
            "0.0.0.0:9911",
            "--threads",
            "2",
            "--worker-key",
            key,
        ]);
    let worker = Process::spawn(command);
    let pid = worker.child.id();
    ip(&format!(
        "link add w{number} type veth peer name eth0 netns {pid}"
    ));
    ip(&format!("addr add 10.77.{number}.1/24 dev w{number}"));
    ip(&format!("link set w{number} up"));
    for args in [
        format!("ip addr add 10.77.{number}.2/24 dev eth0"),
        "ip link set eth0 up".to_owned(),
        format!("ip route add default via 10.77.{number}.1"),
    ] {
        let pid = pid.to_string();
        let mut words = vec!["--target", &pid, "--net", "--"];
        words.extend(args.split(' '));
        assert!(succeeds("nsenter", &words), "{args}");
    }
    worker
}

#[test]
fn machines_with_clocks_of_their_own_start_at_one_moment() {
    let programs = succeeds("ip", &["-V"]) && succeeds("nsenter", &["-V"]);
    if !have("root", nix::unistd::geteuid().is_root()) || !have("iproute2", programs) {
        return;
    }
    let namespaces = succeeds(
        "unshare",
        &["--net", "--time", "--monotonic", "1", "--fork", "true"],
    );
    if !have("network and time namespaces", namespaces) {
        return;
    }
    // A thread of its own leaves this program's network; what it starts goes with it.
    let tested = std::thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace");
        run_in_namespaces();
    });
    tested.join().expect("held");
}

fn run_in_namespaces() {
    ip("link set lo up");
    let files = Files::new();
    let key = files.with("key", "a secret for the test");
    let _workers = [worker(0, &key), worker(1, &key)];
    // When the first request of each connection arrived, in this machine's clock.
    let arrived = Arc::new(Mutex::new(BTreeMap::<SocketAddr, u64>::new()));
    let server = {
        let arrived = Arc::clone(&arrived);
        Server::start_on("10.77.0.1", move |mut connection| {
            let peer = connection.stream.peer_addr().expect("connected");
            while connection.request().is_some() {
                let now_ns = monotonic_ns();
                arrived
                    .lock()
                    .expect("not poisoned")
                    .entry(peer)
                    .or_insert(now_ns);
                connection.send(OK);
            }
        })
    };
    let output = coordinator(&[
        "-n",
        "2000",
        "-c",
        "8",
        "-k",
        "-q",
        "--rows",
        &files.rows,
        "--json",
        &files.json,
        "--workers",
        "10.77.0.2,10.77.1.2",
        "--worker-key",
        &key,
        &server.url(),
    ])
    .output();
    let (code, stdout, stderr) = text(output.expect("started"));
    assert_eq!((code, stderr.as_str()), (Some(0), ""), "{stdout}");

    let report = files.report();
    let rows = files.rows();
    assert_eq!(server.requests(), 2000);
    assert_eq!(rows.len(), 2000);
    assert_eq!(report.summary.outcomes.get(Outcome::Ok), 2000);
    let fleet = report.workers.expect("workers");
    for (worker, ahead_s) in fleet.workers.iter().zip(AHEAD_S) {
        let wrong_ns = worker
            .clock
            .worker_ahead_ns
            .abs_diff(ahead_s * 1_000_000_000);
        assert!(wrong_ns <= worker.clock.bound_ns, "off by {wrong_ns} ns");
        assert_eq!(worker.requests, Some(1000));
    }

    // Every thread began within the spread that is printed.
    let spread_ns = fleet.start_spread_ns.expect("known");
    let printed = format!("began at most {:.3} ms apart", spread_ns as f64 / 1e6);
    assert!(stdout.contains(&printed), "{stdout}");
    let starts: Vec<u64> = (0..4)
        .map(|thread| {
            let own = rows.iter().filter(|row| row.thread == thread);
            own.map(|row| row.start_ns).min().expect("requests")
        })
        .collect();
    let measured_ns = starts.iter().max().expect("some") - starts.iter().min().expect("some");
    assert!(measured_ns <= spread_ns, "{measured_ns} > {spread_ns}");

    // The rows are in this machine's clock, within the bound.
    let arrived = arrived.lock().expect("not poisoned");
    assert_eq!(arrived.len(), 8);
    let bound_ns = fleet.clock_bound_ns;
    for row in rows.iter().filter(|row| row.ordinal == 0) {
        let arrived_ns = arrived[&row.local()];
        check_arrival(row, arrived_ns, bound_ns);
    }
}

/// The request was sent before it arrived, and answered after that.
fn check_arrival(row: &Row, arrived_ns: u64, bound_ns: u64) {
    assert!(row.sent_ns <= arrived_ns + bound_ns, "{row:?} {arrived_ns}");
    assert!(
        row.first_byte_ns + bound_ns >= arrived_ns,
        "{row:?} {arrived_ns}"
    );
}
