//! What slots do that serve: mod_truth does a known thing within a request.

use std::{
    fs::File,
    io::Write,
    net::{SocketAddr, TcpStream},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use loadgen::clock::monotonic_ns;
use mpm_observer::{
    kernel::{Options, Watch},
    live::{self, Look, Server, SlotState, System, Target},
    scenario::Mpm,
};

use crate::{
    common::{
        Place,
        watched::{Seen, exchange},
    },
    module,
    watching::{DEADLINE, SLOTS, Stand, slots},
};

/// Where files lie on a disk: the temporary directory often lies in memory.
const ON_DISK: &str = "/var/tmp";
/// Pages of a file that a request reads past the page cache: 64 MiB, which is waiting for the disk
/// most of the time.
const PAGES: usize = 16_384;

/// Asks again and again, on one connection, until it is dropped.
struct Asking {
    client: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Asking {
    fn start(stand: &Stand, path: &str) -> Self {
        let mut stream = TcpStream::connect(stand.httpd().addr()).unwrap();
        let (client, path) = (stream.local_addr().unwrap(), path.to_owned());
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                exchange(&mut stream, &path, false);
            }
        });
        Self {
            client,
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let joined = self.thread.take().map(JoinHandle::join);
        if !thread::panicking() {
            joined.unwrap().unwrap();
        }
    }
}

fn file_on_disk(dir: &Path) -> String {
    let path = dir.join("large");
    let mut file = File::create(&path).unwrap();
    for _ in 0..PAGES {
        file.write_all(&[1; 4096]).unwrap();
    }
    file.sync_all().unwrap();
    path.display().to_string()
}

fn what_a_slot_does_while_it_serves_is_its_state(mpm: Mpm) {
    const NS: u64 = 500_000_000;
    let Some(place) = Place::new_in(Path::new(ON_DISK)) else {
        return;
    };
    let Some(module) = module::build(place.dir.path()) else {
        return;
    };
    let file = file_on_disk(place.dir.path());
    let lines = format!(
        "extra_directives = ['LoadModule truth_module \"{}\"', '<Location \"/truth\">', \
         'SetHandler truth', '</Location>']",
        module.display()
    );
    let Some((stand, kernel)) = Stand::start_in(place, mpm, &lines) else {
        return;
    };
    let server = live::choose(&Target::Pid(stand.httpd().pid()));
    let server = server.unwrap().unwrap();
    let options = Options::for_port(server.ports());
    let mut watch = live::attach(&kernel, &server, options).unwrap();
    let read = format!("read-direct&pages={PAGES}&file={file}");
    for (what, state) in [
        (format!("spin&ns={NS}"), SlotState::OnCpu),
        (format!("lock&ns={NS}"), SlotState::Lock),
        (format!("sleep&ns={NS}"), SlotState::Other),
        (read, SlotState::Disk),
    ] {
        let asking = Asking::start(&stand, &format!("/truth?do={what}"));
        let deadline = Instant::now() + DEADLINE;
        // Many looks: on a busy machine the task waits for a CPU most of the time.
        let look = loop {
            Seen::default().take(&mut watch);
            let look = look_at(&watch, &server);
            let of_client = look
                .tasks
                .iter()
                .filter(|task| task.client == Some(asking.client) && task.request_since_ns != 0);
            let states: Vec<Option<SlotState>> = of_client.map(|task| task.slot).collect();
            if states.contains(&Some(state)) {
                break look;
            }
            assert!(Instant::now() < deadline, "{what}: {states:?}");
            thread::sleep(Duration::from_millis(5));
        };
        if mpm == Mpm::Prefork {
            // The thread that holds the lock is the module's own.
            assert_eq!(slots(&look).len() as u32, SLOTS, "{what}");
        }
    }
    drop(watch);
    stand.stop();
}

fn look_at(watch: &Watch, server: &Server) -> Look {
    let tasks = watch.task_states().unwrap();
    let connections = watch.connections().unwrap();
    Look::with(monotonic_ns(), server, &tasks, &connections, &System)
}

#[test]
fn what_a_slot_of_prefork_does_while_it_serves_is_its_state() {
    what_a_slot_does_while_it_serves_is_its_state(Mpm::Prefork);
}

#[test]
fn what_a_slot_of_worker_does_while_it_serves_is_its_state() {
    what_a_slot_does_while_it_serves_is_its_state(Mpm::Worker);
}

#[test]
fn what_a_slot_of_event_does_while_it_serves_is_its_state() {
    what_a_slot_does_while_it_serves_is_its_state(Mpm::Event);
}
