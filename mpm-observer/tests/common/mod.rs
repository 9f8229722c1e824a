//! What the tests with real programs share.

#![allow(dead_code, reason = "each test program uses a part of it")]

pub mod capabilities;
pub mod client;
pub mod debian;
pub mod network;
pub mod watched;

use std::{
    fs,
    io::Write,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::atomic::AtomicBool,
    time::{Duration, Instant},
};

use mpm_observer::{
    httpd::{self, Httpd, Installation, ReadyIn, RuntimeDir, Setup, user},
    scenario::{Mpm, RunPlan, Scenario, Size},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// Whether a test can run that needs `what`. If not, the test says so and is to return at once;
/// with `MPM_OBSERVER_REQUIRE_ALL=1`, as in continuous integration, it fails.
pub fn have(what: &str, present: bool) -> bool {
    if !present {
        let required = std::env::var_os("MPM_OBSERVER_REQUIRE_ALL").is_some_and(|v| v == "1");
        assert!(
            !required,
            "this test needs {what}, and MPM_OBSERVER_REQUIRE_ALL is set"
        );
        // Not println!, which is shown only for tests that fail.
        let _ = writeln!(std::io::stderr(), "SKIPPED: {what} is missing");
    }
    present
}

/// A directory for what root does with an httpd, open to httpd's user; `None` if that cannot be
/// done here.
pub fn dir_of_lab() -> Option<tempfile::TempDir> {
    let root = have("root", nix::unistd::geteuid().is_root());
    let httpd = have("httpd", Installation::find(None).is_ok());
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    (root && httpd).then_some(dir)
}

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_mpm-observer");
/// Nobody cancels.
pub static NEVER: AtomicBool = AtomicBool::new(false);
pub const START: Duration = Duration::from_secs(30);
pub const GRACE: Duration = Duration::from_secs(60);

/// A place for one test: the runtime directories of its labs, and a run's directory.
pub struct Place {
    pub dir: tempfile::TempDir,
    pub installation: Installation,
    pub user: Option<user::ServerUser>,
}

impl Place {
    /// `None` when there is no httpd here.
    pub fn new() -> Option<Self> {
        Place::new_in(&std::env::temp_dir())
    }

    pub fn new_in(parent: &Path) -> Option<Self> {
        let installation = Installation::find(None);
        if !have("httpd", installation.is_ok()) {
            return None;
        }
        let dir = tempfile::tempdir_in(parent).unwrap();
        // httpd's user must be able to come through.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let installation = installation.unwrap();
        Some(Place {
            dir,
            installation,
            user: user::choose(None).unwrap(),
        })
    }

    pub fn base(&self) -> PathBuf {
        self.dir.path().join("labs")
    }

    pub fn start(&self, runtime: &RuntimeDir, plan: &RunPlan) -> (Httpd, ReadyIn) {
        httpd::start(&self.setup(runtime, plan, 0), START, &NEVER, |_| Ok(())).unwrap()
    }

    pub fn setup<'a>(&'a self, runtime: &'a RuntimeDir, plan: &'a RunPlan, port: u16) -> Setup<'a> {
        Setup {
            installation: &self.installation,
            runtime,
            plan,
            run_dir: self.dir.path(),
            user: self.user.as_ref(),
            cpus: &[],
            port,
            program: Path::new(PROGRAM),
        }
    }
}

/// A small httpd of 10 slots in two processes, or ten for prefork.
pub fn small(mpm: Mpm, start: &str, limits: &str) -> RunPlan {
    let text = format!(
        "name = \"small\"\ntitle = \"Small\"\nwhat = \"A test.\"\n\
         [size]\nfull = {{ requests = 10, concurrency = 1 }}\n\
         quick = {{ requests = 10, concurrency = 1 }}\n\
         [server]\nstart = \"{start}\"\nmax_request_workers = 10\n\
         worker.threads_per_child = 5\nevent.threads_per_child = 5\n[limits]\n{limits}\n"
    );
    Scenario::parse("small.toml", &text)
        .unwrap()
        .plan(mpm, Size::Quick)
}

pub fn alive(pid: u32) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else {
        return false;
    };
    let state = stat
        .rsplit(')')
        .next()
        .and_then(|rest| rest.split_whitespace().next());
    !matches!(state, Some("Z" | "X") | None)
}

pub fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

pub fn kill_9(pid: u32) {
    kill(Pid::from_raw(pid.try_into().unwrap()), Signal::SIGKILL).unwrap();
}

pub fn parent_of(pid: u32) -> u32 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit(')')
        .next()
        .unwrap()
        .split_whitespace()
        .nth(1)
        .unwrap()
        .parse()
        .unwrap()
}
