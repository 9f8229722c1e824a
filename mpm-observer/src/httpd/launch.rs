//! Starting and stopping httpd, seen from the lab.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::config::{self, Paths};
use super::error_log::{self, LogLine};
use super::failure::StartFailure;
use super::find::Installation;
use super::lines::{Line, LineReader};
use super::process::{self, ProcessId};
use super::protocol::{ExitStatus, GuardSpec, How, LaunchSpec, Order, Report, send};
use super::runtime_dir::RuntimeDir;
use super::stale;
use super::tasks::{Task, tasks};
use super::user::ServerUser;
use crate::scenario::{Mpm, RunPlan, Start, StartAs};

/// How long guard and launcher may take to get ready, and to end when all of httpd has.
const GUARD_TIMEOUT: Duration = Duration::from_secs(15);
/// How long httpd gets to end when the lab is gone.
const ORPHAN_GRACE: Duration = Duration::from_secs(3);
/// How many lines of the log a failure shows.
const TAIL_LINES: usize = 20;
/// The environment that every httpd has; a scenario adds to it.
const ENVIRONMENT: [(&str, &str); 3] = [
    ("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"),
    ("LC_ALL", "C"),
    ("TZ", "UTC"),
];

/// Everything that one httpd is started from.
#[derive(Debug)]
pub struct Setup<'a> {
    /// The httpd to run.
    pub installation: &'a Installation,
    /// The directory of this lab process.
    pub runtime: &'a RuntimeDir,
    /// The numbers of the run.
    pub plan: &'a RunPlan,
    /// Where configuration and logs of the run are kept: `httpd.conf`, `error.log`, `httpd.out`.
    pub run_dir: &'a Path,
    /// The user of httpd's children, as [`user::choose`](super::user::choose) gives it; of its
    /// first process too where the plan has it started by an ordinary user.
    pub user: Option<&'a ServerUser>,
    /// The CPUs that httpd may run on; empty for all.
    pub cpus: &'a [usize],
    /// The port on 127.0.0.1 to listen on.
    pub port: u16,
    /// The program that has the hidden subcommands `__guard` and `__launch`; normally
    /// `/proc/self/exe`.
    pub program: &'a Path,
}

/// An httpd that is about to start: its first process waits, with all limits set.
#[derive(Debug)]
pub struct Prepared {
    httpd: Httpd,
}

/// An httpd that runs, or has ended and was not stopped yet. Dropping it kills it.
#[derive(Debug)]
pub struct Httpd {
    guard: Child,
    /// Taken when the guard is told to end; while it is open the guard knows that the lab lives.
    orders: Option<ChildStdin>,
    pub(super) reports: LineReader<ChildStdout>,
    pub(super) id: ProcessId,
    pub(super) status: Option<ExitStatus>,
    stopped: Option<(How, Vec<u32>, Vec<u32>)>,
    pub(super) failure: Option<String>,
    binary: PathBuf,
    pub(super) paths: Paths,
    pub(super) addr: SocketAddr,
    pub(super) mpm: Mpm,
    pub(super) start: Start,
    pub(super) slots: u32,
    pub(super) went: Instant,
}

/// How an httpd was stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stopped {
    /// How its first process ended; `None` when nobody saw it, as the guard had been killed.
    pub status: Option<ExitStatus>,
    /// What it took.
    pub how: How,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// Processes that had to be killed one by one.
    pub killed: Vec<u32>,
    /// Processes of the session that are still there: empty is the proof that all is gone.
    pub left: Vec<u32>,
}

impl Httpd {
    /// Writes the configuration and starts everything up to httpd's program: its first process
    /// exists, has its session, limits and CPUs, and waits for [`Prepared::go`].
    ///
    /// # Errors
    /// When a file cannot be written, or a limit or CPU cannot be set.
    pub fn prepare(setup: &Setup<'_>) -> Result<Prepared, StartFailure> {
        setup.installation.require(setup.plan.mpm)?;
        let (server_dir, state_file) = setup.runtime.new_server()?;
        setup.runtime.body(setup.plan.load.body_bytes)?;
        let run_dir = fs::canonicalize(setup.run_dir)
            .map_err(|source| StartFailure::io(setup.run_dir, source))?;
        let paths = Paths {
            config: run_dir.join("httpd.conf"),
            error_log: run_dir.join("error.log"),
            output: run_dir.join("httpd.out"),
            server_dir: server_dir.clone(),
            docroot: setup.runtime.docroot(),
        };
        let text = config::httpd_conf(
            setup.plan,
            setup.installation,
            setup.port,
            setup.user,
            &paths,
        );
        fs::write(&paths.config, &text)
            .map_err(|source| StartFailure::io(&paths.config, source))?;
        // The tail of a failure must not be that of an earlier attempt.
        for log in [&paths.error_log, &paths.output] {
            fs::write(log, "").map_err(|source| StartFailure::io(log, source))?;
        }
        let user = setup
            .user
            .filter(|_| setup.plan.server.start_as == StartAs::User);
        let mut config = paths.config.clone();
        if let Some(user) = user {
            // An ordinary user may not get into the directory of the run, and writes its own files.
            config = server_dir.join("httpd.conf");
            fs::write(&config, &text).map_err(|source| StartFailure::io(&config, source))?;
            for path in [&server_dir, &paths.error_log, &paths.output] {
                chown(path, Some(user.uid), Some(user.gid))
                    .map_err(|source| StartFailure::io(path, source))?;
            }
        }
        let spec = GuardSpec {
            launch: LaunchSpec {
                program: setup.installation.binary.clone(),
                arguments: vec![
                    "-f".to_owned(),
                    config.display().to_string(),
                    "-DFOREGROUND".to_owned(),
                ],
                // Nothing of the caller's environment reaches httpd, so that runs are alike.
                environment: ENVIRONMENT
                    .iter()
                    .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                    .chain(setup.plan.server.environment.clone())
                    .collect(),
                limits: setup.plan.limits.clone(),
                cpus: setup.cpus.to_vec(),
                user: user.cloned(),
                output: paths.output.clone(),
                errors: if user.is_some() {
                    paths.error_log.clone()
                } else {
                    paths.output.clone()
                },
                guard_pid: 0,
            },
            lab: ProcessId::own().map_err(|source| StartFailure::io(Path::new("/proc"), source))?,
            runtime_dir: setup.runtime.path().to_owned(),
            server_dir,
            state_file,
            orphan_grace_ms: millis(ORPHAN_GRACE),
        };
        start_guard(setup, &spec, paths)
    }

    /// The number of httpd's first process, which is also that of its session.
    pub fn pid(&self) -> u32 {
        self.id.pid
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Its files and directories.
    pub fn paths(&self) -> &Paths {
        &self.paths
    }

    /// How its first process ended, if it has. Does not wait.
    pub fn exit_status(&mut self) -> Option<ExitStatus> {
        self.hear_until(Instant::now(), |httpd| httpd.status.is_some());
        self.status
    }

    /// All tasks of it at this moment.
    ///
    /// # Errors
    /// When /proc cannot be read.
    pub fn tasks(&self) -> io::Result<Vec<Task>> {
        tasks(self.id.pid, self.mpm)
    }

    /// The last lines of what it printed and logged.
    pub(super) fn log_tail(&self) -> Vec<LogLine> {
        [&self.paths.output, &self.paths.error_log]
            .into_iter()
            .flat_map(|path| error_log::tail(path, TAIL_LINES).unwrap_or_default())
            .filter(|line| !line.message.is_empty())
            .collect()
    }

    /// Ends it: SIGTERM, and after `grace` SIGKILL for all that is left. Never waits much longer
    /// than that.
    ///
    /// # Errors
    /// When /proc cannot be read to prove that all is gone.
    pub fn stop(mut self, grace: Duration) -> io::Result<Stopped> {
        self.end(grace)
    }

    fn end(&mut self, grace: Duration) -> io::Result<Stopped> {
        let began = Instant::now();
        if let Some(orders) = &mut self.orders {
            // Without a guard there is nobody to order; what it left is ended below.
            let _ = send(
                orders,
                &Order::Stop {
                    grace_ms: millis(grace),
                },
            );
        }
        self.hear_until(began + grace + GUARD_TIMEOUT, |httpd| {
            httpd.stopped.is_some()
        });
        if self.stopped.is_none() {
            let _ = self.guard.kill();
        }
        self.orders = None;
        self.guard.wait()?;
        let (how, mut killed, _) =
            self.stopped
                .clone()
                .unwrap_or((How::Kill, Vec::new(), Vec::new()));
        // Nothing is left unless the guard was killed.
        killed.extend(stale::end_session(self.id, &self.binary)?);
        Ok(Stopped {
            status: self.status,
            how,
            took_ms: millis(began.elapsed()),
            killed,
            left: process::of_session(self.id.pid)?,
        })
    }

    /// Takes reports until `enough`, the deadline, or the guard's end. True when `enough`.
    pub(super) fn hear_until(
        &mut self,
        deadline: Instant,
        enough: impl Fn(&Httpd) -> bool,
    ) -> bool {
        while !enough(self) {
            let Ok(Line::Text(line)) = self.reports.next(deadline) else {
                break;
            };
            match serde_json::from_str(&line) {
                Ok(Report::Exited(status)) => self.status = Some(status),
                Ok(Report::Stopped { how, killed, left }) => {
                    self.stopped = Some((how, killed, left));
                }
                Ok(Report::Failed(message)) => self.failure = Some(message),
                Ok(Report::Waiting { .. } | Report::Started) => {}
                Err(error) => self.failure = Some(format!("the guard said `{line}`: {error}")),
            }
        }
        enough(self)
    }

    /// Whether the guard has ended, by whatever.
    pub(super) fn guard_is_gone(&self) -> bool {
        self.reports.is_closed()
    }
}

impl Drop for Httpd {
    fn drop(&mut self) {
        if self.orders.is_some() {
            // A failure here leaves the files by which the next start cleans up.
            let _ = self.end(Duration::ZERO);
        }
    }
}

impl Prepared {
    /// The number of the process that becomes httpd's first. It has not run any of httpd's
    /// instructions yet.
    pub fn pid(&self) -> u32 {
        self.httpd.pid()
    }

    /// Where it will listen.
    pub fn addr(&self) -> SocketAddr {
        self.httpd.addr()
    }

    /// The port of [`Prepared::addr`].
    pub fn port(&self) -> u16 {
        self.addr().port()
    }

    /// Lets httpd start.
    ///
    /// # Errors
    /// When the guard or the waiting process was killed meanwhile, or the program cannot be run.
    pub fn go(self) -> Result<Httpd, StartFailure> {
        let mut httpd = self.httpd;
        httpd.went = Instant::now();
        let Some(orders) = &mut httpd.orders else {
            return Err(StartFailure::Guard {
                message: "it has ended".to_owned(),
            });
        };
        send(orders, &Order::Go).map_err(|error| StartFailure::Guard {
            message: error.to_string(),
        })?;
        Ok(httpd)
    }
}

fn start_guard(
    setup: &Setup<'_>,
    spec: &GuardSpec,
    paths: Paths,
) -> Result<Prepared, StartFailure> {
    let failed = |source| StartFailure::io(setup.program, source);
    let mut guard = Command::new(setup.program)
        .arg("__guard")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let outcome = hear_waiting(&mut guard, spec);
    let (orders, reports, id) = match outcome {
        Ok(parts) => parts,
        Err(failure) => {
            // It may have ended already, which its report said.
            let _ = guard.kill();
            guard.wait().map_err(failed)?;
            return Err(failure);
        }
    };
    Ok(Prepared {
        httpd: Httpd {
            guard,
            orders: Some(orders),
            reports,
            id,
            status: None,
            stopped: None,
            failure: None,
            binary: setup.installation.binary.clone(),
            paths,
            addr: SocketAddr::from((Ipv4Addr::LOCALHOST, setup.port)),
            mpm: setup.plan.mpm,
            start: setup.plan.server.start,
            slots: setup.plan.server.max_request_workers,
            went: Instant::now(),
        },
    })
}

fn hear_waiting(
    guard: &mut Child,
    spec: &GuardSpec,
) -> Result<(ChildStdin, LineReader<ChildStdout>, ProcessId), StartFailure> {
    let says = |message: String| StartFailure::Guard { message };
    let (Some(mut orders), Some(reports)) = (guard.stdin.take(), guard.stdout.take()) else {
        return Err(says("it has no pipes".to_owned()));
    };
    send(&mut orders, spec).map_err(|error| says(error.to_string()))?;
    let mut reports = LineReader::new(reports);
    let line = reports
        .next(Instant::now() + GUARD_TIMEOUT)
        .map_err(|e| says(e.to_string()))?;
    match line {
        Line::Text(line) => match serde_json::from_str(&line) {
            Ok(Report::Waiting { httpd }) => Ok((orders, reports, httpd)),
            Ok(Report::Failed(message)) => Err(StartFailure::Launch { message }),
            _ => Err(says(format!("it said `{line}`"))),
        },
        Line::Closed => Err(says("it ended at once".to_owned())),
        Line::TimedOut => Err(says("it does not answer".to_owned())),
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
