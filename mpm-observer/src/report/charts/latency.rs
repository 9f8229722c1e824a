//! Latency by percentile.

use plots::{Chart, PercentilePoint, PercentileSeries, Percentiles, Unit};

use super::{ScenarioChart, Subject, interval, style};
use crate::{scenario::Mpm, statistics::Spread};

pub(super) const CHART: ScenarioChart = ScenarioChart {
    key: "latency",
    title: "Latency by percentile",
    reading: "Each further nine to the right is ten times rarer. A line that stays flat treats \
              all requests alike; one that climbs lets a few wait.",
    make: |subject| Box::new(make(subject)) as Box<dyn Chart>,
};

fn make(subject: &Subject<'_>) -> Percentiles {
    let footnote = format!(
        "Successful requests, from the begin (connecting included) to the last byte, at the \
         client; the fastest tenth is not shown. Line: median over the repetitions; band: least and \
         greatest ({}).",
        subject.repetitions()
    );
    Percentiles {
        frame: subject.frame("latency by percentile", &footnote),
        x_title: "percentile of the successful requests".into(),
        y_title: "latency".into(),
        unit: Unit::Nanoseconds,
        series: subject
            .figures
            .mpms()
            .into_iter()
            .map(|mpm| PercentileSeries {
                name: mpm.to_string(),
                style: style(mpm),
                points: points(subject, mpm),
            })
            .collect(),
    }
}

fn points(subject: &Subject<'_>, mpm: Mpm) -> Vec<PercentilePoint> {
    let fewest = subject
        .started(mpm)
        .map(|run| run.latencies_ns.len())
        .filter(|&count| count > 0)
        .min()
        .unwrap_or(0);
    quantiles(fewest)
        .into_iter()
        .filter_map(|quantile| {
            let of_runs = subject
                .started(mpm)
                .filter_map(|run| run.latency_ns(quantile));
            let spread = Spread::of(of_runs.map(|latency_ns| latency_ns as f64))?;
            Some(PercentilePoint {
                quantile,
                value: spread.median,
                band: interval(&spread),
            })
        })
        .collect()
}

/// The least quantile that is shown: the few fastest would take half of the scale for themselves.
const LEAST: f64 = 0.1;

/// Quantiles at equal distances on an axis of nines, up to the greatest that n values have.
pub(in crate::report) fn quantiles(n: usize) -> Vec<f64> {
    if n == 0 {
        return Vec::new();
    }
    let greatest = 1.0 - 1.0 / n as f64;
    let mut quantiles: Vec<f64> = (1..)
        .map(|step| 1.0 - 10_f64.powf(-f64::from(step) / 20.0))
        .take_while(|quantile| *quantile < greatest)
        .filter(|quantile| *quantile >= LEAST)
        .collect();
    quantiles.push(greatest);
    quantiles
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_rise_to_the_last_one_that_there_is() {
        let found = quantiles(1000);
        assert!(found.is_sorted());
        assert!((LEAST..0.15).contains(&found[0]), "{}", found[0]);
        assert_eq!(found.last(), Some(&0.999));
        assert!(found.iter().any(|q| (q - 0.99).abs() < 1e-12));
        assert_eq!(quantiles(1), [0.0]);
        assert!(quantiles(0).is_empty());
    }
}
