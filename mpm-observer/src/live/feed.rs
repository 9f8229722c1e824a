//! The way from the attached probes to whoever wants to know.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use loadgen::clock::monotonic_ns;
use nix::time::ClockId;

use super::{
    Effort, LiveError, Look, QueueLook, Server,
    now::{System, accept_queue_of},
};
use crate::{
    kernel::{Record, Watch},
    resources::{accept_queue, listen_counters_of},
};

/// How often the ring buffer is emptied.
const DRAIN_INTERVAL: Duration = Duration::from_millis(50);
/// How often the server is looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Who wants to know what a server does. All calls come from one thread, the feed's; one that
/// takes long lets records be lost, which is counted.
pub trait Consumer {
    /// A server is watched from now on.
    fn begin(&mut self, server: &Server);
    /// The kernel has told something.
    fn record(&mut self, record: &Record);
    /// About a second has passed.
    fn look(&mut self, look: &Look);
    /// The server is gone; the next call is [`Consumer::begin`], with the next one.
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
}

/// Feeds `consumer` until `stop` or until the server is gone; detaches the probes then.
///
/// # Errors
/// When a map of the programs cannot be read.
pub fn feed(
    mut watch: Watch,
    server: &Server,
    port: u16,
    consumer: &mut dyn Consumer,
    stop: &AtomicBool,
) -> Result<Ended, LiveError> {
    consumer.begin(server);
    let mut next_look = Instant::now();
    let ended = loop {
        watch.drain(|record| consumer.record(&record));
        if stop.load(Ordering::Relaxed) {
            break Ended::Stopped;
        }
        if Instant::now() >= next_look {
            consumer.look(&look(&watch, server, port)?);
            // A look that came late does not make the next ones come in a row.
            next_look = (next_look + LOOK_INTERVAL).max(Instant::now());
            if !server.process.is_alive() {
                break Ended::ServerGone;
            }
        }
        thread::sleep(DRAIN_INTERVAL);
    };
    watch.drain(|record| consumer.record(&record));
    consumer.end();
    Ok(ended)
}

/// Where the socket itself cannot be looked at, its length stands in /proc.
fn queue(pid: u32, port: u16) -> Option<QueueLook> {
    let (length, limit) =
        accept_queue_of(pid, port).or_else(|| accept_queue(pid, port).map(|length| (length, 0)))?;
    Some(QueueLook { length, limit })
}

fn look(watch: &Watch, server: &Server, port: u16) -> Result<Look, LiveError> {
    let (tasks, connections) = (watch.task_states()?, watch.connections()?);
    let mut look = Look::with(monotonic_ns(), server, &tasks, &connections, &System);
    look.queue = queue(server.process.pid, port);
    look.listen = listen_counters_of(server.process.pid).ok();
    look.counters = watch.counters()?;
    look.effort = Effort {
        cpu_ns: ClockId::CLOCK_PROCESS_CPUTIME_ID
            .now()
            .map_or(0, |time| Duration::from(time).as_nanos() as u64),
        programs: watch.program_runs(),
    };
    Ok(look)
}
