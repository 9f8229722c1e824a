//! The test stand: one private httpd on CPUs of its own, warm, and a client on the others.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use loadgen::Summary;

use super::server_cpu::ServerCpu;
use crate::{
    httpd::{self, Httpd, Installation, RuntimeDir, Setup, THIS_PROGRAM, user::ServerUser},
    kernel::{Kernel, LiveTask},
    lab::{Client, ClientOrder, CpuSplit, Interrupt, LabError},
    scenario::{Mpm, RunPlan, Scenario, Size},
};

/// How long httpd may take to serve.
const START_TIMEOUT: Duration = Duration::from_secs(10);
/// How long httpd gets to end by itself.
const STOP_GRACE: Duration = Duration::from_secs(5);
/// How long httpd gets after a load to close its connections and come to rest.
const REST: Duration = Duration::from_millis(15);
/// Warming requests for each slot.
const WARM_UPS_PER_SLOT: u64 = 20;
/// How long one request may take.
const REQUEST_TIMEOUT_S: u32 = 30;

/// What a stand is put up on.
#[derive(Clone, Copy)]
pub struct Ground<'a> {
    /// The running kernel.
    pub kernel: &'a Kernel,
    /// The httpd to run.
    pub installation: &'a Installation,
    /// The directory of this process.
    pub runtime: &'a RuntimeDir,
    /// The user of httpd's children and of the client.
    pub user: Option<&'a ServerUser>,
    /// httpd's CPUs and the client's.
    pub cpus: &'a CpuSplit,
    /// Set when the user wants an end.
    pub interrupt: &'a Interrupt,
}

/// The plan of the httpd under test; its load says file and connections.
#[must_use]
pub fn plan(mpm: Mpm) -> RunPlan {
    Scenario::parse("load.toml", include_str!("load.toml"))
        .unwrap_or_else(|error| unreachable!("it is part of the program: {error}"))
        .plan(mpm, Size::Quick)
}

/// A running httpd with its client.
pub(crate) struct Stand<'a> {
    pub(crate) ground: Ground<'a>,
    pub(crate) plan: RunPlan,
    httpd: Httpd,
    dir: PathBuf,
    path: String,
}

impl<'a> Stand<'a> {
    /// Starts httpd and warms it up; `None` if the user interrupted.
    pub(crate) fn start(ground: Ground<'a>, mpm: Mpm) -> Result<Option<Self>, LabError> {
        ground.installation.require(mpm)?;
        let plan = plan(mpm);
        let dir = ground.runtime.path().join(format!("overhead-{mpm}"));
        fs::create_dir_all(&dir).map_err(system("the directory of the test cannot be made"))?;
        let setup = Setup {
            installation: ground.installation,
            runtime: ground.runtime,
            plan: &plan,
            run_dir: &dir,
            user: ground.user,
            cpus: &ground.cpus.server,
            port: 0,
            program: Path::new(THIS_PROGRAM),
        };
        let started = httpd::start(&setup, START_TIMEOUT, ground.interrupt.flag(), |_| Ok(()));
        let httpd = match started {
            Ok((httpd, _)) => httpd,
            Err(_) if ground.interrupt.is_set() => return Ok(None),
            Err(failure) => {
                return Err(LabError::Run {
                    run: format!("{}.{mpm}", plan.scenario),
                    message: failure.in_one_line(),
                });
            }
        };
        let path = ground.runtime.body(plan.load.body_bytes)?;
        let stand = Self {
            ground,
            plan,
            httpd,
            dir,
            path,
        };
        Ok(stand.warm_up()?.map(|()| stand))
    }

    /// Occupies all slots at once, over and over, so that each has served before it is measured.
    fn warm_up(&self) -> Result<Option<()>, LabError> {
        let slots = self.plan.server.max_request_workers;
        for keep_alive in [true, false] {
            let order = ClientOrder {
                requests: WARM_UPS_PER_SLOT * u64::from(slots),
                concurrency: slots,
                ..self.order(keep_alive, Duration::from_secs(10))
            };
            if self.run_client(&order)?.is_none() {
                return Ok(None);
            }
        }
        Ok(Some(()))
    }

    pub(crate) fn httpd(&self) -> &Httpd {
        &self.httpd
    }

    pub(crate) fn port(&self) -> u16 {
        self.httpd.addr().port()
    }

    /// The CPUs of httpd and client, each once.
    pub(crate) fn cpus(&self) -> Vec<usize> {
        let cpus = self.ground.cpus;
        let cpus: BTreeSet<usize> = cpus.server.iter().chain(&cpus.client).copied().collect();
        cpus.into_iter().collect()
    }

    /// A directory that goes with the stand.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// httpd's tasks, as a watch adopts them.
    pub(crate) fn live_tasks(&self) -> io::Result<Vec<LiveTask>> {
        let tasks = self.httpd.tasks()?;
        Ok(tasks.into_iter().map(LiveTask::from).collect())
    }

    /// CPU time of httpd's tasks so far.
    pub(crate) fn server_cpu(&self) -> Result<ServerCpu, LabError> {
        let tasks = self
            .httpd
            .tasks()
            .map_err(system("httpd's tasks cannot be read"))?;
        Ok(ServerCpu::read(&tasks))
    }

    /// Puts the load on httpd for a time; `None` if the user interrupted. Returns when httpd has
    /// come to rest.
    pub(crate) fn load(
        &self,
        keep_alive: bool,
        duration: Duration,
    ) -> Result<Option<Summary>, LabError> {
        self.run_client(&self.order(keep_alive, duration))
    }

    /// Starts a load that goes on until it is told to end, and tells each request.
    pub(crate) fn start_client(
        &self,
        keep_alive: bool,
        longest: Duration,
    ) -> Result<Client, LabError> {
        let order = ClientOrder {
            rows: true,
            ..self.order(keep_alive, longest)
        };
        Client::start(&order).map_err(system("the load generator"))
    }

    fn order(&self, keep_alive: bool, duration: Duration) -> ClientOrder {
        ClientOrder {
            url: format!("http://{}{}", self.httpd.addr(), self.path),
            // Until the time is up.
            requests: u64::from(u32::MAX),
            concurrency: self.plan.load.concurrency,
            keep_alive,
            timeout_s: REQUEST_TIMEOUT_S,
            open: None,
            warm_up_s: 0,
            max_duration_ms: u64::try_from(duration.as_millis()).unwrap_or(u64::MAX),
            cpus: self.ground.cpus.client.clone(),
            user: self.ground.user.cloned(),
            rows: false,
            hold: None,
        }
    }

    fn run_client(&self, order: &ClientOrder) -> Result<Option<Summary>, LabError> {
        let interrupt = self.ground.interrupt;
        let done = Client::start(order)
            .and_then(|client| client.attend(|| interrupt.is_set(), |_| Ok(()), |_, _| {}))
            .map_err(system("the load generator"))?;
        if interrupt.is_set() {
            return Ok(None);
        }
        thread::sleep(REST);
        let summary = done.summary;
        if summary.answered() == 0 {
            return Err(LabError::Run {
                run: format!("{}.{}", self.plan.scenario, self.plan.mpm),
                message: "httpd answered no request".to_owned(),
            });
        }
        Ok(Some(summary))
    }

    /// Ends httpd; nothing of it is left.
    pub(crate) fn stop(self) -> Result<(), LabError> {
        let stopped = self
            .httpd
            .stop(STOP_GRACE)
            .map_err(system("httpd cannot be stopped"))?;
        // It is removed with the runtime directory at the latest.
        let _ = fs::remove_dir_all(&self.dir);
        if stopped.left.is_empty() {
            return Ok(());
        }
        Err(LabError::Run {
            run: format!("{}.{}", self.plan.scenario, self.plan.mpm),
            message: format!("httpd left processes behind: {:?}", stopped.left),
        })
    }
}

pub(crate) fn system(what: &'static str) -> impl FnOnce(io::Error) -> LabError {
    move |source| LabError::System { what, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_request_of_the_load_waits_for_a_slot() {
        for mpm in Mpm::ALL {
            let plan = plan(mpm);
            assert!(plan.load.concurrency < plan.server.max_request_workers);
            assert_eq!(plan.server.children() * plan.server.threads_per_child, 75);
            // No task ends for want of work, so that no CPU time is lost with it.
            assert!(plan.server.max_spare >= plan.server.max_request_workers);
        }
    }
}
