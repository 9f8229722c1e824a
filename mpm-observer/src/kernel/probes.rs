//! The one table of probes. The loader, `doctor` and the documentation read it.

/// Where a program is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// A tracepoint whose arguments the verifier knows by type (`tp_btf`).
    TpBtf(&'static str),
    /// Run once for each of something (`iter`).
    Iter(&'static str),
}

impl std::fmt::Display for Hook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TpBtf(name) => write!(f, "tp_btf/{name}"),
            Self::Iter(name) => write!(f, "iter/{name}"),
        }
    }
}

/// What happens without a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// Nothing can be recorded.
    Base,
    /// The named columns are missing.
    Optional,
    /// There is no trace; attached for a trace only.
    Trace,
    /// A server that runs already cannot be watched; run when its watch begins.
    Live,
}

/// One program of a probe.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    /// Its name in the object file.
    pub name: &'static str,
    /// What it is attached to.
    pub hook: Hook,
    /// The first kernel that has the hook with the arguments that the program reads.
    pub since_kernel: (u32, u32),
    /// Base, optional, or for a trace.
    pub tier: Tier,
    /// Mean time of a call in nanoseconds, calls for other tasks and sockets included: the
    /// kernel's BPF statistics over keep-alive and high-load with prefork and event, kernel 6.18
    /// on a virtual machine with 2 CPUs (docs/decisions/0002).
    pub call_ns: u32,
}

/// A probe: one source file of `mpm-observer-ebpf`, some programs, some columns.
#[derive(Clone, Copy, Debug)]
pub struct Probe {
    /// The source file's name.
    pub name: &'static str,
    /// What it gives.
    pub gives: &'static str,
    /// Its programs.
    pub programs: &'static [Program],
}

const fn tp_btf(name: &'static str, since_kernel: (u32, u32), call_ns: u32) -> Program {
    Program {
        name,
        hook: Hook::TpBtf(name),
        since_kernel,
        tier: Tier::Base,
        call_ns,
    }
}

const fn optional(name: &'static str, since_kernel: (u32, u32), call_ns: u32) -> Program {
    Program {
        tier: Tier::Optional,
        ..tp_btf(name, since_kernel, call_ns)
    }
}

const fn for_a_trace(name: &'static str, call_ns: u32) -> Program {
    Program {
        tier: Tier::Trace,
        ..tp_btf(name, (5, 5), call_ns)
    }
}

/// All probes, in the order in which they are attached: tasks first, so that no task of the
/// server is missed by the others.
pub const PROBES: &[Probe] = &[
    Probe {
        name: "tasks",
        gives: "fork, thread creation, exit with status and signal",
        programs: &[
            tp_btf("task_newtask", (5, 5), 400),
            tp_btf("sched_process_exit", (5, 5), 280),
        ],
    },
    Probe {
        name: "sched",
        gives: "on-CPU, run-queue and blocked time, and what in; voluntary and involuntary switches",
        // The fourth argument, the state of the task that leaves, is there since 5.18.
        programs: &[tp_btf("sched_switch", (5, 18), 250)],
    },
    Probe {
        name: "faults",
        gives: "user and kernel page faults; file, anonymous, shared memory, copy on write",
        programs: &[
            tp_btf("page_fault_user", (5, 5), 80),
            tp_btf("page_fault_kernel", (5, 5), 100),
            optional("rss_stat", (5, 18), 70),
        ],
    },
    Probe {
        name: "conns",
        gives: "connections established, queued, ended; arrival of bytes",
        programs: &[
            tp_btf("inet_sock_set_state", (5, 5), 230),
            tp_btf("sk_data_ready", (6, 3), 200),
        ],
    },
    Probe {
        name: "calls",
        gives: "which task accepted and when; EAGAIN, interrupted and failed accepts; calls refused memory, tasks, descriptors or space, with limits and uses",
        programs: &[tp_btf("sys_exit", (5, 5), 85)],
    },
    Probe {
        name: "requests",
        gives: "pick-up, first and last send, bytes, serving tasks and their time",
        programs: &[
            tp_btf("sock_recv_length", (6, 3), 350),
            tp_btf("sock_send_length", (6, 3), 200),
        ],
    },
    Probe {
        name: "signals",
        gives: "signals that end a process, with their sender; kills for want of memory",
        programs: &[
            tp_btf("signal_generate", (5, 5), 300),
            optional("mark_victim", (6, 8), 1700),
        ],
    },
    Probe {
        name: "queue",
        gives: "connections that found the accept queue full; resets by the server's side",
        programs: &[
            optional("kfree_skb", (5, 17), 70),
            optional("consume_skb", (5, 5), 150),
            optional("tcp_send_reset", (5, 5), 200),
        ],
    },
    Probe {
        name: "standing",
        gives: "connections and listening sockets of a server that runs already",
        programs: &[Program {
            hook: Hook::Iter("tcp"),
            tier: Tier::Live,
            ..tp_btf("iter_tcp", (5, 9), 200)
        }],
    },
    Probe {
        name: "trace",
        gives: "all events for a bounded time; who wakes whom",
        // The end of an interrupt before its begin: one whose end is not seen would be taken for
        // the waker until the next of its kind, which may be seconds later.
        programs: &[
            for_a_trace("softirq_exit", 65),
            for_a_trace("softirq_entry", 75),
            for_a_trace("hrtimer_expire_exit", 95),
            for_a_trace("hrtimer_expire_entry", 200),
            for_a_trace("irq_handler_exit", 90),
            for_a_trace("irq_handler_entry", 170),
            for_a_trace("sched_waking", 300),
        ],
    },
];

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, path::Path};

    use super::*;

    #[test]
    fn each_probe_has_a_source_file_of_its_name_that_defines_its_programs() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../mpm-observer-ebpf/src");
        for probe in PROBES {
            let path = dir.join(format!("{}.rs", probe.name));
            let source = std::fs::read_to_string(&path).expect("source file of the probe");
            for program in probe.programs {
                assert!(
                    source.contains(&format!("fn {}(", program.name)),
                    "{} is not in {}",
                    program.name,
                    path.display()
                );
            }
        }
    }

    #[test]
    fn program_names_are_unique() {
        let names: Vec<_> = PROBES
            .iter()
            .flat_map(|probe| probe.programs)
            .map(|program| program.name)
            .collect();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
    }

    #[test]
    fn the_end_of_each_interrupt_is_attached_before_its_begin() {
        let trace = PROBES.iter().find(|probe| probe.name == "trace").unwrap();
        let place = |name: &str| {
            let programs = &mut trace.programs.iter();
            programs.position(|program| program.name == name).unwrap()
        };
        for interrupt in ["softirq", "hrtimer_expire", "irq_handler"] {
            let exit = place(&format!("{interrupt}_exit"));
            assert!(exit < place(&format!("{interrupt}_entry")), "{interrupt}");
        }
    }

    #[test]
    fn the_documented_table_is_this_one() {
        let mut table = String::from(
            "| probe | gives | program | since kernel | tier | time of a call |\n\
             |---|---|---|---|---|---|\n",
        );
        for probe in PROBES {
            for (index, program) in probe.programs.iter().enumerate() {
                let (name, gives) = if index == 0 {
                    (probe.name, probe.gives)
                } else {
                    ("", "")
                };
                let (major, minor) = program.since_kernel;
                let tier = match program.tier {
                    Tier::Base => "base",
                    Tier::Optional => "optional",
                    Tier::Trace => "trace",
                    Tier::Live => "live",
                };
                table += &format!(
                    "| {name} | {gives} | `{}` | {major}.{minor} | {tier} | {} ns |\n",
                    program.hook, program.call_ns
                );
            }
        }
        let document = include_str!("../../../docs/probes.md");
        assert!(
            document.contains(&table),
            "docs/probes.md should have\n{table}"
        );
    }
}
