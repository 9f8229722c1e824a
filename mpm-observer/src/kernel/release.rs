//! The running kernel's version, and the one that the probes need.

use nix::sys::utsname::uname;

use super::{PROBES, Program, Tier};

/// A kernel's release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// As the kernel tells it, such as `6.1.0-25-amd64`.
    pub text: String,
    /// Its first two numbers.
    pub version: (u32, u32),
}

impl Release {
    /// Of the running kernel; `None` if it tells none.
    #[must_use]
    pub fn running() -> Option<Self> {
        Self::of(&uname().ok()?.release().to_string_lossy())
    }

    /// From the kernel's words.
    pub(super) fn of(text: &str) -> Option<Self> {
        let mut numbers = text.split(|sign: char| !sign.is_ascii_digit());
        let mut number = || numbers.next()?.parse().ok();
        Some(Self {
            version: (number()?, number()?),
            text: text.to_owned(),
        })
    }

    /// Whether its version has all hooks of the base tier. One that has not may have been given
    /// them by its distribution.
    #[must_use]
    pub fn is_enough(&self) -> bool {
        self.version >= needed()
    }
}

fn base() -> impl Iterator<Item = &'static Program> {
    let programs = PROBES.iter().flat_map(|probe| probe.programs);
    programs.filter(|program| program.tier == Tier::Base)
}

/// The first version that has all hooks of the base tier.
#[must_use]
pub fn needed() -> (u32, u32) {
    base()
        .map(|program| program.since_kernel)
        .max()
        .unwrap_or_default()
}

/// Hooks of the base tier that came after a version.
pub(super) fn newer_hooks(version: (u32, u32)) -> Vec<String> {
    base()
        .filter(|program| program.since_kernel > version)
        .map(|program| program.hook.to_string())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_is_told_by_its_first_two_numbers() {
        let version = |text| Release::of(text).map(|release| release.version);
        assert_eq!(version("6.1.0-25-amd64"), Some((6, 1)));
        assert_eq!(version("6.12-rc1"), Some((6, 12)));
        assert_eq!(version("6.18.44+deb13"), Some((6, 18)));
        assert_eq!(version("linux"), None);
        assert_eq!(version(""), None);
    }

    #[test]
    fn what_is_needed_is_what_the_base_tier_needs() {
        assert!(newer_hooks(needed()).is_empty());
        let (major, minor) = needed();
        assert!(!newer_hooks((major, minor - 1)).is_empty());
        // Later than any of the base tier, but optional.
        assert!(!newer_hooks((5, 4)).contains(&"tp_btf/mark_victim".to_owned()));
        assert!(Release::of("99.0").unwrap().is_enough());
        assert!(!Release::of("5.4").unwrap().is_enough());
    }
}
