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
};

use crate::{
    Case, REPETITIONS,
    client::{Exchange, Reading},
    hog::{Hog, Thief, may_be_real_time},
    nothing, repeat, settle,
    span::Span,
    stand::{Joined, Stand, until_busy},
    stop::{self, Stop},
};

const LENGTH: Duration = Duration::from_millis(30);
const LENGTH_NS: u64 = 30_000_000;

/// What it costs at the most to take a CPU away from a task and to give it back: the kernel counts
/// that as the task's wait, the observer as its time on the CPU.
const SWITCH_NS: u64 = 10_000;

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
fn done(what: &str, exchange: Exchange, carries: Vec<(Phase, Span)>) -> Case {
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
pub fn had_cpu_ns(exchange: &Exchange) -> u64 {
    exchange.told("End") - exchange.told("Begin") - exchange.told("Wait")
}

/// The task's time on a CPU and its wait for one, as far as its switches belong to neither.
fn on_cpu_and_preempted(exchange: &Exchange) -> (Span, Span) {
    let switches_ns = exchange.told("Switches") * SWITCH_NS;
    let (had_ns, waited_ns) = (had_cpu_ns(exchange), exchange.told("Wait"));
    (
        Span::between(had_ns, had_ns + switches_ns),
        Span::between(waited_ns.saturating_sub(switches_ns), waited_ns),
    )
}

/// How long the task was blocked at the least: it had no CPU then, and waited for none. It was
/// blocked for longer where the kernel's clocks count as its CPU time what goes before its running,
/// such as an interrupt.
fn without_cpu_ns(exchange: &Exchange) -> u64 {
    had_cpu_ns(exchange).saturating_sub(exchange.told("Cpu"))
}

/// How long a task was blocked that was to be woken at `released_ns`, and may have been later.
/// `None`: the release came before the wait.
fn blocked_until(released_ns: u64, exchange: &Exchange) -> Option<Span> {
    let due_ns = released_ns.checked_sub(exchange.told("Begin"))?;
    Some(Span {
        least_ns: due_ns.min(without_cpu_ns(exchange)),
        most_ns: due_ns.max(had_cpu_ns(exchange)),
    })
}

pub fn a_wait_is_in_the_phase_of_what_is_waited_for(mpm: Mpm) {
    let Some(stand) = Stand::start(mpm) else {
        return;
    };
    let (mut client, pid) = stand.connect();
    let mut cases = nothing(&mut client);
    for (what, phase) in WAITS {
        cases.extend(repeat(REPETITIONS, || {
            let exchange = client.get(&format!("/truth?do={what}&ns={LENGTH_NS}"));
            let waited = blocked_until(exchange.told("Release"), &exchange)?;
            Some(done(what, exchange, vec![(phase, waited)]))
        }));
    }
    let path = stand.dir.join("locked");
    cases.extend(repeat(REPETITIONS, || {
        let file = File::create(&path).unwrap();
        let lock = Flock::lock(file, FlockArg::LockExclusive).unwrap();
        client.send(&format!("/truth?do=flock&file={}", path.display()));
        let seen = until_busy(pid, Some(libc::SYS_flock), &client);
        std::thread::sleep(LENGTH);
        let released_ns = monotonic_ns();
        drop(lock);
        let exchange = client.receive(Reading::AtOnce);
        seen?;
        let waited = blocked_until(released_ns, &exchange)?;
        Some(done("file lock", exchange, vec![(Phase::Other, waited)]))
    }));
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
    // on one that idled. The kernel's clocks count them as CPU time of the task, the observer as the
    // wait. Of a hundred short waits that is much, and between the two lies the CPU time; of one
    // long wait it is nothing.
    let hog = Hog::start_instead_of_idling(stand.cpu);
    for (what, pages, phase) in [
        ("read-file", 1, Phase::FileRead),
        ("read-direct", COLD_PAGES * COLD_STRIDE, Phase::FileRead),
        ("map-file", 1, Phase::PageFault),
    ] {
        for _ in 0..REPETITIONS {
            cool(&path);
            let file = path.display();
            let exchange = client.get(&format!(
                "/truth?do={what}&pages={pages}&stride={COLD_STRIDE}&file={file}"
            ));
            let waited = match what {
                "read-direct" => without_cpu_ns(&exchange).into(),
                _ => Span::between(without_cpu_ns(&exchange), had_cpu_ns(&exchange)),
            };
            cases.push(done(what, exchange, vec![(phase, waited)]));
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
    // Long against the request itself, whose time on a CPU varies with that of the machine.
    let spin = format!("/truth?do=spin&ns={}", 3 * LENGTH_NS);
    for what in [spin.as_str(), "/truth?do=touch&pages=500&times=100"] {
        for _ in 0..REPETITIONS {
            let exchange = client.get(what);
            let name = if what == spin { "spin" } else { "touch pages" };
            let carries = vec![(Phase::OnCpu, on_cpu_and_preempted(&exchange).0)];
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
        let (on_cpu, preempted) = on_cpu_and_preempted(&exchange);
        let carries = vec![(Phase::OnCpu, on_cpu), (Phase::Preempted, preempted)];
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
    cases.extend(repeat(REPETITIONS, || {
        client.send(&format!("/truth?do=sleep&ns={LENGTH_NS}"));
        let seen = until_busy(pid, Some(libc::SYS_clock_nanosleep), &client);
        let thief = Thief::start(stand.cpu, 2 * LENGTH);
        let exchange = client.receive(Reading::AtOnce);
        let (began_ns, ended_ns) = (thief.began_ns, thief.ended_ns());
        seen?;
        let released_ns = exchange.told("Release");
        // Linux gives ordinary tasks a twentieth of each second, whoever goes before them.
        let had_cpu = exchange.told("End") < ended_ns;
        if had_cpu || !(began_ns..ended_ns).contains(&released_ns) {
            return None;
        }
        let slept = blocked_until(released_ns, &exchange)?;
        let woken = Span::between(ended_ns, exchange.told("End")).since(released_ns);
        let carries = vec![(Phase::Sleep, slept), (Phase::Woken, woken)];
        Some(done("sleep, then no CPU", exchange, carries))
    }));
    // The same before the pick-up: in event the listener waits, and then hands over.
    let before = match mpm {
        Mpm::Prefork | Mpm::Worker => Phase::WorkerRunQueue,
        Mpm::Event => Phase::HandOff,
    };
    cases.extend(repeat(REPETITIONS, || {
        let thief = Thief::start(stand.cpu, LENGTH);
        client.send("/truth?do=nothing");
        let exchange = client.receive(Reading::AtOnce);
        let ended_ns = thief.ended_ns();
        let had_cpu = exchange.told("Begin") < ended_ns;
        if had_cpu || ended_ns < exchange.written_ns + LENGTH_NS / 2 {
            return None;
        }
        let waited = Span {
            least_ns: ended_ns - exchange.written_ns,
            most_ns: exchange.told("Begin") - exchange.row.sent_ns,
        };
        Some(done("arrives, no CPU", exchange, vec![(before, waited)]))
    }));
    drop(client);
    settle(stand, cases);
}

pub fn a_stopped_process_is_in_the_phase_of_that(mpm: Mpm) {
    let Some(stand) = Stand::start(mpm) else {
        return;
    };
    let (mut client, pid) = stand.connect();
    let mut cases = nothing(&mut client);
    cases.extend(repeat(REPETITIONS, || {
        client.send("/truth?do=stop");
        // It waits to be resumed, so it is seen however late that is.
        let task = until_busy(pid, None, &client)?;
        stop::until_stopped(task);
        std::thread::sleep(LENGTH);
        let (stopped_ns, ran_ns) = stop::resume(task);
        let exchange = client.receive(Reading::AtOnce);
        let begin_ns = exchange.told("Begin");
        let length = Span {
            least_ns: stopped_ns - begin_ns - exchange.told("Cpu"),
            most_ns: ran_ns - begin_ns,
        };
        Some(done("stop", exchange, vec![(Phase::Stopped, length)]))
    }));
    for (what, call) in [
        ("spin", None),
        ("sleep", Some(libc::SYS_clock_nanosleep)),
        ("sleep-relative", Some(libc::SYS_clock_nanosleep)),
    ] {
        cases.extend(repeat(REPETITIONS, || {
            client.send(&format!("/truth?do={what}&ns={}", 2 * LENGTH_NS));
            let Some(task) = until_busy(pid, call, &client) else {
                client.receive(Reading::AtOnce);
                return None;
            };
            let stop = Stop::of(task, LENGTH);
            let exchange = client.receive(Reading::AtOnce);
            let rest = if what == "spin" {
                stop.rest_on_cpu(&exchange)
            } else {
                stop.rest_asleep(&exchange)
            };
            let carries = vec![(Phase::Stopped, stop.length()), rest?];
            Some(done(&format!("stopped in {what}"), exchange, carries))
        }));
    }
    drop(client);
    settle(stand, cases);
}

pub fn page_faults_of_a_request_are_those_of_its_task(mpm: Mpm) {
    const PAGES: [u64; 4] = [0, 1, 100, 5000];
    let Some(stand) = Stand::start(mpm) else {
        return;
    };
    let (mut client, _) = stand.connect();
    let path = cold_file(&stand.dir);
    let file = path.display();
    let mut asked = Vec::new();
    for pages in PAGES {
        for _ in 0..REPETITIONS {
            asked.push(client.get(&format!("/truth?do=touch&pages={pages}")));
        }
    }
    for _ in 0..REPETITIONS {
        cool(&path);
        asked.push(client.get(&format!(
            "/truth?do=map-file&pages={COLD_PAGES}&stride={COLD_STRIDE}&file={file}"
        )));
    }
    drop(client);
    let rows: Vec<_> = asked.iter().map(|exchange| exchange.row.clone()).collect();
    let joined = stand.finish(&rows);
    let both: Vec<_> = asked.iter().zip(&joined).collect();
    let (touched, mapped) = both.split_at(PAGES.len() * REPETITIONS);
    let minor = |joined: &Joined| u64::from(joined.kernel.faults_minor);
    // What a request costs in which nothing is touched.
    let overhead = || {
        touched[..REPETITIONS]
            .iter()
            .map(|(_, joined)| minor(joined))
    };
    let (least, most) = (overhead().min().unwrap(), overhead().max().unwrap());
    for (pages, requests) in PAGES.into_iter().zip(touched.chunks(REPETITIONS)) {
        let mut exact = 0;
        for (exchange, joined) in requests {
            let told = exchange.told("Minor");
            assert!(told >= pages, "{told} of {pages} pages");
            let faults = minor(joined);
            assert!(
                faults >= told + least,
                "{mpm}: {faults} of {told} + {least}"
            );
            exact += usize::from(faults <= told + most);
        }
        // One more has who serves for the first time, or whose page was taken away meanwhile.
        assert!(exact > REPETITIONS / 2, "{mpm}: {exact} of {pages} pages");
    }
    // The kernel may keep pages that others look at.
    let cold: Vec<_> = mapped
        .iter()
        .map(|(exchange, joined)| {
            (
                exchange.told("Major"),
                u64::from(joined.kernel.faults_major),
            )
        })
        .filter(|(told, _)| *told >= COLD_PAGES)
        .collect();
    assert!(!cold.is_empty(), "the file was never cold");
    assert!(cold.iter().all(|(told, faults)| faults >= told), "{cold:?}");
    assert!(cold.iter().any(|(told, faults)| faults == told), "{cold:?}");
}
