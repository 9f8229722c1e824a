//! From the feed to the exporters.

use std::{collections::HashMap, net::SocketAddr, sync::Arc, time::Duration};

use hyper::Uri;
use mpm_observer_common::RequestRecord;
use opentelemetry::{InstrumentationScope, metrics::MeterProvider};
use opentelemetry_otlp::{
    MetricExporter, Protocol, SpanExporter, WithExportConfig, WithHttpConfig,
};
use opentelemetry_sdk::{
    metrics::{PeriodicReader, SdkMeterProvider},
    trace::{IdGenerator, RandomIdGenerator, SpanExporter as _},
};

use super::{
    OtlpError, Rate, Sampler, SpanCounts,
    answer::LastAnswer,
    client::Client,
    clock::WallClock,
    environment::{Signals, resource},
    metric_exporter::TellingExporter,
    metrics::{Metrics, is_measured},
    queue::Queue,
    span::{Around, Outcome, end_ns, spans_of},
};
use crate::{
    correlate::server_phases,
    kernel::{Counters, Record},
    live::{Consumer, Effort, Look, Server},
    recording::KernelRow,
    scenario::Mpm,
};

const SCOPE: &str = "mpm-observer";
/// A [`OtlpOptions::send_timeout`] that hardly keeps who ends the observer waiting.
pub const SEND_TIMEOUT: Duration = Duration::from_secs(5);
/// How much longer than an attempt to send the end waits for what is left to be sent.
const END_LONGER: Duration = Duration::from_secs(1);

/// What is sent where.
#[derive(Clone, Debug, PartialEq)]
pub struct OtlpOptions {
    /// The collector, such as `http://127.0.0.1:4318`; `/v1/traces` and `/v1/metrics` are added.
    pub endpoint: String,
    /// How many requests become spans.
    pub sample: Rate,
    /// Whether slow requests do, beside them.
    pub slow: bool,
    /// Time between two exports.
    pub interval: Duration,
    /// How long one attempt to send may take, and all attempts of one batch.
    pub send_timeout: Duration,
    /// Whether the client's address is told.
    pub client_address: bool,
    /// Where the observer listens, which tells it from others of its host.
    pub listen: Option<SocketAddr>,
}

/// A consumer that sends to a collector.
#[derive(Debug)]
pub struct Otlp {
    metrics: Metrics,
    provider: SdkMeterProvider,
    /// What the collector said to the metrics last.
    answer: Arc<LastAnswer>,
    /// `None` if no spans are to be sent.
    queue: Option<Queue>,
    sampler: Sampler,
    trace_state: Option<String>,
    scope: InstrumentationScope,
    /// How long the end waits for what is left to be sent.
    end_patience: Duration,
    ids: RandomIdGenerator,
    clock: WallClock,
    client_address: bool,
    mpm: Mpm,
    /// Processes of the tasks that were alive at the last look.
    processes: HashMap<u32, u32>,
    counts: Arc<SpanCounts>,
}

impl Otlp {
    /// Starts the exporters. Nothing is sent before the first interval has passed; whether the
    /// collector is there shows then.
    ///
    /// # Errors
    /// When the address is none, or threads are refused.
    pub fn start(options: &OtlpOptions) -> Result<Self, OtlpError> {
        let endpoint = checked(&options.endpoint)?;
        let signals = Signals::from_environment();
        if !signals.metrics && !signals.spans {
            log::warn!("nothing is sent: OTEL_METRICS_EXPORTER and OTEL_TRACES_EXPORTER say none");
        }
        let resource = resource(options.listen);
        let answer = Arc::new(LastAnswer::default());
        let mut provider = SdkMeterProvider::builder().with_resource(resource.clone());
        if signals.metrics {
            let exporter = metric_exporter(endpoint, options.send_timeout, &answer)?;
            let reader = PeriodicReader::builder(exporter).with_interval(options.interval);
            provider = provider.with_reader(reader.build());
        }
        let provider = provider.build();
        let counts = Arc::new(SpanCounts::default());
        let queue = if signals.spans {
            let answer = Arc::new(LastAnswer::default());
            let mut exporter = span_exporter(endpoint, options.send_timeout, &answer)?;
            exporter.set_resource(&resource);
            let counts = Arc::clone(&counts);
            Some(Queue::start(exporter, answer, options.interval, counts)?)
        } else {
            None
        };
        let scope = InstrumentationScope::builder(SCOPE)
            .with_version(env!("CARGO_PKG_VERSION"))
            .build();
        let meter = provider.meter_with_scope(scope.clone());
        let sampler = Sampler::new(options.sample, options.slow);
        Ok(Self {
            metrics: Metrics::new(&meter, Arc::clone(&counts)),
            provider,
            answer,
            queue,
            trace_state: sampler.trace_state(),
            sampler,
            scope,
            end_patience: options.send_timeout + END_LONGER,
            ids: RandomIdGenerator::default(),
            clock: WallClock::read(),
            client_address: options.client_address,
            mpm: Mpm::Event,
            processes: HashMap::new(),
            counts,
        })
    }

    /// What became of the sampled requests so far.
    #[must_use]
    pub fn counts(&self) -> &Arc<SpanCounts> {
        &self.counts
    }

    /// Sends what is left, as far as the collector takes it within some seconds.
    pub fn finish(mut self) {
        if let Some(queue) = &mut self.queue {
            queue.finish(self.end_patience);
        }
        let ended = self.provider.shutdown_with_timeout(self.end_patience);
        if let Some(complaint) = self.answer.get().complaint(&ended) {
            log::warn!("the last metrics were not taken: {complaint}");
        }
    }

    fn request(&mut self, request: &RequestRecord) {
        let phases = server_phases(&KernelRow::without_addresses(request));
        self.metrics.request(request, &phases);
        let Some(queue) = &self.queue else { return };
        // Of one without bytes there is nothing to tell.
        if request.arrival_ns == 0 || !is_measured(request) {
            return;
        }
        let trace = self.ids.new_trace_id();
        let ended_ns = end_ns(request);
        let random = u128::from_be_bytes(trace.to_bytes());
        let length_ns = ended_ns.saturating_sub(request.arrival_ns);
        let Some(why) = self.sampler.decide(random, request.end_ns, length_ns) else {
            return;
        };
        let around = Around {
            mpm: self.mpm.name(),
            process: match Outcome::of(request) {
                Outcome::Unread => None,
                _ => self.processes.get(&request.first_task).copied(),
            },
            client: self.client_address,
            why,
            trace_state: self.trace_state.as_deref(),
            clock: self.clock,
            scope: &self.scope,
        };
        queue.push(spans_of(request, trace, &around));
    }
}

impl Consumer for Otlp {
    fn begin(&mut self, server: &Server) {
        self.mpm = server.mpm;
        self.metrics.begin();
    }

    fn record(&mut self, record: &Record) {
        match record {
            Record::Request(request) => self.request(request),
            Record::Failure(failure) => self.metrics.failure(failure),
            Record::Task(_) | Record::Trace(_) => {}
        }
    }

    fn look(&mut self, look: &Look) {
        self.clock = WallClock::read();
        self.processes.clear();
        let processes = look.tasks.iter();
        self.processes
            .extend(processes.map(|task| (task.record.pid, task.record.tgid)));
        self.metrics.look(look);
    }

    fn last(&mut self, counters: &Counters, effort: &Effort) {
        self.metrics.counted(counters, effort);
    }

    fn end(&mut self) {
        self.processes.clear();
        self.metrics.end();
    }
}

fn metric_exporter(
    endpoint: &str,
    timeout: Duration,
    answer: &Arc<LastAnswer>,
) -> Result<TellingExporter, OtlpError> {
    let exporter = MetricExporter::builder()
        .with_http()
        .with_http_client(Client::new(timeout, Arc::clone(answer))?)
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(format!("{endpoint}/v1/metrics"))
        .with_timeout(timeout)
        .build()?;
    Ok(TellingExporter::new(exporter, Arc::clone(answer)))
}

fn span_exporter(
    endpoint: &str,
    timeout: Duration,
    answer: &Arc<LastAnswer>,
) -> Result<SpanExporter, OtlpError> {
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(Client::new(timeout, Arc::clone(answer))?)
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(format!("{endpoint}/v1/traces"))
        .with_timeout(timeout)
        .build()?;
    Ok(exporter)
}

/// The address without its path's end.
fn checked(endpoint: &str) -> Result<&str, OtlpError> {
    let bad = || OtlpError::Endpoint(endpoint.to_owned());
    let uri: Uri = endpoint.parse().map_err(|_| bad())?;
    if uri.scheme_str() != Some("http") || uri.host().is_none() || uri.query().is_some() {
        return Err(bad());
    }
    Ok(endpoint.trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_http_are_taken() {
        assert_eq!(
            checked("http://127.0.0.1:4318/").unwrap(),
            "http://127.0.0.1:4318"
        );
        assert_eq!(
            checked("http://collector:4318/otlp").unwrap(),
            "http://collector:4318/otlp"
        );
        for bad in [
            "",
            "127.0.0.1:4318",
            "https://collector",
            "grpc://collector:4317",
            "http://",
            "http://collector:4318/?x=1",
        ] {
            assert!(matches!(checked(bad), Err(OtlpError::Endpoint(_))), "{bad}");
        }
    }
}
