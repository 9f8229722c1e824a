//! Where the time of the mean request goes, phase by phase, with what is not accounted for.

use plots::Unit;

use super::{
    figures::{RunFigures, ScenarioFigures},
    tables::{Cell, Row, Table, columns},
};
use crate::{
    correlate::{Phase, Phases},
    scenario::Mpm,
};

/// Sums over the requests of a run that were seen from both sides and that no loss touched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct PhaseSums {
    /// How many.
    requests: u64,
    /// By number of the phase, ns.
    by_phase_ns: Vec<u64>,
    /// Wall time, ns.
    wall_ns: u64,
    /// Wall time minus all phases, request by request and without sign, ns.
    residual_ns: u64,
}

impl PhaseSums {
    /// Of these requests.
    pub fn of(requests: &[Phases]) -> Self {
        Self {
            requests: requests.len() as u64,
            by_phase_ns: Phase::ALL
                .into_iter()
                .map(|phase| requests.iter().map(|request| request.get(phase)).sum())
                .collect(),
            wall_ns: requests.iter().map(|request| request.wall_ns).sum(),
            residual_ns: requests
                .iter()
                .map(|request| request.residual_ns().unsigned_abs())
                .sum(),
        }
    }
}

/// The table: a row for each phase that occurred, the residual, and the whole.
pub(super) fn phase_table(figures: &ScenarioFigures) -> Table {
    let row = |label: &str, hint: &str, of: &dyn Fn(&PhaseSums) -> u64| Row {
        label: label.into(),
        hint: hint.into(),
        cells: figures
            .mpms()
            .into_iter()
            .map(|mpm| Cell::plain(mean(figures, mpm, of)))
            .collect(),
    };
    let mut rows: Vec<Row> = Phase::ALL
        .into_iter()
        .filter(|&phase| figures.total(|run| of_phase(&run.phases, phase)) > 0)
        .map(|phase| row(phase.name(), phase.meaning(), &|sums| of_phase(sums, phase)))
        .collect();
    rows.push(row(
        "residual",
        "what no phase accounts for, without its sign",
        &|sums| sums.residual_ns,
    ));
    rows.push(row(
        "whole request",
        "from the request's begin at the client to the last byte of its answer",
        &|sums| sums.wall_ns,
    ));
    Table {
        title: "Where the time of the mean request goes".into(),
        columns: columns(figures),
        rows,
        notes: vec![
            "Means over all successful requests that were seen from both sides, of all \
             repetitions. A mean is ruled by the slowest requests; the picture shows those near \
             the median and in the tail."
                .into(),
        ],
    }
}

fn of_phase(sums: &PhaseSums, phase: Phase) -> u64 {
    sums.by_phase_ns.get(phase as usize).copied().unwrap_or(0)
}

fn mean(figures: &ScenarioFigures, mpm: Mpm, of: &dyn Fn(&PhaseSums) -> u64) -> String {
    let sum = |of: &dyn Fn(&RunFigures) -> u64| figures.runs_of(mpm).map(of).sum::<u64>();
    let requests = sum(&|run| run.phases.requests);
    if requests == 0 {
        return "\u{2013}".into();
    }
    match sum(&|run| of(&run.phases)) {
        0 => "0".into(),
        total => Unit::Nanoseconds.format(total as f64 / requests as f64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{
        charts::tests::with_subject,
        made_up::{Figures, three_of_each},
    };

    #[test]
    fn the_rows_are_the_phases_that_occurred_the_residual_and_the_whole() {
        with_subject(three_of_each(|_, _| Figures::default()), |subject| {
            let table = phase_table(subject.figures);
            let labels: Vec<&str> = table.rows.iter().map(|row| row.label.as_str()).collect();
            assert!(labels.contains(&"accept queue") && !labels.contains(&"stopped"));
            assert_eq!(labels[labels.len() - 2..], ["residual", "whole request"]);
            let cell = |label: &str| {
                let row = table.rows.iter().find(|row| row.label == label).unwrap();
                row.cells[0].text.clone()
            };
            assert_eq!(cell("accept queue"), "100 µs");
            assert_eq!(cell("residual"), "0");
        });
    }
}
