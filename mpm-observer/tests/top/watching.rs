//! An httpd of ten slots, and looks at it.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use loadgen::{
    Target,
    hold::{self, Holder, Kind},
};
use mpm_observer::{
    httpd::{Httpd, RuntimeDir},
    kernel::{Kernel, Options, Record},
    live::{self, Consumer, Look, Server, SlotState, TaskLook},
    scenario::{Mpm, RunPlan, Scenario, Size},
};

use crate::common::{GRACE, NEVER, Place, watched::kernel};

/// After this time something is missing.
pub const DEADLINE: Duration = Duration::from_secs(60);
pub const SLOTS: u32 = 10;
pub const HALF_HEAD: Kind = Kind::HalfHeader {
    // Longer than any test.
    every: Duration::from_secs(600),
};

/// A running httpd whose clients are waited for as long as a test takes.
pub struct Stand {
    httpd: Option<Httpd>,
    runtime: RuntimeDir,
    _place: Place,
}

fn plan(mpm: Mpm, lines: &str) -> RunPlan {
    let text = format!(
        "name = \"held\"\ntitle = \"Held\"\nwhat = \"A test.\"\n\
         [size]\nfull = {{ requests = 10, concurrency = 1 }}\n\
         quick = {{ requests = 10, concurrency = 1 }}\n\
         [server]\nmax_request_workers = {SLOTS}\nkeep_alive_timeout_s = 600\n\
         timeout_s = 600\n{lines}\nworker.threads_per_child = 5\nevent.threads_per_child = 5\n"
    );
    Scenario::parse("held.toml", &text)
        .unwrap()
        .plan(mpm, Size::Quick)
}

impl Stand {
    /// `None` where there is no httpd, or no kernel to watch it with.
    pub fn start(mpm: Mpm, lines: &str) -> Option<(Self, Kernel)> {
        Self::start_in(Place::new()?, mpm, lines)
    }

    /// The same in a place.
    pub fn start_in(place: Place, mpm: Mpm, lines: &str) -> Option<(Self, Kernel)> {
        let kernel = kernel()?;
        let runtime = RuntimeDir::create_in(&place.base()).unwrap();
        let (httpd, _) = place.start(&runtime, &plan(mpm, lines));
        let stand = Self {
            httpd: Some(httpd),
            runtime,
            _place: place,
        };
        Some((stand, kernel))
    }

    pub fn httpd(&self) -> &Httpd {
        self.httpd.as_ref().unwrap()
    }

    pub fn target(&self, path: &str) -> Target {
        Target::parse(&format!("http://{}{path}", self.httpd().addr())).unwrap()
    }

    /// The path of a file of so many bytes.
    pub fn body(&self, bytes: u64) -> String {
        self.runtime.body(bytes).unwrap()
    }

    /// Slow clients, all in their state.
    pub fn hold(&self, kind: Kind, connections: u32, path: &str) -> Holder {
        let config = hold::Config {
            target: self.target(path),
            connections,
            kind,
        };
        let holder = Holder::start(&config).unwrap();
        holder.settle(DEADLINE, &NEVER, |_| {});
        assert_eq!(holder.held(), connections, "not all are held");
        holder
    }

    /// Ends httpd.
    pub fn stop(mut self) {
        let stopped = self.httpd.take().unwrap().stop(GRACE).unwrap();
        assert_eq!(stopped.left, Vec::<u32>::new());
    }
}

#[derive(Default)]
struct Seen {
    last: Option<Look>,
    count: u64,
}

struct Keeper(Arc<Mutex<Seen>>);

impl Consumer for Keeper {
    fn begin(&mut self, _: &Server) {}
    fn record(&mut self, _: &Record) {}
    fn look(&mut self, look: &Look) {
        let mut seen = self.0.lock().unwrap();
        seen.last = Some(look.clone());
        seen.count += 1;
    }
    fn end(&mut self) {}
}

/// Looks at an httpd as long as it is there.
pub struct Watching {
    seen: Arc<Mutex<Seen>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watching {
    pub fn start(kernel: Kernel, pid: u32) -> Self {
        let server = live::choose(&live::Target::Pid(pid)).unwrap().unwrap();
        let port = server.port().unwrap();
        let watch = live::attach(&kernel, &server, Options::for_port(port)).unwrap();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let stop = Arc::new(AtomicBool::new(false));
        let (mut keeper, stopped) = (Keeper(seen.clone()), stop.clone());
        let thread = thread::spawn(move || {
            live::feed(watch, &server, port, &mut keeper, &stopped).unwrap();
        });
        Self {
            seen,
            stop,
            thread: Some(thread),
        }
    }

    /// Waits for a look that began after this was called and is as it should be.
    pub fn wait_for(&self, what: &str, holds: impl Fn(&Look) -> bool) -> Look {
        let until = Instant::now() + DEADLINE;
        let begin = self.seen.lock().unwrap().count;
        loop {
            let look = {
                let seen = self.seen.lock().unwrap();
                // The one that was under way may have begun before.
                seen.last.clone().filter(|_| seen.count >= begin + 2)
            };
            if let Some(look) = look.as_ref().filter(|look| holds(look)) {
                return look.clone();
            }
            if Instant::now() >= until {
                let slots: Vec<_> = look.iter().flat_map(|look| slots(look)).collect();
                let connections = look.as_ref().map(|look| look.connections);
                panic!("waited in vain for {what}: {connections:?} {slots:#?}");
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits for a look that shows exactly these states.
    pub fn wait_for_states(&self, states: &[(SlotState, u32)]) -> Look {
        let expected: BTreeMap<SlotState, u32> = states.iter().copied().collect();
        self.wait_for(&format!("{expected:?}"), |look| counts(look) == expected)
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let joined = self.thread.take().map(JoinHandle::join);
        if !thread::panicking() {
            joined.unwrap().unwrap();
        }
    }
}

/// The slots of a look.
pub fn slots(look: &Look) -> Vec<&TaskLook> {
    look.tasks
        .iter()
        .filter(|task| task.slot.is_some())
        .collect()
}

/// How many slots are in each state that occurs.
pub fn counts(look: &Look) -> BTreeMap<SlotState, u32> {
    let mut counts = BTreeMap::new();
    for state in look.tasks.iter().filter_map(|task| task.slot) {
        *counts.entry(state).or_insert(0) += 1;
    }
    counts
}
