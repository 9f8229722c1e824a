//! What watching needs of root's might, and nothing else.
//!
//! The programs are loaded anew for each server that comes, so what that takes is kept; it was
//! found out by leaving one after another away (the tests do so). The user id does not matter.

use caps::{CapSet, Capability, CapsHashSet, errors::CapsError};
use thiserror::Error;

/// A capability that is kept, and what fails without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Which.
    pub capability: Capability,
    /// What it is for.
    pub purpose: &'static str,
}

/// All that are kept.
pub const KEPT: [Kept; 4] = [
    Kept {
        capability: Capability::CAP_BPF,
        purpose: "load the eBPF programs, make and read their maps",
    },
    Kept {
        capability: Capability::CAP_PERFMON,
        purpose: "attach them to tracepoints and let them read the kernel's memory",
    },
    Kept {
        capability: Capability::CAP_SYS_PTRACE,
        purpose: "tell httpd by its program and MPM: /proc/PID/exe, maps and the links in fd",
    },
    Kept {
        capability: Capability::CAP_DAC_READ_SEARCH,
        purpose: "list /proc/PID/fd of other users' processes",
    },
];

/// The capabilities could not be changed.
#[derive(Debug, Error)]
pub enum PrivilegeError {
    /// The kernel refused.
    #[error("the capabilities that are not needed cannot be dropped: {0}")]
    Capabilities(#[from] CapsError),
    /// The kernel refused.
    #[error("new privileges cannot be ruled out: {0}")]
    NewPrivileges(#[from] nix::Error),
}

/// Kept beside them only for a server in a network namespace of its own, such as a container's: to
/// ask its mod_status and for the limit of its accept queue there.
pub const FOR_OTHER_NETWORKS: Capability = Capability::CAP_SYS_ADMIN;

/// Kept beside them only to record into a directory that root may not write to as its owner, such
/// as an ordinary user's.
pub const FOR_OTHER_DIRECTORIES: Capability = Capability::CAP_DAC_OVERRIDE;

/// Gives up every capability that watching does not need, for good: also for programs that this
/// process might start. To be called before other threads are started, which would keep theirs.
/// Without effect on a process that has less already. What `more` names is kept beside those.
///
/// # Errors
/// When the kernel refuses.
pub fn drop_others(more: impl IntoIterator<Item = Capability>) -> Result<(), PrivilegeError> {
    let mut kept: CapsHashSet = KEPT.iter().map(|kept| kept.capability).collect();
    kept.extend(more);
    // Leaving the bounding set takes a capability itself, so that is done first. Without it, no
    // new privileges are to be had all the same.
    if caps::has_cap(None, CapSet::Effective, Capability::CAP_SETPCAP)? {
        for capability in caps::read(None, CapSet::Bounding)?.difference(&kept) {
            caps::drop(None, CapSet::Bounding, *capability)?;
        }
    }
    caps::clear(None, CapSet::Ambient)?;
    let permitted = caps::read(None, CapSet::Permitted)?;
    let left: CapsHashSet = permitted.intersection(&kept).copied().collect();
    caps::set(None, CapSet::Effective, &left)?;
    caps::set(None, CapSet::Permitted, &left)?;
    caps::clear(None, CapSet::Inheritable)?;
    nix::sys::prctl::set_no_new_privs()?;
    Ok(())
}

/// Whether this thread may load eBPF programs that trace.
#[must_use]
pub fn may_load_programs() -> bool {
    let has = |capability| caps::has_cap(None, CapSet::Effective, capability).unwrap_or(false);
    // Before Linux 5.8 there was one for everything.
    has(Capability::CAP_SYS_ADMIN) || (has(Capability::CAP_BPF) && has(Capability::CAP_PERFMON))
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn what_is_not_needed_is_gone_and_cannot_be_had_again() {
        // Capabilities are a thread's own; those of the other tests stay.
        thread::spawn(|| {
            let before = caps::read(None, CapSet::Permitted).unwrap();
            drop_others(None).unwrap();
            // A second time is without effect.
            drop_others(None).unwrap();
            let kept: CapsHashSet = KEPT.iter().map(|kept| kept.capability).collect();
            let expected: CapsHashSet = before.intersection(&kept).copied().collect();
            for set in [CapSet::Permitted, CapSet::Effective] {
                assert_eq!(caps::read(None, set).unwrap(), expected);
            }
            for set in [CapSet::Ambient, CapSet::Inheritable] {
                assert!(caps::read(None, set).unwrap().is_empty());
            }
            if before.contains(&Capability::CAP_SETPCAP) {
                let bounding = caps::read(None, CapSet::Bounding).unwrap();
                assert!(bounding.is_subset(&kept), "{bounding:?}");
            }
            assert!(caps::raise(None, CapSet::Effective, Capability::CAP_SYS_ADMIN).is_err());
        })
        .join()
        .unwrap();
    }
}
