//! What Prometheus knows of an incident.

use super::{Shown, Testimony, incident::Question, truths};
use crate::{
    findings::RunEvidence,
    prometheus::{Api, PrometheusError, Sampled},
    recording::Manifest,
};

/// How long after its end an incident may still come to show: a scrape, a look, and mod_status'
/// own patience.
const AFTERWARDS_S: f64 = 3.0;

/// Brings the monotonic times of a run to those of Prometheus.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    began_unix_s: f64,
    began_ns: u64,
}

impl Clock {
    /// That of a run.
    #[must_use]
    pub fn of(manifest: &Manifest) -> Self {
        Self {
            began_unix_s: manifest.began_unix_s as f64 + f64::from(manifest.began_subsec_ns) / 1e9,
            began_ns: manifest.began_ns,
        }
    }

    fn unix_s(self, t_ns: u64) -> f64 {
        self.began_unix_s + (t_ns as f64 - self.began_ns as f64) / 1e9
    }
}

/// Asks for each incident of a run. `matchers` are those of the job that watched.
///
/// # Errors
/// When Prometheus does not answer.
pub fn testimonies(
    api: &Api,
    matchers: &str,
    interval_s: f64,
    run: &RunEvidence<'_>,
) -> Result<Vec<Testimony>, PrometheusError> {
    let manifest = &run.run.manifest;
    let clock = Clock::of(manifest);
    let scenario = run
        .plan()
        .map_or_else(String::new, |plan| plan.scenario.clone());
    let mut all = Vec::new();
    for (incident, truth) in truths(run) {
        let window = Window {
            api,
            matchers,
            interval_s,
            began_s: clock.unix_s(manifest.began_ns),
            from_s: clock.unix_s(truth.from_ns),
            until_s: clock.unix_s(truth.until_ns),
            // What is counted while httpd stops, or by the next run, is not of the incident.
            stop_s: clock.unix_s(run.stop_ns()),
        };
        all.push(Testimony {
            scenario: scenario.clone(),
            mpm: run.mpm(),
            repetition: manifest.repetition,
            incident,
            truth,
            mod_status: match incident.of_mod_status() {
                Some(question) => Some(window.shown(question)?),
                None => None,
            },
            kernel: window.shown(incident.of_the_kernel())?,
            silent: window.silent()?,
        });
    }
    Ok(all)
}

/// The time of an incident.
struct Window<'a> {
    api: &'a Api,
    matchers: &'a str,
    interval_s: f64,
    /// When the run began: what is counted goes on from the runs before it.
    began_s: f64,
    from_s: f64,
    until_s: f64,
    /// When httpd was told to stop.
    stop_s: f64,
}

impl Window<'_> {
    fn ask(&self, expression: &str, afterwards_s: f64) -> Result<Vec<Sampled>, PrometheusError> {
        let expression = expression
            .replace("$run", self.matchers)
            .replace("$begin", &format!("{:.3}", self.began_s));
        let times = (self.from_s, self.end_s(afterwards_s));
        self.api.query_range(&expression, times, self.interval_s)
    }

    fn end_s(&self, afterwards_s: f64) -> f64 {
        (self.until_s + afterwards_s)
            .min(self.stop_s)
            .max(self.from_s)
    }

    fn shown(&self, question: Question) -> Result<Shown, PrometheusError> {
        let shows = self.ask(question.shows, AFTERWARDS_S)?;
        let how_much = self.ask(question.how_much, AFTERWARDS_S)?;
        Ok(shown(&shows, &how_much, self.from_s))
    }

    fn silent(&self) -> Result<Option<f64>, PrometheusError> {
        let up = self.ask("apache_up{$run}", 0.0)?;
        let answers: Vec<f64> = up
            .iter()
            .flat_map(|series| series.points.iter())
            .map(|p| p.1)
            .collect();
        let silent = answers.iter().filter(|up| **up == 0.0).count();
        Ok((!answers.is_empty()).then(|| silent as f64 / answers.len() as f64))
    }
}

/// When it first showed, and the largest amount.
fn shown(shows: &[Sampled], how_much: &[Sampled], from_s: f64) -> Shown {
    let points = |series: &[Sampled]| -> Vec<(f64, f64)> {
        series
            .iter()
            .flat_map(|series| series.points.clone())
            .collect()
    };
    let first = points(shows)
        .into_iter()
        .filter(|(_, value)| *value > 0.0)
        .map(|(time, _)| time)
        .reduce(f64::min);
    let values = points(how_much).into_iter().map(|(_, value)| value);
    Shown {
        after_s: first.map(|time| (time - from_s).max(0.0)),
        largest: values.filter(|value| value.is_finite()).reduce(f64::max),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::witness::Incident;

    fn series(points: &[(f64, f64)]) -> Vec<Sampled> {
        vec![Sampled {
            points: points.to_vec(),
            ..Sampled::default()
        }]
    }

    #[test]
    fn the_first_value_above_zero_is_when_it_shows() {
        let shows = series(&[(10.0, 0.0), (11.0, f64::NAN), (12.0, 1.0), (13.0, 1.0)]);
        let much = series(&[(10.0, 3.0), (12.0, 8.0), (13.0, 5.0)]);
        let shown = shown(&shows, &much, 10.5);
        assert_eq!((shown.after_s, shown.largest), (Some(1.5), Some(8.0)));
    }

    #[test]
    fn what_never_shows_has_no_delay_and_no_values_have_no_largest() {
        let nothing = shown(&series(&[(10.0, 0.0)]), &[], 10.0);
        assert_eq!(nothing, Shown::default());
        assert_eq!(shown(&[], &[], 0.0), Shown::default());
    }

    #[test]
    fn the_begin_of_a_run_ties_the_clocks() {
        let clock = Clock {
            began_unix_s: 1000.25,
            began_ns: 5_000_000_000,
        };
        assert_eq!(clock.unix_s(7_500_000_000), 1002.75);
        assert_eq!(clock.unix_s(4_000_000_000), 999.25);
    }

    #[test]
    fn every_question_is_narrowed_to_the_run() {
        for incident in Incident::ALL {
            let questions = [Some(incident.of_the_kernel()), incident.of_mod_status()];
            for question in questions.into_iter().flatten() {
                for expression in [question.shows, question.how_much] {
                    let selectors = expression.matches('{').count();
                    assert_eq!(
                        expression.matches("{$run").count(),
                        selectors,
                        "{expression}"
                    );
                    assert!(selectors > 0);
                }
            }
        }
    }
}
