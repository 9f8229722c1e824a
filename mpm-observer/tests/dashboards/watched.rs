//! Servers of each MPM that are watched by an observer each, and a Prometheus that asks these.

use std::{
    collections::BTreeMap,
    fs::File,
    net::SocketAddr,
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use mpm_observer::{
    httpd::{self, Httpd, RuntimeDir, free_port, http},
    prometheus::{Config, Prometheus, Scrape},
    resources::{RunCgroup, memory_cgroup_version, tasks_cgroup_version},
    scenario::{Limits, Mpm},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, geteuid},
};

use super::{
    common::{GRACE, NEVER, PROGRAM, Place, START, have, small, wait_until},
    tools::{dashboards, prometheus},
};

/// How long an answer of the observer may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// One server and its observer.
pub struct Watched {
    pub mpm: Mpm,
    pub server: SocketAddr,
    pub metrics: SocketAddr,
    httpd: Option<Httpd>,
    observer: Child,
    _cgroup: RunCgroup,
    _runtime: RuntimeDir,
    place: Place,
}

impl Watched {
    fn start(mpm: Mpm) -> Self {
        let place = Place::new().unwrap();
        let runtime = RuntimeDir::create_in(&place.base()).unwrap();
        let mut plan = small(mpm, "warm", "");
        plan.server.listen_backlog = 4;
        plan.server.keep_alive_timeout_s = 60;
        // Far above what is needed, so that use and limit are both there.
        let cgroup = RunCgroup::create(&Limits {
            cgroup_tasks: Some(500),
            cgroup_memory_kb: Some(1 << 20),
            ..Limits::default()
        })
        .unwrap();
        let (httpd, _) = httpd::start(
            &place.setup(&runtime, &plan, 0),
            START,
            &NEVER,
            |prepared| {
                cgroup
                    .add(prepared.pid())
                    .map_err(|error| error.to_string())
            },
        )
        .unwrap();
        let metrics = SocketAddr::from(([127, 0, 0, 1], free_port().unwrap()));
        let log = File::create(place.dir.path().join("serve.log")).unwrap();
        let observer = Command::new(PROGRAM)
            .arg("serve")
            .args(["--pid", &httpd.pid().to_string()])
            .args(["--listen", &metrics.to_string()])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Self {
            mpm,
            server: httpd.addr(),
            metrics,
            httpd: Some(httpd),
            observer,
            _cgroup: cgroup,
            _runtime: runtime,
            place,
        }
    }

    pub fn httpd(&self) -> &Httpd {
        self.httpd.as_ref().unwrap()
    }

    /// `prlimit` by httpd's own user: root may lack the privilege to limit others' processes.
    pub fn prlimit(&self) -> Command {
        let mut prlimit = Command::new("prlimit");
        if let Some(user) = &self.place.user {
            prlimit.uid(user.uid).gid(user.gid);
        }
        prlimit
    }

    /// What the observer exports.
    pub fn exported(&self) -> String {
        let answer = http::get(self.metrics, "/metrics", PATIENCE, &mut 0).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.body
    }

    fn is_watched(&self) -> bool {
        let answer = http::get(self.metrics, "/metrics", PATIENCE, &mut 0);
        answer.is_ok_and(|answer| answer.body.contains("\nmpm_observer_server_watched 1"))
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let pid = Pid::from_raw(self.observer.id().try_into().unwrap());
        let _ = kill(pid, Signal::SIGTERM);
        let _ = self.observer.wait();
        if let Some(httpd) = self.httpd.take() {
            let _ = httpd.stop(GRACE);
        }
    }
}

/// One of each MPM, and Prometheus with the alert rules.
pub struct Fleet {
    // It ends first, so that it sees no server go.
    pub prometheus: Prometheus,
    pub servers: Vec<Watched>,
    _dir: tempfile::TempDir,
}

/// The job by which Prometheus knows the observers.
pub const JOB: &str = "mpm-observer";

impl Fleet {
    /// `None` if it cannot be had here.
    pub fn start() -> Option<Self> {
        let program = prometheus()?;
        let cgroups = memory_cgroup_version() != 0 && tasks_cgroup_version() != 0;
        let here = [
            have("root", geteuid().is_root()),
            have("httpd", httpd::Installation::find(None).is_ok()),
            have("control groups of memory and tasks", cgroups),
        ];
        if here.contains(&false) {
            return None;
        }
        let servers: Vec<Watched> = Mpm::ALL.into_iter().map(Watched::start).collect();
        for server in &servers {
            wait_until("the observer watches its server", || server.is_watched());
        }
        let dir = tempfile::tempdir().unwrap();
        let prometheus = start_prometheus(&program, dir.path(), &servers);
        // It takes some seconds to begin, and what happens before that is no increase.
        wait_until("Prometheus has asked each observer", || {
            let targets = prometheus.api().targets().unwrap();
            let up = targets.iter().filter(|target| target.health == "up");
            up.count() == servers.len()
        });
        Some(Self {
            prometheus,
            servers,
            _dir: dir,
        })
    }
}

fn start_prometheus(program: &Path, dir: &Path, servers: &[Watched]) -> Prometheus {
    let scrapes = [JOB].map(|job| Scrape {
        job: job.into(),
        addresses: servers.iter().map(|server| server.metrics).collect(),
        interval: Duration::from_secs(1),
        labels: BTreeMap::new(),
    });
    let config = Config {
        scrapes: scrapes.into(),
        rules: vec![dashboards().join("alerts.yml")],
    };
    Prometheus::start(program, dir, &config).unwrap()
}
