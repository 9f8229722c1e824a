//! The accept queue and the kernel's counters of what it turned away.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

/// The kernel's counters, all sockets of the network namespace, since boot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListenCounters {
    /// Connections not queued because an accept queue was full.
    pub overflows: u64,
    /// Connections dropped by listeners for any reason, overflows included.
    pub drops: u64,
}

/// Reads how many connections wait to be accepted by the IPv4 listener on `port`; `None` while nobody listens.
///
/// # Errors
/// When `/proc/net/tcp` cannot be read.
pub fn accept_queue_length(port: u16) -> io::Result<Option<u32>> {
    queue_in(Path::new("/proc/net/tcp"), port)
}

/// How many connections wait to be accepted by the listener on `port` in a process's network
/// namespace, IPv4 or IPv6; `None` while nobody listens there.
#[must_use]
pub fn accept_queue(pid: u32, port: u16) -> Option<u32> {
    let tables = ["tcp", "tcp6"].map(|table| PathBuf::from(format!("/proc/{pid}/net/{table}")));
    let lengths = tables.iter().filter_map(|path| queue_in(path, port).ok()?);
    lengths.reduce(u32::saturating_add)
}

fn queue_in(table: &Path, port: u16) -> io::Result<Option<u32>> {
    // The kernel lists listeners first, so the first page suffices even if there are thousands
    // of connections.
    let mut first_page = [0; 4096];
    let length = File::open(table)?.read(&mut first_page)?;
    Ok(parse_tcp(
        &String::from_utf8_lossy(&first_page[..length]),
        port,
    ))
}

fn parse_tcp(text: &str, port: u16) -> Option<u32> {
    const LISTEN: &str = "0A";
    text.lines().skip(1).find_map(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let (_, local_port) = fields.next()?.split_once(':')?;
        let state = fields.nth(1)?;
        let (_, receive_queue) = fields.next()?.split_once(':')?;
        if state != LISTEN || u16::from_str_radix(local_port, 16).ok()? != port {
            return None;
        }
        // For a listener the receive queue is the accept queue, in connections.
        u32::from_str_radix(receive_queue, 16).ok()
    })
}

/// Reads the counters.
///
/// # Errors
/// When `/proc/net/netstat` cannot be read or lacks them.
pub fn listen_counters() -> io::Result<ListenCounters> {
    counters_in("/proc/net/netstat")
}

/// Reads the counters of a process's network namespace.
///
/// # Errors
/// When its `net/netstat` in `/proc` cannot be read or lacks them.
pub fn listen_counters_of(pid: u32) -> io::Result<ListenCounters> {
    counters_in(&format!("/proc/{pid}/net/netstat"))
}

fn counters_in(path: &str) -> io::Result<ListenCounters> {
    let text = fs::read_to_string(path)?;
    parse_netstat(&text).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
}

fn parse_netstat(text: &str) -> Option<ListenCounters> {
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("TcpExt:"));
    let names = lines.next()?;
    let values = lines.next()?;
    let value = |wanted: &str| -> Option<u64> {
        names
            .split_whitespace()
            .zip(values.split_whitespace())
            .find(|(name, _)| *name == wanted)?
            .1
            .parse()
            .ok()
    };
    Some(ListenCounters {
        overflows: value("ListenOverflows")?,
        drops: value("ListenDrops")?,
    })
}

#[cfg(test)]
mod tests {
    use std::{
        net::{TcpListener, TcpStream},
        thread,
        time::{Duration, Instant},
    };

    use super::*;

    const TCP: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when\n\
        0: 0100007F:1F90 00000000:0000 0A 00000000:0000000B 00:00000000 00000000     0\n\
        1: 0100007F:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0\n\
        2: 0100007F:1F91 0100007F:9C40 01 00000000:00000005 00:00000000 00000000     0\n";

    #[test]
    fn the_listeners_queue_is_found_by_port() {
        assert_eq!(parse_tcp(TCP, 8080), Some(11));
        assert_eq!(parse_tcp(TCP, 80), Some(0));
    }

    #[test]
    fn a_connection_on_the_port_is_not_a_listener() {
        assert_eq!(parse_tcp(TCP, 8081), None);
    }

    #[test]
    fn the_counters_are_found_by_name() {
        let text = "TcpExt: SyncookiesSent ListenOverflows ListenDrops\nTcpExt: 1 22 333\n\
            IpExt: InNoRoutes\nIpExt: 0\n";
        assert_eq!(
            parse_netstat(text),
            Some(ListenCounters {
                overflows: 22,
                drops: 333
            })
        );
        assert_eq!(parse_netstat("TcpExt: ListenDrops\nTcpExt: 1\n"), None);
    }

    #[test]
    fn the_kernels_queue_is_counted() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let clients: Vec<_> = (0..3)
            .map(|_| TcpStream::connect(address).unwrap())
            .collect();
        // A client is connected before the server's side is in the queue.
        let deadline = Instant::now() + Duration::from_secs(60);
        while accept_queue_length(address.port()).unwrap() != Some(3) {
            assert!(Instant::now() < deadline);
            thread::sleep(Duration::from_millis(1));
        }
        drop(clients);
    }
}
