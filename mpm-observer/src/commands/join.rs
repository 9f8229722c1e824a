//! `mpm-observer join`

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::Args;

use super::{
    exit::{CommandResult, Exit},
    lab::stamp,
    record::require_empty,
};
use crate::{
    hosts::{JoinError, Joined, join_recordings},
    lab::new_directory,
    wording::{plural, whole},
};

/// Options of `join`.
#[derive(Debug, Args)]
pub(super) struct JoinArguments {
    /// Directory of the recording that `record` made on the server's host
    server: PathBuf,
    /// What `loadgen --rows` wrote on the client's host: a file, binary or Parquet, or a directory
    /// of such files
    client: PathBuf,
    /// Directory for the joined recording, new or empty [default: recordings/DATE-TIME]
    #[arg(short, long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Below this share of the client's connections the join is said to be a part only.
const MOST: f64 = 0.99;

/// Runs it.
pub(super) fn run(arguments: &JoinArguments) -> CommandResult {
    let out = match &arguments.out {
        Some(dir) => {
            require_empty(dir)?;
            dir.clone()
        }
        None => new_directory(Path::new("recordings"), &stamp()),
    };
    let joined = join_recordings(&arguments.server, &arguments.client, &out).map_err(|error| {
        let exit = match &error {
            JoinError::NotJoinable(_) | JoinError::NoOffset(_) => Exit::NotJoinable,
            JoinError::OfLab(_) | JoinError::Already(_) => Exit::Usage,
            JoinError::Recording(_) | JoinError::Client { .. } => Exit::Failed,
        };
        // Nothing but empty directories can be there if nothing was joined.
        let _ = fs::remove_dir(&out);
        (exit, error.to_string())
    })?;
    tell(&joined, &out);
    Ok(Exit::Done)
}

fn tell(joined: &Joined, out: &Path) {
    let Joined {
        run,
        offset,
        matched,
    } = joined;
    let share = matched.common as f64 / matched.client_connections.max(1) as f64;
    if share < MOST {
        println!(
            "only {} of {} of the client have a four-tuple that the server saw: the rest was not \
             recorded, or went elsewhere",
            whole(matched.common as u64),
            plural(matched.client_connections as u64, "connection")
        );
    }
    let contradicting = match offset.contradicting {
        0 => String::new(),
        count => format!(
            "; {} contradict it and were left out",
            plural(count, "request")
        ),
    };
    println!(
        "{} (from {}{contradicting})",
        offset.in_words(),
        plural(offset.pairs, "request")
    );
    let missing = run.join.missing_count();
    let others = run.join.kernel_only.values().sum();
    println!(
        "joined {} of {} ({:.2} %); {} of others at the server; recorded in {}",
        whole(run.ok() - missing),
        plural(run.ok(), "successful request"),
        100.0 * run.joined_share().unwrap_or(0.0),
        plural(others, "request"),
        out.display()
    );
    println!("next: mpm-observer report {}", out.display());
}
