//! What a request's record tells.

use mpm_observer_common::{RequestFlags, RequestRecord};

use super::{
    Exposition, Family,
    family::{as_f64, label},
    histogram::{Histogram, PHASES, RECEIVED, SENT, TIMES},
};
use crate::{
    correlate::{Phase, SERVER_PHASES, server_phases},
    httpd::Role,
    recording::KernelRow,
};

const SOURCE: &str = "request records";

static REQUESTS: Family = Family::counter(
    "httpd_requests_total",
    "Requests that ended: answered, read and not answered, or never read",
    SOURCE,
)
.labels(&[label("outcome", "answered, unanswered, unread")]);
static DURATION: Family = Family::histogram(
    "httpd_request_duration_seconds",
    "From the arrival of a request's first bytes to the last send of its answer",
    SOURCE,
);
static SLOT_WAIT: Family = Family::histogram(
    "httpd_request_slot_wait_seconds",
    "From arrival and accept until a task reads the request",
    SOURCE,
);
static SERVICE: Family = Family::histogram(
    "httpd_request_service_seconds",
    "From the first read of a request to the last send of its answer",
    SOURCE,
);
static PHASE: Family = Family::histogram(
    "httpd_request_phase_seconds",
    "Time of an answered request in one phase of the server's part; the phases of a request sum to its duration",
    SOURCE,
)
.labels(&[label("phase", ""), label("role", "")]);
static QUEUE_WAIT: Family = Family::histogram(
    "httpd_accept_queue_wait_seconds",
    "Time of a connection in the accept queue, of those that sent something",
    SOURCE,
);
static RECEIVED_BYTES: Family = Family::histogram(
    "httpd_request_received_bytes",
    "Bytes that the server read of a request",
    SOURCE,
);
static SENT_BYTES: Family = Family::histogram(
    "httpd_request_sent_bytes",
    "Bytes of an answer that the server handed to the kernel",
    SOURCE,
);
static SWITCHES: Family = Family::counter(
    "httpd_request_context_switches_total",
    "Context switches of the serving tasks while they served",
    SOURCE,
)
.labels(&[label("kind", "voluntary, involuntary")]);
static FAULTS: Family = Family::counter(
    "httpd_request_page_faults_total",
    "Page faults of the serving tasks while they served; major ones wait for a device",
    SOURCE,
)
.labels(&[label("kind", "minor, major")]);
static HANDOVERS: Family = Family::counter(
    "httpd_request_handovers_total",
    "How often another task took a request over",
    SOURCE,
);
static UNMEASURED: Family = Family::counter(
    "httpd_requests_unmeasured_total",
    "Answered requests that are in no histogram of times, because a record before was lost or their arrival was not seen",
    SOURCE,
)
.labels(&[label("reason", "after_loss, no_arrival")]);

/// The families, in the order of the documentation.
pub(super) static FAMILIES: &[&Family] = &[
    &REQUESTS,
    &DURATION,
    &SLOT_WAIT,
    &SERVICE,
    &PHASE,
    &QUEUE_WAIT,
    &RECEIVED_BYTES,
    &SENT_BYTES,
    &SWITCHES,
    &FAULTS,
    &HANDOVERS,
    &UNMEASURED,
];

/// The roles that read requests.
const ROLES: [Role; 3] = [Role::Child, Role::Worker, Role::Listener];

/// The requests so far.
#[derive(Debug)]
pub(super) struct Requests {
    answered: u64,
    unanswered: u64,
    unread: u64,
    /// When all tasks were known.
    begun_ns: u64,
    after_loss: u64,
    no_arrival: u64,
    duration: Histogram,
    slot_wait: Histogram,
    service: Histogram,
    queue_wait: Histogram,
    received: Histogram,
    sent: Histogram,
    /// By role, then by phase.
    phases: Vec<Vec<Histogram>>,
    voluntary: u64,
    involuntary: u64,
    minor: u64,
    major: u64,
    handovers: u64,
}

impl Default for Requests {
    fn default() -> Self {
        let of_role = vec![Histogram::new(PHASES); SERVER_PHASES.len()];
        Self {
            answered: 0,
            unanswered: 0,
            unread: 0,
            begun_ns: 0,
            after_loss: 0,
            no_arrival: 0,
            duration: Histogram::new(TIMES),
            slot_wait: Histogram::new(TIMES),
            service: Histogram::new(TIMES),
            queue_wait: Histogram::new(TIMES),
            received: Histogram::new(RECEIVED),
            sent: Histogram::new(SENT),
            phases: vec![of_role; ROLES.len()],
            voluntary: 0,
            involuntary: 0,
            minor: 0,
            major: 0,
            handovers: 0,
        }
    }
}

impl Requests {
    /// The probes are attached, and all tasks known.
    pub(super) const fn begin(&mut self, now_ns: u64) {
        self.begun_ns = now_ns;
    }

    /// Counts a request that a task of `role` read.
    pub(super) fn count(&mut self, request: &RequestRecord, role: Role) {
        let has = |flag| request.flags & flag != 0;
        if request.ordinal == 0 && request.accepted_ns != 0 && request.queued_ns != 0 {
            let waited_ns = request.accepted_ns.saturating_sub(request.queued_ns);
            self.queue_wait.observe_ns(waited_ns);
        }
        if request.pickup_ns == 0 {
            // Of a connection that came before the tasks were known, the one that read it may not
            // have been: it is not said that nobody did.
            self.unread += u64::from(request.established_ns >= self.begun_ns);
            return;
        }
        self.received.observe(as_f64(request.bytes_in));
        self.voluntary += u64::from(request.voluntary);
        self.involuntary += u64::from(request.involuntary);
        self.minor += u64::from(request.faults_minor);
        self.major += u64::from(request.faults_major);
        self.handovers += u64::from(request.handovers);
        if request.last_send_ns == 0 {
            self.unanswered += 1;
            return;
        }
        self.answered += 1;
        self.sent.observe(as_f64(request.bytes_out));
        if has(RequestFlags::AFTER_LOSS) {
            self.after_loss += 1;
        } else if has(RequestFlags::NO_ARRIVAL) {
            self.no_arrival += 1;
        } else {
            self.observe_times(request, role);
        }
    }

    fn observe_times(&mut self, request: &RequestRecord, role: Role) {
        let phases = server_phases(&KernelRow::without_addresses(request));
        self.duration.observe_ns(phases.wall_ns);
        let served_ns = request.last_send_ns.saturating_sub(request.pickup_ns);
        self.service.observe_ns(served_ns);
        let slot_wait_ns = [Phase::NoFreeWorker, Phase::HandOff, Phase::WorkerRunQueue]
            .map(|phase| phases.get(phase));
        self.slot_wait.observe_ns(slot_wait_ns.iter().sum());
        let index = ROLES.iter().position(|known| *known == role).unwrap_or(0);
        for (histogram, (phase, _)) in self.phases[index].iter_mut().zip(SERVER_PHASES) {
            histogram.observe_ns(phases.get(phase));
        }
    }

    pub(super) fn write(&self, to: &mut Exposition) {
        for (outcome, count) in [
            ("answered", self.answered),
            ("unanswered", self.unanswered),
            ("unread", self.unread),
        ] {
            to.labelled(&REQUESTS, [outcome.into()], as_f64(count));
        }
        to.add(&DURATION, Vec::new(), self.duration.value());
        to.add(&SLOT_WAIT, Vec::new(), self.slot_wait.value());
        to.add(&SERVICE, Vec::new(), self.service.value());
        for (role, of_role) in ROLES.iter().zip(&self.phases) {
            // A role that reads no requests under this MPM is left out.
            for (histogram, (_, name)) in of_role.iter().zip(SERVER_PHASES) {
                if histogram.count() > 0 {
                    to.add(
                        &PHASE,
                        vec![name.into(), role.name().into()],
                        histogram.value(),
                    );
                }
            }
        }
        to.add(&QUEUE_WAIT, Vec::new(), self.queue_wait.value());
        to.add(&RECEIVED_BYTES, Vec::new(), self.received.value());
        to.add(&SENT_BYTES, Vec::new(), self.sent.value());
        to.labelled(&SWITCHES, ["voluntary".into()], as_f64(self.voluntary));
        to.labelled(&SWITCHES, ["involuntary".into()], as_f64(self.involuntary));
        to.labelled(&FAULTS, ["minor".into()], as_f64(self.minor));
        to.labelled(&FAULTS, ["major".into()], as_f64(self.major));
        to.count(&HANDOVERS, self.handovers);
        to.labelled(&UNMEASURED, ["after_loss".into()], as_f64(self.after_loss));
        to.labelled(&UNMEASURED, ["no_arrival".into()], as_f64(self.no_arrival));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Value;

    /// Queued for 1 ms, 2 ms until it is read, served for 5 ms, 3 of them on CPU.
    fn answered() -> RequestRecord {
        RequestRecord {
            queued_ns: 1_000_000,
            accepted_ns: 2_000_000,
            arrival_ns: 1_000_000,
            pickup_ns: 4_000_000,
            first_send_ns: 9_000_000,
            last_send_ns: 9_000_000,
            bytes_in: 100,
            bytes_out: 5000,
            sends: 1,
            on_cpu_ns: 3_000_000,
            woken_wait_ns: 2_000_000,
            voluntary: 2,
            faults_minor: 3,
            handovers: 1,
            ..RequestRecord::default()
        }
    }

    fn written(requests: &Requests) -> Exposition {
        let mut exposition = Exposition::default();
        requests.write(&mut exposition);
        exposition
    }

    fn sum_and_count(exposition: &Exposition, name: &str, labels: &[&str]) -> (f64, u64) {
        match exposition.value(name, labels) {
            Some(Value::Distribution { sum, count, .. }) => ((sum * 1e9).round() / 1e9, *count),
            other => panic!("{name}: {other:?}"),
        }
    }

    #[test]
    fn the_phases_of_a_request_sum_to_its_duration() {
        let mut requests = Requests::default();
        requests.count(&answered(), Role::Worker);
        let exposition = written(&requests);
        let of = |name| sum_and_count(&exposition, name, &[]);
        assert_eq!(of("httpd_request_duration_seconds"), (0.008, 1));
        assert_eq!(of("httpd_request_service_seconds"), (0.005, 1));
        assert_eq!(of("httpd_request_slot_wait_seconds"), (0.002, 1));
        assert_eq!(of("httpd_accept_queue_wait_seconds"), (0.001, 1));
        let phases: f64 = SERVER_PHASES
            .iter()
            .map(|(_, name)| {
                sum_and_count(
                    &exposition,
                    "httpd_request_phase_seconds",
                    &[name, "worker"],
                )
                .0
            })
            .sum();
        assert!((phases - 0.008).abs() < 1e-9, "{phases}");
        let child = exposition.value("httpd_request_phase_seconds", &["on_cpu", "child"]);
        assert_eq!(child, None);
    }

    #[test]
    fn what_came_before_the_tasks_were_known_is_not_said_to_be_unread() {
        let mut requests = Requests::default();
        requests.begin(5_000);
        for established_ns in [0, 4_999, 5_000] {
            requests.count(
                &RequestRecord {
                    established_ns,
                    ..RequestRecord::default()
                },
                Role::Child,
            );
        }
        let exposition = written(&requests);
        let unread = exposition.get("httpd_requests_total", &["unread"]);
        assert_eq!(unread, Some(1.0));
    }

    #[test]
    fn a_request_counts_by_how_it_ended() {
        let mut requests = Requests::default();
        requests.count(&answered(), Role::Child);
        let unanswered = RequestRecord {
            last_send_ns: 0,
            ..answered()
        };
        requests.count(&unanswered, Role::Child);
        requests.count(&RequestRecord::default(), Role::Child);
        let exposition = written(&requests);
        for outcome in ["answered", "unanswered", "unread"] {
            assert_eq!(
                exposition.get("httpd_requests_total", &[outcome]),
                Some(1.0)
            );
        }
        let faults = exposition.get("httpd_request_page_faults_total", &["minor"]);
        assert_eq!(faults, Some(6.0));
        let received = sum_and_count(&exposition, "httpd_request_received_bytes", &[]);
        assert_eq!(received, (200.0, 2));
    }

    #[test]
    fn a_request_that_a_loss_has_touched_is_counted_and_not_timed() {
        let mut requests = Requests::default();
        for flags in [RequestFlags::AFTER_LOSS, RequestFlags::NO_ARRIVAL] {
            let touched = RequestRecord {
                flags,
                ..answered()
            };
            requests.count(&touched, Role::Child);
        }
        let exposition = written(&requests);
        assert_eq!(
            exposition.get("httpd_requests_total", &["answered"]),
            Some(2.0)
        );
        for reason in ["after_loss", "no_arrival"] {
            let unmeasured = exposition.get("httpd_requests_unmeasured_total", &[reason]);
            assert_eq!(unmeasured, Some(1.0));
        }
        let duration = sum_and_count(&exposition, "httpd_request_duration_seconds", &[]);
        assert_eq!(duration, (0.0, 0));
    }

    #[test]
    fn every_phase_of_the_server_has_its_label_and_is_documented() {
        let document = include_str!("../../../docs/metrics.md");
        let names: Vec<&str> = SERVER_PHASES.iter().map(|(_, name)| *name).collect();
        let documented = document.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(documented.contains(&names.join(", ")), "{names:?}");
        // All phases but those of the client and the network.
        assert_eq!(SERVER_PHASES.len(), Phase::ALL.len() - 7);
    }
}
