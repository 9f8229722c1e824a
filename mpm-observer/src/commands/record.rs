//! `mpm-observer record`

use std::{
    fs,
    io::{self, IsTerminal},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use nix::unistd::geteuid;
use plots::Unit;

use super::{
    exit::{CommandResult, Exit, failed, of_live},
    lab::stamp,
    new_directory::NewDirectory,
    span::parse_span,
    target::TargetArguments,
};
use crate::{
    correlate::{Phase, ServerSide},
    findings::explain,
    kernel::{Kernel, Ports},
    lab::{Interrupt, new_directory},
    live::{LiveError, RecordOrder, Server, record},
    privileges::{FOR_OTHER_DIRECTORIES, FOR_OTHER_NETWORKS, PrivilegeError, drop_others},
    recording::{
        Ended, FailureKind, FailureRow, KernelRow, LiveServer, Manifest, RunDir, fold_table,
    },
    report::live::words::{not_answered, went_wrong as rules_in_words, without_a_time},
    wording::{plural, whole},
};

/// Options of `record`.
#[derive(Debug, Args)]
pub(super) struct RecordArguments {
    #[command(flatten)]
    target: TargetArguments,
    /// How long, such as 500ms, 30s or 5m, a number alone in seconds; Ctrl-C ends it earlier and
    /// keeps what was recorded
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = parse_span)]
    duration: Duration,
    /// Keep all events of so long a time from the begin on: a timeline and a Perfetto trace in
    /// the report
    #[arg(
        long,
        value_name = "TIME",
        num_args = 0..=1,
        require_equals = false,
        default_missing_value = "300ms",
        value_parser = parse_span
    )]
    trace: Option<Duration>,
    /// Directory for the recording, new or empty [default: recordings/DATE-TIME]
    #[arg(short, long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// A trace keeps every event, some hundred thousand a second.
const MOST_TRACED: Duration = Duration::from_secs(10);

/// Runs it.
pub(super) fn run(arguments: &RecordArguments) -> CommandResult {
    if arguments.trace.is_some_and(|length| length > MOST_TRACED) {
        return Err((
            Exit::Usage,
            format!(
                "--trace: {} s at most, as every event is kept",
                MOST_TRACED.as_secs()
            ),
        ));
    }
    if let Some(dir) = &arguments.out {
        require_empty(dir)?;
    }
    let kernel = Kernel::read().map_err(|error| (Exit::Missing, error.to_string()))?;
    let (server, ports) = arguments
        .target
        .require()
        .map_err(|error| of_live(&error))?;
    let path = match &arguments.out {
        Some(dir) => dir.clone(),
        None => new_directory(Path::new("recordings"), &stamp()),
    };
    let made = NewDirectory::at(&path);
    made.make()
        .map_err(|error| (Exit::Failed, format!("{}: {error}", path.display())))?;
    drop_privileges(&server, &path).map_err(|error| failed(true, &error))?;
    let interrupt = Interrupt::on_signals()
        .map_err(|error| (Exit::Failed, format!("signals cannot be caught: {error}")))?;
    let dir = RunDir::at(&path);
    let order = RecordOrder {
        ports,
        duration: arguments.duration,
        trace: arguments.trace,
    };
    eprintln!(
        "recording {} (pid {}, {}) on {} for {} into {}",
        server.binary.display(),
        server.process.pid,
        server.mpm,
        ports.in_words(),
        Unit::Seconds.format(order.duration.as_secs_f64()),
        path.display()
    );
    let manifest = with_progress(&kernel, &server, &order, &dir, &interrupt).map_err(|error| {
        // Only if nothing was recorded: what has something in it stays.
        made.remove();
        of_live(&error)
    })?;
    tell(&manifest, &path)
}

/// To be called before other threads are started, which would keep theirs.
fn drop_privileges(server: &Server, dir: &Path) -> Result<(), PrivilegeError> {
    let is_own = fs::metadata(dir).is_ok_and(|dir| {
        let may_enter_and_write = 0o300;
        dir.uid() == geteuid().as_raw() && dir.mode() & may_enter_and_write == may_enter_and_write
    });
    let network = (!server.is_in_our_network()).then_some(FOR_OTHER_NETWORKS);
    let directory = (!is_own).then_some(FOR_OTHER_DIRECTORIES);
    drop_others(network.into_iter().chain(directory))
}

/// A directory for a recording must be new or empty.
///
/// # Errors
/// When there is something in it.
pub(super) fn require_empty(dir: &Path) -> Result<(), (Exit, String)> {
    match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err((Exit::Usage, format!("{}: {error}", dir.display()))),
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err((
                Exit::Usage,
                format!("{} is not empty; name a new directory", dir.display()),
            )),
        },
    }
}

fn with_progress(
    kernel: &Kernel,
    server: &Server,
    order: &RecordOrder,
    dir: &RunDir,
    interrupt: &Interrupt,
) -> Result<Manifest, LiveError> {
    let bar = io::stderr().is_terminal().then(|| {
        let bar = ProgressBar::new(order.duration.as_millis() as u64);
        let style = ProgressStyle::with_template("[{bar:24}] {msg}")
            .unwrap_or_else(|_| ProgressStyle::default_bar())
            .progress_chars("=> ");
        bar.set_style(style);
        bar
    });
    let show = |left: Duration| {
        if let Some(bar) = &bar {
            bar.set_position((order.duration.saturating_sub(left)).as_millis() as u64);
            bar.set_message(format!(
                "{} s left (Ctrl-C keeps what there is)",
                left.as_secs()
            ));
        }
    };
    let made = record(kernel, server, order, dir, interrupt.flag(), &show);
    if let Some(bar) = &bar {
        bar.finish_and_clear();
    }
    made
}

/// Says what was recorded, in one line, and what to do next.
fn tell(manifest: &Manifest, path: &Path) -> CommandResult {
    let (mut side, mut rows) = (ServerSide::default(), 0);
    let add = |row: KernelRow| {
        side.add(&row);
        rows += 1;
    };
    let unreadable = fold_table(path, add).map_err(|error| (Exit::Failed, error.to_string()))?;
    if let Some(first) = unreadable.first() {
        return Err((Exit::Failed, first.clone()));
    }
    side.finish();
    let live = manifest.live();
    match live.map(|live| live.ended) {
        Some(Ended::ServerGone) => {
            println!("httpd ended while it was recorded; what came before is kept");
        }
        Some(Ended::Interrupted) => println!("ended early; what came before is kept"),
        _ => {}
    }
    let seconds = live.map_or(0.0, |live| {
        live.ended_ns.saturating_sub(live.attached_ns) as f64 / 1e9
    });
    let mut next = format!("next: mpm-observer report {}", path.display());
    if let Some(wrong) = went_wrong(path, rows) {
        let explain = format!("mpm-observer explain {}", path.display());
        next = format!("went wrong: {wrong} ({explain})\n{next}");
    }
    if side.answered == 0 {
        println!("{next}");
        return Err((
            Exit::NothingServed,
            format!(
                "nothing was served on {} in {}{}; recorded in {}",
                live.map_or_else(Ports::default, LiveServer::watched)
                    .in_words(),
                Unit::Seconds.format(seconds),
                not_answered(&side),
                path.display()
            ),
        ));
    }
    println!(
        "{}; recorded in {}",
        in_one_line(&side, manifest, seconds),
        path.display()
    );
    println!("{next}");
    Ok(Exit::Done)
}

/// Rows up to which the rules look at a recording at once: they need all of them in memory, about
/// half a kilobyte each, and this may be the host of the server.
const MOST_LOOKED_AT: u64 = 100_000;

/// What went wrong, in a few words; `None` if nothing that is known. A recording that cannot be
/// explained says so when `explain` is asked.
fn went_wrong(path: &Path, rows: u64) -> Option<String> {
    if rows <= MOST_LOOKED_AT {
        return rules_in_words(&explain(path, None).ok()?.groups);
    }
    let mut failures = 0;
    // By signals httpd's parent ends children that it has no need of.
    let count = |row: FailureRow| failures += u64::from(row.kind != FailureKind::Signal);
    fold_table(path, count).ok()?;
    (failures > 0).then(|| format!("{} in the kernel", plural(failures, "failure")))
}

/// Requests, those not answered, how long the server's part took, what they waited in, what was
/// lost.
pub(super) fn in_one_line(side: &ServerSide, manifest: &Manifest, seconds: f64) -> String {
    let time = |q| match side.time_ns(q) {
        Some(time_ns) => Unit::Nanoseconds.format(time_ns as f64),
        None => "unknown".into(),
    };
    let share = |phase: Phase| format!("{} {:.0} %", phase.name(), 100.0 * side.share(phase));
    let waited = side.longest_wait().map_or_else(String::new, |phase| {
        format!(", waiting mostly: {}", share(phase))
    });
    let lost = manifest.counters.lost();
    let untimed = without_a_time(side).map_or_else(String::new, |untimed| format!("; {untimed}"));
    format!(
        "{} in {} ({} per second){}; the server's part p50 {}, p99 {}; {}{waited}; {} lost{untimed}",
        plural(side.answered, "request"),
        Unit::Seconds.format(seconds),
        whole((side.answered as f64 / seconds.max(1e-9)).round() as u64),
        not_answered(side),
        time(0.5),
        time(0.99),
        share(Phase::OnCpu),
        plural(lost, "event"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        report::made_up::rows::{Figures, of_live_server, rows},
        scenario::Mpm,
    };

    #[test]
    fn the_line_hides_neither_what_was_not_answered_nor_what_has_no_time() {
        let mut made_up = of_live_server(rows(Mpm::Event, 1, &Figures::default()));
        let line =
            |kernel: &[KernelRow]| in_one_line(&ServerSide::of(kernel), &made_up.manifest, 12.1);
        let clean = line(&made_up.kernel);
        assert!(
            clean.starts_with("99 requests in 12.1 s (8 per second); the server's part")
                && clean.ends_with("; 0 events lost"),
            "{clean}"
        );
        for row in &mut made_up.kernel[..19] {
            row.last_send_ns = 0;
        }
        for row in &mut made_up.kernel[30..40] {
            row.established_ns = 0;
            row.no_arrival = true;
        }
        let line = in_one_line(&ServerSide::of(&made_up.kernel), &made_up.manifest, 12.1);
        assert!(
            line.starts_with("80 requests in 12.1 s (7 per second); 19 not answered; "),
            "{line}"
        );
        assert!(
            line.ends_with("; 10 requests without a time (begun before the recording)"),
            "{line}"
        );
    }
}
