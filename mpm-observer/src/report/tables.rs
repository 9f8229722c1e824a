//! The tables of a scenario, ready to be set in any format.

use std::collections::BTreeMap;

use loadgen::Outcome;
use serde::Serialize;

use super::{
    figures::{LEAST_RUNS, RunFigures, ScenarioFigures},
    metrics::{Better, Digits, METRICS, Metric},
    text,
};
use crate::{
    correlate::{KernelOnly, Missing},
    scenario::Mpm,
};

/// A table over the MPMs.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Table {
    /// Its heading.
    pub title: String,
    /// One heading for each column after the first.
    pub columns: Vec<String>,
    /// The rows.
    pub rows: Vec<Row>,
    /// Remarks below it.
    pub notes: Vec<String>,
}

/// A row of a [`Table`].
#[derive(Clone, Debug, Serialize)]
pub(super) struct Row {
    /// What it shows.
    pub label: String,
    /// Explains the label; may be empty.
    pub hint: String,
    /// One for each column.
    pub cells: Vec<Cell>,
}

/// A cell of a [`Table`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Cell {
    /// The value.
    pub text: String,
    /// Its range over the repetitions; may be empty.
    pub range: String,
    /// Whether it is clearly apart from the others, and on which side.
    pub mark: Mark,
}

/// A clear difference from both others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Mark {
    /// None.
    #[default]
    None,
    /// On the better side.
    Better,
    /// On the worse side.
    Worse,
    /// Where neither side is better.
    Apart,
}

impl Cell {
    pub(super) fn plain(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            ..Self::default()
        }
    }
}

/// The remark on bold cells.
const MARKED: &str = "Median [least–greatest] over the repetitions. Bold: outside the range of \
                      both others in all repetitions.";

/// The figures that come first, below what the tutorial expects of each MPM.
pub(super) fn key_figures(figures: &ScenarioFigures) -> Table {
    let mut table = of_metrics(figures, "Expected and measured", |metric| {
        metric.is_key_figure
    });
    if let Some(tutorial) = &figures.notes.tutorial {
        let expected = |mpm| tutorial.expects.of(mpm).unwrap_or("–");
        let row = Row {
            label: "the tutorial expects".into(),
            hint: String::new(),
            cells: figures
                .mpms()
                .into_iter()
                .map(|mpm| Cell::plain(expected(mpm)))
                .collect(),
        };
        table.rows.insert(0, row);
    }
    table
}

/// The other figures.
pub(super) fn further_figures(figures: &ScenarioFigures) -> Table {
    of_metrics(figures, "All other figures", |metric| !metric.is_key_figure)
}

fn of_metrics(figures: &ScenarioFigures, title: &str, wanted: fn(&Metric) -> bool) -> Table {
    let mpms = figures.mpms();
    let rows = METRICS
        .iter()
        .filter(|metric| wanted(metric))
        // A figure that no run has is worth no line, such as the rate of a closed loop.
        .filter(|metric| metric.is_key_figure || figures.has(metric.key))
        .map(|metric| Row {
            label: metric.label.into(),
            hint: metric.meaning.into(),
            cells: metric_cells(figures, metric, &mpms),
        });
    let rows = rows.collect();
    let fewest = mpms.iter().map(|&mpm| figures.runs_of(mpm).count()).min();
    let mut notes = vec![MARKED.to_owned()];
    if fewest.is_some_and(|n| n < LEAST_RUNS) {
        notes.push(format!(
            "Nothing is bold, because fewer than {LEAST_RUNS} runs of an MPM say too little \
             about a difference."
        ));
    }
    Table {
        title: title.into(),
        columns: columns(figures),
        rows,
        notes,
    }
}

pub(super) fn columns(figures: &ScenarioFigures) -> Vec<String> {
    let heading = |mpm: Mpm| format!("{mpm} (n = {})", figures.runs_of(mpm).count());
    figures.mpms().into_iter().map(heading).collect()
}

/// The cells of a metric, one for each of these MPMs.
pub(super) fn metric_cells(
    figures: &ScenarioFigures,
    metric: &'static Metric,
    mpms: &[Mpm],
) -> Vec<Cell> {
    let extremes = [
        (figures.clear_extreme(metric.key, true), Better::More),
        (figures.clear_extreme(metric.key, false), Better::Less),
    ];
    let cell = |&mpm: &Mpm| {
        let runs = figures.runs_of(mpm).count();
        let Some(spread) = figures.spread(mpm, metric.key) else {
            return Cell::plain("–");
        };
        if metric.digits == Digits::YesNo {
            return Cell::plain(format!("{} of {runs}", figures.sum(mpm, metric.key)));
        }
        let mut range = text::range(metric, &spread)
            .map(|range| format!("[{range}]"))
            .unwrap_or_default();
        if spread.n < runs {
            range = format!("{range} n = {}", spread.n).trim().to_owned();
        }
        let side = extremes
            .iter()
            .find(|(extreme, _)| *extreme == Some(mpm))
            .map(|(_, side)| *side);
        Cell {
            text: text::value(metric, spread.median),
            range,
            mark: match side {
                None => Mark::None,
                Some(_) if metric.better == Better::Neither => Mark::Apart,
                Some(side) if metric.better == side => Mark::Better,
                Some(_) => Mark::Worse,
            },
        }
    };
    mpms.iter().map(cell).collect()
}

/// A row of sums over the runs of each MPM.
fn sums(figures: &ScenarioFigures, label: &str, of: impl Fn(&RunFigures) -> u64) -> Row {
    let sum = |mpm| figures.runs_of(mpm).map(&of).sum();
    Row {
        label: label.into(),
        hint: String::new(),
        cells: figures
            .mpms()
            .into_iter()
            .map(|mpm| Cell::plain(text::whole(sum(mpm))))
            .collect(),
    }
}

/// How the attempts ended; outcomes that did not occur are left out.
pub(super) fn outcomes(figures: &ScenarioFigures) -> Table {
    let mut meanings: BTreeMap<usize, (String, String)> = BTreeMap::new();
    for name in figures.runs.iter().flat_map(|run| run.outcomes.keys()) {
        // A later version may know more outcomes: they come last, by the name they have.
        let known = Outcome::ALL
            .into_iter()
            .enumerate()
            .find(|(_, outcome)| outcome.name() == name);
        let (place, meaning) = match known {
            Some((place, outcome)) => (place, outcome.meaning().to_owned()),
            None => (meanings.len() + Outcome::ALL.len(), name.clone()),
        };
        if !meanings.values().any(|(known, _)| known == name) {
            meanings.insert(place, (name.clone(), meaning));
        }
    }
    Table {
        title: "Outcomes of the attempts".into(),
        columns: columns(figures),
        rows: meanings
            .values()
            .map(|(name, meaning)| {
                sums(figures, meaning, |run| {
                    run.outcomes.get(name).copied().unwrap_or(0)
                })
            })
            .collect(),
        notes: vec!["Sums over the repetitions.".into()],
    }
}

/// Causes why a request was not joined, in words.
pub(super) const MISSING: [(Missing, &str, &str); 3] = [
    (
        Missing::Connection,
        "no_connection",
        "not joined: connection not seen by the probes",
    ),
    (
        Missing::Request,
        "no_request",
        "not joined: request not seen in its connection",
    ),
    (
        Missing::Incomplete,
        "incomplete",
        "not joined: record without pick-up or answer",
    ),
];

/// Causes why a kernel row has no partner, in words.
pub(super) const KERNEL_ONLY: [(KernelOnly, &str, &str); 3] = [
    (
        KernelOnly::Observer,
        "observer",
        "kernel only: the observer's own requests",
    ),
    (
        KernelOnly::Held,
        "held",
        "kernel only: of the slow clients beside the load",
    ),
    (
        KernelOnly::Other,
        "other",
        "kernel only: of no known client",
    ),
];

/// What of both sides was brought together, and what not, by cause.
pub(super) fn join(figures: &ScenarioFigures) -> Table {
    let mut rows = vec![sums(figures, "requests seen from both sides", |run| {
        run.joined
    })];
    rows.extend(MISSING.iter().map(|(cause, _, label)| {
        sums(figures, label, |run| {
            run.missing.get(cause).copied().unwrap_or(0)
        })
    }));
    rows.extend(KERNEL_ONLY.iter().map(|(cause, _, label)| {
        sums(figures, label, |run| {
            run.kernel_only.get(cause).copied().unwrap_or(0)
        })
    }));
    Table {
        title: "Join of client and kernel".into(),
        columns: columns(figures),
        rows,
        notes: vec![
            "Sums over the repetitions. Failed requests are joined where the kernel saw them; \
             only successful ones are listed as not joined."
                .into(),
        ],
    }
}

/// The books of the probes.
pub(super) fn losses(figures: &ScenarioFigures) -> Table {
    let row = |label: &str, of: fn(&RunFigures) -> u64| sums(figures, label, of);
    Table {
        title: "Books of the probes".into(),
        columns: columns(figures),
        rows: vec![
            row("records that the programs made", |run| {
                run.counters.books.iter().map(|book| book.sent).sum()
            }),
            row("… received", |run| {
                run.counters.books.iter().map(|book| book.received).sum()
            }),
            row("… lost", |run| {
                run.counters.books.iter().map(|book| book.lost).sum()
            }),
            row("records that could not be read", |run| {
                run.counters.unreadable
            }),
            row("connections established", |run| {
                run.counters.conns_established
            }),
            row("… not followed, no room", |run| {
                run.counters.conns_unfollowed
            }),
            row("tasks not followed, no room", |run| {
                run.counters.tasks_unfollowed
            }),
            row("program runs skipped by the kernel", |run| {
                run.counters.skipped()
            }),
            row("runs whose books do not close", |run| {
                u64::from(!run.counters.balanced())
            }),
        ],
        notes: vec!["Sums over the repetitions. The books close if made = received + lost. A run is skipped when the same program is interrupted on its CPU; it may have been for another socket than httpd's.".into()],
    }
}

/// What httpd said: codes of its log and why it did not start.
pub(super) fn messages(figures: &ScenarioFigures) -> Table {
    let in_runs = |mpm: Mpm, of: fn(&RunFigures) -> Vec<String>| {
        let runs = figures.runs_of(mpm).count();
        let mut counts: Vec<(String, usize)> = Vec::new();
        for text in figures.runs_of(mpm).flat_map(of) {
            match counts.iter_mut().find(|(known, _)| *known == text) {
                Some((_, count)) => *count += 1,
                None => counts.push((text, 1)),
            }
        }
        let each: Vec<String> = counts
            .into_iter()
            .map(|(text, count)| format!("{text} ({count} of {runs})"))
            .collect();
        Cell::plain(if each.is_empty() {
            "–".into()
        } else {
            each.join(", ")
        })
    };
    let row = |label: &str, of: fn(&RunFigures) -> Vec<String>| Row {
        label: label.into(),
        hint: String::new(),
        cells: figures
            .mpms()
            .into_iter()
            .map(|mpm| in_runs(mpm, of))
            .collect(),
    };
    Table {
        title: "What httpd said".into(),
        columns: columns(figures),
        rows: vec![
            row("warnings and errors in its log", |run| {
                run.log_codes.clone()
            }),
            row("why it did not start", |run| {
                run.start_failure
                    .iter()
                    .map(|why| text::without_middle(why))
                    .collect()
            }),
        ],
        notes: vec!["In brackets: in how many of the runs.".into()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{
        figures::tests::scenario,
        made_up::{self, Figures, three_of_each},
    };

    fn three_sizes() -> ScenarioFigures {
        scenario(three_of_each(|mpm, repetition| Figures {
            cgroup_bytes: Some([26, 9, 8][mpm as usize] * 1_000_000 + u64::from(repetition)),
            ..Figures::default()
        }))
    }

    fn row<'a>(table: &'a Table, label: &str) -> &'a Row {
        let found = table.rows.iter().find(|row| row.label == label);
        found.unwrap_or_else(|| panic!("no row {label}"))
    }

    #[test]
    fn what_is_clearly_apart_is_marked_by_its_side() {
        let table = key_figures(&three_sizes());
        let marks: Vec<Mark> = row(&table, "memory, maximum")
            .cells
            .iter()
            .map(|cell| cell.mark)
            .collect();
        assert_eq!(marks, [Mark::Worse, Mark::None, Mark::Better]);
        assert!(
            row(&table, "latency, p99")
                .cells
                .iter()
                .all(|cell| cell.mark == Mark::None)
        );
        assert_eq!(
            table.columns,
            ["prefork (n = 3)", "worker (n = 3)", "event (n = 3)"]
        );
    }

    #[test]
    fn with_two_runs_nothing_is_marked_and_the_table_says_why() {
        let mut figures = three_sizes();
        figures.runs.retain(|run| run.repetition < 3);
        let table = key_figures(&figures);
        let cells = || table.rows.iter().flat_map(|row| &row.cells);
        assert!(cells().all(|cell| cell.mark == Mark::None));
        assert!(
            table
                .notes
                .iter()
                .any(|note| note.contains("fewer than 3 runs"))
        );
    }

    #[test]
    fn the_expectation_of_the_tutorial_stands_above_the_figures() {
        let table = key_figures(&three_sizes());
        assert_eq!(table.rows[0].label, "the tutorial expects");
        assert!(table.rows[0].cells[0].text.starts_with("Fails"));
        assert_eq!(table.rows[0].cells[1].text, "–");
    }

    #[test]
    fn runs_without_a_value_are_counted_in_the_cell() {
        let mut runs = three_of_each(|_, _| Figures::default());
        runs[5] = made_up::not_started(Mpm::Worker, 3);
        let figures = scenario(runs);
        let table = key_figures(&figures);
        assert_eq!(row(&table, "httpd started").cells[1].text, "2 of 3");
        assert_eq!(row(&table, "memory, maximum").cells[1].range, "n = 2");
        let said = messages(&figures);
        assert_eq!(
            said.rows[0].cells[1].text,
            "AH03104 (1 of 3), AH02324 (1 of 3)"
        );
        assert_eq!(
            said.rows[1].cells[1].text,
            "no child became healthy (1 of 3)"
        );
        assert_eq!(said.rows[1].cells[0].text, "–");
    }

    #[test]
    fn outcomes_and_joins_are_summed_over_the_repetitions() {
        let figures = three_sizes();
        let table = outcomes(&figures);
        assert_eq!(row(&table, "answered with 2xx or 3xx").cells[0].text, "300");
        assert_eq!(row(&table, "timed out").cells[0].text, "6");
        assert_eq!(
            row(&table, "met a stale keep-alive connection").cells[0].text,
            "3"
        );
        let joined = join(&figures);
        assert_eq!(
            row(&joined, "requests seen from both sides").cells[0].text,
            "297"
        );
        assert_eq!(
            row(&joined, "not joined: connection not seen by the probes").cells[2].text,
            "3"
        );
    }

    #[test]
    fn an_outcome_of_a_later_version_is_shown_by_its_name() {
        let mut figures = three_sizes();
        figures.runs[0].outcomes.insert("teleported".into(), 4);
        let table = outcomes(&figures);
        assert_eq!(table.rows.last().unwrap().label, "teleported");
        assert_eq!(table.rows.last().unwrap().cells[0].text, "4");
    }
}
