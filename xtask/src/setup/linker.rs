//! bpf-linker: it must have the LLVM of the compiler, or a later one.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::host::{Family, Host};
use super::search;
use super::toolchain::Toolchain;
use crate::environment;
use crate::paths::Paths;
use crate::step::Step;

/// The version that is tried and tested.
const VERSION: &str = "0.13.0";

/// The least that the compiler can be asked to compile without any library, to see whether the
/// linker reads what it writes.
const PROBE: &str = "\
#![feature(no_core, lang_items)]
#![allow(internal_features)]
#![no_core]
#![crate_type = \"lib\"]
#[lang = \"pointee_sized\"]
pub trait PointeeSized {}
#[lang = \"meta_sized\"]
pub trait MetaSized: PointeeSized {}
#[lang = \"sized\"]
pub trait Sized: MetaSized {}
#[unsafe(no_mangle)]
pub extern \"C\" fn probe() -> u64 { 0 }
";

/// A linker of the right version that works with `toolchain`: this checkout's own, else one on
/// the `PATH` or in cargo's home.
pub fn find(paths: &Paths, toolchain: &Toolchain) -> Option<PathBuf> {
    let own = install_root(paths, toolchain.llvm_major).join("bin/bpf-linker");
    let in_cargo_home = search::cargo_home().map(|home| home.join("bin/bpf-linker"));
    [own]
        .into_iter()
        .chain(search::programs("bpf-linker"))
        .chain(in_cargo_home)
        .find(|linker| has_version(paths, linker) && reads_output_of(paths, toolchain, linker))
}

/// Builds a linker for `toolchain` into the target directory, with the LLVM below `llvm_prefix`.
pub fn build(paths: &Paths, toolchain: &Toolchain, llvm_prefix: &Path) -> Result<PathBuf> {
    let major = toolchain.llvm_major;
    let root = install_root(paths, major);
    eprintln!("installing bpf-linker {VERSION} into {}", root.display());
    let mut command = environment::foreign_command(paths, &toolchain.cargo);
    command
        .args(["install", "bpf-linker", "--version", VERSION, "--locked"])
        .args(["--no-default-features", "--features"])
        .arg(format!("llvm-{major}"))
        .arg("--root")
        .arg(&root)
        .env("RUSTC", &toolchain.rustc)
        .env("LLVM_PREFIX", llvm_prefix);
    Step {
        what: "building bpf-linker",
        expected: "about 50 s, once per checkout",
        log: "bpf-linker",
    }
    .run(paths, &mut command)?;
    find(paths, toolchain)
        .with_context(|| format!("the new {}/bin/bpf-linker does not work", root.display()))
}

/// Where an LLVM of this version is that a linker can be built with.
pub fn llvm_prefix(major: u32) -> Option<PathBuf> {
    // Debian, Arch and Fedora; a prefix that the user names comes first.
    let known = [
        format!("/usr/lib/llvm-{major}"),
        format!("/usr/lib/llvm{major}"),
        format!("/usr/lib64/llvm{major}"),
    ];
    env::var_os("LLVM_PREFIX")
        .map(PathBuf::from)
        .into_iter()
        .chain(known.map(PathBuf::from))
        .find(|prefix| has_shared_llvm(prefix, major))
}

/// Debian's package with what is needed to build with LLVM.
pub fn llvm_package(major: u32) -> String {
    format!("llvm-{major}-dev")
}

/// One line that says how to get a linker.
pub fn how_to_get(host: &Host, llvm_major: u32) -> String {
    let release = format!("https://github.com/aya-rs/bpf-linker/releases/tag/v{VERSION}");
    let command = match host.family {
        Family::Debian => format!(
            "{}apt-get install --no-install-recommends {}, and it is built here (or: {release})",
            host.sudo(),
            llvm_package(llvm_major)
        ),
        Family::Fedora | Family::Arch | Family::Other => {
            format!("put the program from {release} on the PATH")
        }
    };
    format!("bpf-linker {VERSION} for LLVM {llvm_major}: {command}")
}

fn install_root(paths: &Paths, llvm_major: u32) -> PathBuf {
    paths.tools().join(format!("llvm-{llvm_major}"))
}

/// Whether this is an LLVM of the version, with the library to link with.
fn has_shared_llvm(prefix: &Path, major: u32) -> bool {
    ["lib", "lib64"].into_iter().any(|folder| {
        let dir = prefix.join(folder);
        dir.join("libLLVM.so").exists()
            && (dir.join(format!("libLLVM-{major}.so")).exists()
                || dir.join(format!("libLLVM.so.{major}.1")).exists())
    })
}

fn has_version(paths: &Paths, linker: &Path) -> bool {
    environment::foreign_command(paths, linker)
        .arg("--version")
        .output()
        .is_ok_and(|output| {
            String::from_utf8_lossy(&output.stdout).trim() == format!("bpf-linker {VERSION}")
        })
}

/// Links a compiled line of Rust. When the compiler refuses the line, nothing is known against
/// the linker.
fn reads_output_of(paths: &Paths, toolchain: &Toolchain, linker: &Path) -> bool {
    let dir = paths.tools().join("probe");
    let (source, bitcode, object) = (
        dir.join("probe.rs"),
        dir.join("probe.bc"),
        dir.join("probe.o"),
    );
    if fs::create_dir_all(&dir)
        .and_then(|()| fs::write(&source, PROBE))
        .is_err()
    {
        return true;
    }
    let compiled = environment::foreign_command(paths, &toolchain.rustc)
        .args([
            "--edition=2024",
            "--target=bpfel-unknown-none",
            "--emit=llvm-bc",
            "-o",
        ])
        .args([&bitcode, &source])
        .env("RUSTC_BOOTSTRAP", "1")
        .output()
        .is_ok_and(|output| output.status.success());
    if !compiled {
        return true;
    }
    environment::foreign_command(paths, linker)
        .args(["--btf", "-o"])
        .args([&object, &bitcode])
        .output()
        .is_ok_and(|output| output.status.success())
}
