//! The report as plain texts, tables and pictures, before it is set in a format.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Serialize;

use super::{
    Drawn, basis,
    charts::{OverviewChart, ScenarioChart, conditions},
    data::{Contents, LeftOut},
    figures::ScenarioFigures,
    findings_list::FindingsList,
    metrics::{METRICS, Metric},
    phase_table::phase_table,
    pictures::Picture,
    sides_table::sides_table,
    statements::{Line, SetUp, Statements},
    summary::{one_line, warnings},
    tables::{self, Cell, Table},
    text::plural,
    trace::{TraceFigures, TraceLink, wakers},
    utc,
};
use crate::{
    overhead::Overhead,
    recording::Skipped,
    scenario::{Mpm, SummaryRow},
    witness::{self, Witness, WitnessRow},
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
    /// The charts of the statements.
    pub claim_charts: Vec<Figure>,
    /// What the figures of `rows` rest on.
    pub basis: String,
    /// The MPMs of the columns of `rows`.
    pub mpms: Vec<String>,
    /// Names and values of the setting.
    pub facts: Vec<(String, String)>,
    /// Charts over all scenarios.
    pub overview: Vec<Figure>,
    /// What Prometheus showed, if one watched.
    pub witness: Option<WitnessTable>,
    /// The scenarios.
    pub scenarios: Vec<Section>,
    /// Labels and meanings of the metrics.
    pub glossary: Vec<(String, String)>,
    /// Runs that have no part in the figures, with the reason.
    pub left_out: Vec<(String, String)>,
    /// Scenarios that the machine cannot run, with the reason.
    pub skipped: Vec<(String, String)>,
    /// Parts of recordings that cannot be read.
    pub unreadable: Vec<String>,
}

/// What Prometheus showed of each incident.
#[derive(Clone, Debug, Serialize)]
pub(super) struct WitnessTable {
    /// How often it asked, seconds.
    pub interval_s: f64,
    /// Its lines.
    pub rows: Vec<WitnessRow>,
}

impl WitnessTable {
    fn of(witness: &Witness) -> Self {
        Self {
            interval_s: witness.interval_s,
            rows: witness::rows(witness),
        }
    }
}

/// A row of the tutorial's summary table.
#[derive(Clone, Debug, Serialize)]
pub(super) struct ClaimRow {
    /// Its heading.
    pub title: String,
    /// Its statements, each in one scenario; empty if none was tested.
    pub lines: Vec<ClaimLine>,
}

/// A statement in one scenario.
#[derive(Clone, Debug, Serialize)]
pub(super) struct ClaimLine {
    /// Its words.
    pub line: Line,
    /// The figures of the tutorial's own set-up and, where there is one, of the fair one.
    pub set_ups: Vec<ClaimFigures>,
}

/// The figures that a verdict rests on.
#[derive(Clone, Debug, Serialize)]
pub(super) struct ClaimFigures {
    /// Whose set-up it is.
    pub whose: &'static str,
    /// The judgement in words.
    pub it: SetUp,
    /// Anchor of the scenario's section; empty if it has none.
    pub anchor: String,
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

/// Builds the page.
pub(super) fn build(
    contents: &Contents,
    scenarios: &[ScenarioFigures],
    statements: &Statements,
    drawn: Drawn,
) -> Page {
    let mpms: Vec<Mpm> = Mpm::ALL
        .into_iter()
        .filter(|mpm| scenarios.iter().any(|figures| figures.mpms().contains(mpm)))
        .collect();
    Page {
        summary: one_line(scenarios, statements),
        warnings: warnings(contents, scenarios),
        findings: FindingsList::of(scenarios, anchor),
        rows: SummaryRow::ALL
            .into_iter()
            .map(|row| ClaimRow {
                title: row.title().into(),
                lines: statements
                    .lines
                    .iter()
                    .filter(|line| line.row == row)
                    .map(|line| claim_line(line, scenarios, &mpms))
                    .collect(),
            })
            .collect(),
        claim_charts: drawn.claims,
        basis: basis::of_all(scenarios, contents.overhead.as_ref()),
        mpms: mpms.iter().map(Mpm::to_string).collect(),
        facts: facts(contents, scenarios),
        overview: drawn.overview,
        witness: contents.witness.as_ref().map(WitnessTable::of),
        scenarios: scenarios
            .iter()
            .zip(drawn.scenarios)
            .enumerate()
            .map(|(index, (figures, charts))| {
                section(index, figures, charts, contents.overhead.as_ref())
            })
            .collect(),
        glossary: METRICS
            .iter()
            .map(|metric| (metric.label.to_owned(), metric.meaning.to_owned()))
            .collect(),
        skipped: contents.experiment.skipped.iter().map(skipped).collect(),
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

fn claim_line(line: &Line, scenarios: &[ScenarioFigures], mpms: &[Mpm]) -> ClaimLine {
    let figures = |whose, it: &SetUp| {
        let index = scenarios
            .iter()
            .position(|figures| figures.notes.name == it.scenario);
        let metric = Metric::index(&it.key).map(|index| &METRICS[index]);
        ClaimFigures {
            whose,
            it: it.clone(),
            anchor: index.map(anchor).unwrap_or_default(),
            cells: match (index, metric) {
                (Some(index), Some(metric)) => {
                    tables::metric_cells(&scenarios[index], metric, mpms)
                }
                _ => vec![Cell::default(); mpms.len()],
            },
        }
    };
    let fair = line.fair.as_ref().map(|fair| figures("fair", fair));
    let own = match fair {
        Some(_) => figures("the tutorial's", &line.own),
        None => figures("", &line.own),
    };
    ClaimLine {
        line: line.clone(),
        set_ups: [Some(own), fair].into_iter().flatten().collect(),
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

/// What is skipped, and why.
fn skipped(skip: &Skipped) -> (String, String) {
    let what = match skip.mpm {
        Some(mpm) => format!("{} with {mpm}", skip.scenario),
        None => skip.scenario.clone(),
    };
    (what, skip.why.clone())
}
