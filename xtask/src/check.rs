//! Format, lints and documentation.

use anyhow::Result;

use crate::build;
use crate::environment;
use crate::paths::Paths;
use crate::setup::Tools;
use crate::step::Step;

/// Checks format, lints and documentation; the first failure ends it.
pub fn run(paths: &Paths, tools: &Tools) -> Result<()> {
    let mut workspace_format = environment::workspace_cargo(paths);
    workspace_format.args(["fmt", "--all", "--check"]);
    let mut ebpf_format = environment::workspace_cargo(paths);
    ebpf_format
        .args(["fmt", "--check", "--manifest-path"])
        .arg(paths.ebpf_crate().join("Cargo.toml"));
    for (log, command) in [
        ("format", &mut workspace_format),
        ("ebpf-format", &mut ebpf_format),
    ] {
        Step {
            what: "checking the format",
            expected: "about 2 s",
            log,
        }
        .run(paths, command)?;
    }

    // The object comes first: the crate that embeds it would otherwise be checked twice.
    build::ebpf(paths, tools)?;
    build::ebpf_clippy(paths, tools)?;

    // The release profile shares its build scripts and macros with the build and the tests.
    let mut clippy = environment::workspace_cargo(paths);
    clippy
        .args(["clippy", "--workspace", "--all-targets", "--release"])
        .args(build::lock_arguments())
        .args(["--", "-D", "warnings"]);
    Step {
        what: "checking the workspace with clippy",
        expected: "about 1 min the first time",
        log: "clippy",
    }
    .run(paths, &mut clippy)?;

    let mut doc = environment::workspace_cargo(paths);
    // With the examples cargo picks the same features as clippy, and checks nothing twice. The
    // binaries have the names of their libraries, and would overwrite their pages.
    doc.args(["doc", "--workspace", "--no-deps", "--release"])
        .args(["--lib", "--examples"])
        .args(build::lock_arguments())
        .env("RUSTDOCFLAGS", "-D warnings");
    Step {
        what: "checking the documentation",
        expected: "about 10 s the first time",
        log: "doc",
    }
    .run(paths, &mut doc)?;
    println!("format, lints and documentation are in order");
    Ok(())
}
