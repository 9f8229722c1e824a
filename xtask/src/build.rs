//! The eBPF object and the release binaries.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::environment;
use crate::paths::Paths;
use crate::setup::Tools;
use crate::step::Step;

/// The target of the eBPF programs, for the little-endian machines that are supported.
const EBPF_TARGET: &str = "bpfel-unknown-none";

/// Builds the eBPF object.
pub fn ebpf(paths: &Paths, tools: &Tools) -> Result<()> {
    let mut command = ebpf_command(paths, tools, &tools.toolchain.cargo, "build");
    Step {
        what: "building the eBPF programs",
        expected: "about 40 s the first time",
        log: "ebpf",
    }
    .run(paths, &mut command)?;

    let built = paths
        .ebpf_target()
        .join(EBPF_TARGET)
        .join("release/mpm-observer");
    let object = paths.ebpf_object();
    let bytes = fs::read(&built).with_context(|| format!("cannot read {}", built.display()))?;
    // An equal object keeps its time stamp, so that nothing that embeds it is built again.
    if fs::read(&object).is_ok_and(|old| old == bytes) {
        return Ok(());
    }
    if let Some(dir) = object.parent() {
        fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    }
    fs::write(&object, bytes).with_context(|| format!("cannot write {}", object.display()))
}

/// Checks the eBPF programs with clippy, on their own target.
pub fn ebpf_clippy(paths: &Paths, tools: &Tools) -> Result<()> {
    // By its path: `cargo clippy` would take the first one on the `PATH`, which is rustup's.
    let clippy = tools.toolchain.clippy();
    let mut command = ebpf_command(paths, tools, &clippy, "clippy");
    command
        .env("CARGO", &tools.toolchain.cargo)
        .args(["--", "-D", "warnings"]);
    Step {
        what: "checking the eBPF programs with clippy",
        expected: "about 5 s",
        log: "ebpf-clippy",
    }
    .run(paths, &mut command)
}

/// Builds the release binaries of the workspace.
pub fn release(paths: &Paths) -> Result<()> {
    let mut command = environment::workspace_cargo(paths);
    // The profile of the tests, and the features too: asking for the examples makes cargo count
    // what the tests depend on, which otherwise gives arrow other features and builds it twice.
    command.args(["build", "--release", "--workspace", "--exclude", "xtask"]);
    command.args(["--bins", "--examples"]);
    command.args(lock_arguments());
    Step {
        what: "building the release binaries",
        expected: "about 6 min the first time",
        log: "build",
    }
    .run(paths, &mut command)
}

/// The arguments that keep CI from resolving anew what a lock file leaves out.
pub fn lock_arguments() -> &'static [&'static str] {
    if environment::on_ci() {
        &["--locked"]
    } else {
        &[]
    }
}

/// A cargo command for the eBPF crate. Its target, flags and `build-std` are in the crate's
/// `.cargo/config.toml`.
fn ebpf_command(paths: &Paths, tools: &Tools, program: &Path, subcommand: &str) -> Command {
    let mut command = environment::foreign_command(paths, program);
    command
        .current_dir(paths.ebpf_crate())
        .args([subcommand, "--release", "--target", EBPF_TARGET])
        .arg("--target-dir")
        .arg(paths.ebpf_target())
        .args(lock_arguments())
        .env("RUSTC", &tools.toolchain.rustc)
        // `build-std` is an unstable option; this lets a stable compiler take it.
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_TARGET_BPFEL_UNKNOWN_NONE_LINKER", &tools.linker);
    command
}
