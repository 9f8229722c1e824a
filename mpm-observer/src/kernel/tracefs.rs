//! tracefs, which the tracers that the observer is compared with need.

use std::{io, path::Path};

use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
};

use super::KernelError;

/// Where tracefs is mounted.
const TRACEFS: &str = "/sys/kernel/tracing";

fn is_mounted() -> bool {
    Path::new(TRACEFS).join("events").is_dir()
}

/// Makes sure that tracefs can be read. Where it is not mounted, it is mounted for this process
/// and its children alone, in a mount namespace of their own, so that nothing stays behind.
/// Call it before any thread is started: threads do not share the new namespace.
///
/// # Errors
/// [`KernelError::NoTracefs`] if it can be neither found nor mounted.
pub fn provide_tracefs() -> Result<(), KernelError> {
    if is_mounted() {
        return Ok(());
    }
    let none: Option<&str> = None;
    let mounted = unshare(CloneFlags::CLONE_NEWNS)
        .and_then(|()| mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none))
        .and_then(|()| {
            let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
            mount(Some("tracefs"), TRACEFS, Some("tracefs"), flags, none)
        });
    match mounted {
        Ok(()) if is_mounted() => Ok(()),
        Ok(()) => Err(KernelError::NoTracefs(io::ErrorKind::NotFound.into())),
        Err(errno) => Err(KernelError::NoTracefs(errno.into())),
    }
}
