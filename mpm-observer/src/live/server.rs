//! The httpd servers that run on this machine, as /proc shows them.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    fmt, fs, io,
    net::SocketAddr,
    os::unix::fs::MetadataExt,
    path::PathBuf,
};

use procfs::{
    net::TcpState,
    process::{FDTarget, Process},
};

use super::{
    place::Place,
    recognise::{has_mpm, mpm_of, process_of},
};
use crate::{
    httpd::ProcessId,
    kernel::{LiveTask, Ports},
    scenario::Mpm,
};

/// The names of httpd's program.
const PROGRAMS: [&str; 2] = ["apache2", "httpd"];

/// A running httpd: its first process and all that came of it. Process ids are those of the
/// initial pid namespace, wherever httpd itself lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// The first process.
    pub process: ProcessId,
    /// Its program, as its own root directory has it.
    pub binary: PathBuf,
    /// Its MPM.
    pub mpm: Mpm,
    /// Where it listens for TCP connections, ascending by port.
    pub listens: Vec<SocketAddr>,
}

impl Server {
    /// The server whose first process, or one of whose other processes, is `pid`, whatever its
    /// program's name; `None` if it is no httpd.
    #[must_use]
    pub fn of(pid: u32) -> Option<Self> {
        let mut first = process_of(pid)?;
        let binary = first.exe().ok()?;
        while let Some(parent) = process_of(first.stat().ok()?.ppid.unsigned_abs())
            .filter(|parent| parent.exe().is_ok_and(|program| program == binary))
        {
            first = parent;
        }
        let server = Self::with_first(&first, binary)?;
        // A shell with a subshell behaves like prefork too.
        let shows_it =
            is_httpd(&server.binary) || !server.listens.is_empty() || has_mpm(server.process.pid);
        shows_it.then_some(server)
    }

    /// `None` if the process ends meanwhile, or is no httpd.
    fn with_first(process: &Process, binary: PathBuf) -> Option<Self> {
        let pid = process.pid.unsigned_abs();
        Some(Self {
            process: ProcessId::of(pid).ok()?,
            binary,
            mpm: mpm_of(pid)?,
            listens: listens_of(process, &sockets_of(process)),
        })
    }

    /// Its lowest port.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.ports().first()
    }

    /// Its ports, of which the lowest are taken if they are very many.
    #[must_use]
    pub fn ports(&self) -> Ports {
        Ports::new(self.listens.iter().map(SocketAddr::port))
    }

    /// Where it runs.
    ///
    /// # Errors
    /// When it has ended.
    pub fn place(&self) -> io::Result<Place> {
        Place::of(self.process.pid)
    }

    /// The number that its first process has for itself: another one if it lives in a pid
    /// namespace of its own.
    ///
    /// # Errors
    /// When it has ended.
    pub fn inner_pid(&self) -> io::Result<u32> {
        let gone = || io::Error::from(io::ErrorKind::NotFound);
        let process = process_of(self.process.pid).ok_or_else(gone)?;
        let status = process.status().map_err(io::Error::other)?;
        let inner = status.nspid.as_deref().and_then(<[i32]>::last);
        Ok(inner.copied().unwrap_or(status.pid).unsigned_abs())
    }

    /// Whether it has this process's network namespace; one that cannot be read has.
    #[must_use]
    pub fn is_in_our_network(&self) -> bool {
        let network = |of: &str| Some(fs::metadata(format!("/proc/{of}/ns/net")).ok()?.ino());
        match network(&self.process.pid.to_string()) {
            Some(theirs) => network("self") == Some(theirs),
            None => true,
        }
    }

    /// All its tasks at this moment: the first process, its descendants, and their threads.
    ///
    /// # Errors
    /// When /proc cannot be read.
    pub fn tasks(&self) -> io::Result<Vec<LiveTask>> {
        let mut tasks = Vec::new();
        for pid in crate::httpd::descendants(self.process.pid)?
            .into_iter()
            .chain([self.process.pid])
        {
            let Some(process) = process_of(pid) else {
                continue;
            };
            let Ok(threads) = process.tasks() else {
                continue;
            };
            let Ok(stat) = process.stat() else { continue };
            tasks.extend(threads.flatten().map(|thread| LiveTask {
                tid: thread.tid.unsigned_abs(),
                pid,
                parent_pid: stat.ppid.unsigned_abs(),
            }));
        }
        Ok(tasks)
    }
}

/// In one line, for a choice among several.
impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pid {}", self.process.pid)?;
        let place = self.place().unwrap_or_default();
        if let Some(unit) = place.unit {
            write!(f, ", unit {unit}")?;
        }
        if let Some(container) = place.container {
            write!(f, ", container {container:.12}")?;
        }
        write!(f, ", {}, {}", self.mpm, self.ports().in_words())
    }
}

/// All servers that run, by the number of their first process.
///
/// # Errors
/// When /proc cannot be read.
pub fn servers() -> io::Result<Vec<Server>> {
    let processes = procfs::process::all_processes().map_err(io::Error::other)?;
    let mut programs: HashMap<i32, (i32, PathBuf)> = HashMap::new();
    for process in processes.flatten() {
        let (Ok(stat), Ok(binary)) = (process.stat(), process.exe()) else {
            continue;
        };
        if is_httpd(&binary) {
            programs.insert(process.pid, (stat.ppid, binary));
        }
    }
    let mut found = Vec::new();
    for (&pid, (parent, binary)) in &programs {
        // A child runs its parent's program.
        if programs
            .get(parent)
            .is_some_and(|(_, program)| program == binary)
        {
            continue;
        }
        // Those that end meanwhile, and programs of httpd's name without an MPM, are none.
        let server = process_of(pid.unsigned_abs())
            .and_then(|process| Server::with_first(&process, binary.clone()));
        found.extend(server);
    }
    found.sort_by_key(|server| server.process.pid);
    Ok(found)
}

fn is_httpd(binary: &std::path::Path) -> bool {
    let name = binary.file_name().and_then(|name| name.to_str());
    // A program that was replaced while it runs, as an upgrade does.
    let name = name.map(|name| name.trim_end_matches(" (deleted)"));
    name.is_some_and(|name| PROGRAMS.contains(&name))
}

/// The inodes of a process's sockets; none if they cannot be seen.
pub(super) fn sockets_of(process: &Process) -> HashSet<u64> {
    let files = process.fd().into_iter().flatten().flatten();
    let sockets = files.filter_map(|fd| match fd.target {
        FDTarget::Socket(inode) => Some(inode),
        _ => None,
    });
    sockets.collect()
}

/// Where a process with these sockets listens, in its own network namespace.
pub(super) fn listens_of(process: &Process, sockets: &HashSet<u64>) -> Vec<SocketAddr> {
    let tables = [process.tcp(), process.tcp6()];
    let mut addresses: BTreeSet<(u16, SocketAddr)> = BTreeSet::new();
    for entry in tables.into_iter().flatten().flatten() {
        if entry.state == TcpState::Listen && sockets.contains(&entry.inode) {
            addresses.insert((entry.local_address.port(), entry.local_address));
        }
    }
    addresses.into_iter().map(|(_, address)| address).collect()
}
