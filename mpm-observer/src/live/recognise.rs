//! Which MPM a running httpd has: by the module that it has mapped, by what its program has
//! compiled in, or else by what its processes are.

use std::{
    collections::HashSet,
    fs,
    io::{BufReader, Read},
    path::Path,
};

use procfs::{
    net::TcpState,
    process::{FDTarget, MMapPath, Process},
};

use crate::{httpd::descendants, scenario::Mpm};

/// The MPM of the httpd whose first process is `pid`; `None` if it is no httpd, or none that is
/// known. Nothing of its is run.
#[must_use]
pub fn mpm_of(pid: u32) -> Option<Mpm> {
    mpm_within(pid).or_else(|| mpm_by_behaviour(pid))
}

/// Whether a module or a program of it is one, whatever its processes do.
pub(super) fn has_mpm(pid: u32) -> bool {
    mpm_within(pid).is_some()
}

fn mpm_within(pid: u32) -> Option<Mpm> {
    // While it restarts gracefully, the first process has its modules unmapped for a moment.
    let below = descendants(pid).unwrap_or_default();
    let processes = [pid].into_iter().chain(below).filter_map(process_of);
    processes
        // Others may have been started by it, or it may have started a server.
        .filter(|process| is_same_program(process, pid))
        .find_map(|process| mapped_mpm(&process))
        .or_else(|| compiled_in(Path::new(&format!("/proc/{pid}/exe"))))
}

pub(super) fn process_of(pid: u32) -> Option<Process> {
    Process::new(i32::try_from(pid).ok()?).ok()
}

/// The MPM whose module a process has mapped.
fn mapped_mpm(process: &Process) -> Option<Mpm> {
    let maps = process.maps().ok()?;
    maps.iter().find_map(|map| {
        let MMapPath::Path(path) = &map.pathname else {
            return None;
        };
        let name = path.file_name()?.to_str()?;
        Mpm::ALL
            .into_iter()
            .find(|mpm| name.trim_end_matches(" (deleted)") == mpm.module_file())
    })
}

/// The MPM that is a part of a program: each module has the name of its source file in it. `None`
/// if there is none, or several.
fn compiled_in(program: &Path) -> Option<Mpm> {
    let sources = Mpm::ALL.map(|mpm| format!("\0{}.c\0", mpm.name()).into_bytes());
    let longest = sources.iter().map(Vec::len).max()?;
    let mut reader = BufReader::new(fs::File::open(program).ok()?);
    let mut found = [false; Mpm::ALL.len()];
    let (mut window, mut block) = (Vec::new(), vec![0; 1 << 16]);
    loop {
        let length = reader.read(&mut block).ok()?;
        if length == 0 {
            break;
        }
        // What lies across two blocks is found too.
        window.drain(..window.len().saturating_sub(longest));
        window.extend_from_slice(&block[..length]);
        for (found, source) in found.iter_mut().zip(&sources) {
            *found |= contains(&window, source);
        }
    }
    let mut there = Mpm::ALL.into_iter().zip(found).filter(|(_, found)| *found);
    let (mpm, _) = there.next()?;
    there.next().is_none().then_some(mpm)
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// The MPM that an httpd's processes show, whose first process is `pid`: prefork's children have
/// one thread each; of those that have several, only event's wait for connections by an epoll.
/// `None` if they show nothing: there are no children, or it is worker, or an event that no client
/// keeps a connection to.
#[must_use]
pub fn mpm_by_behaviour(pid: u32) -> Option<Mpm> {
    let children: Vec<Process> = descendants(pid)
        .ok()?
        .into_iter()
        .filter_map(process_of)
        // A program that a child runs, such as a CGI script, is none.
        .filter(|child| is_same_program(child, pid))
        .collect();
    let threads = children
        .iter()
        .filter_map(|child| Some(child.tasks().ok()?.count()))
        .max()?;
    if threads < 2 {
        return Some(Mpm::Prefork);
    }
    let is_event = children.iter().any(polls_connections);
    is_event.then_some(Mpm::Event)
}

fn is_same_program(process: &Process, other: u32) -> bool {
    let of_other = process_of(other).and_then(|other| other.exe().ok());
    of_other.is_some() && process.exe().ok() == of_other
}

/// Whether an epoll of a process waits for a TCP connection.
fn polls_connections(process: &Process) -> bool {
    let tables = [process.tcp(), process.tcp6()];
    let connections: HashSet<u64> = tables
        .into_iter()
        .flatten()
        .flatten()
        .filter(|socket| socket.state != TcpState::Listen)
        .map(|socket| socket.inode)
        .collect();
    let descriptors: Vec<_> = process.fd().into_iter().flatten().flatten().collect();
    let is_connection = |fd: i32| {
        let found = descriptors.iter().find(|known| known.fd == fd);
        found.is_some_and(
            |known| matches!(&known.target, FDTarget::Socket(inode) if connections.contains(inode)),
        )
    };
    let epolls = descriptors.iter().filter(
        |known| matches!(&known.target, FDTarget::AnonInode(name) if name.contains("eventpoll")),
    );
    epolls
        .filter_map(|epoll| {
            fs::read_to_string(format!("/proc/{}/fdinfo/{}", process.pid, epoll.fd)).ok()
        })
        .flat_map(|text| epoll_targets(&text))
        .any(is_connection)
}

/// The descriptors in an epoll's entry of /proc: lines such as `tfd:        6 events: …`.
fn epoll_targets(fdinfo: &str) -> Vec<i32> {
    let lines = fdinfo.lines().filter_map(|line| line.strip_prefix("tfd:"));
    lines
        .filter_map(|rest| rest.split_whitespace().next()?.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compiled_in_mpm_is_found_by_its_source_file() {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("httpd");
        let mpm_in = |bytes: &[u8]| {
            fs::write(&program, bytes).unwrap();
            compiled_in(&program)
        };
        assert_eq!(mpm_in(b"\0core.c\0event.c\0"), Some(Mpm::Event));
        assert_eq!(mpm_in(b"\0core.c\0my_event.c\0"), None);
        assert_eq!(mpm_in(b"\0worker.c\0prefork.c\0"), None);
        // Across the border of what is read at once.
        let mut long = vec![b'x'; (1 << 16) - 4];
        long.extend_from_slice(b"\0prefork.c\0");
        long.extend_from_slice(&vec![b'y'; 1 << 16]);
        assert_eq!(mpm_in(&long), Some(Mpm::Prefork));
        assert_eq!(compiled_in(&dir.path().join("nothing")), None);
    }

    #[test]
    fn what_an_epoll_waits_for_is_read() {
        let text = "pos:\t0\nflags:\t02000002\nmnt_id:\t15\nino:\t1057\n\
            tfd:        6 events:       19 data: 5581 pos:0 ino:5 sdev:8\n\
            tfd:       12 events: 1 data: 0\n";
        assert_eq!(epoll_targets(text), [6, 12]);
    }
}
