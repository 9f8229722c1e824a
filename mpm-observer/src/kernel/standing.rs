//! The sockets that are there when a watch of a running server begins.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt,
    thread,
};

use aya::programs::Iter;
use nix::{
    errno::Errno,
    sched::{CloneFlags, setns},
};

use super::{Hook, Kernel, KernelError, Watch, error::with_causes, links};

const PROGRAM: &str = "iter_tcp";

/// The number of a process's network namespace.
///
/// # Errors
/// When the process has ended.
pub fn network_of(pid: u32) -> io::Result<u32> {
    number_of(&format!("/proc/{pid}/ns/net"))
}

fn number_of(namespace: &str) -> io::Result<u32> {
    let inode = fs::metadata(namespace)?.ino();
    u32::try_from(inode).map_err(io::Error::other)
}

impl Watch {
    /// Follows the connections of the server that stand, and notes the sockets that it listens on,
    /// in the network namespace of process `pid`. Of a connection that stands it is not known
    /// whether a request is under way, so the first one that is read on it is flagged
    /// ([`RequestFlags::IN_PART`](mpm_observer_common::RequestFlags::IN_PART)). False, with nothing
    /// done, if this process may not enter that namespace, for which it needs `CAP_SYS_ADMIN`.
    ///
    /// # Errors
    /// When the program cannot be loaded or run, or the process has ended.
    pub fn follow_standing(&mut self, kernel: &Kernel, pid: u32) -> Result<bool, KernelError> {
        let refused = |reason: String| KernelError::Attach {
            probe: "standing",
            hook: "iter/tcp".into(),
            reason,
        };
        let program = self.program(PROGRAM)?;
        if program.fd().is_err() {
            links::load(program, Hook::Iter("tcp"), kernel.types())
                .map_err(|error| refused(with_causes(&error)))?;
        }
        let program = <&mut Iter>::try_from(program).map_err(|error| refused(error.to_string()))?;
        let link = program
            .attach()
            .and_then(|id| program.take_link(id))
            .map_err(|error| refused(error.to_string()))?;
        // The kernel goes through the sockets of whoever opens the iterator, so that is a thread
        // that may change its namespace without the others.
        let done = thread::scope(|scope| {
            let walk = scope.spawn(|| -> io::Result<bool> {
                let path = format!("/proc/{pid}/ns/net");
                if number_of(&path)? != number_of("/proc/thread-self/ns/net")? {
                    match setns(File::open(path)?, CloneFlags::CLONE_NEWNET) {
                        Err(Errno::EPERM) => return Ok(false),
                        entered => entered?,
                    }
                }
                let mut sockets = link.into_file().map_err(io::Error::other)?;
                io::copy(&mut sockets, &mut io::sink())?;
                Ok(true)
            });
            walk.join()
        });
        match done {
            Ok(walked) => walked.map_err(|error| refused(error.to_string())),
            Err(_) => Err(refused("it ended early".to_owned())),
        }
    }
}
