//! Rustup, where Debian's packages have no suitable toolchain.

use anyhow::Result;

use super::search;
use crate::environment;
use crate::paths::Paths;
use crate::step::Step;

/// The command that gives a toolchain with the library source.
pub const INSTALL_NIGHTLY: [&str; 7] = [
    "toolchain",
    "install",
    "nightly",
    "--profile",
    "minimal",
    "--component",
    "rust-src,clippy",
];

/// Installs a nightly toolchain. Without rustup nothing happens, and the missing toolchain is
/// reported with the rest.
pub fn install_nightly(paths: &Paths) -> Result<()> {
    let in_cargo_home = search::cargo_home().map(|home| home.join("bin/rustup"));
    let Some(rustup) = search::programs("rustup")
        .chain(in_cargo_home.filter(|path| path.is_file()))
        .next()
    else {
        return Ok(());
    };
    eprintln!(
        "installing Rust nightly with its library source by rustup (builds the eBPF programs)"
    );
    let mut command = environment::foreign_command(paths, rustup);
    command.args(INSTALL_NIGHTLY);
    Step {
        what: "installing Rust nightly",
        expected: "about 1 min, once per machine",
        log: "rustup",
    }
    .run(paths, &mut command)
}
