//! The thread that reads the kernel's records and writes them down.

use std::{
    collections::HashSet,
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use loadgen::clock::monotonic_ns;
use mpm_observer_common::{
    Address, ConnState, FailureRecord, RequestRecord, TaskRecord, TaskState,
};
use nix::time::ClockId;

use super::{CollectError, failures::Failures};
use crate::{
    kernel::{Counters, ProgramRuns, Record, Watch},
    live::{Consumer, Server, look_at},
    recording::{KernelRow, Moment, RecordingError, TableWriter, TraceRow, TraceWindow},
    resources::Listener,
};

/// How often the ring buffer is emptied. The programs wake nobody, which keeps them cheap.
const DRAIN_INTERVAL: Duration = Duration::from_millis(20);
/// … while all events are kept.
const TRACE_DRAIN_INTERVAL: Duration = Duration::from_millis(5);
/// Size of the ring buffer where events are traced: about half a million of them, a second or more
/// even if the collector does not come to read in the meantime.
pub(crate) const TRACE_RING_BYTES: u32 = 32 << 20;
/// How long the last tasks' records are waited for after httpd has ended.
const LAST_RECORDS: Duration = Duration::from_millis(500);

/// How often a server is looked at for one who listens.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Somebody who is told what the collector gets, as it comes.
pub(crate) struct Tap {
    /// The server that is watched.
    pub(crate) server: Server,
    /// What its port's listener is asked with.
    pub(crate) listener: Listener,
    /// Who is told. It must not take long.
    pub(crate) consumer: Box<dyn Consumer + Send>,
}

/// What the collector has at the end.
pub(crate) struct Collected {
    /// Each task at each moment that was asked for, and at its end.
    pub(crate) tasks: Vec<(Moment, TaskRecord)>,
    /// What failed, by time, as much of it as was kept.
    pub(crate) failures: Vec<FailureRecord>,
    /// The books.
    pub(crate) counters: Counters,
    /// The time of the trace, if one was made.
    pub(crate) trace: Option<TraceWindow>,
    /// Optional programs that this kernel refused.
    pub(crate) absent: Vec<String>,
}

enum Order {
    Snapshot(Moment, SyncSender<()>),
    Trace(Duration),
    /// Whether to watch from now on.
    Switch(bool, SyncSender<()>),
    States(SyncSender<(Vec<TaskState>, Vec<ConnState>)>),
    CpuTime(SyncSender<u64>),
    Effort(SyncSender<Effort>),
    Finish(Last),
}

/// What is still to be recorded at the end.
#[derive(Clone, Copy)]
enum Last {
    /// The records of the tasks of an httpd that has ended.
    Tasks,
    /// The requests that are answered on connections of an httpd that goes on, whose records come
    /// with the next request or with the connection's end.
    Answered,
}

/// What watching took so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Effort {
    /// CPU time of the collector's thread, nanoseconds.
    pub(crate) cpu_ns: u64,
    /// The programs' runs, as far as they are counted.
    pub(crate) programs: Vec<ProgramRuns>,
}

/// The running thread.
pub(crate) struct Collector {
    orders: Sender<Order>,
    thread: JoinHandle<Result<Collected, CollectError>>,
}

impl Collector {
    /// Starts it on an attached watch; request rows, and the events of a watch that can trace, go
    /// into the run's directory. `trouble` is set when they cannot be written.
    pub(crate) fn start(
        watch: Watch,
        run_dir: &Path,
        trouble: Arc<AtomicBool>,
    ) -> Result<Self, CollectError> {
        Self::start_tapped(watch, run_dir, trouble, None)
    }

    /// The same, with somebody who is told all of it too.
    pub(crate) fn start_tapped(
        watch: Watch,
        run_dir: &Path,
        trouble: Arc<AtomicBool>,
        mut tap: Option<Tap>,
    ) -> Result<Self, CollectError> {
        if let Some(Tap {
            server, consumer, ..
        }) = &mut tap
        {
            consumer.begin(server);
        }
        let tables = Tables {
            requests: TableWriter::create(run_dir)?,
            events: watch
                .is_tracing()
                .then(|| TableWriter::create(run_dir))
                .transpose()?,
            tasks: Vec::new(),
            failures: Failures::default(),
            tap,
            next_look: Instant::now(),
        };
        let (orders, inbox) = channel();
        let thread = thread::Builder::new()
            .name("collector".into())
            .spawn(move || {
                let collected = collect(watch, tables, &inbox);
                if collected.is_err() {
                    trouble.store(true, Ordering::Relaxed);
                }
                collected
            })
            .map_err(CollectError::Thread)?;
        Ok(Self { orders, thread })
    }

    /// Notes the figures of all live tasks; returns when they are taken.
    pub(crate) fn snapshot(&self, moment: Moment) {
        let (done, taken) = sync_channel(1);
        // If the thread has ended, `finish` tells why.
        if self.orders.send(Order::Snapshot(moment, done)).is_ok() {
            let _ = taken.recv();
        }
    }

    /// Keeps all events from now on for so long.
    pub(crate) fn trace(&self, length: Duration) {
        // If the thread has ended, `finish` tells why.
        let _ = self.orders.send(Order::Trace(length));
    }

    /// Attaches the programs, or detaches them; returns when that is done. Only for measuring what
    /// they cost, see [`Watch::pause`].
    pub(crate) fn switch(&self, on: bool) {
        let (done, switched) = sync_channel(1);
        // If the thread has ended, `finish` tells why.
        if self.orders.send(Order::Switch(on, done)).is_ok() {
            let _ = switched.recv();
        }
    }

    /// What all live tasks and connections do now; `None` if the thread has ended, whose reason
    /// `finish` tells.
    pub(crate) fn states(&self) -> Option<(Vec<TaskState>, Vec<ConnState>)> {
        let (tell, told) = sync_channel(1);
        self.orders.send(Order::States(tell)).ok()?;
        told.recv().ok()
    }

    /// CPU time of the collector's thread for all records so far, nanoseconds; 0 if it has ended.
    pub(crate) fn cpu_ns(&self) -> u64 {
        let (tell, told) = sync_channel(1);
        if self.orders.send(Order::CpuTime(tell)).is_err() {
            return 0;
        }
        told.recv().unwrap_or_default()
    }

    /// What watching took so far; nothing if the thread has ended, whose reason `finish` tells.
    pub(crate) fn effort(&self) -> Effort {
        let (tell, told) = sync_channel(1);
        if self.orders.send(Order::Effort(tell)).is_err() {
            return Effort::default();
        }
        told.recv().unwrap_or_default()
    }

    /// Takes what is left of an httpd that has ended, detaches the programs, and returns
    /// everything.
    pub(crate) fn finish(self) -> Result<Collected, CollectError> {
        self.finish_with(Last::Tasks)
    }

    /// The same, of an httpd that goes on.
    pub(crate) fn leave(self) -> Result<Collected, CollectError> {
        self.finish_with(Last::Answered)
    }

    fn finish_with(self, last: Last) -> Result<Collected, CollectError> {
        let _ = self.orders.send(Order::Finish(last));
        self.thread
            .join()
            .unwrap_or_else(|_| Err(CollectError::Thread(io::Error::other("it panicked"))))
    }
}

/// What is written down.
struct Tables {
    requests: TableWriter<KernelRow>,
    events: Option<TableWriter<TraceRow>>,
    tasks: Vec<(Moment, TaskRecord)>,
    failures: Failures,
    tap: Option<Tap>,
    next_look: Instant,
}

impl Tables {
    fn take(&mut self, record: Record) -> Result<(), RecordingError> {
        if let Some(tap) = &mut self.tap {
            tap.consumer.record(&record);
        }
        match record {
            Record::Request(request) => self.requests.push(KernelRow::from(&request)),
            Record::Task(task) => {
                self.tasks.push((Moment::End, task));
                Ok(())
            }
            Record::Trace(event) => match (&mut self.events, TraceRow::new(&event)) {
                (Some(events), Some(row)) => events.push(row),
                _ => Ok(()),
            },
            Record::Failure(failure) => {
                self.failures.push(failure);
                Ok(())
            }
        }
    }

    /// Takes all records that have arrived.
    fn drain(&mut self, watch: &mut Watch) -> Result<(), RecordingError> {
        let mut taken = Ok(());
        watch.drain(|record| {
            // After the first failure the rest is read off and let go.
            if taken.is_ok() {
                taken = self.take(record);
            }
        });
        taken
    }

    /// Looks at the server if somebody wants to know, and it is time.
    fn look(&mut self, watch: &Watch) -> Result<(), CollectError> {
        let now = Instant::now();
        if let Some(tap) = self.tap.as_mut().filter(|_| now >= self.next_look) {
            let look = look_at(watch, &tap.server, std::slice::from_ref(&tap.listener))
                .map_err(CollectError::Look)?;
            tap.consumer.look(&look);
            self.next_look = now + LOOK_INTERVAL;
        }
        Ok(())
    }

    /// Takes all records that have arrived, and the requests that are answered and not emitted.
    fn take_answered(&mut self, watch: &mut Watch) -> Result<(), CollectError> {
        let mut emitted = HashSet::new();
        let mut take_all = |tables: &mut Self, watch: &mut Watch| {
            let mut taken = Ok(());
            watch.drain(|record| {
                if let Record::Request(request) = &record {
                    emitted.insert(identity(request));
                }
                if taken.is_ok() {
                    taken = tables.take(record);
                }
            });
            taken
        };
        take_all(self, watch)?;
        let connections = watch.connections()?;
        let now_ns = monotonic_ns();
        // Those that were emitted meanwhile are not taken twice.
        take_all(self, watch)?;
        for connection in connections {
            let request = RequestRecord {
                end_ns: now_ns,
                ..connection.request
            };
            let is_whole = connection.is_answered() && connection.full == 0;
            if is_whole && !emitted.contains(&identity(&request)) {
                self.requests.push(KernelRow::from(&request))?;
            }
        }
        Ok(())
    }

    fn tick(&mut self) -> Result<(), RecordingError> {
        self.requests.tick()?;
        self.events.as_mut().map_or(Ok(()), TableWriter::tick)
    }

    fn finish(self) -> Result<(Vec<(Moment, TaskRecord)>, Failures), RecordingError> {
        if let Some(mut tap) = self.tap {
            tap.consumer.end();
        }
        self.requests.finish()?;
        if let Some(events) = self.events {
            events.finish()?;
        }
        Ok((self.tasks, self.failures))
    }
}

fn collect(
    mut watch: Watch,
    mut tables: Tables,
    inbox: &Receiver<Order>,
) -> Result<Collected, CollectError> {
    let mut trace: Option<TraceWindow> = None;
    let last = loop {
        tables.drain(&mut watch)?;
        tables.look(&watch)?;
        tables.tick()?;
        let in_trace = trace.is_some_and(|window| monotonic_ns() < window.until_ns);
        let interval = if in_trace {
            TRACE_DRAIN_INTERVAL
        } else {
            DRAIN_INTERVAL
        };
        match inbox.recv_timeout(interval) {
            Ok(Order::Snapshot(moment, done)) => {
                let live = watch.live_tasks()?;
                tables
                    .tasks
                    .extend(live.into_iter().map(|task| (moment, task)));
                let _ = done.send(());
            }
            Ok(Order::Trace(length)) => {
                let from_ns = monotonic_ns();
                let until_ns = from_ns.saturating_add(length.as_nanos() as u64);
                watch.trace(from_ns, until_ns)?;
                trace = Some(TraceWindow { from_ns, until_ns });
            }
            Ok(Order::Switch(on, done)) => {
                match on {
                    true => watch.resume()?,
                    false => watch.pause()?,
                }
                let _ = done.send(());
            }
            Ok(Order::States(tell)) => {
                let _ = tell.send((watch.task_states()?, watch.connections()?));
            }
            Ok(Order::CpuTime(tell)) => {
                tables.drain(&mut watch)?;
                let _ = tell.send(thread_cpu_ns());
            }
            Ok(Order::Effort(tell)) => {
                let programs = watch.program_runs();
                let cpu_ns = thread_cpu_ns();
                let _ = tell.send(Effort { cpu_ns, programs });
            }
            Ok(Order::Finish(last)) => break last,
            Err(RecvTimeoutError::Disconnected) => break Last::Tasks,
            Err(RecvTimeoutError::Timeout) => {}
        }
    };
    match last {
        Last::Tasks => await_ends(&mut watch, &mut tables)?,
        Last::Answered => {
            // The server goes on, and the books would not close on what it does meanwhile.
            watch.pause()?;
            tables.take_answered(&mut watch)?;
        }
    }
    let alive = watch.live_tasks()?.into_iter();
    tables.tasks.extend(alive.map(|task| (Moment::End, task)));
    tables.drain(&mut watch)?;
    let ended_ns = monotonic_ns();
    let (tasks, failures) = tables.finish()?;
    let (failures, failures_left_out) = failures.finish();
    Ok(Collected {
        tasks,
        failures,
        counters: Counters {
            failures_left_out,
            ..watch.counters()?
        },
        // A load may end before its trace would have.
        trace: trace.map(|window| TraceWindow {
            until_ns: window.until_ns.min(ended_ns),
            ..window
        }),
        absent: watch.absent().iter().map(|&name| name.to_owned()).collect(),
    })
}

/// Waits for the records of tasks that have ended, which are on their way at the latest now.
fn await_ends(watch: &mut Watch, tables: &mut Tables) -> Result<(), CollectError> {
    let deadline = Instant::now() + LAST_RECORDS;
    loop {
        tables.drain(watch)?;
        if watch.live_tasks()?.is_empty() || Instant::now() >= deadline {
            return Ok(());
        }
        thread::sleep(DRAIN_INTERVAL);
    }
}

/// What tells a request from all others of a recording.
fn identity(request: &RequestRecord) -> (Address, u16, u16, u64, u32) {
    (
        request.remote_addr,
        request.remote_port,
        request.local_port,
        request.established_ns,
        request.ordinal,
    )
}

/// CPU time of this thread, nanoseconds.
fn thread_cpu_ns() -> u64 {
    ClockId::CLOCK_THREAD_CPUTIME_ID
        .now()
        .map_or(0, |time| Duration::from(time).as_nanos() as u64)
}
