//! The limits of open files and of local ports.

use std::fs;
use std::io;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::{Config, Error};

/// Files that a run opens beside its connections, per thread: the engine's own, and
/// connections whose close waits in io_uring's queue while the next ones are opened.
const FILES_PER_THREAD: u64 = 8;

/// Raises the soft limit of open files to the hard limit and returns it.
///
/// # Errors
/// The system's error; a process may always do this, so it is not expected.
pub fn raise_open_file_limit() -> io::Result<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    }
    Ok(hard)
}

/// Refuses a run that would need more files than may be open.
pub(crate) fn check_open_files(concurrency: u32, threads: usize) -> Result<(), Error> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)
        .map_err(|errno| Error::EventLoop(io::Error::from(errno)))?;
    // What the caller has open already; the three standard files when /proc is missing.
    let open = fs::read_dir("/proc/self/fd").map_or(3, |dir| dir.count() as u64);
    let needed = u64::from(concurrency) + open + FILES_PER_THREAD * threads as u64;
    if needed > soft {
        return Err(Error::TooFewFiles {
            concurrency,
            needed,
            soft,
            hard,
        });
    }
    Ok(())
}

/// Whether so many connections at once of a run of `config`, and beside it, fit into the
/// limits of this process and this machine: open files, and local ports for its one remote
/// address. [`run`](crate::run) checks its own by itself.
///
/// # Errors
/// [`Error::TooFewFiles`] or [`Error::TooFewPorts`].
pub fn check_limits(config: &Config, connections: u32) -> Result<(), Error> {
    check_open_files(connections, config.threads)?;
    if config.unix_socket.is_some() {
        return Ok(());
    }
    check_ports(connections, config.sources.len())
}

/// Refuses more connections to one address than there are local ports for it. How many are
/// in use by others, or in TIME-WAIT, is not known.
pub(crate) fn check_ports(connections: u32, sources: usize) -> Result<(), Error> {
    // Where the range cannot be read, the connects will tell.
    let text = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    match port_range(&text) {
        Some(range) => check_range(range, connections, sources),
        None => Ok(()),
    }
}

fn check_range(range: (u16, u16), connections: u32, sources: usize) -> Result<(), Error> {
    let (first, last) = range;
    let each = u64::from(last.saturating_sub(first)) + 1;
    let sources = sources.max(1) as u64;
    if u64::from(connections) <= each * sources {
        return Ok(());
    }
    Err(Error::TooFewPorts {
        connections,
        ports: each * sources,
        first,
        last,
        sources,
        needed: u64::from(connections).div_ceil(each),
    })
}

/// First and last port, as the kernel writes them.
fn port_range(text: &str) -> Option<(u16, u16)> {
    let mut numbers = text.split_whitespace().map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_connections_than_files_are_refused_with_limit_and_remedy() {
        let error = check_open_files(u32::MAX, 1).expect_err("no machine has so many");
        let text = error.to_string();
        assert!(
            text.contains("ulimit -n") && text.contains("4294967295"),
            "{text}"
        );
        check_open_files(1, 1).expect("one connection is always possible");
    }

    #[test]
    fn more_connections_than_ports_are_refused_with_the_addresses_that_would_do() {
        assert_eq!(port_range("32768\t60999\n"), Some((32768, 60999)));
        assert_eq!((port_range(""), port_range("1 x")), (None, None));
        let range = (32768, 60999);
        assert!(check_range(range, 28_232, 0).is_ok());
        assert!(check_range(range, 28_233, 2).is_ok());
        let error = check_range(range, 60_000, 2).expect_err("two addresses are too few");
        let text = error.to_string();
        for part in [
            "60000 connections",
            "56464",
            "32768 to 60999",
            "3 source addresses",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }
}
