//! The observer as a watcher, as the lab has it: programs, collector thread, recording.

use std::{fs, path::PathBuf, sync::Arc};

use super::{
    stand::{Stand, system},
    watcher::Switched,
};
use crate::{
    collect::{Collector, Effort},
    kernel::{Counters, Options, Watch},
    lab::LabError,
};

/// The observer at work on a stand.
pub(crate) struct Observing {
    collector: Collector,
    dir: PathBuf,
    connections: u64,
}

impl Observing {
    /// Attaches all programs but those named, and begins to record.
    pub(crate) fn start(
        stand: &Stand<'_>,
        without: &'static [&'static str],
    ) -> Result<Self, LabError> {
        let options = Options {
            without,
            ..Options::for_port(stand.port())
        };
        let mut watch = Watch::start(stand.ground.kernel, options)?;
        watch.adopt(stand.httpd().pid(), || stand.live_tasks())?;
        let dir = stand.dir().join("recording");
        fs::create_dir_all(&dir).map_err(system("the recording's directory cannot be made"))?;
        // Trouble shows when it is stopped: the load does not depend on the recording.
        let collector = Collector::start(watch, &dir, Arc::default())?;
        Ok(Self {
            collector,
            dir,
            connections: stand.plan.load.concurrency.into(),
        })
    }

    /// What watching took so far.
    pub(crate) fn effort(&self) -> Effort {
        self.collector.effort()
    }

    /// Detaches the programs, removes the recording, and returns the books.
    pub(crate) fn finish(self) -> Result<Counters, LabError> {
        let collected = self.collector.leave()?;
        fs::remove_dir_all(&self.dir).map_err(system("the recording cannot be removed"))?;
        Ok(collected.counters)
    }
}

impl Switched for Observing {
    fn cpu_ns(&self) -> u64 {
        self.collector.cpu_ns()
    }

    fn switch(&self, on: bool) {
        self.collector.switch(on);
    }

    fn stop(self: Box<Self>, answered: u64, switches: u64) -> Result<(), LabError> {
        // Each connection's last request is recorded at its end, which may be to come.
        let cut = self.connections * (switches + 1);
        let seen = self.finish()?.requests_sent();
        if seen + cut < answered {
            return Err(LabError::Run {
                run: "overhead".to_owned(),
                message: format!("the observer saw {seen} of {answered} requests"),
            });
        }
        Ok(())
    }
}
