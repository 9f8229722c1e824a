//! What Prometheus is told to do.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, time::Duration};

use serde_json::{Value, json};

/// Whom it asks, and how often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scrape {
    /// The label `job` of what comes from there.
    pub job: String,
    /// Where the metrics are served, each under `/metrics`.
    pub addresses: Vec<SocketAddr>,
    /// How often it asks, and how long it waits for an answer at most; at least a millisecond.
    pub interval: Duration,
    /// Further labels.
    pub labels: BTreeMap<String, String>,
}

/// A whole configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// Whom it asks.
    pub scrapes: Vec<Scrape>,
    /// Files of rules.
    pub rules: Vec<PathBuf>,
}

impl Config {
    /// The configuration file. It is JSON, which is YAML too, so that no name needs quoting.
    #[must_use]
    pub fn text(&self) -> String {
        let scrapes: Vec<Value> = self.scrapes.iter().map(scrape).collect();
        let rules = self.rules.iter().map(|path| path.display().to_string());
        let shortest = self.scrapes.iter().map(|scrape| scrape.interval).min();
        let evaluation = shortest.unwrap_or(Duration::from_secs(15));
        let config = json!({
            "global": { "evaluation_interval": milliseconds(evaluation) },
            "rule_files": rules.collect::<Vec<_>>(),
            "scrape_configs": scrapes,
        });
        format!("{config:#}\n")
    }
}

fn scrape(scrape: &Scrape) -> Value {
    json!({
        "job_name": scrape.job,
        "scrape_interval": milliseconds(scrape.interval),
        "scrape_timeout": milliseconds(scrape.interval),
        // What the metrics say of themselves goes before what is added here.
        "honor_labels": true,
        "static_configs": [{
            "targets": scrape.addresses.iter().map(SocketAddr::to_string).collect::<Vec<_>>(),
            "labels": scrape.labels,
        }],
    })
}

fn milliseconds(time: Duration) -> String {
    format!("{}ms", time.as_millis().max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_names_targets_intervals_and_rules() {
        let config = Config {
            scrapes: vec![Scrape {
                job: "a \"job\"".into(),
                addresses: vec!["127.0.0.1:9117".parse().unwrap()],
                interval: Duration::from_millis(1500),
                labels: BTreeMap::from([("mpm".into(), "event".into())]),
            }],
            rules: vec!["/tmp/a: b.yml".into()],
        };
        let read: Value = serde_json::from_str(&config.text()).unwrap();
        assert_eq!(read["global"]["evaluation_interval"], "1500ms");
        assert_eq!(read["rule_files"][0], "/tmp/a: b.yml");
        let job = &read["scrape_configs"][0];
        assert_eq!(job["job_name"], "a \"job\"");
        assert_eq!(job["static_configs"][0]["targets"][0], "127.0.0.1:9117");
        assert_eq!(job["static_configs"][0]["labels"]["mpm"], "event");
    }
}
