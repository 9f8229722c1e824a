//! A run: its load threads, from their common start to the merged summary.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{Builder, Scope, ScopedJoinHandle};

use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

use crate::clock::{monotonic_ns, thread_cpu_ns, thread_run_delay_ns};
use crate::engine::{HyperGround, Plan, Stop, nanos};
use crate::limits::check_open_files;
use crate::recorder::{Recorder, Tally};
use crate::request::serialise;
use crate::sink::{RowPort, RowPump};
use crate::summary::{Summary, ThreadSummary};
use crate::{Config, EngineKind, Error, Progress, RowSink, engine};

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
    let slots = config.slots();
    let threads = config.threads.min(slots as usize);
    check_open_files(slots, threads)?;
    let engine = engine::choose(config);
    let hyper = engine::prepare(engine, config)?;
    let (pump, ports) = match sink {
        Some(sink) => {
            let (pump, ports) = RowPump::start(sink, threads)?;
            (Some(pump), ports.into_iter().map(Some).collect())
        }
        None => (None, (0..threads).map(|_| None).collect::<Vec<_>>()),
    };
    let failed = AtomicBool::new(false);
    let requests: Vec<Vec<u8>> = config
        .targets
        .iter()
        .map(|weighted| serialise(config, &weighted.target))
        .collect();
    let crew = Crew {
        config,
        engine,
        requests: &requests,
        hyper: hyper.as_ref(),
        threads,
        progress,
        stop: Stop {
            wished: stop,
            failed: &failed,
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
    let mut summary = empty_summary(started_ns, engine);
    summary.rows = rows.unwrap_or_default();
    for (tally, thread) in results {
        summary.threads.push(thread);
        tally.add_to(&mut summary);
    }
    summary.wall_ns = summary.ended_ns - summary.started_ns;
    Ok(summary)
}

type ThreadResult = (Tally, ThreadSummary);

/// What the load threads have in common; nothing in it is written while they run,
/// but for the progress, a few times a second.
struct Crew<'a> {
    config: &'a Config,
    engine: EngineKind,
    requests: &'a [Vec<u8>],
    hyper: Option<&'a HyperGround>,
    threads: usize,
    progress: &'a Progress,
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
        let all_ready = readiness.iter().take(handles.len()).count() == self.threads;
        let started_ns = monotonic_ns();
        if all_ready && trouble.is_none() {
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
        let mut recorder = Recorder::new(port, self.progress, config.pace.is_open());
        let number = u16::try_from(index).unwrap_or(u16::MAX);
        // Fails only if the main thread died.
        let _ = ready.send(());
        let Ok(origin_ns) = go.recv() else {
            // Another thread could not be started, and says why.
            return Ok((recorder.finish(), idle_thread(number, cpu)));
        };
        let measured_from_ns = origin_ns.saturating_add(nanos(config.warm_up));
        let plan = Plan {
            config,
            thread: number,
            threads: u16::try_from(self.threads).unwrap_or(u16::MAX),
            requests_bytes: self.requests,
            hyper: self.hyper,
            slots: share(u64::from(config.slots()), self.threads, index) as u32,
            requests: config.requests.map(|n| share(n, self.threads, index)),
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
    }
}

fn empty_summary(started_ns: u64, engine: EngineKind) -> Summary {
    Summary {
        started_ns,
        ended_ns: started_ns,
        wall_ns: 0,
        engine,
        requests: 0,
        warm_up_attempts: 0,
        unsent: 0,
        outcomes: Default::default(),
        stale_retries: 0,
        surplus: 0,
        keep_alive_answers: 0,
        connections_opened: 0,
        bytes_received: 0,
        bytes_body: 0,
        bytes_sent: 0,
        body_min_bytes: None,
        body_max_bytes: None,
        server_software: None,
        tls_failure: None,
        latencies: Default::default(),
        threads: Vec::new(),
        rows: Default::default(),
    }
}

/// The part of `total` that falls to thread `index`: parts differ by one at most.
fn share(total: u64, threads: usize, index: usize) -> u64 {
    let (threads, index) = (threads as u64, index as u64);
    total / threads + u64::from(index < total % threads)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up_and_differ_by_one_at_most() {
        for total in [1_u64, 5, 1000, 10_007] {
            for threads in 1..=7 {
                let shares: Vec<u64> = (0..threads).map(|i| share(total, threads, i)).collect();
                assert_eq!(shares.iter().sum::<u64>(), total);
                let (min, max) = (shares.iter().min(), shares.iter().max());
                assert!(max.expect("some") - min.expect("some") <= 1);
            }
        }
    }
}
