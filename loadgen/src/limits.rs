//! The limit of open files.

use std::io;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::Error;

/// Files that a run opens beside its connections, per thread: the engine's own, and
/// connections whose close waits in io_uring's queue while the next ones are opened.
const FILES_PER_THREAD: u64 = 34;

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
    let open = std::fs::read_dir("/proc/self/fd").map_or(3, |dir| dir.count() as u64);
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
}
