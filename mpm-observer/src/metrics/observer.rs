//! The observer itself: what it watches, what it lost, what it costs.

use std::collections::BTreeMap;

use super::{
    Exposition, Family, ScrapeFigures,
    counted::Counted,
    family::{as_f64, label, seconds},
    status::Status,
};
use crate::{
    kernel::{Counters, Ports, ProgramRuns, Record},
    live::{Effort, Look},
    resources::OwnProcess,
    scenario::Mpm,
};

const OWN: &str = "the observer";
const KERNEL: &str = "the kernel";
const COUNTERS: &str = "kernel counters";

static BUILD: Family = Family::gauge(
    "mpm_observer_build_info",
    "1 for the version",
    "the program",
)
.labels(&[label("version", "")]);
static WATCHED: Family = Family::gauge(
    "mpm_observer_server_watched",
    "1 while a server is watched, 0 while none runs",
    OWN,
);
static INFO: Family = Family::gauge(
    "mpm_observer_server_info",
    "1 for the MPM and the ports of the server while one is watched; absent otherwise",
    OWN,
)
.labels(&[
    label("mpm", "prefork, worker, event"),
    label("port", "all of them, as in `80 443`"),
]);
static LAB_RUN: Family = Family::gauge(
    "mpm_observer_lab_run_info",
    "1 for the run that mpm-observer lab makes at the moment; absent otherwise",
    OWN,
)
.labels(&[
    label("scenario", ""),
    label("mpm", "prefork, worker, event"),
    label("repetition", ""),
]);
static ATTACHED: Family = Family::gauge(
    "mpm_observer_attached_seconds",
    "Time since the probes were attached to the server; 0 while none is watched",
    OWN,
);
static SERVERS: Family = Family::counter(
    "mpm_observer_servers_watched_total",
    "How often the probes were attached to a server: to each that came, and again where its ports changed",
    OWN,
);
static RECEIVED: Family = Family::counter(
    "mpm_observer_records_received_total",
    "Records of the kernel's side that arrived",
    OWN,
)
.labels(&[label("kind", "request, task, failure")]);
static LOST: Family = Family::counter(
    "mpm_observer_events_lost_total",
    "What was lost: records that did not fit the buffer or could not be read, connections and tasks for which there was no room",
    COUNTERS,
)
.labels(&[label(
    "kind",
    "request, task, failure, unreadable, connection_unfollowed, task_unfollowed",
)]);
static SKIPPED: Family = Family::counter(
    "mpm_observer_program_runs_skipped_total",
    "Runs of eBPF programs that the kernel skipped because the same program ran on that CPU; most are not the server's",
    KERNEL,
);
static LAST_LOOK: Family = Family::gauge(
    "mpm_observer_last_look_seconds",
    "Age of the last look at the server; grows when the observer falls behind",
    OWN,
);
static RUNS: Family = Family::counter(
    "mpm_observer_program_runs_total",
    "Runs of each eBPF program, while the kernel counts them (--count-runs)",
    KERNEL,
)
.labels(&[label("program", "")]);
static RUN_SECONDS: Family = Family::counter(
    "mpm_observer_program_run_seconds_total",
    "Time of these runs",
    KERNEL,
)
.labels(&[label("program", "")]);
static KERNEL_MEMORY: Family = Family::gauge(
    "mpm_observer_kernel_memory_bytes",
    "Memory of the eBPF programs and their maps in the kernel; 0 while no server is watched",
    KERNEL,
);
static SCRAPE: Family = Family::gauge(
    "mpm_observer_scrape_duration_seconds",
    "How long the last answer to a scrape took to make",
    OWN,
);
static ANSWERS: Family = Family::counter(
    "mpm_observer_http_requests_total",
    "Answers of the HTTP server of these metrics",
    OWN,
)
.labels(&[label("code", "such as 200")]);
static REFUSED: Family = Family::counter(
    "mpm_observer_http_connections_refused_total",
    "Connections to it that were closed: too many at once, too slow, no proper TLS, or no proper request",
    OWN,
)
.labels(&[label("reason", "too_many, slow, tls, malformed")]);
static STATUS: Family = Family::counter(
    "mpm_observer_status_requests_total",
    "Questions to mod_status by outcome; timeout: no slot answered in time; unreachable: not asked, as the server's network cannot be entered",
    OWN,
)
.labels(&[label(
    "outcome",
    "answered, timeout, refused, unreadable, unreachable",
)]);
static STATUS_SECONDS: Family = Family::gauge(
    "mpm_observer_status_duration_seconds",
    "How long the last question to mod_status took",
    OWN,
);
static SPANS: Family = Family::counter(
    "mpm_observer_spans_total",
    "With --otlp: sampled requests by what became of their spans; dropped: the queue was full; failed: the collector could not be reached or refused them",
    OWN,
)
.labels(&[label("outcome", "exported, dropped, failed")]);
static CPU: Family = Family::counter(
    "process_cpu_seconds_total",
    "CPU time of the observer's process",
    "/proc/self/stat",
);
static RESIDENT: Family = Family::gauge(
    "process_resident_memory_bytes",
    "Resident memory of the observer's process",
    "/proc/self/stat",
);
static VIRTUAL: Family = Family::gauge(
    "process_virtual_memory_bytes",
    "Address space of the observer's process",
    "/proc/self/stat",
);
static OPEN_FDS: Family = Family::gauge(
    "process_open_fds",
    "Open files of the observer's process",
    "/proc/self/fd",
);
static MAX_FDS: Family = Family::gauge(
    "process_max_fds",
    "Limit of open files of the observer's process",
    "/proc/self/limits",
);
static START: Family = Family::gauge(
    "process_start_time_seconds",
    "When the observer's process was started, seconds since 1970",
    "/proc/self/stat",
);

/// The families, in the order of the documentation.
pub(super) static FAMILIES: &[&Family] = &[
    &BUILD,
    &WATCHED,
    &INFO,
    &LAB_RUN,
    &ATTACHED,
    &SERVERS,
    &RECEIVED,
    &LOST,
    &SKIPPED,
    &LAST_LOOK,
    &RUNS,
    &RUN_SECONDS,
    &KERNEL_MEMORY,
    &SCRAPE,
    &ANSWERS,
    &REFUSED,
    &STATUS,
    &STATUS_SECONDS,
    &SPANS,
    &CPU,
    &RESIDENT,
    &VIRTUAL,
    &OPEN_FDS,
    &MAX_FDS,
    &START,
];

const RECORDS: [&str; 3] = ["request", "task", "failure"];
const LOSSES: [&str; 6] = [
    "request",
    "task",
    "failure",
    "unreadable",
    "connection_unfollowed",
    "task_unfollowed",
];

/// The server that is watched.
#[derive(Debug)]
struct Watched {
    mpm: Mpm,
    ports: Ports,
    since_ns: u64,
}

/// What the observer knows of itself.
#[derive(Debug, Default)]
pub(super) struct Observer {
    watched: Option<Watched>,
    lab_run: Option<(String, u32)>,
    servers: u64,
    received: [u64; RECORDS.len()],
    lost: [Counted; LOSSES.len()],
    skipped: Counted,
    looked_ns: Option<u64>,
    /// By program: runs and nanoseconds.
    runs: BTreeMap<String, [Counted; 2]>,
    kernel_bytes: u64,
    /// By outcome, if an export runs.
    spans: Option<[(&'static str, u64); 3]>,
}

impl Observer {
    pub(super) fn begin(&mut self, mpm: Mpm, ports: Ports, now_ns: u64) {
        self.watched = Some(Watched {
            mpm,
            ports,
            since_ns: now_ns,
        });
        self.servers += 1;
        self.looked_ns = None;
        self.lost.iter_mut().for_each(Counted::restart);
        self.skipped.restart();
        let runs = self.runs.values_mut().flatten();
        runs.for_each(Counted::restart);
    }

    pub(super) fn end(&mut self) {
        self.watched = None;
        self.looked_ns = None;
        self.kernel_bytes = 0;
    }

    pub(super) fn lab_run(&mut self, run: Option<(&str, u32)>) {
        self.lab_run = run.map(|(scenario, repetition)| (scenario.to_owned(), repetition));
    }

    pub(super) const fn spans(&mut self, by_outcome: [(&'static str, u64); 3]) {
        self.spans = Some(by_outcome);
    }

    pub(super) fn count(&mut self, record: &Record) {
        match record {
            Record::Request(_) => self.received[0] += 1,
            Record::Task(_) => self.received[1] += 1,
            Record::Failure(_) => self.received[2] += 1,
            Record::Trace(_) => {}
        }
    }

    pub(super) fn look(&mut self, look: &Look) {
        self.looked_ns = Some(look.at_ns);
        self.kernel_bytes = look.effort.kernel_bytes;
        self.counted(&look.counters, &look.effort);
    }

    /// What the probes counted and took, at a look or after the last one.
    pub(super) fn counted(&mut self, counters: &Counters, effort: &Effort) {
        for (lost, value) in self.lost.iter_mut().zip(losses(counters)) {
            lost.update(value);
        }
        self.skipped.update(counters.skipped());
        for ProgramRuns {
            program,
            runs,
            time_ns,
            ..
        } in &effort.programs
        {
            if !self.runs.contains_key(program) {
                self.runs.insert(program.clone(), Default::default());
            }
            if let Some([counted_runs, counted_ns]) = self.runs.get_mut(program) {
                counted_runs.update(*runs);
                counted_ns.update(*time_ns);
            }
        }
    }

    pub(super) fn write(
        &self,
        now_ns: u64,
        status: &Status,
        scrapes: &ScrapeFigures,
        own: Option<&OwnProcess>,
        to: &mut Exposition,
    ) {
        let version = env!("CARGO_PKG_VERSION");
        to.labelled(&BUILD, [version.into()], 1);
        to.number(&WATCHED, u8::from(self.watched.is_some()));
        if let Some(watched) = &self.watched {
            let labels = [watched.mpm.name().into(), watched.ports.to_string().into()];
            to.labelled(&INFO, labels, 1);
        }
        if let (Some(watched), Some((scenario, repetition))) = (&self.watched, &self.lab_run) {
            let labels = [
                scenario.clone().into(),
                watched.mpm.name().into(),
                repetition.to_string().into(),
            ];
            to.labelled(&LAB_RUN, labels, 1);
        }
        let since = |from_ns: u64| seconds(now_ns.saturating_sub(from_ns));
        let attached = self.watched.as_ref().map_or(0.0, |of| since(of.since_ns));
        to.number(&ATTACHED, attached);
        to.count(&SERVERS, self.servers);
        for (kind, count) in RECORDS.iter().zip(self.received) {
            to.labelled(&RECEIVED, [(*kind).into()], as_f64(count));
        }
        for (kind, count) in LOSSES.iter().zip(self.lost) {
            to.labelled(&LOST, [(*kind).into()], as_f64(count.total()));
        }
        to.count(&SKIPPED, self.skipped.total());
        to.optional(&LAST_LOOK, self.looked_ns.map(since));
        let counted = || self.runs.iter().filter(|(_, [runs, _])| runs.total() > 0);
        for (program, [runs, _]) in counted() {
            to.labelled(&RUNS, [program.clone().into()], as_f64(runs.total()));
        }
        for (program, [_, time_ns]) in counted() {
            let time = seconds(time_ns.total());
            to.labelled(&RUN_SECONDS, [program.clone().into()], time);
        }
        to.count(&KERNEL_MEMORY, self.kernel_bytes);
        to.optional(&SCRAPE, scrapes.last_ns.map(seconds));
        for (code, count) in &scrapes.answers {
            to.labelled(&ANSWERS, [code.to_string().into()], as_f64(*count));
        }
        for (reason, count) in [
            ("too_many", scrapes.too_many),
            ("slow", scrapes.slow),
            ("tls", scrapes.no_tls),
            ("malformed", scrapes.malformed),
        ] {
            to.labelled(&REFUSED, [reason.into()], as_f64(count));
        }
        for (outcome, count) in status.outcomes() {
            to.labelled(&STATUS, [outcome.into()], as_f64(count));
        }
        to.optional(&STATUS_SECONDS, status.took_ns().map(seconds));
        for (outcome, count) in self.spans.into_iter().flatten() {
            to.labelled(&SPANS, [outcome.into()], as_f64(count));
        }
        if let Some(own) = own {
            to.number(&CPU, own.cpu_s);
            to.count(&RESIDENT, own.resident_bytes);
            to.count(&VIRTUAL, own.virtual_bytes);
            to.count(&OPEN_FDS, own.open_files);
            to.number(&MAX_FDS, own.open_files_limit.map_or(f64::INFINITY, as_f64));
            to.number(&START, own.started_unix_s);
        }
    }
}

/// In the order of [`LOSSES`].
fn losses(counters: &Counters) -> [u64; LOSSES.len()] {
    [
        counters.requests_lost(),
        counters.tasks_lost(),
        counters.failures_lost(),
        counters.unreadable,
        counters.conns_unfollowed,
        counters.tasks_unfollowed,
    ]
}

#[cfg(test)]
#[path = "observer_tests.rs"]
mod tests;
