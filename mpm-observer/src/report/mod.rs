//! The report stage: makes pages, pictures and figures of an experiment from its recording alone.
//!
//! Of an experiment everything is derived from the table of [`metrics`] and the table of charts.
//! One scenario after the other is read and drawn, so that the rows of only one are in memory. A
//! recording of a live server has pages of its own.

mod basis;
mod charts;
mod course;
mod data;
mod export;
mod figures;
mod findings_list;
mod html;
mod json;
pub(crate) mod live;
#[cfg(test)]
pub(crate) mod made_up;
mod markdown;
pub mod metrics;
mod page;
mod phase_table;
mod pictures;
mod sides_table;
mod statements;
mod summary;
mod summary_table;
mod tables;
mod text;
mod time;
mod trace;
mod verdict_text;
#[cfg(test)]
mod verdict_text_tests;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use thiserror::Error;

pub use time::utc;

use self::{
    charts::{
        CLAIM_CHARTS, ClaimChart, OVERVIEW, OverviewChart, ScenarioChart, Subject, charts_of,
    },
    data::{Contents, Group, LeftOut, RunRef, read_contents},
    export::{EXPORTERS, Material},
    figures::ScenarioFigures,
    page::Figure,
    pictures::{Picture, file_stem, on_all_cpus, write_whole},
    statements::Statements,
    summary_table::summary_table,
};
use crate::{
    correlate::{RunAnalysis, load_run},
    findings,
    recording::{RecordingError, RunDir, is_of_one_server},
    scenario::Mpm,
};

/// A report that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// One plain line.
    pub summary: String,
    /// The tutorial's summary table with its verdicts, for a terminal: whole lines; empty if no
    /// statement was tested.
    pub table: String,
    /// The page.
    pub html: PathBuf,
}

/// Why a report cannot be made.
#[derive(Debug, Error)]
pub enum ReportError {
    /// The directory is no experiment, or its own file is broken. A broken run is no error: it is
    /// listed in the report.
    #[error("cannot read the recording: {0}; name the directory that `lab` or `record` wrote")]
    Experiment(#[from] RecordingError),
    /// The directory is one run of an experiment.
    #[error("{} is one run of an experiment; name the directory of the experiment", .0.display())]
    OneRun(PathBuf),
    /// A file of the report could not be written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A template is wrong, which is a fault of this program.
    #[error("the report's template is wrong, please report this: {0:#}")]
    Template(#[from] minijinja::Error),
    /// The figures cannot be written as JSON, which is a fault of this program.
    #[error("the figures cannot be written as JSON, please report this: {0}")]
    Json(#[from] serde_json::Error),
}

/// Makes the report of an experiment, or of the recording of a live server, in its directory
/// `report`: `report.html`, `report.md`, figures as JSON (`comparison.json`, of a live server
/// `server.json`) and the charts as PNG files. It needs the recording alone. Files of an
/// earlier report are replaced one by one, each as a whole.
///
/// # Errors
/// When the experiment's own file cannot be read, or a file of the report not be written. Runs and
/// parts of runs that cannot be read are listed in the report.
pub fn make_report(experiment: &Path) -> Result<Report, ReportError> {
    if is_of_one_server(experiment) {
        return live::make(experiment);
    }
    let mut contents = read_contents(experiment)?;
    let dir = experiment.join("report");
    fs::create_dir_all(&dir).map_err(|source| ReportError::Write {
        path: dir.clone(),
        source,
    })?;
    let mut scenarios = Vec::new();
    let mut charts = Vec::new();
    for (index, group) in std::mem::take(&mut contents.groups).into_iter().enumerate() {
        let stem = file_stem(&group.notes.name, index);
        let runs = load_runs(experiment, &group, &mut contents.left_out);
        if runs.is_empty() {
            continue;
        }
        let mut figures = ScenarioFigures::of(&group, &runs);
        figures.findings = findings(experiment, &figures.notes.title, &runs);
        let mut drawn = draw_scenario(&dir, &stem, &figures, &runs)?;
        drop(runs);
        let left_out = &mut contents.left_out;
        if let Some((traces, picture)) = trace::make(experiment, &dir, &stem, &group, left_out)? {
            figures.traces = traces;
            drawn.push(picture);
        }
        charts.push(drawn);
        scenarios.push(figures);
    }
    let statements = Statements::of(&scenarios);
    let drawn = Drawn {
        claims: draw_claims(&dir, &statements)?,
        overview: draw_overview(&dir, &scenarios)?,
        scenarios: charts,
    };
    write_pages(&dir, &contents, &scenarios, &statements, drawn)
}

/// All pictures of a report.
struct Drawn {
    claims: Vec<Figure>,
    overview: Vec<Figure>,
    /// Those of each scenario.
    scenarios: Vec<Vec<Figure>>,
}

/// Reads the runs of a scenario; one whose tables cannot be opened is left out.
fn load_runs(
    experiment: &Path,
    group: &Group,
    left_out: &mut Vec<LeftOut>,
) -> Vec<(RunRef, RunAnalysis)> {
    let loaded = on_all_cpus(&group.runs, |run| {
        load_run(&RunDir::of(experiment, &run.name))
    });
    let mut runs = Vec::new();
    for (run, loaded) in group.runs.iter().zip(loaded) {
        match loaded {
            Ok(analysis) => runs.push((run.clone(), analysis)),
            Err(error) => left_out.push(LeftOut {
                run: run.name.clone(),
                why: format!("its tables cannot be read: {error}"),
            }),
        }
    }
    runs
}

/// What went wrong in the runs of a scenario, by MPM.
fn findings(
    experiment: &Path,
    title: &str,
    runs: &[(RunRef, RunAnalysis)],
) -> Vec<findings::Group> {
    let of_mpm = |mpm: Mpm| {
        let runs = runs.iter().filter(|(named, _)| named.mpm == mpm);
        let looks = runs.map(|(named, run)| {
            let dir = RunDir::of(experiment, &named.name);
            findings::look(&findings::RunEvidence::read(&dir, &named.name, run))
        });
        findings::group(title, &looks.collect::<Vec<_>>())
    };
    Mpm::ALL.into_iter().filter_map(of_mpm).collect()
}

fn draw_scenario(
    dir: &Path,
    stem: &str,
    figures: &ScenarioFigures,
    runs: &[(RunRef, RunAnalysis)],
) -> Result<Vec<Figure>, ReportError> {
    let subject = Subject { figures, runs };
    let draw = |chart: &ScenarioChart| {
        let drawn = (chart.make)(&subject);
        Picture::draw(format!("{stem}.{}.png", chart.key), drawn.as_ref())
    };
    let charts: Vec<&ScenarioChart> = charts_of(&subject).collect();
    let mut drawn = Vec::new();
    for (chart, picture) in charts.iter().zip(on_all_cpus(&charts, |chart| draw(chart))) {
        picture.write(dir)?;
        drawn.push(Figure::of_scenario(chart, &figures.notes.title, &picture));
    }
    Ok(drawn)
}

/// Draws the charts of the statements that there are.
fn draw_claims(dir: &Path, statements: &Statements) -> Result<Vec<Figure>, ReportError> {
    let draw = |chart: &ClaimChart| {
        let drawn = chart.make(&statements.claims)?;
        Some(Picture::draw(
            format!("overview.{}.png", chart.key),
            drawn.as_ref(),
        ))
    };
    let mut drawn = Vec::new();
    for (chart, picture) in CLAIM_CHARTS.iter().zip(on_all_cpus(CLAIM_CHARTS, draw)) {
        let Some(picture) = picture else { continue };
        picture.write(dir)?;
        // How it is read stands in the picture's own footnote.
        drawn.push(Figure::new(chart.title, "", "with intervals", &picture));
    }
    Ok(drawn)
}

fn draw_overview(dir: &Path, scenarios: &[ScenarioFigures]) -> Result<Vec<Figure>, ReportError> {
    let draw = |chart: &OverviewChart| {
        let drawn = chart.make(scenarios);
        Picture::draw(format!("overview.{}.png", chart.metric), drawn.as_ref())
    };
    let mut drawn = Vec::new();
    for (chart, picture) in OVERVIEW.iter().zip(on_all_cpus(OVERVIEW, draw)) {
        picture.write(dir)?;
        drawn.push(Figure::of_overview(chart, &picture));
    }
    Ok(drawn)
}

fn write_pages(
    dir: &Path,
    contents: &Contents,
    scenarios: &[ScenarioFigures],
    statements: &Statements,
    drawn: Drawn,
) -> Result<Report, ReportError> {
    let page = page::build(contents, scenarios, statements, drawn);
    let material = Material {
        contents,
        scenarios,
        statements,
        page: &page,
    };
    let mut html = PathBuf::new();
    for exporter in EXPORTERS {
        html = dir.join(exporter.file());
        write_whole(&html, exporter.export(&material)?.as_bytes())?;
    }
    Ok(Report {
        summary: page.summary,
        table: summary_table(statements),
        html,
    })
}
