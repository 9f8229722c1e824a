//! Entries that nobody ended. The kernel skips a program that is running on that CPU already, so
//! the end of a connection or of a task may not be seen. Its entry would stay for ever, and the
//! thread id, when it recurs, would be taken for the server's.

use std::{
    collections::{HashMap, HashSet},
    io,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use mpm_observer_common::{ConnState, MAX_TASKS, RecordKind, TaskRecord};
use nix::time::ClockId;
use procfs::{net::TcpState, process::Process};

use super::{KernelError, Watch};

/// What the kernel counts the begin of a process in may be off by that much.
const START_TOLERANCE_NS: u64 = 1_000_000_000;

/// The entries that were removed since the watch began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reaped {
    /// Of connections.
    pub conns: u64,
    /// Of tasks.
    pub tasks: u64,
}

/// What tells a connection from a later one with the same socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    established_ns: u64,
    ends: Ends,
}

/// Connections by the address of their socket.
pub(super) type Suspects = HashMap<u64, Identity>;

/// The server's port, and the client.
type Ends = (u16, SocketAddr);

impl Identity {
    fn of(connection: &ConnState) -> Self {
        let request = &connection.request;
        let address = IpAddr::V6(Ipv6Addr::from(request.remote_addr)).to_canonical();
        Self {
            established_ns: request.established_ns,
            ends: (
                request.local_port,
                SocketAddr::new(address, request.remote_port),
            ),
        }
    }
}

impl Watch {
    /// Removes the entries of connections that have no socket in the network namespace of process
    /// `pid`, and of tasks that have ended. To be called now and then, such as once a minute: a
    /// connection is removed if it had none the last time either, as the list of sockets is not
    /// read in one moment.
    ///
    /// # Errors
    /// When a map cannot be read or written. If the list of sockets cannot be read, no connection
    /// is removed.
    pub fn reap(&mut self, pid: u32) -> Result<(), KernelError> {
        self.reap_tasks()?;
        self.reap_connections(|| sockets_of(pid))
    }

    /// Entries that were removed so far.
    #[must_use]
    pub fn reaped(&self) -> Reaped {
        self.reaped
    }

    fn reap_connections(
        &mut self,
        sockets: impl FnOnce() -> io::Result<HashSet<Ends>>,
    ) -> Result<(), KernelError> {
        let mut followed = HashMap::new();
        for key in self.connection_keys()? {
            if let Some(connection) = self.connection(key)? {
                followed.insert(key, Identity::of(&connection));
            }
        }
        // After the entries: what is established meanwhile is not among them.
        let Ok(sockets) = sockets() else {
            return Ok(());
        };
        followed.retain(|_, identity| !sockets.contains(&identity.ends));
        let suspects = std::mem::take(&mut self.suspects);
        for (key, identity) in followed {
            let still = self.connection(key)?.map(|found| Identity::of(&found));
            if still != Some(identity) {
                continue;
            }
            if suspects.get(&key) == Some(&identity) {
                self.connections.remove(&key)?;
                self.reaped.conns += 1;
            } else {
                self.suspects.insert(key, identity);
            }
        }
        Ok(())
    }

    fn reap_tasks(&mut self) -> Result<(), KernelError> {
        for slot in 1..=MAX_TASKS {
            let record = self.tasks.get(&slot, 0)?.record;
            // A task that is just made has no number yet.
            if record.kind != RecordKind::Task as u32 || record.pid == 0 {
                continue;
            }
            let holds = self.slot_of_pid.get(&record.pid, 0)? == slot;
            if (!holds || is_gone(&record)) && self.free_ghost(slot, &record)? {
                self.reaped.tasks += 1;
            }
        }
        Ok(())
    }
}

/// Whether a task has ended, whether or not another one has its number now.
fn is_gone(record: &TaskRecord) -> bool {
    let Ok(tid) = i32::try_from(record.pid) else {
        return true;
    };
    let Ok(stat) = Process::new(tid).and_then(|task| task.stat()) else {
        return true;
    };
    if matches!(stat.state, 'Z' | 'X' | 'x') {
        return true;
    }
    let asleep_ns =
        now_ns(ClockId::CLOCK_BOOTTIME).saturating_sub(now_ns(ClockId::CLOCK_MONOTONIC));
    let created_ns = record.created_ns + asleep_ns;
    let tick_ns = 1_000_000_000 / procfs::ticks_per_second().max(1);
    stat.starttime * tick_ns > created_ns + START_TOLERANCE_NS
}

fn now_ns(clock: ClockId) -> u64 {
    clock
        .now()
        .map_or(0, |time| Duration::from(time).as_nanos() as u64)
}

/// The connections of a process's network namespace that its side has not closed.
fn sockets_of(pid: u32) -> io::Result<HashSet<Ends>> {
    let process = i32::try_from(pid)
        .map_err(io::Error::other)
        .and_then(|pid| Process::new(pid).map_err(io::Error::other))?;
    let mut sockets = HashSet::new();
    let canonical =
        |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
    // Without IPv6 its table is missing.
    let tables = [
        process.tcp().map_err(io::Error::other)?,
        process.tcp6().unwrap_or_default(),
    ];
    for socket in tables.into_iter().flatten() {
        if matches!(socket.state, TcpState::Established | TcpState::CloseWait) {
            sockets.insert((
                socket.local_address.port(),
                canonical(socket.remote_address),
            ));
        }
    }
    Ok(sockets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_that_runs_is_not_gone_and_another_of_its_number_is() {
        let own = TaskRecord {
            pid: std::process::id(),
            created_ns: now_ns(ClockId::CLOCK_MONOTONIC),
            ..TaskRecord::default()
        };
        assert!(!is_gone(&own));
        // Made long before this process: its number was another's then.
        let earlier = TaskRecord {
            created_ns: 0,
            ..own
        };
        assert!(is_gone(&earlier));
        let nobody = TaskRecord {
            pid: u32::MAX,
            ..own
        };
        assert!(is_gone(&nobody));
    }

    #[test]
    fn sockets_are_listed_by_both_ends() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let client = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
        let ends = (port, client.local_addr().unwrap());
        let pid = std::process::id();
        assert!(sockets_of(pid).unwrap().contains(&ends));
        let (server, _) = listener.accept().unwrap();
        drop((server, client));
        assert!(!sockets_of(pid).unwrap().contains(&ends));
    }
}
