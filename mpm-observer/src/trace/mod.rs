//! The trace stage: what each task did at each moment of a bounded time, which requests were
//! served where, and who woke whom.
//!
//! Pure: it takes the rows of a recording and returns plain data; [`perfetto`] makes a file of
//! it, the report a picture and a table.

mod counters;
pub mod perfetto;
mod requests;
mod spans;
mod wakers;

use std::collections::BTreeMap;

use mpm_observer_common::{TraceEvent, WakeContext};

pub use counters::{AcceptQueue, Steps};
pub use requests::{Piece, Request, requests};
pub use spans::{Span, State, TaskSpans, Wake, task_spans};
pub use wakers::{Part, WaitKind, Waits, Waker};

use crate::{
    httpd::Role,
    kernel::Book,
    recording::{
        Manifest, Moment, RecordingError, RunDir, TaskRow, TraceRow, TraceWindow, read_table,
    },
    scenario::Mpm,
};

/// A task with its part in the trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TracedTask {
    /// Process id; that of the thread where no record of the task is there.
    pub pid: u32,
    /// Its role; `None` where no record of the task is there.
    pub role: Option<Role>,
    /// Its states.
    pub spans: TaskSpans,
}

impl TracedTask {
    /// Role and thread id, e.g. `worker 4711`.
    #[must_use]
    pub fn label(&self) -> String {
        let role = self.role.map_or("task", Role::name);
        format!("{role} {}", self.spans.tid)
    }
}

/// A hand-off: a listener woke a task, which then picked a request up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandOff {
    /// When.
    pub at_ns: u64,
    /// Who woke.
    pub by: u32,
}

/// The trace of one run.
#[derive(Clone, Debug, PartialEq)]
pub struct Trace {
    /// Name of the run.
    pub run: String,
    /// Its MPM.
    pub mpm: Mpm,
    /// The version of httpd.
    pub httpd_version: String,
    /// The version of the observer that recorded it.
    pub observer_version: String,
    /// The time that it covers.
    pub window: TraceWindow,
    /// Begin of the load.
    pub load_began_ns: Option<u64>,
    /// The tasks that lived in the window, by process and thread id.
    pub tasks: Vec<TracedTask>,
    /// The requests that were worked on or arrived in it.
    pub requests: Vec<Request>,
    /// The accept queue.
    pub accept_queue: AcceptQueue,
    /// Events that were received.
    pub events: u64,
    /// The books of the programs that sent them.
    pub books: Vec<Book>,
    /// Parts of tables that could not be read.
    pub unreadable: Vec<String>,
}

/// Reads the trace of a run; `None` if none was made.
///
/// # Errors
/// When a table cannot be opened.
pub fn load_trace(
    dir: &RunDir,
    name: &str,
    manifest: &Manifest,
) -> Result<Option<Trace>, RecordingError> {
    let Some(window) = manifest.trace else {
        return Ok(None);
    };
    let rows = read_table::<TraceRow>(dir.path())?;
    let tasks = read_table::<TaskRow>(dir.path())?;
    let mut unreadable = rows.unreadable;
    unreadable.extend(tasks.unreadable);
    let events = rows.rows.iter().filter_map(TraceRow::event).collect();
    Ok(Some(Trace {
        run: name.to_owned(),
        httpd_version: manifest.httpd_version.clone(),
        observer_version: manifest.observer_version.clone(),
        load_began_ns: manifest.load.as_ref().map(|load| load.began_ns),
        books: manifest
            .counters
            .books
            .iter()
            .filter(|book| book.is_of_trace())
            .cloned()
            .collect(),
        unreadable,
        ..Trace::of(events, &tasks.rows, window, manifest.mpm)
    }))
}

impl Trace {
    /// The trace of these events, in any order. `rows` are the run's tasks.
    #[must_use]
    pub fn of(
        mut events: Vec<TraceEvent>,
        rows: &[TaskRow],
        window: TraceWindow,
        mpm: Mpm,
    ) -> Self {
        // The CPUs write in turn into one buffer; of equal times the order there is kept.
        events.sort_by_key(|event| event.time_ns);
        let requests = requests(&events);
        let accept_queue = AcceptQueue::of(&events, window);
        let tasks = named(task_spans(&events, window), rows, window);
        Self {
            run: String::new(),
            mpm,
            httpd_version: String::new(),
            observer_version: String::new(),
            window,
            load_began_ns: None,
            tasks,
            requests,
            accept_queue,
            events: events.len() as u64,
            books: Vec::new(),
            unreadable: Vec::new(),
        }
    }

    /// Events that were lost.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.books.iter().map(|book| book.lost).sum()
    }

    /// The task that had a thread id at a time.
    #[must_use]
    pub fn task(&self, tid: u32, at_ns: u64) -> Option<&TracedTask> {
        self.tasks.iter().find(|task| {
            task.spans.tid == tid && (task.spans.from_ns..=task.spans.to_ns).contains(&at_ns)
        })
    }

    /// The waits of the task `tid` that were ended from `from_ns` to `to_ns`, the last first.
    fn ended_waits(&self, tid: u32, from_ns: u64, to_ns: u64) -> impl Iterator<Item = &Span> {
        let spans = self
            .task(tid, to_ns)
            .map_or(&[][..], |task| &task.spans.spans);
        let after = spans.partition_point(|span| span.from_ns <= to_ns);
        spans[..after]
            .iter()
            .rev()
            .take_while(move |span| span.to_ns >= from_ns)
            .filter(move |span| matches!(span.state, State::Blocked(_)) && span.to_ns <= to_ns)
    }

    /// The wake-up by a listener that brought the first task of a request to pick it up.
    #[must_use]
    pub fn hand_off(&self, request: &Request) -> Option<HandOff> {
        let pickup_ns = request.pickup_ns?;
        let from_ns = request.arrival_ns?;
        // On its way the task may have waited once more, for a lock that another worker held.
        let wakes = self
            .ended_waits(request.pieces.first()?.tid, from_ns, pickup_ns)
            .filter_map(|span| span.wake);
        let mut by_listener = wakes.filter(|wake| {
            let waker = self.task(wake.by, wake.at_ns);
            wake.context == WakeContext::Task
                && waker.is_some_and(|task| task.role == Some(Role::Listener))
        });
        by_listener.next().map(|wake| HandOff {
            at_ns: wake.at_ns,
            by: wake.by,
        })
    }

    /// The number of tasks over time.
    #[must_use]
    pub fn task_count(&self) -> Steps {
        let lives = self.tasks.iter().map(|task| {
            let end_ns = task.spans.ended.then_some(task.spans.to_ns);
            (task.spans.from_ns, end_ns.unwrap_or(u64::MAX))
        });
        Steps::count(lives, self.window)
    }

    /// The number of tasks that work on a request over time.
    #[must_use]
    pub fn busy_count(&self) -> Steps {
        let pieces = self.requests.iter().flat_map(|request| &request.pieces);
        Steps::count(
            pieces.map(|piece| (piece.from_ns, piece.to_ns)),
            self.window,
        )
    }
}

/// Adds process and role from the records of the tasks; tasks without events in the window are
/// unknown all the time.
fn named(spans: Vec<TaskSpans>, rows: &[TaskRow], window: TraceWindow) -> Vec<TracedTask> {
    let lives: Vec<&TaskRow> = rows
        .iter()
        .filter(|row| row.moment == Moment::End && row.created_ns < window.until_ns)
        .filter(|row| row.alive || row.exited_ns > window.from_ns)
        .collect();
    let mut rows_of: BTreeMap<u32, Vec<&TaskRow>> = BTreeMap::new();
    for row in &lives {
        rows_of.entry(row.tid).or_default().push(row);
    }
    let mut tasks: Vec<TracedTask> = Vec::new();
    let mut seen: Vec<(u32, u64)> = Vec::new();
    for mut spans in spans {
        // Of several tasks with one thread id, the last that was there when this one ends.
        let row = rows_of.get(&spans.tid).and_then(|rows| {
            let before = rows.iter().filter(|row| row.created_ns < spans.to_ns);
            before.max_by_key(|row| row.created_ns).copied()
        });
        if let Some(row) = row {
            seen.push((row.tid, row.created_ns));
            begin_at(&mut spans, row.created_ns);
        }
        tasks.push(TracedTask {
            pid: row.map_or(spans.tid, |row| row.pid),
            role: row.and_then(|row| Role::from_name(&row.role)),
            spans,
        });
    }
    for row in lives {
        if seen.contains(&(row.tid, row.created_ns)) {
            continue;
        }
        let from_ns = row.created_ns.max(window.from_ns);
        let ended = !row.alive && row.exited_ns < window.until_ns;
        let to_ns = if ended {
            row.exited_ns
        } else {
            window.until_ns
        };
        tasks.push(TracedTask {
            pid: row.pid,
            role: Role::from_name(&row.role),
            spans: TaskSpans {
                tid: row.tid,
                from_ns,
                to_ns,
                spans: vec![Span {
                    from_ns,
                    to_ns,
                    state: State::Unknown,
                    wake: None,
                }],
                made: false,
                ended,
                missing: 0,
            },
        });
    }
    tasks.sort_by_key(|task| (task.pid, task.spans.tid, task.spans.from_ns));
    tasks
}

/// A task whose making was lost was not there before its record says so.
fn begin_at(task: &mut TaskSpans, created_ns: u64) {
    if created_ns <= task.from_ns {
        return;
    }
    if let Some(first) = task.spans.first_mut()
        && first.state == State::Unknown
        && first.to_ns > created_ns
    {
        first.from_ns = created_ns;
        task.from_ns = created_ns;
    }
}

#[cfg(test)]
#[path = "trace_tests.rs"]
pub(crate) mod tests;
