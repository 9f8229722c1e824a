//! `cargo xtask bench loadgen`

use std::{fs, path::PathBuf};

use clap::Args;

use super::failed;
use crate::{
    commands::exit::{CommandResult, Exit},
    lab::Interrupt,
    peers::{CASES, Case, ClientPlan, Programs, markdown, measure_clients, text},
    recording::write_json,
};

/// Options of `loadgen`.
#[derive(Debug, Args)]
pub(super) struct LoadgenArguments {
    /// Pairs of each comparison; fewer than 6 have no interval
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..))]
    pairs: u32,
    /// Length of each half in seconds
    #[arg(long, value_name = "S", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=3600))]
    seconds: u32,
    /// A case, `memory` or `most-connections`; may be repeated [default: all]
    #[arg(long = "case", value_name = "NAME")]
    cases: Vec<String>,
    /// Lengths of the runs in which the memory is looked at, in seconds, separated by commas
    #[arg(
        long,
        value_name = "LIST",
        value_delimiter = ',',
        default_value = "2,6,20"
    )]
    memory_seconds: Vec<u32>,
    /// Directory for loadgen.json and loadgen.md
    #[arg(
        long,
        value_name = "DIR",
        default_value = "target/bench",
        overrides_with = "out"
    )]
    out: PathBuf,
}

const MEMORY: &str = "memory";
const MOST: &str = "most-connections";

impl LoadgenArguments {
    fn asks_for(&self, name: &str) -> bool {
        self.cases.is_empty() || self.cases.iter().any(|asked| asked == name)
    }

    fn plan(&self) -> Result<ClientPlan, (Exit, String)> {
        let names: Vec<&str> = CASES.iter().map(|case| case.name).collect();
        let known = |name: &str| names.contains(&name) || [MEMORY, MOST].contains(&name);
        if let Some(unknown) = self.cases.iter().find(|name| !known(name)) {
            return Err((
                Exit::Usage,
                format!(
                    "there is no case {unknown}; there are {}, {MEMORY}, {MOST}",
                    names.join(", ")
                ),
            ));
        }
        let cases: Vec<Case> = CASES
            .iter()
            .filter(|case| self.asks_for(case.name))
            .copied()
            .collect();
        let memory_seconds = if self.asks_for(MEMORY) {
            self.memory_seconds.clone()
        } else {
            Vec::new()
        };
        Ok(ClientPlan {
            cases,
            pairs: self.pairs,
            seconds: self.seconds,
            memory_seconds,
            most: self.asks_for(MOST),
        })
    }
}

/// Runs it.
pub(super) fn run(arguments: &LoadgenArguments) -> CommandResult {
    let plan = arguments.plan()?;
    let in_way = |error: &dyn std::fmt::Display| (Exit::Failed, error.to_string());
    let interrupt = Interrupt::on_signals()
        .map_err(|error| (Exit::Failed, format!("signals cannot be caught: {error}")))?;
    let out = &arguments.out;
    fs::create_dir_all(out)
        .map_err(|error| (Exit::Failed, format!("{}: {error}", out.display())))?;
    let results = measure_clients(&plan, &Programs::find(), &interrupt).map_err(failed)?;
    write_json(&out.join("loadgen.json"), &results).map_err(|error| in_way(&error))?;
    let page = out.join("loadgen.md");
    fs::write(&page, markdown(&results))
        .map_err(|error| (Exit::Failed, format!("{}: {error}", page.display())))?;
    print!("{}", text(&results));
    println!("written: {}, loadgen.json beside it", page.display());
    Ok(if interrupt.is_set() {
        Exit::Interrupted
    } else {
        Exit::Done
    })
}
