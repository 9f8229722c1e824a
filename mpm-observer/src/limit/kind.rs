//! The limits whose least sufficient value can be looked for.

use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};
use plots::Unit;

use super::search::Range;
use crate::scenario::{Limits, StartAs};

/// How a limit is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// In units of 1024 bytes, as `ulimit` does.
    Kibibytes,
    /// In tasks or files.
    Count,
}

/// A limit whose least sufficient value can be looked for.
#[derive(Debug)]
pub struct Kind {
    /// Its name on the command line.
    pub name: &'static str,
    /// Its key in a scenario's `[limits]`.
    pub key: &'static str,
    /// How its values are counted.
    pub measure: Measure,
    /// The least value to try: with less, httpd's program cannot even be loaded.
    pub lowest: u64,
    /// The greatest value to try.
    pub highest: u64,
    /// The value to begin with.
    pub start: u64,
    /// The values to try are multiples of it.
    pub step: u64,
    /// What is limited, to stand after a number: `512 MB of address space per process`.
    pub of_what: &'static str,
    /// How it is set elsewhere, before the value.
    pub set_by: &'static str,
    /// What it means, in one sentence.
    pub meaning: &'static str,
    /// The process's own limit, which only falls; `None` for a control group's.
    rlimit: Option<Resource>,
    /// Who has to start httpd for the limit to bind it.
    pub start_as: StartAs,
}

const MEBI: u64 = 1 << 10;
const GIBI: u64 = 1 << 20;

/// All of them, in the order of the help.
pub const KINDS: &[Kind] = &[
    Kind {
        name: "rlimit-as",
        key: "address_space_kb",
        measure: Measure::Kibibytes,
        lowest: 2 * MEBI,
        highest: 64 * GIBI,
        start: 256 * MEBI,
        step: 4,
        of_what: "of address space per process",
        set_by: "ulimit -v",
        meaning: "It bounds what a process maps, not what it has in memory: stacks and malloc \
            arenas of threads count in full, touched or not.",
        rlimit: Some(Resource::RLIMIT_AS),
        start_as: StartAs::Root,
    },
    Kind {
        name: "rlimit-data",
        key: "data_kb",
        measure: Measure::Kibibytes,
        lowest: 64,
        highest: 64 * GIBI,
        start: 64 * MEBI,
        step: 4,
        of_what: "of private writable memory per process",
        set_by: "ulimit -d",
        meaning: "It bounds what a process maps to write for itself alone: heap, arenas, and the \
            stacks of threads, touched or not.",
        rlimit: Some(Resource::RLIMIT_DATA),
        start_as: StartAs::Root,
    },
    Kind {
        name: "rlimit-stack",
        key: "stack_kb",
        measure: Measure::Kibibytes,
        lowest: 32,
        highest: GIBI,
        start: 512,
        step: 4,
        of_what: "of stack",
        set_by: "ulimit -s",
        meaning: "It bounds the stack of the first thread and is the size of each other thread's.",
        rlimit: Some(Resource::RLIMIT_STACK),
        start_as: StartAs::Root,
    },
    Kind {
        name: "nofile",
        key: "open_files",
        measure: Measure::Count,
        lowest: 4,
        highest: 65_536,
        start: 64,
        step: 1,
        of_what: "open files per process",
        set_by: "ulimit -n",
        meaning: "It bounds the descriptors of one process: a child that serves with threads \
            shares them among all of its connections.",
        rlimit: Some(Resource::RLIMIT_NOFILE),
        start_as: StartAs::Root,
    },
    Kind {
        name: "nproc",
        key: "processes",
        measure: Measure::Count,
        lowest: 2,
        highest: 65_536,
        start: 64,
        step: 1,
        of_what: "tasks of its user",
        set_by: "ulimit -u",
        meaning: "It bounds the processes and threads of one user on the whole machine. httpd is \
            started by an account that has no other process, as the limit does not bind root.",
        rlimit: Some(Resource::RLIMIT_NPROC),
        start_as: StartAs::User,
    },
    Kind {
        name: "memory",
        key: "cgroup_memory_kb",
        measure: Measure::Kibibytes,
        lowest: MEBI,
        highest: 64 * GIBI,
        start: 16 * MEBI,
        step: 4,
        of_what: "of memory in its control group",
        set_by: "memory.max",
        meaning: "It bounds what all of httpd has in memory, with the kernel's memory for it and \
            the files it reads; beyond it the kernel kills a process.",
        rlimit: None,
        start_as: StartAs::Root,
    },
    Kind {
        name: "pids",
        key: "cgroup_tasks",
        measure: Measure::Count,
        lowest: 1,
        highest: 65_536,
        start: 64,
        step: 1,
        of_what: "tasks in its control group",
        set_by: "pids.max",
        meaning: "It bounds the processes and threads of all of httpd.",
        rlimit: None,
        start_as: StartAs::Root,
    },
];

impl Kind {
    /// The kind of a name on the command line.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        KINDS.iter().find(|kind| kind.name == name)
    }

    /// Whether it is a limit of the run's control group.
    #[must_use]
    pub const fn is_of_cgroup(&self) -> bool {
        self.rlimit.is_none()
    }

    /// `limits` with this one at `value`.
    #[must_use]
    pub fn set(&self, limits: &Limits, value: u64) -> Limits {
        let mut limits = limits.clone();
        limits.set(self.key, Some(value));
        limits
    }

    /// The values that can be set by this process: a limit of its own cannot be raised.
    ///
    /// # Errors
    /// In one line, when not even the least value can be set.
    pub fn range_here(&self) -> Result<Range, String> {
        let own = self.rlimit.map_or(RLIM_INFINITY, |resource| {
            getrlimit(resource).map_or(RLIM_INFINITY, |(_, hard)| hard)
        });
        self.range_below(own)
    }

    /// The same, where the process's own hard limit is `own`, in bytes or a count.
    fn range_below(&self, own: u64) -> Result<Range, String> {
        let unit = match self.measure {
            Measure::Kibibytes => 1024,
            Measure::Count => 1,
        };
        let highest = self.highest.min(own / unit / self.step * self.step);
        if highest <= self.lowest {
            return Err(format!(
                "{} cannot be looked for here: the hard limit of this process is {own}, which only \
                 a process with CAP_SYS_RESOURCE can raise; start it under a higher `{}`",
                self.name, self.set_by
            ));
        }
        Ok(Range {
            lowest: self.lowest,
            highest,
            start: self.start.min(highest),
            step: self.step,
        })
    }

    /// A value in the unit of the plots and of readers: bytes or a count.
    #[must_use]
    pub fn plain(&self, value: u64) -> f64 {
        match self.measure {
            Measure::Kibibytes => value as f64 * 1024.0,
            Measure::Count => value as f64,
        }
    }

    /// The unit of [`Kind::plain`].
    #[must_use]
    pub const fn unit(&self) -> Unit {
        match self.measure {
            Measure::Kibibytes => Unit::Bytes,
            Measure::Count => Unit::Count,
        }
    }

    /// A value as it is read: `6.16 MB`, `38`.
    #[must_use]
    pub fn read(&self, value: u64) -> String {
        match self.measure {
            Measure::Kibibytes => self.unit().format(self.plain(value)),
            Measure::Count => value.to_string(),
        }
    }

    /// The value as it is set: `ulimit -v 6016`, `memory.max 16777216`.
    #[must_use]
    pub fn command(&self, value: u64) -> String {
        let value = match self.measure {
            Measure::Kibibytes if self.is_of_cgroup() => value * 1024,
            _ => value,
        };
        format!("{} {value}", self.set_by)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_sets_the_key_of_a_scenario_and_has_values_in_order() {
        for kind in KINDS {
            let mut limits = Limits::default();
            assert!(limits.set(kind.key, Some(kind.start)), "{}", kind.name);
            assert_eq!(kind.set(&Limits::default(), kind.start), limits);
            assert!(kind.lowest < kind.start && kind.start < kind.highest);
            for value in [kind.lowest, kind.start, kind.highest] {
                assert_eq!(value % kind.step, 0, "{}", kind.name);
            }
            assert_eq!(Kind::named(kind.name).unwrap().key, kind.key);
        }
        assert!(Kind::named("walltime").is_none());
    }

    #[test]
    fn no_value_above_the_process_s_own_limit_is_tried() {
        let files = Kind::named("nofile").unwrap();
        assert_eq!(files.range_below(1024).unwrap().highest, 1024);
        assert_eq!(files.range_below(RLIM_INFINITY).unwrap().highest, 65_536);
        let below = files.range_below(40).unwrap();
        assert_eq!((below.start, below.highest), (40, 40));
        let space = Kind::named("rlimit-as").unwrap();
        assert_eq!(space.range_below(1 << 30).unwrap().highest, 1 << 20);
        let error = space.range_below(1 << 20).unwrap_err();
        assert!(
            error.contains("ulimit -v") && !error.contains('\n'),
            "{error}"
        );
    }

    #[test]
    fn values_are_read_in_bytes_and_set_as_ulimit_has_them() {
        let space = Kind::named("rlimit-as").unwrap();
        assert_eq!(space.read(500_000), "512 MB");
        assert_eq!(space.command(500_000), "ulimit -v 500000");
        let memory = Kind::named("memory").unwrap();
        assert_eq!(memory.command(16 * MEBI), "memory.max 16777216");
        assert_eq!(Kind::named("pids").unwrap().read(1200), "1200");
    }
}
