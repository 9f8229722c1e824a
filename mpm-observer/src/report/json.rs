//! All figures for programs.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{
    ReportError,
    export::{Exporter, Material},
    figures::{RunFigures, ScenarioFigures},
    metrics::{Better, METRICS},
    summary::{one_line, warnings},
    tables::{KERNEL_ONLY, MISSING},
    trace::TraceFigures,
};
use crate::{recording::FORMAT, scenario::Mpm};

/// Exports JSON.
///
/// `metrics` explains the keys; units are at the end of each key. `scenarios[].mpms.MPM.KEY` has
/// `median`, `low`, `high` and `n` over the repetitions, `scenarios[].runs[].metrics.KEY` the
/// value of one run, null where there is none. `claims[].cases[]` has the judgement in the
/// tutorial's own set-up and in the fair one: verdict, effect with its interval and n, and
/// `needed_repetitions`, the further ones that would decide an undecided claim.
/// `scenarios[].findings` has what went wrong, by MPM.
pub(super) struct Json;

impl Exporter for Json {
    fn file(&self) -> &'static str {
        "comparison.json"
    }

    fn export(&self, material: &Material<'_>) -> Result<String, ReportError> {
        let Material {
            contents,
            scenarios,
            statements,
            ..
        } = material;
        let setting = &contents.setting;
        let value = json!({
            "format": FORMAT,
            "summary": one_line(scenarios, statements),
            "warnings": warnings(contents, scenarios),
            "experiment": {
                "command": contents.experiment.command,
                "planned_runs": contents.experiment.planned,
                "begun_runs": contents.experiment.runs.len(),
                "interrupted": contents.experiment.interrupted,
                "began_unix_s": setting.began_unix_s,
                "observer_versions": setting.observer,
                "httpd": setting.httpd,
                "machines": setting.machines,
                "cpus": setting.cpus,
                "sizes": setting.sizes,
                "absent_programs": setting.absent_programs,
            },
            "overhead": contents.overhead,
            "witness": contents.witness,
            "metrics": METRICS.iter().map(|metric| json!({
                "key": metric.key,
                "label": metric.label,
                "meaning": metric.meaning,
                "better": match metric.better {
                    Better::Less => Some("less"),
                    Better::More => Some("more"),
                    Better::Neither => None,
                },
            })).collect::<Vec<_>>(),
            "tally": statements.tally,
            "claims": statements.json(),
            "scenarios": scenarios.iter().map(scenario).collect::<Vec<_>>(),
            "skipped": contents.experiment.skipped,
            "left_out": contents.left_out.iter().map(|left_out| json!({
                "run": left_out.run,
                "why": left_out.why,
            })).collect::<Vec<_>>(),
        });
        let mut text = serde_json::to_string_pretty(&value)?;
        text.push('\n');
        Ok(text)
    }
}

fn scenario(figures: &ScenarioFigures) -> Value {
    let mpms: Map<String, Value> = figures
        .mpms()
        .into_iter()
        .map(|mpm| (mpm.to_string(), spreads(figures, mpm)))
        .collect();
    json!({
        "name": figures.notes.name,
        "title": figures.notes.title,
        "what": figures.notes.what,
        "tutorial": figures.notes.tutorial,
        "mpms": mpms,
        "findings": figures.findings,
        "runs": figures.runs.iter().map(run).collect::<Vec<_>>(),
        "traces": figures.traces.iter().map(TraceFigures::json).collect::<Vec<_>>(),
    })
}

/// Median and range of each metric that has values.
fn spreads(figures: &ScenarioFigures, mpm: Mpm) -> Value {
    let spread = |key: &str| figures.spread(mpm, key).map(|spread| json!(spread));
    let spreads: Map<String, Value> = METRICS
        .iter()
        .filter_map(|metric| Some((metric.key.to_owned(), spread(metric.key)?)))
        .collect();
    Value::Object(spreads)
}

fn run(run: &RunFigures) -> Value {
    let metrics: Map<String, Value> = METRICS
        .iter()
        .zip(&run.values)
        .map(|(metric, value)| (metric.key.to_owned(), json!(value)))
        .collect();
    let missing: BTreeMap<&str, u64> = MISSING
        .iter()
        .map(|(cause, key, _)| (*key, run.missing.get(cause).copied().unwrap_or(0)))
        .collect();
    let kernel_only: BTreeMap<&str, u64> = KERNEL_ONLY
        .iter()
        .map(|(cause, key, _)| (*key, run.kernel_only.get(cause).copied().unwrap_or(0)))
        .collect();
    json!({
        "run": run.name,
        "mpm": run.mpm(),
        "repetition": run.repetition,
        "status": run.status,
        "began_unix_s": run.began_unix_s,
        "plan": run.plan,
        "metrics": metrics,
        "outcomes": run.outcomes,
        "join": {
            "joined": run.joined,
            "missing": missing,
            "kernel_only": kernel_only,
            "touched_by_a_loss": run.conservation.touched,
        },
        "residual": {
            "median": run.conservation.residual(0.5),
            "p99": run.conservation.residual(0.99),
            "max": run.conservation.residual(1.0),
        },
        "probes": run.counters,
        "probes_lost": run.counters.lost(),
        "probes_balanced": run.counters.balanced(),
        "log_codes": run.log_codes,
        "start_failure": run.start_failure,
        "client_was_busy": run.client_was_busy,
        "server_gone": run.server_gone,
        "unreadable": run.unreadable,
    })
}
