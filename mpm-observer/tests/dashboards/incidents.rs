//! Every query of the dashboards and alert rules, asked of a real Prometheus that watches a server
//! of each MPM while things happen to them.

use std::{
    collections::BTreeSet,
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use mpm_observer::{
    dashboards::{Kind, Row, sources},
    prometheus::Target,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{
    alerts::rules,
    asked::{Asked, RATE_S},
    common::{PROGRAM, alive, wait_until, watched::exchange},
    tools::{promtool, text},
    watched::{Fleet, Watched},
};

/// How long all of it may take on a busy machine.
const DEADLINE: Duration = Duration::from_secs(240);
const FILE: &str = "/alive.txt";
/// Alerts that do not wait: children of each server die, the accept queue of each is full, and calls
/// of each are refused.
const AT_ONCE: [&str; 3] = [
    "HttpdChildrenDying",
    "HttpdAcceptQueueOverflowing",
    "HttpdCallsFail",
];

/// Requests on kept connections and on others.
fn ordinary_load(address: SocketAddr) {
    for _ in 0..5 {
        let mut kept = TcpStream::connect(address).unwrap();
        for _ in 0..10 {
            exchange(&mut kept, FILE, false);
        }
        exchange(&mut TcpStream::connect(address).unwrap(), FILE, true);
    }
}

/// A connection that has had an answer and stays.
fn idle_keep_alive(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    exchange(&mut stream, FILE, false);
    stream
}

/// A connection that has sent `bytes`; `None` if the server's queue takes no more.
fn sender_of(address: SocketAddr, bytes: &str) -> Option<TcpStream> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_millis(200)).ok()?;
    stream.write_all(bytes.as_bytes()).ok()?;
    Some(stream)
}

/// Its children: what the parent itself fails at would end the server.
fn children(watched: &Watched) -> BTreeSet<u32> {
    let tasks = watched.httpd().tasks().unwrap_or_default();
    let children = tasks.iter().map(|task| task.pid);
    children
        .filter(|pid| *pid != watched.httpd().pid())
        .collect()
}

/// The children may have no more files than these three: who accepts a connection is refused it and
/// gives up, until only such are left that the parent has made since.
fn run_out_of_files(servers: &[Watched]) {
    let limited: Vec<BTreeSet<u32>> = servers
        .iter()
        .map(|watched| {
            let children = children(watched);
            for pid in &children {
                // One that has just ended cannot be limited.
                let _ = watched
                    .prlimit()
                    .args(["--pid", &pid.to_string(), "--nofile=3:"])
                    .output();
            }
            children
        })
        .collect();
    for (watched, limited) in servers.iter().zip(limited) {
        wait_until("no child is left that may open nothing", || {
            drop(sender_of(watched.server, "GET / HTTP/1.0\r\n\r\n"));
            !limited.iter().any(|pid| alive(*pid))
        });
    }
}

fn crash(watched: &Watched) {
    if let Some(child) = children(watched).last().copied() {
        let _ = kill(Pid::from_raw(child.cast_signed()), Signal::SIGSEGV);
    }
}

/// One round of what can happen to a server, for all servers at once.
fn make_incidents(servers: &[Watched]) {
    for watched in servers {
        ordinary_load(watched.server);
    }
    let idle: Vec<TcpStream> = servers
        .iter()
        .flat_map(|watched| (0..6).map(|_| idle_keep_alive(watched.server)))
        .collect();
    thread::sleep(Duration::from_secs(3));
    drop(idle);

    // All slots wait for the rest of a request, and more clients come than the queue takes.
    let mut stuck = Vec::new();
    for watched in servers {
        stuck.extend((0..10).filter_map(|_| sender_of(watched.server, "GET / HTTP/1.1\r\nHo")));
        let request = format!("GET {FILE} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
        stuck.extend((0..20).map_while(|_| sender_of(watched.server, &request)));
    }
    thread::sleep(Duration::from_secs(7));
    // Who is closed with bytes unread resets the other side; the last ones are read out.
    for stream in &mut stuck {
        let _ = stream.set_read_timeout(Some(Duration::from_millis(1)));
        let _ = stream.read(&mut [0; 512]);
    }
    drop(stuck);

    servers.iter().for_each(crash);
    run_out_of_files(servers);
    // Time for another child in its place.
    thread::sleep(Duration::from_secs(2));
}

#[test]
fn every_query_of_dashboards_and_alerts_has_data_under_each_mpm() {
    let Some(fleet) = Fleet::start() else { return };
    let asked = Asked::from_now(fleet.prometheus.api());
    let began = Instant::now();
    // What is rare, such as a death, need not be seen in the first round.
    let missing = loop {
        make_incidents(&fleet.servers);
        let mut missing = asked.missing(&fleet.servers);
        for alert in AT_ONCE {
            missing.extend(asked.silent(alert, &fleet.servers));
        }
        if missing.is_empty() || began.elapsed() > DEADLINE {
            break missing;
        }
    };
    assert!(missing.is_empty(), "without data:\n{}", missing.join("\n"));

    // A scrape that comes late is an error until the next one.
    wait_until("all observers are up", || {
        let targets = asked.api.targets().unwrap();
        let is_up = |target: &Target| (&*target.health, &*target.last_error) == ("up", "");
        targets.len() == fleet.servers.len() && targets.iter().all(is_up)
    });
    let groups = asked.api.rules().unwrap();
    let groups = groups["groups"].as_array().unwrap();
    let evaluated = groups
        .iter()
        .flat_map(|group| group["rules"].as_array().unwrap());
    let evaluated: Vec<_> = evaluated.collect();
    assert_eq!(evaluated.len(), rules().len());
    for rule in evaluated {
        assert_eq!(rule["health"], "ok", "{rule}");
    }
    each_row_of_lines_can_be_drawn(&fleet);
    let exported = fleet.servers.iter().map(Watched::exported);
    exported.for_each(|metrics| promtool_finds_nothing_wrong(&metrics));
}

/// By the command in docs/dashboards.md: a picture for each row, and another one than of no data.
fn each_row_of_lines_can_be_drawn(fleet: &Fleet) {
    let dir = tempfile::tempdir().unwrap();
    let [drawn, empty] = ["drawn", "empty"].map(|name| dir.path().join(name));
    draw(fleet, &drawn, &[]);
    draw(fleet, &empty, &["--instance", "nobody"]);
    let mut names = BTreeSet::new();
    for source in sources().unwrap() {
        let has_lines = |row: &&Row| row.panels.iter().any(|panel| panel.kind == Kind::Lines);
        let rows = source.rows.iter().filter(has_lines).count();
        names.extend((1..=rows).map(|row| format!("{}-{row}.png", source.name)));
    }
    let files = fs::read_dir(&drawn).unwrap();
    let files = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    assert_eq!(files.collect::<BTreeSet<_>>(), names);
    for name in names {
        let [picture, of_nothing] = [&drawn, &empty].map(|dir| pixels(&dir.join(&name)));
        assert_ne!(picture, of_nothing, "{name} shows nothing");
    }
}

fn draw(fleet: &Fleet, dir: &Path, more: &[&str]) {
    let output = Command::new(PROGRAM)
        .args(["__dashboards", "draw", "--prometheus"])
        .arg(fleet.prometheus.address().to_string())
        .args(["--rate", &RATE_S.to_string(), "--out"])
        .arg(dir)
        .args(more)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output));
}

fn pixels(path: &Path) -> Vec<u8> {
    let file = std::io::BufReader::new(fs::File::open(path).unwrap());
    let mut reader = png::Decoder::new(file).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    reader.next_frame(&mut pixels).unwrap();
    pixels
}

/// Names that are taken over from apache_exporter are as they are there.
fn promtool_finds_nothing_wrong(metrics: &str) {
    let Some(promtool) = promtool() else { return };
    let own: String = metrics
        .lines()
        .filter(|line| !line.contains("apache_") && *line != "# EOF")
        .flat_map(|line| [line, "\n"])
        .collect();
    let mut check = Command::new(promtool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    check
        .stdin
        .take()
        .unwrap()
        .write_all(own.as_bytes())
        .unwrap();
    let output = check.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
}
