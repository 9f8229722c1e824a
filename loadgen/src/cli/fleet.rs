//! Several client machines: as a worker, and as the coordinator.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::AtomicBool;

use anyhow::Context;
use clap::Parser;
use loadgen::cluster::{self, Fleet, FleetError, FleetReport};
use loadgen::{Config, Progress, RowSink, Summary};

use super::args::cluster::{ClusterArgs, WorkerArgs, read_key};
use super::signals;

/// Serves as a worker until Ctrl-C.
pub(super) fn serve() -> anyhow::Result<()> {
    let args = WorkerArgs::parse();
    let worker = args.worker()?;
    loadgen::raise_open_file_limit().context("cannot raise the limit of open files")?;
    let listener = TcpListener::bind(&args.worker)
        .with_context(|| format!("cannot listen on {}", args.worker))?;
    let address = listener.local_addr().context("cannot listen")?;
    let stop = signals::stop_at_interrupt().context("cannot catch Ctrl-C")?;
    say(&format!(
        "worker listening on {address}, load threads: {}",
        worker.threads
    ));
    if worker.key.is_none() && !is_loopback(address) {
        say(&format!(
            "warning: whoever reaches {address} can send load from this machine to any \
             address; give --worker-key FILE, or keep the port closed to others"
        ));
    }
    cluster::serve(&worker, &listener, stop, &say).context("the listener failed")
}

/// Carries out a run on the workers.
pub(super) fn run(
    args: &ClusterArgs,
    threads_each: Option<u16>,
    config: &Config,
    sink: Option<Box<dyn RowSink>>,
    progress: &Progress,
    stop: &AtomicBool,
) -> anyhow::Result<(Summary, FleetReport)> {
    let key = read_key(args.worker_key.as_deref())?;
    let target = config.target();
    let is_elsewhere = |worker: &String| {
        let here = ["127.", "localhost", "[::1]", "::1"];
        !here.iter().any(|here| worker.starts_with(here))
    };
    if config.unix_socket.is_none()
        && target.addr.ip().is_loopback()
        && args.workers.iter().any(is_elsewhere)
    {
        say(&format!(
            "note: {} is each worker's own machine",
            target.addr.ip()
        ));
    }
    let fleet = Fleet {
        addresses: &args.workers,
        threads_each,
        key: key.as_ref(),
    };
    let run = cluster::run(config, &fleet, sink, progress, stop, &say).map_err(|error| {
        match error {
            // Known to whoever finds the exit code for it.
            FleetError::Run(error) => anyhow::Error::new(error),
            other => anyhow::Error::new(other),
        }
    })?;
    Ok((run.summary, run.report))
}

fn is_loopback(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

fn say(line: &str) {
    // Nobody who reads it is no reason to end.
    let _ = writeln!(io::stderr(), "loadgen: {line}");
}
