//! Ctrl-C and SIGTERM: the first ends the run in order, the second the program.

use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, raise, sigaction};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

extern "C" fn note(_signal: libc::c_int) {
    INTERRUPTED.store(true, Ordering::Relaxed);
}

/// From now on, the flag that is returned is set at the first Ctrl-C or SIGTERM.
pub(super) fn stop_at_interrupt() -> nix::Result<&'static AtomicBool> {
    let action = SigAction::new(
        SigHandler::Handler(note),
        SaFlags::SA_RESTART | SaFlags::SA_RESETHAND,
        SigSet::empty(),
    );
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        // SAFETY: the handler does nothing but store to an atomic, which is
        // async-signal-safe.
        unsafe { sigaction(signal, &action) }?;
    }
    Ok(&INTERRUPTED)
}

/// Ends the run as Ctrl-C does.
pub(super) fn interrupt() {
    // Fails only for a signal that does not exist.
    let _ = raise(Signal::SIGINT);
}

/// Whether that has happened.
pub(super) fn was_interrupted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}
