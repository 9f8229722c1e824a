//! The command line: one file per subcommand.

// Instead of the standard library's of these names, in all files below.
macro_rules! print {
    ($($text:tt)*) => { $crate::commands::print::out(format_args!($($text)*)) };
}
macro_rules! println {
    () => { print!("\n") };
    ($($text:tt)*) => { print!("{}\n", format_args!($($text)*)) };
}
macro_rules! eprintln {
    ($($text:tt)*) => {
        $crate::commands::print::err(format_args!("{}\n", format_args!($($text)*)))
    };
}

mod bench;
mod dashboards;
mod doctor;
mod exit;
mod explain;
mod join;
mod lab;
mod limit;
mod log;
mod new_directory;
mod otlp;
mod place;
mod print;
mod record;
mod report;
mod serve;
mod span;
mod target;
mod top;

use clap::{Parser, Subcommand};

pub use exit::Exit;

/// Exit codes, as `--help` prints them.
const EXIT_CODES: &str = "Exit codes: 0 done; 2 bad usage or a bad scenario file; \
    3 something is missing here (root, BTF, httpd, …); 4 a run or the recording failed; \
    5 no such server runs; 6 several servers fit; 7 nothing was served while it was recorded; \
    8 server and client cannot be joined; \
    130 interrupted (what was recorded is kept and reported)";

#[derive(Debug, Parser)]
#[command(name = "mpm-observer", version, about, after_help = EXIT_CODES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the scenarios on a private httpd under each MPM, watched by eBPF, and report
    Lab(lab::LabArguments),
    /// Find the least value of a resource limit at which each MPM serves without a failure
    Limit(limit::LimitArguments),
    /// Record a server that runs, without touching it: the kernel's side of what lab records
    Record(record::RecordArguments),
    /// Join the recording of a server with what a load generator on another host wrote, and tell
    /// how far apart the two clocks are
    Join(join::JoinArguments),
    /// Make the report of a recorded experiment or server; needs neither root nor httpd
    Report(report::ReportArguments),
    /// Tell what went wrong in a recorded experiment or server, with the evidence, and what would have
    /// helped
    Explain(explain::ExplainArguments),
    /// Serve metrics of a running httpd for Prometheus: what only the kernel sees, and mod_status
    Serve(serve::ServeArguments),
    /// Show what a server that runs does, on a terminal, or once for scripts
    Top(top::TopArguments),
    /// Tell what this kernel and this machine give
    Doctor(doctor::DoctorArguments),
    /// Measure the observer and the load generator; `cargo xtask bench` sets up for it
    #[command(name = "__bench", hide = true)]
    Bench(bench::BenchArguments),
    /// Make Grafana's dashboards from their sources, or draw them from what a Prometheus has
    #[command(name = "__dashboards", hide = true)]
    Dashboards(dashboards::DashboardsArguments),
    #[command(name = "__guard", hide = true)]
    Guard(Hidden),
    #[command(name = "__launch", hide = true)]
    Launch(Hidden),
    #[command(name = "__load", hide = true)]
    Load(Hidden),
}

#[derive(Debug, clap::Args)]
struct Hidden {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Runs the command line and returns the exit code.
#[must_use]
pub fn main() -> i32 {
    let arguments = Arguments::parse();
    log::init();
    let result = match arguments.command {
        Command::Lab(arguments) => lab::run(arguments),
        Command::Limit(arguments) => limit::run(arguments),
        Command::Record(arguments) => record::run(&arguments),
        Command::Join(arguments) => join::run(&arguments),
        Command::Report(arguments) => report::run(&arguments),
        Command::Explain(arguments) => explain::run(arguments),
        Command::Serve(arguments) => serve::run(arguments),
        Command::Top(arguments) => top::run(&arguments),
        Command::Doctor(arguments) => doctor::run(&arguments),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Dashboards(arguments) => dashboards::run(arguments),
        Command::Guard(hidden) => return crate::httpd::guard_main(&hidden.arguments),
        Command::Launch(hidden) => return crate::httpd::launcher_main(&hidden.arguments),
        Command::Load(_) => return crate::lab::client_main(),
    };
    match result {
        Ok(exit) => exit.code(),
        Err((exit, error)) => {
            eprintln!("mpm-observer: {error}");
            exit.code()
        }
    }
}
