//! Ctrl-C and its kin, as a flag that the lab looks at.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use nix::sys::signal::Signal;
use procfs::process::Process;
use tokio::signal::unix::{self, SignalKind, signal};

/// Set once the user wants the lab to end.
#[derive(Clone, Debug, Default)]
pub struct Interrupt {
    flag: Arc<AtomicBool>,
}

impl Interrupt {
    /// Catches SIGINT, SIGTERM and SIGHUP from now on. A second one ends the process at once;
    /// the guard then ends httpd. A SIGHUP that is ignored stays so: that is what `nohup` asks for.
    ///
    /// # Errors
    /// When the signals cannot be caught.
    pub fn on_signals() -> io::Result<Self> {
        let interrupt = Self::default();
        let flag = Arc::clone(&interrupt.flag);
        let is_nohup = is_ignored(Signal::SIGHUP)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let mut signals = {
            let _context = runtime.enter();
            let interrupt = signal(SignalKind::interrupt())?;
            let terminate = signal(SignalKind::terminate())?;
            let hangup = match is_nohup {
                true => None,
                false => Some(signal(SignalKind::hangup())?),
            };
            (interrupt, terminate, hangup)
        };
        thread::Builder::new()
            .name("signals".into())
            .spawn(move || {
                runtime.block_on(async {
                    let (interrupt, terminate, hangup) = &mut signals;
                    loop {
                        tokio::select! {
                            _ = interrupt.recv() => {}
                            _ = terminate.recv() => {}
                            () = next(hangup.as_mut()) => {}
                        }
                        if flag.swap(true, Ordering::Relaxed) {
                            std::process::exit(130);
                        }
                    }
                });
            })?;
        Ok(interrupt)
    }

    /// Whether it was asked for.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.flag.load(Ordering::Relaxed)
    }

    /// The flag itself, for those that take one.
    #[must_use]
    pub fn flag(&self) -> &AtomicBool {
        &self.flag
    }
}

/// Waits for the next one; for ever if it is not caught.
async fn next(signal: Option<&mut unix::Signal>) {
    match signal {
        Some(signal) => {
            signal.recv().await;
        }
        None => std::future::pending().await,
    }
}

/// Whether this process was started so that a signal does nothing.
fn is_ignored(signal: Signal) -> io::Result<bool> {
    // By its number: where /proc is put together of another one, `self` is no number.
    let status = Process::new(std::process::id().cast_signed()).and_then(|own| own.status());
    let ignored = status.map_err(io::Error::other)?.sigign;
    Ok(ignored & (1 << (signal as u32 - 1)) != 0)
}
