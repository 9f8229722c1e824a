//! What came out of the live stage during a soak, through everything that consumes it for long.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
    time::Instant,
};

use loadgen::clock::monotonic_ns;

use crate::{
    kernel::{Counters, Record},
    live::{Consumer, Effort, Look, Server},
    otlp::Otlp,
    serve::Feeder,
    top::Model,
};

/// The state of things at a look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// Milliseconds since the begin.
    pub at_ms: u64,
    /// Resident memory of this process.
    pub resident_bytes: u64,
    /// Tasks in the table.
    pub tasks: u32,
    /// Connections in the table.
    pub connections: u32,
}

/// Everything that was seen.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Servers that were watched, one after another.
    pub servers: u32,
    /// Requests.
    pub requests: u64,
    /// Tasks that ended.
    pub tasks_ended: u64,
    /// Failed calls, refused connections and the like.
    pub failures: u64,
    /// Scrapes of the metrics that were answered.
    pub scrapes: u64,
    /// Scrapes that were not.
    pub failed_scrapes: u64,
    /// Series of the last scrape.
    pub series: usize,
    /// Requests whose spans could not be sent, as nobody takes them.
    pub spans_not_sent: u64,
    /// Records lost, and tasks or connections for which there was no room, of all servers.
    pub lost: u64,
    /// One for each look.
    pub samples: Vec<Sample>,
    /// Thread ids of the tasks at the last look.
    pub tasks: BTreeSet<u32>,
    /// Connections that stand, at the last look.
    pub connections: u32,
    /// The books at the last look.
    pub counters: Counters,
    /// First process of the server that is watched now.
    pub watched: Option<u32>,
}

/// A consumer that counts, and passes on to those that watch for months.
pub(super) struct Tally<'a> {
    pub(super) seen: &'a Mutex<Seen>,
    pub(super) began: Instant,
    /// The metrics of `serve`.
    pub(super) feeder: Feeder,
    /// The last minute of `top`.
    pub(super) model: Model,
    /// An export to a collector that is not there, whose queue must not grow.
    pub(super) otlp: Otlp,
}

impl Tally<'_> {
    fn change(&self, change: impl FnOnce(&mut Seen)) {
        change(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Consumer for Tally<'_> {
    fn begin(&mut self, server: &Server) {
        self.otlp.begin(server);
        self.feeder.begin(server);
        self.model.begin(server, monotonic_ns());
        self.change(|seen| {
            seen.servers += 1;
            seen.watched = Some(server.process.pid);
        });
    }

    fn record(&mut self, record: &Record) {
        self.otlp.record(record);
        self.feeder.record(record);
        self.model.record(record, monotonic_ns());
        self.change(|seen| match record {
            Record::Request(_) => seen.requests += 1,
            Record::Task(_) => seen.tasks_ended += 1,
            Record::Failure(_) => seen.failures += 1,
            Record::Trace(_) => {}
        });
    }

    fn look(&mut self, look: &Look) {
        self.otlp.look(look);
        self.feeder.look(look);
        self.model.look(look);
        // As if somebody looked at it.
        let _ = self.model.picture(monotonic_ns());
        let [_, (_, dropped), (_, failed)] = self.otlp.counts().named();
        let at_ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.change(|seen| {
            seen.tasks = look.tasks.iter().map(|task| task.record.pid).collect();
            seen.connections = look.connections.open;
            seen.counters = look.counters.clone();
            seen.spans_not_sent = dropped + failed;
            seen.samples.push(Sample {
                at_ms,
                resident_bytes: look.effort.resident_bytes,
                tasks: look.tasks.len() as u32,
                connections: look.connections.open,
            });
        });
    }

    fn last(&mut self, counters: &Counters, effort: &Effort) {
        self.otlp.last(counters, effort);
        self.feeder.last(counters, effort);
        self.change(|seen| seen.counters = counters.clone());
    }

    fn end(&mut self) {
        self.otlp.end();
        self.feeder.end();
        self.model.end(monotonic_ns());
        self.change(|seen| {
            seen.lost += std::mem::take(&mut seen.counters).lost();
            seen.watched = None;
        });
    }
}
