//! What the threads of the service share.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use loadgen::clock::monotonic_ns;

use super::own_connections::OwnConnections;
use crate::{
    live::Server,
    metrics::{Exposition, Metrics, ScrapeFigures},
    otlp::SpanCounts,
    resources::own_process,
};

/// How soon the end, or a new server, is noticed.
const CHECK: Duration = Duration::from_millis(100);

/// The counts and who is watched.
#[derive(Debug, Default)]
pub(super) struct Shared {
    metrics: Mutex<Metrics>,
    scrapes: Mutex<ScrapeFigures>,
    server: Mutex<Option<Server>>,
    own_connections: Mutex<OwnConnections>,
    /// Of the export that runs beside, if one does.
    spans: OnceLock<Arc<SpanCounts>>,
    stop: AtomicBool,
}

/// The value even if another thread panicked with it: counts are whole between any two steps.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(super) fn metrics(&self) -> MutexGuard<'_, Metrics> {
        lock(&self.metrics)
    }

    pub(super) fn scrapes(&self) -> MutexGuard<'_, ScrapeFigures> {
        lock(&self.scrapes)
    }

    pub(super) fn own_connections(&self) -> MutexGuard<'_, OwnConnections> {
        lock(&self.own_connections)
    }

    pub(super) fn server(&self) -> Option<Server> {
        lock(&self.server).clone()
    }

    pub(super) fn set_server(&self, server: Option<Server>) {
        *lock(&self.server) = server;
    }

    /// The figures of now.
    pub(super) fn exposition(&self) -> Exposition {
        let own = own_process();
        let scrapes = self.scrapes().clone();
        let mut metrics = self.metrics();
        if let Some(spans) = self.spans.get() {
            metrics.spans(spans.named());
        }
        metrics.exposition(monotonic_ns(), &scrapes, own.as_ref())
    }

    /// Only the first export counts.
    pub(super) fn set_spans(&self, spans: Arc<SpanCounts>) {
        self.spans.get_or_init(|| spans);
    }

    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Does something every `interval`, and at once with a new server, until the end.
    pub(super) fn repeat(&self, interval: Duration, mut work: impl FnMut(Option<&Server>)) {
        let mut last = None;
        let mut due = Instant::now();
        while !self.is_stopping() {
            let server = self.server();
            if Instant::now() >= due || server != last {
                work(server.as_ref());
                due = Instant::now() + interval;
                last = server;
            }
            thread::sleep(CHECK);
        }
    }
}
