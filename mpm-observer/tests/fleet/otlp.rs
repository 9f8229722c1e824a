//! A real httpd's requests at a collector.

use std::{
    collections::{HashMap, HashSet},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, atomic::AtomicBool},
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use mpm_observer::{
    httpd::RuntimeDir,
    kernel::{Counters, Options, Record},
    live::{self, Consumer, Effort, Ended, Look, Server},
    otlp::{Otlp, OtlpOptions, Rate, SEND_TIMEOUT, SpanCounts},
    scenario::Mpm,
};
use opentelemetry_proto::tonic::{
    metrics::v1::metric::Data,
    trace::v1::{Span, span::SpanKind},
};

use super::collector::{Answers, Collector, number, text};
use crate::common::{
    GRACE, Place, small,
    watched::{exchange, kernel},
};

/// Where nobody listens: it is only told.
const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9117);

pub(super) fn options(endpoint: &str, share: f64) -> OtlpOptions {
    OtlpOptions {
        endpoint: endpoint.to_owned(),
        sample: Rate::Share(share),
        slow: false,
        interval: Duration::from_secs(1),
        send_timeout: SEND_TIMEOUT,
        client_address: false,
        listen: Some(LISTEN),
    }
}

/// With a collector that takes everything, be it on a machine that stalls.
pub(super) fn patient_options(endpoint: &str, share: f64) -> OtlpOptions {
    OtlpOptions {
        send_timeout: Duration::from_secs(60),
        ..options(endpoint, share)
    }
}

/// Requests over connections of two, all closed at the end.
pub(super) fn load(addr: SocketAddr, requests: usize) {
    for _ in 0..requests / 2 {
        let mut stream = TcpStream::connect(addr).unwrap();
        exchange(&mut stream, "/alive.txt", false);
        exchange(&mut stream, "/alive.txt", true);
    }
}

/// What a watched httpd did, and what became of its requests' spans.
pub(super) struct Exported {
    /// Exported, dropped, failed.
    pub(super) counts: [u64; 3],
    /// The process of each task.
    tasks: HashMap<i64, i64>,
    port: i64,
    /// Requests that the feed handed over.
    pub(super) requests: u64,
    /// What was lost on the way to it.
    pub(super) lost: u64,
}

/// Passes everything on, and counts what came.
struct Counting {
    otlp: Otlp,
    requests: u64,
    lost: u64,
}

impl Consumer for Counting {
    fn begin(&mut self, server: &Server) {
        self.otlp.begin(server);
    }
    fn record(&mut self, record: &Record) {
        self.requests += u64::from(matches!(record, Record::Request(_)));
        self.otlp.record(record);
    }
    fn look(&mut self, look: &Look) {
        self.lost = look.counters.lost();
        self.otlp.look(look);
    }
    fn last(&mut self, counters: &Counters, effort: &Effort) {
        self.lost = counters.lost();
        self.otlp.last(counters, effort);
    }
    fn end(&mut self) {
        self.otlp.end();
    }
}

/// Puts requests on an httpd that is watched for a collector; `None` if that cannot be done here.
pub(super) fn export(mpm: Mpm, options: &OtlpOptions, requests: usize) -> Option<Exported> {
    export_under(mpm, options, |addr, _| load(addr, requests))
}

/// The same with a load that sees what became of the spans so far.
pub(super) fn export_under(
    mpm: Mpm,
    options: &OtlpOptions,
    load: impl FnOnce(SocketAddr, &SpanCounts),
) -> Option<Exported> {
    let kernel = kernel()?;
    let place = Place::new()?;
    let runtime = RuntimeDir::create_in(&place.base()).unwrap();
    let (httpd, _) = place.start(&runtime, &small(mpm, "warm", ""));
    let servers = live::servers().unwrap().into_iter();
    let mut of_test = servers.filter(|server| server.process.pid == httpd.pid());
    let server = of_test.next().unwrap();
    let port = httpd.addr().port();
    let watch = live::attach(&kernel, &server, Options::for_port(port)).unwrap();
    let mut counting = Counting {
        otlp: Otlp::start(options).unwrap(),
        requests: 0,
        lost: 0,
    };
    let counts = Arc::clone(counting.otlp.counts());
    let tasks = thread::scope(|scope| {
        let feeding = scope.spawn(|| {
            let stop = AtomicBool::new(false);
            live::feed(watch, &server, port, &mut counting, &stop).unwrap()
        });
        load(httpd.addr(), &counts);
        let tasks = httpd.tasks().unwrap();
        assert_eq!(httpd.stop(GRACE).unwrap().left, Vec::<u32>::new());
        // The feed ends with the server, when all its records have come.
        assert_eq!(feeding.join().unwrap(), Ended::ServerGone);
        tasks
    });
    counting.otlp.finish();
    let tasks = tasks.into_iter();
    Some(Exported {
        counts: counts.named().map(|(_, count)| count),
        tasks: tasks
            .map(|task| (task.tid.into(), task.pid.into()))
            .collect(),
        port: port.into(),
        requests: counting.requests,
        lost: counting.lost,
    })
}

fn length_ns(span: &Span) -> u64 {
    span.end_time_unix_nano - span.start_time_unix_nano
}

fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    since.as_nanos().try_into().unwrap()
}

fn each_request_arrives_as_spans_that_add_up(mpm: Mpm) {
    const REQUESTS: usize = 100;
    let collector = Collector::start(Answers::Takes);
    let began_ns = now_ns();
    let Some(exported) = export(mpm, &patient_options(&collector.endpoint, 1.0), REQUESTS) else {
        return;
    };
    let ended_ns = now_ns();
    assert_eq!(exported.counts, [REQUESTS as u64, 0, 0]);
    let spans = collector.spans();
    let (servers, children): (Vec<&Span>, Vec<&Span>) = spans
        .iter()
        .partition(|span| span.kind == SpanKind::Server as i32);
    assert_eq!(servers.len(), REQUESTS);
    let traces: HashSet<&[u8]> = servers.iter().map(|span| &*span.trace_id).collect();
    assert_eq!(traces.len(), REQUESTS, "each request is a trace of its own");
    for server in &servers {
        assert!(server.parent_span_id.is_empty());
        // Within the test, with some room for a clock that is set meanwhile.
        const SECOND_NS: u64 = 1_000_000_000;
        assert!(server.start_time_unix_nano > began_ns - SECOND_NS);
        assert!(server.end_time_unix_nano < ended_ns + SECOND_NS);
        let phases = server.attributes.iter().filter_map(|pair| {
            pair.key.strip_prefix("mpm.phase.")?;
            number(&server.attributes, &pair.key)
        });
        assert_eq!(phases.sum::<i64>(), length_ns(server).cast_signed());
        assert!(number(&server.attributes, "mpm.phase.on_cpu_ns").unwrap() > 0);

        let mut parts: Vec<&&Span> = children
            .iter()
            .filter(|child| child.trace_id == server.trace_id)
            .collect();
        parts.sort_by_key(|part| part.start_time_unix_nano);
        let mut from_ns = server.start_time_unix_nano;
        for part in parts {
            assert_eq!(part.parent_span_id, server.span_id);
            assert_eq!(part.start_time_unix_nano, from_ns, "{server:?}");
            from_ns = part.end_time_unix_nano;
        }
        assert_eq!(from_ns, server.end_time_unix_nano);

        let thread = number(&server.attributes, "thread.id").unwrap();
        let process = number(&server.attributes, "process.pid");
        assert_eq!(process, exported.tasks.get(&thread).copied());
        assert_eq!(
            number(&server.attributes, "server.port"),
            Some(exported.port)
        );
        assert_eq!(
            text(&server.attributes, "mpm.name").as_deref(),
            Some(mpm.name())
        );
        assert_eq!(text(&server.attributes, "client.address"), None);
        assert_eq!(server.trace_state, "ot=th:0");
    }
    let by_name = |name: &str| children.iter().filter(|span| span.name == name).count();
    assert_eq!(by_name("serving"), REQUESTS);
    assert_eq!(
        by_name("serving") + by_name("slot wait") + by_name("accept queue"),
        children.len()
    );
    for resource in collector.resources() {
        assert_eq!(
            text(&resource.attributes, "service.name").as_deref(),
            Some("httpd")
        );
        let host = text(&resource.attributes, "host.name").unwrap();
        let instance = text(&resource.attributes, "service.instance.id");
        assert_eq!(instance, Some(format!("{host}:{LISTEN}")));
    }

    // The metrics tell the same.
    let answered = collector.value("httpd.requests", "outcome", "answered");
    assert_eq!(answered, REQUESTS as u64);
    assert_eq!(
        collector.value("mpm_observer.spans", "outcome", "exported"),
        REQUESTS as u64
    );
    let duration = collector.metric("httpd.request.duration").unwrap();
    assert_eq!(duration.unit, "s");
    let Some(Data::Histogram(histogram)) = duration.data else {
        panic!("{duration:?}");
    };
    assert_eq!(histogram.data_points[0].count, REQUESTS as u64);
    let sum_ns: u64 = servers.iter().map(|span| length_ns(span)).sum();
    let sum_s = histogram.data_points[0].sum.unwrap();
    assert!(
        (sum_s - sum_ns as f64 / 1e9).abs() < 1e-6,
        "{sum_s} {sum_ns}"
    );
}

#[test]
fn each_request_of_prefork_arrives_as_spans_that_add_up() {
    each_request_arrives_as_spans_that_add_up(Mpm::Prefork);
}

#[test]
fn each_request_of_worker_arrives_as_spans_that_add_up() {
    each_request_arrives_as_spans_that_add_up(Mpm::Worker);
}

#[test]
fn each_request_of_event_arrives_as_spans_that_add_up() {
    each_request_arrives_as_spans_that_add_up(Mpm::Event);
}

#[test]
fn of_a_share_about_that_share_arrives_and_says_so() {
    const REQUESTS: usize = 1000;
    let collector = Collector::start(Answers::Takes);
    let options = patient_options(&collector.endpoint, 0.25);
    let Some(exported) = export(Mpm::Event, &options, REQUESTS) else {
        return;
    };
    let spans = collector.spans();
    let servers = spans
        .iter()
        .filter(|span| span.kind == SpanKind::Server as i32);
    let count = servers
        .inspect(|span| assert_eq!(span.trace_state, "ot=th:c"))
        .count();
    assert_eq!(exported.counts, [count as u64, 0, 0]);
    // Six standard deviations of 250 of 1000 are 82.
    assert!(count.abs_diff(250) < 82, "{count}");
}

/// Returns what became of the spans: exported, dropped, failed.
fn all_requests_come_in_spite_of(endpoint: &str) -> Option<[u64; 3]> {
    let exported = export(Mpm::Event, &options(endpoint, 1.0), IN_TROUBLE)?;
    assert_eq!((exported.requests, exported.lost), (IN_TROUBLE as u64, 0));
    Some(exported.counts)
}

const IN_TROUBLE: usize = 60;

#[test]
fn a_collector_that_is_down_costs_the_spans_and_nothing_else() {
    // A port that was free a moment ago.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    if let Some(counts) = all_requests_come_in_spite_of(&endpoint) {
        assert_eq!(counts, [0, 0, IN_TROUBLE as u64]);
    }
}

#[test]
fn a_collector_that_refuses_costs_the_spans_and_nothing_else() {
    for status in [400, 503] {
        let collector = Collector::start(Answers::Refuses(status));
        if let Some(counts) = all_requests_come_in_spite_of(&collector.endpoint) {
            assert_eq!(counts, [0, 0, IN_TROUBLE as u64], "{status}");
        }
    }
}

#[test]
fn spans_that_a_collector_rejects_in_a_good_answer_have_failed() {
    let collector = Collector::start(Answers::Rejects);
    if let Some(counts) = all_requests_come_in_spite_of(&collector.endpoint) {
        assert_eq!(counts, [0, 0, IN_TROUBLE as u64]);
    }
}

#[test]
fn a_collector_that_hangs_costs_the_spans_and_nothing_else() {
    let collector = Collector::start(Answers::Hangs);
    // What is still with the exporter when its patience ends is in no count.
    if let Some([exported, ..]) = all_requests_come_in_spite_of(&collector.endpoint) {
        assert_eq!(exported, 0);
    }
}
