//! A trace as a file for Perfetto, <https://ui.perfetto.dev>.
//!
//! A process track for each process of httpd, a thread track for each task with the requests that
//! it served, and below that a track of its states. A flow leads from the accept through the
//! hand-off to the work on the request; counters show the accept queue and the numbers of tasks.
//!
//! The states are slices of our own and not `sched_switch` events in Perfetto's own format: that
//! format describes what a CPU does, all its tasks included, and of a CPU whose other tasks were
//! not recorded it would show idle time that was none. Nor has it a place for what a task is
//! blocked in.

mod proto;
mod writer;

use std::collections::{BTreeMap, HashMap};

use prost::Message;

use self::writer::{Event, Writer};
use super::{Request, Steps, Trace};

/// The file's bytes.
#[must_use]
pub fn encode(trace: &Trace) -> Vec<u8> {
    let mut writer = Writer::new(trace.window.from_ns);
    about(trace, &mut writer);
    for (name, steps) in [
        (accept_queue_name(trace), &trace.accept_queue.length),
        ("tasks".into(), &trace.task_count()),
        ("busy tasks".into(), &trace.busy_count()),
    ] {
        counter(&mut writer, &name, steps);
    }
    let work = Work::of(trace);
    let processes = processes(trace, &mut writer);
    for (index, task) in trace.tasks.iter().enumerate() {
        let name = task.role.map_or("task", |role| role.name());
        let process = processes[&task.pid];
        let thread = writer.thread(process, (task.pid, task.spans.tid), name);
        writer.events(thread, work.of_task(index));
        let states = writer.child_track(thread, "state");
        let mut events = Vec::new();
        for span in &task.spans.spans {
            let mut begin = Event::begin(span.from_ns, span.state.name());
            if let Some(wake) = span.wake {
                let waker = trace.task(wake.by, wake.at_ns);
                let waker = waker.map_or_else(|| format!("task {}", wake.by), |task| task.label());
                begin = begin.with("ended in", format!("{:?}", wake.context).to_lowercase());
                begin = begin.with("while this ran", waker);
            }
            events.push(begin);
            events.push(Event::end(span.to_ns));
        }
        writer.events(states, events);
    }
    writer.finish().encode_to_vec()
}

fn accept_queue_name(trace: &Trace) -> String {
    if trace.accept_queue.is_exact {
        "accept queue".into()
    } else {
        "accept queue (at least)".into()
    }
}

/// A slice over the whole time that says what the trace is and what it lacks.
fn about(trace: &Trace, writer: &mut Writer) {
    let track = writer.track("about this trace");
    let mut begin = Event::begin(trace.window.from_ns, &format!("trace of {}", trace.run))
        .with("MPM", trace.mpm.to_string())
        .with("httpd", trace.httpd_version.clone())
        .with("mpm-observer", trace.observer_version.clone())
        .with("clock", "CLOCK_MONOTONIC".to_owned())
        .with_number("events received", trace.events)
        .with_number("events lost", trace.lost());
    for book in trace.books.iter().filter(|book| book.lost > 0) {
        begin = begin.with_number(&format!("events lost, {}", book.program), book.lost);
    }
    let missing = trace.tasks.iter().map(|task| task.spans.missing).sum();
    begin = begin.with_number("gaps in the tasks' states", missing);
    for part in &trace.unreadable {
        begin = begin.with("unreadable", part.clone());
    }
    writer.events(track, vec![begin, Event::end(trace.window.until_ns)]);
}

fn counter(writer: &mut Writer, name: &str, steps: &Steps) {
    let track = writer.counter_track(name);
    let values = steps.0.iter();
    let values = values.map(|(at_ns, value)| Event::counter(*at_ns, *value));
    writer.events(track, values.collect());
}

/// The processes' tracks by process id.
fn processes(trace: &Trace, writer: &mut Writer) -> BTreeMap<u32, u64> {
    let mut names: BTreeMap<u32, &str> = BTreeMap::new();
    for task in &trace.tasks {
        // Its first task's role is the process's.
        let name = match task.role {
            Some(role) if task.spans.tid == task.pid => role.name(),
            _ => "child",
        };
        let known = names.entry(task.pid).or_insert(name);
        if task.spans.tid == task.pid {
            *known = name;
        }
    }
    names
        .into_iter()
        .map(|(pid, name)| {
            let name = format!("httpd {} {name}", trace.mpm);
            (pid, writer.process(pid, &name))
        })
        .collect()
}

/// What is shown on the tasks' own tracks.
struct Work {
    by_task: HashMap<usize, Vec<Event>>,
}

impl Work {
    fn of(trace: &Trace) -> Self {
        let mut work = Self {
            by_task: HashMap::new(),
        };
        for (index, request) in trace.requests.iter().enumerate() {
            work.add(trace, request, index as u64 + 1);
        }
        work
    }

    /// Ascending in time; what is at the same time stays in the order in which it was added, so
    /// that a slice of no length begins before it ends.
    fn of_task(&self, index: usize) -> Vec<Event> {
        let mut events = self.by_task.get(&index).cloned().unwrap_or_default();
        events.sort_by_key(|event| event.at_ns);
        events
    }

    fn add(&mut self, trace: &Trace, request: &Request, flow: u64) {
        let mut before: Vec<(u32, Event)> = Vec::new();
        if let Some((at_ns, tid)) = request.accepted {
            let name = format!("accept :{}", request.remote_port);
            before.push((tid, Event::instant(at_ns, &name)));
        }
        if let Some(hand_off) = trace.hand_off(request) {
            let name = format!("hand off :{}", request.remote_port);
            before.push((hand_off.by, Event::instant(hand_off.at_ns, &name)));
        }
        let points = before.len() + request.pieces.len();
        let flows = |event: Event, is_last: bool| match (points, is_last) {
            (0 | 1, _) => event,
            (_, true) => event.ending_flow(flow),
            (_, false) => event.in_flow(flow),
        };
        for (tid, event) in before {
            self.push(trace, tid, flows(event, false));
        }
        let ended = request.is_whole();
        for (number, piece) in request.pieces.iter().enumerate() {
            let is_last = ended && number + 1 == request.pieces.len();
            let name = format!("request :{}", request.remote_port);
            let mut begin = Event::begin(piece.from_ns, &name)
                .with_number("bytes read", piece.bytes_in)
                .with_number("bytes sent", piece.bytes_out);
            if let Some(ordinal) = request.ordinal {
                begin = begin.with_number("request of its connection, from 0", ordinal.into());
            }
            if let (Some(arrival_ns), Some(pickup_ns), 0) =
                (request.arrival_ns, request.pickup_ns, number)
            {
                let wait_ns = pickup_ns.saturating_sub(arrival_ns);
                begin = begin.with_number("waited for pick-up, ns", wait_ns);
            }
            self.push(trace, piece.tid, flows(begin, is_last));
            self.push(trace, piece.tid, Event::end(piece.to_ns));
        }
    }

    fn push(&mut self, trace: &Trace, tid: u32, event: Event) {
        let found = trace.tasks.iter().position(|task| {
            let spans = &task.spans;
            spans.tid == tid && (spans.from_ns..=spans.to_ns).contains(&event.at_ns)
        });
        if let Some(index) = found {
            self.by_task.entry(index).or_default().push(event);
        }
    }
}
