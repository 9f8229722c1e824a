//! Several workers and a coordinator.

#[path = "../common/mod.rs"]
mod common;
mod hostile;
mod namespaces;
mod processes;
mod runs;

use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use loadgen::cluster::{self, Fleet, FleetError, FleetRun, Key, Worker};
use loadgen::{Config, Progress, Row, RowWriter};

use common::{Memory, reconcile::reconcile};

/// A worker on a thread of this process.
struct Here {
    addr: SocketAddr,
    stop: Arc<AtomicBool>,
    said: Arc<Mutex<Vec<String>>>,
    serving: Option<JoinHandle<()>>,
}

impl Here {
    fn start(threads: u16) -> Self {
        Self::with_key(threads, None)
    }

    fn with_key(threads: u16, key: Option<Key>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let addr = listener.local_addr().expect("bound");
        let (stop, said) = <(Arc<AtomicBool>, Arc<Mutex<Vec<String>>>)>::default();
        let worker = Worker {
            threads,
            cpus: Vec::new(),
            key,
        };
        let serving = {
            let (stop, said) = (Arc::clone(&stop), Arc::clone(&said));
            std::thread::spawn(move || {
                let notice = |line: &str| said.lock().expect("not poisoned").push(line.to_owned());
                cluster::serve(&worker, &listener, &stop, &notice).expect("served");
            })
        };
        Self {
            addr,
            stop,
            said,
            serving: Some(serving),
        }
    }

    fn address(&self) -> String {
        self.addr.to_string()
    }

    /// Waits until a line with one of these texts is said.
    fn says(&self, texts: &[&str]) {
        let has_said = || {
            let said = self.said.lock().expect("not poisoned");
            said.iter()
                .any(|line| texts.iter().any(|text| line.contains(text)))
        };
        wait_until(has_said);
    }
}

impl Drop for Here {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(serving) = self.serving.take() {
            let served = serving.join();
            assert!(std::thread::panicking() || served.is_ok());
        }
    }
}

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(60);

/// Polls for what must come; a test that waits in vain fails.
fn wait_until(condition: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "it did not happen");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn fleet(addresses: &[String]) -> Fleet<'_> {
    Fleet {
        addresses,
        threads_each: None,
        key: None,
    }
}

fn addresses(workers: &[&Here]) -> Vec<String> {
    workers.iter().map(|worker| worker.address()).collect()
}

/// Runs to the end and checks what must hold of every complete run.
fn run(config: &Config, fleet: &Fleet<'_>) -> Result<(FleetRun, Vec<Row>), FleetError> {
    run_until(config, fleet, &AtomicBool::new(false))
}

fn run_until(
    config: &Config,
    fleet: &Fleet<'_>,
    stop: &AtomicBool,
) -> Result<(FleetRun, Vec<Row>), FleetError> {
    let memory = Memory::default();
    let sink = Box::new(RowWriter::new(memory.clone()));
    let progress = Progress::new();
    let run = cluster::run(config, fleet, Some(sink), &progress, stop, &|line| {
        panic!("nothing is to be said: {line}")
    })?;
    let rows = memory.rows();
    reconcile(config, &run.summary, &rows, &progress, None);
    assert!(run.report.is_complete());
    let of_workers: u64 = run.report.workers.iter().filter_map(|w| w.requests).sum();
    assert_eq!(of_workers, run.summary.requests);
    for worker in &run.report.workers {
        let own = worker.first_thread..worker.first_thread + worker.threads;
        let count = rows.iter().filter(|row| own.contains(&row.thread)).count();
        assert_eq!(count as u64, worker.rows);
        assert!(worker.clock.bound_ns <= run.report.clock_bound_ns);
        // All of them are on this machine, so there is but one clock.
        assert!(worker.clock.worker_ahead_ns.unsigned_abs() <= worker.clock.bound_ns);
    }
    Ok((run, rows))
}

/// The text of the error that keeps a run from beginning.
fn refused(config: &Config, fleet: &Fleet<'_>) -> String {
    match run(config, fleet) {
        Ok(_) => panic!("the run must not take place"),
        Err(error) => error.to_string(),
    }
}
