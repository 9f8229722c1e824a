//! What a lab left that was killed together with its guard: found by the files it wrote at its
//! start, ended and removed at the next start.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use procfs::process::{Process, Stat};
use rustix::process::Signal;
use serde::{Deserialize, Serialize};

use super::process::{self, ProcessId};
use super::runtime_dir::{OWNER_FILE, Owner, STATE_PREFIX, bases, boot_id};

/// How long a guard gets to finish its work before it is taken for stuck.
const GUARD_PATIENCE: Duration = Duration::from_secs(10);
/// How long killed processes get to end.
const KILL_PATIENCE: Duration = Duration::from_secs(10);

/// What the guard writes down about the httpd that it starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    pub(super) boot_id: String,
    pub(super) guard: ProcessId,
    /// The first process, which leads the session of all others.
    pub(super) httpd: ProcessId,
    /// The program, by which children are known when the first process is gone.
    pub(super) binary: PathBuf,
}

/// What was cleaned up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CleanUp {
    /// The directories that were removed.
    pub removed: Vec<PathBuf>,
    /// The processes that were killed.
    pub killed: Vec<u32>,
    /// What could not be cleaned up, in words.
    pub failures: Vec<String>,
}

impl CleanUp {
    fn add(&mut self, other: CleanUp) {
        self.removed.extend(other.removed);
        self.killed.extend(other.killed);
        self.failures.extend(other.failures);
    }
}

/// Ends and removes what killed labs left behind, in every place where runtime directories are
/// made. To be called at each start, before anything is made.
pub fn clean_up_stale() -> CleanUp {
    let mut done = CleanUp::default();
    for base in bases() {
        done.add(clean_up_stale_in(&base));
    }
    done
}

/// The same in one place. Directories of labs that run are left alone.
pub fn clean_up_stale_in(base: &Path) -> CleanUp {
    let mut done = CleanUp::default();
    let Ok(entries) = fs::read_dir(base) else {
        return done;
    };
    for entry in entries.flatten() {
        let dir = entry.path();
        if dir.is_dir() && !lab_is_alive(&dir) {
            done.add(clean_up_dir(&dir, None));
        }
    }
    done
}

/// Ends what the state files in a directory tell of, and removes the directory. `caller` is the
/// guard that does this, which does not wait for itself.
pub(super) fn clean_up_dir(dir: &Path, caller: Option<ProcessId>) -> CleanUp {
    let mut done = CleanUp::default();
    for (file, state) in states(dir) {
        match end(&state, caller) {
            Ok(killed) => done.killed.extend(killed),
            Err(error) => done.failures.push(format!("{}: {error}", file.display())),
        }
    }
    // With a process left, the files that tell of it must stay.
    if done.failures.is_empty() {
        match fs::remove_dir_all(dir) {
            Ok(()) => done.removed.push(dir.to_owned()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => done.failures.push(format!("{}: {error}", dir.display())),
        }
    }
    done
}

/// Ends all of one httpd. Returns the processes that had to be killed.
fn end(state: &State, caller: Option<ProcessId>) -> io::Result<Vec<u32>> {
    if state.boot_id != boot_id()? {
        return Ok(Vec::new());
    }
    if caller != Some(state.guard) {
        wait_for_guard(state.guard);
    }
    end_session(state.httpd, &state.binary)
}

/// Kills what is left of the session that `httpd` led. A session's number is not given to another
/// process while it has members; if the leader of that number started at another time, all of the
/// session we mean is gone. Without a leader, only processes of the same program are taken.
pub(super) fn end_session(httpd: ProcessId, binary: &Path) -> io::Result<Vec<u32>> {
    match process::stat(httpd.pid) {
        Ok(leader) if leader.starttime != httpd.start_ticks => return Ok(Vec::new()),
        _ => {}
    }
    let is_meant = |stat: &Stat| {
        let in_session = u32::try_from(stat.session) == Ok(httpd.pid);
        let is_leader = ProcessId {
            pid: stat.pid.unsigned_abs(),
            start_ticks: stat.starttime,
        } == httpd;
        in_session && stat.starttime >= httpd.start_ticks && (is_leader || runs(stat.pid, binary))
    };
    let find = || {
        let stats = process::all()?;
        Ok(stats
            .iter()
            .filter(|stat| is_meant(stat))
            .map(|stat| stat.pid.unsigned_abs())
            .collect())
    };
    let (killed, left) = process::kill_until_none(KILL_PATIENCE, find, is_meant, || {})?;
    if left.is_empty() {
        Ok(killed)
    } else {
        Err(io::Error::other(format!(
            "processes {left:?} of httpd do not end"
        )))
    }
}

/// Whether a process runs the program. After an upgrade of httpd the kernel adds ` (deleted)`.
fn runs(pid: i32, binary: &Path) -> bool {
    let Ok(exe) = Process::new(pid).and_then(|process| process.exe()) else {
        return false;
    };
    let real = fs::canonicalize(binary).unwrap_or_else(|_| binary.to_owned());
    let exe = exe.to_string_lossy();
    Path::new(exe.strip_suffix(" (deleted)").unwrap_or(&exe)) == real
}

/// The guard of a dead lab ends httpd itself; it is killed only when it does not.
fn wait_for_guard(guard: ProcessId) {
    let deadline = Instant::now() + GUARD_PATIENCE;
    while guard.is_alive() {
        if Instant::now() >= deadline {
            guard.signal(Signal::KILL);
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Whether the lab that a directory belongs to still runs. Where its file is missing, as in the
/// moment after the directory was made, the name of the directory says whose it is.
fn lab_is_alive(dir: &Path) -> bool {
    let owner = fs::read(dir.join(OWNER_FILE))
        .ok()
        .and_then(|bytes| serde_json::from_slice::<Owner>(&bytes).ok());
    match owner {
        Some(owner) => boot_id().is_ok_and(|now| now == owner.boot_id) && owner.lab.is_alive(),
        None => {
            let name = dir
                .file_name()
                .and_then(|name| name.to_str())
                .unwrap_or_default();
            let pid = name.split('-').next().and_then(|pid| pid.parse().ok());
            pid.is_some_and(|pid: u32| ProcessId::of(pid).is_ok())
        }
    }
}

/// The state files in a directory. One that cannot be read was never finished, and its guard had
/// not let httpd start then.
pub(super) fn states(dir: &Path) -> Vec<(PathBuf, State)> {
    let Ok(entries) = fs::read_dir(dir) else {
        return Vec::new();
    };
    entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            let name = path
                .file_name()
                .and_then(|name| name.to_str())
                .unwrap_or_default();
            name.starts_with(STATE_PREFIX) && name.ends_with(".json")
        })
        .filter_map(|path| {
            let state = serde_json::from_slice(&fs::read(&path).ok()?).ok()?;
            Some((path, state))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command, Stdio};

    use super::super::runtime_dir::{RuntimeDir, write_json};
    use super::*;

    const GONE: ProcessId = ProcessId {
        pid: 4_000_000,
        start_ticks: 1,
    };

    /// A process that leads a session of its own, as httpd does.
    fn session_leader() -> (Child, ProcessId, PathBuf) {
        let child = Command::new("setsid")
            .args(["sleep", "60"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        let sleep = fs::canonicalize("/bin/sleep").unwrap();
        while !runs(child.id().try_into().unwrap(), &sleep) {
            assert!(Instant::now() < deadline, "setsid did not start sleep");
            std::thread::yield_now();
        }
        let id = ProcessId::of(child.id()).unwrap();
        (child, id, sleep)
    }

    fn plant(base: &Path, lab: ProcessId, httpd: ProcessId, binary: &Path, boot: &str) -> PathBuf {
        let dir = base.join("4000000-0");
        fs::create_dir_all(&dir).unwrap();
        let owner = Owner {
            lab,
            boot_id: boot.to_owned(),
        };
        write_json(&dir.join(OWNER_FILE), &owner).unwrap();
        let state = State {
            boot_id: boot.to_owned(),
            guard: GONE,
            httpd,
            binary: binary.to_owned(),
        };
        write_json(&dir.join("httpd-0.json"), &state).unwrap();
        dir
    }

    #[test]
    fn what_a_killed_lab_left_is_ended_and_removed() {
        let base = tempfile::tempdir().unwrap();
        let (mut child, httpd, binary) = session_leader();
        let dir = plant(base.path(), GONE, httpd, &binary, &boot_id().unwrap());
        // The killed child is a zombie of this test, which counts as ended.
        let done = clean_up_stale_in(base.path());
        assert_eq!(done.killed, [child.id()]);
        assert_eq!(done.removed, [dir]);
        assert_eq!(done.failures, Vec::<String>::new());
        child.wait().unwrap();
    }

    #[test]
    fn a_recycled_number_and_a_number_of_another_boot_are_never_killed() {
        let base = tempfile::tempdir().unwrap();
        let (mut child, real, binary) = session_leader();
        let recycled = ProcessId {
            start_ticks: real.start_ticks - 1,
            ..real
        };
        plant(base.path(), GONE, recycled, &binary, &boot_id().unwrap());
        assert_eq!(clean_up_stale_in(base.path()).killed, Vec::<u32>::new());
        plant(base.path(), GONE, real, &binary, "another boot");
        let done = clean_up_stale_in(base.path());
        assert_eq!(done.killed, Vec::<u32>::new());
        assert_eq!(done.removed.len(), 1);
        assert!(real.is_alive());
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn the_directory_of_a_lab_that_runs_is_left_alone() {
        let outer = tempfile::tempdir().unwrap();
        let base = outer.path().join("labs");
        let dir = RuntimeDir::create_in(&base).unwrap();
        assert_eq!(clean_up_stale_in(&base), CleanUp::default());
        fs::remove_file(dir.path().join(OWNER_FILE)).unwrap();
        assert_eq!(clean_up_stale_in(&base), CleanUp::default());
        assert!(dir.path().exists());
    }
}
