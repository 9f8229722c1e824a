//! The charts of the tutorial's statements: effects with their intervals.

use plots::{Chart, Estimate, Frame, IntervalRow, Intervals, SeriesStyle, Unit};

use crate::{
    claims::{Case, Claim, Effect, Judgement, Measure},
    report::verdict_text::{counted, decisive_effect},
    scenario::{Direction, Mpm},
    statistics::Ends,
};

/// A chart of the statements whose effects have one measure: a ratio and a difference of shares
/// have no common axis.
pub(in crate::report) struct ClaimChart {
    /// Its name in the names of files.
    pub key: &'static str,
    /// Its heading.
    pub title: &'static str,
    measure: Measure,
}

/// The charts, in their order.
pub(in crate::report) const CLAIM_CHARTS: &[ClaimChart] = &[
    ClaimChart {
        key: "claims",
        title: "The tutorial's claims: who has how many times as much",
        measure: Measure::Ratio,
    },
    ClaimChart {
        key: "claims-failures",
        title: "The tutorial's claims: who fails",
        measure: Measure::ShareDifference,
    },
];

/// The ends of intervals beyond are drawn there: an axis to a thousand million would hide all
/// others.
const FAREST: f64 = 10_000.0;
/// Colours of the tutorial's own set-up, and of the fair one.
const OWN: SeriesStyle = SeriesStyle::new(1);
const FAIR: SeriesStyle = SeriesStyle::new(0);

impl ClaimChart {
    /// Makes it; `None` if no statement has this measure.
    pub fn make(&self, claims: &[Claim]) -> Option<Box<dyn Chart>> {
        let fails = self.measure == Measure::ShareDifference;
        let of_measure = |claim: &&Claim| {
            let direction = claim.text.direction;
            direction.is_some() && (direction == Some(Direction::Fails)) == fails
        };
        let rows: Vec<IntervalRow> = claims
            .iter()
            .filter(of_measure)
            .flat_map(|claim| claim.cases.iter().flat_map(|case| self.rows(claim, case)))
            .collect();
        if rows.is_empty() {
            return None;
        }
        let footnote = "Orange: the tutorial's own set-up; blue: a fair one. Marker: the effect \
                        against the MPM that the verdict rests on most; line: its 95 % interval \
                        over the repetitions. A filled marker: the interval leaves out \"no \
                        difference\".";
        let height = 260 + 62 * u32::try_from(rows.len()).unwrap_or(100).min(100);
        Some(Box::new(Intervals {
            frame: Frame::new(self.title)
                .footnote(footnote)
                .no_data("no statement could be judged")
                .size(1500, height),
            x_title: if fails {
                "difference of the failed shares (requests, starts, runs), per cent".into()
            } else {
                "ratio, the first MPM to the second".into()
            },
            unit: if fails { Unit::Percent } else { Unit::Ratio },
            log: !fails,
            reference: if fails { 0.0 } else { 1.0 },
            left_hint: if fails {
                "the second fails"
            } else {
                "the second has more"
            }
            .into(),
            right_hint: if fails {
                "the first fails"
            } else {
                "the first has more"
            }
            .into(),
            rows,
        }))
    }

    fn rows(&self, claim: &Claim, case: &Case) -> Vec<IntervalRow> {
        let own_is_fair = case.fair.is_none();
        let own = self.row(claim, &case.own, if own_is_fair { FAIR } else { OWN });
        let fair = case.fair().map(|fair| self.row(claim, fair, FAIR));
        [Some(own), fair].into_iter().flatten().collect()
    }

    fn row(&self, claim: &Claim, it: &Judgement, style: SeriesStyle) -> IntervalRow {
        let subject = it.subject.map_or("", Mpm::name);
        let other = it.decisive().map_or("others", |each| each.other.name());
        let what = if self.measure == Measure::ShareDifference {
            "failures".to_owned()
        } else {
            counted(&it.metric)
        };
        // The row of the table and the scenario often have one name.
        let row = claim.text.row.title();
        let place = if it.title.starts_with(row) {
            it.title.clone()
        } else {
            format!("{row}, {}", it.title)
        };
        IntervalRow {
            label: format!("{place}: {what}, {subject} to {other}"),
            style,
            // Nothing to nothing is equal, but no ratio.
            estimate: it
                .effect()
                .filter(|_| !it.decisive().is_some_and(|each| each.none_in_either))
                .and_then(estimate),
            instead: decisive_effect(it).0,
            verdict: it.verdict.name().into(),
        }
    }
}

/// What is drawn of an effect; `None` without an interval, and of something to nothing, for which
/// an axis has no place.
fn estimate(effect: &Effect) -> Option<Estimate> {
    let Ends { low, high } = effect.interval?;
    let drawn = |number: f64| match effect.measure {
        Measure::Ratio => number.clamp(1.0 / FAREST, FAREST),
        Measure::ShareDifference => 100.0 * number,
    };
    if effect.measure == Measure::Ratio && !(1.0 / FAREST..=FAREST).contains(&effect.value) {
        return None;
    }
    Some(Estimate::new(drawn(effect.value), drawn(low), drawn(high)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{
        figures::{ScenarioFigures, tests::scenario},
        made_up::{Figures, of_each},
        statements::Statements,
    };

    fn claims(scenarios: &[ScenarioFigures]) -> Vec<Claim> {
        Statements::of(scenarios).claims
    }

    #[test]
    fn effects_of_each_measure_have_a_chart_of_their_own() {
        let mut figures = scenario(of_each(8, |mpm, repetition| Figures {
            cpu_per_request_ns: 300_000 + 1000 * u64::from(repetition) + 5000 * mpm as u64,
            ..Figures::default()
        }));
        let amounts = claims(std::slice::from_ref(&figures));
        assert!(CLAIM_CHARTS[0].make(&amounts).unwrap().lay_out().is_ok());
        assert!(CLAIM_CHARTS[1].make(&amounts).is_none());

        let tutorial = figures.notes.tutorial.as_mut().unwrap();
        for claim in &mut tutorial.claims {
            claim.direction = Some(Direction::Fails);
        }
        let failures = claims(&[figures]);
        assert!(CLAIM_CHARTS[0].make(&failures).is_none());
        assert!(CLAIM_CHARTS[1].make(&failures).unwrap().lay_out().is_ok());
    }

    #[test]
    fn without_an_effect_the_row_says_so_and_without_statements_there_is_no_chart() {
        let few = claims(&[scenario(of_each(1, |_, _| Figures::default()))]);
        assert!(CLAIM_CHARTS[0].make(&few).unwrap().lay_out().is_ok());
        let mut none = scenario(of_each(1, |_, _| Figures::default()));
        none.runs.retain(|run| run.mpm() == Mpm::Event);
        assert!(
            CLAIM_CHARTS[0]
                .make(&claims(&[none]))
                .unwrap()
                .lay_out()
                .is_ok()
        );
        assert!(CLAIM_CHARTS[0].make(&[]).is_none());
    }
}
