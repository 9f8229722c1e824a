//! Where runs are made: this machine, its httpd, and a directory of this process.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    CpuSplit, ExposeOptions, Interrupt, LabError, allowed_cpus, cpus,
    exposed::Exposed,
    possible::try_out,
    run::{Surroundings, make_run},
};
use crate::{
    httpd::{
        Installation, RuntimeDir, clean_up_stale,
        user::{self, ServerUser},
    },
    kernel::Kernel,
    overhead::Ground,
    recording::{Machine, Manifest, RunDir},
    resources::{RunCgroup, machine},
    scenario::{Mpm, RunPlan},
};

/// What the user says of it.
#[derive(Clone, Debug, Default)]
pub struct PlaceOptions {
    /// httpd's binary, if the user named one.
    pub httpd: Option<PathBuf>,
    /// User of httpd's children, if the user named one.
    pub user: Option<String>,
    /// CPUs of httpd, if the user named them.
    pub server_cpus: Option<Vec<usize>>,
    /// CPUs of client and observer, if the user named them.
    pub client_cpus: Option<Vec<usize>>,
}

/// Where runs are made. While it lives, this process stays off httpd's CPUs.
pub struct Place {
    kernel: Kernel,
    installation: Installation,
    runtime: RuntimeDir,
    user: Option<ServerUser>,
    cpus: CpuSplit,
    allowed_cpus: Vec<usize>,
    machine: Machine,
    exposed: Option<Exposed>,
}

impl Place {
    /// Finds kernel, httpd with all of `mpms`, and user, and cleans up what killed processes left.
    ///
    /// # Errors
    /// When something is missing that every run needs.
    pub fn open(
        options: &PlaceOptions,
        mpms: impl IntoIterator<Item = Mpm>,
    ) -> Result<Self, LabError> {
        let kernel = Kernel::read()?;
        let installation = Installation::find(options.httpd.as_deref())?;
        for mpm in mpms {
            installation.require(mpm)?;
        }
        let user = user::choose(options.user.as_deref())?;
        let allowed_cpus = allowed_cpus().map_err(|source| LabError::System {
            what: "the CPUs of this process cannot be read",
            source,
        })?;
        let cpus = CpuSplit::choose(
            &allowed_cpus,
            options.server_cpus.clone(),
            options.client_cpus.clone(),
        )?;
        for failure in &clean_up_stale().failures {
            log::warn!("{failure}");
        }
        RunCgroup::remove_stale();
        let place = Self {
            kernel,
            installation,
            runtime: RuntimeDir::create()?,
            user,
            machine: machine(allowed_cpus.len()),
            cpus,
            allowed_cpus,
            exposed: None,
        };
        // The observer's threads stay off httpd's CPUs; httpd's first process sets its own.
        cpus::stay_on(&place.cpus.client).map_err(|source| LabError::System {
            what: "the observer cannot be bound to its CPUs",
            source,
        })?;
        Ok(place)
    }

    /// Exposes the metrics of all runs from now on, with Prometheus' data in `out`.
    pub(super) fn expose(
        &mut self,
        options: &ExposeOptions,
        out: &Path,
        interrupt: &Interrupt,
    ) -> Result<(), LabError> {
        self.exposed = Some(Exposed::start(options, out, interrupt)?);
        Ok(())
    }

    /// Ends that, and writes down what Prometheus showed of `runs`.
    pub(super) fn cover(&mut self, out: &Path, runs: &[String]) -> Result<(), LabError> {
        match self.exposed.take() {
            Some(exposed) => exposed.bear_witness(out, runs),
            None => Ok(()),
        }
    }

    /// Tries whether the limits of a plan can be set here. To be asked before [`Self::run`], which
    /// otherwise fails.
    ///
    /// # Errors
    /// What is not possible, in one line that names the key of the scenario.
    pub fn possible(&self, plan: &RunPlan) -> Result<(), String> {
        try_out(plan, self.user.as_ref())
    }

    /// Makes one run and returns its manifest. With `trace`, all events of so long a time from
    /// the begin of the load are kept. `tell` is told what is being done. An httpd that does not
    /// start is a result; a run that is interrupted has the status
    /// [`Status::Interrupted`](crate::recording::Status).
    ///
    /// # Errors
    /// When the observer itself fails, or the recording cannot be written.
    pub fn run(
        &self,
        plan: &RunPlan,
        repetition: u32,
        trace: Option<Duration>,
        dir: &RunDir,
        interrupt: &Interrupt,
        tell: &dyn Fn(&str),
    ) -> Result<Manifest, LabError> {
        let around = Surroundings {
            kernel: &self.kernel,
            installation: &self.installation,
            runtime: &self.runtime,
            user: self.user.as_ref(),
            cpus: &self.cpus,
            allowed_cpus: &self.allowed_cpus,
            machine: &self.machine,
            exposed: self.exposed.as_ref(),
            interrupt,
        };
        make_run(&around, plan, repetition, trace, dir, tell)
    }

    /// The same for measurements of the observer's own cost.
    #[must_use]
    pub fn ground<'a>(&'a self, interrupt: &'a Interrupt) -> Ground<'a> {
        Ground {
            kernel: &self.kernel,
            installation: &self.installation,
            runtime: &self.runtime,
            user: self.user.as_ref(),
            cpus: &self.cpus,
            interrupt,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // What comes after may use all CPUs again; if not, it only takes longer.
        let _ = cpus::stay_on(&self.allowed_cpus);
    }
}
