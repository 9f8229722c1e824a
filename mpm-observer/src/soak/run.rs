//! A soak from begin to end.

use std::{
    fs,
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use procfs::{net::TcpState, process::Process};

use super::{
    Churned, Entries, Seen, Soaked,
    churn::{churn, kept},
    scrape::scrape,
    seen::Tally,
    verdict::is_memory_flat,
};
use crate::{
    httpd::{self, Httpd, Setup, THIS_PROGRAM},
    kernel::{Options, Ports},
    lab::LabError,
    live::{self, LiveError},
    otlp::{Otlp, OtlpOptions, Rate, SEND_TIMEOUT},
    overhead::{Ground, plan, system},
    scenario::{Mpm, RunPlan},
    serve::{ServeOptions, Service, StatusSource},
    top::Model,
};

/// Clients at once.
const CLIENTS: u64 = 6;
/// Connections for each slot of a child, after which it ends: few, but not so few that httpd, which
/// starts children once a second, is busy with that alone.
const CONNECTIONS_PER_SLOT: u32 = 8;
const LEAST_CONNECTIONS_PER_CHILD: u32 = 40;
/// Connections that are left open at the end.
const KEPT: usize = 3;
const START_TIMEOUT: Duration = Duration::from_secs(30);
const STOP_GRACE: Duration = Duration::from_secs(10);
/// How long it may take to calm down: children that end gracefully finish what they serve, and what
/// the programs missed is reaped when it was found missing twice, a minute apart.
const CALM_TIMEOUT: Duration = Duration::from_secs(200);
/// Nobody listens on this port.
const NO_COLLECTOR: &str = "http://127.0.0.1:1";
/// The window of `top`.
const WINDOW_NS: u64 = 10_000_000_000;
const SCRAPE_INTERVAL: Duration = Duration::from_secs(1);
/// How often it is made longer.
const MOST_FURTHER: u32 = 2;
const TICK: Duration = Duration::from_millis(50);

/// What is done.
#[derive(Clone, Copy, Debug)]
pub struct SoakPlan {
    /// The MPM.
    pub mpm: Mpm,
    /// How long. It goes on for as long again, at most twice, while memory grows.
    pub duration: Duration,
    /// Time between graceful restarts.
    pub graceful_every: Duration,
    /// Every which restart is a whole one, with a new first process.
    pub whole_every: u32,
}

/// What the threads of a soak share.
struct Shared {
    /// The first process that is to be watched, and where it listens; `None` between two.
    server: Mutex<Option<(u32, SocketAddr)>>,
    seen: Mutex<Seen>,
    churned: Churned,
    stop_clients: AtomicBool,
    stop_watching: AtomicBool,
}

impl Shared {
    fn server(&self) -> Option<(u32, SocketAddr)> {
        *self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_server(&self, httpd: Option<&Httpd>) {
        let server = httpd.map(|httpd| (httpd.pid(), httpd.addr()));
        *self.server.lock().unwrap_or_else(PoisonError::into_inner) = server;
    }

    fn seen(&self) -> Seen {
        let seen = self.seen.lock();
        seen.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Makes a soak; `None` if the user interrupted it.
///
/// # Errors
/// When httpd cannot be started, the probes fail, or what /proc shows cannot be read.
pub fn soak(ground: Ground<'_>, soak: &SoakPlan) -> Result<Option<Soaked>, LabError> {
    ground.installation.require(soak.mpm)?;
    let dir = ground.runtime.path().join(format!("soak-{}", soak.mpm));
    fs::create_dir_all(&dir).map_err(system("the directory of the soak cannot be made"))?;
    let place = Starter {
        ground,
        plan: worn_out(soak.mpm),
        dir,
    };
    let shared = Shared {
        server: Mutex::default(),
        seen: Mutex::default(),
        churned: Churned::default(),
        stop_clients: AtomicBool::new(false),
        stop_watching: AtomicBool::new(false),
    };
    let otlp = Otlp::start(&OtlpOptions {
        endpoint: NO_COLLECTOR.to_owned(),
        sample: Rate::Share(1.0),
        slow: true,
        interval: Duration::from_secs(1),
        send_timeout: SEND_TIMEOUT,
        client_address: true,
        listen: None,
    })
    .map_err(|error| place.failed(error.to_string()))?;
    let service = Service::start(ServeOptions {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        web_config: None,
        status: StatusSource::Server,
        ports: Ports::default(),
    })
    .map_err(|error| place.failed(error.to_string()))?;
    let tally = Tally {
        seen: &shared.seen,
        began: Instant::now(),
        feeder: service.feeder(),
        model: Model::new(Some(WINDOW_NS)),
        otlp,
    };
    let began = tally.began;
    thread::scope(|scope| {
        let shared = &shared;
        let address = service.address();
        let watching = scope.spawn(move || watch(ground, shared, tally));
        scope.spawn(move || scrape_until_stopped(shared, address));
        for seed in 0..CLIENTS {
            scope.spawn(move || {
                let server = || shared.server().map(|(_, address)| address);
                churn(seed, server, &shared.churned, &shared.stop_clients);
            });
        }
        let outcome = wear(&place, shared, soak, began);
        shared.stop_clients.store(true, Ordering::Relaxed);
        shared.stop_watching.store(true, Ordering::Relaxed);
        let watched = watching.join().unwrap_or(Ok(()));
        let Some(mut soaked) = outcome? else {
            return Ok(None);
        };
        watched.map_err(|error| LabError::Run {
            run: "soak".to_owned(),
            message: error.to_string(),
        })?;
        // What was lost is added up when a watch ends.
        soaked.seen = shared.seen();
        Ok(Some(soaked))
    })
}

/// An httpd whose children do not live long.
fn worn_out(mpm: Mpm) -> RunPlan {
    let mut plan = plan(mpm);
    let server = &mut plan.server;
    let connections =
        (CONNECTIONS_PER_SLOT * server.threads_per_child).max(LEAST_CONNECTIONS_PER_CHILD);
    server
        .extra_directives
        .push(format!("MaxConnectionsPerChild {connections}"));
    // What is left open at the end outlasts the counting.
    server.keep_alive_timeout_s = 300;
    plan
}

/// Asks for the metrics, as a Prometheus would, but more often.
fn scrape_until_stopped(shared: &Shared, address: SocketAddr) {
    while !shared.stop_watching.load(Ordering::Relaxed) {
        let scraped = scrape(address);
        let mut seen = shared.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match scraped {
            Ok(series) => {
                seen.scrapes += 1;
                seen.series = series;
            }
            Err(_) => seen.failed_scrapes += 1,
        }
        drop(seen);
        thread::sleep(SCRAPE_INTERVAL);
    }
}

fn watch(ground: Ground<'_>, shared: &Shared, mut tally: Tally<'_>) -> Result<(), LiveError> {
    let choose = || {
        let Some((pid, address)) = shared.server() else {
            return Ok(None);
        };
        let found = live::choose(&live::Target::Pid(pid))?;
        Ok(found.map(|server| (server, address.port())))
    };
    live::follow(
        ground.kernel,
        choose,
        Options::for_port,
        &mut tally,
        &shared.stop_watching,
    )
}

struct Starter<'a> {
    ground: Ground<'a>,
    plan: RunPlan,
    dir: PathBuf,
}

impl Starter<'_> {
    fn start(&self) -> Result<Httpd, LabError> {
        let ground = self.ground;
        let setup = Setup {
            installation: ground.installation,
            runtime: ground.runtime,
            plan: &self.plan,
            run_dir: &self.dir,
            user: ground.user,
            cpus: &ground.cpus.server,
            port: 0,
            program: Path::new(THIS_PROGRAM),
        };
        let started = httpd::start(&setup, START_TIMEOUT, ground.interrupt.flag(), |_| Ok(()));
        started
            .map(|(httpd, _)| httpd)
            .map_err(|failure| self.failed(failure.in_one_line()))
    }

    fn failed(&self, message: impl Into<String>) -> LabError {
        LabError::Run {
            run: format!("soak.{}", self.plan.mpm),
            message: message.into(),
        }
    }
}

/// Restarts the server again and again until the time is up, lets it calm down, and counts.
fn wear(
    place: &Starter<'_>,
    shared: &Shared,
    soak: &SoakPlan,
    began: Instant,
) -> Result<Option<Soaked>, LabError> {
    let mut httpd = place.start()?;
    shared.set_server(Some(&httpd));
    let (mut graceful, mut restarts) = (0, 0);
    let mut next = Instant::now() + soak.graceful_every;
    let mut until = began + soak.duration;
    let mut further = 0;
    loop {
        if Instant::now() >= until {
            // What settles late has settled by then, what leaks goes on.
            if further == MOST_FURTHER || is_memory_flat(&shared.seen().samples) {
                break;
            }
            further += 1;
            until = Instant::now() + soak.duration;
        }
        if place.ground.interrupt.is_set() {
            return Ok(None);
        }
        if let Some(status) = httpd.exit_status() {
            return Err(place.failed(format!("httpd has ended: {status:?}")));
        }
        thread::sleep(TICK);
        if Instant::now() < next {
            continue;
        }
        next = Instant::now() + soak.graceful_every;
        if (graceful + restarts + 1) % soak.whole_every.max(1) == 0 {
            restarts += 1;
            shared.set_server(None);
            httpd
                .stop(STOP_GRACE)
                .map_err(system("httpd cannot be stopped"))?;
            httpd = place.start()?;
            shared.set_server(Some(&httpd));
        } else {
            graceful += 1;
            restart_gracefully(&httpd)?;
        }
    }
    shared.stop_clients.store(true, Ordering::Relaxed);
    let entries = calm(&httpd, shared).map_err(system("what /proc shows cannot be read"))?;
    let count = |figure: &std::sync::atomic::AtomicU64| figure.load(Ordering::Relaxed);
    let soaked = Soaked {
        mpm: soak.mpm,
        seconds: began.elapsed().as_secs_f64(),
        answered: count(&shared.churned.answered),
        connections: count(&shared.churned.connections),
        failed: count(&shared.churned.failed),
        graceful,
        restarts,
        seen: shared.seen(),
        entries,
    };
    httpd
        .stop(STOP_GRACE)
        .map_err(system("httpd cannot be stopped"))?;
    Ok(Some(soaked))
}

fn restart_gracefully(httpd: &Httpd) -> Result<(), LabError> {
    let first = Pid::from_raw(httpd.pid().cast_signed());
    kill(first, Signal::SIGUSR1)
        .map_err(std::io::Error::from)
        .map_err(system("httpd cannot be restarted"))
}

/// Leaves some connections open and waits until what is held is what stands, or in vain; returns
/// the last comparison.
fn calm(httpd: &Httpd, shared: &Shared) -> std::io::Result<Entries> {
    let deadline = Instant::now() + CALM_TIMEOUT;
    let mut open: Vec<TcpStream> = Vec::new();
    loop {
        let seen = shared.seen();
        let is_watched = seen.watched == Some(httpd.pid());
        // A child that was about to end may close one.
        open.retain(is_open);
        while is_watched && open.len() < KEPT {
            open.push(kept(httpd.addr())?);
        }
        let entries = Entries {
            tasks_held: seen.tasks,
            tasks_alive: httpd.tasks()?.into_iter().map(|task| task.tid).collect(),
            connections_held: seen.connections,
            connections_standing: standing(httpd)?,
        };
        let are_kept = entries.connections_standing as usize == KEPT;
        if (is_watched && are_kept && entries.is_exact()) || Instant::now() >= deadline {
            return Ok(entries);
        }
        thread::sleep(TICK);
    }
}

fn is_open(stream: &TcpStream) -> bool {
    let mut byte = [0];
    let looked = stream
        .set_nonblocking(true)
        .and_then(|()| stream.peek(&mut byte));
    matches!(looked, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
}

/// Connections of the server that stand, from the server's side.
fn standing(httpd: &Httpd) -> std::io::Result<u32> {
    let process = Process::new(httpd.pid().cast_signed()).map_err(std::io::Error::other)?;
    let sockets = process.tcp().map_err(std::io::Error::other)?;
    let standing = sockets.iter().filter(|socket| {
        socket.local_address == httpd.addr() && socket.state == TcpState::Established
    });
    Ok(standing.count() as u32)
}
