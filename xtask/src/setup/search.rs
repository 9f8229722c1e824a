//! Looks for programs.

use std::env;
use std::path::{Path, PathBuf};

/// Directories that an ordinary user's `PATH` leaves out on some distributions.
const ADMIN_DIRS: [&str; 3] = ["/usr/sbin", "/usr/local/sbin", "/sbin"];

/// All files of this name on the `PATH`, then in the directories for administration.
pub fn programs(name: &str) -> impl Iterator<Item = PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(ADMIN_DIRS.map(PathBuf::from))
        .map(|dir| dir.join(name))
        .filter(|file| file.is_file())
        .collect::<Vec<_>>()
        .into_iter()
}

/// Cargo's home, where `cargo install` puts programs.
pub fn cargo_home() -> Option<PathBuf> {
    home("CARGO_HOME", ".cargo")
}

/// Rustup's home, where the toolchains are.
pub fn rustup_home() -> Option<PathBuf> {
    home("RUSTUP_HOME", ".rustup")
}

fn home(variable: &str, folder: &str) -> Option<PathBuf> {
    env::var_os(variable)
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(folder)))
}
