//! What an experiment comes to in one line, and what its reader has to be warned of.

use super::{
    data::Contents,
    figures::ScenarioFigures,
    statements::Statements,
    text::{listing, percent, plural, whole},
};
use crate::{correlate::RateKept, scenario::Mpm, statistics::Interval};

/// From this share of successful requests on, a scenario counts as joined.
const WELL_JOINED_PERCENT: f64 = 99.9;

/// One plain sentence.
pub(super) fn one_line(scenarios: &[ScenarioFigures], statements: &Statements) -> String {
    if scenarios.is_empty() {
        return "no run that can be compared".into();
    }
    let total = |key: &'static str| -> u64 {
        let of = |figures: &ScenarioFigures| figures.total(|run| run.count(key));
        scenarios.iter().map(of).sum()
    };
    let runs: usize = scenarios.iter().map(|figures| figures.runs.len()).sum();
    let mut parts = vec![format!(
        "{}, {}",
        plural(runs as u64, "run"),
        plural(scenarios.len() as u64, "scenario")
    )];
    let ok = total("ok_requests");
    let missing: u64 = scenarios.iter().map(missing).sum();
    let joined = if ok > 0 {
        let share = 100.0 * (1.0 - missing as f64 / ok as f64);
        format!("{} of the successful requests joined, ", percent(share))
    } else {
        "no request was successful, ".into()
    };
    let lost = plural(total("events_lost"), "event");
    parts.push(format!("{joined}{lost} lost"));
    parts.push(failures(scenarios));
    parts.push(fastest(scenarios));
    let verdicts = statements.tally.in_words();
    if !verdicts.is_empty() {
        parts.push(verdicts);
    }
    let [runs, rest @ ..] = parts.as_slice() else {
        return String::new();
    };
    format!("{runs}: {}", rest.join("; "))
}

fn missing(figures: &ScenarioFigures) -> u64 {
    figures.total(|run| run.missing.values().sum())
}

fn failures(scenarios: &[ScenarioFigures]) -> String {
    let failed = |mpm: Mpm| {
        let by_scenario: Vec<(&str, u64)> = scenarios
            .iter()
            .map(|figures| (&*figures.notes.name, figures.sum(mpm, "failed_requests")))
            .filter(|(_, failed)| *failed > 0)
            .collect();
        let sum: u64 = by_scenario.iter().map(|(_, failed)| failed).sum();
        let place = match by_scenario.as_slice() {
            [] => return None,
            [(scenario, _)] => (*scenario).to_owned(),
            many => plural(many.len() as u64, "scenario"),
        };
        Some(format!("{} with {mpm} ({place})", whole(sum)))
    };
    let each: Vec<String> = Mpm::ALL.into_iter().filter_map(failed).collect();
    if each.is_empty() {
        "no request failed".into()
    } else {
        format!("failed requests: {}", listing(&each))
    }
}

fn fastest(scenarios: &[ScenarioFigures]) -> String {
    let leads = |mpm: Mpm| {
        let count = scenarios
            .iter()
            .filter(|figures| figures.clear_extreme("requests_per_s", true) == Some(mpm))
            .count();
        (count > 0).then(|| format!("{mpm} in {count}"))
    };
    let each: Vec<String> = Mpm::ALL.into_iter().filter_map(leads).collect();
    if each.is_empty() {
        return "no MPM clearly fastest".into();
    }
    let of = plural(scenarios.len() as u64, "scenario");
    format!("clearly fastest: {} of {of}", listing(&each))
}

/// What makes figures doubtful or incomplete, the gravest first.
pub(super) fn warnings(contents: &Contents, scenarios: &[ScenarioFigures]) -> Vec<String> {
    let experiment = &contents.experiment;
    let mut warnings = Vec::new();
    let made = experiment.runs.len();
    if experiment.interrupted || made < experiment.planned as usize {
        warnings.push(format!(
            "The experiment was not completed: {made} of {} planned runs were begun.",
            experiment.planned
        ));
    }
    if !experiment.skipped.is_empty() {
        let count = experiment.skipped.len() as u64;
        warnings.push(format!(
            "This machine cannot run {}; the list is at the end.",
            plural(count, "scenario")
        ));
    }
    if !contents.left_out.is_empty() {
        warnings.push(format!(
            "Left out of all figures: {}; the list is at the end.",
            plural(contents.left_out.len() as u64, "run")
        ));
    }
    let least = Interval::MIN_VALUES;
    let few = |figures: &&ScenarioFigures| {
        let mpms = figures.mpms();
        mpms.iter().any(|&mpm| figures.runs_of(mpm).count() < least)
    };
    let few = names(scenarios.iter().filter(few));
    if !few.is_empty() {
        warnings.push(format!(
            "Fewer than {least} runs of an MPM in {}: too few for an interval, so no amount is \
             judged there.",
            listing(&few)
        ));
    }
    for figures in scenarios {
        warnings.extend(doubts(figures));
    }
    if !contents.setting.absent_programs.is_empty() {
        warnings.push(format!(
            "This kernel refused optional probes, whose figures are missing: {}.",
            listing(&contents.setting.absent_programs)
        ));
    }
    warnings
}

/// An open loop whose requests did not begin when they were due, by the worst run of each MPM.
fn missed_rate(figures: &ScenarioFigures) -> Option<String> {
    let missed: Vec<String> = figures
        .mpms()
        .into_iter()
        .filter_map(|mpm| {
            let missed = figures.runs_of(mpm).filter_map(|run| run.rate);
            let worst = missed
                .filter(RateKept::is_missed)
                .min_by(|a, b| a.reached_per_s.unwrap_or(0.0).total_cmp(&b.reached_per_s.unwrap_or(0.0)))?;
            let reached = worst.reached_per_s.map_or("none".into(), |reached| format!("{reached:.0}"));
            Some(format!(
                "{mpm} {reached}/s, {} of the requests waited for a free connection, {} never began",
                percent(100.0 * worst.waited_share),
                whole(worst.unsent)
            ))
        })
        .collect();
    let asked = figures.runs.iter().find_map(|run| run.rate)?.asked_per_s;
    (!missed.is_empty()).then(|| {
        format!(
            "{}: THE ASKED RATE of {asked:.0}/s WAS MISSED, worst runs: {}. Latencies count from \
             when requests were due and contain that wait.",
            figures.notes.title,
            missed.join("; ")
        )
    })
}

/// What makes the figures of one scenario doubtful.
fn doubts(figures: &ScenarioFigures) -> Vec<String> {
    let title = &figures.notes.title;
    let runs = plural(figures.runs.len() as u64, "run");
    let mut doubts = Vec::new();
    let busy: Vec<String> = figures
        .mpms()
        .into_iter()
        .map(|mpm| {
            (
                mpm,
                figures
                    .runs_of(mpm)
                    .filter(|run| run.client_was_busy)
                    .count(),
            )
        })
        .filter(|(_, busy)| *busy > 0)
        .map(|(mpm, busy)| format!("{mpm} {busy} of {}", figures.runs_of(mpm).count()))
        .collect();
    if !busy.is_empty() {
        doubts.push(format!(
            "{title}: the client was the bottleneck ({}), so httpd may be faster than measured.",
            busy.join(", ")
        ));
    }
    doubts.extend(missed_rate(figures));
    let lost = figures.total(|run| run.counters.lost());
    if lost > 0 {
        doubts.push(format!("{title}: {} were lost.", plural(lost, "event")));
    }
    let touched = figures.total(|run| run.conservation.touched);
    if touched > 0 {
        doubts.push(format!(
            "{title}: {} touched by a loss and left out of all figures of phases.",
            match touched {
                1 => "1 request was".to_owned(),
                touched => format!("{} requests were", whole(touched)),
            }
        ));
    }
    let unbalanced = figures.total(|run| u64::from(!run.counters.balanced()));
    if unbalanced > 0 {
        doubts.push(format!(
            "{title}: the probes' books do not close in {unbalanced} of {runs}."
        ));
    }
    let ok = figures.total(|run| run.count("ok_requests"));
    let joined = 100.0 * (1.0 - missing(figures) as f64 / ok.max(1) as f64);
    if joined < WELL_JOINED_PERCENT {
        doubts.push(format!(
            "{title}: only {} of the successful requests were seen from both sides.",
            percent(joined)
        ));
    }
    let unreadable = figures.total(|run| run.unreadable.len() as u64);
    if unreadable > 0 {
        doubts.push(format!(
            "{title}: {} of the recording cannot be read; the list is at the end.",
            plural(unreadable, "part")
        ));
    }
    let left = figures.total(|run| u64::from(!run.server_gone));
    if left > 0 {
        doubts.push(format!(
            "{title}: in {left} of {runs} httpd was not seen to be gone afterwards."
        ));
    }
    doubts
}

fn names<'a>(scenarios: impl Iterator<Item = &'a ScenarioFigures>) -> Vec<String> {
    scenarios
        .map(|figures| figures.notes.title.clone())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Book;
    use crate::report::{
        figures::tests::scenario,
        made_up::{self, Figures, of_each, three_of_each},
    };

    fn line(scenarios: &[ScenarioFigures]) -> String {
        one_line(scenarios, &Statements::of(scenarios))
    }

    #[test]
    fn the_line_tells_runs_joins_losses_failures_leads_and_verdicts() {
        let slow = scenario(three_of_each(|mpm, _| Figures {
            failed: if mpm == Mpm::Worker { 2 } else { 0 },
            load_ns: if mpm == Mpm::Event {
                1_000_000_000
            } else {
                2_000_000_000
            },
            ..Figures::default()
        }));
        let even = scenario(of_each(6, |_, _| Figures {
            failed: 0,
            ..Figures::default()
        }));
        assert_eq!(
            line(&[slow, even]),
            "27 runs, 2 scenarios: 99.00 % of the successful requests joined, 0 events lost; \
             failed requests: 6 with worker (high-load); clearly fastest: event in 1 of 2 \
             scenarios; of 4 claims 2 no difference, 2 undecided"
        );
    }

    #[test]
    fn the_line_claims_nothing_where_nothing_was_seen() {
        let none = scenario(vec![made_up::not_started(Mpm::Event, 1)]);
        assert_eq!(
            line(&[none]),
            "1 run, 1 scenario: no request was successful, 0 events lost; failed requests: 100 \
             with event (high-load); no MPM clearly fastest; of 2 claims 2 not judged"
        );
        assert_eq!(line(&[]), "no run that can be compared");
    }

    #[test]
    fn every_doubt_is_told() {
        let mut figures = scenario(three_of_each(|_, _| Figures::default()));
        figures.runs[0].client_was_busy = true;
        figures.runs[0].rate = Some(RateKept {
            asked_per_s: 1000.0,
            reached_per_s: Some(800.4),
            unsent: 7,
            waited_share: 0.25,
        });
        figures.runs[1].counters.books.push(Book {
            program: "sock_recv_length".into(),
            what: "requests".into(),
            sent: 9,
            lost: 2,
            received: 6,
        });
        figures.runs[1].conservation.touched = 3;
        figures.runs[2].unreadable.push("part".into());
        figures.runs[3].server_gone = false;
        let doubts = doubts(&figures).join("\n");
        for expected in [
            "the client was the bottleneck (prefork 1 of 3)",
            "THE ASKED RATE of 1000/s WAS MISSED, worst runs: prefork 800/s, 25.00 % of the \
             requests waited for a free connection, 7 never began",
            "2 events were lost",
            "3 requests were touched by a loss and left out",
            "the probes' books do not close in 1 of 9 runs",
            "only 99.00 % of the successful requests",
            "1 part of the recording cannot be read",
            "in 1 of 9 runs httpd was not seen to be gone",
        ] {
            assert!(doubts.contains(expected), "{expected}\n{doubts}");
        }
    }
}
