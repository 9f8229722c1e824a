//! The arguments, and the run they ask for.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use loadgen::{Config, Target};

const EXIT_CODES: &str = "\
Exit codes:
  0    every request was answered with a status below 400
  1    some were not, or an output file could not be written in full
  2    bad usage: arguments, URL, or a concurrency above the limit of open files
  3    the run could not be carried out
  130  ended by Ctrl-C or SIGTERM; what was measured until then was printed

The figures are printed to standard output, progress and errors to standard error.
It differs from ab: HTTP/1.1; -t sets no number of requests; every request has exactly
one outcome; an error never ends the run; a keep-alive connection that the server had
closed is no failure, the request is sent again.";

/// HTTP/1.1 load generator: ab's flags and figures, and a record of every request.
#[derive(Debug, Parser)]
#[command(version, after_help = EXIT_CODES)]
pub(super) struct Args {
    /// Number of requests; without -n and -t, one
    #[arg(short = 'n', value_name = "REQUESTS")]
    requests: Option<u64>,

    /// Requests at once
    #[arg(short = 'c', value_name = "CONCURRENCY", default_value_t = 1)]
    concurrency: u32,

    /// Use keep-alive connections; without it, every request has a connection of its own
    #[arg(short = 'k')]
    keep_alive: bool,

    /// End after so many seconds, or after -n requests if that is earlier
    #[arg(short = 't', value_name = "SECONDS", value_parser = seconds)]
    time_limit: Option<Duration>,

    /// Longest time for a request, connecting included, in seconds
    #[arg(short = 's', value_name = "TIMEOUT", default_value = "30", value_parser = seconds)]
    timeout: Duration,

    /// Load threads; by default one for each CPU of --cpus, or one
    #[arg(long, value_name = "N")]
    threads: Option<usize>,

    /// CPUs to bind the load threads to, such as 0,2-3
    #[arg(long, value_name = "LIST", value_parser = cpu_list)]
    cpus: Option<CpuList>,

    /// A further header, "Name: value"; may be repeated
    #[arg(short = 'H', value_name = "HEADER", value_parser = header)]
    headers: Vec<(String, String)>,

    /// Request method
    #[arg(short = 'm', value_name = "METHOD", conflicts_with = "head")]
    method: Option<String>,

    /// Send HEAD requests
    #[arg(short = 'i')]
    head: bool,

    /// Send the content of this file as the body; the method is then POST unless -m says otherwise
    #[arg(short = 'p', value_name = "FILE", conflicts_with = "head")]
    body_file: Option<PathBuf>,

    /// Content-Type of the body
    #[arg(
        short = 'T',
        value_name = "TYPE",
        requires = "body_file",
        default_value = "text/plain"
    )]
    content_type: String,

    /// Write the summary with its histograms to this file
    #[arg(long, value_name = "FILE")]
    pub(super) json: Option<PathBuf>,

    /// Write one row of 136 bytes per request to this file
    #[arg(long, value_name = "FILE")]
    pub(super) rows: Option<PathBuf>,

    /// No progress
    #[arg(short = 'q')]
    pub(super) quiet: bool,

    /// http://host[:port]/path
    url: String,
}

impl Args {
    /// The run that is asked for.
    pub(super) fn config(&self) -> anyhow::Result<Config> {
        let mut config = Config::new(Target::parse(&self.url)?);
        config.requests = match (self.requests, self.time_limit) {
            (None, None) => Some(1),
            (requests, _) => requests,
        };
        config.duration = self.time_limit;
        config.concurrency = self.concurrency;
        config.keep_alive = self.keep_alive;
        config.timeout = self.timeout;
        config.cpus = self.cpus.clone().unwrap_or_default().0;
        config.threads = self.threads.unwrap_or(config.cpus.len().max(1));
        config.headers.clone_from(&self.headers);
        if let Some(path) = &self.body_file {
            config.body = std::fs::read(path)
                .with_context(|| format!("cannot read the body from {}", path.display()))?;
            config.method = "POST".to_owned();
            let content_type = ("Content-Type".to_owned(), self.content_type.clone());
            config.headers.push(content_type);
        }
        if self.head {
            config.method = "HEAD".to_owned();
        }
        if let Some(method) = &self.method {
            config.method.clone_from(method);
        }
        config.check()?;
        Ok(config)
    }
}

/// CPU numbers; a type of its own, as clap takes a plain `Vec` for a repeated argument.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct CpuList(Vec<usize>);

/// The kernel's own bound on CPU numbers, as far as affinity masks go.
const CPU_MAX: usize = 1023;

fn cpu_list(text: &str) -> Result<CpuList, String> {
    let number = |text: &str| match text.trim().parse::<usize>() {
        Ok(cpu) if cpu <= CPU_MAX => Ok(cpu),
        _ => Err(format!("{text:?} is not a CPU number from 0 to {CPU_MAX}")),
    };
    let mut cpus = Vec::new();
    for part in text.split(',') {
        match part.split_once('-') {
            None => cpus.push(number(part)?),
            Some((first, last)) => {
                let (first, last) = (number(first)?, number(last)?);
                if first > last {
                    return Err(format!("{part:?} runs backwards"));
                }
                cpus.extend(first..=last);
            }
        }
    }
    Ok(CpuList(cpus))
}

fn seconds(text: &str) -> Result<Duration, String> {
    text.parse::<f64>()
        .ok()
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .filter(|duration| !duration.is_zero())
        .ok_or_else(|| "must be a number of seconds above 0".to_owned())
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text
        .split_once(':')
        .ok_or("must look like \"Name: value\"")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(line: &str) -> anyhow::Result<Config> {
        let words = std::iter::once("loadgen").chain(line.split_whitespace());
        Args::try_parse_from(words)?.config()
    }

    #[test]
    fn the_tutorials_command_is_understood() {
        let config = config("-n 5000 -c 500 -k http://127.0.0.1/x").expect("good");
        assert_eq!((config.requests, config.concurrency), (Some(5000), 500));
        assert!(config.keep_alive && config.duration.is_none());
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
        for bad in ["", "x", "3-1", "1,", "5000", "-1"] {
            assert!(cpu_list(bad).is_err(), "{bad:?}");
        }
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
            "-i -m GET http://127.0.0.1/",
            "https://127.0.0.1/",
            "-p /nonexistent/body http://127.0.0.1/",
        ] {
            assert!(config(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_body_makes_it_a_post() {
        let file = tempfile::NamedTempFile::new().expect("temporary file");
        std::fs::write(file.path(), "a=b").expect("written");
        let line = format!("-p {} -T a/b http://127.0.0.1/", file.path().display());
        let config = config(&line).expect("good");
        assert_eq!(
            (config.method.as_str(), &config.body[..]),
            ("POST", &b"a=b"[..])
        );
        assert_eq!(
            config.headers,
            [("Content-Type".to_owned(), "a/b".to_owned())]
        );
    }
}
