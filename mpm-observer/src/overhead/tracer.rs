//! bpftrace and strace as watchers, as a user would start them.

use std::{
    fs::{self, File},
    io,
    os::unix::process::CommandExt,
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

use super::{
    server_cpu::process_cpu_ns,
    stand::{Stand, system},
};
use crate::{httpd::Task, lab::LabError};

/// What bpftrace is given; COMM and PORT are replaced.
const SCRIPT: &str = include_str!("equivalent.bt");
/// How long a tracer may take to attach, and to detach and print.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(10);

/// A tracer at work. Dropping it ends it.
pub(crate) struct Tracing {
    child: Child,
    name: &'static str,
    /// Where it writes what it saw.
    result: PathBuf,
    /// What is in there if it saw something.
    proof: &'static str,
}

impl Tracing {
    /// bpftrace with the script, once it says that all probes are attached.
    pub(crate) fn bpftrace(stand: &Stand<'_>) -> Result<Self, LabError> {
        let script = stand.dir().join("equivalent.bt");
        let text = script_for(&stand.ground.installation.binary, stand.port());
        fs::write(&script, text).map_err(system("bpftrace's script cannot be written"))?;
        let output = stand.dir().join("bpftrace.out");
        let mut command = Command::new("bpftrace");
        command.args(["-B", "line"]).arg(&script);
        let mut tracing =
            Self::start("bpftrace", command, &output, output.clone(), "@latency_us:")?;
        tracing.wait_until(|| {
            let said = fs::read_to_string(&output).unwrap_or_default();
            Ok(said.lines().any(|line| line == "ready"))
        })?;
        Ok(tracing)
    }

    /// `strace -f -c`, once it has attached to all of httpd's tasks.
    pub(crate) fn strace(stand: &Stand<'_>) -> Result<Self, LabError> {
        let tasks = stand
            .httpd()
            .tasks()
            .map_err(system("httpd's tasks cannot be read"))?;
        let result = stand.dir().join("strace.txt");
        let mut command = Command::new("strace");
        command.args(["-f", "-c", "-o"]).arg(&result);
        for process in tasks.iter().filter(|task| task.tid == task.pid) {
            command.args(["-p", &process.pid.to_string()]);
        }
        let output = stand.dir().join("strace.out");
        let mut tracing = Self::start("strace", command, &output, result, " writev")?;
        tracing.wait_until(|| {
            for task in &tasks {
                if !is_traced(task)? {
                    return Ok(false);
                }
            }
            Ok(true)
        })?;
        Ok(tracing)
    }

    fn start(
        name: &'static str,
        mut command: Command,
        output: &Path,
        result: PathBuf,
        proof: &'static str,
    ) -> Result<Self, LabError> {
        let file = File::create(output).map_err(system("a tracer's output cannot be written"))?;
        let errors = file
            .try_clone()
            .map_err(system("a tracer's output cannot be written"))?;
        command
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(errors)
            // A Ctrl-C at the terminal is for this program to handle.
            .process_group(0);
        // SAFETY: prctl(2) is safe between fork and exec.
        unsafe {
            // Should this program be killed, the tracer goes with it.
            command.pre_exec(|| Ok(set_pdeathsig(Signal::SIGTERM)?));
        }
        let child = command.spawn().map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => LabError::Missing(name),
            _ => LabError::System { what: name, source },
        })?;
        Ok(Self {
            child,
            name,
            result,
            proof,
        })
    }

    fn wait_until(&mut self, ready: impl Fn() -> io::Result<bool>) -> Result<(), LabError> {
        let deadline = Instant::now() + PATIENCE;
        while !ready().map_err(system(self.name))? {
            if let Some(status) = self.child.try_wait().map_err(system(self.name))? {
                let source = io::Error::other(format!("it ended early: {status}"));
                return Err(system(self.name)(source));
            }
            if Instant::now() >= deadline {
                let source = io::Error::other("it does not attach");
                return Err(system(self.name)(source));
            }
            thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// As Ctrl-C would, and with force if that does not help. Whether it ended by itself.
    fn end(&mut self) -> io::Result<bool> {
        if self.child.try_wait()?.is_some() {
            return Ok(true);
        }
        let pid = i32::try_from(self.child.id()).map_err(io::Error::other)?;
        kill(Pid::from_raw(pid), Signal::SIGINT)?;
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if self.child.try_wait()?.is_some() {
                return Ok(true);
            }
            thread::sleep(PAUSE);
        }
        self.child.kill()?;
        self.child.wait()?;
        Ok(false)
    }
}

impl Tracing {
    /// CPU time that it has used, nanoseconds.
    pub(crate) fn cpu_ns(&self) -> Result<u64, LabError> {
        process_cpu_ns(self.child.id()).map_err(system(self.name))
    }

    /// Ends it; returns when everything is detached. Of so many answered requests it must have
    /// seen something, or nothing was measured.
    pub(crate) fn stop(mut self, answered: u64) -> Result<(), LabError> {
        let name = self.name;
        let failed = |what: &str| Err(system(name)(io::Error::other(what.to_owned())));
        if !self.end().map_err(system(name))? {
            return failed("it did not end and was killed");
        }
        let seen = fs::read_to_string(&self.result).unwrap_or_default();
        if answered > 0 && !seen.contains(self.proof) {
            return failed("it saw no request");
        }
        Ok(())
    }
}

impl Drop for Tracing {
    fn drop(&mut self) {
        // There is nobody left to tell.
        let _ = self.end();
    }
}

/// The script for one server.
fn script_for(binary: &Path, port: u16) -> String {
    // The kernel cuts a command after 15 bytes.
    let name = binary.file_name().unwrap_or_default().to_string_lossy();
    let comm: String = name.chars().take(15).collect();
    SCRIPT
        .lines()
        .filter(|line| !line.starts_with("//"))
        .map(|line| {
            line.replace("COMM", &comm)
                .replace("PORT", &port.to_string())
                + "\n"
        })
        .collect()
}

/// Whether somebody traces a task; one that has ended need not be.
fn is_traced(task: &Task) -> io::Result<bool> {
    match fs::read_to_string(format!("/proc/{}/task/{}/status", task.pid, task.tid)) {
        Ok(status) => Ok(has_tracer(&status)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
    }
}

fn has_tracer(status: &str) -> bool {
    let tracer = status
        .lines()
        .find_map(|line| line.strip_prefix("TracerPid:"));
    tracer.is_some_and(|tracer| tracer.trim() != "0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_names_the_server_and_its_port() {
        let script = script_for(Path::new("/usr/sbin/apache2"), 8080);
        assert!(script.contains("/comm == \"apache2\"/"));
        assert!(script.contains("/args->sport == 8080/"));
        assert!(!script.contains("COMM") && !script.contains("PORT"));
    }

    #[test]
    fn a_task_is_traced_when_its_tracer_has_a_number() {
        assert!(has_tracer("Name:\tapache2\nTracerPid:\t4711\nUid:\t0\n"));
        assert!(!has_tracer("Name:\tapache2\nTracerPid:\t0\nUid:\t0\n"));
        assert!(!has_tracer(""));
    }
}
