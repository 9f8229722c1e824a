//! The options that name a running server.

use std::path::PathBuf;

use clap::{Args, builder::NonEmptyStringValueParser};

use crate::{
    kernel::Ports,
    live::{LiveError, Server, Target, choose, none_fits},
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
    #[arg(long, value_name = "UNIT", value_parser = NonEmptyStringValueParser::new())]
    unit: Option<String>,
    /// The httpd in this control group or below it
    #[arg(long, value_name = "PATH")]
    cgroup: Option<PathBuf>,
    /// The httpd in the container whose id begins so
    #[arg(long, value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
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

    /// Whether another server may come after the one that is meant: a process has none after it.
    pub(super) const fn names_a_place(&self) -> bool {
        self.which.pid.is_none()
    }

    /// The ports that are asked for; none: those of the server.
    pub(super) fn asked_ports(&self) -> Ports {
        Ports::from(self.ports.as_slice())
    }

    /// The server that is meant and the ports to watch, those asked for or its own; `None` when no
    /// such server runs.
    ///
    /// # Errors
    /// When several fit, or the server listens nowhere, or at no port that is asked for.
    pub(super) fn find(&self) -> Result<Option<(Server, Ports)>, LiveError> {
        let Some(server) = choose(&self.target())? else {
            return Ok(None);
        };
        let ports = watched(self.asked_ports(), &server)?;
        Ok(Some((server, ports)))
    }

    /// The same of one that has to run. Warns of ports at which it does not listen.
    ///
    /// # Errors
    /// When none runs that fits, and those of [`TargetArguments::find`].
    pub(super) fn require(&self) -> Result<(Server, Ports), LiveError> {
        let found = self.find()?;
        let (server, ports) = found.ok_or_else(|| none_fits(&self.target()))?;
        self.warn_of_others(&server);
        Ok((server, ports))
    }

    /// Warns of ports that were asked for and at which the server does not listen.
    pub(super) fn warn_of_others(&self, server: &Server) {
        let others = others(self.asked_ports(), server);
        if !others.is_empty() {
            log::warn!(
                "httpd (pid {}) does not listen on {}",
                server.process.pid,
                others.in_words()
            );
        }
    }
}

/// The ports to watch of those asked for; its own where none is.
fn watched(asked: Ports, server: &Server) -> Result<Ports, LiveError> {
    let (pid, own) = (server.process.pid, server.ports());
    if asked.is_empty() {
        return match own.is_empty() {
            true => Err(LiveError::NoPort { pid }),
            false => Ok(own),
        };
    }
    // Where it listens is not known without the privilege to see its sockets.
    let is_known = !server.listens.is_empty();
    if is_known && others(asked, server) == asked {
        return Err(LiveError::NotListening { pid, asked, own });
    }
    Ok(asked)
}

/// Ports that are asked for and at which the server does not listen, as far as is known.
fn others(asked: Ports, server: &Server) -> Ports {
    if server.listens.is_empty() {
        return Ports::default();
    }
    let listens = |port: &u16| server.listens.iter().any(|at| at.port() == *port);
    Ports::new(asked.iter().filter(|port| !listens(port)))
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use crate::{httpd::ProcessId, scenario::Mpm};

    fn server(ports: &[u16]) -> Server {
        Server {
            process: ProcessId {
                pid: 7,
                start_ticks: 1,
            },
            binary: PathBuf::from("/usr/sbin/apache2"),
            mpm: Mpm::Event,
            listens: ports
                .iter()
                .map(|port| SocketAddr::from(([0, 0, 0, 0], *port)))
                .collect(),
        }
    }

    fn asked(ports: &[u16]) -> Ports {
        Ports::from(ports)
    }

    #[test]
    fn the_ports_that_are_watched_are_those_asked_for_or_all() {
        let both = server(&[80, 443]);
        assert_eq!(watched(asked(&[]), &both).unwrap(), asked(&[80, 443]));
        assert_eq!(watched(asked(&[443]), &both).unwrap(), asked(&[443]));
        // One that it does not listen on is warned of, …
        assert_eq!(watched(asked(&[80, 81]), &both).unwrap(), asked(&[80, 81]));
        assert_eq!(others(asked(&[80, 81]), &both), asked(&[81]));
        // … unless it is not known where it listens.
        assert_eq!(watched(asked(&[81]), &server(&[])).unwrap(), asked(&[81]));
        assert!(others(asked(&[81]), &server(&[])).is_empty());
        let nowhere = watched(asked(&[]), &server(&[]));
        assert!(matches!(nowhere, Err(LiveError::NoPort { pid: 7 })));
    }

    #[test]
    fn ports_at_none_of_which_it_listens_are_refused_with_its_own() {
        let refused = watched(asked(&[8080]), &server(&[80, 443])).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "httpd (pid 7) does not listen on port 8080, but on ports 80 443"
        );
    }
}
