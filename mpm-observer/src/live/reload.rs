//! Whether a reload has changed the ports of a server that is watched.

use std::{
    collections::{BTreeSet, HashSet},
    net::SocketAddr,
};

use super::{
    Server,
    recognise::process_of,
    server::{listens_of, sockets_of},
};

/// Tells when a server listens on other ports than when the probes were attached: it keeps its
/// first process over a reload, and the programs keep the ports that they were given.
#[derive(Debug)]
pub(super) struct Reload {
    /// Those at that time.
    ports: BTreeSet<u16>,
    /// The sockets of the first process when its ports were read last. As long as it has these,
    /// the table of all connections, which may be long, is not read.
    sockets: HashSet<u64>,
    /// Other ports, if such were read last.
    others: Option<BTreeSet<u16>>,
}

impl Reload {
    /// Of a server that was found so.
    pub(super) fn of(server: &Server) -> Self {
        Self {
            ports: ports_of(&server.listens),
            sockets: HashSet::new(),
            others: None,
        }
    }

    /// Looks at the server; whether its ports have changed. One whose sockets cannot be seen, or
    /// that has ended, has not changed.
    pub(super) fn has_changed_ports(&mut self, server: &Server) -> bool {
        let Some(process) = process_of(server.process.pid) else {
            return false;
        };
        let sockets = sockets_of(&process);
        if sockets == self.sockets && self.others.is_none() {
            return false;
        }
        let ports = ports_of(&listens_of(&process, &sockets));
        self.sockets = sockets;
        self.are_settled(ports)
    }

    /// Whether other ports were read twice in a row: in a reload old and new sockets are there
    /// together for a moment, or some of them.
    fn are_settled(&mut self, ports: BTreeSet<u16>) -> bool {
        let are_others = !ports.is_empty() && ports != self.ports;
        let are_settled = are_others && self.others.as_ref() == Some(&ports);
        self.others = are_others.then_some(ports);
        are_settled
    }
}

fn ports_of(listens: &[SocketAddr]) -> BTreeSet<u16> {
    listens.iter().map(SocketAddr::port).collect()
}

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, path::PathBuf};

    use super::*;
    use crate::{httpd::ProcessId, scenario::Mpm};

    fn reload(ports: &[u16]) -> Reload {
        Reload {
            ports: ports.iter().copied().collect(),
            sockets: HashSet::new(),
            others: None,
        }
    }

    #[test]
    fn ports_have_changed_when_the_same_others_are_read_twice() {
        let mut reload = reload(&[80]);
        let mut read = |ports: &[u16]| reload.are_settled(ports.iter().copied().collect());
        assert!(!read(&[80]));
        // Old and new ones together, the new ones, nothing to be seen, the old ones after all.
        assert!(!read(&[80, 443]));
        assert!(!read(&[443]));
        assert!(!read(&[]));
        assert!(!read(&[443]));
        assert!(!read(&[80]));
        assert!(!read(&[443]));
        assert!(read(&[443]));
    }

    #[test]
    fn a_port_more_of_a_process_is_read() {
        // Other tests of this process listen too, so it has other ports than these at any time.
        let pid = std::process::id();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let process = process_of(pid).unwrap();
        let listens = || listens_of(&process, &sockets_of(&process));
        assert!(listens().contains(&address));
        let server = Server {
            process: ProcessId::of(pid).unwrap(),
            binary: PathBuf::new(),
            mpm: Mpm::Event,
            listens: vec![address],
        };
        let mut reload = Reload::of(&server);
        let another = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = another.local_addr().unwrap().port();
        assert!(!reload.has_changed_ports(&server));
        let read = reload.others.unwrap();
        assert!(read.contains(&port) && read.contains(&address.port()));
    }
}
