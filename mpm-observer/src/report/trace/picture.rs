//! The picture of the traces: some milliseconds of each MPM below each other.

use std::collections::HashMap;

use mpm_observer_common::{BlockedIn, WakeContext};
use plots::{
    Color, Frame, Interval, Lane, LaneCounter, LaneGroup, LaneLink, LaneMark, LaneSlice, LaneSpan,
    Lanes, Marker, Series, SeriesStyle, Unit,
};

use crate::{
    httpd::Role,
    report::text::{plural, whole},
    statistics::quantile,
    trace::{Request, Span, State, Trace, TracedTask},
};

pub(in crate::report) const TITLE: &str = "What every task did";
pub(in crate::report) const READING: &str = "A lane is a task, its colour what it did. Boxes above a lane are the requests that it worked \
     on, with the client's port where there is room; arrows lead from the task that wakes to the one that is woken.";

/// Lanes of each MPM; more would not be read.
const MOST_LANES: usize = 12;
/// … of which at most so many are listeners.
const MOST_LISTENERS: usize = 3;
/// Lengths of the part that is shown, ns.
const LENGTHS_NS: [u64; 8] = [
    1_000_000,
    2_000_000,
    5_000_000,
    10_000_000,
    20_000_000,
    50_000_000,
    100_000_000,
    200_000_000,
];
/// A request of median length has at least this share of the part.
const SHARE_OF_REQUEST: u64 = 30;

const ACCEPT: usize = 0;
const NETWORK_WAKE: usize = 1;

/// Work is green, waiting for a CPU pink, and being blocked, which is mostly idling, pale.
const fn color(state: State) -> Color {
    match state {
        State::OnCpu => Color(0x00, 0x9e, 0x73),
        State::Woken => Color(0xff, 0x9d, 0xb0),
        State::Preempted => Color(0xc6, 0x3d, 0x6b),
        State::Blocked(BlockedIn::Futex) => Color(0xf3, 0xe3, 0xa6),
        State::Blocked(BlockedIn::Poll) => Color(0xd3, 0xe4, 0xf5),
        State::Blocked(BlockedIn::Receive) => Color(0xd9, 0xd3, 0xee),
        State::Blocked(BlockedIn::Send) => Color(0x8f, 0xb6, 0xe0),
        State::Blocked(BlockedIn::File) => Color(0xb0, 0x8a, 0x66),
        State::Blocked(BlockedIn::Fault) => Color(0x80, 0x55, 0x40),
        State::Blocked(BlockedIn::Sleep) => Color(0xe4, 0xdc, 0xc4),
        State::Blocked(BlockedIn::Stopped) => Color(0x40, 0x40, 0x40),
        State::Blocked(BlockedIn::KernelLock) => Color(0x7a, 0x5a, 0x9c),
        State::Blocked(BlockedIn::Other) => Color(0xc9, 0xc9, 0xa8),
        State::Unknown => Color(0xee, 0xee, 0xee),
    }
}

/// A part of a trace.
#[derive(Clone, Copy)]
struct Part {
    from_ns: u64,
    to_ns: u64,
}

impl Part {
    fn meets(self, from_ns: u64, to_ns: u64) -> bool {
        from_ns < self.to_ns && to_ns >= self.from_ns
    }

    fn holds(self, at_ns: u64) -> bool {
        (self.from_ns..self.to_ns).contains(&at_ns)
    }

    /// A time as it is drawn.
    fn x(self, at_ns: u64) -> f64 {
        at_ns as f64 - self.from_ns as f64
    }
}

/// The picture of a scenario's traces.
pub(in crate::report) fn lanes(scenario: &str, traces: &[Trace]) -> Lanes {
    let length_ns = length_ns(traces);
    let mut groups = Vec::new();
    let mut begins = Vec::new();
    let mut lost = 0;
    for trace in traces {
        let part = busiest(trace, length_ns);
        groups.push(group(trace, part));
        let after_ns = part.from_ns.saturating_sub(trace.window.from_ns);
        let after = Unit::Nanoseconds.format(after_ns as f64);
        begins.push(format!("{} {after}", trace.mpm));
        lost += trace.lost();
    }
    let length = Unit::Nanoseconds.format(length_ns as f64);
    let style = |color| SeriesStyle {
        color,
        marker: Marker::Square,
    };
    Lanes {
        x_title: "time in the part that is shown".into(),
        window: Some(Interval {
            low: 0.0,
            high: length_ns as f64,
        }),
        categories: State::ALL
            .into_iter()
            .map(|state| Series::new(state.name(), style(color(state))))
            .collect(),
        slice_name: "request".into(),
        mark_kinds: vec![
            Series::new("accept", style(Color(0xd5, 0x5e, 0x00))),
            Series::new("woken by the network", style(Color(0x00, 0x72, 0xb2))),
        ],
        link_kinds: vec![Series::new(
            "wakes another task",
            style(Color(0x50, 0x50, 0x50)),
        )],
        groups,
        ..Lanes::new(
            Frame::new(format!("{scenario}: what every task did"))
                .subtitle(format!(
                    "the {length} of each trace with the most whole requests; they begin after: {}",
                    begins.join(", ")
                ))
                .footnote(format!(
                    "One run of each MPM. Unknown is the time before a task's first event in the \
                     trace. Lost\u{a0}events\u{a0}of\u{a0}the\u{a0}traces:\u{a0}{}.",
                    whole(lost)
                ))
                .size(1500, 320),
            Unit::Nanoseconds,
        )
    }
}

/// So long that a request of median length can be seen, the same for all traces.
fn length_ns(traces: &[Trace]) -> u64 {
    let mut services: Vec<u64> = traces
        .iter()
        .flat_map(|trace| &trace.requests)
        .filter_map(service)
        .map(|(from_ns, to_ns)| to_ns.saturating_sub(from_ns))
        .collect();
    services.sort_unstable();
    let wanted_ns = quantile(&services, 0.5).unwrap_or(0) * SHARE_OF_REQUEST;
    let shortest = traces
        .iter()
        .map(|trace| trace.window.until_ns - trace.window.from_ns)
        .min();
    let longest_ns = *LENGTHS_NS.last().unwrap_or(&1);
    let fitting = LENGTHS_NS.into_iter().find(|length| *length >= wanted_ns);
    fitting
        .unwrap_or(longest_ns)
        .min(shortest.unwrap_or(longest_ns))
        .max(1)
}

/// Pick-up and last send of a request that lies wholly in the trace.
fn service(request: &Request) -> Option<(u64, u64)> {
    let whole = request.is_whole().then_some(request)?;
    Some((whole.pickup_ns?, whole.last_send_ns?))
}

/// The part of this length with the most whole requests; it begins just before one of them.
fn busiest(trace: &Trace, length_ns: u64) -> Part {
    let mut services: Vec<(u64, u64)> = trace.requests.iter().filter_map(service).collect();
    services.sort_unstable();
    let lead_ns = length_ns / 20;
    let last_ns = trace.window.until_ns.saturating_sub(length_ns);
    let mut best = (0, trace.window.from_ns);
    for (index, (pickup_ns, _)) in services.iter().enumerate() {
        let from_ns = pickup_ns
            .saturating_sub(lead_ns)
            .clamp(trace.window.from_ns, last_ns.max(trace.window.from_ns));
        let to_ns = from_ns + length_ns;
        let count = services[index..]
            .iter()
            .take_while(|(pickup_ns, _)| *pickup_ns < to_ns)
            .filter(|(_, end_ns)| *end_ns <= to_ns)
            .count();
        if count > best.0 {
            best = (count, from_ns);
        }
    }
    Part {
        from_ns: best.1,
        to_ns: best.1 + length_ns,
    }
}

fn group(trace: &Trace, part: Part) -> LaneGroup {
    let shown = choose(trace, part);
    let lane_of: HashMap<u32, usize> = shown
        .iter()
        .enumerate()
        .map(|(lane, task)| (task.spans.tid, lane))
        .collect();
    let mut lanes: Vec<Lane> = shown.iter().map(|task| lane(task, part)).collect();
    let (mut drawn, mut in_part) = (0, 0);
    for request in &trace.requests {
        for piece in &request.pieces {
            if !part.meets(piece.from_ns, piece.to_ns) {
                continue;
            }
            in_part += 1;
            if let Some(&lane) = lane_of.get(&piece.tid) {
                drawn += 1;
                lanes[lane].slices.push(LaneSlice {
                    from: part.x(piece.from_ns),
                    to: part.x(piece.to_ns),
                    label: format!(":{}", request.remote_port),
                });
            }
        }
        if let Some((at_ns, tid)) = request.accepted
            && let Some(&lane) = lane_of.get(&tid)
            && part.holds(at_ns)
        {
            lanes[lane].marks.push(LaneMark {
                at: part.x(at_ns),
                kind: ACCEPT,
            });
        }
    }
    let queue = if trace.accept_queue.is_exact {
        "accept queue"
    } else {
        "accept queue, at least"
    };
    LaneGroup {
        title: title(trace, part, shown.len(), (drawn, in_part)),
        links: links(&shown, &lane_of, part),
        lanes,
        counter: Some(LaneCounter {
            name: queue.into(),
            unit: Unit::Count,
            points: trace
                .accept_queue
                .length
                .0
                .iter()
                .map(|(at_ns, value)| (part.x(*at_ns), *value as f64))
                .collect(),
        }),
    }
}

fn title(trace: &Trace, part: Part, shown: usize, (drawn, in_part): (u64, u64)) -> String {
    let all = trace.tasks.iter().filter(|task| lives_in(task, part));
    let all = all.count();
    let mut title = format!("{}: {} of {}", trace.mpm, shown, plural(all as u64, "task"));
    if shown < all {
        let active = trace.tasks.iter().filter(|task| is_active(task, part));
        let others = active.count().saturating_sub(shown);
        title += &match others {
            0 => ", no other was seen to run".into(),
            others => format!(", the most active ones; {others} more ran"),
        };
    }
    if drawn < in_part {
        title += &format!("; {drawn} of {in_part} pieces of work on requests");
    }
    title
}

fn lives_in(task: &TracedTask, part: Part) -> bool {
    part.meets(task.spans.from_ns, task.spans.to_ns)
}

/// Time on a CPU in the part.
fn on_cpu_ns(task: &TracedTask, part: Part) -> u64 {
    let spans = task.spans.spans.iter();
    spans
        .filter(|span| span.state == State::OnCpu)
        .map(|span| span.within_ns(part.from_ns, part.to_ns))
        .sum()
}

fn is_active(task: &TracedTask, part: Part) -> bool {
    on_cpu_ns(task, part) > 0
}

/// The tasks that are shown: parent and listeners that ran, and those with the most requests.
fn choose(trace: &Trace, part: Part) -> Vec<&TracedTask> {
    let mut pieces: HashMap<u32, u64> = HashMap::new();
    for piece in trace.requests.iter().flat_map(|request| &request.pieces) {
        if part.meets(piece.from_ns, piece.to_ns) {
            *pieces.entry(piece.tid).or_default() += 1;
        }
    }
    let mut active: Vec<&TracedTask> = trace
        .tasks
        .iter()
        .filter(|task| is_active(task, part))
        .collect();
    active.sort_by_key(|task| {
        let work = pieces.get(&task.spans.tid).copied().unwrap_or(0);
        std::cmp::Reverse((work, on_cpu_ns(task, part)))
    });
    let place = |task: &TracedTask| match task.role {
        Some(Role::Parent) => 0,
        Some(Role::Listener) => 1,
        _ => 2,
    };
    let mut listeners = 0;
    let (first, rest): (Vec<&TracedTask>, Vec<&TracedTask>) =
        active.into_iter().partition(|task| match place(task) {
            0 => true,
            1 => {
                listeners += 1;
                listeners <= MOST_LISTENERS
            }
            _ => false,
        });
    let mut shown: Vec<&TracedTask> = first.into_iter().chain(rest).take(MOST_LANES).collect();
    shown.sort_by_key(|task| (place(task), task.pid, task.spans.tid));
    shown
}

fn lane(task: &TracedTask, part: Part) -> Lane {
    let mut lane = Lane::new(task.label());
    for span in &task.spans.spans {
        if !part.meets(span.from_ns, span.to_ns) {
            continue;
        }
        let category = State::ALL.iter().position(|state| *state == span.state);
        lane.spans.push(LaneSpan {
            from: part.x(span.from_ns),
            to: part.x(span.to_ns),
            category: category.unwrap_or(State::ALL.len() - 1),
        });
        let by_network = span
            .wake
            .filter(|wake| wake.context == WakeContext::Network && part.holds(wake.at_ns));
        if let Some(wake) = by_network {
            lane.marks.push(LaneMark {
                at: part.x(wake.at_ns),
                kind: NETWORK_WAKE,
            });
        }
    }
    lane
}

/// Wake-ups between tasks that are shown, from the waker to the moment in which the other runs.
fn links(shown: &[&TracedTask], lane_of: &HashMap<u32, usize>, part: Part) -> Vec<LaneLink> {
    let mut links = Vec::new();
    for (to_lane, task) in shown.iter().enumerate() {
        let spans = &task.spans.spans;
        for (index, span) in spans.iter().enumerate() {
            let Some(wake) = span.wake else { continue };
            let is_task = wake.context == WakeContext::Task && part.holds(wake.at_ns);
            let Some(&from_lane) = lane_of.get(&wake.by).filter(|_| is_task) else {
                continue;
            };
            let runs = |span: &&Span| span.state == State::OnCpu;
            let running = spans[index + 1..].iter().find(runs);
            links.push(LaneLink {
                from_lane,
                from: part.x(wake.at_ns),
                to_lane,
                to: part.x(running.map_or(wake.at_ns, |span| span.from_ns)),
                kind: 0,
            });
        }
    }
    links
}

#[cfg(test)]
mod tests {
    use plots::Chart;

    use super::*;
    use crate::trace::tests::made_up;

    const WHOLE: Part = Part {
        from_ns: 100,
        to_ns: 1_000,
    };

    #[test]
    fn the_part_that_is_shown_holds_the_request_and_lies_in_the_trace() {
        let trace = made_up();
        // The request is served from 280 to 450.
        let part = busiest(&trace, 200);
        assert_eq!((part.from_ns, part.to_ns), (270, 470));
        // One that is longer than the part is not in it; then the begin is as good.
        assert_eq!(busiest(&trace, 100).from_ns, 100);
        // At the end of the trace it begins earlier.
        assert_eq!(busiest(&trace, 880).to_ns, 1_000);
        assert_eq!(length_ns(&[trace]), 900, "no longer than the trace");
    }

    #[test]
    fn tasks_that_ran_are_lanes_and_the_listener_is_the_first() {
        let group = group(&made_up(), WHOLE);
        let labels: Vec<&str> = group.lanes.iter().map(|lane| lane.label.as_str()).collect();
        assert_eq!(labels, ["listener 21", "worker 22"]);
        assert_eq!(group.title, "event: 2 of 4 tasks, no other was seen to run");
        assert_eq!(group.lanes[1].slices.len(), 1);
        assert_eq!(group.lanes[1].slices[0].label, ":40000");
        let accepts: Vec<f64> = group.lanes[0]
            .marks
            .iter()
            .filter(|mark| mark.kind == ACCEPT)
            .map(|mark| mark.at)
            .collect();
        assert_eq!(accepts, [140.0]);
    }

    #[test]
    fn a_wake_up_is_a_link_to_the_moment_in_which_the_woken_task_runs() {
        let group = group(&made_up(), WHOLE);
        assert_eq!(group.links.len(), 1, "the timer is no task");
        let link = group.links[0];
        assert_eq!((link.from_lane, link.to_lane), (0, 1));
        assert_eq!((link.from, link.to), (150.0, 170.0));
    }

    #[test]
    fn a_picture_without_any_request_can_be_drawn_too() {
        let mut trace = made_up();
        trace.requests.clear();
        assert!(lanes("Test", &[trace]).png().is_ok());
        assert!(lanes("Test", &[made_up()]).png().is_ok());
    }
}
