//! One server after another: httpd may be restarted, upgraded, or not be there yet.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use super::{Consumer, Ended, LiveError, Server, attach, feed};
use crate::kernel::{Kernel, Options, Ports};

/// How often the consumer is told that nothing runs, and that is looked again.
const WAIT_INTERVAL: Duration = Duration::from_secs(1);
/// How often it is looked shortly after a server has ended, as in a restart.
const RESTART_INTERVAL: Duration = Duration::from_millis(100);
/// How long that is.
const RESTART: Duration = Duration::from_secs(10);
/// How long a server may listen nowhere before that is said: one that goes to the background, or
/// reads a long configuration, does not listen yet.
const NO_PORT_QUIET: Duration = Duration::from_secs(5);
/// How often in a row several servers may fit at first: the program that checks a configuration is
/// one for a moment, and so is the first process of one that goes to the background.
const MOST_SEVERAL: u32 = 3;

/// Watches the server that `choose` gives until it is gone, then the next one, until `stop`; the
/// same one anew when its ports have changed, so `choose` has to read them each time.
/// `choose` gives `None` while there is none; `options` are made for each server's ports.
///
/// Once a server was watched, nothing but `stop` ends this: what fails is logged and tried again.
/// Before that, it waits for a server that is not there, or that does not listen yet.
///
/// # Errors
/// When `choose` fails, or the probes cannot be attached, before a server was watched, and the
/// reason is not that the server has just ended.
pub fn follow<P: Into<Ports> + Copy>(
    kernel: &Kernel,
    mut choose: impl FnMut() -> Result<Option<(Server, P)>, LiveError>,
    options: impl Fn(Ports) -> Options,
    consumer: &mut dyn Consumer,
    stop: &AtomicBool,
) -> Result<(), LiveError> {
    let mut patience = Patience::default();
    let mut told = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        let failed = match choose() {
            Ok(Some((server, ports))) => match attach(kernel, &server, options(ports.into())) {
                Ok(watch) => {
                    patience.watches();
                    let ended = feed(watch, &server, ports, consumer, stop);
                    patience.watches();
                    match ended {
                        Ok(Ended::Stopped) => return Ok(()),
                        Ok(Ended::ServerGone) => None,
                        // It is there: it is watched anew at once.
                        Ok(Ended::PortsChanged) => continue,
                        Err(error) => Some(error),
                    }
                }
                // It is no fault of the probes that the tasks of one that ends cannot be read.
                Err(_) if !server.process.is_alive() => None,
                Err(error) => Some(error),
            },
            Ok(None) => None,
            Err(error) => Some(error),
        };
        let is_nobody_there = is_nobody_there(failed.as_ref());
        match failed {
            Some(error) => patience.bear(error)?,
            None => patience.forget(),
        }
        if is_nobody_there && told.elapsed() >= WAIT_INTERVAL {
            told = Instant::now();
            consumer.waiting();
        }
        pause(patience.interval(), stop);
    }
    Ok(())
}

/// Whether what kept a server from being watched is that none runs; others are there, and what is
/// wrong with them is said.
const fn is_nobody_there(failed: Option<&LiveError>) -> bool {
    matches!(
        failed,
        None | Some(LiveError::NoServer | LiveError::NoProcess { .. } | LiveError::NoneFits { .. })
    )
}

/// Sleeps, but not much longer than until `stop`.
fn pause(duration: Duration, stop: &AtomicBool) {
    let end = Instant::now() + duration;
    while !stop.load(Ordering::Relaxed) {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        thread::sleep(left.min(RESTART_INTERVAL));
    }
}

/// What is borne, and for how long.
#[derive(Debug, Default)]
struct Patience {
    /// When a server was watched last.
    watched: Option<Instant>,
    /// How often in a row several servers fitted.
    several: u32,
    /// Since when there is one that listens nowhere.
    no_port: Option<Instant>,
    /// What was said last.
    said: String,
}

impl Patience {
    /// A server is watched, or was until now.
    fn watches(&mut self) {
        self.watched = Some(Instant::now());
        self.forget();
    }

    /// Nothing is wrong any more.
    fn forget(&mut self) {
        self.several = 0;
        self.no_port = None;
        self.said.clear();
    }

    /// Returns an error that waiting does not cure; says others, each once.
    fn bear(&mut self, error: LiveError) -> Result<(), LiveError> {
        let is_borne = match error {
            LiveError::NoServer
            | LiveError::NoProcess { .. }
            | LiveError::NoneFits { .. }
            | LiveError::NotListening { .. }
            | LiveError::NoPort { .. } => true,
            // A process that has just begun may be none yet.
            LiveError::Several { .. } | LiveError::NotHttpd { .. } => {
                self.several += 1;
                self.watched.is_some() || self.several < MOST_SEVERAL
            }
            LiveError::Recording(_) | LiveError::PidNamespace => false,
            LiveError::Kernel(_) | LiveError::System { .. } => self.watched.is_some(),
        };
        if !is_borne {
            return Err(error);
        }
        if matches!(error, LiveError::NoPort { .. }) {
            let since = self.no_port.get_or_insert_with(Instant::now);
            if since.elapsed() < NO_PORT_QUIET {
                return Ok(());
            }
        }
        let text = error.to_string();
        if text != self.said {
            log::warn!("{text}; waiting");
            self.said = text;
        }
        Ok(())
    }

    /// How long to wait before the next look.
    fn interval(&self) -> Duration {
        match self.watched {
            Some(watched) if watched.elapsed() < RESTART => RESTART_INTERVAL,
            _ => WAIT_INTERVAL,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::kernel::KernelError;

    fn several() -> LiveError {
        LiveError::Several { found: Vec::new() }
    }

    fn unreadable() -> LiveError {
        LiveError::System {
            what: "/proc cannot be read",
            source: io::Error::other("no"),
        }
    }

    #[test]
    fn a_server_that_is_not_there_or_does_not_listen_yet_is_waited_for() {
        let mut patience = Patience::default();
        for _ in 0..100 {
            assert!(patience.bear(LiveError::NoPort { pid: 1 }).is_ok());
            assert!(patience.bear(LiveError::NoServer).is_ok());
        }
        assert_eq!(patience.interval(), WAIT_INTERVAL);
    }

    #[test]
    fn a_server_that_does_not_listen_yet_is_warned_of_when_it_stays_so() {
        let mut patience = Patience::default();
        let mut bear = |since: Option<Duration>| {
            if let Some(since) = since {
                patience.no_port = Instant::now().checked_sub(since);
            }
            patience.bear(LiveError::NoPort { pid: 1 }).unwrap();
            patience.said.clone()
        };
        assert_eq!(bear(None), "");
        assert_eq!(bear(None), "");
        let said = bear(Some(NO_PORT_QUIET));
        assert!(said.contains("listens on no TCP port"), "{said}");
        // The next one has its time again.
        patience.forget();
        patience.bear(LiveError::NoPort { pid: 2 }).unwrap();
        assert_eq!(patience.said, "");
    }

    #[test]
    fn several_servers_at_first_are_an_error_if_they_stay() {
        let mut patience = Patience::default();
        for _ in 1..MOST_SEVERAL {
            assert!(patience.bear(several()).is_ok());
        }
        assert!(matches!(
            patience.bear(several()),
            Err(LiveError::Several { .. })
        ));

        // One that was there for a moment only does not count towards a later one.
        let mut patience = Patience::default();
        for _ in 0..10 * MOST_SEVERAL {
            assert!(patience.bear(several()).is_ok());
            patience.forget();
        }
    }

    #[test]
    fn what_the_kernel_refuses_is_an_error_at_first_and_borne_later() {
        let refused = || LiveError::Kernel(KernelError::NotRoot);
        let mut patience = Patience::default();
        assert!(patience.bear(refused()).is_err());
        assert!(patience.bear(unreadable()).is_err());
        patience.watches();
        for _ in 0..100 {
            assert!(patience.bear(refused()).is_ok());
            assert!(patience.bear(unreadable()).is_ok());
            assert!(patience.bear(several()).is_ok());
        }
    }

    #[test]
    fn after_the_end_of_a_server_the_next_one_is_looked_for_often() {
        let mut patience = Patience::default();
        assert_eq!(patience.interval(), WAIT_INTERVAL);
        patience.watches();
        assert_eq!(patience.interval(), RESTART_INTERVAL);
        patience.watched = Instant::now().checked_sub(RESTART);
        assert_eq!(patience.interval(), WAIT_INTERVAL);
    }

    #[test]
    fn a_pause_ends_with_the_stop() {
        let began = Instant::now();
        pause(Duration::from_secs(3600), &AtomicBool::new(true));
        assert!(began.elapsed() < Duration::from_secs(60));
    }
}
