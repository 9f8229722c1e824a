//! The lab's metrics for Prometheus: the exporter on the collector's own records, and a Prometheus
//! that watches while the lab lasts.

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use super::{Interrupt, LabError};
use crate::{
    collect::Tap,
    correlate::load_run,
    findings::RunEvidence,
    httpd::{Installation, ProcessId},
    kernel::Ports,
    live::Server,
    metrics::{StatusOutcome, StatusPage},
    prometheus::{self, Api, Config, Prometheus, PrometheusError, Scrape},
    recording::{RunDir, Status},
    resources::Listener,
    scenario::{Mpm, RunPlan},
    serve::{ServeOptions, Service, StatusSource},
    witness::{Testimony, Witness, testimonies},
};

/// How often Prometheus asks.
const INTERVAL: Duration = Duration::from_secs(1);
/// Within it the collector has looked once more, and Prometheus has asked after that.
const LAST_LOOK: Duration = Duration::from_millis(2250);
/// Prometheus begins to ask some 5 s after its start.
const FIRST_SCRAPE: Duration = Duration::from_secs(20);
/// The job under which it does.
const JOB: &str = "mpm-observer-lab";
/// Its directory in the experiment's.
const DIR: &str = "prometheus";

/// What the user says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExposeOptions {
    /// Where the metrics are served.
    pub listen: SocketAddr,
    /// Prometheus' program, if the user named one.
    pub prometheus: Option<PathBuf>,
}

/// The running exporter, and Prometheus where there is one.
#[derive(Debug)]
pub(super) struct Exposed {
    // It ends first, so that it asks nobody who is gone.
    prometheus: Option<Prometheus>,
    service: Service,
}

impl Exposed {
    /// Starts both; without a Prometheus on this machine only the exporter, with a warning.
    pub(super) fn start(
        options: &ExposeOptions,
        out: &Path,
        interrupt: &Interrupt,
    ) -> Result<Self, LabError> {
        let service = Service::start(ServeOptions {
            listen: options.listen,
            web_config: None,
            // The lab asks mod_status itself and passes the answers on.
            status: StatusSource::Never,
            ports: Ports::default(),
        })
        .map_err(|error| LabError::Expose(error.to_string()))?;
        eprintln!("serving {}", service.url());
        let prometheus = match prometheus::find(options.prometheus.as_deref()) {
            Ok(program) => Some(watch(
                &program,
                &out.join(DIR),
                service.address(),
                interrupt,
            )?),
            Err(PrometheusError::NotFound) => {
                log::warn!("{}; only the metrics are served", PrometheusError::NotFound);
                None
            }
            Err(error) => return Err(LabError::Expose(error.to_string())),
        };
        if let Some(prometheus) = &prometheus {
            eprintln!("Prometheus watches: http://{}/", prometheus.address());
        }
        Ok(Self {
            prometheus,
            service,
        })
    }

    /// What tells the exporter of a run's httpd, which is about to start with this process.
    pub(super) fn tap(
        &self,
        installation: &Installation,
        mpm: Mpm,
        pid: u32,
        port: u16,
    ) -> io::Result<Tap> {
        Ok(Tap {
            server: Server {
                process: ProcessId::of(pid)?,
                binary: installation.binary.clone(),
                mpm,
                listens: vec![SocketAddr::from(([127, 0, 0, 1], port))],
            },
            listener: Listener::new(pid, port),
            consumer: Box::new(self.service.feeder()),
        })
    }

    /// From now on it is this run.
    pub(super) fn begin(&self, plan: &RunPlan, repetition: u32) {
        self.service.lab_run(Some((&plan.scenario, repetition)));
    }

    /// Waits until Prometheus has seen how the run ended: what happens within the last two seconds
    /// before httpd is stopped would be missed for want of a scrape.
    pub(super) fn settle(&self, interrupt: &Interrupt) {
        self.wait(LAST_LOOK, interrupt);
    }

    /// It is over. What happened while httpd was stopped is scraped before the next run begins.
    pub(super) fn end(&self, interrupt: &Interrupt) {
        self.service.lab_run(None);
        self.wait(INTERVAL + INTERVAL / 10, interrupt);
    }

    fn wait(&self, time: Duration, interrupt: &Interrupt) {
        let until = Instant::now() + time;
        while self.prometheus.is_some() && !interrupt.is_set() && Instant::now() < until {
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Takes what mod_status answered.
    pub(super) fn status(&self, answer: Result<&str, &io::Error>, took_ns: u64) {
        let (outcome, page) = match answer.map(StatusPage::parse) {
            Ok(Some(page)) => (StatusOutcome::Answered, Some(page)),
            Ok(None) => (StatusOutcome::Unreadable, None),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => (StatusOutcome::Timeout, None),
            Err(_) => (StatusOutcome::Refused, None),
        };
        self.service.status(outcome, page, took_ns);
    }

    /// Holds what Prometheus knows against the recordings, and writes it beside them. Nothing
    /// without a Prometheus.
    pub(super) fn bear_witness(&self, out: &Path, runs: &[String]) -> Result<(), LabError> {
        let Some(prometheus) = &self.prometheus else {
            return Ok(());
        };
        let mut all = Vec::new();
        for name in runs {
            all.extend(of_run(prometheus, &RunDir::of(out, name), name)?);
        }
        Ok(Witness::new(INTERVAL.as_secs_f64(), all).write(out)?)
    }
}

fn watch(
    program: &Path,
    dir: &Path,
    metrics: SocketAddr,
    interrupt: &Interrupt,
) -> Result<Prometheus, LabError> {
    let config = Config {
        scrapes: vec![Scrape {
            job: JOB.into(),
            addresses: vec![metrics],
            interval: INTERVAL,
            labels: BTreeMap::new(),
        }],
        rules: Vec::new(),
    };
    let of_prometheus = |error: PrometheusError| LabError::Expose(error.to_string());
    eprintln!("waiting for Prometheus' first scrape, some 5 s");
    let prometheus = Prometheus::start(program, dir, &config).map_err(of_prometheus)?;
    let until = Instant::now() + FIRST_SCRAPE;
    let is_up = |api: &Api| -> Result<bool, LabError> {
        let targets = api.targets().map_err(of_prometheus)?;
        Ok(targets.iter().any(|target| target.health == "up"))
    };
    while !interrupt.is_set() && !is_up(&prometheus.api())? {
        if Instant::now() > until {
            return Err(LabError::Expose(format!(
                "Prometheus has not asked {metrics} within {} s; its log is in {}",
                FIRST_SCRAPE.as_secs(),
                dir.display()
            )));
        }
        thread::sleep(Duration::from_millis(100));
    }
    Ok(prometheus)
}

fn of_run(prometheus: &Prometheus, dir: &RunDir, name: &str) -> Result<Vec<Testimony>, LabError> {
    let run = load_run(dir)?;
    if !matches!(run.manifest.status, Status::Complete | Status::NotStarted) {
        return Ok(Vec::new());
    }
    let evidence = RunEvidence::read(dir, name, &run);
    let matchers = format!("job=\"{JOB}\"");
    testimonies(
        &prometheus.api(),
        &matchers,
        INTERVAL.as_secs_f64(),
        &evidence,
    )
    .map_err(|error| LabError::Expose(error.to_string()))
}
