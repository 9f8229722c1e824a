//! From the feed to the exporters.

use std::{collections::HashMap, sync::Arc, time::Duration};

use hyper::Uri;
use mpm_observer_common::RequestRecord;
use opentelemetry::{InstrumentationScope, KeyValue, metrics::MeterProvider};
use opentelemetry_otlp::{
    MetricExporter, Protocol, SpanExporter, WithExportConfig, WithHttpConfig,
};
use opentelemetry_sdk::{
    Resource,
    metrics::{PeriodicReader, SdkMeterProvider},
    trace::{IdGenerator, RandomIdGenerator, SpanExporter as _},
};

use super::{
    OtlpError, Rate, Sampler, SpanCounts,
    client::Client,
    clock::WallClock,
    metrics::{Metrics, is_measured},
    queue::Queue,
    span::{Around, Outcome, end_ns, spans_of},
};
use crate::{
    correlate::server_phases,
    kernel::Record,
    live::{Consumer, Look, Server},
    recording::KernelRow,
    scenario::Mpm,
};

const SCOPE: &str = "mpm-observer";
/// How long one attempt to send may take, and all attempts of one batch.
const SEND_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the end waits for what is left to be sent.
const END_PATIENCE: Duration = Duration::from_secs(6);

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
    /// Whether the client's address is told.
    pub client_address: bool,
}

/// A consumer that sends to a collector.
#[derive(Debug)]
pub struct Otlp {
    metrics: Metrics,
    provider: SdkMeterProvider,
    queue: Queue,
    sampler: Sampler,
    trace_state: Option<String>,
    scope: InstrumentationScope,
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
        let resource = resource();
        let metrics = MetricExporter::builder()
            .with_http()
            .with_http_client(Client::new(SEND_TIMEOUT)?)
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(format!("{endpoint}/v1/metrics"))
            .with_timeout(SEND_TIMEOUT)
            .build()?;
        let provider = SdkMeterProvider::builder()
            .with_resource(resource.clone())
            .with_reader(
                PeriodicReader::builder(metrics)
                    .with_interval(options.interval)
                    .build(),
            )
            .build();
        let mut spans = SpanExporter::builder()
            .with_http()
            .with_http_client(Client::new(SEND_TIMEOUT)?)
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(format!("{endpoint}/v1/traces"))
            .with_timeout(SEND_TIMEOUT)
            .build()?;
        spans.set_resource(&resource);
        let counts = Arc::new(SpanCounts::default());
        let scope = InstrumentationScope::builder(SCOPE)
            .with_version(env!("CARGO_PKG_VERSION"))
            .build();
        let meter = provider.meter_with_scope(scope.clone());
        let sampler = Sampler::new(options.sample, options.slow);
        Ok(Self {
            metrics: Metrics::new(&meter, Arc::clone(&counts)),
            provider,
            queue: Queue::start(spans, options.interval, Arc::clone(&counts))?,
            trace_state: sampler.trace_state(),
            sampler,
            scope,
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
        self.queue.finish(END_PATIENCE);
        if let Err(error) = self.provider.shutdown_with_timeout(END_PATIENCE) {
            log::warn!("the last metrics were not taken: {error}");
        }
    }

    fn request(&mut self, request: &RequestRecord) {
        let phases = server_phases(&KernelRow::without_addresses(request));
        self.metrics.request(request, &phases);
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
        self.queue.push(spans_of(request, trace, &around));
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

    fn end(&mut self) {
        self.processes.clear();
        self.metrics.end();
    }
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

/// Who sends. `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` take precedence.
fn resource() -> Resource {
    let host = nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned());
    let named = Resource::builder().build();
    let is_named = std::env::var_os("OTEL_SERVICE_NAME").is_some()
        || std::env::var("OTEL_RESOURCE_ATTRIBUTES").is_ok_and(|all| all.contains("service.name="));
    let mut builder = Resource::builder_empty();
    if let Ok(host) = host {
        builder = builder.with_attribute(KeyValue::new("host.name", host));
    }
    // Later ones take precedence.
    builder = builder.with_attributes(
        named
            .iter()
            .map(|(key, value)| KeyValue::new(key.clone(), value.clone())),
    );
    if !is_named {
        builder = builder.with_service_name("httpd");
    }
    builder.build()
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
