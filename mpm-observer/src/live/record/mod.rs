//! Records a server that runs already: the kernel's side of what the lab records.

mod about;

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use loadgen::clock::monotonic_ns;
use nix::{sys::utsname::uname, time::ClockId};

use self::about::About;
use super::{LiveError, Look, Server, SlotState, attach};
use crate::{
    collect::{Collector, TRACE_RING_BYTES},
    kernel::{Counters, Kernel, Options, Ports, Watch},
    recording::{
        Ended, FORMAT, LiveServer, Manifest, Moment, Origin, RunDir, SlotRow, StartOutcome, Status,
        TableWriter,
    },
    resources::{SampleTargets, machine, sample},
};

/// Between two looks at the slots.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// How soon an order to stop, or the server's end, is seen.
const WATCH_INTERVAL: Duration = Duration::from_millis(50);

/// What is to be recorded.
#[derive(Clone, Copy, Debug)]
pub struct RecordOrder {
    /// The ports that are watched. Their accept queues are sampled together.
    pub ports: Ports,
    /// How long.
    pub duration: Duration,
    /// Of so long a time from the begin on all events are kept.
    pub trace: Option<Duration>,
}

impl RecordOrder {
    fn options(&self) -> Options {
        let mut options = Options::for_port(self.ports);
        if self.trace.is_some() {
            options.tracing = true;
            options.ring_bytes = TRACE_RING_BYTES;
        }
        options
    }
}

/// Records `server` into `dir` until the time is over, `stop` is set, or the server ends; whatever
/// it is, what was recorded stays and is complete in itself. `tell` is told about once a second
/// how much time is left.
///
/// # Errors
/// When the probes cannot be attached, which leaves nothing in `dir`, or the recording cannot be
/// written; what was written until then stays readable.
pub fn record(
    kernel: &Kernel,
    server: &Server,
    order: &RecordOrder,
    dir: &RunDir,
    stop: &AtomicBool,
    tell: &dyn Fn(Duration),
) -> Result<Manifest, LiveError> {
    let cpu_before_ns = observer_cpu_ns();
    let mut manifest = new_manifest(server, order);
    let watch = attach(kernel, server, order.options())?;
    let attached_ns = monotonic_ns();
    dir.write_manifest(&manifest)?;
    let recording = Recording {
        server,
        order,
        dir,
        stop,
        tell,
    };
    let made = recording.make(watch, attached_ns, &mut manifest);
    manifest.observer_cpu_ns = observer_cpu_ns().saturating_sub(cpu_before_ns);
    manifest.status = match &made {
        Ok(()) => Status::Complete,
        Err(error) => Status::Failed(error.to_string()),
    };
    // On a full disk this fails too; what comes first is told.
    let written = dir.write_manifest(&manifest);
    made?;
    written?;
    Ok(manifest)
}

fn new_manifest(server: &Server, order: &RecordOrder) -> Manifest {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
    let began_ns = monotonic_ns();
    let began = since_1970.unwrap_or_default();
    let about = About::read(server);
    let host = uname().map(|name| name.nodename().to_string_lossy().into_owned());
    Manifest {
        format: FORMAT,
        observer_version: env!("CARGO_PKG_VERSION").into(),
        status: Status::Running,
        repetition: 1,
        mpm: server.mpm,
        origin: Origin::Live(Box::new(LiveServer {
            host: host.unwrap_or_default(),
            pid: server.process.pid,
            listens: server.listens.clone(),
            ports: order.ports.iter().collect(),
            unit: about.unit,
            container: about.container,
            asked: order.duration,
            ..LiveServer::default()
        })),
        machine: machine(thread::available_parallelism().map_or(0, usize::from)),
        began_unix_s: began.as_secs(),
        began_subsec_ns: began.subsec_nanos(),
        began_ns,
        httpd_version: about.version,
        httpd_path: server.binary.display().to_string(),
        httpd_user: about.user,
        port: order.ports.first().unwrap_or(0),
        server_cpus: Vec::new(),
        client_cpus: Vec::new(),
        start: StartOutcome {
            answered: true,
            ..StartOutcome::default()
        },
        load: None,
        held: None,
        cgroup: None,
        warm_up_requests: 0,
        counters: Counters::default(),
        trace: None,
        absent_programs: Vec::new(),
        stop_ns: 0,
        observer_cpu_ns: 0,
        server_gone: false,
    }
}

/// CPU time of this process, all threads, ns.
fn observer_cpu_ns() -> u64 {
    ClockId::CLOCK_PROCESS_CPUTIME_ID
        .now()
        .map_or(0, |time| Duration::from(time).as_nanos() as u64)
}

struct Recording<'a> {
    server: &'a Server,
    order: &'a RecordOrder,
    dir: &'a RunDir,
    stop: &'a AtomicBool,
    tell: &'a dyn Fn(Duration),
}

impl Recording<'_> {
    fn make(
        &self,
        watch: Watch,
        attached_ns: u64,
        manifest: &mut Manifest,
    ) -> Result<(), LiveError> {
        let trouble = Arc::new(AtomicBool::new(false));
        let collector = Collector::start(watch, self.dir.path(), Arc::clone(&trouble))?;
        if let Some(length) = self.order.trace {
            collector.trace(length);
        }
        let watched = self.watch_over(&collector, &trouble);
        let ended_ns = monotonic_ns();
        // Its error is what made a watch end early, if there is one.
        let collected = match watched {
            Ok(Ended::ServerGone) => collector.finish(),
            _ => collector.leave(),
        }?;
        let ended = watched?;
        collected.write(self.dir.path(), self.server.mpm)?;
        manifest.counters = collected.counters;
        manifest.trace = collected.trace;
        manifest.absent_programs = collected.absent;
        manifest.stop_ns = ended_ns;
        manifest.server_gone = ended == Ended::ServerGone;
        if let Origin::Live(live) = &mut manifest.origin {
            live.attached_ns = attached_ns;
            live.ended_ns = ended_ns;
            live.ended = ended;
        }
        Ok(())
    }

    /// Samples what the probes do not tell, until the end.
    fn watch_over(&self, collector: &Collector, trouble: &AtomicBool) -> Result<Ended, LiveError> {
        let no_client = AtomicU32::new(0);
        let targets = SampleTargets {
            parent: self.server.process.pid,
            ports: self.order.ports,
            // The kernel tells it.
            accept_queue_limit: None,
            client: &no_client,
            cgroup_memory: None,
            cgroup_tasks: None,
        };
        let ended = AtomicBool::new(false);
        thread::scope(|scope| {
            let sampler = scope.spawn(|| {
                let sampled = sample(self.dir.path(), &targets, &ended);
                if sampled.is_err() {
                    trouble.store(true, Ordering::Relaxed);
                }
                sampled
            });
            collector.snapshot(Moment::LoadBegin);
            let waited = self.wait(collector, trouble);
            collector.snapshot(Moment::LoadEnd);
            ended.store(true, Ordering::Relaxed);
            let sampled = sampler.join().map_err(|_| LiveError::System {
                what: "the sampler",
                source: io::Error::other("it panicked"),
            })?;
            sampled?;
            waited
        })
    }

    fn wait(&self, collector: &Collector, trouble: &AtomicBool) -> Result<Ended, LiveError> {
        let mut slots = TableWriter::create(self.dir.path())?;
        let began = Instant::now();
        let mut next_look = began;
        let ended = loop {
            let passed = began.elapsed();
            if self.stop.load(Ordering::Relaxed) {
                break Ended::Interrupted;
            }
            // Whoever is in trouble tells why when it is joined.
            if passed >= self.order.duration || trouble.load(Ordering::Relaxed) {
                break Ended::Duration;
            }
            if !self.server.process.is_alive() {
                break Ended::ServerGone;
            }
            if Instant::now() >= next_look {
                if let Some((tasks, connections)) = collector.states() {
                    let look = Look::new(monotonic_ns(), self.server, &tasks, &connections);
                    slots.push(slot_row(&look))?;
                    slots.tick()?;
                }
                next_look = (next_look + LOOK_INTERVAL).max(Instant::now());
                (self.tell)(self.order.duration.saturating_sub(passed));
            }
            thread::sleep(WATCH_INTERVAL.min(self.order.duration.saturating_sub(passed)));
        };
        slots.finish()?;
        Ok(ended)
    }
}

fn slot_row(look: &Look) -> SlotRow {
    let mut row = SlotRow {
        t_ns: look.at_ns,
        connections: look.connections.open,
        parked: look.connections.parked,
        unread: look.connections.unread,
        ..SlotRow::default()
    };
    for state in look.tasks.iter().filter_map(|task| task.slot) {
        let count = match state {
            SlotState::OnCpu => &mut row.on_cpu,
            SlotState::RunQueue => &mut row.run_queue,
            SlotState::Lock => &mut row.lock,
            SlotState::Disk => &mut row.disk,
            SlotState::ReadingClient => &mut row.reading_client,
            SlotState::Sending => &mut row.sending,
            SlotState::KeepAlive => &mut row.keep_alive,
            SlotState::Closing => &mut row.closing,
            SlotState::Other => &mut row.other,
            SlotState::Idle => &mut row.idle,
        };
        *count += 1;
    }
    row
}
