//! A collector of others between the observer and the test's own: Rotel, in Rust, which set-up
//! takes out of its Python package. It decodes, batches and sends on what it is given, so what
//! arrives behind it is what it understood.

use std::{
    collections::HashMap,
    env,
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::atomic::Ordering,
};

use mpm_observer::scenario::Mpm;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use opentelemetry_proto::tonic::{
    metrics::v1::{Metric, metric::Data, number_data_point::Value},
    trace::v1::{Span, span::SpanKind},
};

use super::{
    collector::{Answers, Collector, number, text},
    otlp::{export, export_under, load, options, patient_options},
};
use crate::common::{PROGRAM, alive, have, wait_until};

/// Where set-up unpacks it: beside the folder of the build's profile.
fn program() -> Option<PathBuf> {
    let target = Path::new(PROGRAM).parent()?.parent()?;
    let agent = target.join("tools/rotel/rotel/rotel-agent");
    let version = Command::new(&agent).arg("--version").output();
    let runs = version.is_ok_and(|output| output.status.success());
    have("Rotel", runs).then_some(agent)
}

/// An address that was free a moment ago. It is one that no client's connection has at its own
/// end, so that none takes it meanwhile.
fn free() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.2:0").unwrap();
    listener.local_addr().unwrap()
}

/// One that passes everything on, until it is dropped.
struct Rotel {
    command: Command,
    child: Child,
    http: SocketAddr,
    _dir: tempfile::TempDir,
}

impl Rotel {
    fn start(to: &Collector) -> Option<Self> {
        let mut command = Command::new(program()?);
        let dir = tempfile::tempdir().unwrap();
        let (http, grpc) = (free(), free());
        command
            .env_clear()
            .args(["start", "--exporter", "otlp"])
            .args(["--otlp-exporter-protocol", "http"])
            .args(["--otlp-exporter-endpoint", &to.endpoint])
            .args(["--otlp-http-endpoint", &http.to_string()])
            .args(["--otlp-grpc-endpoint", &grpc.to_string()])
            .arg("--pid-file")
            .arg(dir.path().join("pid"))
            .arg("--log-file")
            .arg(dir.path().join("log"))
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        // Its library of Python's is found where the system has it.
        if let Some(path) = env::var_os("LD_LIBRARY_PATH") {
            command.env("LD_LIBRARY_PATH", path);
        }
        let child = listening(&mut command, http);
        Some(Self {
            command,
            child,
            http,
            _dir: dir,
        })
    }

    fn endpoint(&self) -> String {
        format!("http://{}", self.http)
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Again, where it was.
    fn again(&mut self) {
        self.child = listening(&mut self.command, self.http);
    }

    /// Ends it, which passes on what it still has.
    fn end(&mut self) -> ExitStatus {
        let pid = Pid::from_raw(self.child.id().cast_signed());
        kill(pid, Signal::SIGTERM).unwrap();
        wait_until("Rotel has ended", || !alive(self.child.id()));
        self.child.wait().unwrap()
    }
}

impl Drop for Rotel {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn listening(command: &mut Command, http: SocketAddr) -> Child {
    let child = command.spawn().unwrap();
    wait_until("Rotel listens", || TcpStream::connect(http).is_ok());
    child
}

fn servers(spans: &[Span]) -> Vec<&Span> {
    let of_kind = |span: &&Span| span.kind == SpanKind::Server as i32;
    spans.iter().filter(of_kind).collect()
}

/// All that arrived of a metric. Rotel joins what comes at once and may send two at once, so the
/// last one to arrive need not be the last one.
fn sent(collector: &Collector, name: &str) -> Vec<Metric> {
    let received = collector.received.lock().unwrap();
    let resources = received
        .metrics
        .iter()
        .flat_map(|sent| &sent.resource_metrics);
    let metrics = resources
        .flat_map(|resource| &resource.scope_metrics)
        .flat_map(|scope| &scope.metrics);
    metrics
        .filter(|metric| metric.name == name)
        .cloned()
        .collect()
}

/// The highest value of a counter by its outcome.
fn most(collector: &Collector, name: &str, outcome: &str) -> i64 {
    let sums = sent(collector, name)
        .into_iter()
        .map(|metric| match metric.data {
            Some(Data::Sum(sum)) => sum,
            other => panic!("{other:?}"),
        });
    let values = sums.flat_map(|sum| {
        assert!(sum.is_monotonic);
        sum.data_points.into_iter().filter_map(move |point| {
            let is_it = text(&point.attributes, "outcome").as_deref() == Some(outcome);
            match point.value {
                Some(Value::AsInt(value)) if is_it => Some(value),
                _ => None,
            }
        })
    });
    values.max().unwrap_or(0)
}

fn rotel_takes_each_request_and_its_metrics(mpm: Mpm) {
    const REQUESTS: usize = 100;
    let collector = Collector::start(Answers::Takes);
    let Some(mut rotel) = Rotel::start(&collector) else {
        return;
    };
    let Some(exported) = export(mpm, &patient_options(&rotel.endpoint(), 1.0), REQUESTS) else {
        return;
    };
    assert_eq!(exported.counts, [REQUESTS as u64, 0, 0]);
    assert!(rotel.end().success());

    let spans = collector.spans();
    let servers = servers(&spans);
    assert_eq!(servers.len(), REQUESTS);
    let by_id: HashMap<&[u8], &Span> = spans.iter().map(|span| (&*span.span_id, span)).collect();
    assert_eq!(by_id.len(), spans.len());
    for span in &spans {
        assert!(span.start_time_unix_nano <= span.end_time_unix_nano);
        if span.kind == SpanKind::Server as i32 {
            assert!(span.parent_span_id.is_empty());
            continue;
        }
        let parent = by_id[&*span.parent_span_id];
        assert_eq!(span.trace_id, parent.trace_id);
        assert_eq!(parent.kind, SpanKind::Server as i32);
        assert!(parent.start_time_unix_nano <= span.start_time_unix_nano);
        assert!(span.end_time_unix_nano <= parent.end_time_unix_nano);
    }
    for server in servers {
        assert_eq!(server.trace_state, "ot=th:0");
        assert_eq!(
            text(&server.attributes, "mpm.name").as_deref(),
            Some(mpm.name())
        );
        let phases = server.attributes.iter().filter_map(|pair| {
            pair.key.strip_prefix("mpm.phase.")?;
            number(&server.attributes, &pair.key)
        });
        let length_ns = server.end_time_unix_nano - server.start_time_unix_nano;
        assert_eq!(phases.sum::<i64>(), length_ns.cast_signed());
    }
    for resource in collector.resources() {
        let name = text(&resource.attributes, "service.name");
        assert_eq!(name.as_deref(), Some("httpd"));
    }

    assert_eq!(
        most(&collector, "httpd.requests", "answered"),
        REQUESTS as i64
    );
    assert_eq!(
        most(&collector, "mpm_observer.spans", "exported"),
        REQUESTS as i64
    );
    for name in ["httpd.request.duration", "httpd.request.phase"] {
        let sent = sent(&collector, name);
        assert!(!sent.is_empty());
        for metric in sent {
            assert_eq!(metric.unit, "s");
            let Some(Data::Histogram(histogram)) = metric.data else {
                panic!("{metric:?}");
            };
            for point in histogram.data_points {
                assert_eq!(point.bucket_counts.len(), point.explicit_bounds.len() + 1);
                assert_eq!(point.bucket_counts.iter().sum::<u64>(), point.count);
            }
        }
    }
}

#[test]
fn rotel_takes_each_request_of_prefork_and_its_metrics() {
    rotel_takes_each_request_and_its_metrics(Mpm::Prefork);
}

#[test]
fn rotel_takes_each_request_of_worker_and_its_metrics() {
    rotel_takes_each_request_and_its_metrics(Mpm::Worker);
}

#[test]
fn rotel_takes_each_request_of_event_and_its_metrics() {
    rotel_takes_each_request_and_its_metrics(Mpm::Event);
}

#[test]
fn after_rotel_was_killed_and_is_back_the_export_goes_on_and_what_failed_is_counted() {
    const EACH: usize = 40;
    let collector = Collector::start(Answers::Takes);
    let Some(mut rotel) = Rotel::start(&collector) else {
        return;
    };
    let options = options(&rotel.endpoint(), 1.0);
    let exported = export_under(Mpm::Event, &options, |addr, counts| {
        load(addr, EACH);
        // All of it: what Rotel took and had not passed on would be lost with it.
        wait_until("the first requests are behind Rotel", || {
            servers(&collector.spans()).len() == EACH
        });
        rotel.kill();
        load(addr, EACH);
        wait_until("the next ones have failed", || {
            counts.failed.load(Ordering::Relaxed) == EACH as u64
        });
        rotel.again();
        load(addr, EACH);
    });
    let Some(exported) = exported else {
        return;
    };
    assert_eq!(exported.counts, [2 * EACH as u64, 0, EACH as u64]);
    assert_eq!((exported.requests, exported.lost), (3 * EACH as u64, 0));
    assert!(rotel.end().success());
    assert_eq!(servers(&collector.spans()).len(), 2 * EACH);
    assert_eq!(
        most(&collector, "httpd.requests", "answered"),
        3 * EACH as i64
    );
    assert_eq!(
        most(&collector, "mpm_observer.spans", "failed"),
        EACH as i64
    );
}
