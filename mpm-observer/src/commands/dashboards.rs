//! `mpm-observer __dashboards`

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use clap::{Args, Subcommand};

use super::exit::{CommandResult, Exit};
use crate::{
    dashboards::{Filled, Kind, Row, Source, Window, picture, sources},
    prometheus::Api,
};

/// Options of `__dashboards`.
#[derive(Debug, Args)]
pub(super) struct DashboardsArguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Write the dashboards' JSON, as Grafana imports it
    Write {
        /// Into this directory
        #[arg(default_value = "dashboards")]
        dir: PathBuf,
    },
    /// Draw the dashboards from what a Prometheus has: one PNG for each row
    Draw(DrawArguments),
}

#[derive(Debug, Args)]
struct DrawArguments {
    /// Where Prometheus listens
    #[arg(long, value_name = "ADDR")]
    prometheus: SocketAddr,
    /// Directory of the pictures
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// The last so many seconds are shown
    #[arg(long, value_name = "S", default_value_t = 900)]
    seconds: u32,
    /// Rates are taken over so many seconds
    #[arg(long, value_name = "S", default_value_t = 15)]
    rate: u32,
    /// What happened meanwhile: seconds since 1970, and what; may be repeated
    #[arg(long = "mark", value_name = "TIME=WHAT", value_parser = mark)]
    marks: Vec<(f64, String)>,
    /// Only the instances that this regular expression fits
    #[arg(long, value_name = "REGEX", default_value = ".+")]
    instance: String,
    /// Only the rows of this dashboard, `live` or `compare`
    #[arg(long, value_name = "NAME")]
    dashboard: Option<String>,
}

fn mark(text: &str) -> Result<(f64, String), String> {
    let (time, what) = text.split_once('=').ok_or("it has no =")?;
    let time: f64 = time.parse().map_err(|error| format!("{time}: {error}"))?;
    Ok((time, what.to_owned()))
}

/// Runs it.
pub(super) fn run(arguments: DashboardsArguments) -> CommandResult {
    let sources = sources().map_err(|error| (Exit::Failed, error.to_string()))?;
    match arguments.what {
        What::Write { dir } => {
            for source in &sources {
                let text = format!("{:#}\n", source.grafana());
                write(&dir.join(format!("{}.json", source.name)), text.as_bytes())?;
            }
        }
        What::Draw(order) => draw(&sources, &order)?,
    }
    Ok(Exit::Done)
}

fn draw(sources: &[Source], order: &DrawArguments) -> Result<(), (Exit, String)> {
    let now_s = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0.0, |since| since.as_secs_f64());
    let seconds = f64::from(order.seconds.max(1));
    let filled = Filled {
        job: ".+".into(),
        instance: order.instance.clone(),
        rate_interval: format!("{}s", order.rate),
        range: format!("{}s", order.seconds),
    };
    let window = Window {
        from_s: now_s - seconds,
        to_s: now_s,
        // About as many values as a line of a picture can show.
        step_s: (seconds / 400.0).ceil(),
        marks: order.marks.clone(),
    };
    let api = Api::at(order.prometheus);
    let failed = |error: &dyn std::fmt::Display| (Exit::Failed, error.to_string());
    fs::create_dir_all(&order.out).map_err(|error| failed(&error))?;
    let has_lines = |row: &&Row| row.panels.iter().any(|panel| panel.kind == Kind::Lines);
    for source in sources {
        if order
            .dashboard
            .as_ref()
            .is_some_and(|name| *name != source.name)
        {
            continue;
        }
        for (row, number) in source.rows.iter().filter(has_lines).zip(1..) {
            let png = picture(row, &filled, &api, &window).map_err(|error| failed(&error))?;
            let name = format!("{}-{number}.png", source.name);
            write(&order.out.join(name), &png)?;
        }
    }
    Ok(())
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), (Exit, String)> {
    fs::write(path, bytes)
        .map_err(|error| (Exit::Failed, format!("{}: {error}", path.display())))?;
    println!("{}", path.display());
    Ok(())
}
