//! The process that becomes httpd: it puts itself under the limits, says that it waits, and starts
//! httpd's program when it gets a byte. Until then an observer can be attached to it, so that
//! nothing of httpd is missed.

use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, Instant};

use nix::libc;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::prctl;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use nix::unistd::{self, Pid};

use super::lines::{Line, LineReader};
use super::protocol::{LaunchSpec, LauncherSays, send};
use super::rlimit;

/// The guard writes the first line right away.
const SPEC_TIMEOUT: Duration = Duration::from_secs(10);

/// The launcher process: what `mpm-observer __launch` runs. Returns its exit status if it does not
/// become httpd. It takes no arguments; all that it needs comes on standard input.
pub fn launcher_main(args: &[String]) -> i32 {
    if !args.is_empty() {
        eprintln!("__launch is internal and takes no arguments");
        return 2;
    }
    // Standard output is the channel to the guard. This copy closes by itself when httpd's program
    // starts, by which the guard knows that it did.
    let Ok(mut channel) = io::stdout().as_fd().try_clone_to_owned().map(File::from) else {
        return 2;
    };
    match launch(&mut channel) {
        Ok(()) => 0,
        Err(message) => {
            // Without a guard there is nobody to tell.
            let _ = send(&mut channel, &LauncherSays::Failed(message));
            2
        }
    }
}

/// Returns only when the guard is gone before the start, or with the reason why httpd's program
/// did not start.
fn launch(channel: &mut File) -> Result<(), String> {
    let said = |what: &str, error: &dyn std::fmt::Display| format!("{what}: {error}");
    let gate = io::stdin()
        .as_fd()
        .try_clone_to_owned()
        .map_err(|e| said("standard input", &e))?;
    let mut lines = LineReader::new(File::from(gate));
    let spec: LaunchSpec = match lines.next(Instant::now() + SPEC_TIMEOUT) {
        Ok(Line::Text(line)) => {
            serde_json::from_str(&line).map_err(|e| said("the guard's message", &e))?
        }
        Ok(Line::Closed | Line::TimedOut) => return Ok(()),
        Err(error) => return Err(said("standard input", &error)),
    };
    unistd::setsid().map_err(|e| said("a session of its own", &e))?;
    reset_signals().map_err(|e| said("the signals", &e))?;
    set_cpus(&spec.cpus)?;
    let open = |path: &std::path::Path| {
        OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(path)
    };
    let output = open(&spec.output).map_err(|e| said(&spec.output.display().to_string(), &e))?;
    let errors = open(&spec.errors).map_err(|e| said(&spec.errors.display().to_string(), &e))?;
    let null = File::open("/dev/null").map_err(|e| said("/dev/null", &e))?;
    let program = cstring(spec.program.as_os_str().as_bytes())?;
    let mut arguments = vec![program.clone()];
    for argument in &spec.arguments {
        arguments.push(cstring(argument.as_bytes())?);
    }
    let environment = spec
        .environment
        .iter()
        .map(|(name, value)| cstring(format!("{name}={value}").as_bytes()))
        .collect::<Result<Vec<_>, _>>()?;
    unistd::chdir("/").map_err(|e| said("/", &e))?;
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
    // Last, as they bind this program too.
    for limit in spec.limits.iter() {
        rlimit::set(limit)?;
    }
    // After the limits, some of which only root can set.
    if let Some(user) = &spec.user {
        user.take_over()
            .map_err(|e| said(&format!("httpd's user {}", user.name), &e))?;
    }
    // After the user, as the kernel forgets it when that changes.
    prctl::set_pdeathsig(Signal::SIGKILL).map_err(|e| said("the end with the guard", &e))?;
    if unistd::getppid().as_raw().unsigned_abs() != spec.guard_pid {
        return Ok(());
    }

    send(channel, &LauncherSays::Waiting).map_err(|e| said("the guard", &e))?;
    if !wait_for_go(&mut lines).map_err(|e| said("the guard", &e))? {
        return Ok(());
    }
    unistd::dup2_stdin(&null).map_err(|e| said("standard input", &e))?;
    unistd::dup2_stdout(&output).map_err(|e| said("standard output", &e))?;
    unistd::dup2_stderr(&errors).map_err(|e| said("standard error", &e))?;
    close_others().map_err(|e| said("the caller's open files", &e))?;
    let Err(error) = unistd::execve(&program, &arguments, &environment);
    Err(said(&spec.program.display().to_string(), &error))
}

/// Lets httpd's program have standard input, output and error alone: what the caller has open
/// besides would count against the limit of open files.
fn close_others() -> io::Result<()> {
    const FIRST_OTHER: libc::c_uint = 3;
    let flags = libc::CLOSE_RANGE_CLOEXEC as libc::c_int;
    // SAFETY: it sets a flag of this process's own descriptors, which closes them at `execve`.
    match unsafe { libc::close_range(FIRST_OTHER, libc::c_uint::MAX, flags) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Waits for the byte, however long the observer needs. False when the guard is gone.
fn wait_for_go(lines: &mut LineReader<File>) -> io::Result<bool> {
    let mut byte = [0];
    loop {
        match Read::read(&mut lines.inner(), &mut byte) {
            Ok(count) => return Ok(count == 1),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Undoes what the guard blocks, and what a shell or `nohup` may have ignored: httpd must take the
/// signals that end it.
fn reset_signals() -> nix::Result<()> {
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    for signal in Signal::iterator() {
        if matches!(signal, Signal::SIGKILL | Signal::SIGSTOP) {
            continue;
        }
        // SAFETY: the default action runs no code of this process.
        unsafe { sigaction(signal, &default) }?;
    }
    SigSet::empty().thread_set_mask()
}

fn set_cpus(cpus: &[usize]) -> Result<(), String> {
    if cpus.is_empty() {
        return Ok(());
    }
    let mut set = CpuSet::new();
    for &cpu in cpus {
        set.set(cpu)
            .map_err(|_| format!("CPU {cpu} is more than this system can have"))?;
    }
    sched_setaffinity(Pid::from_raw(0), &set)
        .map_err(|error| format!("httpd cannot run on CPUs {cpus:?}: {error}"))
}

fn cstring(bytes: &[u8]) -> Result<CString, String> {
    CString::new(bytes).map_err(|_| "a path or argument has a zero byte".to_owned())
}
