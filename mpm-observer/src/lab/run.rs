//! One run: httpd up, probes on, load, everything off, recorded.

use std::{
    fs, io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use loadgen::clock::monotonic_ns;
use nix::sys::resource::{UsageWho, getrusage};

use super::{CpuSplit, Interrupt, LabError, exposed::Exposed};
use crate::{
    collect::{Collector, TRACE_RING_BYTES},
    httpd::{
        self, Httpd, IdleAccount, Installation, RuntimeDir, Setup, StartFailure, THIS_PROGRAM,
        error_log, user::ServerUser,
    },
    kernel::{Kernel, Options, Watch},
    recording::{
        ClientRow, Machine, Manifest, Moment, Origin, RecordingError, RunDir, StartOutcome, Status,
        TableWriter,
    },
    resources::{RunCgroup, SampleTargets, sample, watch_status},
    scenario::{Cpus, RunPlan, Start},
};

/// How long httpd may take to serve.
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// How long httpd gets to end by itself.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// What all runs in one place share.
pub(super) struct Surroundings<'a> {
    pub(super) kernel: &'a Kernel,
    pub(super) installation: &'a Installation,
    pub(super) runtime: &'a RuntimeDir,
    pub(super) user: Option<&'a ServerUser>,
    pub(super) cpus: &'a CpuSplit,
    pub(super) allowed_cpus: &'a [usize],
    pub(super) machine: &'a Machine,
    pub(super) exposed: Option<&'a Exposed>,
    pub(super) interrupt: &'a Interrupt,
}

/// What [`Place::run`](super::Place::run) does.
pub(super) fn make_run(
    around: &Surroundings<'_>,
    plan: &RunPlan,
    repetition: u32,
    trace: Option<Duration>,
    dir: &RunDir,
    tell: &dyn Fn(&str),
) -> Result<Manifest, LabError> {
    let cpu_before = observer_cpu_ns();
    // A limit that counts all tasks of a user needs a user of httpd's own.
    let account = match plan.limits.processes {
        Some(_) => Some(IdleAccount::take(around.user)?),
        None => None,
    };
    let user = account.as_ref().map(IdleAccount::user).or(around.user);
    let mut manifest = new_manifest(around, plan, user, repetition);
    dir.write_manifest(&manifest)?;
    if let Some(exposed) = around.exposed {
        exposed.begin(plan, repetition);
    }
    let made = Run {
        around,
        plan,
        user,
        trace,
        dir,
        tell,
        trouble: Arc::default(),
    }
    .make(&mut manifest);
    if let Some(exposed) = around.exposed {
        exposed.end(around.interrupt);
    }
    manifest.observer_cpu_ns = observer_cpu_ns().saturating_sub(cpu_before);
    if let Err(error) = &made {
        manifest.status = Status::Failed(error.to_string());
        // A full disk is what made it fail, perhaps; the error itself goes up.
        let _ = dir.write_manifest(&manifest);
    }
    made?;
    if around.interrupt.is_set() {
        manifest.status = Status::Interrupted;
    }
    dir.write_manifest(&manifest)?;
    Ok(manifest)
}

fn new_manifest(
    around: &Surroundings<'_>,
    plan: &RunPlan,
    user: Option<&ServerUser>,
    repetition: u32,
) -> Manifest {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
    let began_ns = monotonic_ns();
    let began = since_1970.unwrap_or_default();
    Manifest {
        format: crate::recording::FORMAT,
        observer_version: env!("CARGO_PKG_VERSION").into(),
        status: Status::Running,
        repetition,
        mpm: plan.mpm,
        origin: Origin::Lab(Box::new(plan.clone())),
        machine: around.machine.clone(),
        began_unix_s: began.as_secs(),
        began_subsec_ns: began.subsec_nanos(),
        began_ns,
        httpd_version: around.installation.version.clone(),
        httpd_path: around.installation.binary.display().to_string(),
        httpd_user: user.map_or_else(|| "the caller".into(), |user| user.name.clone()),
        port: 0,
        server_cpus: server_cpus(around, plan).to_vec(),
        client_cpus: around.cpus.client.clone(),
        start: StartOutcome::default(),
        load: None,
        held: None,
        cgroup: None,
        warm_up_requests: 0,
        counters: crate::kernel::Counters::default(),
        trace: None,
        absent_programs: Vec::new(),
        stop_ns: 0,
        observer_cpu_ns: 0,
        server_gone: false,
    }
}

/// The CPUs that httpd gets in a run.
fn server_cpus<'a>(around: &Surroundings<'a>, plan: &RunPlan) -> &'a [usize] {
    match plan.server.cpus {
        Cpus::Apart => &around.cpus.server,
        Cpus::All => around.allowed_cpus,
    }
}

/// CPU time of this process, all threads, ns; children not counted.
fn observer_cpu_ns() -> u64 {
    getrusage(UsageWho::RUSAGE_SELF).map_or(0, |usage| {
        let times = [usage.user_time(), usage.system_time()];
        times
            .iter()
            .map(|time| {
                time.tv_sec().unsigned_abs() * 1_000_000_000 + time.tv_usec().unsigned_abs() * 1000
            })
            .sum()
    })
}

/// Why there is no httpd.
enum NoHttpd {
    /// It did not start: a result.
    Failed { failure: StartFailure, session: u32 },
    /// Something of ours failed: an error.
    Ours(LabError),
}

pub(super) struct Run<'a> {
    pub(super) around: &'a Surroundings<'a>,
    pub(super) plan: &'a RunPlan,
    /// httpd's user; the client's is that of the surroundings.
    user: Option<&'a ServerUser>,
    /// How long all events are kept, if they are.
    trace: Option<Duration>,
    dir: &'a RunDir,
    pub(super) tell: &'a dyn Fn(&str),
    /// Set when a part of the recording could not be written: then the load need not go on.
    trouble: Arc<AtomicBool>,
}

impl Run<'_> {
    /// Whether the load is to end early.
    pub(super) fn is_over(&self) -> bool {
        self.around.interrupt.is_set() || self.trouble.load(Ordering::Relaxed)
    }

    fn make(&self, manifest: &mut Manifest) -> Result<(), LabError> {
        let cgroup = RunCgroup::create(&self.plan.limits)?;
        let mut collector = None;
        let started = self.start(manifest, &cgroup, &mut collector);
        let mut rows = TableWriter::create(self.dir.path())?;
        let result = match &started {
            Ok(httpd) => self.serve(manifest, httpd, &cgroup, collector.as_ref(), &mut rows),
            Err(NoHttpd::Failed { failure, .. }) => self.go_without(manifest, failure, &mut rows),
            Err(NoHttpd::Ours(_)) => Ok(()),
        };
        if let (Some(exposed), Ok(())) = (self.around.exposed, &result) {
            (self.tell)("waiting for the last scrape");
            exposed.settle(self.around.interrupt);
        }
        // Whatever happened, httpd goes first, so that its last records are seen.
        (self.tell)("stopping httpd");
        manifest.stop_ns = monotonic_ns();
        manifest.server_gone = match started {
            Ok(httpd) => self.stop(httpd)?,
            // It was ended where it failed; here it is seen that nothing of it is left.
            Err(NoHttpd::Failed { session, .. }) => {
                httpd::tasks(session, self.plan.mpm).is_ok_and(|tasks| tasks.is_empty())
            }
            Err(NoHttpd::Ours(error)) => return Err(error),
        };
        if let Some(collector) = collector {
            let collected = collector.finish()?;
            collected.write(self.dir.path(), self.plan.mpm)?;
            manifest.counters = collected.counters;
            manifest.trace = collected.trace;
            manifest.absent_programs = collected.absent;
        }
        manifest.cgroup = cgroup.counts();
        drop(cgroup);
        rows.finish()?;
        manifest.start.log_codes = self.log_codes();
        result
    }

    /// Starts httpd with the probes on its very first task.
    fn start(
        &self,
        manifest: &mut Manifest,
        cgroup: &RunCgroup,
        collector: &mut Option<Collector>,
    ) -> Result<Httpd, NoHttpd> {
        (self.tell)("starting httpd");
        let setup = Setup {
            installation: self.around.installation,
            runtime: self.around.runtime,
            plan: self.plan,
            run_dir: self.dir.path(),
            user: self.user,
            cpus: self.server_cpus(),
            port: 0,
            program: Path::new(THIS_PROGRAM),
        };
        let began = Instant::now();
        let (mut port, mut session) = (0, 0);
        let mut own_failure = None;
        let started = httpd::start(
            &setup,
            START_TIMEOUT,
            self.around.interrupt.flag(),
            |prepared| {
                port = prepared.addr().port();
                session = prepared.pid();
                // The collector of an attempt on a port that was taken has nothing to tell.
                drop(collector.take());
                self.watch(port, prepared.pid(), cgroup)
                    .map(|ready| *collector = Some(ready))
                    .map_err(|error| {
                        let message = error.to_string();
                        own_failure = Some(error);
                        message
                    })
            },
        );
        manifest.port = port;
        match started {
            Ok((httpd, ready)) => {
                manifest.start = StartOutcome {
                    answered: true,
                    took_ms: ready.took_us / 1000,
                    all_slots: ready.slots == Some(self.plan.server.max_request_workers),
                    slots: ready.slots,
                    failure: None,
                    probe_ports: ready.probe_ports,
                    log_codes: Vec::new(),
                };
                Ok(httpd)
            }
            Err(failure) => {
                if let Some(error) = own_failure {
                    return Err(NoHttpd::Ours(error));
                }
                // What keeps every httpd from starting is no result of this one.
                if failure.is_setup() {
                    return Err(NoHttpd::Ours(LabError::Run {
                        run: format!("{}.{}", self.plan.scenario, self.plan.mpm),
                        message: failure.in_one_line(),
                    }));
                }
                manifest.start.took_ms = began.elapsed().as_millis() as u64;
                if let StartFailure::TimedOut { slots, .. } = failure {
                    manifest.start.slots = slots;
                }
                Err(NoHttpd::Failed { failure, session })
            }
        }
    }

    fn server_cpus(&self) -> &[usize] {
        server_cpus(self.around, self.plan)
    }

    fn watch(&self, port: u16, pid: u32, cgroup: &RunCgroup) -> Result<Collector, LabError> {
        cgroup.add(pid).map_err(|source| LabError::System {
            what: "httpd cannot be moved into its cgroup",
            source,
        })?;
        let mut options = Options::for_port(port);
        if self.trace.is_some() {
            options.tracing = true;
            options.ring_bytes = TRACE_RING_BYTES;
        }
        let mut watch = Watch::start(self.around.kernel, options)?;
        watch.follow(pid)?;
        let tap = self.around.exposed.map(|exposed| {
            exposed
                .tap(self.around.installation, self.plan.mpm, pid, port)
                .map_err(|source| LabError::System {
                    what: "httpd's process cannot be told",
                    source,
                })
        });
        Ok(Collector::start_tapped(
            watch,
            self.dir.path(),
            Arc::clone(&self.trouble),
            tap.transpose()?,
        )?)
    }

    /// Warms up where that is wanted, then puts the load on it, sampled.
    fn serve(
        &self,
        manifest: &mut Manifest,
        httpd: &Httpd,
        cgroup: &RunCgroup,
        collector: Option<&Collector>,
        rows: &mut TableWriter<ClientRow>,
    ) -> Result<(), LabError> {
        if self.plan.server.start == Start::Warm {
            (self.tell)("warming up");
            self.warm_up(manifest, httpd, rows)?;
        }
        if self.around.interrupt.is_set() {
            return Ok(());
        }
        let client_pid = AtomicU32::new(0);
        let stop = AtomicBool::new(false);
        let somaxconn = fs::read_to_string("/proc/sys/net/core/somaxconn")
            .ok()
            .and_then(|text| text.trim().parse().ok())
            .unwrap_or(u32::MAX);
        let targets = SampleTargets {
            parent: httpd.pid(),
            ports: manifest.port.into(),
            accept_queue_limit: Some(self.plan.server.listen_backlog.min(somaxconn)),
            client: &client_pid,
            cgroup_memory: cgroup.memory_file(),
            cgroup_tasks: cgroup.tasks_file(),
        };
        let port = manifest.port;
        let run_dir = self.dir.path();
        let trouble = &*self.trouble;
        let exposed = self.around.exposed;
        let told = |answer: Result<&str, &io::Error>, took_ns| {
            if let Some(exposed) = exposed {
                exposed.status(answer, took_ns);
            }
        };
        thread::scope(|scope| {
            let sampler = scope.spawn(|| noting(trouble, sample(run_dir, &targets, &stop)));
            let status = scope.spawn(|| noting(trouble, watch_status(run_dir, port, &stop, &told)));
            if let Some(collector) = collector {
                collector.snapshot(Moment::LoadBegin);
            }
            let begun = || {
                if let (Some(collector), Some(length)) = (collector, self.trace) {
                    collector.trace(length);
                }
            };
            let loaded = self.load(manifest, httpd, &client_pid, begun, rows);
            if let Some(collector) = collector {
                collector.snapshot(Moment::LoadEnd);
            }
            stop.store(true, Ordering::Relaxed);
            for thread in [sampler, status] {
                let ended = thread.join().map_err(|_| LabError::System {
                    what: "a sampler",
                    source: io::Error::other("it panicked"),
                })?;
                ended?;
            }
            loaded?;
            if manifest.load.is_some() {
                manifest.status = Status::Complete;
            }
            Ok(())
        })
    }

    /// Whether httpd and all of its session are gone.
    fn stop(&self, httpd: Httpd) -> Result<bool, LabError> {
        let stopped = httpd.stop(STOP_GRACE).map_err(|source| LabError::System {
            what: "httpd cannot be stopped",
            source,
        })?;
        Ok(stopped.left.is_empty())
    }

    /// Codes of warnings and errors in httpd's log, in order, each once.
    fn log_codes(&self) -> Vec<String> {
        let text = fs::read_to_string(self.dir.path().join("error.log")).unwrap_or_default();
        let mut codes = Vec::new();
        for line in text.lines().map(error_log::parse_line) {
            let serious = line.is_serious();
            if let Some(code) = line.code.filter(|code| serious && !codes.contains(code)) {
                codes.push(code);
            }
        }
        codes
    }
}

/// Notes the trouble of a thread; the error itself is seen when it is joined.
fn noting<T>(trouble: &AtomicBool, result: Result<T, RecordingError>) -> Result<T, RecordingError> {
    if result.is_err() {
        trouble.store(true, Ordering::Relaxed);
    }
    result
}
