//! The arguments, and the run they ask for.

mod ab;
mod check;
pub(super) mod cluster;
mod cpus;
pub(super) mod hold;
mod load;
mod output;
mod tls;
mod units;
mod view;

use anyhow::Context;
use clap::Parser;
use loadgen::Config;

use ab::AbArgs;
use check::CheckArgs;
use cluster::ClusterArgs;
use hold::HoldArgs;
use load::{LoadArgs, Size};
pub(super) use output::OutputArgs;
use tls::TlsArgs;
use view::ViewArgs;

const EXIT_CODES: &str = "\
Exit codes:
  0    every request was answered with a status below 400; with --fail-if: none of the
       conditions held
  1    some were not, an output file could not be written in full, a worker was lost, or
       a slow client did not come into its state
  2    bad usage: arguments, URL, or more connections than open files or local ports allow
  3    the run could not be carried out
  4    a condition of --fail-if or --stop-if held
  130  ended by Ctrl-C or SIGTERM; what was measured until then was printed

The figures are printed to standard output, progress and errors to standard error.
It differs from ab on purpose: HTTP/1.1; -t sets no number of requests; times have
decimals; -s is for each request; every request has exactly one outcome; an error never
ends the run; a keep-alive connection that the server had closed is no failure, the
request is sent again (--no-retry: it is). --ab-counts tells what ab would have counted.";

/// HTTP/1.1 load generator: ab's flags and figures, and a record of every request.
#[derive(Debug, Parser)]
#[command(version, after_help = EXIT_CODES, args_override_self = true)]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) ab: AbArgs,

    #[command(flatten)]
    load: LoadArgs,

    #[command(flatten)]
    check: CheckArgs,

    #[command(flatten)]
    pub(super) hold: HoldArgs,

    #[command(flatten)]
    tls: TlsArgs,

    #[command(flatten)]
    pub(super) output: OutputArgs,

    #[command(flatten)]
    pub(super) view: ViewArgs,

    #[command(flatten)]
    pub(super) cluster: ClusterArgs,

    /// [http[s]://]host[:port]/path; with several, each request draws one of them by its weight
    #[arg(required = true, value_name = "URL", help_heading = "Arguments")]
    urls: Vec<String>,
}

impl Args {
    /// Load threads on each of the workers, if that was said.
    pub(super) fn threads_per_worker(&self) -> Option<u16> {
        let cpus = self.load.cpus.as_ref().map(|cpus| cpus.0.len());
        let threads = self.load.threads.or(cpus)?;
        Some(u16::try_from(threads).unwrap_or(u16::MAX))
    }

    /// The run that is asked for.
    pub(super) fn config(&self) -> anyhow::Result<Config> {
        let targets = self.load.targets(&self.urls, self.ab.has_proxy())?;
        let first = targets.first().context("there must be a URL")?;
        let mut config = Config::new(first.target.clone());
        config.targets = targets;
        let size = Size {
            requests: self.ab.requests,
            duration: self.ab.duration,
            concurrency: self.ab.concurrency,
        };
        self.load.apply(&mut config, size)?;
        self.ab.apply(&mut config)?;
        config.stop_if.clone_from(&self.output.stop_if);
        config.verify_body = self.check.verify_body;
        self.tls.apply(&mut config);
        config.check()?;
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    pub(super) fn config(line: &str) -> anyhow::Result<Config> {
        let words = std::iter::once("loadgen").chain(line.split_whitespace());
        Args::try_parse_from(words)?.config()
    }

    pub(super) fn refusal(line: &str) -> String {
        config(line).expect_err(line).to_string()
    }

    #[test]
    fn the_least_command_is_one_request_of_a_connection_of_its_own() {
        let config = config("http://127.0.0.1/x").expect("good");
        assert_eq!((config.requests, config.concurrency), (Some(1), 1));
        assert!(!config.keep_alive && config.duration.is_none());
        assert_eq!((config.threads, config.method.as_str()), (1, "GET"));
        assert_eq!(config.timeout, Duration::from_secs(30));
    }

    #[test]
    fn a_time_limit_alone_sets_no_number_of_requests() {
        let timed = config("-t 0.5 http://127.0.0.1/").expect("good");
        assert_eq!(timed.requests, None);
        assert_eq!(timed.duration, Some(Duration::from_millis(500)));
        let both = config("-t 5 -n 7 http://127.0.0.1/").expect("good");
        assert_eq!(both.requests, Some(7));
        assert_eq!(config("http://127.0.0.1/").expect("good").requests, Some(1));
    }

    #[test]
    fn each_cpu_gets_a_thread_unless_threads_are_given() {
        let two = config("--cpus 0,2-3 http://127.0.0.1/").expect("good");
        assert_eq!((two.cpus, two.threads), (vec![0, 2, 3], 3));
        let one = config("--cpus 0-1 --threads 1 http://127.0.0.1/").expect("good");
        assert_eq!(one.threads, 1);
    }

    #[test]
    fn bad_arguments_are_refused() {
        for bad in [
            "",
            "-n 0 http://127.0.0.1/",
            "-c 0 http://127.0.0.1/",
            "-s 0 http://127.0.0.1/",
            "-t -1 http://127.0.0.1/",
            "-H nonsense http://127.0.0.1/",
            "ftp://127.0.0.1/",
            "--fail-if p99>200 http://127.0.0.1/",
            "--stop-if p99>200ms http://127.0.0.1/",
        ] {
            assert!(config(bad).is_err(), "{bad:?}");
        }
    }
}
