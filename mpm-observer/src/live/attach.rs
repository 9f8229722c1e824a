//! The probes on the tasks of a server that runs already.

use super::{LiveError, Server};
use crate::kernel::{Kernel, Options, Watch};

/// Attaches the probes and follows all tasks of `server` and those that come. Counts and times
/// begin now. Dropping the result detaches them.
///
/// # Errors
/// When a probe cannot be attached, or the server's tasks cannot be read.
pub fn attach(kernel: &Kernel, server: &Server, options: Options) -> Result<Watch, LiveError> {
    let mut watch = Watch::start(kernel, options)?;
    watch.adopt(server.process.pid, || server.tasks())?;
    Ok(watch)
}
