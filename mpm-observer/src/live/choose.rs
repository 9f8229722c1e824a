//! Which of the servers that run is meant.

use std::path::PathBuf;

use super::{LiveError, Server, servers};

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

/// The server that is meant; `None` when none runs that fits.
///
/// # Errors
/// When several fit, or /proc cannot be read.
pub fn choose(target: &Target) -> Result<Option<Server>, LiveError> {
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
            pids: fitting.iter().map(|server| server.process.pid).collect(),
        });
    }
    Ok(fitting.pop())
}

fn fits(server: &Server, target: &Target) -> bool {
    match target {
        Target::Only => true,
        Target::Pid(pid) => server.process.pid == *pid,
        Target::Unit(_) | Target::Cgroup(_) | Target::Container(_) => false,
    }
}
