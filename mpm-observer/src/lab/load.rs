//! The requests of a run: warming up, the measured load, and the load on an httpd that did not
//! start.

use std::{
    io,
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

use loadgen::hold::HeldRow;

use super::{
    LabError,
    client::{Client, ClientOrder, Done},
    held::{self, HoldOrder},
    run::Run,
};
use crate::{
    httpd::{Httpd, ServerStatus, StartFailure, config, http},
    recording::{ClientRow, LoadOutcome, Manifest, RecordingError, Status, TableWriter},
    scenario::HeldKind,
};

/// How long the slots get to become idle after the warming up.
const IDLE_PATIENCE: Duration = Duration::from_secs(3);
/// Warming requests for each slot.
const WARM_UPS_PER_SLOT: u64 = 2;

impl Run<'_> {
    /// The client's side of an httpd that does not serve: what would a user have seen?
    pub(super) fn go_without(
        &self,
        manifest: &mut Manifest,
        failure: &StartFailure,
        rows: &mut TableWriter<ClientRow>,
    ) -> Result<(), LabError> {
        manifest.start.failure = Some(failure.in_one_line());
        if self.around.interrupt.is_set() {
            return Ok(());
        }
        (self.tell)("httpd did not start; asking anyway");
        let url = format!("http://127.0.0.1:{}{}", manifest.port, config::ALIVE_PATH);
        let order = ClientOrder {
            open: None,
            warm_up_s: 0,
            ..self.order(&url)
        };
        let done = self.run_client(order, &AtomicU32::new(0), true, || (), rows)?;
        manifest.load = done.map(|(load, _)| load);
        manifest.status = Status::NotStarted;
        Ok(())
    }

    /// Occupies all slots at once, so that each has served before it is measured.
    pub(super) fn warm_up(
        &self,
        manifest: &mut Manifest,
        httpd: &Httpd,
        rows: &mut TableWriter<ClientRow>,
    ) -> Result<(), LabError> {
        let slots = self.plan.server.max_request_workers;
        let url = format!("http://{}{}", httpd.addr(), config::ALIVE_PATH);
        let order = ClientOrder {
            requests: WARM_UPS_PER_SLOT * u64::from(slots),
            concurrency: slots,
            keep_alive: true,
            open: None,
            warm_up_s: 0,
            ..self.order(&url)
        };
        let outcome = self.run_client(order, &AtomicU32::new(0), false, || (), rows)?;
        let deadline = Instant::now() + IDLE_PATIENCE;
        while Instant::now() < deadline && !self.around.interrupt.is_set() {
            let path = format!("{}?auto", config::STATUS_PATH);
            let mut port = 0;
            let answer = http::get(httpd.addr(), &path, IDLE_PATIENCE, &mut port);
            manifest.start.probe_ports.push(port);
            let status = answer
                .ok()
                .and_then(|answer| ServerStatus::parse(&answer.body));
            // The question itself keeps one slot busy.
            if status.is_some_and(|status| status.busy_workers <= 1) {
                break;
            }
            thread::sleep(Duration::from_millis(20));
        }
        manifest.warm_up_requests = outcome.map_or(0, |(load, _)| load.summary.requests);
        Ok(())
    }

    /// The measured load, with slow clients beside it where there are any. `begun` is called when
    /// the load generator begins.
    pub(super) fn load(
        &self,
        manifest: &mut Manifest,
        httpd: &Httpd,
        client_pid: &AtomicU32,
        begun: impl FnOnce(),
        rows: &mut TableWriter<ClientRow>,
    ) -> Result<(), LabError> {
        let url = |body_bytes| {
            let path = self.around.runtime.body(body_bytes)?;
            Ok::<_, LabError>(format!("http://{}{path}", httpd.addr()))
        };
        let load = &self.plan.load;
        let mut order = self.order(&url(load.body_bytes)?);
        if let Some(held) = &load.held {
            (self.tell)("slow clients take their places");
            let body_bytes = match held.kind {
                HeldKind::SlowReader => held.body_bytes,
                HeldKind::HalfHeader | HeldKind::IdleKeepAlive => load.body_bytes,
            };
            order.hold = Some(HoldOrder {
                url: url(body_bytes)?,
                held: held.clone(),
            });
        }
        let done = self.run_client(order, client_pid, true, begun, rows)?;
        let Some((outcome, held)) = done else {
            return Ok(());
        };
        manifest.load = Some(outcome);
        manifest.held = load.held.as_ref().map(|_| held::outcome(&held));
        for entry in &held {
            rows.push(held::client_row(entry))?;
        }
        Ok(())
    }

    fn order(&self, url: &str) -> ClientOrder {
        let load = &self.plan.load;
        ClientOrder {
            url: url.to_owned(),
            requests: load.requests,
            concurrency: load.concurrency,
            keep_alive: load.keep_alive,
            timeout_s: load.timeout_s,
            open: load.open,
            warm_up_s: load.warm_up_s,
            max_duration_ms: u64::from(load.max_duration_s) * 1000,
            cpus: self.around.cpus.client.clone(),
            user: self.around.user.cloned(),
            rows: true,
            hold: None,
        }
    }

    /// Runs the load generator to its end and returns what came of the load and of the slow
    /// clients; `None` if the user interrupted it.
    fn run_client(
        &self,
        order: ClientOrder,
        client_pid: &AtomicU32,
        measured: bool,
        begun: impl FnOnce(),
        rows: &mut TableWriter<ClientRow>,
    ) -> Result<Option<(LoadOutcome, Vec<HeldRow>)>, LabError> {
        let failed = |source| LabError::System {
            what: "the load generator",
            source,
        };
        let total = order.requests;
        let client = Client::start(&order).map_err(failed)?;
        client_pid.store(client.pid(), Ordering::Relaxed);
        let mut unwritten: Option<RecordingError> = None;
        let on_rows = |batch: Vec<loadgen::Row>| {
            let kept = batch
                .iter()
                .try_for_each(|row| rows.push(ClientRow::new(row, measured)))
                .and_then(|()| rows.tick());
            kept.map_err(|error| {
                unwritten = Some(error);
                io::ErrorKind::WriteZero.into()
            })
        };
        // The first progress comes when the load generator begins.
        let mut begun = Some(begun);
        let on_progress = |completed, failed| {
            if let Some(begun) = begun.take() {
                begun();
            }
            let failures = match failed {
                0 => String::new(),
                failed => format!(", {failed} failed"),
            };
            if measured {
                (self.tell)(&format!("{completed} of {total} requests{failures}"));
            }
        };
        let done = client
            .attend(|| self.is_over(), on_rows, on_progress)
            .map_err(failed);
        client_pid.store(0, Ordering::Relaxed);
        if let Some(error) = unwritten {
            return Err(error.into());
        }
        if self.is_over() {
            return Ok(None);
        }
        let Done { summary, held } = done?;
        let outcome = LoadOutcome {
            began_ns: summary.started_ns,
            ended_ns: summary.ended_ns,
            summary,
        };
        Ok(Some((outcome, held)))
    }
}
