//! What is drawn where: from a picture to the cells of a screen.
//!
//! 80 columns and 24 lines hold a line or two of everything; where there is more room, tables get
//! longer and wider; a smaller screen gets a short form.

mod fit;
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

use fit::Part;
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
    "  k lock            waits for a lock       d disk       waits for a file, a page",
    "  R reading client  for the request        W sending    until the client reads",
    "  K keep-alive      answered, and held     C closing    until the client closes",
    "  o other           a backend, a program   _ idle       has no connection",
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
            page.line(self.observer(area.width));
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
        page.line(self.queue(width));
        if is_full {
            page.line(self.connections(width));
        }
        page.line(self.requests(is_full, width));
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
        let mut parts = vec![Part::new(0, "mpm-observer top", "top")];
        if let Some(server) = &self.picture.server {
            let ports = Ports::from(server.watched_ports.as_slice());
            parts.extend([
                Part::new(
                    3,
                    format!("  {} MPM", server.mpm),
                    format!("  {}", server.mpm),
                ),
                Part::fixed(1, format!(", pid {}", server.pid)),
                Part::fixed(2, format!(", {}", ports.in_words())),
            ]);
        }
        let left = fit::parts(parts, usize::from(width));
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

    fn queue(&self, width: u16) -> Line<'static> {
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
        let mut parts = Vec::new();
        if let (Some(port), 2..) = (queue.port, queue.queues.len()) {
            parts.push(Part::new(
                0,
                format!(" at port {port}"),
                format!(" at {port}"),
            ));
        }
        parts.push(Part::fixed(
            3,
            format!(", most {}", whole(queue.longest.into())),
        ));
        if queue.wait.count > 0 {
            let (p50, p99) = (duration(queue.wait.p50_ns), duration(queue.wait.p99_ns));
            parts.push(Part::new(
                2,
                format!("; waited p50 {p50}, p99 {p99}"),
                format!("; waited p99 {p99}"),
            ));
        }
        if queue.overflows_of_namespace > 0 {
            let overflows = whole(queue.overflows_of_namespace);
            parts.push(Part::new(
                1,
                format!("; {overflows} overflows, all sockets"),
                format!("; {overflows} overflows"),
            ));
        }
        labelled("accept queue", length, parts, width)
    }

    fn connections(&self, width: u16) -> Line<'static> {
        let now = &self.picture.connections;
        let mut parts = vec![Part::fixed(
            0,
            format!(", {} served", whole(now.serving.into())),
        )];
        for (rank, count, long, short) in [
            (2, now.holding, "kept in a slot", "kept"),
            (3, now.parked, "parked without one", "parked"),
            (4, now.finishing, "closing or logging", "ending"),
        ] {
            if count > 0 {
                let count = whole(count.into());
                let [long, short] = [long, short].map(|words| format!(", {count} {words}"));
                parts.push(Part::new(rank, long, short));
            }
        }
        if now.unread > 0 {
            let (count, for_ns) = (whole(now.unread.into()), duration(now.unread_for_ns));
            parts.push(Part::new(
                1,
                format!(", {count} not read for {for_ns}"),
                format!(", {count} unread {for_ns}"),
            ));
        }
        let open = format!("{} open", whole(now.open.into()));
        labelled("connections", open.bold(), parts, width)
    }

    fn requests(&self, is_full: bool, width: u16) -> Line<'static> {
        let requests = &self.picture.requests;
        let rate = format!("{}/s", figure(requests.picked_up_per_s));
        let mut parts = Vec::new();
        if let Some(each) = &requests.each {
            let switches = figure(each.voluntary_switches + each.involuntary_switches);
            parts.extend([
                Part::fixed(2, format!("; each {switches} switches")),
                Part::fixed(4, format!(", {} faults", figure(each.faults))),
                Part::fixed(3, format!(", {} CPU", duration(each.on_cpu_ns as u64))),
            ]);
        }
        if requests.unanswered > 0 && is_full {
            let count = whole(requests.unanswered);
            parts.push(Part::fixed(1, format!("; {count} unanswered")));
        }
        labelled("requests", rate.bold(), parts, width)
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

    fn observer(&self, width: u16) -> Line<'static> {
        let observer = &self.picture.observer;
        let cpu = percent(observer.cpu_share);
        let mut parts = vec![Part::new(
            1,
            format!("observer: {cpu} of a CPU"),
            format!("observer: {cpu}"),
        )];
        if let Some(programs_ns) = observer.programs_ns {
            let covered_ns = self.picture.window.covered_ns.max(1);
            let share = percent(programs_ns as f64 / covered_ns as f64);
            parts.push(Part::new(
                2,
                format!(" and {share} in its programs"),
                format!(" and {share}"),
            ));
        }
        parts.push(Part::fixed(
            3,
            format!("; {} requests told", whole(observer.records)),
        ));
        let (lost, style) = match observer.lost {
            0 => ("nothing lost".to_owned(), self.look.quiet()),
            lost => (format!("{} lost", whole(lost)), self.look.alarm()),
        };
        let room = usize::from(width).saturating_sub(lost.chars().count() + 2);
        let mut text = fit::parts(parts, room);
        if !text.is_empty() {
            text += ", ";
        }
        Line::from(vec![
            Span::styled(text, self.look.quiet()),
            Span::styled(lost, style),
        ])
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

/// A line of one figure and what belongs to it.
fn labelled(
    label: &'static str,
    figure: Span<'static>,
    parts: Vec<Part>,
    width: u16,
) -> Line<'static> {
    let label = format!("{label:<14}");
    let used = label.len() + figure.content.chars().count();
    let rest = fit::parts(parts, usize::from(width).saturating_sub(used));
    Line::from(vec![label.into(), figure, rest.into()])
}

#[cfg(test)]
mod tests;
