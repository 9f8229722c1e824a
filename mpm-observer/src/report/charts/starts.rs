//! What came of the starts.

use plots::{Chart, Series, SeriesStyle, Stacked, StackedPanel, StackedRow, Unit};

use super::{ScenarioChart, Subject};
use crate::{
    correlate::RunAnalysis,
    findings::{StartResult, start_result},
    scenario::Mpm,
};

pub(super) const CHART: ScenarioChart = ScenarioChart {
    key: "starts",
    title: "Outcome of the starts",
    reading: "A start under a limit can be a race: each bar has all starts of one MPM, by how \
              many of its slots httpd came up with.",
    make: |subject| Box::new(make(subject)) as Box<dyn Chart>,
};

/// Starts of an MPM from which on their outcome is shown even if all were whole.
const MANY: usize = 6;

/// The outcomes from left to right, each with its colour.
const OUTCOMES: [(&str, usize); 5] = [
    ("all slots", 3),
    ("half of the slots or more", 1),
    ("fewer than half", 2),
    ("came up and ended", 4),
    ("did not start", 8),
];

/// Where a start did not come up whole, or there were many.
pub(super) fn applies(subject: &Subject<'_>) -> bool {
    let whole = |run: &RunAnalysis| start_result(run) == StartResult::Whole;
    let many = Mpm::ALL
        .into_iter()
        .any(|mpm| of_mpm(subject, mpm).count() >= MANY);
    many || subject.runs.iter().any(|(_, run)| !whole(run))
}

fn of_mpm<'a>(subject: &Subject<'a>, mpm: Mpm) -> impl Iterator<Item = &'a RunAnalysis> {
    let runs = subject.runs.iter().map(|(_, run)| run);
    runs.filter(move |run| run.manifest.mpm == mpm)
}

fn make(subject: &Subject<'_>) -> Stacked {
    let row = |mpm: Mpm| {
        let mut counts = [0.0; OUTCOMES.len()];
        let mut slots = Vec::new();
        for run in of_mpm(subject, mpm) {
            counts[place(run)] += 1.0;
            if let StartResult::Degraded { slots: some, .. } = start_result(run) {
                slots.push(some);
            }
        }
        slots.sort_unstable();
        let label = match (slots.first(), slots.last()) {
            (Some(least), Some(most)) if least == most => format!("{mpm} ({least} slots)"),
            (Some(least), Some(most)) => format!("{mpm} ({least} to {most} slots)"),
            _ => mpm.to_string(),
        };
        StackedRow {
            label,
            values: counts.to_vec(),
        }
    };
    let slots = subject.figures.slots();
    let wanted: Vec<String> = slots
        .iter()
        .map(|(mpm, slots)| format!("{mpm} {slots}"))
        .collect();
    Stacked {
        frame: subject
            .frame(
                "outcome of the starts",
                &format!(
                    "Number of starts. Slots asked for: {}. A slot is a child in prefork and a \
                     thread otherwise; a cold start that was refused nothing counts as whole.",
                    wanted.join(", ")
                ),
            )
            .size(1200, 460),
        unit: Unit::Count,
        segments: OUTCOMES
            .iter()
            .map(|(name, color)| Series::new(*name, SeriesStyle::segment(*color)))
            .collect(),
        panels: vec![StackedPanel {
            title: "starts".into(),
            rows: subject.figures.mpms().into_iter().map(row).collect(),
        }],
        normalised: false,
    }
}

/// The place of a run's outcome.
fn place(run: &RunAnalysis) -> usize {
    let plan = run.manifest.plan();
    let wanted = plan.map_or(0, |plan| plan.server.max_request_workers);
    match start_result(run) {
        StartResult::Whole => 0,
        StartResult::Degraded { slots, .. } if 2 * slots >= wanted => 1,
        StartResult::Degraded { .. } => 2,
        StartResult::Ended => 3,
        StartResult::Died => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{
        charts::tests::with_subject,
        made_up::{self, Figures},
    };

    #[test]
    fn each_start_is_counted_by_what_came_of_it() {
        let mut runs = vec![
            made_up::run(Mpm::Worker, 1, &Figures::default()),
            made_up::run(Mpm::Worker, 2, &Figures::default()),
            made_up::run(Mpm::Worker, 3, &Figures::default()),
            made_up::not_started(Mpm::Worker, 4),
        ];
        for (run, slots) in runs.iter_mut().zip([50, 25]) {
            run.manifest.start.all_slots = false;
            run.manifest.start.slots = Some(slots);
        }
        with_subject(runs, |subject| {
            assert!(applies(subject));
            let row = &make(subject).panels[0].rows[0];
            assert_eq!(row.label, "worker (25 to 50 slots)");
            assert_eq!(row.values, [1.0, 1.0, 1.0, 0.0, 1.0]);
        });
    }

    #[test]
    fn three_whole_starts_need_no_picture_and_six_do() {
        let whole = |count| {
            let runs = (1..=count).map(|n| made_up::run(Mpm::Event, n, &Figures::default()));
            runs.collect::<Vec<_>>()
        };
        with_subject(whole(3), |subject| assert!(!applies(subject)));
        with_subject(whole(6), |subject| assert!(applies(subject)));
    }
}
