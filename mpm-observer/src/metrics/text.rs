//! The figures as text: OpenMetrics, and Prometheus' own older format.

use std::fmt;

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text::encode},
    metrics::MetricType,
    registry::{Registry, Unit},
};

use super::{Exposition, Family, Kind, Sample, Value};

/// A format of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// The text format of Prometheus, 0.0.4.
    Prometheus,
}

impl Format {
    /// The better one of those that a scraper accepts, by its `Accept`; Prometheus' own if it
    /// does not say.
    #[must_use]
    pub fn accepted(accept: Option<&str>) -> Self {
        let wants = |wanted: &str| {
            accept.is_some_and(|accept| {
                accept.split(',').any(|range| {
                    let mut parts = range.split(';').map(str::trim);
                    let is_it = parts.next() == Some(wanted);
                    is_it && !parts.any(|part| matches!(part, "q=0" | "q=0.0"))
                })
            })
        };
        if wants("application/openmetrics-text") {
            Self::OpenMetrics
        } else {
            Self::Prometheus
        }
    }

    /// Its `Content-Type`.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// The figures in a format.
#[must_use]
pub fn text(exposition: Exposition, format: Format) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(exposition));
    let mut text = String::new();
    // Writing into a string does not fail.
    let written = encode(&mut text, &registry);
    debug_assert!(written.is_ok());
    // The encoder writes `inf`, which not every reader takes. A line break in a label's value is
    // escaped, so this is the end of a line.
    let text = text.replace(" inf\n", " +Inf\n");
    match format {
        Format::OpenMetrics => text,
        Format::Prometheus => prometheus(&text),
    }
}

impl Collector for Exposition {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        for samples in &self.families {
            let family = samples.family;
            let unit = family.unit();
            // The encoder puts the unit behind the name, and `_total` behind that.
            let name = match unit {
                Some(unit) => &family.base_name()[..family.base_name().len() - unit.len() - 1],
                None => family.base_name(),
            };
            let unit = unit.map(|unit| Unit::Other(unit.to_owned()));
            let mut metric =
                encoder.encode_descriptor(name, family.help, unit.as_ref(), type_of(family))?;
            for sample in &samples.samples {
                encode_sample(&mut metric, family, sample)?;
            }
        }
        Ok(())
    }
}

const fn type_of(family: &Family) -> MetricType {
    match family.kind {
        Kind::Counter => MetricType::Counter,
        Kind::Gauge => MetricType::Gauge,
        Kind::Histogram => MetricType::Histogram,
    }
}

fn encode_sample(metric: &mut MetricEncoder, family: &Family, sample: &Sample) -> fmt::Result {
    let names = family.labels.iter().map(|label| label.name);
    let labels: Vec<(&str, &str)> = names
        .zip(sample.labels.iter().map(|value| &**value))
        .collect();
    if labels.is_empty() {
        return encode_value(metric, family.kind, &sample.value);
    }
    encode_value(
        &mut metric.encode_family(&labels)?,
        family.kind,
        &sample.value,
    )
}

fn encode_value(metric: &mut MetricEncoder, kind: Kind, value: &Value) -> fmt::Result {
    match (kind, value) {
        (Kind::Counter, Value::Number(number)) => {
            metric.encode_counter::<NoLabelSet, f64, f64>(number, None)
        }
        (_, Value::Number(number)) => metric.encode_gauge(number),
        (
            _,
            Value::Distribution {
                sum,
                count,
                buckets,
            },
        ) => metric.encode_histogram::<NoLabelSet>(*sum, *count, buckets, None),
    }
}

/// OpenMetrics in Prometheus' older format: there a counter's family carries the `_total` of its
/// samples, and nothing tells units or the end.
fn prometheus(open_metrics: &str) -> String {
    let mut text = String::with_capacity(open_metrics.len());
    // HELP comes before TYPE, which tells whether the family is a counter.
    let mut help: Option<(&str, &str)> = None;
    for line in open_metrics.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            help = rest.split_once(' ');
        } else if let Some((name, kind)) = line
            .strip_prefix("# TYPE ")
            .and_then(|rest| rest.split_once(' '))
        {
            let suffix = if kind == "counter" { "_total" } else { "" };
            if let Some((_, help)) = help.take() {
                text.push_str(&format!("# HELP {name}{suffix} {help}\n"));
            }
            text.push_str(&format!("# TYPE {name}{suffix} {kind}\n"));
        } else if !line.starts_with('#') {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::label;

    static RUNS: Family = Family::counter("a_run_seconds_total", "How long it ran", "")
        .labels(&[label("program", "")]);
    static OPEN: Family = Family::gauge("a_open", "What is open", "");
    static WAIT: Family = Family::histogram("a_wait_seconds", "How long it waited", "");

    fn exposition() -> Exposition {
        let mut exposition = Exposition::default();
        exposition.labelled(&RUNS, ["x\"y\\z".into()], 0.5);
        exposition.labelled(&RUNS, ["w".into()], 2.0);
        exposition.number(&OPEN, f64::INFINITY);
        let buckets = vec![(0.1, 2), (f64::INFINITY, 1)];
        let value = Value::Distribution {
            sum: 1.25,
            count: 3,
            buckets,
        };
        exposition.add(&WAIT, Vec::new(), value);
        exposition
    }

    #[test]
    fn open_metrics_has_units_suffixes_and_an_end() {
        assert_eq!(
            text(exposition(), Format::OpenMetrics),
            "# HELP a_run_seconds How long it ran\n# TYPE a_run_seconds counter\n\
             # UNIT a_run_seconds seconds\n\
             a_run_seconds_total{program=\"x\\\"y\\\\z\"} 0.5\n\
             a_run_seconds_total{program=\"w\"} 2.0\n\
             # HELP a_open What is open\n# TYPE a_open gauge\na_open +Inf\n\
             # HELP a_wait_seconds How long it waited\n# TYPE a_wait_seconds histogram\n\
             # UNIT a_wait_seconds seconds\na_wait_seconds_sum 1.25\na_wait_seconds_count 3\n\
             a_wait_seconds_bucket{le=\"0.1\"} 2\na_wait_seconds_bucket{le=\"+Inf\"} 3\n# EOF\n"
        );
    }

    #[test]
    fn the_older_format_names_a_counter_as_its_samples() {
        assert_eq!(
            text(exposition(), Format::Prometheus),
            "# HELP a_run_seconds_total How long it ran\n# TYPE a_run_seconds_total counter\n\
             a_run_seconds_total{program=\"x\\\"y\\\\z\"} 0.5\n\
             a_run_seconds_total{program=\"w\"} 2.0\n\
             # HELP a_open What is open\n# TYPE a_open gauge\na_open +Inf\n\
             # HELP a_wait_seconds How long it waited\n# TYPE a_wait_seconds histogram\n\
             a_wait_seconds_sum 1.25\na_wait_seconds_count 3\n\
             a_wait_seconds_bucket{le=\"0.1\"} 2\na_wait_seconds_bucket{le=\"+Inf\"} 3\n"
        );
    }

    #[test]
    fn the_format_is_the_one_that_is_asked_for() {
        let prometheus_2 = "application/openmetrics-text;version=1.0.0,\
            application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,\
            */*;q=0.1";
        for (accept, expected) in [
            (Some(prometheus_2), Format::OpenMetrics),
            (
                Some("text/plain, application/openmetrics-text; version=1.0.0"),
                Format::OpenMetrics,
            ),
            (
                Some("application/openmetrics-text;q=0, text/plain"),
                Format::Prometheus,
            ),
            (Some("*/*"), Format::Prometheus),
            (None, Format::Prometheus),
        ] {
            assert_eq!(Format::accepted(accept), expected, "{accept:?}");
        }
    }
}
