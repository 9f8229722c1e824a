//! What slots do that serve: mod_truth does a known thing within a request.

use std::{
    collections::BTreeSet,
    fs::File,
    io::Write,
    net::{SocketAddr, TcpStream},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use mpm_observer::{live::SlotState, scenario::Mpm};

use crate::{
    common::{Place, watched::exchange},
    module,
    watching::{SLOTS, Stand, Watching, slots},
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
    const NS: u64 = 1_000_000_000;
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
    let watching = Watching::start(kernel, stand.httpd().pid());
    // A read of the disk is many short waits: of several that want it most wait at any time.
    let read = format!("read-direct&pages={PAGES}&file={file}");
    for (what, at_once, state) in [
        (format!("spin&ns={NS}"), 1, SlotState::OnCpu),
        (format!("lock&ns={NS}"), 1, SlotState::Lock),
        (format!("sleep&ns={NS}"), 1, SlotState::Other),
        (read, 4, SlotState::Disk),
    ] {
        let asking: Vec<Asking> = (0..at_once)
            .map(|_| Asking::start(&stand, &format!("/truth?do={what}")))
            .collect();
        let look = watching.wait_for(&what, |look| {
            let mut slots = slots(look).into_iter();
            slots.any(|task| task.slot == Some(state) && task.request_since_ns != 0)
        });
        let clients: BTreeSet<SocketAddr> = asking.iter().map(|asking| asking.client).collect();
        for task in slots(&look) {
            if task.slot == Some(state) {
                assert!(clients.contains(&task.client.unwrap()), "{what}: {task:?}");
            }
        }
        if mpm == Mpm::Prefork {
            // The thread that holds the lock is the module's.
            assert_eq!(slots(&look).len() as u32, SLOTS, "{what}");
        }
        drop(asking);
        // The connections are gone before the next thing begins.
        watching.wait_for_states(&[(SlotState::Idle, SLOTS)]);
    }
    drop(watching);
    stand.stop();
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
