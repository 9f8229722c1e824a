//! The standard exporter of metrics, which tells when they are not taken.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use opentelemetry_otlp::MetricExporter;
use opentelemetry_sdk::{
    error::OTelSdkResult,
    metrics::{Temporality, data::ResourceMetrics, exporter::PushMetricExporter},
};

use super::answer::LastAnswer;

/// Says so once: the next export, some seconds later, tells all that this one would have.
#[derive(Debug)]
pub(super) struct TellingExporter {
    exporter: MetricExporter,
    /// Of the exporter's client.
    last: Arc<LastAnswer>,
    has_told: AtomicBool,
}

impl TellingExporter {
    pub(super) const fn new(exporter: MetricExporter, last: Arc<LastAnswer>) -> Self {
        Self {
            exporter,
            last,
            has_told: AtomicBool::new(false),
        }
    }
}

impl PushMetricExporter for TellingExporter {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        self.last.clear();
        let sent = self.exporter.export(metrics).await;
        if let Some(complaint) = self.last.get().complaint(&sent)
            && !self.has_told.swap(true, Ordering::Relaxed)
        {
            log::warn!("metrics were not taken: {complaint}; this is said once");
        }
        sent
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn temporality(&self) -> Temporality {
        PushMetricExporter::temporality(&self.exporter)
    }
}
