//! Queries as Prometheus takes them: without the variables of dashboards.

use super::{Query, Source};

/// What stands for `$where` in Grafana: what was chosen above the dashboard.
pub(super) const WHERE: &str = r#"job=~"$job", instance=~"$instance""#;
/// The factor that gives a series the label `mpm` of its server. It is 1.
const BY_MPM: &str = "* on (job, instance) group_left (mpm) max by (job, instance, mpm) (mpm_observer_server_info{$where})";

/// What a dashboard's variables stand for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filled {
    /// A regular expression of jobs.
    pub job: String,
    /// A regular expression of instances.
    pub instance: String,
    /// The time over which rates are taken, such as `4s`: at least four scrapes.
    pub rate_interval: String,
    /// The time that the dashboard shows, such as `15m`.
    pub range: String,
}

impl Query {
    /// The expression with the project's own abbreviations written out, as Grafana takes it.
    #[must_use]
    pub fn for_grafana(&self) -> String {
        self.expr
            .replace("$by_mpm", BY_MPM)
            .replace("$where", WHERE)
    }

    /// The expression as Prometheus takes it.
    #[must_use]
    pub fn for_prometheus(&self, filled: &Filled) -> String {
        self.for_grafana()
            .replace("$__rate_interval", &filled.rate_interval)
            .replace("$__range", &filled.range)
            .replace("$instance", &filled.instance)
            .replace("$job", &filled.job)
    }
}

impl Source {
    /// All its queries with the titles of their panels, as Prometheus takes them.
    pub fn queries(&self, filled: &Filled) -> Vec<(&str, String)> {
        self.panels()
            .flat_map(|panel| {
                let queries = panel.queries.iter();
                queries.map(|query| (panel.title.as_str(), query.for_prometheus(filled)))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dashboards::sources;

    fn filled() -> Filled {
        Filled {
            job: "mpm-observer".into(),
            instance: ".+".into(),
            rate_interval: "4s".into(),
            range: "15m".into(),
        }
    }

    #[test]
    fn variables_are_filled_in() {
        let query = Query {
            expr: "rate(a_total{$where}[$__rate_interval])".into(),
            legend: "a".into(),
        };
        assert_eq!(
            query.for_prometheus(&filled()),
            r#"rate(a_total{job=~"mpm-observer", instance=~".+"}[4s])"#
        );
    }

    #[test]
    fn no_variable_is_left_in_a_query() {
        for source in sources().unwrap() {
            for (panel, query) in source.queries(&filled()) {
                assert!(!query.contains('$'), "{}, {panel}: {query}", source.name);
            }
        }
    }
}
