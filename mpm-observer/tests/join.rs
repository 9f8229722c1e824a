//! A server and a client on two hosts, as far as the kernel can make them so: each in a network of
//! its own behind a veth pair, the client with a `CLOCK_MONOTONIC` of its own. A private httpd and
//! its client share a network.

mod common;

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use common::{
    GRACE, PROGRAM, Place, client::load_into, debian::DebianHttpd, have, network::Network, small,
    wait_until,
};
use loadgen::RowWriter;
use mpm_observer::{
    correlate::{Phase, load_run},
    httpd::RuntimeDir,
    recording::{ClientRow, RunDir, read_table},
    scenario::Mpm,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// How far the client's clock is ahead.
const AHEAD_S: i64 = 100_000;
const SERVER: &str = "10.66.0.1";

/// Whether clocks and networks can be had.
fn can_be_two_hosts() -> bool {
    let succeeds = |program: &str, arguments: &[&str]| {
        let mut command = Command::new(program);
        command.args(arguments);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    let namespaces = ["--net", "--time", "--monotonic", "1", "--fork", "true"];
    have("root", nix::unistd::geteuid().is_root())
        && have("iproute2", succeeds("ip", &["-V"]))
        && have(
            "network and time namespaces",
            succeeds("unshare", &namespaces),
        )
}

fn ip(arguments: &str) {
    let output = Command::new("ip")
        .args(arguments.split(' '))
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {arguments}: {stderr}");
}

/// A shell on the client's host, which waits for a line and then becomes [`client_of_a_test`].
struct ClientHost {
    child: Child,
}

impl ClientHost {
    /// Behind a veth pair of the server's network; with none, in the network of this test.
    fn start(network: Option<&Network>, url_addr: SocketAddr, rows: &Path) -> Self {
        let ahead_s = AHEAD_S.to_string();
        let mut child = Command::new("unshare")
            .args(network.map(|_| "--net"))
            .args(["--time", "--monotonic", &ahead_s])
            .args(["--fork", "--kill-child", "--", "sh", "-c"])
            .arg(r#"echo ready; read go; exec "$0" --exact client_of_a_test --ignored"#)
            .arg(std::env::current_exe().unwrap())
            .env("JOIN_TEST_ADDR", url_addr.to_string())
            .env("JOIN_TEST_ROWS", rows)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let stdout = child.stdout.take().unwrap();
        let mut stdout = BufReader::new(stdout);
        stdout.read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        child.stdout = Some(stdout.into_inner());
        if let Some(network) = network {
            connect(network, child.id());
        }
        Self { child }
    }

    /// Lets it send its requests.
    fn go(mut self) {
        self.child.stdin.take().unwrap().write_all(b"go\n").unwrap();
        let output = self.child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{said}");
        assert!(said.contains("1 passed"), "{said}");
    }
}

/// Lays the veth pair between the server's network and that of the client's process.
fn connect(network: &Network, pid: u32) {
    network.within(|| {
        ip(&format!(
            "link add veth0 type veth peer name eth0 netns {pid}"
        ));
        ip(&format!("addr add {SERVER}/24 dev veth0"));
        ip("link set veth0 up");
    });
    for arguments in ["addr add 10.66.0.2/24 dev eth0", "link set eth0 up"] {
        let status = Command::new("nsenter")
            .args(["--target", &pid.to_string(), "--net", "--", "ip"])
            .args(arguments.split(' '))
            .status();
        assert!(status.unwrap().success(), "{arguments}");
    }
}

const KEPT: u64 = 2000;
const EACH: u64 = 300;

/// No test: the client, started on its host by the others.
#[test]
#[ignore = "other tests run this as a process of its own"]
fn client_of_a_test() {
    let addr: SocketAddr = std::env::var("JOIN_TEST_ADDR").unwrap().parse().unwrap();
    let dir = PathBuf::from(std::env::var_os("JOIN_TEST_ROWS").unwrap());
    for (name, requests, keep_alive) in [("kept.bin", KEPT, true), ("each.bin", EACH, false)] {
        let rows = RowWriter::new(fs::File::create(dir.join(name)).unwrap());
        load_into(Some(Box::new(rows)), addr, requests, 8, keep_alive);
    }
}

/// The server's side, whichever httpd it is, and where all is written.
struct Hosts {
    pid: u32,
    dir: tempfile::TempDir,
}

impl Hosts {
    fn of(pid: u32) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("rows")).unwrap();
        Self { pid, dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Records the server while the client asks `addr`, from behind this network if there is one.
    fn record(&self, network: Option<&Network>, addr: SocketAddr) {
        let client = ClientHost::start(network, addr, &self.path("rows"));
        let server = self.path("server");
        let recording = Command::new(PROGRAM)
            .args(["record", "--pid", &self.pid.to_string()])
            .args(["--duration", "10m", "--out"])
            .arg(&server)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        wait_until("the recording has begun", || server.join("slots").exists());
        client.go();
        let pid = Pid::from_raw(recording.id().cast_signed());
        kill(pid, Signal::SIGINT).unwrap();
        let output = recording.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
    }

    fn join(&self) -> Output {
        let mut command = Command::new(PROGRAM);
        command.arg("join").arg(self.path("server"));
        command
            .arg(self.path("rows"))
            .arg("--out")
            .arg(self.path("joined"));
        command.output().unwrap()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What has been recorded of both sides is joined request by request.
fn both_sides_are_joined_and_the_offset_of_their_clocks_is_found(hosts: &Hosts) {
    let output = hosts.join();
    let stdout = text(&output.stdout);
    assert_eq!(
        output.status.code(),
        Some(0),
        "{stdout}{}",
        text(&output.stderr)
    );
    assert!(
        stdout.contains("joined 2,300 of 2,300 successful requests (100.00 %)"),
        "{stdout}"
    );

    let run = load_run(&RunDir::at(&hosts.path("joined"))).unwrap();
    let client = run.manifest.live().unwrap().client.clone().unwrap();
    for point in &client.offset.at {
        let wrong_ns = point.offset_ns.abs_diff(AHEAD_S * 1_000_000_000);
        assert!(
            wrong_ns <= point.bound_ns,
            "off by {wrong_ns} ns: {point:?}"
        );
    }
    assert_eq!(client.offset.contradicting, 0);
    assert_eq!(run.join.pairs.len() as u64, KEPT + EACH);
    assert_eq!(run.phases().len() as u64, KEPT + EACH);
    // Each request begins within the recording of the server.
    let (begin_ns, end_ns) = run.load_ns();
    assert!(
        run.client
            .iter()
            .all(|row| (begin_ns..end_ns).contains(&row.start_ns))
    );
    // What is on the way takes some time in both directions, and not less than nothing by more
    // than the bound.
    let bound_ns = client.offset.bound_ns();
    for pair in &run.join.pairs {
        let (client, kernel) = (&run.client[pair.client], &run.kernel[pair.kernel]);
        assert!(
            client.sent_ns <= kernel.arrival_ns + bound_ns,
            "{client:?} {kernel:?}"
        );
        assert!(
            client.first_byte_ns + bound_ns >= kernel.pickup_ns,
            "{client:?} {kernel:?}"
        );
    }
    assert!(
        run.phases()
            .iter()
            .any(|phases| phases.get(Phase::ToServer) > 0)
    );

    let mut report = Command::new(PROGRAM);
    let made = report
        .arg("report")
        .arg(hosts.path("joined"))
        .output()
        .unwrap();
    assert_eq!(made.status.code(), Some(0), "{}", text(&made.stderr));
    let page = fs::read_to_string(hosts.path("joined/report/report.md")).unwrap();
    assert!(page.contains("ahead of the server's"), "{page}");
    assert!(
        page.contains("| to server |") && page.contains(" \u{b1} "),
        "{page}"
    );
    // What was joined is not joined once more.
    let mut again = Command::new(PROGRAM);
    again
        .arg("join")
        .arg(hosts.path("joined"))
        .arg(hosts.path("rows"));
    let again = again
        .arg("--out")
        .arg(hosts.path("again"))
        .output()
        .unwrap();
    assert_eq!(again.status.code(), Some(2), "{}", text(&again.stderr));
    // The rows of the client are those that it wrote, on the other clock.
    let rows = read_table::<ClientRow>(&hosts.path("joined")).unwrap().rows;
    assert_eq!(rows.len() as u64, KEPT + EACH);
}

fn two_hosts_are_joined(mpm: Mpm) {
    if !can_be_two_hosts() {
        return;
    }
    let Some(httpd) = DebianHttpd::start(mpm) else {
        return;
    };
    let hosts = Hosts::of(httpd.pid());
    let addr = SocketAddr::new(SERVER.parse().unwrap(), 80);
    hosts.record(Some(httpd.network()), addr);
    both_sides_are_joined_and_the_offset_of_their_clocks_is_found(&hosts);
}

#[test]
fn a_host_of_prefork_and_its_clients_are_joined() {
    two_hosts_are_joined(Mpm::Prefork);
}

#[test]
fn a_host_of_worker_and_its_clients_are_joined() {
    two_hosts_are_joined(Mpm::Worker);
}

#[test]
fn a_host_of_event_and_its_clients_are_joined() {
    two_hosts_are_joined(Mpm::Event);
}

#[test]
fn a_private_httpd_and_its_client_are_joined() {
    if !can_be_two_hosts() {
        return;
    }
    let Some(place) = Place::new() else { return };
    let runtime = RuntimeDir::create_in(&place.base()).unwrap();
    // Event may close a kept connection on which a request is under way, which is then sent again.
    let mut plan = small(Mpm::Worker, "warm", "");
    // The client asks for it, and a private httpd has no page there.
    plan.server.extra_directives = [
        "<LocationMatch \"^/$\">",
        "SetHandler server-status",
        "</LocationMatch>",
    ]
    .map(String::from)
    .into();
    let (httpd, _) = place.start(&runtime, &plan);
    let hosts = Hosts::of(httpd.pid());
    hosts.record(None, httpd.addr());
    both_sides_are_joined_and_the_offset_of_their_clocks_is_found(&hosts);
    assert_eq!(httpd.stop(GRACE).unwrap().left, Vec::<u32>::new());
}

/// Passes bytes on in both directions, for as many connections as come.
fn proxy(listener: &TcpListener, to: SocketAddr) {
    fn pass(mut from: TcpStream, mut to: TcpStream) {
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(std::net::Shutdown::Write);
    }
    for client in listener.incoming() {
        let Ok(client) = client else { return };
        let Ok(server) = TcpStream::connect(to) else {
            return;
        };
        let (back_from, back_to) = (server.try_clone().unwrap(), client.try_clone().unwrap());
        std::thread::spawn(move || pass(client, server));
        std::thread::spawn(move || pass(back_from, back_to));
    }
}

#[test]
fn what_passes_through_a_proxy_is_said_to_be_not_joinable() {
    if !can_be_two_hosts() {
        return;
    }
    let Some(httpd) = DebianHttpd::start(Mpm::Event) else {
        return;
    };
    let hosts = Hosts::of(httpd.pid());
    let (server, port) = (httpd.addr(), 8080);
    // On the server's host, as a load balancer would be; it lasts as long as this program.
    let listener = httpd
        .network()
        .within(|| TcpListener::bind(("0.0.0.0", port)).unwrap());
    httpd.network().within(|| {
        std::thread::spawn(move || proxy(&listener, server));
    });
    let addr = SocketAddr::new(SERVER.parse().unwrap(), port);
    hosts.record(Some(httpd.network()), addr);
    let output = hosts.join();
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(8), "{stderr}");
    assert!(
        stderr.contains("the client called 10.66.0.1:8080, the server was called at 127.0.0.1:80"),
        "{stderr}"
    );
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(!hosts.path("joined/manifest.json").exists());
}
