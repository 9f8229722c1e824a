//! The report as plain texts, tables and pictures, before it is set in a format.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Serialize;

use super::{
    basis,
    charts::{OverviewChart, ScenarioChart, conditions},
    data::{Contents, LeftOut},
    figures::ScenarioFigures,
    findings_list::FindingsList,
    metrics::{METRICS, Metric},
    phase_table::phase_table,
    pictures::Picture,
    sides_table::sides_table,
    summary::{Tested, one_line, tested, warnings},
    tables::{self, Cell, Table},
    text::plural,
    trace::{TraceFigures, TraceLink, wakers},
    utc,
};
use crate::{
    overhead::Overhead,
    scenario::{Mpm, SummaryRow},
};

/// Everything that a page shows.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Page {
    /// One line.
    pub summary: String,
    /// What to beware of.
    pub warnings: Vec<String>,
    /// What went wrong.
    pub findings: FindingsList,
    /// The rows of the tutorial's summary table.
    pub rows: Vec<ClaimRow>,
    /// What the figures of `rows` rest on.
    pub basis: String,
    /// The MPMs of the columns of `rows`.
    pub mpms: Vec<String>,
    /// Names and values of the setting.
    pub facts: Vec<(String, String)>,
    /// Charts over all scenarios.
    pub overview: Vec<Figure>,
    /// The scenarios.
    pub scenarios: Vec<Section>,
    /// Labels and meanings of the metrics.
    pub glossary: Vec<(String, String)>,
    /// Runs that have no part in the figures, with the reason.
    pub left_out: Vec<(String, String)>,
    /// Parts of recordings that cannot be read.
    pub unreadable: Vec<String>,
}

/// A row of the tutorial's summary table.
#[derive(Clone, Debug, Serialize)]
pub(super) struct ClaimRow {
    /// Its heading.
    pub title: String,
    /// Its statements; empty if none was tested.
    pub claims: Vec<Claim>,
}

/// A statement with its answers.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Claim {
    /// The statement.
    pub says: String,
    /// Name of the metric; empty if it names none.
    pub metric: String,
    /// One for each scenario that it was tested in.
    pub answers: Vec<ScenarioAnswer>,
}

/// The answer in one scenario.
#[derive(Clone, Debug, Serialize)]
pub(super) struct ScenarioAnswer {
    /// Title of the scenario.
    pub scenario: String,
    /// Anchor of its section.
    pub anchor: String,
    /// The verdict in words.
    pub verdict: String,
    /// The verdict as a name of style.
    pub style: super::answers::Verdict,
    /// The answer in one sentence.
    pub text: String,
    /// The metric of each of the page's MPMs.
    pub cells: Vec<Cell>,
}

/// A section on one scenario.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Section {
    /// Its anchor.
    pub anchor: String,
    /// Its title.
    pub title: String,
    /// What it does.
    pub what: String,
    /// The conditions.
    pub conditions: String,
    /// The tutorial's section and command.
    pub tutorial: Option<(u32, String)>,
    /// What the tutorial expects of the whole.
    pub expects: String,
    /// Expected and measured.
    pub key_figures: Table,
    /// The charts.
    pub charts: Vec<Figure>,
    /// Files for Perfetto.
    pub traces: Vec<TraceLink>,
    /// All further figures.
    pub further_figures: Table,
    /// Outcomes, join, books, messages.
    pub tables: Vec<Table>,
}

/// A picture on the page.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Figure {
    /// What it shows.
    pub title: String,
    /// How it is read; may be empty.
    pub reading: String,
    /// The text in place of the picture.
    pub alt: String,
    /// Its file's name.
    pub file: String,
    /// The file in base64; empty if it could not be drawn.
    pub base64: String,
    /// Why it could not be drawn; empty if it was.
    pub failure: String,
    /// Size in pixels.
    pub size: (u32, u32),
}

impl Figure {
    /// A picture of `of`.
    pub fn new(title: &str, reading: &str, of: &str, picture: &Picture) -> Self {
        let (base64, failure) = match &picture.png {
            Ok(png) => (STANDARD.encode(png), String::new()),
            Err(error) => (String::new(), error.clone()),
        };
        Self {
            title: title.into(),
            reading: reading.into(),
            alt: format!("{title}, {of}"),
            file: picture.file.clone(),
            base64,
            failure,
            size: picture.size(),
        }
    }

    /// A chart of a scenario.
    pub fn of_scenario(chart: &ScenarioChart, scenario: &str, picture: &Picture) -> Self {
        Self::new(chart.title, chart.reading, scenario, picture)
    }

    /// A chart over all scenarios.
    pub fn of_overview(chart: &OverviewChart, picture: &Picture) -> Self {
        // What it shows stands in the picture's own footnote.
        Self::new(chart.title, "", "by scenario and MPM", picture)
    }
}

/// Builds the page. `charts` are those of each scenario, in the same order.
pub(super) fn build(
    contents: &Contents,
    scenarios: &[ScenarioFigures],
    overview: Vec<Figure>,
    charts: Vec<Vec<Figure>>,
) -> Page {
    let mpms: Vec<Mpm> = Mpm::ALL
        .into_iter()
        .filter(|mpm| scenarios.iter().any(|figures| figures.mpms().contains(mpm)))
        .collect();
    Page {
        summary: one_line(scenarios),
        warnings: warnings(contents, scenarios),
        findings: FindingsList::of(scenarios, anchor),
        rows: SummaryRow::ALL
            .into_iter()
            .map(|row| ClaimRow {
                title: row.title().into(),
                claims: tested(row, scenarios)
                    .iter()
                    .map(|tested| claim(tested, scenarios, &mpms))
                    .collect(),
            })
            .collect(),
        basis: basis::of_all(scenarios, contents.overhead.as_ref()),
        mpms: mpms.iter().map(Mpm::to_string).collect(),
        facts: facts(contents, scenarios),
        overview,
        scenarios: scenarios
            .iter()
            .zip(charts)
            .enumerate()
            .map(|(index, (figures, charts))| {
                section(index, figures, charts, contents.overhead.as_ref())
            })
            .collect(),
        glossary: METRICS
            .iter()
            .map(|metric| (metric.label.to_owned(), metric.meaning.to_owned()))
            .collect(),
        left_out: contents
            .left_out
            .iter()
            .map(|LeftOut { run, why }| (run.clone(), why.clone()))
            .collect(),
        unreadable: scenarios
            .iter()
            .flat_map(|figures| &figures.runs)
            .flat_map(|run| run.unreadable.iter().cloned())
            .collect(),
    }
}

/// Anchors are numbered, because a scenario's name may be anything in a foreign recording.
fn anchor(index: usize) -> String {
    format!("scenario-{}", index + 1)
}

fn claim(tested: &Tested<'_>, scenarios: &[ScenarioFigures], mpms: &[Mpm]) -> Claim {
    let metric = tested.claim.metric.as_deref().and_then(Metric::index);
    let metric = metric.map(|index| &METRICS[index]);
    let answers = tested.answers.iter().map(|(figures, answer)| {
        let index = scenarios
            .iter()
            .position(|other| std::ptr::eq(other, *figures));
        ScenarioAnswer {
            scenario: figures.notes.title.clone(),
            anchor: anchor(index.unwrap_or(0)),
            verdict: answer.verdict.name().into(),
            style: answer.verdict,
            text: answer.text.clone(),
            cells: metric.map_or_else(
                || vec![Cell::default(); mpms.len()],
                |metric| tables::metric_cells(figures, metric, mpms),
            ),
        }
    });
    Claim {
        says: tested.claim.says.clone(),
        metric: metric.map_or_else(String::new, |metric| metric.label.to_owned()),
        answers: answers.collect(),
    }
}

fn section(
    index: usize,
    figures: &ScenarioFigures,
    charts: Vec<Figure>,
    overhead: Option<&Overhead>,
) -> Section {
    let notes = &figures.notes;
    let tutorial = notes.tutorial.as_ref();
    let basis = basis::of_scenario(figures, overhead);
    let on_its_basis = |mut table: Table| {
        table.notes.push(basis.clone());
        table
    };
    Section {
        anchor: anchor(index),
        title: notes.title.clone(),
        what: notes.what.clone(),
        conditions: conditions(figures),
        tutorial: tutorial.map(|tutorial| (tutorial.section, tutorial.command.clone())),
        expects: tutorial.map_or_else(String::new, |tutorial| tutorial.expects.overall.clone()),
        key_figures: on_its_basis(tables::key_figures(figures)),
        charts,
        traces: figures.traces.iter().map(TraceFigures::link).collect(),
        further_figures: on_its_basis(tables::further_figures(figures)),
        tables: wakers(&figures.traces)
            .into_iter()
            .chain([
                phase_table(figures),
                sides_table(figures),
                tables::outcomes(figures),
                tables::messages(figures),
                tables::join(figures),
                tables::losses(figures),
            ])
            .map(on_its_basis)
            .collect(),
    }
}

fn facts(contents: &Contents, scenarios: &[ScenarioFigures]) -> Vec<(String, String)> {
    let setting = &contents.setting;
    let compared: usize = scenarios.iter().map(|figures| figures.runs.len()).sum();
    let mut facts = Vec::new();
    let mut add = |name: &str, value: String| {
        if !value.is_empty() {
            facts.push((name.to_owned(), value));
        }
    };
    if let Some(began) = setting.began_unix_s {
        add("Begun", format!("{} UTC", utc(began)));
    }
    add(
        "Runs",
        format!(
            "{} compared, {} begun, {} planned",
            plural(compared as u64, "run"),
            contents.experiment.runs.len(),
            contents.experiment.planned
        ),
    );
    add("Size", setting.sizes.join(", "));
    add("Machine", setting.machines.join("; "));
    add("CPUs", setting.cpus.join("; "));
    add("httpd", setting.httpd.join("; "));
    add("User of httpd's children", setting.users.join(", "));
    add("mpm-observer", setting.observer.join(", "));
    let costs = contents.overhead.as_ref().map(Overhead::lines);
    add("Cost of watching", costs.unwrap_or_default().join("; "));
    add("Command", contents.experiment.command.join(" "));
    facts
}
