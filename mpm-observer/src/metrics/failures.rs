//! What failed.

use std::collections::BTreeMap;

use mpm_observer_common::{FailureFlags, FailureRecord, FailureSource};
use nix::errno::Errno;

use super::{
    Exposition, Family,
    family::{as_f64, label},
    tasks::signal_name,
};
use crate::{findings::Reached, recording::FailureRow};

const SOURCE: &str = "failure records";

static CALLS: Family = Family::counter(
    "httpd_failed_calls_total",
    "System calls that were refused a resource, by the limit that was reached",
    SOURCE,
)
.labels(&[
    label("call", "such as mmap"),
    label("errno", "such as ENOMEM"),
    label(
        "limit",
        "address_space, data, open_files, system_files, user_tasks, cgroup_tasks, cgroup_memory, disk_space, unknown",
    ),
]);
static OOM_KILLS: Family = Family::counter(
    "httpd_oom_kills_total",
    "Processes of the server that the kernel chose to kill for want of memory",
    SOURCE,
);
static SIGNALS: Family = Family::counter(
    "httpd_fatal_signals_total",
    "Signals that end a process, sent to one of the server's",
    SOURCE,
)
.labels(&[
    label("signal", "such as SIGSEGV"),
    label("by", "kernel, task"),
]);

/// The families, in the order of the documentation.
pub(super) static FAMILIES: &[&Family] = &[&CALLS, &OOM_KILLS, &SIGNALS];

/// The failures so far.
#[derive(Debug, Default)]
pub(super) struct Failures {
    /// By call, error and limit. The probes look at some forty calls and a dozen errors.
    calls: BTreeMap<(String, String, &'static str), u64>,
    oom_kills: u64,
    signals: BTreeMap<(&'static str, &'static str), u64>,
}

impl Failures {
    pub(super) fn count(&mut self, failure: &FailureRecord) {
        match FailureSource::from_word(failure.source) {
            Some(FailureSource::Call) => {
                let Some(row) = FailureRow::new(failure, String::new()) else {
                    return;
                };
                let limit = Reached::of(&row).name();
                let errno = errno_name(row.errno);
                *self.calls.entry((row.call, errno, limit)).or_default() += 1;
            }
            Some(FailureSource::OomKill) => self.oom_kills += 1,
            Some(FailureSource::Signal) => {
                let by_kernel = failure.flags & FailureFlags::BY_KERNEL != 0;
                let by = if by_kernel { "kernel" } else { "task" };
                let signal = signal_name(failure.signal);
                *self.signals.entry((signal, by)).or_default() += 1;
            }
            Some(FailureSource::QueueFull | FailureSource::SynRefused | FailureSource::Reset)
            | None => {}
        }
    }

    pub(super) fn write(&self, to: &mut Exposition) {
        for ((call, errno, limit), count) in &self.calls {
            let labels = [call.clone().into(), errno.clone().into(), (*limit).into()];
            to.labelled(&CALLS, labels, as_f64(*count));
        }
        to.count(&OOM_KILLS, self.oom_kills);
        for ((signal, by), count) in &self.signals {
            to.labelled(&SIGNALS, [(*signal).into(), (*by).into()], as_f64(*count));
        }
    }
}

fn errno_name(errno: u32) -> String {
    match i32::try_from(errno).map(Errno::from_raw) {
        Ok(known) if known != Errno::UnknownErrno => format!("{known:?}"),
        _ => errno.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use nix::libc;

    use super::*;
    use crate::metrics::tests::written;

    #[test]
    fn a_refused_call_counts_to_the_limit_that_it_reached() {
        let mut failures = Failures::default();
        let refused = FailureRecord {
            source: FailureSource::Call as u32,
            call: libc::SYS_accept4 as u32,
            errno: libc::EMFILE as u32,
            ..FailureRecord::default()
        };
        failures.count(&refused);
        failures.count(&refused);
        failures.count(&FailureRecord {
            errno: libc::ENOMEM as u32,
            address_space_limit: FailureRecord::MISSING,
            data_limit: FailureRecord::MISSING,
            cgroup_memory_limit_pages: FailureRecord::MISSING,
            ..refused
        });
        let exposition = written(|to| failures.write(to));
        let count =
            |errno, limit| exposition.get("httpd_failed_calls_total", &["accept4", errno, limit]);
        assert_eq!(count("EMFILE", "open_files"), Some(2.0));
        assert_eq!(count("ENOMEM", "unknown"), Some(1.0));
    }

    #[test]
    fn kills_and_signals_are_told_apart() {
        let mut failures = Failures::default();
        let signal = FailureRecord {
            source: FailureSource::Signal as u32,
            signal: 11,
            flags: FailureFlags::BY_KERNEL,
            ..FailureRecord::default()
        };
        failures.count(&signal);
        failures.count(&FailureRecord { flags: 0, ..signal });
        failures.count(&FailureRecord {
            source: FailureSource::OomKill as u32,
            ..FailureRecord::default()
        });
        let exposition = written(|to| failures.write(to));
        for by in ["kernel", "task"] {
            let count = exposition.get("httpd_fatal_signals_total", &["SIGSEGV", by]);
            assert_eq!(count, Some(1.0));
        }
        assert_eq!(exposition.get("httpd_oom_kills_total", &[]), Some(1.0));
    }

    #[test]
    fn every_limit_is_documented() {
        let names: Vec<&str> = Reached::ALL.iter().map(|reached| reached.name()).collect();
        assert_eq!(CALLS.labels[2].values, names.join(", "));
    }
}
