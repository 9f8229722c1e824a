//! Which distribution this is, and whether we are root.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use anyhow::{Context as _, Result};

/// Distributions that name and package things alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Debian, Ubuntu and what derives from them.
    Debian,
    /// Fedora, RHEL and what derives from them.
    Fedora,
    /// Arch and what derives from it.
    Arch,
    /// Everything else.
    Other,
}

/// The machine and the user.
pub struct Host {
    /// The distribution's family.
    pub family: Family,
    /// Whether packages can be installed.
    pub is_root: bool,
}

impl Host {
    /// Reads `/etc/os-release` and the owner of this process.
    pub fn detect() -> Result<Self> {
        // A system without the file is one that nothing is known about.
        let os_release = fs::read_to_string("/etc/os-release").unwrap_or_default();
        let process = fs::metadata("/proc/self").context("cannot read /proc/self")?;
        Ok(Self {
            family: family(&os_release),
            is_root: process.uid() == 0,
        })
    }

    /// The start of a command that needs root.
    pub fn sudo(&self) -> &'static str {
        if self.is_root { "" } else { "sudo " }
    }
}

/// The family from the text of `/etc/os-release`: by `ID`, else by `ID_LIKE`.
fn family(os_release: &str) -> Family {
    ["ID", "ID_LIKE"]
        .into_iter()
        .filter_map(|key| field(os_release, key))
        .flat_map(str::split_whitespace)
        .find_map(|id| match id {
            "debian" | "ubuntu" => Some(Family::Debian),
            "fedora" | "rhel" | "centos" => Some(Family::Fedora),
            "arch" => Some(Family::Arch),
            _ => None,
        })
        .unwrap_or(Family::Other)
}

/// The value of `key`, without its quotes.
fn field<'a>(os_release: &'a str, key: &str) -> Option<&'a str> {
    os_release.lines().find_map(|line| {
        let (name, value) = line.split_once('=')?;
        (name.trim() == key).then(|| value.trim().trim_matches(['"', '\'']))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_family_follows_id_with_and_without_quotes() {
        assert_eq!(
            family("PRETTY_NAME=\"Debian GNU/Linux 12\"\nID=debian\n"),
            Family::Debian
        );
        assert_eq!(family("ID=\"fedora\"\n"), Family::Fedora);
        assert_eq!(family("ID=arch"), Family::Arch);
    }

    #[test]
    fn a_derived_distribution_is_known_by_id_like() {
        assert_eq!(
            family("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n"),
            Family::Debian
        );
        assert_eq!(
            family("ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n"),
            Family::Fedora
        );
    }

    #[test]
    fn an_unknown_or_missing_file_is_another_distribution() {
        assert_eq!(family("ID=void\nVARIANT_ID=debian\n"), Family::Other);
        assert_eq!(family(""), Family::Other);
    }
}
