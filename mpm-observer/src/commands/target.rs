//! The options that name a running server.

use std::path::PathBuf;

use clap::Args;

use crate::live::{LiveError, Server, Target, choose};

/// Which server is watched.
#[derive(Debug, Clone, Args)]
#[group(id = "target", multiple = false)]
pub(super) struct TargetArguments {
    /// The httpd with this process [default: the only httpd that runs]
    #[arg(long, value_name = "PID")]
    pid: Option<u32>,
    /// The httpd of a systemd unit, such as apache2
    #[arg(long, value_name = "UNIT")]
    unit: Option<String>,
    /// The httpd in this control group or below it
    #[arg(long, value_name = "PATH")]
    cgroup: Option<PathBuf>,
    /// The httpd in the container whose id begins so
    #[arg(long, value_name = "ID")]
    container: Option<String>,
}

impl TargetArguments {
    /// What is meant.
    pub(super) fn target(&self) -> Target {
        let Self {
            pid,
            unit,
            cgroup,
            container,
        } = self.clone();
        pid.map(Target::Pid)
            .or_else(|| unit.map(Target::Unit))
            .or_else(|| cgroup.map(Target::Cgroup))
            .or_else(|| container.map(Target::Container))
            .unwrap_or_default()
    }

    /// The server that is meant and the port to watch, `port` or its own; `None` when no such
    /// server runs.
    ///
    /// # Errors
    /// When several fit, or the server listens nowhere.
    pub(super) fn find(&self, port: Option<u16>) -> Result<Option<(Server, u16)>, LiveError> {
        let Some(server) = choose(&self.target())? else {
            return Ok(None);
        };
        let pid = server.process.pid;
        let port = port
            .or_else(|| server.port())
            .ok_or(LiveError::NoPort { pid })?;
        Ok(Some((server, port)))
    }
}
