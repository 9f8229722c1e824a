//! Which of the servers that run is meant.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use super::{LiveError, Place, Server, recognise::process_of, servers};

/// How a server is named.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Target {
    /// The only one that runs.
    #[default]
    Only,
    /// That with this process, its first one or any other of its own.
    Pid(u32),
    /// That of a systemd unit, such as `apache2` or `apache2.service`.
    Unit(String),
    /// That in a control group, or below it: its path under `/sys/fs/cgroup`, or within it.
    Cgroup(PathBuf),
    /// That in a container whose id begins with this.
    Container(String),
}

/// The number of the initial pid namespace, the same on every kernel (`PROC_PID_INIT_INO`).
const INITIAL_PID_NAMESPACE: u64 = 0xEFFF_FFFC;

/// The server that is meant; `None` when none runs that fits.
///
/// # Errors
/// When several fit, a process is named that is no httpd's, /proc cannot be read, or this process
/// is not in the initial pid namespace.
pub fn choose(target: &Target) -> Result<Option<Server>, LiveError> {
    require_initial_pid_namespace()?;
    if let Target::Pid(pid) = target {
        return of_process(*pid);
    }
    let found = servers().map_err(|source| LiveError::System {
        what: "/proc cannot be read",
        source,
    })?;
    let mut fitting: Vec<Server> = found
        .into_iter()
        .filter(|server| fits(server, target))
        .collect();
    if fitting.len() > 1 {
        return Err(LiveError::Several {
            found: fitting.iter().map(Server::to_string).collect(),
        });
    }
    Ok(fitting.pop())
}

/// The error where none runs that fits: what was asked for, and what runs instead.
#[must_use]
pub fn none_fits(target: &Target) -> LiveError {
    let running = || {
        let found = servers().unwrap_or_default();
        found.iter().map(Server::to_string).collect()
    };
    let wanted = match target {
        Target::Only => return LiveError::NoServer,
        Target::Pid(pid) => {
            return LiveError::NoProcess {
                pid: *pid,
                running: running(),
            };
        }
        Target::Unit(name) => format!("in the unit {name}"),
        Target::Cgroup(path) => format!("in the control group {}", path.display()),
        Target::Container(id) => format!("in a container whose id begins with {id}"),
    };
    LiveError::NoneFits {
        wanted,
        running: running(),
    }
}

fn of_process(pid: u32) -> Result<Option<Server>, LiveError> {
    let server = Server::of(pid);
    if server.is_none() && is_there(pid) {
        return Err(LiveError::NotHttpd { pid });
    }
    Ok(server)
}

/// Whether a process has not ended; one that has may keep its number until its parent asks.
fn is_there(pid: u32) -> bool {
    let path = format!("/proc/{pid}");
    let state = process_of(pid).and_then(|process| Some(process.stat().ok()?.state));
    Path::new(&path).exists() && !matches!(state, Some('Z' | 'X'))
}

fn fits(server: &Server, target: &Target) -> bool {
    // One that has ended meanwhile fits nothing.
    let is_at = |test: &dyn Fn(&Place) -> bool| server.place().is_ok_and(|place| test(&place));
    match target {
        Target::Only => true,
        Target::Pid(pid) => server.process.pid == *pid,
        Target::Unit(name) => is_at(&|place| place.is_unit(name)),
        Target::Cgroup(path) => is_at(&|place| place.is_in_cgroup(path)),
        Target::Container(id) => is_at(&|place| place.is_container(id)),
    }
}

/// The probes know tasks by the numbers of the initial pid namespace.
///
/// # Errors
/// When this process lives in another one, where /proc has other numbers.
pub(crate) fn require_initial_pid_namespace() -> Result<(), LiveError> {
    let own = fs::metadata("/proc/self/ns/pid").map_err(|source| LiveError::System {
        what: "/proc/self/ns/pid cannot be read",
        source,
    })?;
    if own.ino() == INITIAL_PID_NAMESPACE {
        Ok(())
    } else {
        Err(LiveError::PidNamespace)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::Read,
        process::{Command, Stdio},
        thread,
        time::{Duration, Instant},
    };

    use super::*;

    #[test]
    fn a_process_that_has_ended_is_not_there_although_its_parent_has_not_asked() {
        let mut child = Command::new("cat")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let pid = child.id();
        let running = of_process(pid);
        drop(child.stdin.take());
        let mut nothing = Vec::new();
        child
            .stdout
            .take()
            .unwrap()
            .read_to_end(&mut nothing)
            .unwrap();
        // It has closed its output and may take a moment to end.
        let deadline = Instant::now() + Duration::from_secs(60);
        while is_there(pid) && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(5));
        }
        let ended = of_process(pid);
        let has_number = Path::new(&format!("/proc/{pid}")).exists();
        child.wait().unwrap();
        assert!(
            matches!(running, Err(LiveError::NotHttpd { .. })),
            "{running:?}"
        );
        assert!(matches!(ended, Ok(None)), "{ended:?}");
        assert!(has_number);
    }
}
