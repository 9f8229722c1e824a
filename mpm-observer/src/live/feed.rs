//! The way from the attached probes to whoever wants to know.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use loadgen::clock::monotonic_ns;
use nix::time::ClockId;

use super::{
    Effort, LiveError, Look, QueueLook, Server, look::resident_bytes, now::System, reload::Reload,
};
use crate::{
    kernel::{Counters, Ports, Record, Watch, kernel_memory_bytes},
    resources::{Listener, listen_counters_of},
};

/// How often the ring buffer is emptied.
const DRAIN_INTERVAL: Duration = Duration::from_millis(50);
/// How often entries of tasks and connections whose end was not seen are looked for.
const REAP_INTERVAL: Duration = Duration::from_secs(60);
/// How often the server is looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// How often it is asked whether the server listens on other ports.
const PORTS_INTERVAL: Duration = Duration::from_secs(5);

/// Who wants to know what a server does. All calls come from one thread, the feed's; one that
/// takes long lets records be lost, which is counted.
pub trait Consumer {
    /// A server is watched from now on.
    fn begin(&mut self, server: &Server);
    /// The kernel has told something.
    fn record(&mut self, record: &Record);
    /// About a second has passed.
    fn look(&mut self, look: &Look);
    /// What the probes counted until now and what they took, at the end and after the last record:
    /// more than the last look told. There is no look any more, as the server may be gone.
    fn last(&mut self, _counters: &Counters, _effort: &Effort) {}
    /// The server is gone, or the probes are detached; the next call is [`Consumer::begin`], with
    /// the next server or the same one.
    fn end(&mut self);
    /// Nothing runs that could be watched; told about once a second.
    fn waiting(&mut self) {}
}

/// Why a feed ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It was told to.
    Stopped,
    /// The server's first process has ended.
    ServerGone,
    /// The server listens on other ports than when the probes were attached, as after a reload of
    /// a configuration that was changed.
    PortsChanged,
}

/// Feeds `consumer` until `stop`, until the server is gone or until its ports have changed;
/// detaches the probes then. The consumer gets a last look, unless the server is gone.
///
/// # Errors
/// When a map of the programs cannot be read.
pub fn feed(
    mut watch: Watch,
    server: &Server,
    ports: impl Into<Ports>,
    consumer: &mut dyn Consumer,
    stop: &AtomicBool,
) -> Result<Ended, LiveError> {
    consumer.begin(server);
    let ended = pass_on(&mut watch, server, ports.into(), consumer, stop);
    watch.drain(|record| consumer.record(&record));
    if let Ok(counters) = watch.counters() {
        consumer.last(&counters, &effort_of(&watch));
    }
    consumer.end();
    ended
}

fn pass_on(
    watch: &mut Watch,
    server: &Server,
    ports: Ports,
    consumer: &mut dyn Consumer,
    stop: &AtomicBool,
) -> Result<Ended, LiveError> {
    // All maps and programs are made before, and keep their size.
    let kernel_bytes = kernel_memory_bytes().unwrap_or(0);
    let pid = server.process.pid;
    let listeners: Vec<Listener> = ports.iter().map(|port| Listener::new(pid, port)).collect();
    // The first look comes before the first record: it tells which tasks there are.
    let mut first_look = look_at(watch, server, &listeners)?;
    first_look.effort.kernel_bytes = kernel_bytes;
    consumer.look(&first_look);
    let mut next_look = Instant::now() + LOOK_INTERVAL;
    let mut next_reap = next_look + REAP_INTERVAL;
    let mut reload = Reload::of(server);
    let mut next_ports = next_look + PORTS_INTERVAL;
    let mut first_ended = false;
    loop {
        watch.drain(|record| {
            first_ended |= is_end_of(&record, server);
            consumer.record(&record);
        });
        let is_stopped = stop.load(Ordering::Relaxed);
        if first_ended && !is_stopped {
            return Ok(Ended::ServerGone);
        }
        let mut has_changed_ports = false;
        if Instant::now() >= next_ports {
            has_changed_ports = reload.has_changed_ports(server);
            next_ports = Instant::now() + PORTS_INTERVAL;
        }
        if is_stopped || has_changed_ports || Instant::now() >= next_look {
            let mut look = look_at(watch, server, &listeners)?;
            look.effort.kernel_bytes = kernel_bytes;
            consumer.look(&look);
            // A look that came late does not make the next ones come in a row.
            next_look = (next_look + LOOK_INTERVAL).max(Instant::now());
            // The record of its end may be lost, or it ended while the probes were attached.
            first_ended = !server.process.is_alive();
        }
        if is_stopped {
            return Ok(Ended::Stopped);
        }
        if has_changed_ports {
            return Ok(Ended::PortsChanged);
        }
        if Instant::now() >= next_reap {
            watch.reap(server.process.pid)?;
            next_reap = Instant::now() + REAP_INTERVAL;
        }
        thread::sleep(DRAIN_INTERVAL);
    }
}

/// Whether a record says that the server's first task has ended, so that the next server is
/// followed from its first requests on.
fn is_end_of(record: &Record, server: &Server) -> bool {
    matches!(record, Record::Task(task) if task.pid == server.process.pid)
}

/// Looks at a server that is watched.
///
/// # Errors
/// When a map of the programs cannot be read.
pub(crate) fn look_at(
    watch: &Watch,
    server: &Server,
    listeners: &[Listener],
) -> Result<Look, LiveError> {
    let (tasks, connections) = (watch.task_states()?, watch.connections()?);
    let mut look = Look::with(monotonic_ns(), server, &tasks, &connections, &System);
    let queue_of = |listener: &Listener| {
        let queue = listener.queue()?;
        Some(QueueLook {
            port: listener.port(),
            length: queue.length,
            limit: queue.limit,
        })
    };
    look.queues = listeners.iter().filter_map(queue_of).collect();
    look.listen = listen_counters_of(server.process.pid).ok();
    look.counters = watch.counters()?;
    look.effort = effort_of(watch);
    Ok(look)
}

/// What watching took so far, but for the kernel's memory.
fn effort_of(watch: &Watch) -> Effort {
    Effort {
        cpu_ns: ClockId::CLOCK_PROCESS_CPUTIME_ID
            .now()
            .map_or(0, |time| Duration::from(time).as_nanos() as u64),
        programs: watch.program_runs(),
        resident_bytes: resident_bytes(),
        kernel_bytes: 0,
    }
}
