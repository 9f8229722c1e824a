//! Keeps what cargo and rustup set for this program from reaching the programs that it starts.
//!
//! `cargo run` and rustup's proxies set variables for the process they start. A second cargo of
//! another toolchain obeys them and breaks; a build script that asks for one of them runs again
//! although nothing changed; and httpd would load libraries from a Rust toolchain.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::Command;

use crate::paths::Paths;

/// The search path of the dynamic linker, which rustup and `cargo run` extend.
const LIBRARY_PATH: &str = "LD_LIBRARY_PATH";

/// A command with the user's environment as it was before `cargo xtask`.
pub fn command(paths: &Paths, program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(describes_this_package) {
            command.env_remove(&name);
        }
    }
    if let Some(value) = env::var_os(LIBRARY_PATH) {
        match without_rust_libraries(&value, &paths.target) {
            Some(kept) => command.env(LIBRARY_PATH, kept),
            None => command.env_remove(LIBRARY_PATH),
        };
    }
    command
}

/// The cargo that runs this program, with the user's choices for the workspace.
pub fn workspace_cargo(paths: &Paths) -> Command {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = command(paths, cargo);
    command.current_dir(&paths.root);
    command
}

/// A command of another toolchain: the choices made for the workspace's toolchain, target
/// directory and flags do not apply to it.
pub fn foreign_command(paths: &Paths, program: impl AsRef<OsStr>) -> Command {
    let mut command = command(paths, program);
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(chooses_a_build) {
            command.env_remove(&name);
        }
    }
    command
}

/// On CI nothing may be skipped and the lock files must be complete.
pub fn on_ci() -> bool {
    env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false" && value != "0")
}

/// Whether cargo sets this variable about the package that it runs.
fn describes_this_package(name: &str) -> bool {
    const PREFIXES: [&str; 3] = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"];
    const NAMES: [&str; 3] = ["CARGO_CRATE_NAME", "CARGO_PRIMARY_PACKAGE", "OUT_DIR"];
    PREFIXES.iter().any(|prefix| name.starts_with(prefix)) || NAMES.contains(&name)
}

/// Whether this variable picks a toolchain, a target or flags of a build.
fn chooses_a_build(name: &str) -> bool {
    const PREFIXES: [&str; 7] = [
        "RUSTC",
        "RUSTDOC",
        "CARGO_BUILD_",
        "CARGO_PROFILE_",
        "CARGO_TARGET_",
        "CARGO_UNSTABLE_",
        "CARGO_INSTALL_",
    ];
    const NAMES: [&str; 5] = [
        "CARGO",
        "CARGO_ENCODED_RUSTFLAGS",
        "RUSTFLAGS",
        "RUSTUP_TOOLCHAIN",
        "RUST_RECURSION_COUNT",
    ];
    PREFIXES.iter().any(|prefix| name.starts_with(prefix)) || NAMES.contains(&name)
}

/// The entries of a library path that the user has set; `None` when there are none.
fn without_rust_libraries(value: &OsStr, target: &Path) -> Option<OsString> {
    let kept = env::split_paths(value)
        .filter(|dir| !dir.as_os_str().is_empty())
        .filter(|dir| !dir.starts_with(target))
        .filter(|dir| !dir.iter().any(|part| part == "rustlib"))
        .filter(|dir| !dir.join("rustlib").exists())
        .collect::<Vec<_>>();
    if kept.is_empty() {
        return None;
    }
    env::join_paths(kept).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_description_of_xtask_is_dropped_and_cargos_home_is_kept() {
        assert!(describes_this_package("CARGO_PKG_NAME"));
        assert!(describes_this_package("CARGO_MANIFEST_DIR"));
        for kept in ["CARGO_HOME", "CARGO_NET_OFFLINE", "RUSTFLAGS", "PATH"] {
            assert!(!describes_this_package(kept), "{kept}");
        }
    }

    #[test]
    fn another_toolchain_sees_no_choice_made_for_this_one() {
        for dropped in [
            "CARGO",
            "RUSTC",
            "RUSTC_WRAPPER",
            "RUSTFLAGS",
            "CARGO_BUILD_TARGET",
            "CARGO_TARGET_DIR",
            "RUSTUP_TOOLCHAIN",
        ] {
            assert!(chooses_a_build(dropped), "{dropped}");
        }
        for kept in [
            "CARGO_HOME",
            "CARGO_REGISTRIES_CRATES_IO_PROTOCOL",
            "CARGO_HTTP_PROXY",
            "RUSTUP_HOME",
            "RUST_BACKTRACE",
        ] {
            assert!(!chooses_a_build(kept), "{kept}");
        }
    }

    #[test]
    fn only_the_users_library_directories_stay() {
        let target = Path::new("/home/u/project/target");
        let value = OsStr::new(
            "/home/u/project/target/debug/deps:/opt/tc/lib/rustlib/x86_64-unknown-linux-gnu/lib:/opt/oracle/lib",
        );
        assert_eq!(
            without_rust_libraries(value, target),
            Some(OsString::from("/opt/oracle/lib"))
        );
        assert_eq!(
            without_rust_libraries(OsStr::new("/home/u/project/target/debug"), target),
            None
        );
    }
}
