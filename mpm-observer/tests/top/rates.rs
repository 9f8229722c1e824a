//! Rates of windows of any length, against a client that counts.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use loadgen::{Arrivals, Config, Outcome, Pace, Profile, Progress, clock::monotonic_ns};
use mpm_observer::{
    kernel::{Options, Record},
    live::{self, Consumer, Look, Server, Target},
    scenario::Mpm,
    top::Model,
};

use crate::{
    common::{NEVER, wait_until},
    watching::Stand,
};

const SECOND_NS: u64 = 1_000_000_000;
const WINDOWS_NS: [u64; 5] = [
    SECOND_NS / 10,
    SECOND_NS,
    2 * SECOND_NS,
    3 * SECOND_NS,
    10 * SECOND_NS,
];

/// What a window showed at a look.
#[derive(Clone, Copy, Debug)]
struct Shown {
    looked_ns: u64,
    covered_ns: u64,
    picked_up: u64,
    per_s: f64,
}

/// Several windows on one server.
struct Windows {
    models: Vec<Model>,
    shown: Vec<Vec<Shown>>,
    is_watching: Arc<AtomicBool>,
}

impl Consumer for Windows {
    fn begin(&mut self, server: &Server) {
        for model in &mut self.models {
            model.begin(server, monotonic_ns());
        }
    }

    fn record(&mut self, record: &Record) {
        for model in &mut self.models {
            model.record(record, monotonic_ns());
        }
    }

    fn look(&mut self, look: &Look) {
        for (model, shown) in self.models.iter_mut().zip(&mut self.shown) {
            model.look(look);
            let picture = model.picture(monotonic_ns());
            shown.push(Shown {
                looked_ns: look.at_ns,
                covered_ns: picture.window.covered_ns,
                picked_up: picture.requests.picked_up,
                per_s: picture.requests.picked_up_per_s,
            });
        }
        self.is_watching.store(true, Ordering::SeqCst);
    }

    fn end(&mut self) {}
}

/// The requests that the rates of windows tell which lie end to end, from the first look to the
/// last one.
fn end_to_end(shown: &[Shown]) -> f64 {
    let mut sum = 0.0;
    let mut window = shown.last();
    while let Some(last) = window.filter(|last| last.covered_ns > 0) {
        let told = last.per_s * last.covered_ns as f64 / 1e9;
        assert!((told - last.picked_up as f64).abs() < 1e-6, "{last:?}");
        sum += told;
        let begin_ns = last.looked_ns - last.covered_ns;
        window = shown.iter().find(|before| before.looked_ns == begin_ns);
        assert!(window.is_some(), "no look at {begin_ns}: {last:?}");
    }
    sum
}

fn rates_of_windows_end_to_end_sum_to_the_clients_count(mpm: Mpm) {
    const REQUESTS: u64 = 900;
    let Some((stand, kernel)) = Stand::start(mpm, "") else {
        return;
    };
    let server = live::choose(&Target::Pid(stand.httpd().pid()));
    let server = server.unwrap().unwrap();
    let ports = server.ports();
    let watch = live::attach(&kernel, &server, Options::for_port(ports)).unwrap();
    let is_watching = Arc::new(AtomicBool::new(false));
    let mut windows = Windows {
        models: WINDOWS_NS.map(|ns| Model::new(Some(ns))).into(),
        shown: vec![Vec::new(); WINDOWS_NS.len()],
        is_watching: is_watching.clone(),
    };
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = stop.clone();
    let feed = thread::spawn(move || {
        live::feed(watch, &server, ports, &mut windows, &stopped).unwrap();
        windows.shown
    });
    wait_until("it is watched", || is_watching.load(Ordering::SeqCst));
    let mut config = Config::new(stand.target("/alive.txt"));
    config.requests = Some(REQUESTS);
    config.concurrency = 4;
    config.keep_alive = true;
    config.timeout = Duration::from_secs(60);
    config.pace = Pace::Open {
        arrivals: Arrivals::Constant,
        rate: Profile::constant(200.0),
    };
    let summary = loadgen::run(&config, None, &Progress::default(), &NEVER).unwrap();
    assert_eq!(summary.outcomes.get(Outcome::Ok), REQUESTS);
    // The feed looks a last time.
    stop.store(true, Ordering::SeqCst);
    for (shown, window_ns) in feed.join().unwrap().iter().zip(WINDOWS_NS) {
        let told = end_to_end(shown);
        assert!(
            (told - REQUESTS as f64).abs() < 1e-3,
            "a window of {window_ns} ns told {told} requests: {shown:#?}"
        );
    }
    stand.stop();
}

#[test]
fn rates_of_prefork_sum_to_the_clients_count() {
    rates_of_windows_end_to_end_sum_to_the_clients_count(Mpm::Prefork);
}

#[test]
fn rates_of_worker_sum_to_the_clients_count() {
    rates_of_windows_end_to_end_sum_to_the_clients_count(Mpm::Worker);
}

#[test]
fn rates_of_event_sum_to_the_clients_count() {
    rates_of_windows_end_to_end_sum_to_the_clients_count(Mpm::Event);
}
