//! A run: its load threads, from their common start to the merged summary.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{Builder, Scope, ScopedJoinHandle};

use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

use crate::clock::{monotonic_ns, sleep_until, thread_cpu_ns, thread_run_delay_ns};
use crate::early_end::EarlyEnd;
use crate::engine::{HyperGround, Plan, Stop, nanos};
use crate::limits::{check_open_files, check_ports};
use crate::recorder::{Recorder, Tally};
use crate::request::serialise;
use crate::sink::{RowPort, RowPump};
use crate::summary::{Summary, ThreadSummary};
use crate::{Config, EngineKind, Error, Part, Progress, RowSink, engine};

/// Sends the requests of `config` and returns when every one of them has an outcome,
/// when the duration is over, or soon after `stop` was set (at most about 0.1 s).
///
/// `sink` gets a row for every attempt; it is dropped before this returns. `progress`
/// is brought up to date about ten times a second.
///
/// # Errors
/// [`Error`] when the run could not be carried out; failed requests are none.
pub fn run(
    config: &Config,
    sink: Option<Box<dyn RowSink>>,
    progress: &Progress,
    stop: &AtomicBool,
) -> Result<Summary, Error> {
    config.check()?;
    run_part(config, &Part::whole(config), sink, progress, stop)
}

/// Like [`run`], but only a part of a run that other processes carry out the rest of.
/// The threads' number of the config does not matter here.
///
/// # Errors
/// Those of [`run`], and [`Error::BeginPassed`] when the time to begin came before the
/// threads were ready.
pub fn run_part(
    config: &Config,
    part: &Part,
    sink: Option<Box<dyn RowSink>>,
    progress: &Progress,
    stop: &AtomicBool,
) -> Result<Summary, Error> {
    check_part(config, part)?;
    let threads = usize::from(part.threads);
    let engine = engine::choose(config)?;
    let hyper = engine::prepare(engine, config)?;
    let (pump, ports) = match sink {
        Some(sink) => {
            let (pump, ports) = RowPump::start(sink, threads)?;
            (Some(pump), ports.into_iter().map(Some).collect())
        }
        None => (None, (0..threads).map(|_| None).collect::<Vec<_>>()),
    };
    let failed = AtomicBool::new(false);
    let early_end = EarlyEnd::new(config, progress);
    let rows_begin = pump.as_ref().map(RowPump::started_ns);
    let requests: Vec<Vec<u8>> = config
        .targets
        .iter()
        .map(|weighted| serialise(config, &weighted.target))
        .collect();
    let crew = Crew {
        config,
        engine,
        requests: &requests,
        part,
        hyper: hyper.as_ref(),
        progress,
        early_end: &early_end,
        rows_begin: rows_begin.as_deref(),
        stop: Stop {
            wished: stop,
            failed: &failed,
            condition: early_end.met(),
        },
    };
    let worked = std::thread::scope(|scope| crew.work(scope, ports));
    let rows_recorded = worked.as_ref().map_or(0, |(_, results)| {
        results.iter().map(|(tally, _)| tally.rows_recorded).sum()
    });
    // Joined also after an error, so that the sink is gone when this returns.
    let rows = pump.map(|pump| pump.finish(rows_recorded));
    let (origin_ns, results) = worked?;
    let started_ns = origin_ns.saturating_add(nanos(config.warm_up));
    let mut summary = Summary::empty(started_ns, engine);
    summary.rows = rows.unwrap_or_default();
    for (tally, thread) in results {
        summary.threads.push(thread);
        tally.add_to(&mut summary);
    }
    summary.stopped_by = early_end.into_reason();
    summary.wall_ns = summary.ended_ns - summary.started_ns;
    Ok(summary)
}

/// Finds what would keep a part from being carried out here.
pub(crate) fn check_part(config: &Config, part: &Part) -> Result<(), Error> {
    config.check()?;
    part.check(config)?;
    let slots = part.share_of_all(u64::from(config.slots()));
    check_open_files(slots as u32, usize::from(part.threads))?;
    if config.unix_socket.is_some() {
        return Ok(());
    }
    check_ports(slots as u32, config.sources.len())
}

type ThreadResult = (Tally, ThreadSummary);

/// What the load threads have in common; nothing in it is written while they run,
/// but for the progress, a few times a second.
struct Crew<'a> {
    config: &'a Config,
    engine: EngineKind,
    requests: &'a [Vec<u8>],
    part: &'a Part,
    hyper: Option<&'a HyperGround>,
    progress: &'a Progress,
    early_end: &'a EarlyEnd<'a>,
    /// Where the sink's thread looks for the begin of the measured part.
    rows_begin: Option<&'a OnceLock<u64>>,
    stop: Stop<'a>,
}

impl Crew<'_> {
    /// Starts the threads, lets them go at one moment, and waits for them.
    fn work<'s>(
        &'s self,
        scope: &'s Scope<'s, '_>,
        ports: Vec<Option<RowPort>>,
    ) -> Result<(u64, Vec<ThreadResult>), Error> {
        let mut gates: Vec<Sender<u64>> = Vec::new();
        let mut handles: Vec<ScopedJoinHandle<'_, Result<ThreadResult, Error>>> = Vec::new();
        let (ready, readiness) = channel();
        let mut trouble = None;
        for (index, port) in ports.into_iter().enumerate() {
            let (gate, go) = channel();
            let ready = ready.clone();
            let spawned = Builder::new()
                .name(format!("load-{index}"))
                .spawn_scoped(scope, move || self.thread(index, port, &ready, &go));
            match spawned {
                Ok(handle) => handles.push(handle),
                Err(error) => {
                    trouble = Some(Error::Thread(error));
                    break;
                }
            }
            gates.push(gate);
        }
        drop(ready);
        // Each thread reports once; a thread that failed reports no readiness.
        let all_ready =
            readiness.iter().take(handles.len()).count() == usize::from(self.part.threads);
        let now_ns = monotonic_ns();
        let started_ns = self.part.begin_ns.unwrap_or(now_ns);
        if started_ns < now_ns {
            trouble = trouble.or(Some(Error::BeginPassed {
                late_ns: now_ns - started_ns,
            }));
        }
        if all_ready && trouble.is_none() {
            let measured_from_ns = started_ns.saturating_add(nanos(self.config.warm_up));
            self.early_end.begin(measured_from_ns);
            if let Some(begin) = self.rows_begin {
                let _ = begin.set(measured_from_ns);
            }
            for gate in &gates {
                // Fails only if the thread died, which joining will show.
                let _ = gate.send(started_ns);
            }
        }
        // Who waits at a closed gate goes home.
        drop(gates);
        let mut results = Vec::new();
        for handle in handles {
            match handle.join() {
                Ok(Ok(result)) => results.push(result),
                Ok(Err(error)) => trouble = trouble.or(Some(error)),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        match trouble {
            Some(error) => Err(error),
            None => Ok((started_ns, results)),
        }
    }

    /// A load thread.
    fn thread(
        &self,
        index: usize,
        port: Option<RowPort>,
        ready: &Sender<()>,
        go: &Receiver<u64>,
    ) -> Result<ThreadResult, Error> {
        let config = self.config;
        let cpus = &config.cpus;
        let cpu = (!cpus.is_empty()).then(|| cpus[index % cpus.len()]);
        if let Some(cpu) = cpu {
            pin(cpu)?;
        }
        let mut recorder = Recorder::new(
            port,
            self.progress,
            config.pace.is_open(),
            config.targets.len(),
        );
        recorder.end_early_by(self.early_end);
        let index_here = u16::try_from(index).unwrap_or(u16::MAX);
        let number = self.part.first_thread.saturating_add(index_here);
        // Fails only if the main thread died.
        let _ = ready.send(());
        let Ok(origin_ns) = go.recv() else {
            // Another thread could not be started, and says why.
            return Ok((recorder.finish(), idle_thread(number, cpu)));
        };
        if !sleep_until(origin_ns, || self.stop.is_set()) {
            return Ok((recorder.finish(), idle_thread(number, cpu)));
        }
        let measured_from_ns = origin_ns.saturating_add(nanos(config.warm_up));
        let plan = Plan {
            config,
            thread: number,
            threads: self.part.threads_in_all,
            requests_bytes: self.requests,
            slots: self.part.share(u64::from(config.slots()), index) as u32,
            requests: config.requests.map(|n| self.part.share(n, index)),
            hyper: self.hyper,
            origin_ns,
            measured_from_ns,
            until_ns: config
                .duration
                .map(|duration| measured_from_ns.saturating_add(nanos(duration))),
        };
        let (cpu_before_ns, delay_before_ns) = (thread_cpu_ns(), thread_run_delay_ns());
        engine::run(self.engine, &plan, &mut recorder, self.stop).map_err(|error| {
            self.stop.failed.store(true, Ordering::Relaxed);
            Error::EventLoop(error)
        })?;
        let tally = recorder.finish();
        let summary = ThreadSummary {
            wall_ns: monotonic_ns() - origin_ns,
            cpu_ns: thread_cpu_ns() - cpu_before_ns,
            run_delay_ns: thread_run_delay_ns()
                .zip(delay_before_ns)
                .map(|(after, before)| after.saturating_sub(before)),
            requests: tally.requests(),
            begin_late_ns: tally.begin_late_ns(origin_ns),
            ..idle_thread(number, cpu)
        };
        Ok((tally, summary))
    }
}

fn idle_thread(thread: u16, cpu: Option<usize>) -> ThreadSummary {
    ThreadSummary {
        thread,
        cpu,
        wall_ns: 0,
        cpu_ns: 0,
        run_delay_ns: None,
        requests: 0,
        begin_late_ns: None,
    }
}

fn pin(cpu: usize) -> Result<(), Error> {
    let mut set = CpuSet::new();
    set.set(cpu)
        .and_then(|()| sched_setaffinity(Pid::from_raw(0), &set))
        .map_err(|errno| Error::Pin {
            cpu,
            reason: errno.desc().to_owned(),
        })
}
