//! Draws every kind of chart, with made-up data of ordinary and of awkward kinds, into a
//! directory: `cargo run -p plots --example gallery -- DIRECTORY`.

mod samples;

use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    let Some(directory) = std::env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("usage: gallery DIRECTORY");
        return ExitCode::from(2);
    };
    if let Err(error) = std::fs::create_dir_all(&directory) {
        eprintln!("cannot create {}: {error}", directory.display());
        return ExitCode::FAILURE;
    }
    for (name, chart) in samples::all() {
        let path = directory.join(format!("{name}.png"));
        if let Err(error) = chart.draw(&path) {
            eprintln!("{name}: {error}");
            return ExitCode::FAILURE;
        }
        println!("{}", path.display());
    }
    ExitCode::SUCCESS
}
