//! Waiting until httpd serves.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::config::{ALIVE_PATH, STATUS_PATH};
use super::failure::StartFailure;
use super::http;
use super::launch::Httpd;
use super::status::ServerStatus;
use crate::scenario::Start;

/// How often it is asked.
const PAUSE: Duration = Duration::from_millis(5);
/// How long one answer may take: a saturated httpd answers late, not never.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// How httpd became ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadyIn {
    /// Time from [`Prepared::go`](super::Prepared::go) to the answer that showed it, in
    /// microseconds.
    pub took_us: u64,
    /// The client's ports of the requests that were sent to find out, by which they can be left
    /// out of the records.
    pub probe_ports: Vec<u16>,
    /// The number of slots, where it was waited for.
    pub slots: Option<u32>,
}

impl Httpd {
    /// Waits until httpd answers and, for a warm start, until all its slots exist. Ends at once
    /// when httpd does, or when `cancel` is set.
    ///
    /// # Errors
    /// When httpd ends, `timeout` passes or `cancel` is set before; with its last words.
    pub fn wait_ready(
        &mut self,
        timeout: Duration,
        cancel: &AtomicBool,
    ) -> Result<ReadyIn, StartFailure> {
        let deadline = Instant::now() + timeout;
        let mut probe_ports = Vec::new();
        let mut slots = None;
        loop {
            let missing = match self.probe(deadline, &mut probe_ports, &mut slots) {
                None => {
                    let took = self.went.elapsed().as_micros();
                    let took_us = u64::try_from(took).unwrap_or(u64::MAX);
                    return Ok(ReadyIn {
                        took_us,
                        probe_ports,
                        slots,
                    });
                }
                Some(missing) => missing,
            };
            let now = Instant::now();
            // The pause ends when the guard reports something.
            self.hear_until((now + PAUSE).min(deadline), |httpd| {
                httpd.status.is_some() || httpd.failure.is_some()
            });
            self.check_alive()?;
            if now >= deadline || cancel.load(Ordering::Relaxed) {
                return Err(StartFailure::TimedOut {
                    after: self.went.elapsed(),
                    what: missing,
                    slots,
                    log_tail: self.log_tail(),
                });
            }
        }
    }

    /// Asks once. `None` when httpd is ready, else what is missing.
    fn probe(
        &self,
        deadline: Instant,
        probe_ports: &mut Vec<u16>,
        slots: &mut Option<u32>,
    ) -> Option<String> {
        let path = match self.start {
            Start::Cold => ALIVE_PATH.to_owned(),
            Start::Warm => format!("{STATUS_PATH}?auto"),
        };
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = left.clamp(Duration::from_millis(1), ANSWER_TIMEOUT);
        let mut local_port = 0;
        let answer = http::get(self.addr, &path, timeout, &mut local_port);
        if local_port != 0 {
            probe_ports.push(local_port);
        }
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => return Some(format!("no answer from {}: {error}", self.addr)),
        };
        if self.start == Start::Cold {
            // Any answer shows that it serves; under a limit it may well be an error.
            return None;
        }
        let Some(status) = ServerStatus::parse(&answer.body) else {
            return Some(format!("mod_status answered with status {}", answer.status));
        };
        *slots = Some(status.slots());
        (status.slots() != self.slots)
            .then(|| format!("{} of {} slots exist", status.slots(), self.slots))
    }

    fn check_alive(&mut self) -> Result<(), StartFailure> {
        let after = self.went.elapsed();
        if let Some(message) = self.failure.take() {
            return Err(StartFailure::Launch { message });
        }
        if let Some(status) = self.status {
            return Err(StartFailure::Exited {
                status,
                after,
                log_tail: self.log_tail(),
            });
        }
        if self.guard_is_gone() {
            return Err(StartFailure::Guard {
                message: "it was killed".to_owned(),
            });
        }
        Ok(())
    }
}
