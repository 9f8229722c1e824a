//! The page of a recorded server as plain texts, tables and pictures.

use serde::Serialize;

use super::{
    figures::{LiveFigures, findings_of, summary},
    tables,
    words::without_a_time,
};
use crate::{
    correlate::{Phase, RunAnalysis},
    findings::{Group, was_stopped},
    recording::{Ended, RunDir, Status},
    report::{findings_list::Told, page::Figure, tables::Table, text::plural},
};

/// Everything that the page shows.
#[derive(Clone, Debug, Serialize)]
pub(super) struct LivePage {
    /// What it is about.
    pub title: String,
    /// One line.
    pub summary: String,
    /// What to beware of.
    pub warnings: Vec<String>,
    /// What went wrong, the strongest first.
    pub findings: Vec<Told>,
    /// The same with all figures.
    pub group: Option<Group>,
    /// What keeps failures from being known.
    pub blind: Vec<String>,
    /// Names and values of the setting.
    pub facts: Vec<(String, String)>,
    /// Tables that are shown at once.
    pub tables: Vec<Table>,
    /// The charts.
    pub charts: Vec<Figure>,
    /// Name of the file for Perfetto.
    pub trace: Option<&'static str>,
    /// Further tables.
    pub further: Vec<Table>,
    /// Phases that occurred, with their meaning.
    pub glossary: Vec<(String, String)>,
    /// Parts of the recording that cannot be read.
    pub unreadable: Vec<String>,
}

impl LivePage {
    /// Builds the page.
    pub fn of(
        run_dir: &RunDir,
        run: &RunAnalysis,
        figures: &LiveFigures,
        charts: Vec<Figure>,
        trace: Option<&'static str>,
    ) -> Self {
        let group = findings_of(run_dir, run, &figures.title);
        let findings = group.iter().flat_map(|group| &group.findings);
        let client = tables::client_table(run, figures);
        Self {
            title: figures.title.clone(),
            summary: summary(figures, group.as_ref()),
            warnings: warnings(run, figures),
            findings: findings.map(Told::of).collect(),
            blind: group
                .as_ref()
                .map(|group| group.blind.clone())
                .unwrap_or_default(),
            group,
            facts: tables::facts(run),
            tables: std::iter::once(tables::key_figures(run, figures))
                .chain(client)
                .collect(),
            charts,
            trace,
            further: vec![tables::phase_table(figures), tables::losses(run)],
            glossary: Phase::ALL
                .into_iter()
                .filter(|phase| figures.mean_ns(*phase) > 0.0)
                .map(|phase| (phase.name().to_owned(), phase.meaning().to_owned()))
                .collect(),
            unreadable: run.unreadable.clone(),
        }
    }
}

fn warnings(run: &RunAnalysis, figures: &LiveFigures) -> Vec<String> {
    let manifest = &run.manifest;
    let mut warnings = Vec::new();
    match &manifest.status {
        Status::Running => warnings.push(
            "The recording was cut off: tasks, failures and what was lost are not in it.".into(),
        ),
        Status::Failed(why) => warnings.push(format!("The recording failed: {why}.")),
        _ => {}
    }
    if manifest
        .live()
        .is_some_and(|live| live.ended == Ended::ServerGone)
    {
        let ended = match was_stopped(run) {
            true => "httpd was stopped while it was recorded.",
            false => "httpd ended while it was recorded.",
        };
        warnings.push(ended.into());
    }
    let lost = manifest.counters.lost();
    if lost > 0 {
        warnings.push(format!(
            "{} of the probes were lost.",
            plural(lost, "record")
        ));
    }
    if let Some(untimed) = without_a_time(&figures.side) {
        warnings.push(format!(
            "{untimed}: counted, and left out of the times below."
        ));
    }
    if figures.side.answered == 0 {
        warnings.push("Nothing was served in this time.".into());
    }
    if !manifest.absent_programs.is_empty() {
        warnings.push(format!(
            "This kernel refused the programs {}: what they tell is missing.",
            manifest.absent_programs.join(", ")
        ));
    }
    warnings
}
