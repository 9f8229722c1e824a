//! What is drawn where: from a picture to the cells of a screen.
//!
//! 80 columns and 24 lines hold a line or two of everything; where there is more room, tables get
//! longer and wider; a smaller screen gets a short form.

mod look;
mod slots;
mod tables;

use loadgen::terminal::{Page, duration};
use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::Stylize,
    text::{Line, Span},
};

pub use look::{Look, Signs};
pub use tables::Sort;

use super::{
    Finding, Picture,
    words::{figure, percent},
};
use crate::{kernel::Ports, wording::whole};

/// A smaller screen gets the short form.
const FULL_COLUMNS: u16 = 78;
const FULL_LINES: u16 = 22;
/// Lines that the tables of the full form share, at least.
const PHASES_LEAST: usize = 3;
const TASKS_LEAST: usize = 3;

const HELP: [&str; 20] = [
    "q, Ctrl-C  ends this              p  stops drawing, and goes on",
    "s          sorts the tasks        i  lists idle tasks too, or not",
    "?          shows or hides this",
    "",
    "A slot is a task that can serve one connection at a time: a child of prefork,",
    "a worker thread of worker and event. The bar has a sign for each:",
    "  * on CPU          runs                   q run queue  waits for a CPU",
    "  L lock            waits for a lock       D disk       waits for a file, a page",
    "  R reading client  for the request        W sending    until the client reads",
    "  K keep-alive      answered, and held     o other      a backend, a program",
    "  _ idle            has no connection",
    "",
    "The server's part of a request is the time from its arrival to its last send;",
    "phases sum to it, and their percentiles count requests without a phase as 0.",
    "",
    "Rates and the server's part are about the window; slots, queue, connections and",
    "tasks about the last look; what stands below, with !, about the last minute. A",
    "request counts as soon as the next one of its connection is read, or when the",
    "connection ends.",
    "",
];

/// A picture, and how it is to be drawn.
pub struct View<'a> {
    /// What is drawn.
    pub picture: &'a Picture,
    /// Signs and colours.
    pub look: &'a Look,
    /// The order of the tasks.
    pub sort: Sort,
    /// Whether idle tasks are listed too.
    pub with_idle: bool,
    /// Whether another server is waited for after the end of this one.
    pub follows: bool,
    /// Whether the keys are explained instead.
    pub help: bool,
    /// What the last line says; nothing: there is no such line.
    pub keys: Option<Keys>,
}

/// What the last line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// The screen is drawn again and again.
    Running,
    /// It is not.
    Paused,
    /// Nobody can press keys.
    None,
}

impl View<'_> {
    /// Draws it.
    pub fn draw(&self, area: Rect, buf: &mut Buffer) {
        let mut page = Page { left: area, buf };
        // The last two lines have their places, where there is room.
        let foot = match (area.height, self.keys) {
            (..10, _) => 0,
            (_, None) => 1,
            (_, Some(_)) => 2,
        };
        page.left.height -= foot;
        page.line(self.title(area.width));
        if let Some(ended) = self.ended() {
            page.line(ended);
        }
        if self.help {
            page.skip(1);
            for line in HELP {
                page.line(line);
            }
        } else {
            let is_full = area.width >= FULL_COLUMNS && area.height >= FULL_LINES;
            self.body(&mut page, is_full);
        }
        page.left = Rect {
            y: area.bottom() - foot,
            height: foot,
            ..area
        };
        if foot > 0 {
            page.line(self.observer());
        }
        if let (2, Some(keys)) = (foot, self.keys) {
            page.line(self.key_line(keys));
        }
    }

    fn body(&self, page: &mut Page<'_>, is_full: bool) {
        let width = page.left.width;
        for line in slots::lines(&self.picture.slots, self.look, width) {
            page.line(line);
        }
        page.line(self.queue());
        if is_full {
            page.line(self.connections());
        }
        page.line(self.requests(is_full));
        let findings = self.findings(width);
        let phases = tables::phases(&self.picture.requests, self.look, is_full, width);
        let tasks = tables::tasks(self, width);
        // What is left is shared: each table has its least, then the findings, then the others.
        let left = usize::from(page.left.height);
        let gap = usize::from(is_full);
        let (phases_least, tasks_least) = match is_full {
            true => (PHASES_LEAST + 2, TASKS_LEAST + 1),
            false => (2, 2),
        };
        let fixed = phases_least.min(phases.len()) + tasks_least.min(tasks.len()) + 2 * gap;
        let findings_shown = findings.len().min(left.saturating_sub(fixed));
        let more = left.saturating_sub(fixed + findings_shown);
        let phases_shown = phases.len().min(phases_least + more.div_ceil(2));
        let tasks_shown = left.saturating_sub(phases_shown + findings_shown + 2 * gap);
        // Tasks that are not there leave their lines to the phases.
        let spare = tasks_shown.saturating_sub(tasks.len());
        page.skip(gap as u16);
        for line in phases.into_iter().take(phases_shown + spare) {
            page.line(line);
        }
        page.skip(gap as u16);
        for line in tasks.into_iter().take(tasks_shown) {
            page.line(line);
        }
        // Findings stand at the bottom.
        let free = usize::from(page.left.height).saturating_sub(findings_shown);
        page.skip(free as u16);
        for line in findings.into_iter().take(findings_shown) {
            page.line(line);
        }
    }

    fn title(&self, width: u16) -> Line<'static> {
        let left = match &self.picture.server {
            None => "mpm-observer top".to_owned(),
            Some(server) => {
                let ports = Ports::from(server.watched_ports.as_slice());
                format!(
                    "mpm-observer top  {} MPM, pid {}, {}",
                    server.mpm,
                    server.pid,
                    ports.in_words()
                )
            }
        };
        let right = format!("window {}", seconds(self.picture.window.length_ns));
        let gap = usize::from(width).checked_sub(left.chars().count() + right.chars().count());
        match gap {
            Some(gap) if gap > 0 => {
                Line::from(vec![left.bold(), " ".repeat(gap).into(), right.into()])
            }
            _ => Line::from(left.bold()),
        }
    }

    fn ended(&self) -> Option<Line<'static>> {
        let server = self.picture.server.as_ref()?;
        let ago = seconds(server.ended_for_ns?);
        let next = match self.follows {
            true => "waiting for the next one",
            false => "--pid names no other to wait for",
        };
        let text = format!("httpd (pid {}) has ended {ago} ago; {next}", server.pid);
        Some(Line::from(Span::styled(text, self.look.alarm())))
    }

    fn queue(&self) -> Line<'static> {
        let queue = &self.picture.accept_queue;
        let length = match (queue.length, queue.limit) {
            (None, _) => "nobody listens".bold(),
            (Some(length), None) => whole(length.into()).bold(),
            (Some(length), Some(limit)) => {
                let text = format!("{} of {}", whole(length.into()), whole(limit.into()));
                match length.saturating_mul(10) >= limit.saturating_mul(9) {
                    true => Span::styled(text, self.look.alarm()),
                    false => text.bold(),
                }
            }
        };
        let mut rest = format!(", most {}", whole(queue.longest.into()));
        let (p50, p99) = (duration(queue.wait.p50_ns), duration(queue.wait.p99_ns));
        match (queue.wait.count, queue.overflows_of_namespace) {
            (0, 0) => {}
            (0, overflows) => rest += &format!("; {} overflows, all sockets", whole(overflows)),
            (_, 0) => rest += &format!("; waited p50 {p50}, p99 {p99}"),
            // There is no room for all three.
            (_, overflows) => {
                rest += &format!(
                    "; waited p99 {p99}; {} overflows, all sockets",
                    whole(overflows)
                );
            }
        }
        Line::from(vec!["accept queue  ".into(), length, rest.into()])
    }

    fn connections(&self) -> Line<'static> {
        let now = &self.picture.connections;
        let mut text = format!(", {} served", whole(now.serving.into()));
        for (count, words) in [
            (now.holding, "kept in a slot"),
            (now.parked, "parked without one"),
        ] {
            if count > 0 {
                text += &format!(", {} {words}", whole(count.into()));
            }
        }
        if now.unread > 0 {
            text += &format!(
                ", {} not read for {}",
                whole(now.unread.into()),
                duration(now.unread_for_ns)
            );
        }
        Line::from(vec![
            "connections   ".into(),
            format!("{} open", whole(now.open.into())).bold(),
            text.into(),
        ])
    }

    fn requests(&self, is_full: bool) -> Line<'static> {
        let requests = &self.picture.requests;
        let rate = format!("{}/s", figure(requests.picked_up_per_s));
        let mut text = String::new();
        if let Some(each) = &requests.each {
            text = format!(
                "; each {} switches, {} faults, {} CPU",
                figure(each.voluntary_switches + each.involuntary_switches),
                figure(each.faults),
                duration(each.on_cpu_ns as u64),
            );
        }
        if requests.unanswered > 0 && is_full {
            text += &format!("; {} unanswered", whole(requests.unanswered));
        }
        Line::from(vec!["requests      ".into(), rate.bold(), text.into()])
    }

    fn findings(&self, width: u16) -> Vec<Line<'static>> {
        let wrap = |finding: &Finding| {
            let text = format!("{}: {} ({})", finding.rule, finding.text, finding.evidence);
            let options = textwrap::Options::new(usize::from(width.max(20)))
                .initial_indent("! ")
                .subsequent_indent("  ");
            let lines = textwrap::wrap(&text, options);
            lines
                .into_iter()
                .map(|line| Line::from(Span::styled(line.into_owned(), self.look.alarm())))
                .collect::<Vec<_>>()
        };
        self.picture.findings.iter().flat_map(wrap).collect()
    }

    fn observer(&self) -> Line<'static> {
        let observer = &self.picture.observer;
        let mut text = format!("observer: {} of a CPU", percent(observer.cpu_share));
        if let Some(programs_ns) = observer.programs_ns {
            let covered_ns = self.picture.window.covered_ns.max(1);
            let share = programs_ns as f64 / covered_ns as f64;
            text += &format!(" and {} in its programs", percent(share));
        }
        text += &format!("; {} requests told, ", whole(observer.records));
        let lost = match observer.lost {
            0 => Span::styled("nothing lost", self.look.quiet()),
            lost => Span::styled(format!("{} lost", whole(lost)), self.look.alarm()),
        };
        Line::from(vec![Span::styled(text, self.look.quiet()), lost])
    }

    fn key_line(&self, keys: Keys) -> Line<'static> {
        let quiet = self.look.quiet();
        let sort = format!("s sort: {}", self.sort.name());
        let idle = if self.with_idle {
            "i no idle"
        } else {
            "i idle too"
        };
        match keys {
            Keys::None => Line::styled("Ctrl-C ends this", quiet),
            Keys::Running => Line::styled(
                format!("q quit   p pause   {sort}   {idle}   ? help"),
                quiet,
            ),
            Keys::Paused => Line::from(vec![
                Span::styled("paused", self.look.alarm()),
                Span::styled("   p go on   q quit   ? help", quiet),
            ]),
        }
    }
}

/// Whole seconds.
fn seconds(ns: u64) -> String {
    format!("{} s", (ns + 500_000_000) / 1_000_000_000)
}

/// A head of a table.
fn head(text: String, look: &Look) -> Line<'static> {
    Line::styled(text, look.quiet())
}

#[cfg(test)]
mod tests;
