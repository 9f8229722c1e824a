//! What was found, in words: a table, and one sentence.

use super::{
    found::{Found, Searched},
    kind::Kind,
    search::Border,
};
use crate::{text_table::aligned, wording::plural};

/// The heads of the table.
pub(super) const HEADS: [&str; 7] = [
    "MPM",
    "served from",
    "set by",
    "failed up to",
    "failures there",
    "failed at times",
    "trials",
];

impl Found {
    /// The table of what was found, a line for each MPM, with aligned columns.
    #[must_use]
    pub fn table(&self) -> String {
        let Some(kind) = self.kind() else {
            return String::new();
        };
        let mut rows = vec![HEADS.map(str::to_owned)];
        rows.extend(self.searches.iter().map(|one| row(kind, one)));
        aligned(&rows)
    }

    /// One plain sentence, such as `prefork needs 6.16 MB of address space per process, worker
    /// 512 MB, event 530 MB, for 75 slots and this load`.
    #[must_use]
    pub fn sentence(&self) -> String {
        let (Some(kind), Some(first)) = (self.kind(), self.searches.first()) else {
            return "nothing was tried".into();
        };
        let mut parts = Vec::new();
        for (index, one) in self.searches.iter().enumerate() {
            let need = need(kind, one);
            let part = if index == 0 {
                format!("{} needs {need} {}", one.mpm, kind.of_what)
            } else {
                format!("{} {need}", one.mpm)
            };
            parts.push(part);
        }
        let slots = first.plan.server.max_request_workers;
        let alike = self
            .searches
            .iter()
            .all(|one| one.plan.server.max_request_workers == slots);
        let slots = if alike {
            format!("{slots} slots")
        } else {
            "its slots".into()
        };
        format!("{}, for {slots} and this load", parts.join(", "))
    }

    /// What the reader has to know beside the table: failures above a value that had been safe,
    /// refused calls without a consequence, searches that did not come to their end.
    #[must_use]
    pub fn remarks(&self) -> Vec<String> {
        let Some(kind) = self.kind() else {
            return Vec::new();
        };
        self.searches
            .iter()
            .flat_map(|one| remarks(kind, one))
            .collect()
    }
}

/// The cells of an MPM, under [`HEADS`].
pub(super) fn row(kind: &Kind, one: &Searched) -> [String; 7] {
    let border = one.border;
    let served = border.smallest_served();
    let failing = border.highest_failing();
    let none = || "–".to_owned();
    let share = |value: u64| {
        one.tried(value).map_or_else(none, |tried| {
            format!(
                "{} of {} [{:.0}–{:.0} %]",
                tried.failures,
                tried.trials,
                100.0 * tried.low,
                100.0 * tried.high
            )
        })
    };
    [
        one.mpm.to_string(),
        served.map_or_else(none, |value| kind.read(value)),
        served.map_or_else(none, |value| kind.command(value)),
        failing.map_or_else(none, |value| kind.read(value)),
        failing.map_or_else(none, share),
        one.mixed
            .map_or_else(none, |(low, high)| zone(kind, low, high)),
        one.trials.len().to_string(),
    ]
}

fn zone(kind: &Kind, low: u64, high: u64) -> String {
    if low == high {
        kind.read(low)
    } else {
        format!("{}–{}", kind.read(low), kind.read(high))
    }
}

fn need(kind: &Kind, one: &Searched) -> String {
    match one.border {
        Border::Found {
            smallest_served, ..
        } => kind.read(smallest_served),
        Border::NeverFails { lowest_tried } => {
            format!("no more than {}", kind.read(lowest_tried))
        }
        Border::AlwaysFails { highest_tried } => format!("more than {}", kind.read(highest_tried)),
        Border::Unfinished {
            smallest_served: Some(value),
            ..
        } => format!("at most {} (search not finished)", kind.read(value)),
        Border::Unfinished {
            highest_failing: Some(value),
            ..
        } => format!("more than {} (search not finished)", kind.read(value)),
        Border::Unfinished { .. } => "not known (search not finished)".into(),
    }
}

fn remarks(kind: &Kind, one: &Searched) -> Vec<String> {
    let mpm = one.mpm;
    let mut remarks = Vec::new();
    if let Some(signs) = one
        .border
        .highest_failing()
        .and_then(|value| one.failure_at(value))
    {
        let value = one.border.highest_failing().unwrap_or_default();
        remarks.push(format!(
            "{mpm} at {}: {}",
            kind.read(value),
            signs.in_one_line()
        ));
    }
    for reversal in &one.reversals {
        remarks.push(format!(
            "{mpm} failed at {} although {} had been served: more is not always better here, or \
             the failure is rare",
            kind.read(reversal.failing),
            kind.read(reversal.safe)
        ));
    }
    let refused = one.border.smallest_served().and_then(|value| {
        let trials = one.trials.iter().filter(|trial| trial.value == value);
        trials
            .map(|trial| &trial.signs)
            .filter(|signs| signs.refused_calls > 0)
            .max_by_key(|signs| signs.refused_calls)
    });
    if let Some(signs) = refused {
        let calls = plural(u64::from(signs.refused_calls), "system call");
        let which = signs.refused_mostly.as_ref();
        let which = which.map_or_else(String::new, |which| format!(" ({which})"));
        remarks.push(format!(
            "{mpm} served, although {calls} at most were refused in a trial{which}; --strict \
             counts that as a failure"
        ));
    }
    if matches!(one.border, Border::Unfinished { .. }) && !one.trials.is_empty() {
        remarks.push(format!(
            "{mpm}: the search did not come to its end after {} trials",
            one.trials.len()
        ));
    }
    remarks
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{
        limit::{
            Trial,
            load::{Changes, plans},
            search::{Effort, Search},
            trial::{Counts, Signs},
        },
        scenario::Mpm,
    };

    /// Searches in worlds that serve from these values on.
    pub(in crate::limit) fn found(kind: &str, steps: [u64; 3]) -> Found {
        let kind = Kind::named(kind).unwrap();
        let plans = plans(None, &Mpm::ALL, Changes::default()).unwrap();
        let searches = plans.into_iter().zip(steps).map(|(plan, step)| {
            let range = kind.range_here().unwrap();
            let mut search = Search::new(range, Effort::new(5, 0.02));
            let mut trials = Vec::new();
            while let Some(value) = search.next() {
                let failed = value < step;
                search.note(value, failed);
                let ok = if failed { 0 } else { 1500 };
                trials.push(Trial {
                    value,
                    repetition: search.tallies()[&value].trials,
                    run: "run".into(),
                    kept: false,
                    took_ms: 400,
                    failed,
                    signs: Signs {
                        started: true,
                        requests: 1500,
                        ok,
                        ..Signs::default()
                    },
                });
            }
            Searched::of(plan, &search, trials)
        });
        let begun = Found::begin(kind, Counts::Consequences, &["limit".into()]);
        Found {
            repetitions: 5,
            precision: 0.02,
            searches: searches.collect(),
            ..begun
        }
    }

    #[test]
    fn the_sentence_has_the_need_of_each_mpm() {
        let found = found("nofile", [9, 30, 33]);
        assert_eq!(
            found.sentence(),
            "prefork needs 9 open files per process, worker 30, event 33, for 75 slots and this \
             load"
        );
    }

    #[test]
    fn what_never_or_always_fails_is_said_with_the_bound() {
        let found = found("nofile", [0, 1 << 40, 33]);
        let sentence = found.sentence();
        assert!(
            sentence.starts_with("prefork needs no more than 4 open"),
            "{sentence}"
        );
        assert!(sentence.contains("worker more than "), "{sentence}");
    }

    #[test]
    fn the_table_has_both_sides_of_the_border_and_the_share_of_failures() {
        let table = found("rlimit-as", [6000, 480_000, 500_000]).table();
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines.len(), 4);
        assert!(lines[0].starts_with("MPM      served from"), "{table}");
        assert!(lines[1].contains("ulimit -v"), "{table}");
        assert!(lines[2].contains("5 of 5 [57–100 %]"), "{table}");
    }

    #[test]
    fn a_remark_says_what_failed() {
        let remarks = found("nofile", [9, 30, 33]).remarks();
        assert_eq!(remarks[0], "prefork at 8: 1500 requests failed");
    }

    #[test]
    fn the_file_is_read_back_as_it_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let found = found("nofile", [9, 30, 33]);
        found.write(dir.path()).unwrap();
        assert_eq!(Found::read(dir.path()).unwrap(), found);
    }
}
