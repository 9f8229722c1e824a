//! The figures that collectors get: a small set of those that Prometheus gets, by names that
//! become the same ones when a collector passes them on to Prometheus.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use mpm_observer_common::{FailureRecord, FailureSource, RequestFlags, RequestRecord};
use opentelemetry::{
    KeyValue,
    metrics::{Counter, Gauge, Histogram, Meter},
};

use super::{SpanCounts, span::Outcome};
use crate::{
    correlate::{Phases, SERVER_PHASES},
    findings::errno_name,
    kernel::{Counters, call_name},
    live::{Effort, Look, QueueLook, SlotState},
};

/// Bounds of times, seconds.
const TIMES_S: [f64; 20] = [
    0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025,
    0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
];

/// The instruments. Recording takes no lock that sending holds for long.
#[derive(Debug)]
pub(super) struct Metrics {
    duration: Histogram<f64>,
    phases: Histogram<f64>,
    phase_names: [[KeyValue; 1]; SERVER_PHASES.len()],
    requests: Counter<u64>,
    failures: Counter<u64>,
    slots: Gauge<u64>,
    queue_length: Gauge<u64>,
    queue_limit: Gauge<u64>,
    /// Those whose accept queues were told: a collector has the last value of each until the next.
    ports: BTreeSet<u16>,
    connections: Gauge<u64>,
    watched: Gauge<u64>,
    lost: Counter<u64>,
    cpu: Counter<f64>,
    memory: Gauge<u64>,
    kernel_memory: Gauge<u64>,
    /// What was lost at the last look, and the CPU time then.
    last_lost: u64,
    last_cpu_ns: u64,
}

impl Metrics {
    pub(super) fn new(meter: &Meter, spans: Arc<SpanCounts>) -> Self {
        let histogram = |name: &'static str, description: &'static str| {
            meter
                .f64_histogram(name)
                .with_unit("s")
                .with_description(description)
                .with_boundaries(TIMES_S.to_vec())
                .build()
        };
        let counter = |name: &'static str, unit: &'static str, description: &'static str| {
            meter
                .u64_counter(name)
                .with_unit(unit)
                .with_description(description)
                .build()
        };
        let gauge = |name: &'static str, unit: &'static str, description: &'static str| {
            meter
                .u64_gauge(name)
                .with_unit(unit)
                .with_description(description)
                .build()
        };
        meter
            .u64_observable_counter("mpm_observer.spans")
            .with_unit("{request}")
            .with_description("Sampled requests by what became of their spans")
            .with_callback(move |observer| {
                for (outcome, count) in spans.named() {
                    observer.observe(count, &[KeyValue::new("outcome", outcome)]);
                }
            })
            .build();
        Self {
            duration: histogram(
                "httpd.request.duration",
                "From the arrival of a request's first bytes to the last send of its answer",
            ),
            phases: histogram(
                "httpd.request.phase",
                "Time of the answered requests that had this phase in it",
            ),
            phase_names: SERVER_PHASES.map(|(_, name)| [KeyValue::new("phase", name)]),
            requests: counter("httpd.requests", "{request}", "Requests that ended"),
            failures: counter(
                "httpd.failures",
                "{failure}",
                "Failed system calls, refused connections, kills and fatal signals",
            ),
            slots: gauge("httpd.slots", "{slot}", "Slots by what they do"),
            queue_length: gauge(
                "httpd.accept_queue.length",
                "{connection}",
                "Connections in the accept queue",
            ),
            queue_limit: gauge(
                "httpd.accept_queue.limit",
                "{connection}",
                "How many the accept queue takes",
            ),
            ports: BTreeSet::new(),
            connections: gauge(
                "httpd.connections.open",
                "{connection}",
                "Connections that stand and are followed",
            ),
            watched: gauge(
                "mpm_observer.server_watched",
                "{server}",
                "1 while a server is watched, 0 while none runs",
            ),
            lost: counter(
                "mpm_observer.events_lost",
                "{event}",
                "Records, tasks and connections that were lost on the way",
            ),
            cpu: meter
                .f64_counter("mpm_observer.cpu")
                .with_unit("s")
                .with_description("CPU time of the observer's process")
                .build(),
            memory: gauge(
                "mpm_observer.memory",
                "By",
                "Resident memory of the observer's process",
            ),
            kernel_memory: gauge(
                "mpm_observer.kernel_memory",
                "By",
                "Memory of the eBPF programs and their maps in the kernel",
            ),
            last_lost: 0,
            last_cpu_ns: 0,
        }
    }

    /// A server is watched from now on.
    pub(super) fn begin(&mut self) {
        self.last_lost = 0;
        self.watched.record(1, &[]);
    }

    /// Times of a request count only if all of them are known.
    pub(super) fn request(&self, request: &RequestRecord, phases: &Phases) {
        let outcome = Outcome::of(request);
        self.requests
            .add(1, &[KeyValue::new("outcome", outcome.name())]);
        if outcome != Outcome::Answered || !is_measured(request) {
            return;
        }
        self.duration.record(seconds(phases.wall_ns), &[]);
        for ((phase, _), name) in SERVER_PHASES.iter().zip(&self.phase_names) {
            let length_ns = phases.get(*phase);
            if length_ns > 0 {
                self.phases.record(seconds(length_ns), name);
            }
        }
    }

    pub(super) fn failure(&self, failure: &FailureRecord) {
        let Some(source) = FailureSource::from_word(failure.source) else {
            return;
        };
        let mut attributes = vec![KeyValue::new("kind", kind_of(source))];
        if source == FailureSource::Call {
            attributes.push(KeyValue::new("call", call_name(failure.call)));
            attributes.push(KeyValue::new("error.type", errno_name(failure.errno)));
        }
        self.failures.add(1, &attributes);
    }

    pub(super) fn look(&mut self, look: &Look) {
        let mut slots: HashMap<SlotState, u64> = HashMap::new();
        for state in look.tasks.iter().filter_map(|task| task.slot) {
            *slots.entry(state).or_default() += 1;
        }
        self.record_slots(&slots);
        self.record_queues(&look.queues);
        self.connections.record(look.connections.open.into(), &[]);
        self.counted(&look.counters, &look.effort);
        self.memory.record(look.effort.resident_bytes, &[]);
        self.kernel_memory.record(look.effort.kernel_bytes, &[]);
    }

    /// What the probes counted and took, at a look or after the last one.
    pub(super) fn counted(&mut self, counters: &Counters, effort: &Effort) {
        let lost = counters.lost();
        self.lost.add(lost.saturating_sub(self.last_lost), &[]);
        self.last_lost = lost;
        let cpu_ns = effort.cpu_ns;
        self.cpu
            .add(seconds(cpu_ns.saturating_sub(self.last_cpu_ns)), &[]);
        self.last_cpu_ns = cpu_ns;
    }

    /// The server is gone: nothing of it is left, and gauges would say so of the past for ever.
    pub(super) fn end(&mut self) {
        self.record_slots(&HashMap::new());
        self.record_queues(&[]);
        self.connections.record(0, &[]);
        self.watched.record(0, &[]);
    }

    /// Of a port whose queue is not there any more nothing waits, and nothing can.
    fn record_queues(&mut self, queues: &[QueueLook]) {
        self.ports.extend(queues.iter().map(|queue| queue.port));
        for port in &self.ports {
            let label = [KeyValue::new("port", port.to_string())];
            let queue = queues.iter().find(|queue| queue.port == *port);
            let length = queue.map_or(0, |queue| queue.length);
            self.queue_length.record(length.into(), &label);
            let limit = queue.map_or(0, |queue| queue.limit);
            // 0 of a queue that is there: not known.
            if limit > 0 || queue.is_none() {
                self.queue_limit.record(limit.into(), &label);
            }
        }
    }

    fn record_slots(&self, slots: &HashMap<SlotState, u64>) {
        for state in SlotState::ALL {
            let count = slots.get(&state).copied().unwrap_or(0);
            self.slots
                .record(count, &[KeyValue::new("state", state.name())]);
        }
    }
}

/// Whether all times of a request are known.
pub(super) const fn is_measured(request: &RequestRecord) -> bool {
    request.flags & (RequestFlags::AFTER_LOSS | RequestFlags::NO_ARRIVAL) == 0
}

const fn kind_of(source: FailureSource) -> &'static str {
    match source {
        FailureSource::Call => "call",
        FailureSource::OomKill => "oom_kill",
        FailureSource::Signal => "signal",
        FailureSource::QueueFull => "accept_queue_full",
        FailureSource::SynRefused => "connection_refused",
        FailureSource::Reset => "reset",
    }
}

fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

#[cfg(test)]
#[path = "metrics_tests.rs"]
mod tests;
