//! One server after another: httpd may be restarted, upgraded, or not be there yet.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use super::{Consumer, Ended, LiveError, Server, attach, feed};
use crate::kernel::{Kernel, Options};

/// How often it is looked whether a server runs.
const WAIT_INTERVAL: Duration = Duration::from_secs(1);

/// Watches the server that `choose` gives until it is gone, then the next one, until `stop`.
/// `choose` gives `None` while there is none; `options` are made for each server's port.
///
/// # Errors
/// When `choose` fails, or the probes do.
pub fn follow(
    kernel: &Kernel,
    mut choose: impl FnMut() -> Result<Option<(Server, u16)>, LiveError>,
    options: impl Fn(u16) -> Options,
    consumer: &mut dyn Consumer,
    stop: &AtomicBool,
) -> Result<(), LiveError> {
    while !stop.load(Ordering::Relaxed) {
        let Some((server, port)) = choose()? else {
            consumer.waiting();
            thread::sleep(WAIT_INTERVAL);
            continue;
        };
        let watch = attach(kernel, &server, options(port))?;
        if feed(watch, &server, port, consumer, stop)? == Ended::Stopped {
            break;
        }
    }
    Ok(())
}
