//! Things that happen to the serving task: mod_truth does them, or they are done to it.

use std::{
    fs::File,
    io::Write,
    path::{Path, PathBuf},
    time::Duration,
};

use loadgen::clock::monotonic_ns;
use mpm_observer::{correlate::Phase, scenario::Mpm};
use nix::{
    fcntl::{Flock, FlockArg, PosixFadviseAdvice, posix_fadvise},
    libc,
    sys::signal::Signal,
};

use crate::{
    Case, REPETITIONS,
    client::{Exchange, Reading},
    hog::{Hog, Thief, may_be_real_time},
    nothing, settle,
    stand::{Stand, Task, signal, until_busy, until_stopped},
};

const LENGTH: Duration = Duration::from_millis(30);
const LENGTH_NS: u64 = 30_000_000;

/// What mod_truth waits for, and the phase of it. Each wait ends at a time that the module notes.
const WAITS: [(&str, Phase); 6] = [
    ("sleep", Phase::Sleep),
    ("lock", Phase::Futex),
    ("poll", Phase::Poll),
    ("pipe-read", Phase::Receive),
    ("pipe-write", Phase::Send),
    ("child", Phase::KernelLock),
];

/// A request for which mod_truth did `what`, with what it told of the CPU.
fn done(what: &str, exchange: Exchange, carries: Vec<(Phase, u64)>) -> Case {
    let told = |name| exchange.told(name);
    let woken_ns = told("End").saturating_sub(told("Release").max(told("Begin")));
    let explains = vec![
        (Phase::OnCpu, told("Cpu")),
        (Phase::Woken, told("Wait").max(woken_ns)),
        (Phase::Preempted, told("Wait")),
    ];
    Case::new(what, "nothing", exchange, carries, explains)
}

/// How long the task was not waiting for a CPU. Not its CPU time: where a host gives the machine's
/// CPU to another one (steal), the kernel leaves that out, though the task keeps its CPU meanwhile.
fn had_cpu_ns(exchange: &Exchange) -> u64 {
    exchange.told("End") - exchange.told("Begin") - exchange.told("Wait")
}

pub fn a_wait_is_in_the_phase_of_what_is_waited_for(mpm: Mpm) {
    let Some(stand) = Stand::start(mpm) else {
        return;
    };
    let (mut client, pid) = stand.connect();
    let mut cases = nothing(&mut client);
    for (what, phase) in WAITS {
        for _ in 0..REPETITIONS {
            let exchange = client.get(&format!("/truth?do={what}&ns={LENGTH_NS}"));
            let waited_ns = exchange.told("Release") - exchange.told("Begin");
            cases.push(done(what, exchange, vec![(phase, waited_ns)]));
        }
    }
    let path = stand.dir.join("locked");
    for _ in 0..REPETITIONS {
        let file = File::create(&path).unwrap();
        let lock = Flock::lock(file, FlockArg::LockExclusive).unwrap();
        client.send(&format!("/truth?do=flock&file={}", path.display()));
        until_busy(pid, Some(libc::SYS_flock));
        std::thread::sleep(LENGTH);
        let released_ns = monotonic_ns();
        drop(lock);
        let exchange = client.receive(Reading::AtOnce);
        let waited_ns = released_ns - exchange.told("Begin");
        cases.push(done("file lock", exchange, vec![(Phase::Other, waited_ns)]));
    }
    drop(client);
    settle(stand, cases);
}

/// How many pages of a cold file are read, and how far apart.
const COLD_PAGES: u64 = 100;
const COLD_STRIDE: u64 = 64;

/// A file of which nothing is in memory.
fn cold_file(dir: &Path) -> PathBuf {
    let path = dir.join("cold");
    let mut file = File::create(&path).unwrap();
    let length = usize::try_from(COLD_PAGES * COLD_STRIDE * 4096).unwrap();
    file.write_all(&vec![1; length]).unwrap();
    file.sync_all().unwrap();
    path
}

fn cool(path: &Path) {
    let file = File::open(path).unwrap();
    posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED).unwrap();
}

pub fn a_cold_file_is_in_the_phase_of_its_reading(mpm: Mpm) {
    let Some(stand) = Stand::start(mpm) else {
        return;
    };
    let (mut client, _) = stand.connect();
    let mut cases = nothing(&mut client);
    let path = cold_file(&stand.dir);
    // From the device's interrupt to the task's running it takes some 10 µs, longer on a busy CPU or
    // on one that idled. The kernel's clocks, of which the truth is made, count them as CPU time of
    // the task, the observer as the wait.
    let hog = Hog::start_instead_of_idling(stand.cpu);
    for (what, pages, phase) in [
        ("read-file", 1, Phase::FileRead),
        ("read-direct", COLD_PAGES * COLD_STRIDE, Phase::FileRead),
        ("map-file", 1, Phase::PageFault),
    ] {
        for _ in 0..3 * REPETITIONS {
            cool(&path);
            let file = path.display();
            let exchange = client.get(&format!(
                "/truth?do={what}&pages={pages}&stride={COLD_STRIDE}&file={file}"
            ));
            let told = |name| exchange.told(name);
            let waited_ns = told("End") - told("Begin") - told("Cpu") - told("Wait");
            let mut case = done(what, exchange, vec![(phase, waited_ns)]);
            case.truth.best = true;
            cases.push(case);
        }
    }
    drop(hog);
    drop(client);
    settle(stand, cases);
}

pub fn time_on_a_cpu_and_waiting_for_one_are_told_apart(mpm: Mpm) {
    let Some(stand) = Stand::start(mpm) else {
        return;
    };
    let (mut client, _) = stand.connect();
    let mut cases = nothing(&mut client);
    let spin = format!("/truth?do=spin&ns={LENGTH_NS}");
    for what in [spin.as_str(), "/truth?do=touch&pages=20000"] {
        for _ in 0..REPETITIONS {
            let exchange = client.get(what);
            let name = if what == spin { "spin" } else { "touch pages" };
            let carries = vec![(Phase::OnCpu, had_cpu_ns(&exchange))];
            let mut case = done(name, exchange, carries);
            case.truth
                .explains
                .retain(|(phase, _)| *phase != Phase::Woken);
            cases.push(case);
        }
    }
    let hog = Hog::start(stand.cpu);
    for _ in 0..REPETITIONS {
        let exchange = client.get(&spin);
        let carries = vec![
            (Phase::OnCpu, had_cpu_ns(&exchange)),
            (Phase::Preempted, exchange.told("Wait")),
        ];
        cases.push(done("spin beside a hog", exchange, carries));
    }
    drop(hog);
    drop(client);
    settle(stand, cases);
}

pub fn a_woken_task_without_a_cpu_is_in_its_run_queue(mpm: Mpm) {
    let Some(stand) = Stand::start(mpm) else {
        return;
    };
    if !crate::common::have("the right to real-time scheduling", may_be_real_time()) {
        return;
    }
    let (mut client, pid) = stand.connect();
    let mut cases = nothing(&mut client);
    for _ in 0..REPETITIONS {
        client.send(&format!("/truth?do=sleep&ns={LENGTH_NS}"));
        until_busy(pid, Some(libc::SYS_clock_nanosleep));
        let thief = Thief::start(stand.cpu, 2 * LENGTH);
        let exchange = client.receive(Reading::AtOnce);
        let released_ns = exchange.told("Release");
        assert!(thief.began_ns < released_ns);
        let woken_ns = thief.ended_ns() - released_ns;
        let slept_ns = released_ns - exchange.told("Begin");
        let carries = vec![(Phase::Sleep, slept_ns), (Phase::Woken, woken_ns)];
        cases.push(done("sleep, then no CPU", exchange, carries));
    }
    // The same before the pick-up: in event the listener waits, and then hands over.
    let before = match mpm {
        Mpm::Prefork | Mpm::Worker => Phase::WorkerRunQueue,
        Mpm::Event => Phase::HandOff,
    };
    for _ in 0..REPETITIONS {
        let thief = Thief::start(stand.cpu, LENGTH);
        client.send("/truth?do=nothing");
        let exchange = client.receive(Reading::AtOnce);
        let waited_ns = thief.ended_ns() - exchange.row.sent_ns;
        cases.push(done("arrives, no CPU", exchange, vec![(before, waited_ns)]));
    }
    drop(client);
    settle(stand, cases);
}

pub fn a_stopped_process_is_in_the_phase_of_that(mpm: Mpm) {
    let Some(stand) = Stand::start(mpm) else {
        return;
    };
    let (mut client, pid) = stand.connect();
    let mut cases = nothing(&mut client);
    for _ in 0..REPETITIONS {
        client.send("/truth?do=stop");
        let task = until_busy(pid, None);
        until_stopped(task);
        let stopped_ns = resume_after(LENGTH, task);
        let exchange = client.receive(Reading::AtOnce);
        let length_ns = stopped_ns - exchange.told("Begin");
        cases.push(done("stop", exchange, vec![(Phase::Stopped, length_ns)]));
    }
    let spin_ns = 2 * LENGTH_NS;
    for (what, call, phase) in [
        ("spin", None, Phase::OnCpu),
        ("sleep", Some(libc::SYS_clock_nanosleep), Phase::Sleep),
        (
            "sleep-relative",
            Some(libc::SYS_clock_nanosleep),
            Phase::Sleep,
        ),
    ] {
        for _ in 0..REPETITIONS {
            client.send(&format!("/truth?do={what}&ns={spin_ns}"));
            let task = until_busy(pid, call);
            let from_ns = monotonic_ns();
            signal(task, Signal::SIGSTOP);
            until_stopped(task);
            let length_ns = resume_after(LENGTH, task) - from_ns;
            let exchange = client.receive(Reading::AtOnce);
            let rest_ns = match phase {
                Phase::Sleep => exchange.told("Release") - exchange.told("Begin") - length_ns,
                // Linux (6.18) sometimes counts the stop as a wait for a CPU.
                _ => (had_cpu_ns(&exchange).saturating_sub(length_ns)).max(exchange.told("Cpu")),
            };
            let carries = vec![(Phase::Stopped, length_ns), (phase, rest_ns)];
            cases.push(done(&format!("stopped in {what}"), exchange, carries));
        }
    }
    drop(client);
    settle(stand, cases);
}

/// Lets a stopped process go on after `length`; returns when.
fn resume_after(length: Duration, task: Task) -> u64 {
    std::thread::sleep(length);
    let now_ns = monotonic_ns();
    signal(task, Signal::SIGCONT);
    now_ns
}

pub fn page_faults_of_a_request_are_those_of_its_task(mpm: Mpm) {
    const PAGES: [u64; 4] = [0, 1, 100, 5000];
    let Some(stand) = Stand::start(mpm) else {
        return;
    };
    let (mut client, _) = stand.connect();
    let path = cold_file(&stand.dir);
    let file = path.display();
    let mut touched = Vec::new();
    for pages in PAGES {
        for _ in 0..REPETITIONS {
            touched.push(client.get(&format!("/truth?do=touch&pages={pages}")));
        }
    }
    cool(&path);
    touched.push(client.get(&format!(
        "/truth?do=map-file&pages={COLD_PAGES}&stride={COLD_STRIDE}&file={file}"
    )));
    drop(client);
    let rows: Vec<_> = touched
        .iter()
        .map(|exchange| exchange.row.clone())
        .collect();
    let joined = stand.finish(&rows);
    // What a request costs in which nothing is touched.
    let overhead = joined[..REPETITIONS]
        .iter()
        .map(|joined| joined.kernel.faults_minor);
    let overhead: (u64, u64) = (
        overhead.clone().min().unwrap().into(),
        overhead.max().unwrap().into(),
    );
    let requests = touched.iter().zip(&joined);
    for ((exchange, joined), pages) in
        requests.zip(PAGES.into_iter().flat_map(|p| [p; REPETITIONS]))
    {
        let faults = u64::from(joined.kernel.faults_minor);
        let told = exchange.told("Minor");
        assert!(told >= pages, "{told} of {pages} pages");
        let expected = told + overhead.0..=told + overhead.1;
        assert!(
            expected.contains(&faults),
            "{mpm}: {faults}, not {expected:?}"
        );
    }
    let (mapped, cold) = (touched.last().unwrap(), joined.last().unwrap());
    assert!(mapped.told("Major") >= COLD_PAGES, "the file was not cold");
    assert_eq!(u64::from(cold.kernel.faults_major), mapped.told("Major"));
}
