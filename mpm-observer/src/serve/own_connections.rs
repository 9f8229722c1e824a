//! The observer's own connections to the watched server.

use std::{
    collections::VecDeque,
    net::{IpAddr, Ipv6Addr, SocketAddr},
};

use mpm_observer_common::{RequestFlags, RequestRecord};

/// So many are remembered. A record comes when its connection ends; only one whose record was
/// lost stays until others have pushed it out.
const REMEMBERED: usize = 64;

/// The connections over which mod_status was asked: the observer's address, and the server's port.
/// Its address may be another one at the server.
#[derive(Debug, Default)]
pub(super) struct OwnConnections(VecDeque<(SocketAddr, u16)>);

impl OwnConnections {
    /// Remembers one to a port that is watched; to be called before the request is sent.
    pub(super) fn add(&mut self, local: SocketAddr, server_port: u16) {
        if self.0.len() == REMEMBERED {
            self.0.pop_front();
        }
        self.0.push_back((canonical(local), server_port));
    }

    /// Whether a record is of one of them. The last record of a connection makes it forgotten, as
    /// its port may be another client's next.
    pub(super) fn is_own(&mut self, request: &RequestRecord) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let address = IpAddr::V6(Ipv6Addr::from(request.remote_addr));
        let client = canonical(SocketAddr::new(address, request.remote_port));
        let connection = (client, request.local_port);
        let Some(index) = self.0.iter().position(|own| *own == connection) else {
            return false;
        };
        if request.flags & RequestFlags::AT_END != 0 {
            self.0.remove(index);
        }
        true
    }
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(port: u16, flags: u32) -> RequestRecord {
        RequestRecord {
            remote_addr: "::ffff:127.0.0.1".parse::<Ipv6Addr>().unwrap().octets(),
            remote_port: port,
            local_port: 80,
            flags,
            ..RequestRecord::default()
        }
    }

    #[test]
    fn a_connection_is_its_own_until_its_end() {
        let mut own = OwnConnections::default();
        own.add("127.0.0.1:5000".parse().unwrap(), 80);
        assert!(!own.is_own(&request(5001, 0)));
        assert!(own.is_own(&request(5000, 0)));
        assert!(own.is_own(&request(5000, RequestFlags::AT_END)));
        // The port is another client's now.
        assert!(!own.is_own(&request(5000, 0)));
    }

    #[test]
    fn the_same_port_of_another_address_is_another_client() {
        let mut own = OwnConnections::default();
        own.add("[::1]:5000".parse().unwrap(), 80);
        assert!(!own.is_own(&request(5000, 0)));
    }

    #[test]
    fn the_same_port_to_another_one_of_the_server_is_another_client() {
        let mut own = OwnConnections::default();
        own.add("127.0.0.1:5000".parse().unwrap(), 8081);
        assert!(!own.is_own(&request(5000, 0)));
    }

    #[test]
    fn those_whose_record_was_lost_are_pushed_out() {
        let mut own = OwnConnections::default();
        for port in 1..=200 {
            own.add(SocketAddr::from(([127, 0, 0, 1], port)), 80);
        }
        assert_eq!(own.0.len(), REMEMBERED);
        assert!(!own.is_own(&request(100, 0)));
        assert!(own.is_own(&request(200, 0)));
    }
}
