//! The testimonies in words.

use serde::Serialize;

use super::{Incident, Shown, Testimony, Witness, incident::Measure};

/// A line of the table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WitnessRow {
    /// Scenario and MPM.
    pub run: String,
    /// What happened, by the recording.
    pub truth: String,
    /// What mod_status' metrics showed.
    pub mod_status: String,
    /// What the kernel's metrics showed.
    pub kernel: String,
}

/// The table, a line for each incident; of repetitions the first one.
#[must_use]
pub fn rows(witness: &Witness) -> Vec<WitnessRow> {
    let firsts = witness.testimonies.iter().filter(|of| of.repetition == 1);
    firsts.map(row).collect()
}

fn row(of: &Testimony) -> WitnessRow {
    let truth = &of.truth;
    let length_s = truth.until_ns.saturating_sub(truth.from_ns) as f64 / 1e9;
    let within = match of.incident {
        // Its amount is a length.
        Incident::ClientsWait => String::new(),
        _ if length_s < 0.05 => " at once".into(),
        _ => format!(" within {} s", decimal(length_s, 1)),
    };
    let most = match of.incident.is_level() {
        true => "at most ",
        false => "",
    };
    let by_mod_status = match (of.mod_status, of.incident.of_mod_status(), of.silent) {
        (Some(shown), Some(_), Some(1.0)) if shown.after_s.is_none() => "was silent".into(),
        (Some(shown), Some(question), Some(silent)) if silent > 0.0 => format!(
            "{}; silent for {} % of the time",
            in_words(shown, question.measure),
            decimal(100.0 * silent, 0)
        ),
        (Some(shown), Some(question), _) => in_words(shown, question.measure),
        _ => "has no metric of it".into(),
    };
    WitnessRow {
        run: format!("{}, {}", of.scenario, of.mpm),
        truth: format!(
            "{}: {most}{}{within}",
            of.incident.title(),
            of.incident.measure().in_words(truth.amount),
        ),
        mod_status: by_mod_status,
        kernel: in_words(of.kernel, of.incident.measure()),
    }
}

/// A number without needless decimals.
fn decimal(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// What one side showed.
fn in_words(shown: Shown, measure: Measure) -> String {
    let largest = shown
        .largest
        .map(|largest| format!("at most {}", measure.in_words(largest)));
    match (shown.after_s, largest) {
        (Some(after_s), Some(largest)) => {
            format!("showed it after {} s: {largest}", decimal(after_s, 1))
        }
        (Some(after_s), None) => format!("showed it after {} s", decimal(after_s, 1)),
        (None, Some(largest)) => format!("did not show it ({largest})"),
        (None, None) => "did not show it: no value".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{scenario::Mpm, witness::Truth};

    fn testimony(incident: Incident, mod_status: Option<Shown>) -> Testimony {
        Testimony {
            scenario: "overload".into(),
            mpm: Mpm::Worker,
            repetition: 1,
            incident,
            truth: Truth {
                from_ns: 1_000_000_000,
                until_ns: 9_500_000_000,
                amount: 120.0,
            },
            mod_status,
            kernel: Shown {
                after_s: Some(0.6),
                largest: Some(118.0),
            },
            silent: Some(0.75),
        }
    }

    fn only(testimony: Testimony) -> WitnessRow {
        rows(&Witness::new(1.0, vec![testimony])).remove(0)
    }

    #[test]
    fn what_has_no_metric_is_told_apart_from_what_did_not_show() {
        let row = only(testimony(Incident::QueueOverflow, None));
        assert_eq!(row.run, "overload, worker");
        assert_eq!(
            row.truth,
            "the accept queue overflows: 120 packets turned away within 8.5 s"
        );
        assert_eq!(row.mod_status, "has no metric of it");
        assert_eq!(
            row.kernel,
            "showed it after 0.6 s: at most 118 packets turned away"
        );
        let missed = Shown {
            after_s: None,
            largest: Some(7.0),
        };
        let row = only(testimony(Incident::ClientsWait, Some(missed)));
        assert_eq!(
            row.truth,
            "clients wait for a slot: at most 120.0 s of waiting"
        );
        assert!(
            row.mod_status
                .starts_with("did not show it (at most 7 busy workers); silent for 75 %")
        );
        let silent = Testimony {
            silent: Some(1.0),
            ..testimony(Incident::ClientsWait, Some(Shown::default()))
        };
        assert_eq!(only(silent).mod_status, "was silent");
        let row = only(testimony(Incident::IdleHoldSlots, Some(Shown::default())));
        assert!(row.mod_status.starts_with("did not show it: no value"));
    }

    #[test]
    fn what_lasts_no_time_happens_at_once() {
        let mut brief = testimony(Incident::ChildrenDied, None);
        brief.truth.until_ns = brief.truth.from_ns;
        brief.truth.amount = 3.0;
        assert_eq!(only(brief).truth, "children die: 3 children at once");
    }

    #[test]
    fn numbers_have_no_needless_decimals() {
        assert_eq!(decimal(120.0, 1), "120");
        assert_eq!(decimal(0.62, 1), "0.6");
        assert_eq!(decimal(75.4, 0), "75");
    }

    #[test]
    fn only_first_repetitions_are_in_the_table() {
        let second = Testimony {
            repetition: 2,
            ..testimony(Incident::QueueOverflow, None)
        };
        assert!(rows(&Witness::new(1.0, vec![second])).is_empty());
    }
}
