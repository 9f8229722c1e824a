//! How evenly the accepts are spread over those who accept.

use plots::{Chart, Ranked, RankedPanel, Unit};

use super::{ScenarioChart, Subject, style};
use crate::{scenario::Mpm, statistics::gini};

pub(super) const CHART: ScenarioChart = ScenarioChart {
    key: "accepts",
    title: "Accepts by task",
    reading: "In prefork every child accepts for itself; in worker and event each process has one \
              listener. Bars at 1× share the work evenly.",
    make: |subject| Box::new(make(subject)) as Box<dyn Chart>,
};

fn make(subject: &Subject<'_>) -> Ranked {
    let footnote = format!(
        "Of each MPM the run of median throughput ({}); connections accepted during the load. \
         Gini: 0 all equal, towards 1 all in one.",
        subject.repetitions()
    );
    Ranked {
        frame: subject.frame("accepts by task", &footnote).size(1200, 560),
        x_title: "tasks that accept, by rank".into(),
        y_title: "connections accepted, against the mean of the tasks".into(),
        unit: Unit::Ratio,
        panels: subject
            .figures
            .mpms()
            .into_iter()
            .map(|mpm| panel(subject, mpm))
            .collect(),
    }
}

fn panel(subject: &Subject<'_>, mpm: Mpm) -> RankedPanel {
    let accepts = subject
        .typical(mpm)
        .map_or(&[][..], |run| &run.tasks.accepts_by_task);
    let who = match mpm {
        Mpm::Prefork => "children",
        Mpm::Worker | Mpm::Event => "listeners",
    };
    RankedPanel {
        name: format!("{mpm}: {who}"),
        style: style(mpm),
        values: mean(accepts).map_or_else(Vec::new, |mean| {
            accepts.iter().map(|&count| count as f64 / mean).collect()
        }),
        note: note(accepts),
    }
}

/// The mean, unless nothing was accepted.
fn mean(accepts: &[u64]) -> Option<f64> {
    let sum: u64 = accepts.iter().sum();
    (sum > 0).then(|| sum as f64 / accepts.len() as f64)
}

fn note(accepts: &[u64]) -> String {
    let (Some(gini), Some(mean), Some(most)) = (gini(accepts), mean(accepts), accepts.iter().max())
    else {
        return String::new();
    };
    format!(
        "mean {} · max/mean {:.1} · Gini {gini:.2}",
        Unit::Count.format(mean),
        *most as f64 / mean
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_note_tells_how_even_the_accepts_are() {
        assert_eq!(note(&[0, 0, 0, 8]), "mean 2 · max/mean 4.0 · Gini 0.75");
        assert_eq!(note(&[5]), "mean 5 · max/mean 1.0 · Gini 0.00");
        assert_eq!(note(&[0, 0]), "");
        assert_eq!(note(&[]), "");
    }
}
