//! What ab has no flags for: the load itself.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use loadgen::{
    Arrivals, Config, EngineKind, Error, Pace, Profile, Resolved, Target, WeightedTarget,
};

use super::cpus::{CpuList, cpu_list};
use super::units::{rate, stages, time};

/// How long an open loop runs when nothing says it.
const OPEN_LOOP_DURATION: Duration = Duration::from_secs(10);

/// How many connections an open loop may use when nothing says it.
const OPEN_LOOP_CONNECTIONS: u32 = 50;

/// The load.
#[derive(Debug, Args)]
#[command(next_help_heading = "Load")]
pub(super) struct LoadArgs {
    /// Start so many requests per second, whatever the server does, over at most -c connections
    /// (50 without -c): 5000, 5k, 100/s. Latency then counts from when a request was due.
    /// Without -n and --duration, for 10 seconds
    #[arg(long, value_name = "RATE", group = "open_loop", value_parser = rate)]
    rate: Option<f64>,

    /// Like --rate, over time: lines and steps such as 0-1000/30s,500/10s. Without -n and
    /// --duration the run ends with the last stage; with them, its rate stays
    #[arg(long, value_name = "STAGES", group = "open_loop", value_parser = stages)]
    ramp: Option<Profile>,

    /// How the requests of --rate and --ramp are distributed in time
    #[arg(
        long,
        value_name = "HOW",
        default_value = "constant",
        requires = "open_loop"
    )]
    arrivals: ArrivalsArg,

    /// Connections in use over time, in stages as of --ramp: 10/5s,10-100/20s
    #[arg(long, value_name = "STAGES", conflicts_with = "open_loop", value_parser = stages)]
    ramp_connections: Option<Profile>,

    /// Pause on each connection between an answer and the next request
    #[arg(long, value_name = "TIME", conflicts_with = "open_loop", value_parser = time)]
    think: Option<Duration>,

    /// Load for so long before the figures begin; -n and --duration count from then on
    #[arg(long, value_name = "TIME", value_parser = time)]
    warm_up: Option<Duration>,

    /// With -k, close each connection after so many requests
    #[arg(long, value_name = "N", requires = "keep_alive")]
    requests_per_connection: Option<NonZeroU32>,

    /// With several URLs, how often each of them is asked for: 3,1. Without it, all alike
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    weights: Vec<u32>,

    /// Longest time for connecting
    #[arg(long, value_name = "TIME", value_parser = time)]
    connect_timeout: Option<Duration>,

    /// Count a request as failed when its keep-alive connection turns out to be closed,
    /// instead of sending it again on a new one
    #[arg(long)]
    no_retry: bool,

    /// Local addresses to connect from, in turn, slow clients too; more addresses, more ports
    #[arg(long, short = 'B', value_name = "IP,...", value_delimiter = ',')]
    source: Vec<IpAddr>,

    /// Do not look up this host, connect to this address; may be repeated
    #[arg(long, value_name = "HOST:PORT:ADDR", value_parser = resolved)]
    resolve: Vec<Resolved>,

    /// Connect to this socket of the file system; the URL gives path and Host header
    #[arg(long, value_name = "PATH", conflicts_with_all = ["source", "resolve"])]
    unix_socket: Option<PathBuf>,

    /// What chance begins with: the same seed draws the same URLs and distances
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,

    /// Load threads; by default one for each CPU of --cpus, or one
    #[arg(long, value_name = "N")]
    pub(super) threads: Option<usize>,

    /// CPUs to bind the load threads to, such as 0,2-3
    #[arg(long, value_name = "LIST", value_parser = cpu_list)]
    pub(super) cpus: Option<CpuList>,

    /// What moves the bytes: epoll, io-uring or hyper; by default what suits the case
    /// and the kernel
    #[arg(long, value_name = "NAME", value_parser = engine)]
    pub(super) engine: Option<EngineKind>,
}

fn engine(text: &str) -> Result<EngineKind, String> {
    let named = |engine: &EngineKind| engine.name() == text;
    EngineKind::ALL.into_iter().find(named).ok_or_else(|| {
        let names = EngineKind::ALL.map(EngineKind::name).join(", ");
        format!("{text:?} is none of {names}")
    })
}

/// How requests are distributed in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ArrivalsArg {
    /// At even distances
    Constant,
    /// Independent of each other, as from many clients
    Poisson,
}

/// What ab's flags say about the size of the load.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    pub(super) requests: Option<u64>,
    pub(super) duration: Option<Duration>,
    pub(super) concurrency: Option<u32>,
}

impl LoadArgs {
    /// The targets, in the order of the URLs.
    pub(super) fn targets(
        &self,
        urls: &[String],
        has_proxy: bool,
    ) -> Result<Vec<WeightedTarget>, Error> {
        if !self.weights.is_empty() && self.weights.len() != urls.len() {
            return Err(Error::BadConfig(format!(
                "--weights has {} values for {} URLs: give one for each",
                self.weights.len(),
                urls.len()
            )));
        }
        let weights = self.weights.iter().copied().chain(std::iter::repeat(1));
        urls.iter()
            .zip(weights)
            .map(|(url, weight)| {
                // As ab, which takes http:// for granted.
                let url = match url.contains("://") {
                    true => url.clone(),
                    false => format!("http://{url}"),
                };
                let target = if has_proxy || self.unix_socket.is_some() {
                    Target::parse_unresolved(&url)
                } else {
                    Target::parse_with(&url, &self.resolve)
                };
                Ok(WeightedTarget {
                    target: target?,
                    weight,
                })
            })
            .collect()
    }

    /// Fills in the load, which has this size.
    pub(super) fn apply(&self, config: &mut Config, size: Size) -> Result<(), Error> {
        let stages = self.ramp.as_ref().or(self.ramp_connections.as_ref());
        config.pace = self.pace();
        config.warm_up = self.warm_up.unwrap_or_default();
        config.requests = size.requests;
        config.duration = size.duration;
        if size.requests.is_none() && size.duration.is_none() {
            match stages {
                Some(stages) => config.duration = Some(self.rest_of(stages)?),
                None if self.rate.is_some() => config.duration = Some(OPEN_LOOP_DURATION),
                None if self.warm_up.is_some() => {
                    return Err(Error::BadConfig(
                        "--warm-up needs -n or --duration for what comes after it".into(),
                    ));
                }
                // As ab.
                None => config.requests = Some(1),
            }
        }
        config.concurrency = size.concurrency.unwrap_or_else(|| match &config.pace {
            Pace::Open { .. } => OPEN_LOOP_CONNECTIONS,
            Pace::Closed { connections, .. } => {
                connections.as_ref().map_or(1, |p| p.max().round() as u32)
            }
        });
        config.requests_per_connection = self.requests_per_connection;
        config.connect_timeout = self.connect_timeout;
        config.retry_stale = !self.no_retry;
        config.sources.clone_from(&self.source);
        config.unix_socket.clone_from(&self.unix_socket);
        config.seed = self.seed;
        config.engine = self.engine;
        config.cpus = self.cpus.clone().unwrap_or_default().0;
        config.threads = self.threads.unwrap_or(config.cpus.len().max(1));
        Ok(())
    }

    fn pace(&self) -> Pace {
        let rate = self.rate.map(Profile::constant).or(self.ramp.clone());
        match rate {
            Some(rate) => Pace::Open {
                arrivals: match self.arrivals {
                    ArrivalsArg::Constant => Arrivals::Constant,
                    ArrivalsArg::Poisson => Arrivals::Poisson,
                },
                rate,
            },
            None => Pace::Closed {
                think: self.think.unwrap_or_default(),
                connections: self.ramp_connections.clone(),
            },
        }
    }

    /// What is left of the stages after the warm-up, which they include.
    fn rest_of(&self, stages: &Profile) -> Result<Duration, Error> {
        stages
            .duration()
            .checked_sub(self.warm_up.unwrap_or_default())
            .filter(|rest| !rest.is_zero())
            .ok_or_else(|| {
                Error::BadConfig(
                    "the warm-up is as long as all stages: shorten it or give --duration".into(),
                )
            })
    }
}

/// `HOST:PORT:ADDR`, as curl has it; an IPv6 address may stand in brackets.
fn resolved(text: &str) -> Result<Resolved, String> {
    let bad = || format!("{text:?} is not HOST:PORT:ADDR, such as example.org:80:127.0.0.1");
    let (host, rest) = match text.strip_prefix('[') {
        Some(rest) => rest.split_once("]:").ok_or_else(bad)?,
        None => text.split_once(':').ok_or_else(bad)?,
    };
    let (port, ip) = rest.split_once(':').ok_or_else(bad)?;
    let ip = ip
        .strip_prefix('[')
        .and_then(|ip| ip.strip_suffix(']'))
        .unwrap_or(ip);
    match (port.parse::<u16>(), ip.parse::<IpAddr>()) {
        (Ok(port), Ok(ip)) if port > 0 && !host.is_empty() => Ok(Resolved {
            host: host.to_owned(),
            port,
            ip,
        }),
        _ => Err(bad()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::tests::{config, refusal};

    const URL: &str = "http://127.0.0.1/";

    fn good(flags: &str) -> Config {
        config(&format!("{flags} {URL}")).expect(flags)
    }

    #[test]
    fn a_rate_makes_an_open_loop_of_ten_seconds_on_fifty_connections() {
        let config = good("--rate 5k");
        let rate = Profile::constant(5000.0);
        let arrivals = Arrivals::Constant;
        assert_eq!(config.pace, Pace::Open { arrivals, rate });
        assert_eq!(config.duration, Some(Duration::from_secs(10)));
        assert_eq!((config.requests, config.concurrency), (None, 50));
        let config = good("--rate 10/s --arrivals poisson -n 7 -c 3 --seed 9");
        assert!(matches!(
            config.pace,
            Pace::Open {
                arrivals: Arrivals::Poisson,
                ..
            }
        ));
        assert_eq!((config.requests, config.duration), (Some(7), None));
        assert_eq!((config.concurrency, config.seed), (3, 9));
    }

    #[test]
    fn stages_set_the_length_of_the_run_unless_something_else_does() {
        let config = good("--ramp 0-1000/30s,500/10s");
        assert_eq!(config.duration, Some(Duration::from_secs(40)));
        assert!(config.pace.is_open());
        // The stages begin with the warm-up, the duration after it.
        let config = good("--ramp 0-1000/30s --warm-up 10s");
        assert_eq!(config.duration, Some(Duration::from_secs(20)));
        assert_eq!(config.warm_up, Duration::from_secs(10));
        assert_eq!(good("--ramp 10/5s -n 30").duration, None);
        let both = good("--ramp 10/5s --duration 2m");
        assert_eq!(both.duration, Some(Duration::from_secs(120)));
        let text = refusal(&format!("--ramp 10/5s --warm-up 5s {URL}"));
        assert!(text.contains("warm-up"), "{text}");
    }

    #[test]
    fn stages_of_connections_set_their_number() {
        let config = good("--ramp-connections 10/5s,10-100/20s --think 50ms");
        assert_eq!(config.concurrency, 100);
        assert_eq!(config.duration, Some(Duration::from_secs(25)));
        let Pace::Closed { think, connections } = config.pace else {
            panic!("closed loop");
        };
        assert_eq!(think, Duration::from_millis(50));
        assert_eq!(connections.expect("stages").max(), 100.0);
        let text = refusal(&format!("--ramp-connections 10/5s -c 9 {URL}"));
        assert!(text.contains("10 connections"), "{text}");
        let text = refusal(&format!("--ramp-connections 10-0/5s -n 100 {URL}"));
        assert!(text.contains("never end"), "{text}");
    }

    #[test]
    fn several_urls_have_weights() {
        let config = config("--weights 3,1 http://127.0.0.1/a http://127.0.0.1/b").expect("good");
        let drawn: Vec<(&str, u32)> = config
            .targets
            .iter()
            .map(|weighted| (weighted.target.path.as_str(), weighted.weight))
            .collect();
        assert_eq!(drawn, [("/a", 3), ("/b", 1)]);
        let text = refusal("--weights 3 http://127.0.0.1/a http://127.0.0.1/b");
        assert!(text.contains("for 2 URLs"), "{text}");
        assert!(refusal("--weights 0 http://127.0.0.1/a").contains("above 0"));
    }

    #[test]
    fn connections_have_their_settings() {
        let config = good(
            "-k --requests-per-connection 5 --connect-timeout 200ms --timeout 2s --no-retry \
             --source 127.0.0.2,127.0.0.3",
        );
        assert_eq!(config.requests_per_connection, NonZeroU32::new(5));
        assert_eq!(config.connect_timeout, Some(Duration::from_millis(200)));
        assert_eq!(config.timeout, Duration::from_secs(2));
        assert!(!config.retry_stale && good("").retry_stale);
        assert_eq!(config.sources.len(), 2);
        assert_eq!(good("-B 127.0.0.9").sources.len(), 1);
        let text = refusal(&format!("--connect-timeout 3s -s 2 {URL}"));
        assert!(text.contains("timeout"), "{text}");
    }

    #[test]
    fn hosts_are_looked_up_only_where_needed() {
        let config = config("--resolve shop.invalid:81:127.0.0.9 shop.invalid:81/").expect("good");
        assert_eq!(config.target().addr.to_string(), "127.0.0.9:81");
        let config =
            crate::cli::args::tests::config("--unix-socket /run/x.sock http://shop.invalid/a")
                .expect("good");
        assert_eq!(config.unix_socket, Some(PathBuf::from("/run/x.sock")));
        assert_eq!(config.target().host_header(), "shop.invalid");
        assert_eq!(
            resolved("[::1]:80:[fe80::1]").expect("good").ip.to_string(),
            "fe80::1"
        );
        for bad in ["", "a", "a:80", "a:0:1.1.1.1", "a:80:b", ":80:1.1.1.1"] {
            assert!(resolved(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn combinations_without_sense_are_refused() {
        for bad in [
            "--rate 5 --ramp 5/5s",
            "--rate 5 --think 1s",
            "--rate 5 --ramp-connections 5/5s",
            "--rate 100M",
            "--arrivals poisson",
            "--warm-up 1s",
            "--requests-per-connection 5",
            "-k --requests-per-connection 0",
            "--unix-socket /x --source 127.0.0.1",
            "--source ::1",
        ] {
            refusal(&format!("{bad} {URL}"));
        }
    }

    #[test]
    fn engines_go_by_their_names() {
        for kind in EngineKind::ALL {
            assert_eq!(engine(kind.name()), Ok(kind));
        }
        assert!(engine("Epoll").expect_err("no engine").contains("io-uring"));
    }
}
