//! Rust toolchains that can build eBPF programs: those with the source of the library.

use std::fs;
use std::path::{Path, PathBuf};

use super::host::{Family, Host};
use super::{rustup, search};
use crate::environment;
use crate::paths::Paths;

/// The toolchain that is tried and tested: Debian's, which is built with Debian's LLVM.
pub const DEBIAN_PACKAGES: [&str; 3] = ["rustc-web", "cargo-web", "rust-web-src"];
/// The linter of that toolchain.
pub const DEBIAN_CLIPPY: &str = "rust-web-clippy";
/// The LLVM of that toolchain, as far as is known before it is installed.
pub const DEBIAN_LLVM_MAJOR: u32 = 22;
/// The oldest release that the crates for eBPF and this project's own accept.
pub const MINIMUM_RELEASE: Release = Release(1, 95);
/// Versions of LLVM that bpf-linker can be built with.
const LLVM_MAJORS: std::ops::RangeInclusive<u32> = 21..=23;

/// A release of Rust: major and minor number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Release(pub u32, pub u32);

impl Release {
    /// Reads `1.96.0` or `1.97.0-nightly`.
    pub fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.split('.');
        Some(Self(
            numbers.next()?.parse().ok()?,
            numbers.next()?.parse().ok()?,
        ))
    }
}

/// A toolchain with the library source.
#[derive(Debug)]
pub struct Toolchain {
    /// Rustup's name for it; `None` for the system's.
    pub name: Option<String>,
    /// The compiler itself, not rustup's proxy.
    pub rustc: PathBuf,
    /// The cargo beside it.
    pub cargo: PathBuf,
    /// The major version of its LLVM.
    pub llvm_major: u32,
}

impl Toolchain {
    /// Whether it came with the distribution.
    pub fn is_system(&self) -> bool {
        self.name.is_none()
    }

    /// Where its linter is, once that is installed.
    pub fn clippy(&self) -> PathBuf {
        self.cargo.with_file_name("cargo-clippy")
    }

    /// Whether its linter is there.
    pub fn has_clippy(&self) -> bool {
        self.clippy().is_file() && self.cargo.with_file_name("clippy-driver").is_file()
    }

    /// One line that says how to get the linter.
    pub fn how_to_get_clippy(&self) -> String {
        let command = match &self.name {
            Some(name) => format!("rustup component add clippy --toolchain {name}"),
            None => format!("apt-get install {DEBIAN_CLIPPY}, as root"),
        };
        format!("clippy for the eBPF programs: {command}")
    }

    /// The toolchain below `prefix`, when it has the library source and is recent enough.
    fn below(paths: &Paths, prefix: &Path, name: Option<String>) -> Option<Self> {
        let source = prefix.join("lib/rustlib/src/rust/library/core/Cargo.toml");
        let rustc = prefix.join("bin/rustc");
        let cargo = prefix.join("bin/cargo");
        if !source.is_file() || !rustc.is_file() || !cargo.is_file() {
            return None;
        }
        let output = environment::foreign_command(paths, &rustc)
            .arg("-vV")
            .output()
            .ok()?;
        let (release, llvm_major) = parse_version(&String::from_utf8_lossy(&output.stdout))?;
        (release >= MINIMUM_RELEASE && LLVM_MAJORS.contains(&llvm_major)).then_some(Self {
            name,
            rustc,
            cargo,
            llvm_major,
        })
    }
}

/// All usable toolchains, best first: the system's, then rustup's, nightlies first.
pub fn all(paths: &Paths) -> impl Iterator<Item = Toolchain> {
    let system = [(PathBuf::from("/usr"), None)];
    system
        .into_iter()
        .chain(rustup_toolchains())
        .filter_map(|(prefix, name)| Toolchain::below(paths, &prefix, name))
}

/// One line that says how to get one.
pub fn how_to_get(host: &Host) -> String {
    let rustup = format!("rustup {}", rustup::INSTALL_NIGHTLY.join(" "));
    let command = match host.family {
        Family::Debian => format!(
            "{}apt-get install --no-install-recommends {} (or: {rustup})",
            host.sudo(),
            DEBIAN_PACKAGES.join(" ")
        ),
        Family::Fedora | Family::Arch | Family::Other => rustup,
    };
    format!("a Rust toolchain with its library source, to build the eBPF programs: {command}")
}

/// The directories and names of rustup's toolchains, nightlies first.
fn rustup_toolchains() -> Vec<(PathBuf, Option<String>)> {
    let Some(entries) =
        search::rustup_home().and_then(|home| fs::read_dir(home.join("toolchains")).ok())
    else {
        return Vec::new();
    };
    let mut toolchains = entries
        .flatten()
        .map(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            (entry.path(), Some(name))
        })
        .collect::<Vec<_>>();
    toolchains.sort_by_key(|(_, name)| {
        let is_nightly = name
            .as_ref()
            .is_some_and(|name| name.starts_with("nightly"));
        (!is_nightly, name.clone())
    });
    toolchains
}

/// The release and LLVM's major version from the output of `rustc -vV`.
fn parse_version(text: &str) -> Option<(Release, u32)> {
    let field = |key: &str| text.lines().find_map(|line| line.strip_prefix(key));
    let release = Release::parse(field("release: ")?)?;
    let llvm_major = field("LLVM version: ")?.split('.').next()?.parse().ok()?;
    Some((release, llvm_major))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn release_and_llvm_are_read_from_the_compilers_version() {
        let stable = "rustc 1.96.0 (ac68faa20 2026-05-25) (built from a source tarball)\n\
                      binary: rustc\nhost: x86_64-unknown-linux-gnu\nrelease: 1.96.0\nLLVM version: 22.1.8\n";
        assert_eq!(parse_version(stable), Some((Release(1, 96), 22)));
        let nightly = "release: 1.97.0-nightly\nLLVM version: 23.0\n";
        assert_eq!(parse_version(nightly), Some((Release(1, 97), 23)));
    }

    #[test]
    fn a_compiler_without_llvm_is_no_toolchain_for_ebpf() {
        assert_eq!(parse_version("release: 1.96.0\n"), None);
        assert_eq!(parse_version(""), None);
    }

    #[test]
    fn releases_are_ordered_by_number() {
        assert!(Release(1, 100) > MINIMUM_RELEASE);
        assert!(Release::parse("1.85.0") < Some(MINIMUM_RELEASE));
    }
}
