//! Real servers of each MPM under known load: what is exported is what was done.

use std::{
    io::Write,
    net::{SocketAddr, TcpStream},
    process::Command,
    sync::atomic::AtomicBool,
};

use mpm_observer::{
    httpd::{Httpd, RuntimeDir},
    live,
    privileges::FOR_OTHER_NETWORKS,
    scenario::Mpm,
};

use crate::{
    client::Scrape,
    common::{
        GRACE, PROGRAM, Place,
        capabilities::assert_only_kept,
        debian::{DebianHttpd, Differently},
        have, kill_9, small, wait_until,
        watched::exchange,
    },
    serving::Serving,
};

const ESTABLISHED: &str = "httpd_connections_established_total";
const ANSWERED: &str = "httpd_requests_total{outcome=\"answered\"}";
const STATUS_ANSWERED: &str = "mpm_observer_status_requests_total{outcome=\"answered\"}";
const STATUS_TIMEOUT: &str = "mpm_observer_status_requests_total{outcome=\"timeout\"}";

/// An httpd of ten slots, and the observer that serves its metrics.
struct Watched {
    serving: Serving,
    httpd: Httpd,
    runtime: RuntimeDir,
    _place: Place,
}

impl Watched {
    fn start(mpm: Mpm) -> Option<Self> {
        Self::start_at(mpm, &[])
    }

    /// One that is watched at its port and, as far as it listens there, at others.
    fn start_at(mpm: Mpm, others: &[u16]) -> Option<Self> {
        let place = Place::new()?;
        if !have("root", nix::unistd::geteuid().is_root()) {
            return None;
        }
        let runtime = RuntimeDir::create_in(&place.base()).unwrap();
        let (httpd, _) = place.start(&runtime, &small(mpm, "warm", ""));
        let mut arguments = vec!["--pid".to_owned(), httpd.pid().to_string()];
        if !others.is_empty() {
            let ports = others.iter().copied().chain([httpd.addr().port()]);
            arguments.extend(ports.flat_map(|port| ["--port".to_owned(), port.to_string()]));
        }
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let serving = Serving::start(&arguments);
        let watched = Self {
            serving,
            httpd,
            runtime,
            _place: place,
        };
        watched
            .serving
            .wait_until("mod_status has answered", |scrape| {
                scrape.get("apache_up") == Some(1.0)
            });
        Some(watched)
    }

    fn load(&self, requests: u64, keep_alive: bool) -> u64 {
        let url = format!(
            "http://{}{}",
            self.httpd.addr(),
            self.runtime.body(1000).unwrap()
        );
        let mut config = loadgen::Config::new(loadgen::Target::parse(&url).unwrap());
        config.requests = Some(requests);
        config.concurrency = 4;
        config.keep_alive = keep_alive;
        let never = AtomicBool::new(false);
        let progress = loadgen::Progress::new();
        loadgen::run(&config, None, &progress, &never)
            .unwrap()
            .answered()
    }
}

fn what_is_exported_is_what_was_done(mpm: Mpm) {
    let Some(watched) = Watched::start(mpm) else {
        return;
    };
    let serving = &watched.serving;
    let before = Scrape::of(serving.address);
    let info = format!(
        "mpm_observer_server_info{{mpm=\"{mpm}\",port=\"{}\"}}",
        watched.httpd.addr().port()
    );
    assert_eq!(before.of_series(&info), 1.0);

    let answered = (watched.load(300, false) + watched.load(300, true)) as f64;
    assert_eq!(answered, 600.0);
    // mod_status is asked again after that. A scrape may be half a second old.
    let asked = Scrape::of(serving.address).of_series(STATUS_ANSWERED) + 2.0;
    let after = serving.wait_until("all requests are counted", |scrape| {
        scrape.of_series(ANSWERED) >= answered && scrape.of_series(STATUS_ANSWERED) >= asked
    });
    // mod_status counts the requests to itself; in the kernel's figures they are left out.
    assert_eq!(after.of_series(ANSWERED), answered);
    let unmeasured = after.sum("httpd_requests_unmeasured_total");
    let measured = after.of_series("httpd_request_duration_seconds_count");
    assert_eq!(measured + unmeasured, answered);
    assert_eq!(after.sum("httpd_request_received_bytes_count"), answered);
    assert!(after.of_series("httpd_request_sent_bytes_sum") > answered * 1000.0);
    let on_mod_status = |scrape: &Scrape| scrape.of_series("apache_accesses_total");
    let own = after.of_series(STATUS_ANSWERED) - before.of_series(STATUS_ANSWERED);
    // It counts those, too, that were given up because its answer came too late.
    let late = after.of_series(STATUS_TIMEOUT) - before.of_series(STATUS_TIMEOUT);
    let counted = on_mod_status(&after) - on_mod_status(&before);
    assert!(
        (answered + own..=answered + own + late).contains(&counted),
        "{counted}"
    );

    // Time is conserved: the phases of all requests sum to their durations.
    let duration = after.of_series("httpd_request_duration_seconds_sum");
    let phases = after.sum("httpd_request_phase_seconds_sum");
    assert!(
        duration > 0.0 && (phases / duration - 1.0).abs() < 0.01,
        "{phases} {duration}"
    );
    let service = after.of_series("httpd_request_service_seconds_sum");
    assert!(service > 0.0 && service <= duration, "{service} {duration}");

    // A look of its own time finds all slots; one in the midst of the observer's own request to
    // mod_status finds that in the queue.
    let port = watched.httpd.addr().port();
    let queue = |what: &str| format!("httpd_accept_queue_{what}{{port=\"{port}\"}}");
    let looked = serving.wait_until("all slots are seen and nobody waits", |scrape| {
        scrape.sum("httpd_slots") == 10.0
            && scrape.sum("httpd_slot_seconds_total") > 0.0
            && scrape.sum("apache_workers") == 10.0
            && scrape.of_series(&queue("length")) == 0.0
    });
    let children = if mpm == Mpm::Prefork { 10.0 } else { 2.0 };
    assert_eq!(looked.of_series("httpd_children"), children);
    let cpu = looked.sum("httpd_task_cpu_seconds_total");
    assert!(cpu > 0.0, "{cpu}");
    assert!(looked.sum("httpd_context_switches_total") >= 600.0);
    assert!(looked.sum("httpd_accepts_total") >= 304.0);
    assert!(looked.of_series(&queue("limit")) > 0.0);
    let files = looked.of_series("httpd_open_files");
    assert!(files > 3.0 && files < looked.of_series("httpd_open_files_limit"));
    assert!(looked.of_series("httpd_resident_memory_bytes") > 1e6);
    assert_eq!(looked.sum("mpm_observer_events_lost_total"), 0.0);
    assert!(looked.of_series("process_cpu_seconds_total") > 0.0);
    assert!(looked.of_series("mpm_observer_kernel_memory_bytes") > 1e5);
}

#[test]
fn what_is_exported_of_prefork_is_what_was_done() {
    what_is_exported_is_what_was_done(Mpm::Prefork);
}

#[test]
fn what_is_exported_of_worker_is_what_was_done() {
    what_is_exported_is_what_was_done(Mpm::Worker);
}

#[test]
fn what_is_exported_of_event_is_what_was_done() {
    what_is_exported_is_what_was_done(Mpm::Event);
}

/// Connections with half a request each.
fn hold(address: SocketAddr, count: usize) -> Vec<TcpStream> {
    let half = b"GET /alive.txt HTTP/1.1\r\nHost: t";
    let connect = |_| {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(half).unwrap();
        stream
    };
    (0..count).map(connect).collect()
}

fn while_all_slots_are_busy_the_kernels_side_goes_on_without_mod_status(mpm: Mpm) {
    let Some(watched) = Watched::start(mpm) else {
        return;
    };
    let serving = &watched.serving;
    let held = hold(watched.httpd.addr(), 10);
    let full = serving.wait_until("all slots read from clients", |scrape| {
        scrape.of_series("httpd_slots{state=\"reading_client\"}") == 10.0
    });
    assert_eq!(full.of_series("httpd_slots{state=\"idle\"}"), 0.0);
    let silent = serving.wait_until("mod_status does not answer", |scrape| {
        scrape.get("apache_up") == Some(0.0) && scrape.of_series(STATUS_TIMEOUT) >= 1.0
    });
    assert_eq!(silent.get("apache_workers{state=\"busy\"}"), None);
    assert_eq!(silent.of_series("mpm_observer_server_watched"), 1.0);
    assert!(silent.of_series("apache_exporter_scrape_failures_total") >= 1.0);
    drop(held);
    serving.wait_until("mod_status answers again", |scrape| {
        scrape.get("apache_up") == Some(1.0)
    });
    // httpd answers an end in mid-request with an error, which the client's kernel resets.
    serving.wait_until(
        "the connections have ended and their requests are counted",
        |scrape| {
            scrape.of_series("httpd_connections_open") == 0.0
                && scrape.sum("httpd_requests_total") >= 10.0
        },
    );
}

#[test]
fn while_all_slots_of_prefork_are_busy_mod_status_alone_is_silent() {
    while_all_slots_are_busy_the_kernels_side_goes_on_without_mod_status(Mpm::Prefork);
}

#[test]
fn while_all_slots_of_worker_are_busy_mod_status_alone_is_silent() {
    while_all_slots_are_busy_the_kernels_side_goes_on_without_mod_status(Mpm::Worker);
}

#[test]
fn while_all_slots_of_event_are_busy_mod_status_alone_is_silent() {
    while_all_slots_are_busy_the_kernels_side_goes_on_without_mod_status(Mpm::Event);
}

#[test]
fn a_child_that_is_killed_and_the_one_in_its_place_are_counted() {
    let Some(watched) = Watched::start(Mpm::Event) else {
        return;
    };
    let serving = &watched.serving;
    let tasks = watched.httpd.tasks().unwrap();
    let child = tasks.iter().find(|task| task.ppid == watched.httpd.pid());
    kill_9(child.unwrap().pid);
    let after = serving.wait_until("the end and the new child are counted", |scrape| {
        let killed = "httpd_children_ended_total{how=\"signal\",signal=\"SIGKILL\"}";
        scrape.get(killed) == Some(1.0)
            && scrape.of_series("httpd_children_started_total") == 1.0
            && scrape.of_series("httpd_children") == 2.0
    });
    let signals = "httpd_fatal_signals_total{signal=\"SIGKILL\",by=\"task\"}";
    assert_eq!(after.of_series(signals), 1.0);
}

#[test]
fn a_server_that_ends_leaves_its_counts_and_no_state() {
    let Some(watched) = Watched::start(Mpm::Event) else {
        return;
    };
    assert_eq!(watched.load(20, false), 20);
    let Watched { serving, httpd, .. } = watched;
    serving.wait_until("all requests are counted", |scrape| {
        scrape.of_series(ANSWERED) == 20.0
    });
    // Of the time after the last look, too: each request had a connection of its own.
    let before = serving.wait_until("it is looked at", |scrape| {
        scrape.of_series(ESTABLISHED) >= 20.0
    });
    for _ in 0..10 {
        drop(TcpStream::connect(httpd.addr()).unwrap());
    }
    let pid = httpd.pid();
    httpd.stop(GRACE).unwrap();
    let gone = serving.wait_until("nothing is watched", |scrape| {
        scrape.of_series("mpm_observer_server_watched") == 0.0
    });
    assert_eq!(gone.of_series(ANSWERED), 20.0);
    let grown = gone.of_series(ESTABLISHED) - before.of_series(ESTABLISHED);
    assert!(grown >= 10.0, "{grown}");
    assert_eq!(gone.sum("httpd_slots"), 0.0);
    assert_eq!(gone.of_series("httpd_children"), 0.0);
    assert_eq!(gone.get("httpd_open_files"), None);
    assert_eq!(gone.of_series("apache_up"), 0.0);
    assert_eq!(gone.of_series("mpm_observer_servers_watched_total"), 1.0);
    serving.wait_for_line(&format!("httpd (pid {pid}) has ended"));
    let signal = nix::sys::signal::Signal::SIGTERM;
    assert_eq!(serving.end(signal), Some(0));
}

#[test]
fn it_serves_with_nothing_but_the_privileges_that_watching_needs() {
    let Some(watched) = Watched::start(Mpm::Event) else {
        return;
    };
    assert_only_kept(watched.serving.pid(), &[]);
}

#[test]
fn mod_status_is_asked_where_the_server_listens_and_not_where_it_might() {
    // Nobody listens there; it is warned of.
    let Some(watched) = Watched::start_at(Mpm::Worker, &[1]) else {
        return;
    };
    let scrape = Scrape::of(watched.serving.address);
    assert_eq!(scrape.get("apache_up"), Some(1.0));
}

/// As in the unit and the DaemonSet.
#[test]
fn of_a_server_in_a_network_that_cannot_be_entered_all_but_mod_status_is_served() {
    const UNREACHABLE: &str = "mpm_observer_status_requests_total{outcome=\"unreachable\"}";
    let can_set = Command::new("setpriv").arg("--version").output().is_ok();
    if !have("setpriv", can_set) {
        return;
    }
    let Some(httpd) = DebianHttpd::start(Mpm::Event) else {
        return;
    };
    let mut command = Command::new("setpriv");
    command.args(["--bounding-set", "-sys_admin", PROGRAM]);
    let serving = Serving::start_by(command, &["--pid", &httpd.pid().to_string()]);
    serving.wait_for_line("warn: the server has a network of its own");
    serving.wait_until("it cannot be asked", |scrape| {
        scrape.of_series(UNREACHABLE) >= 1.0
    });
    httpd.network().within(|| {
        let mut stream = TcpStream::connect(httpd.addr()).unwrap();
        exchange(&mut stream, "/", true);
    });
    let scrape = serving.wait_until("the request is counted", |scrape| {
        scrape.of_series(ANSWERED) == 1.0
    });
    assert!(!scrape.0.contains("\napache_"), "{}", scrape.0);
    assert_eq!(scrape.of_series("mpm_observer_server_watched"), 1.0);
}

/// In a network of its own, as in a container: mod_status is asked within it.
fn a_plain_debian_server_is_served(mpm: Mpm) {
    const REQUESTS: usize = 20;
    let more = Differently {
        ports: &[8080],
        ..Differently::default()
    };
    let Some(httpd) = DebianHttpd::start_as(mpm, more) else {
        return;
    };
    let pid = httpd.pid();
    wait_until("it is found", || {
        let servers = live::servers().unwrap();
        servers.iter().any(|server| server.process.pid == pid)
    });
    let serving = Serving::start(&["--pid", &pid.to_string()]);
    serving.wait_until("mod_status has answered", |scrape| {
        scrape.get("apache_up") == Some(1.0)
    });
    // Another network can be entered with one privilege more.
    assert_only_kept(serving.pid(), &[FOR_OTHER_NETWORKS]);
    httpd.network().within(|| {
        for _ in 0..REQUESTS {
            let mut stream = TcpStream::connect(httpd.addr()).unwrap();
            exchange(&mut stream, "/", true);
        }
    });
    let scrape = serving.wait_until("all requests are counted", |scrape| {
        scrape.of_series(ANSWERED) >= REQUESTS as f64
    });
    assert_eq!(scrape.of_series(ANSWERED), REQUESTS as f64);
    let info = format!("mpm_observer_server_info{{mpm=\"{mpm}\",port=\"80 8080\"}}");
    assert_eq!(scrape.of_series(&info), 1.0);
    // ListenBacklog 511, or less by somaxconn; asked of its own network.
    for port in [80, 8080] {
        let limit = format!("httpd_accept_queue_limit{{port=\"{port}\"}}");
        assert!(scrape.of_series(&limit) > 0.0);
    }
}

#[test]
fn a_plain_debian_prefork_is_served() {
    a_plain_debian_server_is_served(Mpm::Prefork);
}

#[test]
fn a_plain_debian_worker_is_served() {
    a_plain_debian_server_is_served(Mpm::Worker);
}

#[test]
fn a_plain_debian_event_is_served() {
    a_plain_debian_server_is_served(Mpm::Event);
}
