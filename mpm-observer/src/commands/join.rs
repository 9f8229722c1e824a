//! `mpm-observer join`

use std::path::{Path, PathBuf};

use clap::Args;

use super::{
    exit::{CommandResult, Exit},
    lab::stamp,
    new_directory::NewDirectory,
    record::require_empty,
};
use crate::{
    correlate::{KernelOnly, Missing, RunAnalysis},
    hosts::{JoinError, Joined, join_recordings},
    lab::new_directory,
    wording::{listing, plural, whole},
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
    // Made where it is written.
    let directory = NewDirectory::at(&out);
    let joined = join_recordings(&arguments.server, &arguments.client, &out).map_err(|error| {
        let exit = match &error {
            JoinError::NotJoinable(_) | JoinError::NoOffset(_) => Exit::NotJoinable,
            JoinError::OfLab(_) | JoinError::Already(_) => Exit::Usage,
            JoinError::Recording(_) | JoinError::Client { .. } => Exit::Failed,
        };
        // Nothing but empty directories can be there if nothing was joined.
        directory.remove();
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
    println!("{}; recorded in {}", in_one_line(run), out.display());
    println!("next: mpm-observer report {}", out.display());
}

/// How many requests are known from both sides, why others are not, and who else asked.
fn in_one_line(run: &RunAnalysis) -> String {
    let join = &run.join;
    let mut line = format!(
        "joined {} of {} ({:.2} %)",
        whole(run.ok().saturating_sub(join.missing_count())),
        plural(run.ok(), "successful request"),
        100.0 * run.joined_share().unwrap_or(0.0),
    );
    let missing = Missing::ALL.into_iter().filter_map(|cause| {
        let count = join.missing.get(&cause)?;
        Some(format!("{} {}", whole(*count), cause.words()))
    });
    let missing: Vec<String> = missing.collect();
    if !missing.is_empty() {
        line += &format!("; not joined: {}", listing(&missing));
    }
    if let Some(stood) = join.kernel_only.get(&KernelOnly::Stood) {
        line += &format!(
            "; at the server {} of this client on connections that stood before the recording",
            plural(*stood, "request")
        );
    }
    let others = plural(join.strangers(), "request");
    line + &format!("; {others} of others at the server")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        report::made_up::{
            analysed,
            rows::{Figures, of_live_server, rows},
        },
        scenario::Mpm,
    };

    #[test]
    fn the_line_says_why_requests_are_missing_and_whose_the_others_are() {
        let figures = Figures {
            ok: 4_000,
            ..Figures::default()
        };
        let made_up = rows(Mpm::Event, 1, &figures);
        let client = made_up.client.clone();
        let mut run = of_live_server(made_up);
        run.client = client;
        let mut run = analysed(run);
        run.join.missing = [(Missing::Before, 1_010)].into();
        run.join.kernel_only = [(KernelOnly::Stood, 311)].into();
        assert_eq!(
            in_one_line(&run),
            "joined 2,990 of 4,000 successful requests (74.75 %); not joined: 1,010 on connections \
             begun before the recording; at the server 311 requests of this client on connections \
             that stood before the recording; 0 requests of others at the server"
        );
    }
}
