//! The coordinator: shares a run out, starts it everywhere at once, merges what comes back.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::ScopedJoinHandle;
use std::time::{Duration, Instant};

use super::clock_offset::{Begin, ClockOffset, start_spread_ns};
use super::error::{FleetError, LostWorker, Trouble};
use super::follow::{Delivery, Follower, Watch};
use super::link::{Link, measure_clock};
use super::merge::merge;
use super::protocol::{FrameWriter, Message, Order};
use super::report::{FleetReport, WorkerReport};
use super::row_pool::RowPool;
use super::share::divide;
use super::{ALIVE_EVERY, ENDING, Key};
use crate::clock::monotonic_ns;
use crate::early_end::EarlyEnd;
use crate::engine::nanos;
use crate::summary::RowsSummary;
use crate::{Config, Part, Progress, RowSink, Summary};

/// Between the word to start and the start: more than it takes to reach all workers and
/// to have their threads ready.
const LEAD: Duration = Duration::from_millis(700);

/// How often it is looked whether to stop.
const LOOK: Duration = Duration::from_millis(50);

/// The workers of a run.
#[derive(Debug, Clone)]
pub struct Fleet<'a> {
    /// `HOST[:PORT]` of each.
    pub addresses: &'a [String],
    /// Load threads on each; `None`: so many as it offers.
    pub threads_each: Option<u16>,
    /// The key of the workers.
    pub key: Option<&'a Key>,
}

/// What came of a run on several machines.
#[derive(Debug, Clone, PartialEq)]
pub struct FleetRun {
    /// The figures of all workers together.
    pub summary: Summary,
    /// Who did what, and what is missing.
    pub report: FleetReport,
}

/// Like [`run`](crate::run()), but on the machines of `fleet`; the threads of `config`
/// do not matter. A worker that is lost after the start costs its own figures only. What
/// is worth saying at once is told to `notice`, line by line.
///
/// # Errors
/// [`FleetError`] when the run could not begin, or no worker delivered anything.
pub fn run(
    config: &Config,
    fleet: &Fleet<'_>,
    sink: Option<Box<dyn RowSink>>,
    progress: &Progress,
    stop: &AtomicBool,
    notice: &(dyn Fn(&str) + Sync),
) -> Result<FleetRun, FleetError> {
    config.check()?;
    let pool = RowPool::new(sink);
    let crew = prepare(config, fleet, pool.has_sink(), stop)?;
    let at_ns = monotonic_ns().saturating_add(nanos(LEAD));
    let measured_from_ns = at_ns.saturating_add(nanos(config.warm_up));
    for member in &crew {
        let at_ns = member.clock.to_worker(at_ns);
        // A worker that cannot be reached any more shows when it is followed.
        let _ = member.link.writer.message(&Message::Start { at_ns });
    }
    // Only now, as the sink may take its time; rows are read later still.
    pool.begin(measured_from_ns);
    let early_end = EarlyEnd::new(config, progress);
    early_end.begin(measured_from_ns);
    let overdue_ns = config.duration.map_or(u64::MAX, |duration| {
        measured_from_ns
            .saturating_add(nanos(duration))
            .saturating_add(nanos(ENDING))
    });
    let watch = Watch {
        pool: &pool,
        progress,
        overdue_ns: &AtomicU64::new(overdue_ns),
    };
    let is_to_stop = || {
        early_end.look(monotonic_ns());
        stop.load(Ordering::Relaxed) || early_end.met().load(Ordering::Relaxed)
    };
    let ends = follow_all(crew, &watch, &is_to_stop, notice);
    let mut run = settle(ends, pool, notice)?;
    run.summary.stopped_by = early_end.into_reason();
    Ok(run)
}

/// A worker with its part.
struct Member {
    link: Link,
    part: Part,
    clock: ClockOffset,
}

/// How a worker's part ended.
struct End {
    address: String,
    part: Part,
    clock: ClockOffset,
    rows: u64,
    delivery: Result<Delivery, Trouble>,
}

/// Makes all workers ready; one that is not keeps the run from beginning.
fn prepare(
    config: &Config,
    fleet: &Fleet<'_>,
    wants_rows: bool,
    stop: &AtomicBool,
) -> Result<Vec<Member>, FleetError> {
    let addresses = fleet.addresses.iter().map(|address| (address.clone(), ()));
    let links = at_once(addresses.collect(), stop, |address, ()| {
        Link::open(address, fleet.key, stop)
    })?;
    let offers: Vec<u16> = links
        .iter()
        .map(|(_, link)| fleet.threads_each.unwrap_or(link.threads))
        .collect();
    let parts = divide(&offers, config.slots())?;
    let links = links
        .into_iter()
        .zip(parts)
        .map(|((address, link), part)| (address, (link, part)))
        .collect();
    let ready = at_once(links, stop, |_, (mut link, part)| {
        // Conditions are held against what all of them have counted, here.
        let config = Config {
            stop_if: Vec::new(),
            ..config.clone()
        };
        let order = Order {
            config,
            part,
            wants_rows,
        };
        link.order(order, stop)?;
        Ok((link, part))
    })?;
    // Last of all, so that the clocks have no time to drift before the start.
    let members = at_once(ready, stop, |_, (mut link, part)| {
        let clock = measure_clock(&mut link.reader, &link.writer)?;
        Ok(Member { link, part, clock })
    })?;
    Ok(members.into_iter().map(|(_, member)| member).collect())
}

/// Does the same with all workers at the same time; all of those that do not go along
/// are named.
fn at_once<T: Send, U: Send>(
    workers: Vec<(String, T)>,
    stop: &AtomicBool,
    work: impl Fn(&str, T) -> Result<U, Trouble> + Sync,
) -> Result<Vec<(String, U)>, FleetError> {
    let work = &work;
    let results: Vec<(String, Result<U, Trouble>)> = std::thread::scope(|scope| {
        let handles: Vec<_> = workers
            .into_iter()
            .map(|(address, worker)| {
                scope.spawn(move || {
                    let result = work(&address, worker);
                    (address, result)
                })
            })
            .collect();
        handles.into_iter().map(joined).collect()
    });
    if stop.load(Ordering::Relaxed) {
        return Err(FleetError::Stopped);
    }
    let (mut done, mut lost) = (Vec::new(), Vec::new());
    for (address, result) in results {
        match result {
            Ok(worker) => done.push((address, worker)),
            Err(trouble) => lost.push(LostWorker { address, trouble }),
        }
    }
    if lost.is_empty() {
        Ok(done)
    } else {
        Err(FleetError::Workers(lost))
    }
}

fn joined<T>(handle: ScopedJoinHandle<'_, T>) -> T {
    match handle.join() {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// Takes in what the workers send until the last of them has ended.
fn follow_all(
    crew: Vec<Member>,
    watch: &Watch<'_>,
    is_to_stop: &dyn Fn() -> bool,
    notice: &(dyn Fn(&str) + Sync),
) -> Vec<End> {
    std::thread::scope(|scope| {
        let (running, over) = channel::<()>();
        let mut writers = Vec::new();
        let mut handles = Vec::new();
        for Member { link, part, clock } in crew {
            let writer = Arc::new(link.writer);
            writers.push(Arc::clone(&writer));
            let (mut reader, address, running) = (link.reader, link.address, running.clone());
            handles.push(scope.spawn(move || {
                let mut follower = Follower::new(watch, part, clock);
                let delivery = follower.follow(&mut reader, &writer);
                if let Err(trouble) = &delivery {
                    writer.close();
                    notice(&format!("worker {address} is lost: {trouble}"));
                }
                drop(running);
                End {
                    address,
                    part,
                    clock,
                    rows: follower.rows(),
                    delivery,
                }
            }));
        }
        drop(running);
        keep_up(&writers, &over, is_to_stop, watch.overdue_ns);
        handles.into_iter().map(joined).collect()
    })
}

/// Shows the workers that the coordinator is there, and passes the wish to stop on,
/// until the run is `over`.
fn keep_up(
    writers: &[Arc<FrameWriter>],
    over: &Receiver<()>,
    is_to_stop: &dyn Fn() -> bool,
    overdue_ns: &AtomicU64,
) {
    // Those that have ended do not hear it any more, which is all right.
    let tell = |message: &Message| {
        for writer in writers {
            let _ = writer.message(message);
        }
    };
    let mut is_stopping = false;
    let mut told = Instant::now();
    while over.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
        if !is_stopping && is_to_stop() {
            is_stopping = true;
            tell(&Message::Stop);
            let end_ns = monotonic_ns().saturating_add(nanos(ENDING));
            overdue_ns.fetch_min(end_ns, Ordering::Relaxed);
        }
        if told.elapsed() >= ALIVE_EVERY {
            told = Instant::now();
            tell(&Message::Alive);
        }
    }
}

/// Merges what came, and says what did not.
fn settle(
    ends: Vec<End>,
    pool: RowPool,
    notice: &(dyn Fn(&str) + Sync),
) -> Result<FleetRun, FleetError> {
    let mut rows = RowsSummary::default();
    let mut merged: Option<Summary> = None;
    let (mut workers, mut lost, mut begins) = (Vec::new(), Vec::new(), Vec::new());
    let mut engines: BTreeSet<&str> = BTreeSet::new();
    for end in ends {
        let mut report = WorkerReport {
            first_thread: end.part.first_thread,
            threads: end.part.threads,
            clock: end.clock,
            clock_bound_ns: end.clock.bound_ns,
            requests: None,
            rows: end.rows,
            trouble: None,
            address: end.address,
        };
        match end.delivery {
            Ok(delivery) => {
                let summary = delivery.summary;
                if let Some(later) = delivery.clock {
                    report.clock_bound_ns = end.clock.bound_with(later);
                }
                report.requests = Some(summary.requests);
                report.trouble = delivery
                    .stopped_there
                    .then(|| "it was stopped there before its part was done".to_owned());
                begins.extend(begin(&summary, end.clock.bound_ns));
                engines.insert(summary.engine.name());
                add_rows(&mut rows, &summary.rows, &report.address);
                match &mut merged {
                    Some(merged) => merge(merged, summary),
                    None => merged = Some(summary),
                }
            }
            Err(trouble) => {
                rows.recorded += end.rows;
                report.trouble = Some(trouble.to_string());
                let address = report.address.clone();
                lost.push(LostWorker { address, trouble });
            }
        }
        workers.push(report);
    }
    let rows = pool.finish(rows);
    let Some(mut summary) = merged else {
        return Err(FleetError::Workers(lost));
    };
    summary.rows = rows;
    if engines.len() > 1 {
        let names: Vec<&str> = engines.into_iter().collect();
        notice(&format!(
            "the workers used different engines ({}): choose one with --engine",
            names.join(", ")
        ));
    }
    let clock_bound_ns = workers.iter().map(|worker| worker.clock_bound_ns).max();
    let report = FleetReport {
        start_spread_ns: start_spread_ns(&begins),
        clock_bound_ns: clock_bound_ns.unwrap_or_default(),
        workers,
    };
    Ok(FleetRun { summary, report })
}

/// When a worker's threads began; `None` when none of them did.
fn begin(summary: &Summary, bound_ns: u64) -> Option<Begin> {
    let late = || {
        let threads = summary.threads.iter();
        threads.filter_map(|thread| thread.begin_late_ns)
    };
    Some(Begin {
        earliest_ns: late().min()?,
        latest_ns: late().max()?,
        bound_ns,
    })
}

fn add_rows(rows: &mut RowsSummary, more: &RowsSummary, address: &str) {
    rows.recorded += more.recorded;
    rows.sink_cpu_ns = rows.sink_cpu_ns.saturating_add(more.sink_cpu_ns);
    if let (None, Some(error)) = (&rows.error, &more.error) {
        rows.error = Some(format!("worker {address}: {error}"));
    }
}
