//! Prometheus' process, from its start to its end.

use std::{
    env,
    fs::{self, File},
    io,
    net::{Ipv4Addr, SocketAddr},
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::{
        prctl::set_pdeathsig,
        signal::{Signal, kill},
    },
    unistd::Pid,
};

use super::{Api, Config, PrometheusError};
use crate::httpd::{free_port, http};

/// Its name.
const PROGRAM: &str = "prometheus";
/// How long it may take to answer. It reads what it has kept first.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// How long it gets to write down what it has.
const STOP_GRACE: Duration = Duration::from_secs(10);
/// How often it is looked at meanwhile.
const LOOK: Duration = Duration::from_millis(20);
/// How long one question may take, whether it is ready.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often another port is tried.
const PORT_ATTEMPTS: usize = 5;

/// The program: that which was named, or the first one on the `PATH`.
///
/// # Errors
/// When there is none.
pub fn find(named: Option<&Path>) -> Result<PathBuf, PrometheusError> {
    if let Some(path) = named {
        return match is_program(path) {
            true => Ok(path.to_owned()),
            false => Err(PrometheusError::NotAProgram(path.to_owned())),
        };
    }
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .map(|dir| dir.join(PROGRAM))
        .find(|program| is_program(program))
        .ok_or(PrometheusError::NotFound)
}

fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

/// A Prometheus that runs. Dropping it ends it; the kernel ends it too when the thread that
/// started it is gone, however that came about.
#[derive(Debug)]
pub struct Prometheus {
    child: Child,
    address: SocketAddr,
}

impl Prometheus {
    /// Starts `program` on a free port of loopback and waits until it answers. Configuration, log
    /// and data go into `dir`, which is made if it is not there.
    ///
    /// # Errors
    /// When it does not start; the message has the end of its log.
    pub fn start(program: &Path, dir: &Path, config: &Config) -> Result<Self, PrometheusError> {
        let system = |what| move |source| PrometheusError::System { what, source };
        fs::create_dir_all(dir).map_err(system("Prometheus' directory cannot be made"))?;
        // It looks for its files from its own directory.
        let dir = &fs::canonicalize(dir).map_err(system("Prometheus' directory"))?;
        fs::write(dir.join("prometheus.yml"), config.text())
            .map_err(system("Prometheus' configuration cannot be written"))?;
        let mut attempt = 1;
        loop {
            let port = free_port().map_err(system("no port is free"))?;
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
            let child = spawn(program, dir, address)
                .map_err(system("the program of Prometheus cannot be run"))?;
            let mut started = Self { child, address };
            match started.wait_ready(dir) {
                Ok(()) => return Ok(started),
                Err(PrometheusError::NotStarted { message, .. })
                    if attempt < PORT_ATTEMPTS && message.contains("address already in use") =>
                {
                    attempt += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn wait_ready(&mut self, dir: &Path) -> Result<(), PrometheusError> {
        let log = dir.join("prometheus.log");
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            let answer = http::get(self.address, "/-/ready", PATIENCE, &mut 0);
            if answer.is_ok_and(|answer| answer.status == 200) {
                return Ok(());
            }
            let ended = self.child.try_wait().ok().flatten();
            if ended.is_none() && Instant::now() < deadline {
                thread::sleep(LOOK);
                continue;
            }
            let text = fs::read_to_string(&log).unwrap_or_default();
            let message = match (text.trim().lines().last(), ended) {
                (Some(line), _) => line.to_owned(),
                (None, Some(status)) => format!("it ended at once, {status}"),
                (None, None) => "it does not answer".into(),
            };
            return Err(PrometheusError::NotStarted { message, log });
        }
    }

    /// Where its page is.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// What can be asked of it.
    #[must_use]
    pub const fn api(&self) -> Api {
        Api::at(self.address)
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

fn spawn(program: &Path, dir: &Path, address: SocketAddr) -> io::Result<Child> {
    let log = File::create(dir.join("prometheus.log"))?;
    let mut command = Command::new(program);
    command
        .arg("--config.file=prometheus.yml")
        .arg("--storage.tsdb.path=data")
        .arg(format!("--web.listen-address={address}"))
        .arg("--log.level=warn")
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        // A Ctrl-C at the terminal is for this program to handle.
        .process_group(0);
    // SAFETY: prctl(2) is safe between fork and exec, and the closure does not allocate.
    unsafe {
        command.pre_exec(|| Ok(set_pdeathsig(Signal::SIGTERM)?));
    }
    command.spawn()
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // It was not waited for, so the number is still its own.
        if let Ok(pid) = i32::try_from(self.child.id()) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
        let deadline = Instant::now() + STOP_GRACE;
        while Instant::now() < deadline {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(LOOK);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_cannot_be_run_is_refused_by_name() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = find(Some(file.path())).unwrap_err().to_string();
        assert!(error.contains(file.path().to_str().unwrap()), "{error}");
        assert_eq!(
            find(Some(Path::new("/bin/sh"))).unwrap(),
            Path::new("/bin/sh")
        );
    }

    #[test]
    fn what_ends_at_once_is_told_with_the_end_of_its_log() {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("prometheus");
        fs::write(
            &program,
            "#!/bin/sh\necho first\necho no such thing >&2\nexit 1\n",
        )
        .unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let error = Prometheus::start(&program, &dir.path().join("p"), &Config::default());
        let error = error.unwrap_err().to_string();
        assert!(error.contains("no such thing"), "{error}");
    }
}
