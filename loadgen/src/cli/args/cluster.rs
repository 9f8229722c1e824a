//! Several client machines.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, Parser};
use loadgen::cluster::{Key, Worker};

use super::cpus::{CpuList, cpu_list};

/// The workers of a run.
#[derive(Debug, Args)]
pub(in crate::cli) struct ClusterArgs {
    /// Share the load out over these machines, on each of which `loadgen --worker` runs;
    /// --threads and --cpus are then those of each worker. See `loadgen --worker --help`
    #[arg(long, value_name = "HOST:PORT,...", value_delimiter = ',')]
    pub(in crate::cli) workers: Vec<String>,

    /// The secret that the workers want, in a file
    #[arg(long, value_name = "FILE", requires = "workers")]
    pub(in crate::cli) worker_key: Option<PathBuf>,
}

/// Waits for a coordinator and sends its share of the load, again and again, until Ctrl-C.
///
/// The coordinator is `loadgen --workers HOST:PORT,... <arguments of the run>`; it starts
/// all workers at one moment and merges their figures and rows.
#[derive(Debug, Parser)]
#[command(name = "loadgen --worker", version)]
pub(in crate::cli) struct WorkerArgs {
    /// Where to listen; anything but a loopback address should go with --worker-key
    #[arg(
        long,
        value_name = "ADDRESS:PORT",
        num_args = 0..=1,
        default_missing_value = "127.0.0.1:9911"
    )]
    pub(in crate::cli) worker: String,

    /// Work only for coordinators that have the same secret, of 16 bytes or more, in a file
    #[arg(long, value_name = "FILE")]
    worker_key: Option<PathBuf>,

    /// Load threads to offer; by default one for each CPU of --cpus, or of the machine
    #[arg(long, value_name = "N")]
    threads: Option<u16>,

    /// CPUs to bind the load threads to, such as 0,2-3
    #[arg(long, value_name = "LIST", value_parser = cpu_list)]
    cpus: Option<CpuList>,
}

impl WorkerArgs {
    /// Whether the command line asks for a worker instead of a run.
    pub(in crate::cli) fn are_given() -> bool {
        std::env::args_os()
            .skip(1)
            .filter_map(|arg| arg.into_string().ok())
            .take_while(|arg| arg != "--")
            .any(|arg| arg == "--worker" || arg.starts_with("--worker="))
    }

    /// What it offers.
    pub(in crate::cli) fn worker(&self) -> anyhow::Result<Worker> {
        let cpus = self.cpus.clone().unwrap_or_default().0;
        let available = match cpus.len() {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            count => count,
        };
        let available = u16::try_from(available).unwrap_or(u16::MAX);
        Ok(Worker {
            threads: self.threads.unwrap_or(available).max(1),
            cpus,
            key: read_key(self.worker_key.as_deref())?,
        })
    }
}

/// The key of a file, if there is one.
pub(in crate::cli) fn read_key(path: Option<&Path>) -> anyhow::Result<Option<Key>> {
    path.map(|path| Key::read(path).with_context(|| format!("cannot use {}", path.display())))
        .transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker(line: &str) -> Result<WorkerArgs, clap::Error> {
        WorkerArgs::try_parse_from(std::iter::once("loadgen").chain(line.split_whitespace()))
    }

    #[test]
    fn a_worker_listens_on_loopback_unless_told_otherwise() {
        let address = |line| worker(line).expect("good").worker;
        assert_eq!(address("--worker"), "127.0.0.1:9911");
        assert_eq!(address("--worker 0.0.0.0:1"), "0.0.0.0:1");
        assert_eq!(address("--worker=[::1]:1"), "[::1]:1");
        assert_eq!(address("--worker --threads 3"), "127.0.0.1:9911");
    }

    #[test]
    fn a_worker_offers_a_thread_for_each_cpu_unless_threads_are_given() {
        let threads = |line| worker(line).expect("good").worker().expect("good").threads;
        assert_eq!(threads("--worker --cpus 0,4-5"), 3);
        assert_eq!(threads("--worker --cpus 0-1 --threads 1"), 1);
        assert!(threads("--worker") >= 1);
    }

    #[test]
    fn what_belongs_to_a_run_is_refused_by_a_worker() {
        for bad in ["--worker -n 5", "--worker --workers a", "--cpus 1"] {
            assert!(worker(bad).is_err(), "{bad}");
        }
        let missing = worker("--worker --worker-key /nonexistent").expect("parsed");
        let error = missing.worker().expect_err("no file");
        assert!(format!("{error:#}").contains("/nonexistent"));
    }
}
