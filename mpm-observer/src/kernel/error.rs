//! What can go wrong between user space and the kernel.

use std::{error::Error as StdError, io};

use thiserror::Error;

use super::release::{Release, needed, newer_hooks};

/// Each message says what to do about it.
#[derive(Debug, Error)]
pub enum KernelError {
    /// The binary was built without the object file.
    #[error("this binary was built without the eBPF programs; build it with `cargo xtask build`")]
    NoPrograms,
    /// No BTF of the running kernel.
    #[error(
        "the kernel's type information (/sys/kernel/btf/vmlinux) cannot be read: {0}; \
         a kernel with CONFIG_DEBUG_INFO_BTF is needed"
    )]
    NoBtf(String),
    /// A structure or field that the programs read is not in this kernel.
    #[error("this kernel has no `{0}`, which the programs read; please report the kernel version")]
    NoField(String),
    /// The kernel is older than the probes' hooks.
    #[error(
        "this is Linux {release}, and {}.{} or later is needed for {}",
        .needed.0,
        .needed.1,
        .hooks.join(", ")
    )]
    TooOld {
        /// Of the running kernel.
        release: String,
        /// The first version that has all hooks of the base tier.
        needed: (u32, u32),
        /// Hooks of the base tier that are newer than this kernel.
        hooks: Vec<String>,
    },
    /// The process may not load programs.
    #[error(
        "root is needed to load eBPF programs, or the capabilities CAP_BPF and CAP_PERFMON; run as \
         root (sudo)"
    )]
    NotRoot,
    /// tracefs is neither mounted nor can be.
    #[error("tracefs cannot be mounted on /sys/kernel/tracing: {0}; mount it as root")]
    NoTracefs(std::io::Error),
    /// A program that cannot be done without was refused.
    #[error("the probe `{probe}` cannot be attached to {hook}: {reason}")]
    Attach {
        /// The probe's name.
        probe: &'static str,
        /// The hook's name.
        hook: String,
        /// The kernel's or aya's words.
        reason: String,
    },
    /// An attached program cannot be detached.
    #[error("the program on {hook} cannot be detached: {reason}; it is when this process ends")]
    Detach {
        /// The hook's name.
        hook: String,
        /// The kernel's or aya's words.
        reason: String,
    },
    /// The object file is not usable.
    #[error("the eBPF programs cannot be loaded: {}{}", with_causes(.0), hint(.0))]
    Load(#[from] aya::EbpfError),
    /// A map could not be read or written.
    #[error("a map of the eBPF programs failed: {0}")]
    Map(#[from] aya::maps::MapError),
    /// The kernel does not count the run time of programs.
    #[error(
        "the run time of eBPF programs cannot be counted: {0}; run as root on Linux 5.8 or later"
    )]
    RunTime(String),
    /// A file of /proc or /sys could not be read.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: String,
        /// Why.
        source: std::io::Error,
    },
}

impl KernelError {
    /// What is behind a refusal on a kernel that is too old: in its own words it may be anything,
    /// such as a verifier's log. A distribution's kernel may have what only later versions have,
    /// so it is tried first.
    pub(super) fn or_too_old(self) -> Self {
        match Release::running() {
            Some(running) => self.or_too_old_for(&running),
            None => self,
        }
    }

    fn or_too_old_for(self, running: &Release) -> Self {
        let of_kernel = matches!(self, Self::Attach { .. } | Self::NoField(_));
        if !of_kernel || running.is_enough() {
            return self;
        }
        Self::TooOld {
            release: running.text.clone(),
            needed: needed(),
            hooks: newer_hooks(running.version),
        }
    }
}

/// What forbids it to a process that has the capabilities.
fn hint(error: &aya::EbpfError) -> &'static str {
    let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(error) = cause {
        let system = error.downcast_ref::<io::Error>();
        if system.is_some_and(|error| error.kind() == io::ErrorKind::PermissionDenied) {
            return "; it has the capabilities, so a seccomp profile may forbid bpf(), as that of \
                    container engines does (podman run --security-opt seccomp=unconfined)";
        }
        cause = error.source();
    }
    ""
}

/// An error and its causes in one line; of a verifier's log, the end.
pub(super) fn with_causes(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        // Some tell their cause themselves.
        let words = inner.to_string();
        if !text.ends_with(&words) {
            text = format!("{text}: {words}");
        }
        cause = inner.source();
    }
    const TAIL: usize = 600;
    let lines = text.replace('\n', " | ");
    match lines.char_indices().rev().nth(TAIL) {
        Some((start, _)) => format!("…{}", &lines[start..]),
        None => lines,
    }
}

#[cfg(test)]
mod tests {
    use aya::maps::MapError;

    use super::*;

    fn refused(errno: i32) -> String {
        let error = aya::EbpfError::MapError(MapError::CreateError {
            name: "RECORDS".into(),
            io_error: io::Error::from_raw_os_error(errno),
        });
        KernelError::from(error).to_string()
    }

    #[test]
    fn what_forbids_loading_is_told_to_the_last_cause() {
        let denied = refused(nix::libc::EPERM);
        let begin = "the eBPF programs cannot be loaded: map error: failed to create map \
                     `RECORDS`: Operation not permitted (os error 1); ";
        assert!(denied.starts_with(begin), "{denied}");
        assert!(denied.contains("seccomp=unconfined"), "{denied}");
        let full = refused(nix::libc::ENOMEM);
        assert!(
            full.ends_with("Cannot allocate memory (os error 12)"),
            "{full}"
        );
    }

    #[test]
    fn an_old_kernel_is_told_with_what_is_needed_and_a_new_one_in_its_own_words() {
        let refused = || KernelError::Attach {
            probe: "sched",
            hook: "tp_btf/sched_switch".into(),
            reason: "invalid size of register spill".into(),
        };
        let old = Release::of("6.1.0-25-amd64").unwrap();
        assert_eq!(
            refused().or_too_old_for(&old).to_string(),
            "this is Linux 6.1.0-25-amd64, and 6.3 or later is needed for tp_btf/sk_data_ready, \
             tp_btf/sock_recv_length, tp_btf/sock_send_length"
        );
        let new = Release::of("6.12.9").unwrap();
        let told = refused().or_too_old_for(&new).to_string();
        assert!(told.contains("register spill"), "{told}");
        let root = KernelError::NotRoot.or_too_old_for(&old);
        assert!(matches!(root, KernelError::NotRoot));
    }
}
