//! The engines that drive the requests, behind one narrow border.
//!
//! An engine gets a [`Plan`], a [`Recorder`](crate::recorder::Recorder) and a [`Stop`],
//! and returns when every request of the plan has an outcome. What a connection's
//! events mean is decided in [`attempts`] and [`exchange`], without I/O, so that engines
//! differ only in how they wait and how they move bytes.

mod attempts;
mod body;
mod deadlines;
mod dispatch;
mod epoll;
mod exchange;
mod hyper;
mod schedule;
mod socket;
mod uring;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use socket2::SockAddr;

use crate::recorder::Recorder;
use crate::{Config, EngineKind, Error};

pub(crate) use self::hyper::Ground as HyperGround;

/// One thread's part of a run.
pub(crate) struct Plan<'a> {
    pub(crate) config: &'a Config,
    pub(crate) thread: u16,
    /// How many threads share the run.
    pub(crate) threads: u16,
    /// The serialised request for each of the config's targets.
    pub(crate) requests_bytes: &'a [Vec<u8>],
    /// What the engine hyper needs; `None` for the others.
    pub(crate) hyper: Option<&'a HyperGround>,
    /// Requests under way at once.
    pub(crate) slots: u32,
    /// Requests to send after the warm-up; `None` for as many as there is time for.
    pub(crate) requests: Option<u64>,
    /// When the run began, CLOCK_MONOTONIC like the others.
    pub(crate) origin_ns: u64,
    /// When the warm-up ends.
    pub(crate) measured_from_ns: u64,
    /// When to end at the latest.
    pub(crate) until_ns: Option<u64>,
}

impl Plan<'_> {
    /// For each attempt, connecting included.
    fn timeout_ns(&self) -> u64 {
        nanos(self.config.timeout)
    }

    /// For connecting, if that has a limit of its own.
    fn connect_timeout_ns(&self) -> Option<u64> {
        self.config.connect_timeout.map(nanos)
    }

    /// What is connected to.
    fn address(&self) -> io::Result<SockAddr> {
        match &self.config.unix_socket {
            Some(path) => SockAddr::unix(path),
            None => Ok(self.remote().into()),
        }
    }

    /// The far end of the connections, as the rows name it.
    fn remote(&self) -> SocketAddr {
        self.config.proxy.unwrap_or(self.config.target().addr)
    }

    /// The local address that a slot connects from; `None`: the system's choice.
    fn source_of(&self, slot: u32) -> Option<IpAddr> {
        let sources = &self.config.sources;
        // Neighbouring slots and the same slots of neighbouring threads differ.
        let index = slot as usize * usize::from(self.threads) + usize::from(self.thread);
        (!sources.is_empty()).then(|| sources[index % sources.len()])
    }

    /// Whether answers have no body.
    fn is_head_request(&self) -> bool {
        self.config.method == "HEAD"
    }

    /// Whether a connection stays after the request with this ordinal.
    fn keeps_after(&self, ordinal: u32) -> bool {
        self.config.keep_alive
            && self
                .config
                .requests_per_connection
                .is_none_or(|most| ordinal.saturating_add(1) < most.get())
    }
}

/// The engines for plain HTTP/1.1 that this machine's kernel can run.
#[must_use]
pub fn available() -> Vec<EngineKind> {
    let mut engines = vec![EngineKind::Epoll];
    if uring::hindrance().is_none() {
        engines.push(EngineKind::IoUring);
    }
    engines.push(EngineKind::Hyper);
    engines
}

/// The engine for a run: the one asked for, or what suits it best.
///
/// # Errors
/// [`Error::EngineUnavailable`] when the one asked for cannot run here.
pub(crate) fn choose(config: &Config) -> Result<EngineKind, Error> {
    match config.engine {
        Some(EngineKind::IoUring) => match uring::hindrance() {
            Some(reason) => Err(Error::EngineUnavailable {
                engine: EngineKind::IoUring,
                reason,
            }),
            None => Ok(EngineKind::IoUring),
        },
        Some(engine) => Ok(engine),
        None if config.target().tls || config.http2 => Ok(EngineKind::Hyper),
        // Measured cheaper than epoll, or as cheap; in an open loop its requests begin earlier.
        None if uring::hindrance().is_none() => Ok(EngineKind::IoUring),
        None => Ok(EngineKind::Epoll),
    }
}

/// Makes what a run needs once and an engine cannot do without.
///
/// # Errors
/// [`Error::BadConfig`] names what cannot be used.
pub(crate) fn prepare(engine: EngineKind, config: &Config) -> Result<Option<HyperGround>, Error> {
    (engine == EngineKind::Hyper)
        .then(|| HyperGround::new(config))
        .transpose()
}

/// Carries out a plan with an engine.
///
/// # Errors
/// Only when the engine loses its ground; whatever happens to a request is an outcome.
pub(crate) fn run(
    engine: EngineKind,
    plan: &Plan<'_>,
    recorder: &mut Recorder<'_>,
    stop: Stop<'_>,
) -> io::Result<()> {
    match (engine, plan.hyper) {
        (EngineKind::Epoll, _) => epoll::run(plan, recorder, stop),
        (EngineKind::Hyper, Some(ground)) => self::hyper::run(plan, ground, recorder, stop),
        (EngineKind::IoUring, _) => uring::run(plan, recorder, stop),
        (EngineKind::Hyper, None) => Err(io::ErrorKind::Unsupported.into()),
    }
}

#[cfg(test)]
impl<'a> Plan<'a> {
    /// One slot on one thread, beginning at 0.
    fn of_test(config: &'a Config) -> Self {
        Plan {
            config,
            thread: 0,
            threads: 1,
            requests_bytes: &[],
            hyper: None,
            slots: 1,
            requests: config.requests,
            origin_ns: 0,
            measured_from_ns: 0,
            until_ns: None,
        }
    }
}

pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// The reasons to end early.
#[derive(Clone, Copy)]
pub(crate) struct Stop<'a> {
    /// The caller's wish.
    pub(crate) wished: &'a AtomicBool,
    /// Another load thread has failed.
    pub(crate) failed: &'a AtomicBool,
    /// A condition of the config's `stop_if` holds.
    pub(crate) condition: &'a AtomicBool,
}

impl Stop<'_> {
    pub(crate) fn is_set(self) -> bool {
        [self.wished, self.failed, self.condition]
            .iter()
            .any(|reason| reason.load(Ordering::Relaxed))
    }
}
