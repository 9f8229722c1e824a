//! The accept queue and the kernel's counters of what it turned away.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

/// The state of a listener, as the kernel's tables of sockets have it.
const LISTEN: &str = "0A";
/// The kernel gives so much of a table at once.
const PAGE_BYTES: usize = 4096;

/// The kernel's counters, all sockets of the network namespace, since boot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListenCounters {
    /// Connections not queued because an accept queue was full.
    pub overflows: u64,
    /// Connections dropped by listeners for any reason, overflows included.
    pub drops: u64,
}

/// How many connections wait to be accepted by all listeners on `port` in a process's network
/// namespace, IPv4 and IPv6; `None` while nobody listens there.
#[must_use]
pub fn accept_queue(pid: u32, port: u16) -> Option<u32> {
    let tables = ["tcp", "tcp6"].map(|table| PathBuf::from(format!("/proc/{pid}/net/{table}")));
    let lengths = tables.iter().filter_map(|path| queue_in(path, port).ok()?);
    lengths.reduce(u32::saturating_add)
}

fn queue_in(table: &Path, port: u16) -> io::Result<Option<u32>> {
    // The kernel lists listeners first: what follows them, which may be thousands of connections,
    // is not read.
    let mut text = Vec::new();
    let mut file = File::open(table)?;
    loop {
        let before = text.len();
        text.resize(before + PAGE_BYTES, 0);
        let length = file.read(&mut text[before..])?;
        text.truncate(before + length);
        if length == 0 || !lists_listeners(&text) {
            return Ok(parse_tcp(&String::from_utf8_lossy(&text), port));
        }
    }
}

/// Whether there may be more listeners than the text has: its last whole line is of one.
fn lists_listeners(text: &[u8]) -> bool {
    let mut lines = text.split_inclusive(|byte| *byte == b'\n').rev();
    let last = lines.find(|line| line.ends_with(b"\n"));
    let last = String::from_utf8_lossy(last.unwrap_or_default());
    // The line of headings is the first one.
    last.contains("local_address") || last.split_whitespace().nth(3) == Some(LISTEN)
}

/// Sums the queues of all listeners on a port.
fn parse_tcp(text: &str, port: u16) -> Option<u32> {
    let queues = text.lines().skip(1).filter_map(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let (_, local_port) = fields.next()?.split_once(':')?;
        let state = fields.nth(1)?;
        let (_, receive_queue) = fields.next()?.split_once(':')?;
        if state != LISTEN || u16::from_str_radix(local_port, 16).ok()? != port {
            return None;
        }
        // For a listener the receive queue is the accept queue, in connections.
        u32::from_str_radix(receive_queue, 16).ok()
    });
    queues.reduce(u32::saturating_add)
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
    fn the_queues_of_all_listeners_on_a_port_are_one() {
        let more =
            "   3: 0200007F:1F90 00000000:0000 0A 00000000:00000004 00:00000000 00000000 0\n";
        assert_eq!(parse_tcp(&(TCP.to_owned() + more), 8080), Some(15));
    }

    #[test]
    fn the_table_is_read_as_long_as_it_has_listeners() {
        let (_, first) = TCP.split_once('\n').unwrap();
        let headings = &TCP[..TCP.len() - first.len()];
        let lists = |text: &str| lists_listeners(text.as_bytes());
        assert!(lists(headings));
        // What is behind the last whole line does not count.
        assert!(lists(&TCP[..TCP.len() - 1]));
        assert!(!lists(TCP));
        assert!(!lists(""));

        let dir = tempfile::tempdir().unwrap();
        let table = dir.path().join("tcp");
        let line = |port: u16, state: &str| {
            format!(
                "9: 0100007F:{port:04X} 00000000:0000 {state} 00000000:00000002 00:00000000 0\n"
            )
        };
        // Many listeners, of which the last one is asked for; and then many connections.
        let mut text = headings.to_owned();
        text.extend((1..=300).map(|port| line(port, LISTEN)));
        let listeners = text.len();
        text.extend((0..300).map(|_| line(300, "01")));
        fs::write(&table, &text).unwrap();
        assert!(listeners > 4 * PAGE_BYTES);
        assert_eq!(queue_in(&table, 300).unwrap(), Some(2));
        assert_eq!(queue_in(&table, 301).unwrap(), None);
    }

    #[test]
    fn among_many_listeners_each_one_is_found() {
        let listeners: Vec<TcpListener> = (0..100)
            .map(|_| TcpListener::bind("127.0.0.1:0").unwrap())
            .collect();
        for listener in &listeners {
            let port = listener.local_addr().unwrap().port();
            assert_eq!(accept_queue(std::process::id(), port), Some(0));
        }
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
        while accept_queue(std::process::id(), address.port()) != Some(3) {
            assert!(Instant::now() < deadline);
            thread::sleep(Duration::from_millis(1));
        }
        drop(clients);
    }
}
