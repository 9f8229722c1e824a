//! Figures of findings as one says them. Sizes are in MB of 10^6 bytes; what was asked of the
//! kernel is told to the byte, because its size tells what it was for.

use nix::{errno::Errno, sys::signal::Signal};

use super::reached::is_fork;
use crate::{
    recording::{FailureRow, Purpose},
    wording::{listing, whole},
};

/// Bytes as `512.0 MB`, below one as `107 kB`.
pub(crate) fn mb(bytes: f64) -> String {
    if bytes < 1e6 {
        return format!("{:.0} kB", bytes / 1e3);
    }
    format!("{:.1} MB", bytes / 1e6)
}

/// Seconds with two significant digits, or one decimal: `0.4 ms`, `0.25 s`, `5.1 s`.
pub(crate) fn seconds(seconds: f64) -> String {
    if seconds < 0.01 {
        format!("{:.1} ms", seconds * 1e3)
    } else if seconds < 1.0 {
        format!("{seconds:.2} s")
    } else {
        format!("{seconds:.1} s")
    }
}

/// Name of an error number, such as `ENOMEM`.
pub(crate) fn errno_name(errno: u32) -> String {
    match Errno::from_raw(i32::try_from(errno).unwrap_or(0)) {
        Errno::UnknownErrno => format!("error {errno}"),
        known => format!("{known:?}"),
    }
}

/// Name of a signal, such as `SIGKILL`.
pub(crate) fn signal_name(signal: u8) -> String {
    Signal::try_from(i32::from(signal))
        .map_or_else(|_| format!("signal {signal}"), |signal| signal.to_string())
}

/// What a call was for, after its name: ` of a thread's stack`.
pub(super) fn purpose(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Other => "",
        Purpose::Process => " of a process",
        Purpose::Thread => " of a thread",
        Purpose::ThreadStack => " of a thread's stack",
        Purpose::MallocArena => " of a malloc arena",
        Purpose::AnonymousMemory => " of memory",
        Purpose::FileMap => " of a file",
        Purpose::Heap => " of the heap",
        Purpose::Connection => " of a connection",
        Purpose::File => " of a file",
        Purpose::Descriptor => " of a descriptor",
    }
}

/// A role with its article, as the one who did something.
pub(crate) fn who(role: &str) -> String {
    match role {
        "" => "a task".into(),
        "parent" => "the parent".into(),
        "thread" => "a thread of a child".into(),
        "helper" => "a program that httpd started".into(),
        role => format!("a {role}"),
    }
}

/// A refused call in words: `mmap of a thread's stack (8,392,704 B)`.
pub(crate) fn call(row: &FailureRow) -> String {
    let bytes = match row.bytes {
        // What a clone names as its size is that of its arguments.
        _ if is_fork(row) => String::new(),
        0 => String::new(),
        bytes => format!(" ({} B)", whole(bytes)),
    };
    format!("{}{}{bytes}", row.call, purpose(row.purpose))
}

/// One row of a refused call, as an example of all.
pub(super) fn call_example(row: &FailureRow, begin_ns: u64) -> String {
    format!(
        "{} by {} (task {} of process {}) failed with {} {}",
        call(row),
        who(&row.role),
        row.tid,
        row.pid,
        errno_name(row.errno),
        after(row.t_ns, begin_ns),
    )
}

/// A moment against the begin of the run.
pub(super) fn after(t_ns: u64, begin_ns: u64) -> String {
    format!(
        "{:.3} s after the run's begin",
        (t_ns as f64 - begin_ns as f64) / 1e9
    )
}

/// Names that occur, the most frequent first, each with its count if there are several:
/// `mmap`, or `mmap (12) and brk (3)`.
pub(super) fn by_frequency(names: impl Iterator<Item = String>) -> String {
    let mut counts: Vec<(String, u64)> = Vec::new();
    for name in names {
        match counts.iter_mut().find(|(known, _)| *known == name) {
            Some((_, count)) => *count += 1,
            None => counts.push((name, 1)),
        }
    }
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    match counts.as_slice() {
        [(one, _)] => one.clone(),
        several => {
            let each: Vec<String> = several
                .iter()
                .map(|(name, count)| format!("{name} ({})", whole(*count)))
                .collect();
            listing(&each)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_the_system_have_their_names() {
        assert_eq!(errno_name(12), "ENOMEM");
        assert_eq!(errno_name(9999), "error 9999");
        assert_eq!(signal_name(9), "SIGKILL");
        assert_eq!(signal_name(64), "signal 64");
    }

    #[test]
    fn short_times_are_told_in_milliseconds() {
        let told = [0.000_42, 0.0123, 0.25, 5.06].map(seconds);
        assert_eq!(told, ["0.4 ms", "0.01 s", "0.25 s", "5.1 s"]);
    }

    #[test]
    fn what_occurs_most_comes_first() {
        let names = ["brk", "mmap", "mmap"].map(String::from).into_iter();
        assert_eq!(by_frequency(names), "mmap (2) and brk (1)");
        assert_eq!(by_frequency(["brk".to_owned()].into_iter()), "brk");
    }

    #[test]
    fn a_call_is_told_with_what_it_was_for() {
        let row = FailureRow {
            call: "mmap".into(),
            purpose: Purpose::ThreadStack,
            bytes: 8_392_704,
            errno: 12,
            role: "child".into(),
            tid: 7,
            pid: 6,
            t_ns: 1_500_000_000,
            ..FailureRow::default()
        };
        assert_eq!(
            call_example(&row, 1_000_000_000),
            "mmap of a thread's stack (8,392,704 B) by a child (task 7 of process 6) failed with \
             ENOMEM 0.500 s after the run's begin"
        );
    }
}
