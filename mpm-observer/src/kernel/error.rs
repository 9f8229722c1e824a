//! What can go wrong between user space and the kernel.

use thiserror::Error;

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
    #[error("the eBPF programs cannot be loaded: {0}")]
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
