//! A client as a process: on its CPUs, watched to its end.

use std::{
    fs::{self, File},
    io,
    os::unix::process::CommandExt,
    path::Path,
    process::{Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sched::{CpuSet, sched_setaffinity},
    sys::{
        prctl::set_pdeathsig,
        resource::{Resource, UsageWho, getrusage, setrlimit},
        signal::Signal,
    },
    unistd::Pid,
};

use crate::{
    lab::{Interrupt, LabError},
    overhead::system,
};

/// How often a process that runs is looked at.
const LOOK: Duration = Duration::from_millis(10);

/// What to run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Order<'a> {
    pub(super) program: &'a Path,
    pub(super) arguments: &'a [String],
    /// The CPUs that it may use.
    pub(super) cpus: &'a [usize],
    /// The limit of open files, where it is not to be ours.
    pub(super) open_files: Option<u64>,
    /// When it is taken for hung.
    pub(super) at_most: Duration,
    /// Where its output goes.
    pub(super) dir: &'a Path,
}

/// How it went.
#[derive(Clone, Debug)]
pub(super) struct Ran {
    pub(super) status: ExitStatus,
    /// CPU time of all its threads, from its first instruction to its last.
    pub(super) cpu_ns: u64,
    pub(super) wall: Duration,
    /// The most memory that was resident; what it took in its last 10 ms may be missing.
    pub(super) peak_rss_bytes: u64,
    pub(super) output: String,
    pub(super) errors: String,
}

/// Keeps a process that is about to become another program on CPUs, and lets it not outlive this
/// one.
pub(super) fn bind(command: &mut Command, cpus: &[usize], at_end: Signal) -> io::Result<()> {
    let mut set = CpuSet::new();
    for &cpu in cpus {
        set.set(cpu)?;
    }
    // A Ctrl-C at the terminal is for this program to handle.
    command.process_group(0);
    // SAFETY: sched_setaffinity(2) and prctl(2) are safe between fork and exec, and the closure
    // does not allocate.
    unsafe {
        command.pre_exec(move || {
            sched_setaffinity(Pid::from_raw(0), &set)?;
            Ok(set_pdeathsig(at_end)?)
        });
    }
    Ok(())
}

/// Runs it to its end; `None` if the user interrupted, and then it is ended too. `look` is called
/// while it runs.
pub(super) fn run(
    order: &Order<'_>,
    interrupt: &Interrupt,
    mut look: impl FnMut() -> Result<(), LabError>,
) -> Result<Option<Ran>, LabError> {
    let failed = || system("a client cannot be run");
    let (out, err) = (order.dir.join("client.out"), order.dir.join("client.err"));
    let mut command = Command::new(order.program);
    command
        .args(order.arguments)
        .stdin(Stdio::null())
        .stdout(File::create(&out).map_err(failed())?)
        .stderr(File::create(&err).map_err(failed())?);
    bind(&mut command, order.cpus, Signal::SIGKILL).map_err(failed())?;
    if let Some(limit) = order.open_files {
        // SAFETY: setrlimit(2) is safe between fork and exec.
        unsafe {
            command.pre_exec(move || Ok(setrlimit(Resource::RLIMIT_NOFILE, limit, limit)?));
        }
    }
    let cpu_before_ns = ended_children_cpu_ns();
    let began = Instant::now();
    let mut child = command.spawn().map_err(failed())?;
    let memory = format!("/proc/{}/status", child.id());
    let mut peak_rss_bytes = 0;
    let status = loop {
        let looked = look();
        // Until exec it is a copy of this process, with its memory.
        if began.elapsed() > LOOK {
            let status = fs::read_to_string(&memory).unwrap_or_default();
            peak_rss_bytes = high_water_bytes(&status).unwrap_or(peak_rss_bytes);
        }
        if let Some(status) = child.try_wait().map_err(failed())? {
            looked?;
            break status;
        }
        let hangs = began.elapsed() > order.at_most;
        if hangs || interrupt.is_set() || looked.is_err() {
            let _ = child.kill();
            let _ = child.wait();
            looked?;
            if interrupt.is_set() {
                return Ok(None);
            }
            let name = order.program.file_name().unwrap_or_default();
            return Err(LabError::Run {
                run: name.to_string_lossy().into_owned(),
                message: format!("it did not end within {:?}", order.at_most),
            });
        }
        thread::sleep(LOOK);
    };
    let text = |path: &Path| {
        let bytes = fs::read(path).map_err(failed())?;
        Ok::<_, LabError>(String::from_utf8_lossy(&bytes).into_owned())
    };
    Ok(Some(Ran {
        status,
        cpu_ns: ended_children_cpu_ns().saturating_sub(cpu_before_ns),
        wall: began.elapsed(),
        peak_rss_bytes,
        output: text(&out)?,
        errors: text(&err)?,
    }))
}

/// CPU time of all processes that this one started and saw end.
fn ended_children_cpu_ns() -> u64 {
    getrusage(UsageWho::RUSAGE_CHILDREN).map_or(0, |usage| {
        let times = [usage.user_time(), usage.system_time()];
        let ns = times.iter().map(|time| {
            time.tv_sec().unsigned_abs() * 1_000_000_000 + time.tv_usec().unsigned_abs() * 1000
        });
        ns.sum()
    })
}

/// `VmHWM` of `/proc/PID/status`; a process that has ended has none.
fn high_water_bytes(status: &str) -> Option<u64> {
    let rest = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = rest.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use nix::{sys::stat::Mode, unistd::mkfifo};

    use super::*;
    use crate::lab::allowed_cpus;

    fn run_shell(script: &str, at_most: Duration) -> Result<Option<Ran>, LabError> {
        run_shell_with(script, at_most, || Ok(()))
    }

    fn run_shell_with(
        script: &str,
        at_most: Duration,
        look: impl FnMut() -> Result<(), LabError>,
    ) -> Result<Option<Ran>, LabError> {
        let dir = tempfile::tempdir().unwrap();
        let cpus = allowed_cpus().unwrap();
        let order = Order {
            program: Path::new("/bin/sh"),
            arguments: &["-c".to_owned(), script.to_owned()],
            cpus: &cpus[..1],
            open_files: Some(100),
            at_most,
            dir: dir.path(),
        };
        run(&order, &Interrupt::default(), look)
    }

    #[test]
    fn output_errors_status_and_limits_are_those_of_the_process() {
        let script = "ulimit -n; echo no >&2; exit 3";
        let ran = run_shell(script, Duration::from_secs(20)).unwrap().unwrap();
        assert_eq!(
            (ran.output.as_str(), ran.errors.as_str()),
            ("100\n", "no\n")
        );
        assert_eq!(ran.status.code(), Some(3));
    }

    #[test]
    fn cpu_time_is_that_of_the_process_whoever_else_works() {
        let dir = tempfile::tempdir().unwrap();
        let end = dir.path().join("end");
        mkfifo(&end, Mode::S_IRWXU).unwrap();
        // It is there until its memory has been looked at.
        let script = format!(
            "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; read -r _ < {}",
            end.display()
        );
        // Open for both, it waits for no reader.
        let mut end = File::options().read(true).write(true).open(end).unwrap();
        let began = Instant::now();
        let mut looks = 0;
        let look = || {
            looks += u32::from(began.elapsed() > 2 * LOOK);
            if looks == 2 {
                end.write_all(b"\n").unwrap();
            }
            Ok(())
        };
        let ran = run_shell_with(&script, Duration::from_secs(60), look);
        let ran = ran.unwrap().unwrap();
        assert!(
            ran.cpu_ns > 1_000_000 && ran.peak_rss_bytes > 100_000,
            "{ran:?}"
        );
    }

    #[test]
    fn what_does_not_end_is_ended_and_named() {
        let error = run_shell("sleep 1000", Duration::from_millis(50)).unwrap_err();
        assert!(error.to_string().contains("did not end"), "{error}");
    }

    #[test]
    fn the_high_water_mark_is_read_in_bytes() {
        let status = "Name:\tab\nVmPeak:\t 9000 kB\nVmHWM:\t     340 kB\nVmRSS:\t 300 kB\n";
        assert_eq!(high_water_bytes(status), Some(340 * 1024));
        assert_eq!(high_water_bytes("Name:\tab\nState:\tZ (zombie)\n"), None);
    }
}
