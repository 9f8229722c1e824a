//! What is drawn where.

use loadgen::live::{Failure, Model, Stretch};
use loadgen::terminal::{Page, duration};
use loadgen::{Config, Outcome, Pace};
use nix::errno::Errno;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::Widget;

use super::State;
use super::chart::Chart;
use super::glyphs::Glyphs;
use super::text::rough_duration;

/// "Just now" is an average over so many seconds.
const RECENT_S: u64 = 10;

/// A smaller window gets the short form.
const FULL_COLUMNS: u16 = 70;
const FULL_LINES: u16 = 18;

/// Kinds of outcomes told apart in the full form.
const OUTCOMES_MAX: usize = 4;

/// A rate below this share of the asked one is missed.
const RATE_KEPT: f64 = 0.98;

const PERCENTILES: [f64; 4] = [50.0, 90.0, 99.0, 99.9];

const HELP: [&str; 7] = [
    "q or Ctrl-C  ends the run; what was measured is printed",
    "p            stops drawing, and goes on",
    "?            shows or hides this",
    "",
    "Latencies count from when a request was due. The map has a column a second and",
    "logarithmic rows; the darker, the more answers; ! marks seconds with failures.",
    "It is drawn some two seconds late: rows come in batches.",
];

/// A run at one moment.
pub(super) struct Picture<'a> {
    pub(super) config: &'a Config,
    pub(super) state: &'a State,
    pub(super) model: &'a Model,
    pub(super) now_ns: u64,
    pub(super) glyphs: &'static Glyphs,
    pub(super) has_keys: bool,
    pub(super) paused: bool,
    pub(super) help: bool,
}

impl Picture<'_> {
    pub(super) fn draw(&self, area: Rect, buf: &mut Buffer) {
        let mut page = Page { left: area, buf };
        let is_full = area.width >= FULL_COLUMNS && area.height >= FULL_LINES;
        // The last line is the keys', where there is room.
        if area.height >= 7 {
            page.left.height -= 1;
        }
        if area.height >= 6 {
            page.line(self.title(area.width));
        }
        page.line(self.progress(area.width));
        let complete = self.model.complete(self.now_ns);
        let recent = complete.end.saturating_sub(RECENT_S)..complete.end;
        let recent = self.model.stretch(recent);
        if self.help {
            page.skip(1);
            for line in HELP {
                page.line(line);
            }
        } else if is_full {
            self.full(&mut page, &recent);
        } else {
            self.short(&mut page, &recent);
        }
        if area.height >= 7 {
            page.left = Rect::new(area.x, area.bottom() - 1, area.width, 1);
            page.line(self.keys());
        }
    }

    fn full(&self, page: &mut Page<'_>, recent: &Stretch) {
        page.skip(1);
        page.line(self.rate(recent, true));
        page.line(latency_head());
        page.line(latencies("last 10 s", |p| {
            recent.percentile_ns(p).map(rough_duration)
        }));
        let whole = self.model.latencies();
        page.line(latencies("whole run", |p| {
            (whole.count() > 0).then(|| duration(whole.percentile_ns(p)))
        }));
        page.skip(1);
        let outcomes = self.outcomes(recent);
        let lines = outcomes.len() as u16 + 1;
        let chart = Rect {
            height: page.left.height.saturating_sub(lines),
            ..page.left
        };
        self.chart(chart, page.buf);
        page.skip(chart.height + 1);
        for line in outcomes {
            page.line(line);
        }
    }

    fn short(&self, page: &mut Page<'_>, recent: &Stretch) {
        page.line(self.rate(recent, false));
        let p = |p| recent.percentile_ns(p).map_or("-".into(), rough_duration);
        page.line(format!("last 10 s: p50 {}, p99 {}", p(50.0), p(99.0)));
        page.line(self.counts());
        if let Some(failure) = self.model.last_failure()
            && page.left.height > 6
        {
            page.line(self.last_failure(failure));
        }
        self.chart(page.left, page.buf);
    }

    fn chart(&self, area: Rect, buf: &mut Buffer) {
        let (model, now_ns, glyphs) = (self.model, self.now_ns, self.glyphs);
        Chart {
            model,
            now_ns,
            glyphs,
        }
        .render(area, buf);
    }

    fn title(&self, width: u16) -> Line<'static> {
        let config = self.config;
        let reuse = if config.keep_alive {
            "keep-alive"
        } else {
            "a connection a request"
        };
        let left = format!("loadgen {}", config.target().url());
        let right = format!("{} at once, {reuse}", config.concurrency);
        let gap = usize::from(width).checked_sub(left.chars().count() + right.len());
        match gap {
            Some(gap) if gap > 0 => {
                Line::from(vec![left.bold(), " ".repeat(gap).into(), right.into()])
            }
            _ => Line::from(left.bold()),
        }
    }

    fn progress(&self, width: u16) -> Line<'static> {
        let text = self.state.way.text(self.config);
        let columns = usize::from(width).saturating_sub(text.len() + 2);
        if columns < 4 {
            return Line::from(text);
        }
        let done = (self.state.way.done * columns as f64) as usize;
        Line::from(vec![
            self.glyphs.done.repeat(done).green(),
            self.glyphs.to_do.repeat(columns - done).dim(),
            format!("  {text}").into(),
        ])
    }

    /// Answers per second, what was asked for, and the counts if there is room.
    fn rate(&self, recent: &Stretch, is_full: bool) -> Line<'static> {
        let mut spans: Vec<Span<'static>> = Vec::new();
        let rate = recent.answers_per_second();
        let label = if is_full { "answers      " } else { "" };
        spans.push(label.into());
        spans.push(format!("{rate:.0}/s").bold());
        if let Pace::Open { rate: asked, .. } = &self.config.pace {
            // The seconds that were counted end a little before now.
            let asked = asked.value_at((self.state.way.elapsed.as_secs_f64() - 1.5).max(0.0));
            let is_missed = recent.seconds > 0 && rate < asked * RATE_KEPT;
            let style = match is_missed {
                true => Style::new().yellow().bold(),
                false => Style::new(),
            };
            let missed = if is_missed { ", missed" } else { "" };
            spans.push(Span::styled(
                format!(" of {asked:.0}/s asked{missed}"),
                style,
            ));
        }
        if is_full {
            let seconds = self.state.way.measured_s(self.config).max(1e-3);
            let mean = self.state.completed as f64 / seconds;
            spans.push(format!(" (last 10 s), {mean:.0}/s (whole run);  ").into());
            spans.extend(self.counts().spans);
        }
        Line::from(spans)
    }

    fn counts(&self) -> Line<'static> {
        let State {
            completed, failed, ..
        } = *self.state;
        let done: Span<'static> = format!("{completed} done, ").into();
        match failed {
            0 => Line::from(vec![done, "none failed".into()]),
            _ => Line::from(vec![done, format!("{failed} failed").red().bold()]),
        }
    }

    /// The outcomes that occurred, most frequent first, and the last failure.
    fn outcomes(&self, recent: &Stretch) -> Vec<Line<'static>> {
        let mut counts: Vec<(Outcome, u64)> = self
            .model
            .outcomes()
            .iter()
            .filter(|(_, count)| *count > 0)
            .collect();
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let more = counts.len().saturating_sub(OUTCOMES_MAX);
        let mut lines: Vec<Line<'static>> = counts
            .iter()
            .take(OUTCOMES_MAX)
            .map(|(outcome, count)| {
                let now = match recent.outcomes.get(*outcome) {
                    0 => String::new(),
                    now => format!("  ({now} in the last 10 s)"),
                };
                let text = format!("{count:>11}  {}{now}", outcome.meaning());
                match outcome {
                    Outcome::Ok => Line::from(text),
                    Outcome::StaleKeepAlive | Outcome::Aborted => Line::from(text.yellow()),
                    _ => Line::from(text.red()),
                }
            })
            .collect();
        if more > 0 {
            lines.push(Line::from(format!("{more:>11}  other kinds of outcomes")));
        }
        lines.extend(self.model.last_failure().map(|f| self.last_failure(f)));
        lines
    }

    fn last_failure(&self, failure: Failure) -> Line<'static> {
        let ago_s = self.now_ns.saturating_sub(failure.at_ns) / 1_000_000_000;
        let mut text = format!("last failure {ago_s} s ago: {}", failure.outcome.meaning());
        if failure.status != 0 {
            text += &format!(", status {}", failure.status);
        }
        if failure.errno != 0 {
            text += &format!(", {}", Errno::from_raw(failure.errno.into()).desc());
        }
        Line::from(text.red())
    }

    fn keys(&self) -> Line<'static> {
        match (self.has_keys, self.paused) {
            (false, _) => Line::from("Ctrl-C ends the run".dim()),
            (true, false) => Line::from("q end   p pause   ? help".dim()),
            (true, true) => Line::from(vec![
                "paused".yellow().bold(),
                ", the run goes on   p draw again   q end   ? help".dim(),
            ]),
        }
    }
}

/// Columns of the table of latencies.
const NAME: usize = 11;
const FIGURE: usize = 10;

fn latency_head() -> Line<'static> {
    let names: String = PERCENTILES
        .iter()
        .map(|p| format!("{:>FIGURE$}", format!("p{p}")))
        .chain([format!("{:>FIGURE$}", "longest")])
        .collect();
    Line::from(format!("{:<NAME$}{names}", "latency").dim())
}

fn latencies(name: &str, percentile: impl Fn(f64) -> Option<String>) -> Line<'static> {
    let figures = PERCENTILES.into_iter().chain([100.0]).map(|p| {
        let text = percentile(p).unwrap_or_else(|| "-".to_owned());
        format!("{text:>FIGURE$}")
    });
    Line::from(format!("  {name:<9}{}", figures.collect::<String>()))
}

#[cfg(test)]
mod tests;
