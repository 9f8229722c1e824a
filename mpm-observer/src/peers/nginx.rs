//! A private nginx with one worker, which counts what it serves.

use std::{
    cell::Cell,
    fs::{self, File},
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::{
        resource::{Resource, getrlimit},
        signal::{Signal, kill},
    },
    unistd::Pid,
};

use super::{Document, process};
use crate::{
    httpd::{RuntimeDir, free_port, http, user::ServerUser},
    lab::{Interrupt, LabError},
    overhead::{process_cpu_ns, system},
    resources::children_of,
};

const STATUS_PATH: &str = "/nginx_status";
const TIMED_PATH: &str = "/timed.bin";
/// How long nginx may take to serve, to notice that connections are closed, and to end.
const PATIENCE: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(10);
/// Files that nginx needs beside its connections.
const OTHER_FILES: u64 = 64;
/// Connections it may have at most, where the limit of files lets it.
const MOST_CONNECTIONS: u64 = 40_000;

/// What nginx's module `stub_status` tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StubStatus {
    /// Connections at this moment, with that of the question.
    pub active: u64,
    /// Requests whose first bytes have arrived since the start, with this question.
    pub requests: u64,
}

impl StubStatus {
    /// Reads the page; `None` if it is another one.
    #[must_use]
    pub fn read(page: &str) -> Option<Self> {
        let mut lines = page.lines();
        let active = lines.next()?.strip_prefix("Active connections:")?;
        let names = lines.next()?;
        if names.trim() != "server accepts handled requests" {
            return None;
        }
        Some(Self {
            active: active.trim().parse().ok()?,
            requests: lines.next()?.split_whitespace().nth(2)?.parse().ok()?,
        })
    }
}

/// What nginx has served at a moment, the observer's own questions left out.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Served {
    pub(super) requests: u64,
    /// Of the large document: heads and bodies, as far as they were sent.
    pub(super) large_bytes: u64,
    /// Requests for the timed document.
    pub(super) timed: usize,
}

/// A running nginx. Dropping it ends it.
pub(super) struct Nginx {
    child: Child,
    addr: SocketAddr,
    /// What each answer with the large document came to, a line each.
    bytes_log: PathBuf,
    /// When the timed document was asked for, a line each.
    times_log: PathBuf,
    /// How often its status was asked for.
    asked: Cell<u64>,
}

impl Nginx {
    /// Starts it on a CPU; `None` if the user interrupted.
    pub(super) fn start(
        program: &Path,
        runtime: &RuntimeDir,
        cpu: usize,
        user: Option<&ServerUser>,
        interrupt: &Interrupt,
    ) -> Result<Option<Self>, LabError> {
        let failed = || system("nginx cannot be started");
        let dir = runtime.path().join("nginx");
        fs::create_dir_all(&dir).map_err(failed())?;
        runtime.body(Document::Small.bytes())?;
        let large = runtime.body(Document::Large.bytes())?;
        let port = free_port().map_err(failed())?;
        let files = getrlimit(Resource::RLIMIT_NOFILE).map_or(1024, |(_, hard)| hard);
        let text = configuration(&dir, &runtime.docroot(), &large, port, files, user);
        let config = dir.join("nginx.conf");
        fs::write(&config, text).map_err(failed())?;
        let errors = dir.join("error.log");
        let said = File::create(&errors).map_err(failed())?;
        let mut command = Command::new(program);
        command
            .args(["-e", "stderr", "-p"])
            .arg(&dir)
            .arg("-c")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(said);
        // Its first process takes the worker with it.
        process::bind(&mut command, &[cpu], Signal::SIGTERM).map_err(failed())?;
        let child = command.spawn().map_err(failed())?;
        let mut nginx = Self {
            child,
            addr: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
            bytes_log: dir.join("bytes.log"),
            times_log: dir.join("times.log"),
            asked: Cell::new(0),
        };
        let deadline = Instant::now() + PATIENCE;
        while nginx.status().is_err() {
            if interrupt.is_set() {
                return Ok(None);
            }
            let ended = nginx.child.try_wait().map_err(failed())?.is_some();
            if ended || Instant::now() >= deadline {
                let said = fs::read_to_string(&errors).unwrap_or_default();
                let why = said.lines().next_back().unwrap_or("it does not answer");
                return Err(LabError::Run {
                    run: "nginx".into(),
                    message: why.to_owned(),
                });
            }
            thread::sleep(PAUSE);
        }
        Ok(Some(nginx))
    }

    /// The URL of a document.
    pub(super) fn url(&self, document: Document) -> String {
        match document {
            Document::Timed => format!("http://{}{TIMED_PATH}", self.addr),
            _ => format!("http://{}/body-{}.bin", self.addr, document.bytes()),
        }
    }

    /// Connections at this moment, without the question's.
    pub(super) fn connections(&self) -> Result<u64, LabError> {
        Ok(self.status()?.active.saturating_sub(1))
    }

    /// CPU time of its worker so far, nanoseconds.
    pub(super) fn cpu_ns(&self) -> Result<u64, LabError> {
        let read = || {
            let workers = children_of(self.child.id())?;
            workers.into_iter().map(process_cpu_ns).sum()
        };
        let sum: std::io::Result<u64> = read();
        sum.map_err(system("nginx's CPU time"))
    }

    fn status(&self) -> Result<StubStatus, LabError> {
        let unknown = || system("nginx's status");
        let answer = http::get(self.addr, STATUS_PATH, PATIENCE, &mut 0).map_err(unknown())?;
        self.asked.set(self.asked.get() + 1);
        StubStatus::read(&answer.body)
            .ok_or_else(|| unknown()(std::io::Error::other("it is not that of stub_status")))
    }

    /// When the timed document was asked for, milliseconds since 1970, in the order of the answers.
    pub(super) fn times_ms(&self) -> Vec<u64> {
        let log = fs::read_to_string(&self.times_log).unwrap_or_default();
        log.lines().filter_map(milliseconds).collect()
    }

    /// Waits until all connections are closed, and tells what was served until then.
    pub(super) fn at_rest(&self) -> Result<Served, LabError> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let status = self.status()?;
            if status.active <= 1 {
                let log = fs::read_to_string(&self.bytes_log).unwrap_or_default();
                return Ok(Served {
                    requests: status.requests.saturating_sub(self.asked.get()),
                    large_bytes: sum_of_lines(&log),
                    timed: self.times_ms().len(),
                });
            }
            if Instant::now() >= deadline {
                return Err(LabError::Run {
                    run: "nginx".into(),
                    message: format!(
                        "{} connections are still open after the client has ended",
                        status.active - 1
                    ),
                });
            }
            thread::sleep(PAUSE);
        }
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        if let Ok(pid) = i32::try_from(self.child.id()) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
        let deadline = Instant::now() + PATIENCE;
        while matches!(self.child.try_wait(), Ok(None)) {
            if Instant::now() >= deadline {
                let _ = self.child.kill();
                let _ = self.child.wait();
                return;
            }
            thread::sleep(PAUSE);
        }
    }
}

/// nginx writes seconds with three decimals.
fn milliseconds(line: &str) -> Option<u64> {
    let (seconds, thousandths) = line.trim().split_once('.')?;
    Some(seconds.parse::<u64>().ok()? * 1000 + thousandths.parse::<u64>().ok()?)
}

fn sum_of_lines(log: &str) -> u64 {
    log.lines()
        .filter_map(|line| line.trim().parse::<u64>().ok())
        .sum()
}

fn configuration(
    dir: &Path,
    docroot: &Path,
    large: &str,
    port: u16,
    open_files: u64,
    user: Option<&ServerUser>,
) -> String {
    let dir = dir.display();
    let user = user.map_or_else(String::new, |user| {
        format!("user {} {};\n", user.name, user.group)
    });
    let connections = open_files
        .saturating_sub(OTHER_FILES)
        .clamp(1, MOST_CONNECTIONS);
    format!(
        "daemon off;
{user}worker_processes 1;
worker_rlimit_nofile {open_files};
pid \"{dir}/nginx.pid\";
events {{ worker_connections {connections}; }}
http {{
    access_log off;
    sendfile on;
    keepalive_requests 1000000000;
    client_body_temp_path \"{dir}/client\";
    proxy_temp_path \"{dir}/proxy\";
    fastcgi_temp_path \"{dir}/fastcgi\";
    uwsgi_temp_path \"{dir}/uwsgi\";
    scgi_temp_path \"{dir}/scgi\";
    log_format bytes $bytes_sent;
    log_format times $msec;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        root \"{docroot}\";
        location = {STATUS_PATH} {{ stub_status; }}
        location = {large} {{ access_log \"{dir}/bytes.log\" bytes; }}
        location = {TIMED_PATH} {{
            alias \"{docroot}/body-{timed_bytes}.bin\";
            access_log \"{dir}/times.log\" times;
        }}
    }}
}}
",
        docroot = docroot.display(),
        timed_bytes = Document::Timed.bytes()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_and_requests_are_read_and_other_pages_refused() {
        let page = "Active connections: 65 \nserver accepts handled requests\n 233 232 51035 \n\
            Reading: 0 Writing: 1 Waiting: 64 \n";
        assert_eq!(
            StubStatus::read(page),
            Some(StubStatus {
                active: 65,
                requests: 51035
            })
        );
        assert_eq!(StubStatus::read("<html>404 Not Found</html>"), None);
        assert_eq!(
            StubStatus::read("Active connections: 1\nelse\n 1 1 1\n"),
            None
        );
    }

    #[test]
    fn served_bytes_are_those_of_all_whole_lines() {
        assert_eq!(sum_of_lines("100\n20\n\n-\n"), 120);
        assert_eq!(milliseconds("1763883241.007"), Some(1_763_883_241_007));
        assert_eq!(milliseconds("17638"), None);
    }

    #[test]
    fn the_configuration_stays_below_the_limit_of_files() {
        let text = |files| configuration(Path::new("/d"), Path::new("/w"), "/l", 1, files, None);
        assert!(text(1024).contains("worker_connections 960;"));
        assert!(text(1 << 20).contains("worker_connections 40000;"));
        assert!(!text(1024).contains("user "));
    }
}
