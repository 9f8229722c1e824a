//! The load generator's command line; see `loadgen --help`.

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
