//! Connections and the accept queue.

use mpm_observer_common::{FailureRecord, FailureSource};

use super::{
    Exposition, Family,
    counted::Counted,
    family::{as_f64, label, seconds},
};
use crate::{
    kernel::Counters,
    live::{ConnectionsLook, Look, QueueLook},
    resources::ListenCounters,
};

const LOOKS: &str = "looks";
const FAILURES: &str = "failure records";

static OPEN: Family = Family::gauge(
    "httpd_connections_open",
    "Connections that stand and are followed",
    LOOKS,
);
static SERVING: Family = Family::gauge(
    "httpd_connections_serving",
    "Connections with a request that was read and not answered",
    LOOKS,
);
static UNREAD: Family = Family::gauge(
    "httpd_connections_unread",
    "Connections that sent bytes which no task has read",
    LOOKS,
);
static UNACCEPTED: Family = Family::gauge(
    "httpd_connections_unaccepted",
    "Connections that no task has accepted",
    LOOKS,
);
static PARKED: Family = Family::gauge(
    "httpd_connections_parked",
    "Connections answered and idle, held by no slot (event's listener waits for them)",
    LOOKS,
);
static HOLDING: Family = Family::gauge(
    "httpd_connections_holding",
    "Connections answered and idle, each of which holds a slot",
    LOOKS,
);
static FINISHING: Family = Family::gauge(
    "httpd_connections_finishing",
    "Connections answered whose slot has something left to do, such as to write the log or to close",
    LOOKS,
);
static OLDEST: Family = Family::gauge(
    "httpd_connections_unread_oldest_seconds",
    "How long the first of the unread connections waits; 0: none waits",
    LOOKS,
);
static ESTABLISHED: Family = Family::counter(
    "httpd_connections_established_total",
    "Connections established since the probes were attached",
    "kernel counters",
);
const PORT: &[super::Label] = &[label("port", "")];
static LENGTH: Family = Family::gauge(
    "httpd_accept_queue_length",
    "Connections in the accept queue",
    "socket diagnosis, or /proc/PID/net/tcp",
)
.labels(PORT);
static LIMIT: Family = Family::gauge(
    "httpd_accept_queue_limit",
    "How many the accept queue takes: the smaller one of ListenBacklog and somaxconn",
    "socket diagnosis",
)
.labels(PORT);
static FULL: Family = Family::counter(
    "httpd_accept_queue_full_total",
    "Packets of a handshake that found the accept queue of a watched port full: a client's first one, or its last one and data that came with it",
    FAILURES,
)
.labels(&[label("packet", "first, last")]);
static OVERFLOWS: Family = Family::counter(
    "httpd_listen_overflows_total",
    "The kernel's ListenOverflows, all sockets of the server's network namespace, since boot",
    "/proc/PID/net/netstat",
);
static DROPS: Family = Family::counter(
    "httpd_listen_drops_total",
    "The kernel's ListenDrops, all sockets of the server's network namespace, since boot",
    "/proc/PID/net/netstat",
);
static RESETS: Family = Family::counter(
    "httpd_connection_resets_total",
    "Connections of the watched ports that the kernel reset from the server's side",
    FAILURES,
);

/// The families, in the order of the documentation.
pub(super) static FAMILIES: &[&Family] = &[
    &OPEN,
    &SERVING,
    &UNREAD,
    &UNACCEPTED,
    &PARKED,
    &HOLDING,
    &FINISHING,
    &OLDEST,
    &ESTABLISHED,
    &LENGTH,
    &LIMIT,
    &FULL,
    &OVERFLOWS,
    &DROPS,
    &RESETS,
];

/// The connections at the last look, and what was counted of them.
#[derive(Debug, Default)]
pub(super) struct Connections {
    now: ConnectionsLook,
    oldest_ns: u64,
    established: Counted,
    queues: Vec<QueueLook>,
    listen: Option<ListenCounters>,
    full_first: u64,
    full_last: u64,
    resets: u64,
}

impl Connections {
    /// The counters of the probes begin anew.
    pub(super) fn begin(&mut self) {
        self.established.restart();
    }

    pub(super) fn look(&mut self, look: &Look) {
        self.now = look.connections;
        self.oldest_ns = match look.connections.unread_since_ns {
            0 => 0,
            since_ns => look.at_ns.saturating_sub(since_ns),
        };
        self.counted(&look.counters);
        self.queues.clone_from(&look.queues);
        self.listen = look.listen;
    }

    /// What the probes counted, at a look or after the last one.
    pub(super) const fn counted(&mut self, counters: &Counters) {
        self.established.update(counters.conns_established);
    }

    pub(super) fn count(&mut self, failure: &FailureRecord) {
        match FailureSource::from_word(failure.source) {
            Some(FailureSource::QueueFull) => self.full_last += 1,
            Some(FailureSource::SynRefused) => self.full_first += 1,
            Some(FailureSource::Reset) => self.resets += 1,
            _ => {}
        }
    }

    /// There is no server any more.
    pub(super) fn end(&mut self) {
        self.now = ConnectionsLook::default();
        self.oldest_ns = 0;
        self.queues.clear();
        self.listen = None;
    }

    /// How much of the fullest accept queue is used, 0 to 1 or a little more; `None` while that is
    /// not known.
    pub(super) fn queue_used(&self) -> Option<f64> {
        let used = self.queues.iter().filter_map(|queue| queue.used());
        used.reduce(f64::max)
    }

    pub(super) fn write(&self, to: &mut Exposition) {
        to.number(&OPEN, self.now.open);
        to.number(&SERVING, self.now.serving);
        to.number(&UNREAD, self.now.unread);
        to.number(&UNACCEPTED, self.now.unaccepted);
        to.number(&PARKED, self.now.parked);
        to.number(&HOLDING, self.now.holding);
        to.number(&FINISHING, self.now.finishing);
        to.number(&OLDEST, seconds(self.oldest_ns));
        to.count(&ESTABLISHED, self.established.total());
        for queue in &self.queues {
            to.labelled(&LENGTH, [queue.port.to_string().into()], queue.length);
        }
        for queue in self.queues.iter().filter(|queue| queue.limit > 0) {
            to.labelled(&LIMIT, [queue.port.to_string().into()], queue.limit);
        }
        to.labelled(&FULL, ["first".into()], as_f64(self.full_first));
        to.labelled(&FULL, ["last".into()], as_f64(self.full_last));
        to.optional(
            &OVERFLOWS,
            self.listen.map(|listen| as_f64(listen.overflows)),
        );
        to.optional(&DROPS, self.listen.map(|listen| as_f64(listen.drops)));
        to.count(&RESETS, self.resets);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::tests::written;

    fn look(established: u64) -> Look {
        Look {
            at_ns: 5_000_000_000,
            connections: ConnectionsLook {
                open: 7,
                unread: 2,
                parked: 4,
                holding: 1,
                unread_since_ns: 3_500_000_000,
                ..ConnectionsLook::default()
            },
            queues: vec![
                QueueLook {
                    port: 80,
                    length: 3,
                    limit: 12,
                },
                QueueLook {
                    port: 443,
                    length: 9,
                    limit: 12,
                },
                QueueLook {
                    port: 8080,
                    length: 1,
                    limit: 0,
                },
            ],
            counters: Counters {
                conns_established: established,
                ..Counters::default()
            },
            ..Look::default()
        }
    }

    #[test]
    fn the_last_look_is_told_until_the_server_is_gone() {
        let mut connections = Connections::default();
        connections.look(&look(9));
        let exposition = written(|to| connections.write(to));
        let get = |name| exposition.get(name, &[]);
        assert_eq!(get("httpd_connections_open"), Some(7.0));
        assert_eq!(get("httpd_connections_unread_oldest_seconds"), Some(1.5));
        let of = |name, port| exposition.get(name, &[port]);
        assert_eq!(of("httpd_accept_queue_length", "80"), Some(3.0));
        assert_eq!(of("httpd_accept_queue_length", "443"), Some(9.0));
        assert_eq!(of("httpd_accept_queue_limit", "443"), Some(12.0));
        assert_eq!(of("httpd_accept_queue_length", "8080"), Some(1.0));
        assert_eq!(of("httpd_accept_queue_limit", "8080"), None);
        assert_eq!(get("httpd_listen_drops_total"), None);
        // The fullest one is what clients meet.
        assert_eq!(connections.queue_used(), Some(0.75));

        connections.end();
        let exposition = written(|to| connections.write(to));
        let get = |name| exposition.get(name, &[]);
        assert_eq!(get("httpd_connections_open"), Some(0.0));
        assert_eq!(exposition.get("httpd_accept_queue_length", &["80"]), None);
        assert_eq!(get("httpd_connections_established_total"), Some(9.0));
        assert_eq!(connections.queue_used(), None);
    }

    #[test]
    fn what_the_probes_counted_goes_on_with_the_next_server() {
        let mut connections = Connections::default();
        for established in [4, 9] {
            connections.look(&look(established));
        }
        connections.end();
        connections.begin();
        connections.look(&look(5));
        let exposition = written(|to| connections.write(to));
        assert_eq!(
            exposition.get("httpd_connections_established_total", &[]),
            Some(14.0)
        );
    }

    #[test]
    fn a_full_queue_and_a_reset_are_counted() {
        let mut connections = Connections::default();
        for source in [
            FailureSource::QueueFull,
            FailureSource::QueueFull,
            FailureSource::SynRefused,
            FailureSource::Reset,
            FailureSource::Call,
        ] {
            connections.count(&FailureRecord {
                source: source as u32,
                ..FailureRecord::default()
            });
        }
        let exposition = written(|to| connections.write(to));
        let full = |packet| exposition.get("httpd_accept_queue_full_total", &[packet]);
        assert_eq!((full("first"), full("last")), (Some(1.0), Some(2.0)));
        assert_eq!(
            exposition.get("httpd_connection_resets_total", &[]),
            Some(1.0)
        );
    }
}
