//! The thread that looks at the limits.

use std::time::Duration;

use super::shared::Shared;
use crate::{httpd::descendants, resources::limits_look};

/// Limits fill slowly, and the look reads four files of each process.
const INTERVAL: Duration = Duration::from_secs(5);

pub(super) fn run(shared: &Shared) {
    shared.repeat(INTERVAL, |server| {
        let Some(server) = server else { return };
        let first = server.process.pid;
        let mut pids = vec![first];
        pids.extend(descendants(first).unwrap_or_default());
        let look = limits_look(&pids);
        let mut metrics = shared.metrics();
        // Not of a server that is gone by now.
        if shared.server().as_ref() == Some(server) {
            metrics.limits(look);
        }
    });
}
