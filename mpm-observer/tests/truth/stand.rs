//! A watched httpd with mod_truth on a CPU of its own, and looks at what its tasks are doing.

use std::{
    cell::Cell,
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use mpm_observer::{
    correlate::{Phases, join, phases},
    kernel::Options,
    recording::{ClientRow, KernelRow},
    scenario::{Mpm, RunPlan},
};
use nix::{
    libc::{self, c_long},
    sys::signal::Signal,
};

use crate::{
    client::Client,
    common::{
        Place, have, small,
        watched::{Seen, Watched},
    },
    hog::Pinned,
    module,
};

/// What is measured here would be disturbed by another test beside it.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Where files lie on a disk: the temporary directory often lies in memory.
const ON_DISK: &str = "/var/tmp";

pub struct Stand {
    pub mpm: Mpm,
    /// The CPU of httpd.
    pub cpu: usize,
    /// A directory that httpd's user can read.
    pub dir: PathBuf,
    watched: Watched,
    _pinned: Pinned,
    _turn: MutexGuard<'static, ()>,
}

/// A request from both sides.
#[derive(Debug)]
pub struct Joined {
    pub phases: Phases,
    pub kernel: KernelRow,
}

impl Stand {
    pub fn start(mpm: Mpm) -> Option<Self> {
        Self::start_as(mpm, |_| {})
    }

    /// With a changed plan.
    pub fn start_as(mpm: Mpm, change: impl FnOnce(&mut RunPlan)) -> Option<Self> {
        let turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let pinned = Pinned::beside_another();
        if !have("a second CPU", pinned.is_some()) {
            return None;
        }
        let (pinned, cpu) = pinned?;
        let place = Place::new_in(Path::new(ON_DISK))?;
        let dir = place.dir.path().to_owned();
        let module = module::build(&dir)?;
        let mut plan = small(mpm, "warm", "");
        plan.server.extra_directives = vec![
            format!("LoadModule truth_module \"{}\"", module.display()),
            "<Location \"/truth\">".into(),
            "SetHandler truth".into(),
            "</Location>".into(),
        ];
        change(&mut plan);
        let watched = Watched::start_as(place, &plan, &[cpu], Options::for_port)?;
        Some(Self {
            mpm,
            cpu,
            dir,
            watched,
            _pinned: pinned,
            _turn: turn,
        })
    }

    /// A kept connection to a process that has served already, and that process.
    pub fn connect(&self) -> (Client, u32) {
        self.warm(Client::connect(self.watched.addr))
    }

    /// The same with a receive buffer of that size.
    pub fn connect_with_buffer(&self, bytes: usize) -> (Client, u32) {
        self.warm(Client::connect_with_buffer(self.watched.addr, bytes))
    }

    /// A connection of which nothing is known yet.
    pub fn connect_anew(&self) -> Client {
        Client::connect(self.watched.addr)
    }

    /// Event changes threads, so more than one request is needed.
    fn warm(&self, mut client: Client) -> (Client, u32) {
        let pids: Vec<u64> = (0..10)
            .map(|_| client.get("/truth?do=touch&pages=1").told("Pid"))
            .collect();
        (client, pids[0].try_into().unwrap())
    }

    /// How many of httpd's tasks are doing mod_truth's thing.
    pub fn busy(&self) -> usize {
        let tasks = self.watched.httpd().tasks().unwrap();
        tasks
            .iter()
            .filter(|task| is_busy(&format!("/proc/{}/task/{}", task.pid, task.tid)))
            .count()
    }

    /// Ends httpd, joins the client's rows with the kernel's, and returns both of each in the
    /// order of `rows`.
    pub fn finish(self, rows: &[ClientRow]) -> Vec<Joined> {
        let mut seen = Seen::default();
        let own_ports = self.watched.own_ports.clone();
        let counters = self.watched.finish(&mut seen);
        assert!(counters.balanced() && counters.lost() == 0, "{counters:?}");
        let kernel: Vec<KernelRow> = seen.requests.iter().map(KernelRow::from).collect();
        let joined = join(rows, &kernel, &own_ports, (0, u64::MAX), 0);
        assert_eq!(joined.missing, [].into());
        let by_client: HashMap<usize, usize> = joined
            .pairs
            .iter()
            .map(|pair| (pair.client, pair.kernel))
            .collect();
        let of_row = |(index, row)| {
            let kernel = kernel[by_client[&index]].clone();
            assert!(kernel.is_whole(), "{kernel:?}");
            Joined {
                phases: phases(row, &kernel),
                kernel,
            }
        };
        rows.iter().enumerate().map(of_row).collect()
    }
}

/// Whether the task whose directory in /proc this is does mod_truth's thing.
fn is_busy(task: &str) -> bool {
    fs::read_to_string(format!("{task}/comm")).is_ok_and(|name| name == "truth\n")
}

/// A task of a process.
#[derive(Clone, Copy)]
pub struct Task {
    pub pid: u32,
    pub tid: u32,
}

impl Task {
    /// What the kernel says in that file of the task.
    pub fn read(self, name: &str) -> String {
        let path = format!("/proc/{}/task/{}/{name}", self.pid, self.tid);
        fs::read_to_string(path).unwrap()
    }
}

/// Waits until a task of the process does mod_truth's thing, and in this system call, if any.
/// `None`: the client has been answered before that was seen.
pub fn until_busy(pid: u32, call: Option<c_long>, client: &Client) -> Option<Task> {
    let found = Cell::new(None);
    let in_call = |task: &str| {
        let call = call.map(|number| format!("{number} "));
        let now = || fs::read_to_string(format!("{task}/syscall")).unwrap_or_default();
        call.is_none_or(|call| now().starts_with(&call))
    };
    until("a request is in its midst", || {
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
        for entry in tasks.flatten() {
            let task = entry.path().display().to_string();
            if is_busy(&task) && in_call(&task) {
                let tid = entry.file_name().to_string_lossy().parse().unwrap();
                found.set(Some(Task { pid, tid }));
            }
        }
        found.get().is_some() || client.is_readable()
    });
    found.get()
}

/// Without sleeping: what is waited for lasts only some milliseconds.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
    }
}

/// Sends a signal to that very task: another one of its process would need a CPU to take it.
pub fn signal(task: Task, signal: Signal) {
    // SAFETY: numbers alone.
    let result = unsafe { libc::syscall(libc::SYS_tgkill, task.pid, task.tid, signal as i32) };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
}
