//! This test program as an observer of its own: the live stage, which tells each step in a line.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    time::{Duration, Instant},
};

use mpm_observer::{
    kernel::{Kernel, Options, Ports, Record},
    lab::Interrupt,
    live::{self, Consumer, LiveError, Look, Server},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// The variable that names the directory of the servers that are followed.
const FOLLOWED: &str = "MPM_OBSERVER_FOLLOWED";
/// How the lines begin, among those of the test harness.
const MARK: &str = "observer: ";
const DEADLINE: Duration = Duration::from_secs(60);

/// A step of an observer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    Waiting,
    Begin(u32),
    /// A server is there, and no port of it is known.
    NoPort,
    /// The ports of the server that was begun with, ascending.
    Ports(Vec<u16>),
    /// Thread ids of the tasks, ascending.
    Tasks(Vec<u32>),
    /// Requests seen of this server.
    Requests(u64),
    /// The server's port to which the last of them came.
    Port(u16),
    End,
}

#[test]
#[ignore = "other tests run this as a process of its own"]
fn observer() {
    let Some(dir) = std::env::var_os(FOLLOWED) else {
        return;
    };
    let interrupt = Interrupt::on_signals().unwrap();
    let kernel = Kernel::read().unwrap();
    live::follow(
        &kernel,
        || server_of(Path::new(&dir)),
        Options::for_port,
        &mut Teller::default(),
        interrupt.flag(),
    )
    .unwrap();
}

/// The server whose configuration lies in a directory: several tests run servers at once.
fn server_of(dir: &Path) -> Result<Option<(Server, Ports)>, LiveError> {
    let found = live::servers().unwrap().into_iter().find(|server| {
        let command = std::fs::read(format!("/proc/{}/cmdline", server.process.pid));
        let dir = dir.to_str().unwrap();
        command.is_ok_and(|line| String::from_utf8_lossy(&line).contains(dir))
    });
    let Some(server) = found else {
        return Ok(None);
    };
    let (pid, ports) = (server.process.pid, server.ports());
    if ports.is_empty() {
        tell("noport");
        return Err(LiveError::NoPort { pid });
    }
    Ok(Some((server, ports)))
}

#[derive(Default)]
struct Teller {
    requests: u64,
}

impl Consumer for Teller {
    fn begin(&mut self, server: &Server) {
        self.requests = 0;
        tell(&format!("begin {}", server.process.pid));
        tell(&format!("ports {}", server.ports()));
    }
    fn record(&mut self, record: &Record) {
        if let Record::Request(request) = record {
            self.requests += 1;
            tell(&format!("requests {}", self.requests));
            tell(&format!("port {}", request.local_port));
        }
    }
    fn look(&mut self, look: &Look) {
        let mut tasks: Vec<u32> = look.tasks.iter().map(|task| task.record.pid).collect();
        tasks.sort_unstable();
        let tasks: Vec<String> = tasks.iter().map(u32::to_string).collect();
        tell(&format!("tasks {}", tasks.join(" ")));
    }
    fn end(&mut self) {
        tell("end");
    }
    fn waiting(&mut self) {
        tell("waiting");
    }
}

fn tell(text: &str) {
    let mut out = std::io::stdout();
    // A test that has ended does not listen any more.
    let _ = writeln!(out, "\n{MARK}{text}").and_then(|()| out.flush());
}

/// A running observer.
pub struct Observer {
    child: Child,
    steps: Receiver<Step>,
}

impl Observer {
    /// One that follows the servers whose configuration lies in `dir`.
    pub fn start(dir: &Path) -> Self {
        let this = std::env::current_exe().unwrap();
        Self::start_by(Command::new(this), dir)
    }

    /// The same, by a command that ends in this test program's name.
    pub fn start_by(mut command: Command, dir: &Path) -> Self {
        let mut child = command
            .args(["--ignored", "--exact", "observer::observer", "--nocapture"])
            .env(FOLLOWED, dir)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (sender, steps) = channel();
        std::thread::spawn(move || {
            let steps = lines
                .map_while(Result::ok)
                .filter_map(|line| step(line.strip_prefix(MARK)?));
            for step in steps {
                if sender.send(step).is_err() {
                    return;
                }
            }
        });
        Self { child, steps }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for a step that is wanted, past all others; returns it.
    pub fn wait_for(&self, what: &str, is_wanted: impl Fn(&Step) -> bool) -> Step {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let step = self
                .steps
                .recv_timeout(left)
                .unwrap_or_else(|error| panic!("waited in vain for {what}: {error}"));
            if is_wanted(&step) {
                return step;
            }
        }
    }

    /// Waits until it ends by itself; returns its exit code.
    pub fn wait_for_end(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }

    /// Ends it with a signal; returns its exit code, `None` if the signal killed it.
    pub fn end(&mut self, signal: Signal) -> Option<i32> {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).unwrap();
        self.child.wait().unwrap().code()
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        // Only after a failure is it still there.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn step(text: &str) -> Option<Step> {
    let mut words = text.split_whitespace();
    let kind = words.next()?;
    let mut numbers = words.map(|word| word.parse::<u64>().unwrap());
    Some(match kind {
        "waiting" => Step::Waiting,
        "noport" => Step::NoPort,
        "begin" => Step::Begin(numbers.next()?.try_into().unwrap()),
        "ports" => Step::Ports(numbers.map(|port| port.try_into().unwrap()).collect()),
        "port" => Step::Port(numbers.next()?.try_into().unwrap()),
        "tasks" => Step::Tasks(numbers.map(|tid| tid.try_into().unwrap()).collect()),
        "requests" => Step::Requests(numbers.next()?),
        "end" => Step::End,
        _ => return None,
    })
}
