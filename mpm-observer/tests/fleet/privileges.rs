//! An observer with exactly the capabilities that are kept, and with each of them left away.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use mpm_observer::{
    httpd::{Httpd, RuntimeDir},
    privileges::KEPT,
    scenario::Mpm,
};
use nix::sys::signal::Signal;

use super::{
    follow::{wait_for_a_request, wait_until_followed},
    observer::{Observer, Step},
};
use crate::common::{GRACE, Place, have, small};

/// The user that nobody is.
const NOBODY: &str = "65534";

/// As `setpriv` writes them.
fn names() -> Vec<String> {
    let kept = KEPT.iter().map(|kept| kept.capability.to_string());
    kept.map(|name| name.to_lowercase().replace("cap_", "+"))
        .collect()
}

/// A command that runs `program` as a user without any right but these capabilities, which it can
/// never have more of.
fn with_only(capabilities: &[String], program: &Path) -> Command {
    let set = format!("-all,{}", capabilities.join(","));
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"])
        .args(["--no-new-privs", "--bounding-set", &set])
        .args(["--inh-caps", &set, "--ambient-caps", &set])
        .arg(program);
    command
}

struct Stand {
    place: Place,
    httpd: Httpd,
    /// This test program where everybody may run it.
    program: PathBuf,
    _runtime: RuntimeDir,
}

impl Stand {
    fn start() -> Option<Self> {
        let can_set = Command::new("setpriv").arg("--version").output().is_ok();
        if !have("root", nix::unistd::geteuid().is_root()) || !have("setpriv", can_set) {
            return None;
        }
        let place = Place::new()?;
        let program = place.dir.path().join("observer");
        fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
        let runtime = RuntimeDir::create_in(&place.base()).unwrap();
        // Its children run as another user than its first process.
        let (httpd, _) = place.start(&runtime, &small(Mpm::Event, "warm", ""));
        Some(Self {
            httpd,
            program,
            _runtime: runtime,
            place,
        })
    }

    fn observer(&self, capabilities: &[String]) -> Observer {
        Observer::start_by(
            with_only(capabilities, &self.program),
            self.place.dir.path(),
        )
    }
}

#[test]
fn the_capabilities_that_are_kept_suffice_whoever_runs_the_observer() {
    let Some(stand) = Stand::start() else { return };
    let mut observer = stand.observer(&names());
    observer.wait_for("the begin", |step| *step == Step::Begin(stand.httpd.pid()));
    wait_until_followed(&observer, &stand.httpd);
    wait_for_a_request(&observer, &stand.httpd);
    assert_eq!(observer.end(Signal::SIGTERM), Some(0));
    assert_eq!(stand.httpd.stop(GRACE).unwrap().left, Vec::<u32>::new());
}

#[test]
fn without_any_one_of_them_the_observer_cannot_watch() {
    let Some(stand) = Stand::start() else { return };
    for kept in KEPT {
        let left_away = kept
            .capability
            .to_string()
            .to_lowercase()
            .replace("cap_", "+");
        let others: Vec<String> = names()
            .into_iter()
            .filter(|name| *name != left_away)
            .collect();
        assert_eq!(others.len(), KEPT.len() - 1);
        let mut observer = stand.observer(&others);
        if ["+bpf", "+perfmon"].contains(&&*left_away) {
            // It cannot load its programs, and ends.
            assert_ne!(observer.wait_for_end(), Some(0), "without {left_away}");
        } else {
            // It does not see which process is httpd, or where that listens.
            let what = format!("nothing to be watched without {left_away}");
            observer.wait_for(&what, |step| {
                assert!(
                    !matches!(step, Step::Begin(_)),
                    "watches without {left_away}"
                );
                matches!(step, Step::Waiting | Step::NoPort)
            });
        }
    }
    assert_eq!(stand.httpd.stop(GRACE).unwrap().left, Vec::<u32>::new());
}
