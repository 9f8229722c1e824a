//! The options that name a running server.

use std::path::PathBuf;

use clap::Args;

use crate::{
    kernel::Ports,
    live::{LiveError, Server, Target, choose},
};

/// Which server is watched, and where.
#[derive(Debug, Clone, Args)]
pub(super) struct TargetArguments {
    #[command(flatten)]
    which: Which,
    /// Watch this port; may be given several times [default: all that the server listens on]
    #[arg(
        long = "port",
        value_name = "PORT",
        value_parser = clap::value_parser!(u16).range(1..)
    )]
    ports: Vec<u16>,
}

#[derive(Debug, Clone, Args)]
#[group(id = "target", multiple = false)]
struct Which {
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
        let Which {
            pid,
            unit,
            cgroup,
            container,
        } = self.which.clone();
        pid.map(Target::Pid)
            .or_else(|| unit.map(Target::Unit))
            .or_else(|| cgroup.map(Target::Cgroup))
            .or_else(|| container.map(Target::Container))
            .unwrap_or_default()
    }

    /// The ports that are asked for; none: those of the server.
    pub(super) fn asked_ports(&self) -> Ports {
        Ports::from(self.ports.as_slice())
    }

    /// The server that is meant and the ports to watch, those asked for or its own; `None` when no
    /// such server runs.
    ///
    /// # Errors
    /// When several fit, or the server listens nowhere.
    pub(super) fn find(&self) -> Result<Option<(Server, Ports)>, LiveError> {
        let Some(server) = choose(&self.target())? else {
            return Ok(None);
        };
        let asked = self.asked_ports();
        let ports = if asked.is_empty() {
            server.ports()
        } else {
            asked
        };
        if ports.is_empty() {
            let pid = server.process.pid;
            return Err(LiveError::NoPort { pid });
        }
        Ok(Some((server, ports)))
    }
}
