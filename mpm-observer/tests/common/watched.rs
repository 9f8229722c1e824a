//! An httpd that is watched, and everything that the watch gives.

use std::{
    collections::HashSet,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use mpm_observer::{
    httpd::{self, RuntimeDir, Setup},
    kernel::{Counters, Kernel, Options, Record, Watch},
    scenario::{Mpm, RunPlan},
};
use mpm_observer_common::{FailureRecord, RequestRecord, TaskRecord, TraceEvent};
use nix::unistd::geteuid;

use super::{GRACE, NEVER, Place, START, have, small};

/// The kernel, if the test can use it.
pub fn kernel() -> Option<Kernel> {
    if !have("root", geteuid().is_root()) {
        return None;
    }
    Some(Kernel::read().unwrap())
}

/// Everything that a watch gives.
#[derive(Default)]
pub struct Seen {
    pub requests: Vec<RequestRecord>,
    pub tasks: Vec<TaskRecord>,
    pub events: Vec<TraceEvent>,
    pub failures: Vec<FailureRecord>,
}

impl Seen {
    pub fn take(&mut self, watch: &mut Watch) {
        watch.drain(|record| match record {
            Record::Request(request) => self.requests.push(request),
            Record::Task(task) => self.tasks.push(task),
            Record::Trace(event) => self.events.push(event),
            Record::Failure(failure) => self.failures.push(failure),
        });
    }

    pub fn of_port(&self, port: u16) -> Vec<RequestRecord> {
        let mut requests: Vec<_> = self
            .requests
            .iter()
            .filter(|request| request.remote_port == port)
            .copied()
            .collect();
        requests.sort_by_key(|request| request.ordinal);
        requests
    }
}

/// A watched httpd.
pub struct Watched {
    httpd: Option<httpd::Httpd>,
    pub watch: Watch,
    pub addr: SocketAddr,
    /// Its first process.
    pub first: u32,
    /// How many requests saw whether it is ready.
    pub own_requests: usize,
    /// Their ports.
    pub own_ports: HashSet<u16>,
    _runtime: RuntimeDir,
    _place: Place,
}

impl Watched {
    /// A small one of ten slots.
    pub fn start(mpm: Mpm, options: impl Fn(u16) -> Options) -> Option<Self> {
        Self::start_as(Place::new()?, &small(mpm, "warm", ""), &[], options)
    }

    /// One of that plan, on those CPUs (none: all).
    pub fn start_as(
        place: Place,
        plan: &RunPlan,
        cpus: &[usize],
        options: impl Fn(u16) -> Options,
    ) -> Option<Self> {
        let kernel = kernel()?;
        let runtime = RuntimeDir::create_in(&place.base()).unwrap();
        let mut watch = None;
        let setup = Setup {
            cpus,
            ..place.setup(&runtime, plan, 0)
        };
        let (httpd, ready) = httpd::start(&setup, START, &NEVER, |prepared| {
            let options = options(prepared.addr().port());
            let mut new = Watch::start(&kernel, options).unwrap();
            if options.tracing {
                // All its life.
                new.trace(0, u64::MAX).unwrap();
            }
            new.follow(prepared.pid()).unwrap();
            watch = Some(new);
            Ok(())
        })
        .unwrap();
        Some(Self {
            addr: httpd.addr(),
            first: httpd.pid(),
            httpd: Some(httpd),
            watch: watch.unwrap(),
            own_requests: ready.probe_ports.len(),
            own_ports: ready.probe_ports.iter().copied().collect(),
            _runtime: runtime,
            _place: place,
        })
    }

    pub fn httpd(&self) -> &httpd::Httpd {
        self.httpd.as_ref().unwrap()
    }

    /// Ends httpd and takes all records.
    pub fn finish(mut self, seen: &mut Seen) -> Counters {
        let stopped = self.httpd.take().unwrap().stop(GRACE).unwrap();
        assert_eq!(stopped.left, Vec::<u32>::new());
        let deadline = Instant::now() + Duration::from_secs(60);
        while !self.watch.live_tasks().unwrap().is_empty() {
            assert!(Instant::now() < deadline, "tasks without an end");
            std::thread::sleep(Duration::from_millis(10));
        }
        seen.take(&mut self.watch);
        self.watch.counters().unwrap()
    }
}

/// Sends a request and reads its whole answer; returns the bytes of both.
pub fn exchange(stream: &mut TcpStream, path: &str, close: bool) -> (u64, u64) {
    let connection = if close { "close" } else { "keep-alive" };
    let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: {connection}\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let count = stream.read(&mut buffer).unwrap();
        assert_ne!(count, 0, "the server closed too early");
        answer.extend_from_slice(&buffer[..count]);
        let text = String::from_utf8_lossy(&answer);
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length: usize = head
            .lines()
            .find_map(|line| line.strip_prefix("Content-Length: "))
            .expect("an answer of known length")
            .parse()
            .unwrap();
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        if body.len() == length {
            return (request.len() as u64, answer.len() as u64);
        }
    }
}
