//! The eBPF programs on the running kernel, against a real httpd and known requests.

#[path = "kernel/adopt.rs"]
mod adopt;
#[path = "kernel/calls.rs"]
mod calls;
mod common;
#[path = "kernel/connections.rs"]
mod connections;
#[path = "kernel/failures.rs"]
mod failures;
#[path = "kernel/pause.rs"]
mod pause;
#[path = "kernel/queue.rs"]
mod queue;
#[path = "kernel/reap.rs"]
mod reap;
#[path = "kernel/resets.rs"]
mod resets;
#[path = "kernel/signals.rs"]
mod signals;
#[path = "kernel/standing.rs"]
mod standing;
#[path = "kernel/workloads.rs"]
mod workloads;

use std::{
    collections::{BTreeMap, HashSet},
    io::Write,
    net::TcpStream,
    sync::Mutex,
    time::{Duration, Instant},
};

use common::{
    have, kill_9, wait_until,
    watched::{Seen, Watched, exchange, kernel},
};
use mpm_observer::{
    kernel::{Options, PROBES, Watch},
    scenario::Mpm,
};
use mpm_observer_common::{FailureSource, RequestFlags, RequestRecord, TaskFlags, TaskRecord};

fn check_times(request: &RequestRecord) {
    let times = [
        request.established_ns,
        request.queued_ns,
        request.accepted_ns,
        request.pickup_ns,
        request.first_send_ns,
        request.last_send_ns,
        request.end_ns,
    ];
    assert!(times.is_sorted(), "{times:?}");
    assert!(request.arrival_ns <= request.pickup_ns);
    assert!(request.arrival_ns >= request.established_ns);
    let parts = request.on_cpu_ns
        + request.woken_wait_ns
        + request.preempted_ns
        + request.blocked_ns.iter().sum::<u64>()
        + request.handover_ns
        + request.client_sends_ns
        + request.client_reads_ns;
    assert_eq!(parts, request.last_send_ns - request.pickup_ns);
}

fn known_requests_are_counted_exactly(mpm: Mpm) {
    let Some(mut watched) = Watched::start(mpm, Options::for_port) else {
        return;
    };
    // Three connections with one, two and three requests, the later ones begun before the
    // earlier ones have ended.
    let mut expected: BTreeMap<u16, Vec<(u64, u64)>> = BTreeMap::new();
    let mut streams: Vec<TcpStream> = (0..3)
        .map(|_| TcpStream::connect(watched.addr).unwrap())
        .collect();
    for round in 0..3 {
        for (index, stream) in streams.iter_mut().enumerate().skip(round) {
            let bytes = exchange(stream, "/alive.txt", index == round);
            let port = stream.local_addr().unwrap().port();
            expected.entry(port).or_default().push(bytes);
        }
    }
    drop(streams);

    let mut seen = Seen::default();
    let own_requests = watched.own_requests;
    let first = watched.first;
    seen.take(&mut watched.watch);
    let counters = watched.finish(&mut seen);

    let counts: Vec<usize> = {
        let mut counts: Vec<usize> = expected.values().map(Vec::len).collect();
        counts.sort_unstable();
        counts
    };
    assert_eq!(counts, [1, 2, 3]);
    for (port, exchanges) in &expected {
        let requests = seen.of_port(*port);
        assert_eq!(requests.len(), exchanges.len(), "requests on port {port}");
        for (ordinal, (request, (sent, received))) in requests.iter().zip(exchanges).enumerate() {
            assert_eq!(request.ordinal as usize, ordinal);
            assert_eq!(request.bytes_in, *sent);
            assert_eq!(request.bytes_out, *received);
            assert_eq!(
                request.flags & !(RequestFlags::CONN_ENDED | RequestFlags::AT_END),
                0
            );
            assert!(request.recvs >= 1 && request.sends >= 1);
            check_times(request);
        }
    }
    assert_eq!(seen.requests.len(), 6 + own_requests);

    // The books close, nothing is lost, and every request has its task.
    assert!(counters.balanced());
    assert_eq!(counters.lost(), 0);
    assert_eq!(counters.conns_established as usize, 3 + own_requests);
    let tids: HashSet<u32> = seen.tasks.iter().map(|task| task.pid).collect();
    for request in &seen.requests {
        assert!(tids.contains(&request.acceptor) && tids.contains(&request.first_task));
    }
    let sum = |figure: fn(&TaskRecord) -> u64| seen.tasks.iter().map(figure).sum::<u64>();
    assert_eq!(sum(|task| task.totals.accepts) as usize, 3 + own_requests);
    assert_eq!(sum(|task| task.totals.requests) as usize, 6 + own_requests);

    check_tasks(mpm, first, &seen);
}

/// A server that nothing is wrong with has no failures, and all its tasks end by themselves. But
/// event's child at times dies of SIGSEGV in its own shutdown: then the signal that was sent and
/// the end of the tasks, which are two tracepoints, must agree.
fn check_ends(seen: &Seen) {
    let mut killed = HashSet::new();
    for failure in &seen.failures {
        let is_signal = failure.source == FailureSource::Signal as u32;
        assert!(is_signal && failure.signal == 11, "{failure:?}");
        killed.insert(failure.tgid);
    }
    for task in &seen.tasks {
        let expected = if killed.contains(&task.tgid) { 11 } else { 0 };
        assert_eq!(task.exit_code & 0x7f, expected, "task {}", task.pid);
        assert_eq!(task.exit_code >> 8, 0, "task {}", task.pid);
    }
}

/// Number, kinds, ends and counters of all tasks.
fn check_tasks(mpm: Mpm, first: u32, seen: &Seen) {
    let (processes, threads): (Vec<&TaskRecord>, Vec<&TaskRecord>) = seen
        .tasks
        .iter()
        .partition(|task| task.flags & TaskFlags::THREAD == 0);
    match mpm {
        Mpm::Prefork => assert_eq!((processes.len(), threads.len()), (11, 0)),
        // Two children; in each, five workers, a listener, and the thread that starts them.
        Mpm::Worker | Mpm::Event => assert_eq!((processes.len(), threads.len()), (3, 14)),
    }
    let parent = seen
        .tasks
        .iter()
        .find(|task| task.flags & TaskFlags::FIRST != 0)
        .expect("httpd's first task");
    assert_eq!(parent.pid, first);
    check_ends(seen);
    for task in &seen.tasks {
        assert!(task.exited_ns > task.created_ns);
        let sched = &task.totals.sched;
        // Every moment of its life is on a CPU, waiting for one, or blocked.
        assert_eq!(
            sched.on_cpu_ns
                + sched.woken_wait_ns
                + sched.preempted_ns
                + sched.blocked_ns.iter().sum::<u64>(),
            task.exited_ns - task.created_ns,
        );
        assert!(task.kernel_voluntary.abs_diff(sched.voluntary) <= 1);
        assert!(task.kernel_involuntary.abs_diff(sched.involuntary) <= 1);
        let faults = task.totals.faults_user + task.totals.faults_kernel;
        let kernel_faults = task.kernel_faults_minor + task.kernel_faults_major;
        assert!(
            kernel_faults.abs_diff(faults) <= 1,
            "task {}: {faults} faults, the kernel says {kernel_faults}",
            task.pid
        );
        let known = task.totals.faults_file
            + task.totals.faults_anon
            + task.totals.faults_shmem
            + task.totals.faults_cow;
        assert!(known <= faults);
    }
}

#[test]
fn prefork_is_counted_exactly() {
    known_requests_are_counted_exactly(Mpm::Prefork);
}

#[test]
fn worker_is_counted_exactly() {
    known_requests_are_counted_exactly(Mpm::Worker);
}

#[test]
fn event_is_counted_exactly() {
    known_requests_are_counted_exactly(Mpm::Event);
}

#[test]
fn every_probe_loads_on_this_kernel() {
    let Some(kernel) = kernel() else { return };
    let absent = Watch::check(&kernel).unwrap();
    assert_eq!(absent, Vec::<&str>::new(), "of {} probes", PROBES.len());
}

/// `voluntary_ctxt_switches` and `nonvoluntary_ctxt_switches` of a task.
fn switches_by_proc(pid: u32, tid: u32) -> (u64, u64) {
    let text = std::fs::read_to_string(format!("/proc/{pid}/task/{tid}/status")).unwrap();
    let value = |key: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(key))
            .unwrap()
            .trim()
            .parse()
            .unwrap()
    };
    (
        value("voluntary_ctxt_switches:"),
        value("nonvoluntary_ctxt_switches:"),
    )
}

#[test]
fn switches_equal_those_of_proc_within_one_while_the_tasks_live() {
    for mpm in Mpm::ALL {
        let Some(watched) = Watched::start(mpm, Options::for_port) else {
            return;
        };
        let mut stream = TcpStream::connect(watched.addr).unwrap();
        for _ in 0..50 {
            exchange(&mut stream, "/alive.txt", false);
        }
        let mut compared = 0;
        for task in watched.watch.live_tasks().unwrap() {
            // The first task switched before it was followed.
            if task.flags & TaskFlags::FIRST != 0 {
                continue;
            }
            let before = switches_by_proc(task.tgid, task.pid);
            let live = watched.watch.live_tasks().unwrap();
            let counted = live.iter().find(|now| now.pid == task.pid).unwrap();
            let after = switches_by_proc(task.tgid, task.pid);
            let sched = &counted.totals.sched;
            let fits = |count: u64, low: u64, high: u64| count + 1 >= low && count <= high + 1;
            assert!(
                fits(sched.voluntary, before.0, after.0),
                "{mpm} {counted:?}"
            );
            assert!(
                fits(sched.involuntary, before.1, after.1),
                "{mpm} {counted:?}"
            );
            compared += 1;
        }
        assert!(compared >= 10, "{mpm}: only {compared} tasks");
        watched.finish(&mut Seen::default());
    }
}

#[test]
fn a_killed_child_is_recorded_with_its_signal() {
    let Some(mut watched) = Watched::start(Mpm::Prefork, Options::for_port) else {
        return;
    };
    let victim = watched
        .watch
        .live_tasks()
        .unwrap()
        .into_iter()
        .find(|task| task.flags & TaskFlags::FIRST == 0)
        .unwrap()
        .pid;
    kill_9(victim);
    let mut seen = Seen::default();
    let deadline = Instant::now() + Duration::from_secs(60);
    while !seen.tasks.iter().any(|task| task.pid == victim) {
        assert!(Instant::now() < deadline, "no record of the killed child");
        seen.take(&mut watched.watch);
        std::thread::sleep(Duration::from_millis(5));
    }
    let record = seen.tasks.iter().find(|task| task.pid == victim).unwrap();
    assert_eq!(record.exit_code & 0x7f, 9);
    watched.finish(&mut seen);
}

#[test]
fn with_a_tiny_ring_buffer_the_loss_is_counted_exactly() {
    const REQUESTS: u64 = 200;
    let tiny = |port| Options {
        // A page: room for some fifteen requests.
        ring_bytes: 4096,
        ..Options::for_port(port)
    };
    let Some(mut watched) = Watched::start(Mpm::Prefork, tiny) else {
        return;
    };
    let mut stream = TcpStream::connect(watched.addr).unwrap();
    for _ in 0..REQUESTS {
        exchange(&mut stream, "/alive.txt", false);
    }
    let port = stream.local_addr().unwrap().port();
    drop(stream);
    let mut seen = Seen::default();
    // What was held back is read only now; then there is room again, and the connection's end
    // emits its last request.
    seen.take(&mut watched.watch);
    let own_requests = watched.own_requests as u64;
    let counters = watched.finish(&mut seen);
    assert!(counters.requests_lost() > 0);
    assert!(counters.balanced(), "{counters:?}");
    assert_eq!(counters.requests_sent(), REQUESTS + own_requests);
    let received = seen.requests.len() as u64;
    assert_eq!(received + counters.requests_lost(), REQUESTS + own_requests);
    // Ordinals go on over the gap, and the record after it says so.
    let requests = seen.of_port(port);
    for pair in requests.windows(2) {
        let gap = pair[1].ordinal != pair[0].ordinal + 1;
        assert_eq!(pair[1].flags & RequestFlags::AFTER_LOSS != 0, gap);
    }
}

/// Keeps the warnings that come out of the programs.
struct Kept(Mutex<Vec<String>>);

static WARNINGS: Kept = Kept(Mutex::new(Vec::new()));

impl log::Log for Kept {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        self.0.lock().unwrap().push(record.args().to_string());
    }

    fn flush(&self) {}
}

#[test]
fn a_full_connection_table_is_warned_of_once_and_counted_exactly() {
    const FOLLOWED: u32 = 4;
    const CONNECTIONS: usize = 9;
    // Before the watch, which takes the logger that is there.
    log::set_logger(&WARNINGS).unwrap();
    log::set_max_level(log::LevelFilter::Warn);
    let few = |port| Options {
        max_conns: FOLLOWED,
        ..Options::for_port(port)
    };
    let Some(watched) = Watched::start(Mpm::Event, few) else {
        return;
    };
    let own_requests = watched.own_requests;
    // httpd ends a connection a little later than its client.
    wait_until("no connection is followed", || {
        watched.watch.connections().unwrap().is_empty()
    });
    let mut streams: Vec<TcpStream> = (0..CONNECTIONS)
        .map(|_| TcpStream::connect(watched.addr).unwrap())
        .collect();
    for stream in &mut streams {
        exchange(stream, "/alive.txt", false);
    }
    drop(streams);
    let mut seen = Seen::default();
    let counters = watched.finish(&mut seen);
    assert_eq!(
        counters.conns_established as usize,
        CONNECTIONS + own_requests
    );
    assert_eq!(
        counters.conns_unfollowed as usize,
        CONNECTIONS - FOLLOWED as usize
    );
    assert_eq!(seen.requests.len(), FOLLOWED as usize + own_requests);
    assert_eq!(counters.lost(), counters.conns_unfollowed);
    let warnings = WARNINGS.0.lock().unwrap();
    // Each CPU warns once.
    let full = warnings
        .iter()
        .filter(|text| text.contains("connection table full"))
        .count();
    let cpus = std::thread::available_parallelism().unwrap().get();
    assert!((1..=cpus).contains(&full), "{warnings:?}");
}

#[test]
fn forks_and_exits_at_a_thousand_a_second_are_all_seen() {
    const FORKS: usize = 2000;
    let Some(kernel) = kernel() else { return };
    let mut watch = Watch::start(&kernel, Options::for_port(1)).unwrap();
    // A shell that waits for its input, then forks as fast as it can.
    let mut shell = std::process::Command::new("sh")
        .args([
            "-c",
            &format!("read go; i=0; while [ $i -lt {FORKS} ]; do (:); i=$((i+1)); done"),
        ])
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    watch.follow(shell.id()).unwrap();
    shell.stdin.take().unwrap().write_all(b"go\n").unwrap();
    let mut seen = Seen::default();
    while shell.try_wait().unwrap().is_none() {
        seen.take(&mut watch);
        std::thread::sleep(Duration::from_millis(5));
    }
    seen.take(&mut watch);
    assert_eq!(seen.tasks.len(), FORKS + 1);
    let counters = watch.counters().unwrap();
    assert!(counters.balanced());
    assert_eq!(counters.lost(), 0);
    assert!(watch.live_tasks().unwrap().is_empty());
}
