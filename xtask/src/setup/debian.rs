//! Packages of Debian and Ubuntu.

use anyhow::{Context as _, Result};

use super::toolchain::Release;
use crate::environment;
use crate::paths::Paths;
use crate::step::Step;

/// Collects wanted packages and installs them together.
pub struct Apt<'a> {
    paths: &'a Paths,
    /// Package and what it is for.
    wanted: Vec<(String, &'static str)>,
    updated: bool,
}

impl<'a> Apt<'a> {
    /// Nothing is wanted yet, and the package lists are as old as they are.
    pub fn new(paths: &'a Paths) -> Self {
        Self {
            paths,
            wanted: Vec::new(),
            updated: false,
        }
    }

    /// Adds a package to the next installation.
    pub fn want(&mut self, package: &str, purpose: &'static str) {
        self.wanted.push((package.to_owned(), purpose));
    }

    /// Whether the package can be installed.
    pub fn offers(&mut self, package: &str) -> Result<bool> {
        Ok(self.candidate(package)?.is_some())
    }

    /// Whether the package can be installed in this version or a later one.
    pub fn offers_version(&mut self, package: &str, minimum: Release) -> Result<bool> {
        let version = self.candidate(package)?;
        Ok(version
            .and_then(|version| Release::parse(upstream(&version)))
            .is_some_and(|release| release >= minimum))
    }

    /// Says what is installed and what for, then installs it. Nothing is ever removed for it.
    pub fn install(&mut self) -> Result<()> {
        if self.wanted.is_empty() {
            return Ok(());
        }
        self.update()?;
        for (package, purpose) in &self.wanted {
            eprintln!("installing package {package} ({purpose})");
        }
        let mut command = self.apt_get();
        command
            .args(["install", "--yes", "--no-install-recommends", "--no-remove"])
            .args(self.wanted.iter().map(|(package, _)| package));
        Step {
            what: "installing packages",
            expected: "about 1 min, once per machine",
            log: "apt-install",
        }
        .run(self.paths, &mut command)?;
        self.wanted.clear();
        Ok(())
    }

    /// Brings the package lists up to date, once.
    pub fn update(&mut self) -> Result<()> {
        if self.updated {
            return Ok(());
        }
        Step {
            what: "updating the package lists",
            expected: "about 10 s",
            log: "apt-update",
        }
        .run(self.paths, self.apt_get().arg("update"))?;
        self.updated = true;
        Ok(())
    }

    /// The version that would be installed.
    fn candidate(&mut self, package: &str) -> Result<Option<String>> {
        self.update()?;
        let output = environment::command(self.paths, "apt-cache")
            .args(["policy", package])
            .env("LC_ALL", "C")
            .output()
            .context("cannot run apt-cache")?;
        let policy = String::from_utf8_lossy(&output.stdout);
        Ok(candidate_version(&policy).map(str::to_owned))
    }

    fn apt_get(&self) -> std::process::Command {
        let mut command = environment::command(self.paths, "apt-get");
        command
            // Another apt may be at work, as on a machine that has just started.
            .args(["--option", "DPkg::Lock::Timeout=120"])
            .env("DEBIAN_FRONTEND", "noninteractive");
        command
    }
}

/// The version from the output of `apt-cache policy`; `None` when there is none.
fn candidate_version(policy: &str) -> Option<&str> {
    policy
        .lines()
        .find_map(|line| line.trim().strip_prefix("Candidate: "))
        .filter(|version| *version != "(none)")
}

/// The upstream version in a package's version: no epoch, no revision, no repacking mark.
fn upstream(version: &str) -> &str {
    let version = version.split_once(':').map_or(version, |(_, rest)| rest);
    version.split(['+', '-', '~']).next().unwrap_or(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_candidate_is_read_from_the_policy() {
        let policy = "rustc-web:\n  Installed: (none)\n  Candidate: 1.96.0+dfsg1-1~deb12u2\n  Version table:\n";
        assert_eq!(candidate_version(policy), Some("1.96.0+dfsg1-1~deb12u2"));
        assert_eq!(
            candidate_version("x:\n  Installed: (none)\n  Candidate: (none)\n"),
            None
        );
        assert_eq!(candidate_version(""), None);
    }

    #[test]
    fn the_upstream_version_has_no_debian_parts() {
        assert_eq!(upstream("1.96.0+dfsg1-1~deb12u2"), "1.96.0");
        assert_eq!(upstream("1:22.1.8-1~deb12u1"), "22.1.8");
        assert_eq!(upstream("2.0"), "2.0");
    }
}
