//! A collector of the test's own: OTLP over HTTP, decoded with OpenTelemetry's own messages.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use flate2::read::GzDecoder;
use opentelemetry_proto::tonic::{
    collector::{
        metrics::v1::ExportMetricsServiceRequest,
        trace::v1::{
            ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
        },
    },
    common::v1::{KeyValue, any_value::Value},
    metrics::v1::{Metric, metric::Data, number_data_point},
    resource::v1::Resource,
    trace::v1::Span,
};
use prost::Message;

/// How it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answers {
    Takes,
    /// Takes spans and refuses metrics with this status.
    TakesSpans(u16),
    /// As if it took everything, with the remark that all was rejected.
    Rejects,
    /// With this status.
    Refuses(u16),
    /// Never.
    Hangs,
}

#[derive(Debug, Default)]
pub struct Received {
    pub traces: Vec<ExportTraceServiceRequest>,
    pub metrics: Vec<ExportMetricsServiceRequest>,
    /// Requests that were refused.
    pub refused: usize,
}

impl Received {
    /// Takes a request, or does not; returns the status and the body of the answer.
    fn take(&mut self, answers: Answers, request: &str, body: &[u8]) -> (u16, Vec<u8>) {
        let refused = match answers {
            Answers::Refuses(status) => Some(status),
            Answers::TakesSpans(status) if request.contains("/v1/metrics") => Some(status),
            _ => None,
        };
        if let Some(status) = refused {
            self.refused += 1;
            return (status, Vec::new());
        }
        match request {
            "POST /v1/traces HTTP/1.1" => {
                let sent = ExportTraceServiceRequest::decode(body).unwrap();
                let answer = ExportTraceServiceResponse {
                    partial_success: (answers == Answers::Rejects).then(|| {
                        ExportTracePartialSuccess {
                            rejected_spans: spans(&sent).count().try_into().unwrap(),
                            error_message: "over quota".to_owned(),
                        }
                    }),
                };
                self.traces.push(sent);
                (200, answer.encode_to_vec())
            }
            "POST /v1/metrics HTTP/1.1" => {
                self.metrics.push(Message::decode(body).unwrap());
                (200, Vec::new())
            }
            other => panic!("{other}"),
        }
    }
}

fn spans(sent: &ExportTraceServiceRequest) -> impl Iterator<Item = &Span> {
    let scopes = sent.resource_spans.iter().flat_map(|of| &of.scope_spans);
    scopes.flat_map(|scope| &scope.spans)
}

/// A collector that runs until the test program ends.
pub struct Collector {
    pub endpoint: String,
    pub received: Arc<Mutex<Received>>,
}

impl Collector {
    /// Arguments of a command that soon sends it every request.
    pub fn arguments(&self) -> [&str; 6] {
        let endpoint = &*self.endpoint;
        [
            "--otlp",
            endpoint,
            "--otlp-interval",
            "1",
            "--otlp-sample",
            "1",
        ]
    }

    pub fn start(answers: Answers) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let received = Arc::new(Mutex::new(Received::default()));
        let shared = Arc::clone(&received);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let shared = Arc::clone(&shared);
                thread::spawn(move || serve(&stream.unwrap(), answers, &shared));
            }
        });
        Self { endpoint, received }
    }

    pub fn spans(&self) -> Vec<Span> {
        let received = self.received.lock().unwrap();
        received.traces.iter().flat_map(spans).cloned().collect()
    }

    pub fn resources(&self) -> Vec<Resource> {
        let received = self.received.lock().unwrap();
        let traces = received.traces.iter().flat_map(|sent| &sent.resource_spans);
        let metrics = received
            .metrics
            .iter()
            .flat_map(|sent| &sent.resource_metrics);
        let traces = traces.filter_map(|spans| spans.resource.clone());
        let metrics = metrics.filter_map(|metrics| metrics.resource.clone());
        traces.chain(metrics).collect()
    }

    /// A metric as it was sent last.
    pub fn metric(&self, name: &str) -> Option<Metric> {
        let received = self.received.lock().unwrap();
        let sent = received.metrics.iter().rev();
        sent.flat_map(|sent| &sent.resource_metrics)
            .flat_map(|resource| &resource.scope_metrics)
            .flat_map(|scope| &scope.metrics)
            .find(|metric| metric.name == name)
            .cloned()
    }

    /// The last value of a counter or gauge with an attribute; 0 if it was never sent.
    pub fn value(&self, name: &str, key: &str, value: &str) -> u64 {
        let points = match self.metric(name).and_then(|metric| metric.data) {
            Some(Data::Sum(sum)) => sum.data_points,
            Some(Data::Gauge(gauge)) => gauge.data_points,
            _ => Vec::new(),
        };
        let point = points
            .iter()
            .find(|point| text(&point.attributes, key).as_deref() == Some(value));
        match point.and_then(|point| point.value) {
            Some(number_data_point::Value::AsInt(value)) => value.try_into().unwrap(),
            Some(number_data_point::Value::AsDouble(value)) => value as u64,
            None => 0,
        }
    }
}

pub fn text(attributes: &[KeyValue], key: &str) -> Option<String> {
    match attribute(attributes, key)? {
        Value::StringValue(text) => Some(text),
        _ => None,
    }
}

pub fn number(attributes: &[KeyValue], key: &str) -> Option<i64> {
    match attribute(attributes, key)? {
        Value::IntValue(number) => Some(number),
        _ => None,
    }
}

fn attribute(attributes: &[KeyValue], key: &str) -> Option<Value> {
    let found = attributes.iter().find(|pair| pair.key == key)?;
    found.value.clone()?.value
}

fn serve(stream: &TcpStream, answers: Answers, received: &Mutex<Received>) {
    let mut reader = BufReader::new(stream);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let line = line.trim_end().to_owned();
        if line.is_empty() {
            break;
        }
        lines.push(line);
    }
    let header = |name: &str| {
        lines.iter().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    };
    let mut body = vec![0; header("content-length").unwrap().parse().unwrap()];
    reader.read_exact(&mut body).unwrap();
    match header("content-encoding") {
        None => {}
        // As Rotel sends.
        Some("gzip") => {
            let packed = std::mem::take(&mut body);
            GzDecoder::new(&*packed).read_to_end(&mut body).unwrap();
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(header("content-type"), Some("application/x-protobuf"));
    assert!(header("host").is_some());
    if answers == Answers::Hangs {
        thread::sleep(Duration::from_secs(3600));
        return;
    }
    let (status, body) = received.lock().unwrap().take(answers, &lines[0], &body);
    let mut stream = stream;
    write!(
        stream,
        "HTTP/1.1 {status} X\r\nContent-Type: application/x-protobuf\r\nContent-Length: {}\r\n\r\n",
        body.len()
    )
    .unwrap();
    stream.write_all(&body).unwrap();
}
