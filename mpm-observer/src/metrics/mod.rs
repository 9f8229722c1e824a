//! The metrics stage: what the live stage tells, as figures for Prometheus.
//!
//! ```text
//! records, looks, mod_status ──> Metrics ──> Exposition ──> text (OpenMetrics, Prometheus)
//!                                 counts      figures of
//!                                             one moment
//! ```
//!
//! Everything here is pure: who calls reads the clock, the system and the network. One file for
//! each group of families; the tables of `docs/metrics.md` are those of [`GROUPS`].

mod connections;
mod counted;
mod failures;
mod family;
mod histogram;
mod limits;
mod observer;
mod requests;
mod slots;
mod status;
mod tasks;
mod text;

use std::collections::BTreeMap;

pub use family::{Exposition, Family, FamilySamples, Kind, Label, Sample, Value, label};
pub use status::{StatusOutcome, StatusPage};
pub use text::{Format, text};

use connections::Connections;
use failures::Failures;
use observer::Observer;
use requests::Requests;
use slots::Slots;
use status::Status;
use tasks::Tasks;

use crate::{
    kernel::{Counters, Ports, Record},
    live::{Effort, Look},
    resources::{LimitsLook, OwnProcess},
    scenario::Mpm,
};

/// All families, by the headings of the documentation.
pub static GROUPS: [(&str, &[&Family]); 8] = [
    ("Requests", requests::FAMILIES),
    ("Slots", slots::FAMILIES),
    ("Connections and the accept queue", connections::FAMILIES),
    ("Tasks", tasks::FAMILIES),
    ("Failures", failures::FAMILIES),
    ("Limits", limits::FAMILIES),
    ("The observer", observer::FAMILIES),
    (
        "mod_status, by the names of apache_exporter",
        status::FAMILIES,
    ),
];

/// What is counted of the server of the metrics themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScrapeFigures {
    /// How long the last answer took to make, nanoseconds.
    pub last_ns: Option<u64>,
    /// Answers by status code.
    pub answers: BTreeMap<u16, u64>,
    /// Connections closed because there were too many.
    pub too_many: u64,
    /// … because they were too slow.
    pub slow: u64,
    /// … because they did not speak TLS properly.
    pub no_tls: u64,
    /// … because what came is no request, or too long a one.
    pub malformed: u64,
}

/// All that is counted, over one server after another: counters go on growing.
#[derive(Debug, Default)]
pub struct Metrics {
    requests: Requests,
    slots: Slots,
    connections: Connections,
    tasks: Tasks,
    failures: Failures,
    limits: LimitsLook,
    status: Status,
    observer: Observer,
}

impl Metrics {
    /// The probes were attached to a server with this first process.
    pub fn begin(&mut self, mpm: Mpm, first_pid: u32, ports: Ports, now_ns: u64) {
        self.tasks.begin(mpm, first_pid);
        self.connections.begin();
        self.requests.begin(now_ns);
        self.observer.begin(mpm, ports, now_ns);
    }

    /// Counts a record.
    pub fn record(&mut self, record: &Record) {
        self.observer.count(record);
        match record {
            Record::Request(request) => {
                let role = self.tasks.role_of_reader(request.first_task);
                self.requests.count(request, role);
            }
            Record::Task(task) => self.tasks.count(task),
            Record::Failure(failure) => {
                self.failures.count(failure);
                self.connections.count(failure);
            }
            Record::Trace(_) => {}
        }
    }

    /// Counts a request that is the observer's own, such as one to mod_status: as received, and
    /// not as one of the server's.
    pub fn own_request(&mut self, record: &Record) {
        self.observer.count(record);
    }

    /// The server is that of a lab's run, by scenario and repetition, or none any more.
    pub fn lab_run(&mut self, run: Option<(&str, u32)>) {
        self.observer.lab_run(run);
    }

    /// What became of the spans that are exported, by outcome.
    pub const fn spans(&mut self, by_outcome: [(&'static str, u64); 3]) {
        self.observer.spans(by_outcome);
    }

    /// Takes a look.
    pub fn look(&mut self, look: &Look) {
        self.slots.look(look);
        self.connections.look(look);
        self.tasks.look(look);
        self.observer.look(look);
    }

    /// Takes a look at the limits.
    pub fn limits(&mut self, look: LimitsLook) {
        self.limits = look;
    }

    /// mod_status was asked, which took so long; `page` if it answered.
    pub fn status(&mut self, outcome: StatusOutcome, page: Option<StatusPage>, took_ns: u64) {
        self.status.asked(outcome, page, took_ns);
    }

    /// What the probes counted and took, after the last look.
    pub fn last(&mut self, counters: &Counters, effort: &Effort) {
        self.connections.counted(counters);
        self.observer.counted(counters, effort);
    }

    /// The server is gone.
    pub fn end(&mut self) {
        self.slots.end();
        self.connections.end();
        self.tasks.end();
        self.limits = LimitsLook::default();
        self.status.end();
        self.observer.end();
    }

    /// The figures of the moment `now_ns` (`CLOCK_MONOTONIC`), with those of the server of the
    /// metrics and of the observer's own process.
    #[must_use]
    pub fn exposition(
        &self,
        now_ns: u64,
        scrapes: &ScrapeFigures,
        own: Option<&OwnProcess>,
    ) -> Exposition {
        let mut to = Exposition::default();
        self.requests.write(&mut to);
        self.slots.write(&mut to);
        self.connections.write(&mut to);
        self.tasks.write(&mut to);
        self.failures.write(&mut to);
        limits::write(&self.limits, self.connections.queue_used(), &mut to);
        self.observer
            .write(now_ns, &self.status, scrapes, own, &mut to);
        self.status.write(&mut to);
        to
    }
}

#[cfg(test)]
mod tests;
