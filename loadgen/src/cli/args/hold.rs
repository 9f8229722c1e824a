//! Slow clients, beside a load or alone.

use std::time::Duration;

use clap::Args;
use loadgen::hold::{self, Kind};
use loadgen::{Config, Error};

use super::units::time;

/// Time between two bytes of half a head when nothing says it.
const DRIP: Duration = Duration::from_secs(5);

/// Clients that occupy the server without asking much.
#[derive(Debug, Args)]
#[command(next_help_heading = "Slow clients")]
pub(in crate::cli) struct HoldArgs {
    /// Keep so many connections open beside the load that have had one answer and do not ask again
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    hold_idle: Option<u32>,

    /// Keep so many that send their head without its end, a byte each TIME (5s without it)
    #[arg(long, value_name = "N[:TIME]", value_parser = half_headers)]
    hold_header: Option<Group>,

    /// Keep so many that read their answer at this rate
    #[arg(long, value_name = "N:BYTES_PER_S", value_parser = slow_readers)]
    slow_read: Option<Group>,

    /// Only the slow clients, for as long as --duration says, and no load
    #[arg(long, requires = "duration", conflicts_with_all = ["requests", "OutputArgs"])]
    hold_only: bool,
}

/// Slow clients of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Group {
    connections: u32,
    kind: Kind,
}

impl HoldArgs {
    /// How long the slow clients stay, if they stay alone.
    pub(in crate::cli) fn alone(&self, config: &Config) -> Option<Duration> {
        config.duration.filter(|_| self.hold_only)
    }

    /// The slow clients asked for, beside this load.
    ///
    /// # Errors
    /// When the load goes where slow clients cannot follow, or there are none.
    pub(in crate::cli) fn groups(&self, config: &Config) -> Result<Vec<hold::Config>, Error> {
        let idle = self.hold_idle.map(|connections| Group {
            connections,
            kind: Kind::IdleKeepAlive,
        });
        let groups: Vec<hold::Config> = [idle, self.hold_header, self.slow_read]
            .into_iter()
            .flatten()
            .map(|group| hold::Config {
                target: config.target().clone(),
                connections: group.connections,
                kind: group.kind,
            })
            .collect();
        let bad = |text: &str| Err(Error::BadConfig(text.to_owned()));
        if groups.is_empty() && self.hold_only {
            return bad("--hold-only needs --hold-idle, --hold-header or --slow-read");
        }
        let is_elsewhere = config.target().tls || config.http2 || config.unix_socket.is_some();
        if !groups.is_empty() && is_elsewhere {
            return bad("slow clients speak plain HTTP/1.1 over TCP only");
        }
        Ok(groups)
    }
}

fn count(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(count) if count > 0 => Ok(count),
        _ => Err(format!("{text:?} is not a number from 1 on")),
    }
}

fn half_headers(text: &str) -> Result<Group, String> {
    let (connections, every) = match text.split_once(':') {
        Some((connections, every)) => (connections, time(every)?),
        None => (text, DRIP),
    };
    Ok(Group {
        connections: count(connections)?,
        kind: Kind::HalfHeader { every },
    })
}

fn slow_readers(text: &str) -> Result<Group, String> {
    let (connections, bytes_per_s) = text
        .split_once(':')
        .ok_or_else(|| format!("{text:?} is not N:BYTES_PER_S, such as 100:1000"))?;
    Ok(Group {
        connections: count(connections)?,
        kind: Kind::SlowReader {
            bytes_per_s: count(bytes_per_s)?,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_rates_and_times_of_slow_clients_are_read() {
        let every = |every| Kind::HalfHeader { every };
        let group = |connections, kind| Ok(Group { connections, kind });
        assert_eq!(half_headers("7"), group(7, every(DRIP)));
        let drip = every(Duration::from_millis(200));
        assert_eq!(half_headers("7:200ms"), group(7, drip));
        let slow = Kind::SlowReader { bytes_per_s: 1000 };
        assert_eq!(slow_readers("3:1000"), group(3, slow));
        for bad in ["", "0", "x", "5:", "5:0", "-1", ":5"] {
            assert!(half_headers(bad).is_err(), "{bad:?}");
            assert!(slow_readers(bad).is_err(), "{bad:?}");
        }
        assert!(slow_readers("5").is_err());
    }
}
