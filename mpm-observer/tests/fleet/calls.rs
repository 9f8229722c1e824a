//! The system calls of `mpm-observer serve`, held against the unit's filter.

use std::{
    collections::BTreeSet,
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use mpm_observer::{
    httpd::{Httpd, RuntimeDir},
    scenario::Mpm,
};
use nix::sys::signal::Signal;
use rcgen::CertifiedKey;
use tokio_rustls::rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    crypto::ring,
    pki_types::{CertificateDer, ServerName},
};

use super::{
    collector::{Answers, Collector},
    unit::of_unit,
};
use crate::{
    client::{Answer, PATIENCE, Scrape},
    common::{GRACE, PROGRAM, Place, have, small, wait_until},
    serving::Serving,
};

/// The calls of a group of systemd's, and of those in it.
fn calls_of(group: &str) -> BTreeSet<String> {
    let listed = Command::new("systemd-analyze")
        .args(["syscall-filter", "--no-pager", group])
        .output()
        .unwrap();
    assert!(listed.status.success(), "{group}");
    let text = String::from_utf8(listed.stdout).unwrap();
    let mut calls = BTreeSet::new();
    for line in text.lines().skip(1).map(str::trim) {
        if line.starts_with('@') {
            calls.extend(calls_of(line));
        } else if !line.is_empty() && !line.starts_with('#') {
            calls.insert(line.to_owned());
        }
    }
    calls
}

/// The calls in a summary of strace's.
fn counted(path: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(path).unwrap();
    let rows = text
        .lines()
        .skip_while(|line| !line.starts_with("---"))
        .skip(1);
    rows.take_while(|line| !line.starts_with("---"))
        .filter_map(|line| line.split_whitespace().last().map(str::to_owned))
        .collect()
}

fn works(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok()
}

/// The program under strace, which writes to `output`.
fn traced(options: &[&str], output: &Path) -> Command {
    let mut command = Command::new("strace");
    command
        // The program stays the child that signals go to.
        .args(["--daemonize=grandchild", "--follow-forks"])
        .args(options)
        .arg("--output")
        .arg(output)
        .arg(PROGRAM);
    command
}

/// A web configuration with TLS and a password, and the scraper that has both.
struct Web {
    config: PathBuf,
    certificate: CertificateDer<'static>,
}

impl Web {
    fn write(dir: &Path) -> Self {
        let names = vec!["127.0.0.1".to_owned()];
        let CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed(names).unwrap();
        fs::write(dir.join("server.crt"), cert.pem()).unwrap();
        fs::write(dir.join("server.key"), signing_key.serialize_pem()).unwrap();
        let hash = bcrypt::hash("secret", 4).unwrap();
        let text = format!(
            "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n\
             basic_auth_users:\n  prom: {hash}\n"
        );
        let config = dir.join("web.yml");
        fs::write(&config, text).unwrap();
        let certificate = cert.der().clone();
        Self {
            config,
            certificate,
        }
    }

    fn scrape(&self, address: SocketAddr) -> Scrape {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::from(address.ip());
        let connection = ClientConnection::new(Arc::new(config), name).unwrap();
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut stream = StreamOwned::new(connection, stream);
        // prom:secret
        let request = b"GET /metrics HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\
                        Authorization: Basic cHJvbTpzZWNyZXQ=\r\n\r\n";
        stream.write_all(request).unwrap();
        let mut text = Vec::new();
        stream.read_to_end(&mut text).unwrap();
        let answer = Answer::parse(&String::from_utf8_lossy(&text)).expect("a whole answer");
        assert_eq!(answer.status, 200, "{}", answer.head);
        Scrape(answer.body)
    }

    fn wait_until(&self, serving: &Serving, what: &str, holds: impl Fn(&Scrape) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let scrape = self.scrape(serving.address);
            if holds(&scrape) {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "waited in vain until {what}\n{}",
                scrape.0
            );
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

/// A client that is slow to close what httpd has closed: a slot of prefork waits two seconds for it.
struct LateToClose {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl LateToClose {
    fn start(httpd: &Httpd) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (addr, stopped) = (httpd.addr(), stop.clone());
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                let mut stream = TcpStream::connect(addr).unwrap();
                let request = b"GET /alive.txt HTTP/1.0\r\n\r\n";
                stream.write_all(request).unwrap();
                stream.read_to_end(&mut Vec::new()).unwrap();
                std::thread::sleep(Duration::from_millis(1_500));
            }
        });
        Self { stop, thread }
    }

    fn finish(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
    }
}

#[test]
fn serve_makes_no_system_call_that_the_unit_forbids() {
    if !have("root", nix::unistd::geteuid().is_root())
        || !have("strace", works("strace"))
        || !have("systemd-analyze", works("systemd-analyze"))
    {
        return;
    }
    let Some(place) = Place::new() else { return };
    let runtime = RuntimeDir::create_in(&place.base()).unwrap();
    let (httpd, _) = place.start(&runtime, &small(Mpm::Prefork, "warm", ""));
    let collector = Collector::start(Answers::Takes);
    let web = Web::write(place.dir.path());
    let summary = place.dir.path().join("calls");
    let pid = httpd.pid().to_string();
    let config = web.config.to_str().unwrap();
    let own = ["--pid", &pid, "--web.config.file", config];
    let arguments = [&own, &collector.arguments()[..]].concat();
    let command = traced(&["--summary-only"], &summary);
    let serving = Serving::start_by(command, &arguments);
    let client = LateToClose::start(&httpd);
    web.wait_until(
        &serving,
        "mod_status has answered and a slot closes",
        |scrape| {
            scrape.get("apache_up") == Some(1.0)
                && scrape.get("httpd_slots{state=\"closing\"}") >= Some(1.0)
        },
    );
    wait_until("metrics and spans were exported", || {
        let received = collector.received.lock().unwrap();
        !received.metrics.is_empty() && !received.traces.is_empty()
    });
    client.finish();
    assert_eq!(serving.end(Signal::SIGTERM), Some(0));
    assert_eq!(httpd.stop(GRACE).unwrap().left, Vec::<u32>::new());

    // strace writes when the last thread has ended.
    wait_until("strace has written", || {
        fs::read_to_string(&summary).is_ok_and(|text| text.trim_end().ends_with("total"))
    });
    let made = counted(&summary);
    // Of the programs, of the looks, and of the privileges that it drops.
    for call in ["bpf", "openat", "pidfd_getfd", "capset"] {
        assert!(made.contains(call), "{call}: {made:?}");
    }
    let allowed: BTreeSet<String> = of_unit("SystemCallFilter")
        .into_iter()
        .flat_map(|word| match word.starts_with('@') {
            true => calls_of(&word),
            false => BTreeSet::from([word]),
        })
        .collect();
    let forbidden: Vec<&String> = made.difference(&allowed).collect();
    assert_eq!(forbidden, Vec::<&String>::new());
}

#[test]
fn that_sockets_may_not_be_looked_at_is_told_once() {
    if !have("root", nix::unistd::geteuid().is_root()) || !have("strace", works("strace")) {
        return;
    }
    let Some(place) = Place::new() else { return };
    let runtime = RuntimeDir::create_in(&place.base()).unwrap();
    let (httpd, _) = place.start(&runtime, &small(Mpm::Prefork, "warm", ""));
    let calls = place.dir.path().join("calls");
    // As a filter does.
    let options = [
        "--trace=pidfd_getfd",
        "--inject=pidfd_getfd:error=EPERM",
        "--quiet=all",
    ];
    let arguments = ["--pid", &httpd.pid().to_string(), "--no-status"];
    let serving = Serving::start_by(traced(&options, &calls), &arguments);
    let client = LateToClose::start(&httpd);
    wait_until("it was refused three times", || {
        let text = fs::read_to_string(&calls).unwrap_or_default();
        text.matches("(INJECTED)").count() >= 3
    });
    client.finish();
    let (code, lines) = serving.end_with_lines(Signal::SIGTERM);
    assert_eq!(code, Some(0));
    let told = lines.iter().filter(|line| line.contains("pidfd_getfd"));
    let told: Vec<&String> = told.collect();
    assert_eq!(told.len(), 1, "{lines:?}");
    let begin = "warn: what slots poll for cannot be looked at (pidfd_getfd: ";
    assert!(told[0].starts_with(begin), "{told:?}");
    assert_eq!(httpd.stop(GRACE).unwrap().left, Vec::<u32>::new());
}
