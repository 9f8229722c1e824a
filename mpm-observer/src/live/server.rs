//! The httpd servers that run on this machine, as /proc shows them.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    fs, io,
    net::SocketAddr,
    os::unix::fs::MetadataExt,
    path::PathBuf,
};

use procfs::{
    net::TcpState,
    process::{FDTarget, Process},
};

use crate::{httpd::ProcessId, kernel::LiveTask, scenario::Mpm};

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
    /// The port that is watched unless another one is asked for: the lowest.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.listens.iter().map(SocketAddr::port).min()
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
        let Some(process) = process_of(pid.unsigned_abs()) else {
            continue;
        };
        // Those that end meanwhile, and programs of httpd's name without an MPM, are none.
        let (Ok(id), Some(mpm)) = (ProcessId::of(pid.unsigned_abs()), mpm_of(&process)) else {
            continue;
        };
        found.push(Server {
            process: id,
            binary: binary.clone(),
            mpm,
            listens: listens(&process),
        });
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

fn process_of(pid: u32) -> Option<Process> {
    Process::new(i32::try_from(pid).ok()?).ok()
}

/// The MPM whose module a process has mapped.
fn mpm_of(process: &Process) -> Option<Mpm> {
    let maps = process.maps().ok()?;
    maps.iter().find_map(|map| {
        let procfs::process::MMapPath::Path(path) = &map.pathname else {
            return None;
        };
        let name = path.file_name()?.to_str()?;
        Mpm::ALL
            .into_iter()
            .find(|mpm| name.trim_end_matches(" (deleted)") == mpm.module_file())
    })
}

/// Where a process listens, in its own network namespace.
fn listens(process: &Process) -> Vec<SocketAddr> {
    let sockets: HashSet<u64> = process
        .fd()
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|fd| match fd.target {
            FDTarget::Socket(inode) => Some(inode),
            _ => None,
        })
        .collect();
    let tables = [process.tcp(), process.tcp6()];
    let mut addresses: BTreeSet<(u16, SocketAddr)> = BTreeSet::new();
    for entry in tables.into_iter().flatten().flatten() {
        if entry.state == TcpState::Listen && sockets.contains(&entry.inode) {
            addresses.insert((entry.local_address.port(), entry.local_address));
        }
    }
    addresses.into_iter().map(|(_, address)| address).collect()
}
