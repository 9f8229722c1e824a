//! The table of the wakers.

use std::collections::BTreeSet;

use plots::Unit;

use super::TraceFigures;
use crate::{
    report::{
        tables::{Cell, Row, Table},
        text::whole,
    },
    trace::{State, WaitKind},
};

/// Who woke whom, over the MPMs; `None` without a trace.
pub(in crate::report) fn wakers(traces: &[TraceFigures]) -> Option<Table> {
    let first = traces.first()?;
    let count = |label: &str, of: fn(&TraceFigures) -> u64| Row {
        label: label.into(),
        hint: String::new(),
        cells: traces
            .iter()
            .map(|trace| cell(whole(of(trace)), String::new()))
            .collect(),
    };
    let mut rows = vec![
        count("requests wholly in the trace", |trace| trace.whole_requests),
        count("… in part", |trace| trace.requests - trace.whole_requests),
        count("events received", |trace| trace.events),
        count("… lost", |trace| trace.lost),
        count("gaps in the tasks' states", |trace| trace.gaps),
    ];
    let kinds: BTreeSet<WaitKind> = traces
        .iter()
        .flat_map(|trace| trace.waits.keys().copied())
        .collect();
    rows.extend(kinds.into_iter().map(|kind| {
        Row {
            label: format!(
                "{}, {}: woken by {}",
                kind.part.name(),
                State::Blocked(kind.blocked).name(),
                kind.waker.name()
            ),
            hint: String::new(),
            cells: traces
                .iter()
                .map(|trace| match trace.waits.get(&kind) {
                    Some(waits) => cell(
                        whole(waits.count),
                        format!("({})", Unit::Nanoseconds.format(waits.total_ns as f64)),
                    ),
                    None => cell("–".into(), String::new()),
                })
                .collect(),
        }
    }));
    let window = Unit::Nanoseconds.format(first.window_ns as f64);
    Some(Table {
        title: "Who woke whom".into(),
        columns: traces.iter().map(|trace| trace.mpm.to_string()).collect(),
        rows,
        notes: vec![format!(
            "From a trace of {window} of one run of each MPM. Number of blocked waits, in \
             brackets their time within the requests. Before pick-up: of the task that picked the request up, \
             from the arrival of its bytes on. Before hand-off: likewise of the task that accepted \
             it, or of the listener that woke that one. In service: between the reads and sends of one task; waits while \
             a request was between two tasks are none."
        )],
    })
}

fn cell(text: String, range: String) -> Cell {
    Cell {
        text,
        range,
        ..Cell::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::tests::made_up;

    #[test]
    fn each_kind_of_wait_is_a_row_with_number_and_time() {
        let figures = TraceFigures::of(&made_up(), "a.event.perfetto-trace".into());
        let table = wakers(&[figures]).unwrap();
        let rows: Vec<(&str, &str, &str)> = table
            .rows
            .iter()
            .map(|row| {
                let cell = &row.cells[0];
                (row.label.as_str(), cell.text.as_str(), cell.range.as_str())
            })
            .collect();
        assert_eq!(rows[0], ("requests wholly in the trace", "1", ""));
        assert_eq!(
            rows[5..],
            [
                (
                    "before hand-off, blocked: poll: woken by kernel's network",
                    "1",
                    "(9 ns)"
                ),
                (
                    "before pick-up, blocked: futex: woken by listener",
                    "1",
                    "(49 ns)"
                ),
                (
                    "in service, blocked: futex: woken by timer",
                    "1",
                    "(100 ns)"
                ),
            ]
        );
        assert!(wakers(&[]).is_none());
    }
}
