//! Processes by number and start time, so that a number that was given to another process in the
//! meantime is never taken for the first.

use std::io;
use std::time::{Duration, Instant};

use nix::unistd::getpid;
use procfs::process::{Process, Stat};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

/// One process for good: its number, and when it started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ProcessId {
    /// The process's number.
    pub pid: u32,
    /// When it started, in clock ticks since the system did.
    pub start_ticks: u64,
}

impl ProcessId {
    /// This process.
    ///
    /// # Errors
    /// When /proc cannot be read.
    pub fn own() -> io::Result<Self> {
        ProcessId::of(getpid().as_raw().unsigned_abs())
    }

    /// The process that has a number now.
    ///
    /// # Errors
    /// When there is none, or /proc cannot be read.
    pub fn of(pid: u32) -> io::Result<Self> {
        let start_ticks = stat(pid)?.starttime;
        Ok(ProcessId { pid, start_ticks })
    }

    /// Whether it still runs. A zombie does not.
    pub fn is_alive(self) -> bool {
        stat(self.pid).is_ok_and(|stat| stat.starttime == self.start_ticks && runs(&stat))
    }

    /// Sends a signal to it, and to no other process. False when it is gone.
    pub(super) fn signal(self, signal: Signal) -> bool {
        signal_if(self.pid, signal, |stat| stat.starttime == self.start_ticks)
    }
}

/// What /proc says of a process.
pub(super) fn stat(pid: u32) -> io::Result<Stat> {
    let pid = i32::try_from(pid).map_err(io::Error::other)?;
    Process::new(pid)
        .and_then(|process| process.stat())
        .map_err(io::Error::other)
}

/// All processes that run. Those that end meanwhile are left out.
pub(super) fn all() -> io::Result<Vec<Stat>> {
    let processes = procfs::process::all_processes().map_err(io::Error::other)?;
    let stats = processes.filter_map(|process| process.ok()?.stat().ok());
    Ok(stats.filter(runs).collect())
}

fn runs(stat: &Stat) -> bool {
    !matches!(stat.state, 'Z' | 'X' | 'x')
}

/// The processes of a session, by number.
pub(super) fn of_session(session: u32) -> io::Result<Vec<u32>> {
    let members = all()?
        .into_iter()
        .filter(|stat| u32::try_from(stat.session) == Ok(session));
    Ok(members.map(|stat| stat.pid.unsigned_abs()).collect())
}

/// The processes below one, at any depth, by number.
///
/// # Errors
/// When /proc cannot be read.
pub fn descendants(of: u32) -> io::Result<Vec<u32>> {
    let stats = all()?;
    let mut found = vec![of];
    let mut next = 0;
    while let Some(&parent) = found.get(next) {
        let children = stats
            .iter()
            .filter(|stat| stat.ppid.unsigned_abs() == parent);
        found.extend(children.map(|stat| stat.pid.unsigned_abs()));
        next += 1;
    }
    found.remove(0);
    Ok(found)
}

/// Sends a signal to the process that has a number now, if it is the one meant. The descriptor is
/// taken before the check, so the process checked is the one that gets the signal.
pub(super) fn signal_if(pid: u32, signal: Signal, is_meant: impl Fn(&Stat) -> bool) -> bool {
    let Some(raw) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
        return false;
    };
    let Ok(descriptor) = pidfd_open(raw, PidfdFlags::empty()) else {
        return false;
    };
    stat(pid).is_ok_and(|stat| is_meant(&stat)) && pidfd_send_signal(descriptor, signal).is_ok()
}

/// Kills what `find` finds, again and again until it finds nothing. Returns the processes that
/// were killed and those that were left at the end of the time. `between` runs after each round.
pub(super) fn kill_until_none(
    timeout: Duration,
    find: impl Fn() -> io::Result<Vec<u32>>,
    is_meant: impl Fn(&Stat) -> bool,
    mut between: impl FnMut(),
) -> io::Result<(Vec<u32>, Vec<u32>)> {
    let deadline = Instant::now() + timeout;
    let mut killed = Vec::new();
    loop {
        let found = find()?;
        for &pid in &found {
            if signal_if(pid, Signal::KILL, &is_meant) && !killed.contains(&pid) {
                killed.push(pid);
            }
        }
        between();
        if found.is_empty() || Instant::now() >= deadline {
            return Ok((killed, found));
        }
        // A killed process needs a moment to end; its end cannot be waited for from outside.
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_process_with_another_start_time_is_not_signalled() {
        let mut child = Command::new("sleep")
            .arg("60")
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let real = ProcessId::of(child.id()).unwrap();
        let recycled = ProcessId {
            start_ticks: real.start_ticks + 1,
            ..real
        };
        assert!(!recycled.is_alive());
        assert!(!recycled.signal(Signal::KILL));
        assert!(real.is_alive());
        assert!(real.signal(Signal::KILL));
        child.wait().unwrap();
        assert!(!real.is_alive());
        assert!(!real.signal(Signal::KILL));
    }

    #[test]
    fn descendants_are_found_at_any_depth() {
        let mut shell = Command::new("sh")
            .args(["-c", "sh -c 'sleep 60 & echo; wait' & wait"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // The line says that the inner shell has started the last process.
        let mut byte = [0];
        io::Read::read_exact(shell.stdout.as_mut().unwrap(), &mut byte).unwrap();
        let below = descendants(shell.id()).unwrap();
        assert_eq!(below.len(), 2, "{below:?}");
        let find = || {
            Ok(below
                .iter()
                .copied()
                .filter(|pid| stat(*pid).is_ok_and(|s| runs(&s)))
                .collect())
        };
        let (killed, left) =
            kill_until_none(Duration::from_secs(10), find, |_| true, || {}).unwrap();
        assert_eq!(killed.len(), 2);
        assert!(left.is_empty());
        shell.wait().unwrap();
    }
}
