//! Servers that are restarted in every way while one observer runs.

use std::{
    fs,
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use mpm_observer::{
    httpd::{Httpd, Installation, RuntimeDir},
    kernel::{Options, Ports, Record},
    live::{self, Consumer, LiveError, Look, Server},
    scenario::{Mpm, RunPlan},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::observer::{Observer, Step};
use crate::common::{
    GRACE, Place, have, kill_9, small, wait_until,
    watched::{exchange, kernel},
};

/// A place whose httpd is a program of its own, which can be replaced.
fn place() -> Option<Place> {
    if !have("root", nix::unistd::geteuid().is_root()) {
        return None;
    }
    let mut place = Place::new()?;
    let copy = replace_program(&place.installation.binary, place.dir.path());
    place.installation = Installation {
        binary: copy,
        ..place.installation
    };
    Some(place)
}

/// Puts a program in the place of another one of its name, as a package's upgrade does: a new file,
/// renamed over the old one.
fn replace_program(program: &Path, dir: &Path) -> PathBuf {
    let name = program.file_name().unwrap();
    let (new, old) = (dir.join("new"), dir.join(name));
    fs::copy(program, &new).unwrap();
    fs::rename(&new, &old).unwrap();
    old
}

pub fn wait_until_followed(observer: &Observer, httpd: &Httpd) {
    let alive = || {
        let tasks = httpd.tasks().unwrap();
        let mut tids: Vec<u32> = tasks.iter().map(|task| task.tid).collect();
        tids.sort_unstable();
        tids
    };
    observer.wait_for(
        "a look with exactly the tasks that are alive",
        |step| matches!(step, Step::Tasks(tasks) if *tasks == alive()),
    );
}

pub fn wait_for_a_request(observer: &Observer, httpd: &Httpd) {
    exchange(
        &mut TcpStream::connect(httpd.addr()).unwrap(),
        "/alive.txt",
        true,
    );
    observer.wait_for("a request", |step| matches!(step, Step::Requests(_)));
}

fn restarts_of_every_kind_are_followed(mpm: Mpm) {
    let Some(place) = place() else { return };
    let runtime = RuntimeDir::create_in(&place.base()).unwrap();
    let plan = small(mpm, "warm", "");
    let mut observer = Observer::start(place.dir.path());
    observer.wait_for("no server yet", |step| *step == Step::Waiting);

    let (httpd, _) = place.start(&runtime, &plan);
    let first = httpd.pid();
    observer.wait_for("the first server", |step| *step == Step::Begin(first));
    wait_until_followed(&observer, &httpd);
    wait_for_a_request(&observer, &httpd);

    // Restarted gracefully, and then at once: the same first process with other children.
    for signal in [Signal::SIGUSR1, Signal::SIGHUP] {
        let before = children_of(&httpd);
        kill(Pid::from_raw(first.cast_signed()), signal).unwrap();
        wait_until("all children are new", || {
            let now = children_of(&httpd);
            !now.is_empty() && now.iter().all(|child| !before.contains(child))
        });
        wait_until_followed(&observer, &httpd);
        wait_for_a_request(&observer, &httpd);
    }

    // Its program is replaced while it runs: it is watched on, and can be found anew.
    replace_program(&Installation::find(None).unwrap().binary, place.dir.path());
    let servers = live::servers().unwrap();
    assert!(servers.iter().any(|server| server.process.pid == first));
    wait_for_a_request(&observer, &httpd);

    // The next one, of the new program and on another port.
    httpd.stop(GRACE).unwrap();
    observer.wait_for("its end", |step| *step == Step::End);
    observer.wait_for("no server any more", |step| *step == Step::Waiting);
    let (httpd, _) = place.start(&runtime, &plan);
    let second = httpd.pid();
    assert_ne!(first, second);
    observer.wait_for("the second server", |step| *step == Step::Begin(second));
    wait_until_followed(&observer, &httpd);
    wait_for_a_request(&observer, &httpd);

    // Killed, with its children.
    kill_9(second);
    observer.wait_for("its end", |step| *step == Step::End);
    drop(httpd);
    let (httpd, _) = place.start(&runtime, &plan);
    let third = httpd.pid();
    observer.wait_for("the third server", |step| *step == Step::Begin(third));
    wait_for_a_request(&observer, &httpd);
    assert_eq!(observer.end(Signal::SIGTERM), Some(0));
    assert_eq!(httpd.stop(GRACE).unwrap().left, Vec::<u32>::new());
}

fn children_of(httpd: &Httpd) -> Vec<u32> {
    let tasks = httpd.tasks().unwrap();
    let children = tasks.iter().filter(|task| task.pid != httpd.pid());
    children.map(|task| task.pid).collect()
}

#[test]
fn restarts_of_every_kind_are_followed_with_prefork() {
    restarts_of_every_kind_are_followed(Mpm::Prefork);
}

#[test]
fn restarts_of_every_kind_are_followed_with_worker() {
    restarts_of_every_kind_are_followed(Mpm::Worker);
}

#[test]
fn restarts_of_every_kind_are_followed_with_event() {
    restarts_of_every_kind_are_followed(Mpm::Event);
}

fn ports_that_a_reload_adds_or_removes_are_followed(mpm: Mpm) {
    let Some(place) = place() else { return };
    let runtime = RuntimeDir::create_in(&place.base()).unwrap();
    let mut observer = Observer::start(place.dir.path());
    let (httpd, _) = place.start(&runtime, &small(mpm, "warm", ""));
    let pid = httpd.pid();
    let own = httpd.addr();
    observer.wait_for("the server", |step| *step == Step::Begin(pid));
    wait_for_a_request(&observer, &httpd);

    // At an address of its own: nobody else takes the port there meanwhile.
    let another = SocketAddr::from(([127, 44, 0, 1], mpm_observer::httpd::free_port().unwrap()));
    let config = place.dir.path().join("httpd.conf");
    let before = fs::read_to_string(&config).unwrap();
    fs::write(&config, format!("{before}\nListen {another}\n")).unwrap();
    kill(Pid::from_raw(pid.cast_signed()), Signal::SIGUSR1).unwrap();
    let mut both = vec![own.port(), another.port()];
    both.sort_unstable();
    observer.wait_for("both ports", |step| *step == Step::Ports(both.clone()));
    wait_until_followed(&observer, &httpd);
    for addr in [another, own] {
        exchange(&mut TcpStream::connect(addr).unwrap(), "/alive.txt", true);
        observer.wait_for("its request", |step| *step == Step::Port(addr.port()));
    }

    fs::write(&config, before).unwrap();
    kill(Pid::from_raw(pid.cast_signed()), Signal::SIGUSR1).unwrap();
    observer.wait_for("one port", |step| *step == Step::Ports(vec![own.port()]));
    wait_until_followed(&observer, &httpd);
    wait_for_a_request(&observer, &httpd);
    assert!(TcpStream::connect(another).is_err());
    assert_eq!(observer.end(Signal::SIGTERM), Some(0));
    assert_eq!(httpd.stop(GRACE).unwrap().left, Vec::<u32>::new());
}

#[test]
fn ports_that_a_reload_adds_or_removes_are_followed_with_prefork() {
    ports_that_a_reload_adds_or_removes_are_followed(Mpm::Prefork);
}

#[test]
fn ports_that_a_reload_adds_or_removes_are_followed_with_event() {
    ports_that_a_reload_adds_or_removes_are_followed(Mpm::Event);
}

/// What `kill -HUP` does to an observer that was started by a shell which did this before.
fn hang_up(before: &str) -> Observer {
    let dir = tempfile::tempdir().unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{before} \"$0\" \"$@\"")]);
    command.arg(std::env::current_exe().unwrap());
    let observer = Observer::start_by(command, dir.path());
    observer.wait_for("no server", |step| *step == Step::Waiting);
    kill(Pid::from_raw(observer.pid().cast_signed()), Signal::SIGHUP).unwrap();
    observer
}

#[test]
fn the_end_of_a_terminal_ends_an_observer_unless_nohup_started_it() {
    if !have("root", nix::unistd::geteuid().is_root()) {
        return;
    }
    // Whatever this program was started by.
    let mut observer = hang_up("exec env --default-signal=HUP");
    assert_eq!(observer.wait_for_end(), Some(0));
    let mut observer = hang_up("exec nohup");
    // Told once a second: the second one that comes is of a time after the signal.
    for _ in 0..3 {
        observer.wait_for("it goes on", |step| *step == Step::Waiting);
    }
    assert_eq!(observer.end(Signal::SIGTERM), Some(0));
}

#[derive(Default)]
struct Told {
    waiting: u32,
}

impl Consumer for Told {
    fn begin(&mut self, _: &Server) {}
    fn record(&mut self, _: &Record) {}
    fn look(&mut self, _: &Look) {}
    fn end(&mut self) {}
    fn waiting(&mut self) {
        self.waiting += 1;
    }
}

#[test]
fn that_nothing_runs_is_told_only_where_nothing_runs() {
    let Some(kernel) = kernel() else { return };
    let told_if = |found: &dyn Fn() -> Result<Option<(Server, Ports)>, LiveError>| {
        let stop = AtomicBool::new(false);
        let mut looks = 0;
        let mut told = Told::default();
        // The fourth look comes three seconds after the first one; it is told once a second.
        let choose = || {
            looks += 1;
            stop.store(looks == 4, Ordering::Relaxed);
            found()
        };
        live::follow(&kernel, choose, Options::for_port, &mut told, &stop).unwrap();
        told.waiting
    };
    assert!(told_if(&|| Ok(None)) >= 2);
    let elsewhere = || LiveError::NotListening {
        pid: 1,
        asked: 8080.into(),
        own: 80.into(),
    };
    assert_eq!(told_if(&|| Err(elsewhere())), 0);
    assert_eq!(told_if(&|| Err(LiveError::NoPort { pid: 1 })), 0);
}

/// Starts an httpd and does not wait until it serves.
fn begin_to_start(place: &Place, runtime: &RuntimeDir, plan: &RunPlan) -> Httpd {
    let port = mpm_observer::httpd::free_port().unwrap();
    let prepared = Httpd::prepare(&place.setup(runtime, plan, port)).unwrap();
    prepared.go().unwrap()
}

#[test]
fn servers_that_end_while_they_start_or_are_attached_to_do_not_end_the_observer() {
    let Some(place) = place() else { return };
    let runtime = RuntimeDir::create_in(&place.base()).unwrap();
    let plan = small(Mpm::Worker, "warm", "");
    let mut observer = Observer::start(place.dir.path());
    observer.wait_for("no server yet", |step| *step == Step::Waiting);
    // At whatever moment of its start, and of the observer's attaching, each ends.
    for lives_ms in [0, 20, 50, 100, 200, 300, 500, 700, 900, 1200] {
        let httpd = begin_to_start(&place, &runtime, &plan);
        std::thread::sleep(Duration::from_millis(lives_ms));
        kill_9(httpd.pid());
        drop(httpd);
    }
    let (httpd, _) = place.start(&runtime, &plan);
    observer.wait_for("the last server", |step| *step == Step::Begin(httpd.pid()));
    wait_until_followed(&observer, &httpd);
    wait_for_a_request(&observer, &httpd);
    assert_eq!(observer.end(Signal::SIGTERM), Some(0));
    assert_eq!(httpd.stop(GRACE).unwrap().left, Vec::<u32>::new());
}
