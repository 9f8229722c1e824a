//! The traces of a scenario: a file for Perfetto of each, a picture of all, and who woke whom.

pub(super) mod picture;
mod table;

use std::{collections::BTreeMap, path::Path};

use serde::Serialize;
use serde_json::{Value, json};

use super::{
    ReportError,
    data::{Group, LeftOut},
    page::Figure,
    pictures::{Picture, write_whole},
};
use crate::{
    recording::RunDir,
    scenario::Mpm,
    trace::{Trace, WaitKind, Waits, load_trace, perfetto},
};

pub(super) use table::wakers;

/// What stays of a run's trace.
#[derive(Clone, Debug)]
pub(super) struct TraceFigures {
    /// The run's MPM.
    pub mpm: Mpm,
    /// The run.
    pub run: String,
    /// Name of the file for Perfetto.
    pub file: String,
    /// Length of the window.
    pub window_ns: u64,
    /// Events received.
    pub events: u64,
    /// Events lost.
    pub lost: u64,
    /// Events that are missing, as far as the tasks' states show.
    pub gaps: u64,
    /// Requests of which all lies in the window.
    pub whole_requests: u64,
    /// Requests of which a part does.
    pub requests: u64,
    /// Blocked waits of the requests, by kind.
    pub waits: BTreeMap<WaitKind, Waits>,
}

/// A link to a file for Perfetto.
#[derive(Clone, Debug, Serialize)]
pub(super) struct TraceLink {
    /// The MPM.
    pub mpm: String,
    /// The file's name.
    pub file: String,
}

/// Writes the files of a scenario's traces and draws their picture; nothing if there are none.
pub(super) fn make(
    experiment: &Path,
    dir: &Path,
    stem: &str,
    group: &Group,
    left_out: &mut Vec<LeftOut>,
) -> Result<Option<(Vec<TraceFigures>, Figure)>, ReportError> {
    let mut traces: Vec<Trace> = Vec::new();
    let mut figures = Vec::new();
    for run in &group.runs {
        // Only the first traced repetition of an MPM is drawn, and the lab traces no other.
        if traces.iter().any(|trace| trace.mpm == run.mpm) {
            continue;
        }
        let run_dir = RunDir::of(experiment, &run.name);
        let loaded = run_dir
            .read_manifest()
            .and_then(|manifest| load_trace(&run_dir, &run.name, &manifest));
        let trace = match loaded {
            Ok(Some(trace)) => trace,
            Ok(None) => continue,
            Err(error) => {
                left_out.push(LeftOut {
                    run: run.name.clone(),
                    why: format!("only its trace: it cannot be read: {error}"),
                });
                continue;
            }
        };
        let file = format!("{stem}.{}.perfetto-trace", run.mpm);
        write_whole(&dir.join(&file), &perfetto::encode(&trace))?;
        figures.push(TraceFigures::of(&trace, file));
        traces.push(trace);
    }
    if traces.is_empty() {
        return Ok(None);
    }
    let title = &group.notes.title;
    let chart = picture::lanes(title, &traces);
    let picture = Picture::draw(format!("{stem}.trace.png"), &chart);
    picture.write(dir)?;
    let figure = Figure::new(picture::TITLE, picture::READING, title, &picture);
    Ok(Some((figures, figure)))
}

impl TraceFigures {
    fn of(trace: &Trace, file: String) -> Self {
        let whole = trace.requests.iter().filter(|request| request.is_whole());
        let window = trace.window;
        Self {
            mpm: trace.mpm,
            run: trace.run.clone(),
            file,
            window_ns: window.until_ns.saturating_sub(window.from_ns),
            events: trace.events,
            lost: trace.lost(),
            gaps: trace.tasks.iter().map(|task| task.spans.missing).sum(),
            whole_requests: whole.count() as u64,
            requests: trace.requests.len() as u64,
            waits: trace.waits(),
        }
    }

    /// For programs.
    pub fn json(&self) -> Value {
        let waits = self.waits.iter().map(|(kind, waits)| {
            json!({
                "part": kind.part.name(),
                "blocked_in": crate::trace::State::Blocked(kind.blocked).name(),
                "woken_by": kind.waker.name(),
                "count": waits.count,
                "total_ns": waits.total_ns,
            })
        });
        json!({
            "run": self.run,
            "mpm": self.mpm,
            "file": self.file,
            "window_ns": self.window_ns,
            "events": self.events,
            "events_lost": self.lost,
            "state_gaps": self.gaps,
            "requests": self.requests,
            "whole_requests": self.whole_requests,
            "waits": waits.collect::<Vec<_>>(),
        })
    }

    /// For the page.
    pub fn link(&self) -> TraceLink {
        TraceLink {
            mpm: self.mpm.to_string(),
            file: self.file.clone(),
        }
    }
}
