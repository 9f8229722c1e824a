//! The probes on the tasks of a server that runs already.

use super::{LiveError, Server, choose::require_initial_pid_namespace};
use crate::kernel::{Kernel, Options, Watch, network_of};

/// Attaches the probes, and follows all tasks of `server`, its connections that stand, and those
/// that come. Counts and times begin now. The ports of `options` are those of the server's network
/// namespace, whatever it says. Dropping the result detaches the probes.
///
/// # Errors
/// When a probe cannot be attached, the server's tasks cannot be read, or this process is not in
/// the initial pid namespace.
pub fn attach(kernel: &Kernel, server: &Server, options: Options) -> Result<Watch, LiveError> {
    require_initial_pid_namespace()?;
    let pid = server.process.pid;
    let network = network_of(pid).map_err(|source| LiveError::System {
        what: "the server's network namespace cannot be read",
        source,
    })?;
    let mut watch = Watch::start(kernel, Options { network, ..options })?;
    watch.adopt(pid, || server.tasks())?;
    if !watch.follow_standing(kernel, pid)? {
        log::warn!(
            "the server's network namespace cannot be entered without CAP_SYS_ADMIN: connections \
             that stand are not followed"
        );
    }
    Ok(watch)
}
