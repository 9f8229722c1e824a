//! One httpd for one run, with a log of what it serves.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use super::{Served, Watched, served::LOG_FORMAT};
use crate::{
    httpd::{
        self, Httpd, ModuleSource, ServerStatus, Setup, THIS_PROGRAM,
        config::{ALIVE_PATH, STATUS_PATH},
        http,
    },
    lab::{Client, ClientOrder, LabError},
    overhead::{Ground, ServerCpu, system},
    resources::{children_of, read_memory},
    scenario::{Cpus, RunPlan, Start},
};

/// How long httpd may take to serve.
const START_TIMEOUT: Duration = Duration::from_secs(10);
/// How long httpd gets to end by itself.
const STOP_GRACE: Duration = Duration::from_secs(5);
/// How long the slots get to become idle before and after a load.
const IDLE_PATIENCE: Duration = Duration::from_secs(10);
/// Warming requests for each slot.
const WARM_UPS_PER_SLOT: u64 = 2;
const PAUSE: Duration = Duration::from_millis(20);

/// An httpd that serves, or the place where none does.
pub(super) struct Stand<'a> {
    ground: Ground<'a>,
    httpd: Option<Httpd>,
    addr: SocketAddr,
    dir: PathBuf,
    path: String,
    /// Why there is none.
    pub(super) not_started: Option<String>,
    /// "Total Accesses" before the load.
    accesses_before: Option<u64>,
}

impl<'a> Stand<'a> {
    /// Starts it as the plan says, warm if it says so; `None` if the user interrupted. That httpd
    /// does not start is a result.
    pub(super) fn start(
        ground: Ground<'a>,
        mut plan: RunPlan,
        name: &str,
    ) -> Result<Option<Self>, LabError> {
        let dir = ground.runtime.path().join(name);
        fs::create_dir_all(&dir).map_err(system("the directory of the run cannot be made"))?;
        plan.server
            .extra_directives
            .extend(log_directives(&ground, &dir)?);
        let both: Vec<usize> = [&ground.cpus.server[..], &ground.cpus.client[..]].concat();
        let setup = Setup {
            installation: ground.installation,
            runtime: ground.runtime,
            plan: &plan,
            run_dir: &dir,
            user: ground.user,
            cpus: match plan.server.cpus {
                Cpus::Apart => &ground.cpus.server,
                Cpus::All => &both,
            },
            port: 0,
            program: Path::new(THIS_PROGRAM),
        };
        let mut port = 0;
        let started = httpd::start(&setup, START_TIMEOUT, ground.interrupt.flag(), |prepared| {
            port = prepared.port();
            Ok(())
        });
        let (httpd, not_started) = match started {
            Ok((httpd, _)) => (Some(httpd), None),
            Err(_) if ground.interrupt.is_set() => return Ok(None),
            Err(failure) if failure.is_setup() => {
                return Err(LabError::Run {
                    run: format!("{}.{}", plan.scenario, plan.mpm),
                    message: failure.in_one_line(),
                });
            }
            Err(failure) => (None, Some(failure.in_one_line())),
        };
        let path = ground.runtime.body(plan.load.body_bytes)?;
        let mut stand = Self {
            ground,
            httpd,
            addr: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
            dir,
            path,
            not_started,
            accesses_before: None,
        };
        if stand.httpd.is_some() && plan.server.start == Start::Warm {
            stand.warm_up(plan.server.max_request_workers)?;
        }
        stand.accesses_before = stand.at_rest();
        Ok((!stand.ground.interrupt.is_set()).then_some(stand))
    }

    /// The URL of the document.
    pub(super) fn url(&self) -> String {
        format!("http://{}{}", self.addr, self.path)
    }

    /// A directory that goes with the stand.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Occupies all slots at once, so that each has served before.
    fn warm_up(&self, slots: u32) -> Result<(), LabError> {
        let order = ClientOrder {
            url: format!("http://{}{ALIVE_PATH}", self.addr),
            requests: WARM_UPS_PER_SLOT * u64::from(slots),
            concurrency: slots,
            keep_alive: true,
            timeout_s: 30,
            open: None,
            warm_up_s: 0,
            max_duration_ms: 30_000,
            cpus: self.ground.cpus.client.clone(),
            user: self.ground.user.cloned(),
            rows: false,
            hold: None,
        };
        let interrupt = self.ground.interrupt;
        Client::start(&order)
            .and_then(|client| client.attend(|| interrupt.is_set(), |_| Ok(()), |_, _| {}))
            .map(|_| ())
            .map_err(system("the load generator"))
    }

    /// Waits until no slot is busy but that of the question, and tells "Total Accesses", the
    /// questions so far left out; `None` if httpd does not answer. A server whose slots do not
    /// become idle in time tells what it has.
    fn at_rest(&self) -> Option<u64> {
        self.httpd.as_ref()?;
        let deadline = Instant::now() + IDLE_PATIENCE;
        // A request is counted after its answer: what went before gets the time for it, and no
        // answer tells of its own question.
        for asked in 0_u64.. {
            thread::sleep(PAUSE);
            let page = format!("{STATUS_PATH}?auto");
            let answer = http::get(self.addr, &page, IDLE_PATIENCE, &mut 0).ok()?;
            let status = ServerStatus::parse(&answer.body)?;
            let over = Instant::now() >= deadline || self.ground.interrupt.is_set();
            if status.busy_workers <= 1 || over {
                return status.total_accesses?.checked_sub(asked);
            }
        }
        None
    }

    /// CPU time of all tasks so far.
    pub(super) fn cpu(&self) -> ServerCpu {
        let tasks = self.httpd.as_ref().and_then(|httpd| httpd.tasks().ok());
        ServerCpu::read(&tasks.unwrap_or_default())
    }

    /// Brings the peaks of the memory up to date.
    pub(super) fn look_at_memory(&self, watched: &mut Watched) {
        let Some(parent) = self.httpd.as_ref().map(Httpd::pid) else {
            return;
        };
        let mut pids = children_of(parent).unwrap_or_default();
        pids.push(parent);
        let (mut rss, mut pss) = (0, 0);
        for memory in pids.into_iter().filter_map(|pid| read_memory(pid).ok()) {
            rss += memory.rss_bytes;
            pss += memory.pss_bytes;
        }
        watched.rss_bytes = watched.rss_bytes.max(rss);
        watched.pss_bytes = watched.pss_bytes.max(pss);
    }

    /// Ends httpd and tells what it has served since the load began.
    pub(super) fn stop(self) -> Result<Served, LabError> {
        let accesses = self.at_rest();
        if let Some(httpd) = self.httpd {
            let stopped = httpd
                .stop(STOP_GRACE)
                .map_err(system("httpd cannot be stopped"))?;
            if !stopped.left.is_empty() {
                return Err(LabError::Run {
                    run: self.dir.display().to_string(),
                    message: format!("httpd left processes behind: {:?}", stopped.left),
                });
            }
        }
        let log = fs::read_to_string(self.dir.join("access.log")).unwrap_or_default();
        let mut served = Served::of_log(&log, &self.path);
        // The answer that told the number before was itself counted after it.
        let since = accesses.zip(self.accesses_before);
        served.total_accesses = since.map(|(after, before)| after.saturating_sub(before + 1));
        // It is removed with the runtime directory at the latest.
        let _ = fs::remove_dir_all(&self.dir);
        Ok(served)
    }
}

/// What makes httpd log each request.
fn log_directives(ground: &Ground<'_>, dir: &Path) -> Result<Vec<String>, LabError> {
    let log = dir.join("access.log");
    let mut lines = Vec::new();
    match ground.installation.module("log_config") {
        ModuleSource::CompiledIn => {}
        ModuleSource::File(file) => {
            lines.push(format!(
                "LoadModule log_config_module \"{}\"",
                file.display()
            ));
        }
        ModuleSource::Missing => {
            return Err(LabError::Run {
                run: "httpd".into(),
                message: "it has no mod_log_config, with which its requests are counted".into(),
            });
        }
    }
    lines.push(format!("CustomLog \"{}\" \"{LOG_FORMAT}\"", log.display()));
    Ok(lines)
}
