//! A private httpd: found, configured, started under limits, watched over, and ended for sure.
//!
//! ```text
//! lab ──> guard (mpm-observer __guard) ──> launcher (mpm-observer __launch) = httpd's parent
//! ```
//!
//! The launcher waits under all limits until the lab lets it go, so that an observer can follow
//! httpd from its first instruction. The guard outlives the lab and ends httpd when the lab is
//! gone. Should the guard be killed too, [`clean_up_stale`] ends what is left at the next start.
//!
//! The usual way: [`clean_up_stale`], [`Installation::find`], [`user::choose`],
//! [`RuntimeDir::create`], then for each run [`start`], the load, and [`Httpd::stop`].

mod about;
pub mod config;
pub mod error_log;
mod failure;
mod find;
mod guard;
pub mod http;
mod idle_account;
mod launch;
mod launcher;
mod lines;
mod port;
mod process;
mod protocol;
mod ready;
mod rlimit;
mod role;
mod runtime_dir;
mod stale;
mod status;
mod tasks;
pub mod user;

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

pub use failure::StartFailure;
pub use find::{FindError, Installation, ModuleSource};
pub use guard::guard_main;
pub use idle_account::IdleAccount;
pub use launch::{Httpd, Prepared, Setup, Stopped};
pub use launcher::launcher_main;
pub use port::free_port;
pub use process::{ProcessId, descendants};
pub use protocol::{ExitStatus, How};
pub use ready::ReadyIn;
pub use rlimit::try_limits;
pub use role::{Facts, Role, role};
pub use runtime_dir::{RuntimeDir, RuntimeDirError, bases};
pub use stale::{CleanUp, clean_up_stale, clean_up_stale_in};
pub use status::ServerStatus;
pub use tasks::{Task, tasks};

/// This program, which has the hidden subcommands for guard and launcher. It stays the same file
/// when the program is replaced while it runs.
pub const THIS_PROGRAM: &str = "/proc/self/exe";

/// How often another port is tried.
const PORT_ATTEMPTS: usize = 5;

/// Starts httpd on a free port and waits until it is ready, with another port whenever somebody
/// else was faster. The port in `setup` is not used. `on_prepared` is called with each process that
/// is about to become httpd, before its first instruction.
///
/// # Errors
/// As [`Httpd::prepare`], [`Prepared::go`] and [`Httpd::wait_ready`]; an error of `on_prepared`
/// comes back as [`StartFailure::Launch`].
pub fn start(
    setup: &Setup<'_>,
    timeout: Duration,
    cancel: &AtomicBool,
    mut on_prepared: impl FnMut(&Prepared) -> Result<(), String>,
) -> Result<(Httpd, ReadyIn), StartFailure> {
    let mut attempt = 1;
    loop {
        let port =
            free_port().map_err(|source| StartFailure::io(Path::new("127.0.0.1"), source))?;
        let prepared = Httpd::prepare(&Setup { port, ..*setup })?;
        on_prepared(&prepared).map_err(|message| StartFailure::Launch { message })?;
        let mut httpd = prepared.go()?;
        match httpd.wait_ready(timeout, cancel) {
            Ok(ready) => return Ok((httpd, ready)),
            Err(failure) if failure.is_port_in_use() && attempt < PORT_ATTEMPTS => attempt += 1,
            Err(failure) => return Err(failure),
        }
    }
}
