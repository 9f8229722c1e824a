//! What a collector has of accept queues, from one export to the next.

use std::{collections::BTreeMap, sync::Mutex, time::Duration};

use opentelemetry::metrics::MeterProvider;
use opentelemetry_sdk::{
    error::OTelSdkResult,
    metrics::{
        PeriodicReader, SdkMeterProvider, Temporality,
        data::{AggregatedMetrics, MetricData, ResourceMetrics},
        exporter::PushMetricExporter,
    },
};

use super::*;

/// The gauges of the last export: names with the values by attributes.
type Gauges = BTreeMap<String, BTreeMap<String, u64>>;

/// Keeps them, as a collector does.
#[derive(Clone, Debug, Default)]
struct Kept(Arc<Mutex<Gauges>>);

impl PushMetricExporter for Kept {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        let mut kept = Gauges::new();
        let all = metrics.scope_metrics().flat_map(|scope| scope.metrics());
        for metric in all {
            let AggregatedMetrics::U64(MetricData::Gauge(gauge)) = metric.data() else {
                continue;
            };
            let points = gauge.data_points().map(|point| {
                let attributes = point.attributes();
                let names = attributes.map(|one| format!("{}={}", one.key, one.value));
                (names.collect::<Vec<_>>().join(","), point.value())
            });
            kept.insert(metric.name().to_owned(), points.collect());
        }
        *self.0.lock().unwrap() = kept;
        Ok(())
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }

    fn temporality(&self) -> Temporality {
        Temporality::Cumulative
    }
}

fn look_at(queues: &[(u16, u32, u32)]) -> Look {
    let queues = queues.iter().map(|&(port, length, limit)| QueueLook {
        port,
        length,
        limit,
    });
    Look {
        queues: queues.collect(),
        ..Look::default()
    }
}

#[test]
fn what_is_gone_of_accept_queues_is_zero_and_no_series_is_without_its_port() {
    let kept = Kept::default();
    let reader = PeriodicReader::builder(kept.clone()).with_interval(Duration::from_secs(3600));
    let provider = SdkMeterProvider::builder()
        .with_reader(reader.build())
        .build();
    let mut metrics = Metrics::new(&provider.meter("test"), Arc::default());
    let queues = || {
        provider.force_flush().unwrap();
        let kept = kept.0.lock().unwrap();
        ["length", "limit"].map(|what| {
            let of_ports = kept.get(&format!("httpd.accept_queue.{what}"));
            let of_ports = of_ports.into_iter().flatten();
            let words = of_ports.map(|(port, value)| format!("{port}: {value}"));
            words.collect::<Vec<_>>().join("; ")
        })
    };
    metrics.begin();
    metrics.look(&look_at(&[(80, 3, 511), (443, 7, 0)]));
    // A limit that is not known is not told.
    assert_eq!(queues(), ["port=443: 7; port=80: 3", "port=80: 511"]);
    metrics.look(&look_at(&[(80, 4, 511)]));
    assert_eq!(queues()[0], "port=443: 0; port=80: 4");
    metrics.end();
    assert_eq!(
        queues(),
        ["port=443: 0; port=80: 0", "port=443: 0; port=80: 0"]
    );
    // The next server listens elsewhere.
    metrics.begin();
    metrics.look(&look_at(&[(8080, 1, 100)]));
    assert_eq!(
        queues(),
        [
            "port=443: 0; port=80: 0; port=8080: 1",
            "port=443: 0; port=80: 0; port=8080: 100"
        ]
    );
}
