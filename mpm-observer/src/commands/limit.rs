//! `mpm-observer limit`

use std::path::{Path, PathBuf};

use clap::{Args, builder::PossibleValuesParser};

use super::{
    exit::{CommandResult, Exit, failed},
    lab::{named, stamp},
    place::PlaceArguments,
};
use crate::{
    kernel::provide_tracefs,
    lab::{Interrupt, new_directory},
    limit::{
        KINDS, Kind, LimitOptions, find,
        load::{Changes, plans},
        search::Effort,
        trial::Counts,
    },
    scenario::{Mpm, Scenario},
};

/// Options of `limit`.
#[derive(Debug, Args)]
#[command(after_help = after_help())]
pub(super) struct LimitArguments {
    /// The limit whose least sufficient value is looked for
    #[arg(
        long,
        value_name = "LIMIT",
        value_parser = PossibleValuesParser::new(KINDS.iter().map(|kind| kind.name))
    )]
    find: String,
    /// MPMs to try, separated by commas
    #[arg(long, value_delimiter = ',', default_value = "prefork,worker,event")]
    mpm: Vec<Mpm>,
    /// Slots of every MPM [default: 75, or as the scenario says]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=20_000))]
    slots: Option<u32>,
    /// Trials without a failure after which a value is taken to serve
    #[arg(
        long,
        value_name = "N",
        default_value_t = 5,
        value_parser = clap::value_parser!(u32).range(1..=1000)
    )]
    repetitions: u32,
    /// How near the two sides of the border have to be, in per cent
    #[arg(long, value_name = "PERCENT", default_value_t = 2.0, value_parser = percent)]
    precision: f64,
    /// A built-in scenario by name, or a TOML file, whose load and set-up each trial has
    /// [default: a small file, a connection per request and per slot, from httpd's begin]
    #[arg(long, value_name = "NAME|PATH")]
    scenario: Option<String>,
    /// Requests of a trial [default: 20 for each slot, or as the scenario says]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    requests: Option<u64>,
    /// Connections at once [default: one for each slot, or as the scenario says]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=20_000))]
    concurrency: Option<u32>,
    /// Count a refused system call as a failure even if it had no consequence
    #[arg(long)]
    strict: bool,
    /// Keep the recordings of all trials (about 0.4 MB each), not only those at the border
    #[arg(long)]
    keep: bool,
    /// Directory for the result [default: results/DATE-TIME]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    place: PlaceArguments,
}

fn after_help() -> String {
    let mut text = String::from("Limits:\n");
    for kind in KINDS {
        text += &format!("  {:13} {}, {}\n", kind.name, kind.set_by, kind.of_what);
    }
    text
}

fn percent(text: &str) -> Result<f64, String> {
    let percent: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.1..=100.0).contains(&percent) {
        Ok(percent)
    } else {
        Err("not within 0.1 to 100".into())
    }
}

/// Runs it.
pub(super) fn run(arguments: LimitArguments) -> CommandResult {
    let usage = |text| (Exit::Usage, text);
    let kind = Kind::named(&arguments.find)
        .ok_or_else(|| usage(format!("there is no limit {:?}", arguments.find)))?;
    let scenario = arguments.scenario.as_deref().map(one_scenario);
    let scenario = scenario.transpose().map_err(usage)?;
    let changes = Changes {
        slots: arguments.slots,
        requests: arguments.requests,
        concurrency: arguments.concurrency,
    };
    let plans = plans(scenario, &arguments.mpm, changes).map_err(usage)?;
    // Before any thread: they would not share the mount.
    if nix::unistd::geteuid().is_root() {
        provide_tracefs().map_err(|error| (Exit::Missing, error.to_string()))?;
    }
    let interrupt = Interrupt::on_signals()
        .map_err(|error| (Exit::Failed, format!("signals cannot be caught: {error}")))?;
    let out = arguments
        .out
        .unwrap_or_else(|| new_directory(Path::new("results"), &stamp()));
    let options = LimitOptions {
        kind,
        plans,
        effort: Effort::new(arguments.repetitions, arguments.precision / 100.0),
        counts: if arguments.strict {
            Counts::RefusedCalls
        } else {
            Counts::Consequences
        },
        out: out.clone(),
        place: arguments.place.into(),
        keep: arguments.keep,
        command: std::env::args().collect(),
    };
    let failed = |error: crate::limit::LimitError| failed(error.is_prerequisite(), &error);
    let found = find(&options, &interrupt).map_err(failed)?;
    if found.trials() == 0 {
        return Err((
            Exit::Interrupted,
            format!("interrupted before a trial had ended; {}", out.display()),
        ));
    }
    let page = found.publish(&out).map_err(failed)?;
    println!("\n{}", found.table());
    for remark in found.remarks() {
        println!("{remark}");
    }
    println!("{}", found.sentence());
    println!("{} trials in {}", found.trials(), out.display());
    println!("page: {}", page.display());
    Ok(if found.interrupted {
        Exit::Interrupted
    } else {
        Exit::Done
    })
}

/// The one scenario of a name.
fn one_scenario(name: &str) -> Result<Scenario, String> {
    let mut scenarios = named(name)?;
    match (scenarios.pop(), scenarios.len()) {
        (Some(scenario), 0) => Ok(scenario),
        _ => Err(format!("{name:?} is several scenarios; name one")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_precision_is_a_number_of_per_cent() {
        assert_eq!(percent("2.5"), Ok(2.5));
        assert!(percent("0").is_err());
        assert!(percent("NaN").is_err());
        assert!(percent("two").is_err());
    }

    #[test]
    fn a_set_of_scenarios_is_refused() {
        assert!(one_scenario("tutorial").unwrap_err().contains("name one"));
        assert_eq!(one_scenario("keep-alive").unwrap().name, "keep-alive");
    }
}
