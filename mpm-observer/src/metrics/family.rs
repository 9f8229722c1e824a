//! What a metric is, and the figures of one moment.

use std::borrow::Cow;

/// How a family's figures are to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A count that only grows while the observer runs.
    Counter,
    /// A figure that goes up and down.
    Gauge,
    /// A distribution over fixed buckets.
    Histogram,
}

impl Kind {
    /// Its name in the documentation.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A label that every sample of a family has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label {
    /// Its name.
    pub name: &'static str,
    /// Its values, for the documentation; empty if the group's text tells them.
    pub values: &'static str,
}

/// The values of a label, and which label: for [`Family::labels`].
#[must_use]
pub const fn label(name: &'static str, values: &'static str) -> Label {
    Label { name, values }
}

/// A family of metrics: everything of it but its figures. Units follow from the name.
#[derive(Debug, PartialEq, Eq)]
pub struct Family {
    /// Its name as queries use it: a counter's ends in `_total`.
    pub name: &'static str,
    /// How it is to be read.
    pub kind: Kind,
    /// Its labels, in the order of [`Sample::labels`].
    pub labels: &'static [Label],
    /// What it is, in one sentence.
    pub help: &'static str,
    /// Where its figures come from.
    pub source: &'static str,
}

impl Family {
    /// A counter; its name ends in `_total`.
    #[must_use]
    pub const fn counter(name: &'static str, help: &'static str, source: &'static str) -> Self {
        Self::new(Kind::Counter, name, help, source)
    }

    /// A gauge.
    #[must_use]
    pub const fn gauge(name: &'static str, help: &'static str, source: &'static str) -> Self {
        Self::new(Kind::Gauge, name, help, source)
    }

    /// A histogram.
    #[must_use]
    pub const fn histogram(name: &'static str, help: &'static str, source: &'static str) -> Self {
        Self::new(Kind::Histogram, name, help, source)
    }

    const fn new(kind: Kind, name: &'static str, help: &'static str, source: &'static str) -> Self {
        Self {
            name,
            kind,
            labels: &[],
            help,
            source,
        }
    }

    /// The same with labels.
    #[must_use]
    pub const fn labels(self, labels: &'static [Label]) -> Self {
        Self { labels, ..self }
    }

    /// The name without the suffix of a counter.
    #[must_use]
    pub fn base_name(&self) -> &'static str {
        match self.kind {
            Kind::Counter => self.name.strip_suffix("_total").unwrap_or(self.name),
            Kind::Gauge | Kind::Histogram => self.name,
        }
    }

    /// The unit that ends the name, if it has one.
    #[must_use]
    pub fn unit(&self) -> Option<&'static str> {
        ["seconds", "bytes"].into_iter().find(|unit| {
            self.base_name()
                .strip_suffix(unit)
                .is_some_and(|name| name.ends_with('_'))
        })
    }
}

/// A figure.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Of a counter or a gauge.
    Number(f64),
    /// Of a histogram.
    Distribution {
        /// Sum of all that was observed.
        sum: f64,
        /// How much was observed.
        count: u64,
        /// Upper bounds, ascending, the last one infinite, and what lies in each bucket alone.
        buckets: Vec<(f64, u64)>,
    },
}

/// A figure and its labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The labels' values, in the order of [`Family::labels`].
    pub labels: Vec<Cow<'static, str>>,
    /// The figure.
    pub value: Value,
}

/// The figures of one family.
#[derive(Clone, Debug, PartialEq)]
pub struct FamilySamples {
    /// The family.
    pub family: &'static Family,
    /// Its figures, no two with the same labels.
    pub samples: Vec<Sample>,
}

/// All figures of one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Exposition {
    /// Each family once, those without a figure left out.
    pub families: Vec<FamilySamples>,
}

impl Exposition {
    /// Adds a number without labels.
    pub fn number(&mut self, family: &'static Family, value: impl Into<f64>) {
        self.labelled(family, [], value);
    }

    /// Adds a number without labels if there is one.
    pub fn optional(&mut self, family: &'static Family, value: Option<impl Into<f64>>) {
        if let Some(value) = value {
            self.number(family, value);
        }
    }

    /// Adds a count without labels.
    pub fn count(&mut self, family: &'static Family, value: u64) {
        self.number(family, as_f64(value));
    }

    /// Adds a number with labels.
    pub fn labelled<const N: usize>(
        &mut self,
        family: &'static Family,
        labels: [Cow<'static, str>; N],
        value: impl Into<f64>,
    ) {
        self.add(family, labels.into(), Value::Number(value.into()));
    }

    /// Adds a figure. The figures of one family come in a row.
    pub fn add(&mut self, family: &'static Family, labels: Vec<Cow<'static, str>>, value: Value) {
        debug_assert_eq!(labels.len(), family.labels.len(), "{}", family.name);
        let sample = Sample { labels, value };
        match self.families.last_mut() {
            Some(last) if std::ptr::eq(last.family, family) => last.samples.push(sample),
            _ => self.families.push(FamilySamples {
                family,
                samples: vec![sample],
            }),
        }
    }

    /// The number of a family with these labels.
    #[must_use]
    pub fn get(&self, name: &str, labels: &[&str]) -> Option<f64> {
        match self.value(name, labels)? {
            Value::Number(number) => Some(*number),
            Value::Distribution { .. } => None,
        }
    }

    /// The figure of a family with these labels.
    #[must_use]
    pub fn value(&self, name: &str, labels: &[&str]) -> Option<&Value> {
        let of_name = |samples: &&FamilySamples| samples.family.name == name;
        let samples = &self.families.iter().find(of_name)?.samples;
        let found = samples.iter().find(|sample| sample.labels == labels)?;
        Some(&found.value)
    }
}

/// A count as Prometheus has it. It is exact up to 2^53.
#[must_use]
pub(super) const fn as_f64(count: u64) -> f64 {
    count as f64
}

/// Nanoseconds in seconds.
#[must_use]
pub(super) const fn seconds(ns: u64) -> f64 {
    as_f64(ns) / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_is_the_end_of_a_name_before_total() {
        static TIME: Family = Family::counter("a_cpu_seconds_total", "", "");
        static SIZE: Family = Family::gauge("a_bytes", "", "");
        static COUNT: Family = Family::counter("a_kilobytes_total", "", "");
        assert_eq!(
            (TIME.base_name(), TIME.unit()),
            ("a_cpu_seconds", Some("seconds"))
        );
        assert_eq!((SIZE.base_name(), SIZE.unit()), ("a_bytes", Some("bytes")));
        assert_eq!((COUNT.base_name(), COUNT.unit()), ("a_kilobytes", None));
    }
}
