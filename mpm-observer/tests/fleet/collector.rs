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
    collector::{metrics::v1::ExportMetricsServiceRequest, trace::v1::ExportTraceServiceRequest},
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
    /// With this status.
    Refuses(u16),
    /// Never.
    Hangs,
}

#[derive(Debug, Default)]
pub struct Received {
    pub traces: Vec<ExportTraceServiceRequest>,
    pub metrics: Vec<ExportMetricsServiceRequest>,
}

/// A collector that runs until the test program ends.
pub struct Collector {
    pub endpoint: String,
    pub received: Arc<Mutex<Received>>,
}

impl Collector {
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
        let resources = received.traces.iter().flat_map(|sent| &sent.resource_spans);
        resources
            .flat_map(|resource| &resource.scope_spans)
            .flat_map(|scope| scope.spans.clone())
            .collect()
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
    let status = match answers {
        Answers::Takes => 200,
        Answers::Refuses(status) => status,
        Answers::Hangs => {
            thread::sleep(Duration::from_secs(3600));
            return;
        }
    };
    if answers == Answers::Takes {
        let mut received = received.lock().unwrap();
        match lines[0].as_str() {
            "POST /v1/traces HTTP/1.1" => {
                received.traces.push(Message::decode(&*body).unwrap());
            }
            "POST /v1/metrics HTTP/1.1" => {
                received.metrics.push(Message::decode(&*body).unwrap());
            }
            other => panic!("{other}"),
        }
    }
    let mut stream = stream;
    write!(
        stream,
        "HTTP/1.1 {status} X\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n"
    )
    .unwrap();
}
