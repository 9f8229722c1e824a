//! The pages of a recording of a live server, alone or joined with its client's rows.

mod charts;
mod figures;
mod page;
mod tables;
pub(crate) mod words;

use std::{fs, path::Path};

use self::{figures::LiveFigures, page::LivePage};
use super::{
    Report, ReportError, html, markdown,
    page::Figure,
    pictures::{Picture, on_all_cpus, write_whole},
    trace::picture,
};
use crate::{
    correlate::{RunAnalysis, load_run},
    recording::RunDir,
    trace::{load_trace, perfetto},
};

const JSON: &str = "server.json";
const TRACE: &str = "trace.perfetto-trace";

/// Makes the pages in the directory `report` of the recording.
pub(super) fn make(recording: &Path) -> Result<Report, ReportError> {
    let run_dir = RunDir::at(recording);
    let run = load_run(&run_dir)?;
    if run.manifest.live().is_none() {
        return Err(ReportError::OneRun(recording.to_owned()));
    }
    let dir = recording.join("report");
    fs::create_dir_all(&dir).map_err(|source| ReportError::Write {
        path: dir.clone(),
        source,
    })?;
    let figures = LiveFigures::of(&run);
    let mut drawn = Vec::new();
    let charts = charts::CHARTS;
    let draw = |chart: &charts::LiveChart| {
        let chart_of = (chart.make)(&run, &figures);
        Picture::draw(format!("{}.png", chart.key), chart_of.as_ref())
    };
    for (chart, picture) in charts.iter().zip(on_all_cpus(charts, draw)) {
        picture.write(&dir)?;
        drawn.push(Figure::new(
            chart.title,
            chart.reading,
            &figures.title,
            &picture,
        ));
    }
    let trace = draw_trace(&run_dir, &dir, &run, &figures.title, &mut drawn)?;
    let page = LivePage::of(&run_dir, &run, &figures, drawn, trace);
    let json = serde_json::to_string_pretty(&figures.json(&run, &page))?;
    write_whole(&dir.join(JSON), json.as_bytes())?;
    let text = markdown::render(include_str!("page.md"), &page)?;
    write_whole(&dir.join(markdown::FILE), text.as_bytes())?;
    // The page comes last: when it is there, all it names is there.
    let text = html::render(include_str!("page.html"), &page)?;
    let html = dir.join(html::FILE);
    write_whole(&html, text.as_bytes())?;
    Ok(Report {
        summary: page.summary,
        table: String::new(),
        html,
    })
}

/// Draws the trace and writes it for Perfetto; the file's name if there is one.
fn draw_trace(
    run_dir: &RunDir,
    dir: &Path,
    run: &RunAnalysis,
    title: &str,
    drawn: &mut Vec<Figure>,
) -> Result<Option<&'static str>, ReportError> {
    let Some(trace) = load_trace(run_dir, title, &run.manifest)? else {
        return Ok(None);
    };
    write_whole(&dir.join(TRACE), &perfetto::encode(&trace))?;
    let chart = picture::lanes(title, &[trace]);
    let drawing = Picture::draw("trace.png".into(), &chart);
    drawing.write(dir)?;
    drawn.push(Figure::new(
        picture::TITLE,
        picture::READING,
        title,
        &drawing,
    ));
    Ok(Some(TRACE))
}
