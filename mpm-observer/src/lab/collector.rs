//! The thread that reads the kernel's records and writes them down.

use std::{
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

use mpm_observer_common::TaskRecord;
use nix::time::ClockId;

use super::LabError;
use crate::{
    kernel::{Counters, ProgramRuns, Record, Watch},
    recording::{KernelRow, Moment, TableWriter},
};

/// How often the ring buffer is emptied. The programs wake nobody, which keeps them cheap.
const DRAIN_INTERVAL: Duration = Duration::from_millis(20);
/// How long the last tasks' records are waited for after httpd has ended.
const LAST_RECORDS: Duration = Duration::from_millis(500);

/// What the collector has at the end.
pub(crate) struct Collected {
    /// Each task at each moment that was asked for, and at its end.
    pub(crate) tasks: Vec<(Moment, TaskRecord)>,
    /// The books.
    pub(crate) counters: Counters,
    /// Optional programs that this kernel refused.
    pub(crate) absent: Vec<String>,
}

enum Order {
    Snapshot(Moment, SyncSender<()>),
    Effort(SyncSender<Effort>),
    /// With the time for which the last tasks' records are waited for.
    Finish(Duration),
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
    thread: JoinHandle<Result<Collected, LabError>>,
}

impl Collector {
    /// Starts it on an attached watch; request rows go into the run's directory. `trouble` is set
    /// when they cannot be written.
    pub(crate) fn start(
        watch: Watch,
        run_dir: &Path,
        trouble: Arc<AtomicBool>,
    ) -> Result<Self, LabError> {
        let table = TableWriter::create(run_dir)?;
        let (orders, inbox) = channel();
        let thread = thread::Builder::new()
            .name("collector".into())
            .spawn(move || {
                let collected = collect(watch, table, &inbox);
                if collected.is_err() {
                    trouble.store(true, Ordering::Relaxed);
                }
                collected
            })
            .map_err(|source| LabError::System {
                what: "the collector cannot be started",
                source,
            })?;
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
    pub(crate) fn finish(self) -> Result<Collected, LabError> {
        self.finish_within(LAST_RECORDS)
    }

    /// The same, of an httpd that goes on.
    pub(crate) fn leave(self) -> Result<Collected, LabError> {
        self.finish_within(Duration::ZERO)
    }

    fn finish_within(self, last_records: Duration) -> Result<Collected, LabError> {
        let _ = self.orders.send(Order::Finish(last_records));
        self.thread.join().unwrap_or_else(|_| {
            Err(LabError::System {
                what: "the collector",
                source: io::Error::other("it panicked"),
            })
        })
    }
}

fn collect(
    mut watch: Watch,
    mut table: TableWriter<KernelRow>,
    inbox: &Receiver<Order>,
) -> Result<Collected, LabError> {
    let mut tasks = Vec::new();
    let last_records = loop {
        drain(&mut watch, &mut table, &mut tasks)?;
        table.tick()?;
        match inbox.recv_timeout(DRAIN_INTERVAL) {
            Ok(Order::Snapshot(moment, done)) => {
                tasks.extend(watch.live_tasks()?.into_iter().map(|task| (moment, task)));
                let _ = done.send(());
            }
            Ok(Order::Effort(tell)) => {
                let programs = watch.program_runs();
                let cpu_ns = thread_cpu_ns();
                let _ = tell.send(Effort { cpu_ns, programs });
            }
            Ok(Order::Finish(last_records)) => break last_records,
            Err(RecvTimeoutError::Disconnected) => break LAST_RECORDS,
            Err(RecvTimeoutError::Timeout) => {}
        }
    };
    // The records of tasks that have ended are on their way at the latest now.
    let deadline = Instant::now() + last_records;
    loop {
        drain(&mut watch, &mut table, &mut tasks)?;
        let alive = watch.live_tasks()?;
        if alive.is_empty() || Instant::now() >= deadline {
            tasks.extend(alive.into_iter().map(|task| (Moment::End, task)));
            break;
        }
        thread::sleep(DRAIN_INTERVAL);
    }
    drain(&mut watch, &mut table, &mut tasks)?;
    table.finish()?;
    Ok(Collected {
        tasks,
        counters: watch.counters()?,
        absent: watch.absent().iter().map(|&name| name.to_owned()).collect(),
    })
}

/// CPU time of this thread, nanoseconds.
fn thread_cpu_ns() -> u64 {
    ClockId::CLOCK_THREAD_CPUTIME_ID
        .now()
        .map_or(0, |time| Duration::from(time).as_nanos() as u64)
}

fn drain(
    watch: &mut Watch,
    table: &mut TableWriter<KernelRow>,
    tasks: &mut Vec<(Moment, TaskRecord)>,
) -> Result<(), LabError> {
    let mut failure = None;
    watch.drain(|record| match record {
        // After the first failure the rest is read off and let go.
        Record::Request(_) if failure.is_some() => {}
        Record::Request(request) => failure = table.push(KernelRow::from(&request)).err(),
        Record::Task(task) => tasks.push((Moment::End, task)),
        // A run of the lab asks for no trace.
        Record::Trace(_) => {}
    });
    failure.map_or(Ok(()), |error| Err(error.into()))
}
