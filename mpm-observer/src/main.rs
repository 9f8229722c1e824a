//! The observer's command line.

fn main() {
    std::process::exit(mpm_observer::commands::main());
}
