//! mod_status, asked four times a second. The question is a request like any other: it needs a free
//! slot, so it goes unanswered exactly when the server is full. That is recorded too.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use loadgen::clock::monotonic_ns;

use crate::{
    httpd::{ServerStatus, config::STATUS_PATH, http},
    recording::{RecordingError, StatusRow, TableWriter},
};

const INTERVAL: Duration = Duration::from_millis(250);
/// After this time a look counts as not answered.
const PATIENCE: Duration = Duration::from_secs(1);
/// How soon the end of the run is noticed.
const STOP_CHECK: Duration = Duration::from_millis(50);

/// Asks until `stop` and writes the table `mod_status`. `told` gets each page, or why there is
/// none, and how long that took, nanoseconds.
///
/// # Errors
/// When the table cannot be written. A server that does not answer is a row.
pub fn watch_status(
    run_dir: &Path,
    port: u16,
    stop: &AtomicBool,
    told: &dyn Fn(Result<&str, &io::Error>, u64),
) -> Result<(), RecordingError> {
    let mut table = TableWriter::create(run_dir)?;
    while !stop.load(Ordering::Relaxed) {
        table.push(look(port, told))?;
        table.tick()?;
        let due = Instant::now() + INTERVAL;
        while !stop.load(Ordering::Relaxed) && Instant::now() < due {
            thread::sleep(STOP_CHECK);
        }
    }
    table.finish()?;
    Ok(())
}

fn look(port: u16, told: &dyn Fn(Result<&str, &io::Error>, u64)) -> StatusRow {
    let mut row = StatusRow {
        t_ns: monotonic_ns(),
        ..StatusRow::default()
    };
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let path = format!("{STATUS_PATH}?auto");
    let answer = http::get(address, &path, PATIENCE, &mut row.local_port);
    row.took_ns = monotonic_ns() - row.t_ns;
    told(answer.as_ref().map(|answer| &*answer.body), row.took_ns);
    if let Some(status) = answer
        .ok()
        .and_then(|answer| ServerStatus::parse(&answer.body))
    {
        row.answered = true;
        row.busy_workers = Some(status.busy_workers);
        row.idle_workers = Some(status.idle_workers);
        row.accesses = status.total_accesses;
        row.conns_keep_alive = status.connections_async_keep_alive;
    }
    row
}
