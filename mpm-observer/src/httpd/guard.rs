//! The process between the lab and httpd. It is httpd's parent and inherits every task of httpd
//! that loses its own, so it can end them all; and it outlives the lab, however that ends.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{self, Pid};
use rustix::process::Signal as PidfdSignal;

use super::lines::{Line, LineReader, wait};
use super::process::{self, ProcessId};
use super::protocol::{ExitStatus, GuardSpec, How, LaunchSpec, LauncherSays, Order, Report, send};
use super::runtime_dir::{boot_id, write_json};
use super::stale::{self, State};

/// How long lab and launcher may take for what they do at once.
const SETUP_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a lab that has closed its files may still be there.
const LAB_EXIT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long killed processes get to end.
const KILL_TIMEOUT: Duration = Duration::from_secs(10);

/// The guard process: what `mpm-observer __guard` runs. Returns its exit status. It takes no
/// arguments; all that it needs comes on standard input.
pub fn guard_main(args: &[String]) -> i32 {
    if !args.is_empty() {
        eprintln!("__guard is internal and takes no arguments");
        return 2;
    }
    let Ok(mut reports) = io::stdout().as_fd().try_clone_to_owned().map(File::from) else {
        return 2;
    };
    match run(&mut reports) {
        Ok(()) => 0,
        Err(error) => {
            // When the lab is gone nobody reads it.
            let _ = send(&mut reports, &Report::Failed(error.to_string()));
            1
        }
    }
}

fn run(reports: &mut File) -> io::Result<()> {
    // Fails only for a process that leads its group already, which is as good.
    let _ = unistd::setsid();
    // For the eye only: `ps` would show the name of /proc/self/exe.
    let _ = prctl::set_name(c"mpm-guard");
    prctl::set_child_subreaper(true)?;
    // Signals are read like messages. What would end the guard ends httpd first.
    let mut mask = SigSet::empty();
    for signal in [
        Signal::SIGCHLD,
        Signal::SIGTERM,
        Signal::SIGINT,
        Signal::SIGHUP,
    ] {
        mask.add(signal);
    }
    mask.thread_block()?;
    let signals = SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;

    let stdin = io::stdin().as_fd().try_clone_to_owned()?;
    let mut orders = LineReader::new(File::from(stdin));
    let Line::Text(line) = orders.next(Instant::now() + SETUP_TIMEOUT)? else {
        return Err(io::Error::other("the lab said nothing"));
    };
    let spec: GuardSpec = serde_json::from_str(&line)?;
    let (launcher, lines) = start_launcher(&spec.launch)?;
    let httpd = ProcessId::of(launcher.id())?;
    let mut guard = Guard {
        reports,
        orders,
        signals,
        launcher,
        lines,
        httpd,
        started: false,
        status: None,
        stopping: None,
        lab_is_gone: false,
    };
    // Whatever went wrong, httpd is ended.
    let watched = guard.watch(&spec);
    let finished = guard.finish(&spec);
    watched.and(finished)
}

/// Starts the launcher and waits until it is ready to become httpd. When it fails it has ended.
fn start_launcher(spec: &LaunchSpec) -> io::Result<(Child, LineReader<std::process::ChildStdout>)> {
    let output = OpenOptions::new()
        .append(true)
        .create(true)
        .open(&spec.output)?;
    let mut launcher = Command::new("/proc/self/exe")
        .arg("__launch")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(output)
        .spawn()?;
    let outcome = wait_for_launcher(&mut launcher, spec);
    if outcome.is_err() {
        // It may have ended already.
        let _ = launcher.kill();
        launcher.wait()?;
    }
    outcome.map(|lines| (launcher, lines))
}

fn wait_for_launcher(
    launcher: &mut Child,
    spec: &LaunchSpec,
) -> io::Result<LineReader<std::process::ChildStdout>> {
    let (Some(stdin), Some(stdout)) = (launcher.stdin.as_mut(), launcher.stdout.take()) else {
        return Err(io::Error::other("the launcher has no pipes"));
    };
    send(
        stdin,
        &LaunchSpec {
            guard_pid: std::process::id(),
            ..spec.clone()
        },
    )?;
    let mut lines = LineReader::new(stdout);
    match lines.next(Instant::now() + SETUP_TIMEOUT)? {
        Line::Text(line) => match serde_json::from_str(&line)? {
            LauncherSays::Waiting => Ok(lines),
            LauncherSays::Failed(message) => Err(io::Error::other(message)),
        },
        Line::Closed => Err(io::Error::other("the launcher ended at once")),
        Line::TimedOut => Err(io::Error::other("the launcher does not answer")),
    }
}

/// How far the end of httpd has come.
struct Stopping {
    /// When SIGKILL follows SIGTERM.
    deadline: Instant,
    how: How,
}

struct Guard<'a> {
    reports: &'a mut File,
    orders: LineReader<File>,
    signals: SignalFd,
    launcher: Child,
    lines: LineReader<std::process::ChildStdout>,
    httpd: ProcessId,
    started: bool,
    status: Option<ExitStatus>,
    stopping: Option<Stopping>,
    lab_is_gone: bool,
}

impl Guard<'_> {
    /// Follows httpd until its end was ordered, and it has ended or had its time.
    fn watch(&mut self, spec: &GuardSpec) -> io::Result<()> {
        self.announce(spec)?;
        while !self.is_done() {
            self.step(Duration::from_millis(spec.orphan_grace_ms))?;
        }
        Ok(())
    }

    /// Writes the state file, then tells the lab that the launcher waits.
    fn announce(&mut self, spec: &GuardSpec) -> io::Result<()> {
        let state = State {
            boot_id: boot_id()?,
            guard: ProcessId::own()?,
            httpd: self.httpd,
            binary: spec.launch.program.clone(),
        };
        write_json(&spec.state_file, &state)?;
        self.report(&Report::Waiting { httpd: self.httpd });
        Ok(())
    }

    /// A lab that is gone is noticed when its orders end, not here.
    fn report(&mut self, report: &Report) {
        let _ = send(self.reports, report);
    }

    /// Done when the end was ordered and httpd's first process has ended or had its time.
    fn is_done(&self) -> bool {
        let Some(stopping) = &self.stopping else {
            return false;
        };
        self.status.is_some() || Instant::now() >= stopping.deadline
    }

    /// Waits for something to happen and deals with it.
    fn step(&mut self, orphan_grace: Duration) -> io::Result<()> {
        let at_most = self
            .stopping
            .as_ref()
            .map_or(Duration::from_secs(3600), |stopping| {
                stopping.deadline.saturating_duration_since(Instant::now())
            });
        let mut fds = vec![PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
        // A closed pipe is always readable.
        if !self.orders.is_closed() {
            fds.push(PollFd::new(self.orders.inner().as_fd(), PollFlags::POLLIN));
        }
        if !self.lines.is_closed() {
            fds.push(PollFd::new(self.lines.inner().as_fd(), PollFlags::POLLIN));
        }
        wait(&mut fds, at_most)?;
        let now = Duration::ZERO;
        let has_order = !self.orders.is_closed() && readable(self.orders.inner(), now)?;
        let has_line = !self.lines.is_closed() && readable(self.lines.inner(), now)?;
        if has_line {
            self.lines.fill()?;
            self.hear_launcher();
        }
        if has_order {
            self.orders.fill()?;
            while let Some(line) = self.orders.pop() {
                self.obey(&line)?;
            }
            if self.orders.is_closed() {
                self.lab_is_gone = true;
                self.begin_stop(orphan_grace);
            }
        }
        while let Some(signal) = self.signals.read_signal()? {
            if signal.ssi_signo != Signal::SIGCHLD as u32 {
                self.begin_stop(orphan_grace);
            }
        }
        self.reap()
    }

    fn obey(&mut self, line: &str) -> io::Result<()> {
        match serde_json::from_str(line)? {
            Order::Go => {
                if let Some(mut gate) = self.launcher.stdin.take() {
                    // Without a launcher its end is reported instead.
                    let _ = io::Write::write_all(&mut gate, b"g");
                }
            }
            Order::Stop { grace_ms } => self.begin_stop(Duration::from_millis(grace_ms)),
        }
        Ok(())
    }

    /// The launcher's end of the pipe closes when httpd's program starts; before, it may say why
    /// it does not.
    fn hear_launcher(&mut self) {
        while let Some(line) = self.lines.pop() {
            if let Ok(LauncherSays::Failed(message)) = serde_json::from_str(&line) {
                self.report(&Report::Failed(message));
            }
        }
        if self.lines.is_closed() && !self.started {
            self.started = true;
            self.report(&Report::Started);
        }
    }

    /// Asks httpd to end. A second order can only shorten the time.
    fn begin_stop(&mut self, grace: Duration) {
        let deadline = Instant::now() + grace;
        if let Some(stopping) = &mut self.stopping {
            stopping.deadline = stopping.deadline.min(deadline);
            return;
        }
        let how = if self.status.is_some() {
            How::Itself
        } else {
            How::Term
        };
        self.stopping = Some(Stopping { deadline, how });
        self.httpd.signal(PidfdSignal::TERM);
    }

    /// Takes the status of everything that has ended, and tells that of httpd's first process.
    fn reap(&mut self) -> io::Result<()> {
        while let Some((pid, status)) = reap_one() {
            if pid != self.httpd.pid {
                continue;
            }
            // Why a launcher did not become httpd is told before that it ended. Its end of the
            // pipe is closed, so this does not wait.
            while !self.lines.is_closed() {
                self.lines.fill()?;
                self.hear_launcher();
            }
            self.status = Some(status);
            self.report(&Report::Exited(status));
            if self.stopping.is_none() {
                // Children without their parent serve on and are of no use to anybody.
                self.kill_all()?;
            }
        }
        Ok(())
    }

    /// Kills everything below the guard, which is all of httpd: who loses its parent comes here.
    fn kill_all(&mut self) -> io::Result<(Vec<u32>, Vec<u32>)> {
        let own = std::process::id();
        let mut status = None;
        let httpd = self.httpd.pid;
        let result = process::kill_until_none(
            KILL_TIMEOUT,
            || process::descendants(own),
            // A number that changed hands since it was found is neither. A task of httpd that has
            // left the session becomes the guard's child when its parent is killed.
            |stat| u32::try_from(stat.session) == Ok(httpd) || stat.ppid.unsigned_abs() == own,
            || {
                while let Some((pid, ended)) = reap_one() {
                    if pid == httpd {
                        status = Some(ended);
                    }
                }
            },
        );
        if let Some(status) = status {
            self.status = Some(status);
            self.report(&Report::Exited(status));
        }
        result
    }

    /// Ends what is left, removes the files, and tells the lab.
    fn finish(&mut self, spec: &GuardSpec) -> io::Result<()> {
        let mut how = self
            .stopping
            .as_ref()
            .map_or(How::Itself, |stopping| stopping.how);
        let (killed, left) = self.kill_all()?;
        if !killed.is_empty() {
            how = How::Kill;
        }
        if left.is_empty() {
            remove(&spec.server_dir, fs::remove_dir_all)?;
            remove(&spec.state_file, fs::remove_file)?;
        }
        // Before the report: after it a lab that lives closes its end, too.
        if !self.orders.is_closed() && readable(self.orders.inner(), Duration::ZERO)? {
            self.orders.fill()?;
            self.lab_is_gone |= self.orders.is_closed();
        }
        self.report(&Report::Stopped { how, killed, left });
        // A process closes its files a moment before it has ended.
        if self.lab_is_gone && ends_within(spec.lab, LAB_EXIT_TIMEOUT) {
            // Other guards of this lab do the same; each leaves what the others still need.
            stale::clean_up_dir(&spec.runtime_dir, Some(ProcessId::own()?));
        }
        Ok(())
    }
}

fn ends_within(process: ProcessId, at_most: Duration) -> bool {
    let deadline = Instant::now() + at_most;
    while process.is_alive() {
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    true
}

/// The process that ended, if one has, and how.
fn reap_one() -> Option<(u32, ExitStatus)> {
    loop {
        match waitpid(Pid::from_raw(-1), Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, code)) => {
                return Some((pid.as_raw().unsigned_abs(), ExitStatus::Code(code)));
            }
            Ok(WaitStatus::Signaled(pid, signal, _)) => {
                return Some((
                    pid.as_raw().unsigned_abs(),
                    ExitStatus::Signal(signal as i32),
                ));
            }
            Ok(WaitStatus::StillAlive) | Err(nix::Error::ECHILD) => return None,
            Err(nix::Error::EINTR) | Ok(_) => {}
            Err(_) => return None,
        }
    }
}

fn readable(file: &impl AsFd, at_most: Duration) -> io::Result<bool> {
    wait(&mut [PollFd::new(file.as_fd(), PollFlags::POLLIN)], at_most)
}

/// Removes a file or directory; one that is not there is as good.
fn remove<'p>(path: &'p Path, with: impl Fn(&'p Path) -> io::Result<()>) -> io::Result<()> {
    match with(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
