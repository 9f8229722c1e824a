//! An observer in a cgroup namespace of its own, as in a container: the figures of httpd's control
//! group are those of that group, or there are none.

use std::{
    fs,
    net::TcpStream,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use mpm_observer::{
    httpd::{Httpd, RuntimeDir, descendants},
    scenario::Mpm,
};
use nix::{sys::signal::Signal, unistd::geteuid};

use crate::{
    common::{GRACE, PROGRAM, Place, have, small, watched::exchange},
    serving::Serving,
};

const TASKS: &str = "httpd_cgroup_tasks";
const LIMIT: &str = "httpd_cgroup_tasks_limit";
/// Of httpd's group, so low that no group above, as of a container of the tests, is nearer to its
/// own; and of that in which the observer is.
const HTTPDS_LIMIT: u64 = 40;
const OBSERVERS_LIMIT: u64 = 2000;

/// Where the controller of tasks is mounted, and how.
struct Hierarchy {
    mount: PathBuf,
    version: u8,
}

impl Hierarchy {
    /// `None` if no group can be made here that counts tasks.
    fn find() -> Option<Self> {
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
        let found = mounts.lines().find_map(|line| {
            let fields: Vec<&str> = line.split(' ').collect();
            let mount = PathBuf::from(fields[1]);
            let version = match fields[2] {
                "cgroup" if fields[3].split(',').any(|option| option == "pids") => 1,
                "cgroup2" if text(&mount.join("cgroup.controllers")).contains("pids") => 2,
                _ => return None,
            };
            Some(Self { mount, version })
        });
        let usable = found.filter(|found| {
            found.version == 1
                || fs::write(found.mount.join("cgroup.subtree_control"), "+pids").is_ok()
        });
        let has = have("the controller of tasks (pids)", usable.is_some());
        usable.filter(|_| has)
    }

    /// What mounts it anew in its place.
    fn remount(&self) -> String {
        let mount = self.mount.display();
        match self.version {
            1 => format!("umount -l {mount} && mount -t cgroup -o pids none {mount}"),
            _ => format!("umount -l {mount} && mount -t cgroup2 none {mount}"),
        }
    }
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// A control group. Dropping it removes it, once its processes are gone.
struct Group(PathBuf);

impl Group {
    fn make(path: PathBuf, limit: Option<u64>) -> Self {
        fs::create_dir(&path).unwrap();
        if let Some(limit) = limit {
            fs::write(path.join("pids.max"), limit.to_string()).unwrap();
        }
        Self(path)
    }

    fn add(&self, pid: u32) {
        // One that has ended meanwhile is in none.
        let _ = fs::write(self.0.join("cgroup.procs"), pid.to_string());
    }

    /// Its children are there; those that come are born where it is.
    fn add_all(&self, httpd: &Httpd) {
        self.add(httpd.pid());
        for pid in descendants(httpd.pid()).unwrap() {
            self.add(pid);
        }
    }

    fn tasks(&self) -> u64 {
        text(&self.0.join("pids.current")).trim().parse().unwrap()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let deadline = Instant::now() + GRACE;
        while fs::remove_dir(&self.0).is_err() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// An httpd and an observer, each in a group of its own.
struct Apart {
    httpd: Httpd,
    _runtime: RuntimeDir,
    httpds: Group,
    observers: Group,
    /// Above one or both.
    _above: Group,
    _place: Place,
    hierarchy: Hierarchy,
}

impl Apart {
    /// The names of the two groups below the mount; `above` is made first.
    fn start(above: &str, httpds: &str, observers: &str) -> Option<Self> {
        if !have("root", geteuid().is_root()) {
            return None;
        }
        let place = Place::new()?;
        let hierarchy = Hierarchy::find()?;
        let at = |name: &str| hierarchy.mount.join(name);
        let above = Group::make(at(above), None);
        if hierarchy.version == 2 {
            fs::write(above.0.join("cgroup.subtree_control"), "+pids").unwrap();
        }
        let httpds = Group::make(at(httpds), Some(HTTPDS_LIMIT));
        let observers = Group::make(at(observers), Some(OBSERVERS_LIMIT));
        let runtime = RuntimeDir::create_in(&place.base()).unwrap();
        let (httpd, _) = place.start(&runtime, &small(Mpm::Event, "warm", ""));
        httpds.add_all(&httpd);
        Some(Self {
            httpd,
            _runtime: runtime,
            httpds,
            observers,
            _above: above,
            _place: place,
            hierarchy,
        })
    }

    /// The observer in its group, whose root it takes for that of all; `first` is done within.
    fn serve(&self, unshare: &str, first: &str, target: &[&str]) -> Serving {
        let group = self.observers.0.display();
        let script = format!(
            "echo $$ > {group}/cgroup.procs && \
             exec unshare {unshare} sh -c '{first} && exec \"$0\" \"$@\"' \"$0\" \"$@\""
        );
        let mut command = Command::new("sh");
        command.args(["-c", &script, PROGRAM]);
        Serving::start_by(command, &[target, &["--no-status"]].concat())
    }

    /// Whether what is served is httpd's group, with a limit of its own or of one above it.
    fn is_told(&self, serving: &Serving) {
        let scrape = serving.wait_until("its control group is told", |scrape| {
            scrape.get(TASKS) == Some(self.httpds.tasks() as f64)
        });
        assert_eq!(scrape.of_series(LIMIT), HTTPDS_LIMIT as f64);
    }
}

fn name(of: &str) -> String {
    format!("mpm-test.{}-{of}", std::process::id())
}

#[test]
fn a_group_that_is_outside_of_the_observers_cgroup_namespace_is_found() {
    let (above, httpds) = (name("a"), name("apart"));
    let observers = format!("{above}/own");
    let Some(apart) = Apart::start(&above, &httpds, &observers) else {
        return;
    };
    // Named as on the host: it leads up to a group that both are below.
    let serving = apart.serve("--cgroup", "true", &["--cgroup", &httpds]);
    apart.is_told(&serving);
    apart.httpd.stop(GRACE).unwrap();
}

#[test]
fn a_group_beside_the_observers_cgroup_namespace_is_found() {
    let above = name("b");
    let (httpds, observers) = (format!("{above}/httpd"), format!("{above}/own"));
    let Some(apart) = Apart::start(&above, &httpds, &observers) else {
        return;
    };
    let serving = apart.serve("--cgroup", "true", &["--cgroup", &httpds]);
    apart.is_told(&serving);
    apart.httpd.stop(GRACE).unwrap();
}

/// Requests, each over a connection of its own.
fn load(httpd: &Httpd, requests: usize) {
    for _ in 0..requests {
        let mut stream = TcpStream::connect(httpd.addr()).unwrap();
        exchange(&mut stream, "/alive.txt", true);
    }
}

#[test]
fn the_next_server_of_a_group_is_watched_by_the_same_process_whose_counters_go_on() {
    const ANSWERED: &str = "httpd_requests_total{outcome=\"answered\"}";
    const SERVERS: &str = "mpm_observer_servers_watched_total";
    if !have("root", geteuid().is_root()) {
        return;
    }
    let Some(place) = Place::new() else { return };
    let Some(hierarchy) = Hierarchy::find() else {
        return;
    };
    let of_group = name("d");
    let group = Group::make(hierarchy.mount.join(&of_group), None);
    let start = |runtime: &RuntimeDir, mpm| {
        let (httpd, _) = place.start(runtime, &small(mpm, "warm", ""));
        group.add_all(&httpd);
        httpd
    };
    let serving = Serving::start(&["--cgroup", &of_group, "--no-status"]);
    serving.wait_for_line("no httpd runs in ");
    let (mut answered, mut servers) = (0, 0);
    for (mpm, requests) in [(Mpm::Event, 20), (Mpm::Prefork, 30)] {
        let runtime = RuntimeDir::create_in(&place.base()).unwrap();
        let httpd = start(&runtime, mpm);
        let port = httpd.addr().port();
        let info = format!("mpm_observer_server_info{{mpm=\"{mpm}\",port=\"{port}\"}}");
        servers += 1;
        let begun = serving.wait_until("it is watched", |scrape| {
            scrape.get(&info) == Some(1.0) && scrape.of_series(SERVERS) == f64::from(servers)
        });
        // Nothing of the one before is counted again.
        assert_eq!(begun.of_series(ANSWERED), answered as f64);
        load(&httpd, requests);
        answered += requests;
        serving.wait_until("its requests are counted", |scrape| {
            scrape.of_series(ANSWERED) == answered as f64
        });
        assert_eq!(httpd.stop(GRACE).unwrap().left, Vec::<u32>::new());
        let gone = serving.wait_until("it is gone", |scrape| {
            scrape.of_series("mpm_observer_server_watched") == 0.0
        });
        assert_eq!(gone.of_series(ANSWERED), answered as f64);
    }
    assert_eq!(serving.end(Signal::SIGTERM), Some(0));
}

#[test]
fn of_a_group_that_is_hidden_no_figures_of_another_are_told() {
    let (above, httpds) = (name("c"), name("hidden"));
    let observers = format!("{above}/own");
    let Some(apart) = Apart::start(&above, &httpds, &observers) else {
        return;
    };
    let remount = apart.hierarchy.remount();
    let serving = apart.serve("--cgroup --mount", &remount, &["--cgroup", &httpds]);
    // Limits are looked at together.
    let scrape = serving.wait_until("limits are looked at", |scrape| {
        scrape.get("httpd_open_files_limit").is_some()
    });
    assert_eq!((scrape.get(TASKS), scrape.get(LIMIT)), (None, None));
    apart.httpd.stop(GRACE).unwrap();
}
