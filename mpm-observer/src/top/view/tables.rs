//! The tables: phases of the requests, and tasks.

use std::cmp::Reverse;

use loadgen::terminal::duration;
use ratatui::text::{Line, Span};

use super::{
    View,
    fit::columns,
    look::{Look, words},
};
use crate::{
    live::SlotState,
    top::{
        Spread,
        picture::{RequestsPart, TaskPart},
        words::percent,
    },
};

/// By what the tasks are sorted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sort {
    /// Those that wait with a request first, then those that run, then those in keep-alive or that
    /// close; among each the longest first.
    #[default]
    Wait,
    /// The longest request first.
    Request,
    /// The most CPU time first.
    Cpu,
    /// By task.
    Task,
}

impl Sort {
    const ALL: [Self; 4] = [Self::Wait, Self::Request, Self::Cpu, Self::Task];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Wait => "wait",
            Self::Request => "request",
            Self::Cpu => "cpu",
            Self::Task => "task",
        }
    }

    /// The next one, around.
    #[must_use]
    pub fn next(self) -> Self {
        let mut all = Self::ALL.into_iter().cycle();
        all.by_ref().find(|sort| *sort == self);
        all.next().unwrap_or_default()
    }

    fn sort(self, tasks: &mut [&TaskPart]) {
        match self {
            Self::Wait => tasks.sort_by_key(|task| {
                let last = match task.state {
                    SlotState::Idle => 3,
                    // It waits, but nobody waits for it.
                    SlotState::KeepAlive | SlotState::Closing => 2,
                    SlotState::OnCpu => 1,
                    _ => 0,
                };
                (last, Reverse(task.since_ns))
            }),
            Self::Request => {
                tasks.sort_by_key(|task| Reverse(task.request_for_ns.map_or(0, |ns| ns + 1)));
            }
            Self::Cpu => tasks.sort_by(|one, other| other.cpu_share.total_cmp(&one.cpu_share)),
            Self::Task => tasks.sort_by_key(|task| (task.pid, task.tid)),
        }
    }
}

/// From so many columns on there is more in each line.
const WIDE: u16 = 110;
const PHASE: usize = 20;
const FIGURE: usize = 10;
/// The bar of a share, on a screen of 80 columns and on a wider one.
const BARS: [usize; 2] = [10, 24];

/// The server's part and its phases, the longest in all first; the head is the first line.
pub(super) fn phases(
    requests: &RequestsPart,
    look: &Look,
    is_full: bool,
    width: u16,
) -> Vec<Line<'static>> {
    let names = ["p50", "p99", "p99.9", "longest"].map(|name| format!("{name:>FIGURE$}"));
    let head = [format!("{:<PHASE$}", "server's part")].into_iter();
    let head = head.chain(names).chain(["  share".to_owned()]);
    let head = head.map(|text| Span::styled(text, look.quiet()));
    let mut lines = vec![columns(head.collect(), width)];
    let all = "from arrival to sent";
    if requests.latency.count == 0 {
        lines.push(Line::from("no request has ended in the window"));
        return lines;
    }
    lines.push(row(
        all,
        &requests.latency,
        [String::new(), String::new()],
        width,
    ));
    let mut phases: Vec<_> = requests.phases.iter().collect();
    phases.sort_by(|one, other| other.share.total_cmp(&one.share));
    for phase in phases {
        let bar = match is_full {
            true => format!(
                " {}",
                look.bar(phase.share, BARS[usize::from(width >= WIDE)])
            ),
            false => String::new(),
        };
        let share = [format!(" {:>6}", percent(phase.share)), bar];
        let name = format!("  {}", phase.phase);
        lines.push(row(&name, &phase.spread, share, width));
    }
    lines
}

fn row(name: &str, spread: &Spread, share: [String; 2], width: u16) -> Line<'static> {
    let figures = [spread.p50_ns, spread.p99_ns, spread.p999_ns, spread.max_ns];
    let figures = figures.map(|ns| format!("{:>FIGURE$}", duration(ns)));
    let name = [format!("{name:<PHASE$}")].into_iter();
    let all = name.chain(figures).chain(share).map(Span::from);
    columns(all.collect(), width)
}

/// The tasks in the order that was asked for; the head is the first line.
pub(super) fn tasks(view: &View<'_>, width: u16) -> Vec<Line<'static>> {
    let picture = view.picture;
    let wide = width >= WIDE;
    let mut head = vec![
        format!("{:>8}  {:<14}", "task", "does"),
        format!(" {:>9}", "for"),
        format!("  {:<24}", "client"),
        format!(" {:>9}", "request"),
        format!(" {:>6}", "CPU"),
    ];
    if wide {
        head.push("  process blocked in    requests".into());
    }
    let head = head
        .into_iter()
        .map(|text| Span::styled(text, view.look.quiet()));
    let mut lines = vec![columns(head.collect(), width)];
    let mut tasks: Vec<&TaskPart> = picture
        .tasks
        .iter()
        .filter(|task| view.with_idle || task.state.is_busy())
        .collect();
    view.sort.sort(&mut tasks);
    if tasks.is_empty() {
        lines.push(Line::from("no slot is busy"));
    }
    for task in tasks {
        let client = task.client.map_or("-".into(), |client| client.to_string());
        let request = task.request_for_ns.map_or("-".into(), duration);
        let mut row = vec![
            format!("{:>8}  ", task.tid).into(),
            Span::styled(
                format!("{:<14}", words(task.state)),
                view.look.state(task.state),
            ),
            format!(" {:>9}", duration(task.since_ns)).into(),
            format!("  {client:<24}").into(),
            format!(" {request:>9}").into(),
            format!(" {:>6}", percent(f64::from(task.cpu_share))).into(),
        ];
        if wide {
            let blocked_in = task.blocked_in.unwrap_or("-");
            row.push(format!(" {:>8} {blocked_in:<12} {:>8}", task.pid, task.requests).into());
        }
        lines.push(columns(row, width));
    }
    lines
}
