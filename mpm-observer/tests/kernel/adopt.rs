//! Following a server that runs already, and leaving programs out.

use std::{
    collections::{BTreeMap, HashSet},
    io::Read,
    net::TcpStream,
};

use mpm_observer::{
    httpd::{self, RuntimeDir},
    kernel::{LiveTask, Options, PROBES, Tier, Watch},
    scenario::Mpm,
};
use mpm_observer_common::{TaskFlags, TaskRecord};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{Seen, check_times, exchange, kernel, switches_by_proc};
use crate::common::{GRACE, Place, kill_9, small, wait_until};

/// Bounds of a task's switches in an interval, from readings of /proc before and after each end.
struct SwitchBounds {
    before: (u64, u64),
    begun: (u64, u64),
}

fn an_adopted_server_is_counted_exactly(mpm: Mpm) {
    const REQUESTS: usize = 40;
    let Some(kernel) = kernel() else { return };
    let Some(place) = Place::new() else { return };
    let runtime = RuntimeDir::create_in(&place.base()).unwrap();
    let plan = small(mpm, "warm", "");
    let (httpd, _) = place.start(&runtime, &plan);
    let mut watch = Watch::start(&kernel, Options::for_port(httpd.addr().port())).unwrap();
    let listed = httpd.tasks().unwrap();
    let before: Vec<_> = listed
        .iter()
        .map(|task| switches_by_proc(task.pid, task.tid))
        .collect();
    let live = || {
        let tasks = httpd.tasks()?;
        Ok(tasks.into_iter().map(LiveTask::from).collect())
    };
    watch.adopt(httpd.pid(), live).unwrap();
    let bounds: BTreeMap<u32, SwitchBounds> = listed
        .iter()
        .zip(before)
        .map(|(task, before)| {
            let begun = switches_by_proc(task.pid, task.tid);
            (task.tid, SwitchBounds { before, begun })
        })
        .collect();

    let mut streams: Vec<TcpStream> = (0..4)
        .map(|_| TcpStream::connect(httpd.addr()).unwrap())
        .collect();
    for number in 0..REQUESTS {
        exchange(&mut streams[number % 4], "/alive.txt", false);
    }
    drop(streams);

    let followed = watch.live_tasks().unwrap();
    let mut tids: Vec<u32> = followed.iter().map(|task| task.pid).collect();
    tids.sort_unstable();
    let mut expected: Vec<u32> = listed.iter().map(|task| task.tid).collect();
    expected.sort_unstable();
    assert_eq!(tids, expected, "each task once");
    for (task, known) in followed.iter().map(|task| (task, &bounds[&task.pid])) {
        let low = switches_by_proc(task.tgid, task.pid);
        let live = watch.live_tasks().unwrap();
        let now = live.iter().find(|now| now.pid == task.pid).unwrap();
        let high = switches_by_proc(task.tgid, task.pid);
        let fits = |count: u64, low: u64, begun: u64, high: u64, before: u64| {
            count + 1 >= low - begun && count <= high - before + 1
        };
        let SwitchBounds { before, begun } = known;
        let sched = &now.totals.sched;
        assert!(
            fits(sched.voluntary, low.0, begun.0, high.0, before.0),
            "{mpm} {now:?}"
        );
        assert!(
            fits(sched.involuntary, low.1, begun.1, high.1, before.1),
            "{mpm} {now:?}"
        );
        let of_process = listed.iter().find(|listed| listed.tid == task.pid).unwrap();
        assert_eq!(
            (task.tgid, task.parent_tgid),
            (of_process.pid, of_process.ppid)
        );
        let is_thread = task.flags & TaskFlags::THREAD != 0;
        assert_eq!(is_thread, task.pid != task.tgid);
        let is_first = task.flags & TaskFlags::FIRST != 0;
        assert_eq!(is_first, task.pid == httpd.pid());
    }

    let stopped = httpd.stop(GRACE).unwrap();
    assert_eq!(stopped.left, Vec::<u32>::new());
    let mut seen = Seen::default();
    seen.take(&mut watch);
    assert_eq!(watch.live_tasks().unwrap(), []);
    assert_eq!(seen.requests.len(), REQUESTS);
    let sum: u64 = seen.tasks.iter().map(|task| task.totals.requests).sum();
    assert_eq!(sum as usize, REQUESTS);
    for request in &seen.requests {
        assert!(expected.contains(&request.first_task));
        check_times(request);
    }
    let counters = watch.counters().unwrap();
    assert!(counters.balanced(), "{counters:?}");
    assert_eq!(counters.lost(), 0);
}

#[test]
fn an_adopted_prefork_is_counted_exactly() {
    an_adopted_server_is_counted_exactly(Mpm::Prefork);
}

#[test]
fn an_adopted_worker_is_counted_exactly() {
    an_adopted_server_is_counted_exactly(Mpm::Worker);
}

#[test]
fn an_adopted_event_is_counted_exactly() {
    an_adopted_server_is_counted_exactly(Mpm::Event);
}

#[test]
fn adopting_while_tasks_are_made_and_end_follows_each_task_once() {
    let Some(kernel) = kernel() else { return };
    let mut watch = Watch::start(&kernel, Options::for_port(1)).unwrap();
    // Makes and ends tasks all the time, in a session of its own.
    let mut shell = std::process::Command::new("setsid")
        .args(["sh", "-c", "echo; while :; do (:); done"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut begun = [0];
    shell
        .stdout
        .as_mut()
        .unwrap()
        .read_exact(&mut begun)
        .unwrap();
    let session = shell.id();
    let live = || {
        let tasks = httpd::tasks(session, Mpm::Prefork)?;
        Ok(tasks.into_iter().map(LiveTask::from).collect())
    };
    watch.adopt(session, live).unwrap();
    let followed = watch.live_tasks().unwrap();
    let tids: HashSet<u32> = followed.iter().map(|task| task.pid).collect();
    assert_eq!(tids.len(), followed.len(), "{followed:?}");
    assert!(tids.contains(&session));
    kill_9(session);
    shell.wait().unwrap();
    let mut seen = Seen::default();
    seen.take(&mut watch);
    let first: Vec<_> = seen
        .tasks
        .iter()
        .filter(|task| task.pid == session)
        .collect();
    assert_eq!(first.len(), 1);
    let counters = watch.counters().unwrap();
    assert!(counters.balanced(), "{counters:?}");
}

#[test]
fn of_more_tasks_than_there_is_room_for_the_rest_is_counted_and_the_first_process_followed() {
    const ROOM: usize = 4;
    let Some(kernel) = kernel() else { return };
    let Some(place) = Place::new() else { return };
    let runtime = RuntimeDir::create_in(&place.base()).unwrap();
    let (httpd, _) = place.start(&runtime, &small(Mpm::Prefork, "warm", ""));
    let options = Options {
        max_tasks: ROOM as u32,
        ..Options::for_port(httpd.addr().port())
    };
    let mut watch = Watch::start(&kernel, options).unwrap();
    let live = || {
        let tasks = httpd.tasks()?;
        // The first process comes last, as from a list of descendants.
        Ok(tasks.into_iter().rev().map(LiveTask::from).collect())
    };
    watch.adopt(httpd.pid(), live).unwrap();
    let followed = watch.live_tasks().unwrap();
    assert_eq!(followed.len(), ROOM);
    let is_first = |task: &&TaskRecord| task.flags & TaskFlags::FIRST != 0;
    let first = followed.iter().find(is_first).map(|task| task.pid);
    assert_eq!(first, Some(httpd.pid()));
    let unfollowed = httpd.tasks().unwrap().len() - ROOM;
    let counters = watch.counters().unwrap();
    assert_eq!(counters.tasks_unfollowed, unfollowed as u64);

    // The children end and others come: there is room for as many as before.
    let before: HashSet<u32> = followed.iter().map(|task| task.pid).collect();
    let first = Pid::from_raw(httpd.pid().cast_signed());
    kill(first, Signal::SIGHUP).unwrap();
    wait_until("new children are followed", || {
        let now = watch.live_tasks().unwrap();
        let new = now.iter().filter(|task| !before.contains(&task.pid));
        new.count() == ROOM - 1
    });
    assert_eq!(httpd.stop(GRACE).unwrap().left, Vec::<u32>::new());
}

#[test]
fn a_program_that_is_left_out_does_not_run_and_the_others_do() {
    let Some(kernel) = kernel() else { return };
    let options = Options {
        without: &["sys_exit"],
        ..Options::for_port(1)
    };
    let watch = Watch::start(&kernel, options).unwrap();
    let runs = watch.program_runs();
    assert!(!runs.iter().any(|runs| runs.program == "sys_exit"));
    let programs = PROBES.iter().flat_map(|probe| probe.programs);
    let all = programs
        .filter(|program| !matches!(program.tier, Tier::Trace | Tier::Live))
        .count();
    assert_eq!(runs.len(), all - 1, "{runs:?}");
}
