//! What the threads of a running observer may do.

use std::fs;

use caps::Capability;
use mpm_observer::privileges::KEPT;

/// Every thread of a process has the capabilities that are kept and `more`, and can never have
/// others.
pub fn assert_only_kept(pid: u32, more: &[Capability]) {
    let kept = KEPT.iter().map(|kept| kept.capability);
    let all = kept.chain(more.iter().copied());
    let expected = all.fold(0, |mask, capability| mask | capability.bitmask());
    let mut threads = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task")).unwrap() {
        // One may have ended meanwhile.
        let Ok(status) = fs::read_to_string(task.unwrap().path().join("status")) else {
            continue;
        };
        let field = |name: &str| {
            let mut lines = status.lines();
            let found = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            found
                .unwrap_or_else(|| panic!("no {name}: {status}"))
                .trim()
        };
        let mask = |name| u64::from_str_radix(field(name), 16).unwrap();
        for set in ["CapPrm", "CapEff"] {
            assert_eq!(mask(set), expected, "{set}: {status}");
        }
        for set in ["CapInh", "CapAmb"] {
            assert_eq!(mask(set), 0, "{set}: {status}");
        }
        assert_eq!(mask("CapBnd") & !expected, 0, "{status}");
        assert_eq!(field("NoNewPrivs"), "1", "{status}");
        threads += 1;
    }
    // Threads that were started before the others were dropped would have kept theirs.
    assert!(threads > 1, "{threads}");
}
