//! What of the dashboards and alert rules a Prometheus has no data for.

use std::{
    collections::BTreeSet,
    time::{SystemTime, UNIX_EPOCH},
};

use mpm_observer::{
    dashboards::{Filled, Source, sources},
    prometheus::{Api, Sampled},
    scenario::Mpm,
};

use super::{
    alerts::rules,
    selectors::selectors,
    watched::{JOB, Watched},
};

/// Rates are taken over so many seconds: four scrapes.
pub const RATE_S: u32 = 4;
/// The dashboard whose lines are sums over the servers of an MPM.
const COMPARING: &str = "compare";

/// A Prometheus, asked for what came since a moment.
pub struct Asked {
    pub api: Api,
    began_s: f64,
}

impl Asked {
    pub fn from_now(api: Api) -> Self {
        Self {
            api,
            began_s: now_s(),
        }
    }

    /// What an expression gave since the begin.
    pub fn answer(&self, expression: &str) -> Vec<Sampled> {
        let mut series = self
            .api
            .query_range(expression, (self.began_s, now_s()), 1.0)
            .unwrap_or_else(|error| panic!("{error}"));
        series.retain(|series| series.points.iter().any(|(_, value)| !value.is_nan()));
        series
    }

    /// What has given nothing so far, with the server of which it gave nothing.
    pub fn missing(&self, servers: &[Watched]) -> Vec<String> {
        let (comparing, single): (Vec<Source>, Vec<Source>) = sources()
            .unwrap()
            .into_iter()
            .partition(|source| source.name == COMPARING);
        let mut missing = self.empty_queries(&comparing, &filled(".+"));
        for watched in servers {
            let empty = self.empty_queries(&single, &filled(&watched.metrics.to_string()));
            missing.extend(empty.iter().map(|what| format!("{}: {what}", watched.mpm)));
        }
        missing.extend(self.empty_selectors(servers));
        missing
    }

    /// The servers of which an alert has never fired.
    pub fn silent(&self, alert: &str, servers: &[Watched]) -> Vec<String> {
        let firing = format!("ALERTS{{alertname=\"{alert}\", alertstate=\"firing\"}}");
        let of = self.without(&firing, servers);
        let silent = of.map(|watched| format!("{}: {alert} has not fired", watched.mpm));
        silent.collect()
    }

    /// The servers of which a selector has given nothing.
    fn without<'a>(
        &self,
        selector: &str,
        servers: &'a [Watched],
    ) -> impl Iterator<Item = &'a Watched> {
        let series = self.answer(selector);
        let instances = series
            .iter()
            .map(|series| series.labels["instance"].clone());
        let instances: BTreeSet<String> = instances.collect();
        let lacks = move |watched: &&Watched| !instances.contains(&watched.metrics.to_string());
        servers.iter().filter(lacks)
    }

    fn empty_queries(&self, sources: &[Source], filled: &Filled) -> Vec<String> {
        let mut empty = Vec::new();
        for source in sources {
            for panel in source.panels() {
                for query in &panel.queries {
                    let expression = query.for_prometheus(filled);
                    if let Some(lack) = self.lacks(&expression, &query.legend) {
                        empty.push(format!(
                            "{}, {}: {lack}: {expression}",
                            source.name, panel.title
                        ));
                    }
                }
            }
        }
        empty
    }

    /// What is missing in the answer to a query, whose series have this legend.
    fn lacks(&self, expression: &str, legend: &str) -> Option<String> {
        let series = self.answer(expression);
        if series.is_empty() {
            return Some("no data".into());
        }
        let labels = labels_of(legend);
        // A line for each MPM where they are compared.
        if labels == ["mpm"] && series.len() < Mpm::ALL.len() {
            return Some("not all MPMs".into());
        }
        let is_empty = |label: &&&str| {
            let mut values = series.iter().map(|series| series.labels.get(**label));
            values.all(|value| value.is_none_or(String::is_empty))
        };
        labels
            .iter()
            .find(is_empty)
            .map(|label| format!("no label {label}"))
    }

    /// What of the alert rules' series has never been there, for each server.
    fn empty_selectors(&self, servers: &[Watched]) -> Vec<String> {
        let mut empty = Vec::new();
        for rule in rules() {
            let found = selectors(&rule.expr);
            assert!(!found.is_empty(), "{}", rule.alert);
            for selector in found {
                for watched in self.without(&selector, servers) {
                    empty.push(format!("{}: {}: {selector}", watched.mpm, rule.alert));
                }
            }
        }
        empty
    }
}

fn filled(instance: &str) -> Filled {
    Filled {
        job: JOB.into(),
        instance: instance.into(),
        rate_interval: format!("{RATE_S}s"),
        range: "5m".into(),
    }
}

fn now_s() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    since.as_secs_f64()
}

/// The labels that a legend names.
fn labels_of(legend: &str) -> Vec<&str> {
    let parts = legend.split("{{").skip(1);
    parts
        .filter_map(|part| part.split_once("}}"))
        .map(|(label, _)| label.trim())
        .collect()
}
