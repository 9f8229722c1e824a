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
    /// Behind a veth pair of the server's network, and `commands` are run in its own one; with no
    /// network of the server's, in that of this test.
    fn start(
        network: Option<&Network>,
        url_addr: SocketAddr,
        rows: &Path,
        commands: &[&str],
    ) -> Self {
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
            connect(network, child.id(), commands);
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

/// Lays the veth pair between the server's network and that of the client's process, and runs
/// `commands` in the latter.
fn connect(network: &Network, pid: u32, commands: &[&str]) {
    network.within(|| {
        ip(&format!(
            "link add veth0 type veth peer name eth0 netns {pid}"
        ));
        ip(&format!("addr add {SERVER}/24 dev veth0"));
        ip("link set veth0 up");
    });
    let own = ["ip addr add 10.66.0.2/24 dev eth0", "ip link set eth0 up"];
    for command in own.iter().chain(commands) {
        let status = Command::new("nsenter")
            .args(["--target", &pid.to_string(), "--net", "--"])
            .args(command.split(' '))
            .status();
        assert!(status.unwrap().success(), "{command}");
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

/// The server's side, and where all is written.
struct Hosts {
    pid: u32,
    /// In a network of its own; a private httpd is not.
    httpd: Option<DebianHttpd>,
    dir: tempfile::TempDir,
}

impl Hosts {
    fn new(mpm: Mpm) -> Option<Self> {
        if !can_be_two_hosts() {
            return None;
        }
        let httpd = DebianHttpd::start(mpm)?;
        let hosts = Self::of_private(httpd.pid());
        Some(Self {
            httpd: Some(httpd),
            ..hosts
        })
    }

    /// Of a private httpd.
    fn of_private(pid: u32) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("rows")).unwrap();
        Self {
            pid,
            httpd: None,
            dir,
        }
    }

    fn httpd(&self) -> &DebianHttpd {
        self.httpd.as_ref().unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Records the server while the client asks `addr`.
    fn record(&self, addr: SocketAddr) {
        self.record_behind(&[], addr);
    }

    /// The same after these commands on the client's host.
    fn record_behind(&self, commands: &[&str], addr: SocketAddr) {
        let network = self.httpd.as_ref().map(DebianHttpd::network);
        let client = ClientHost::start(network, addr, &self.path("rows"), commands);
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
    let Some(hosts) = Hosts::new(mpm) else { return };
    hosts.record(SocketAddr::new(SERVER.parse().unwrap(), 80));
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
    plan.server.keep_alive_timeout_s = 600;
    // The client asks for it, and a private httpd has no page there.
    plan.server.extra_directives = [
        "<LocationMatch \"^/$\">",
        "SetHandler server-status",
        "</LocationMatch>",
    ]
    .map(String::from)
    .into();
    let (httpd, _) = place.start(&runtime, &plan);
    let hosts = Hosts::of_private(httpd.pid());
    hosts.record(httpd.addr());
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
    let Some(hosts) = Hosts::new(Mpm::Event) else {
        return;
    };
    let port = 8080;
    let server = hosts.httpd().addr();
    // On the server's host, as a load balancer would be; it lasts as long as this program.
    let listener = hosts
        .httpd()
        .network()
        .within(|| TcpListener::bind(("0.0.0.0", port)).unwrap());
    hosts.httpd().network().within(|| {
        std::thread::spawn(move || proxy(&listener, server));
    });
    hosts.record(SocketAddr::new(SERVER.parse().unwrap(), port));
    let output = hosts.join();
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(8), "{stderr}");
    assert!(
        stderr.contains("the client called 10.66.0.1:8080, the server was called at 127.0.0.1:80"),
        "{stderr}"
    );
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    // Nothing that was made for it is left, and what was there before is.
    assert!(!hosts.path("joined").exists());
    let join_into = |name: &str| {
        let mut command = Command::new(PROGRAM);
        command
            .args(["join".into(), hosts.path("server"), hosts.path("rows")])
            .arg("--out")
            .arg(hosts.path(name));
        assert_eq!(command.output().unwrap().status.code(), Some(8));
    };
    join_into("new/below");
    assert!(!hosts.path("new").exists());
    fs::create_dir(hosts.path("empty")).unwrap();
    join_into("empty");
    assert!(hosts.path("empty").is_dir());
}

/// Address translation by the kernel, in the network in which this is run.
const TRANSLATION: &str = "nft add table ip nat";

fn can_translate() -> bool {
    let mut command = Command::new("unshare");
    command
        .args(["--net", "--"])
        .args(TRANSLATION.split(' '))
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let succeeds = command.status().is_ok_and(|status| status.success());
    have("nft, and address translation in the kernel", succeeds)
}

/// What joining says, which is refused.
fn refusal(hosts: &Hosts) -> String {
    let output = hosts.join();
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(8), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    stderr
}

#[test]
fn a_client_that_is_masqueraded_is_said_to_be_not_joinable() {
    let Some(hosts) = Hosts::new(Mpm::Event).filter(|_| can_translate()) else {
        return;
    };
    // The client has an address of its own, and goes out by that of its host.
    let commands = [
        "ip link set lo up",
        "ip addr add 192.168.77.7/32 dev lo",
        "ip route replace 10.66.0.0/24 dev eth0 src 192.168.77.7",
        TRANSLATION,
        "nft add chain ip nat out { type nat hook postrouting priority 100; }",
        "nft add rule ip nat out oifname eth0 masquerade",
    ];
    hosts.record_behind(&commands, SocketAddr::new(SERVER.parse().unwrap(), 80));
    let said = refusal(&hosts);
    assert!(
        said.contains("192.168.77.7") && said.contains("10.66.0.2"),
        "{said}"
    );
}

#[test]
fn a_port_that_is_redirected_before_the_server_is_said_to_be_not_joinable() {
    let Some(hosts) = Hosts::new(Mpm::Event).filter(|_| can_translate()) else {
        return;
    };
    hosts.httpd().network().within(|| {
        for command in [
            TRANSLATION,
            "nft add chain ip nat in { type nat hook prerouting priority -100; }",
            "nft add rule ip nat in tcp dport 8080 redirect to :80",
        ] {
            let mut words = command.split(' ');
            let status = Command::new(words.next().unwrap()).args(words).status();
            assert!(status.unwrap().success(), "{command}");
        }
    });
    hosts.record(SocketAddr::new(SERVER.parse().unwrap(), 8080));
    let said = refusal(&hosts);
    assert!(
        said.contains("the client called 10.66.0.1:8080, the server was called at 10.66.0.1:80"),
        "{said}"
    );
}
