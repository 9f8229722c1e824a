//! The programs on the running kernel: loading, attaching, following the first task, reading.

use std::fs;

use aya::{
    Btf, Ebpf, EbpfLoader,
    maps::{Array, HashMap, MapData, MapError, PerCpuArray, RingBuf, Stack},
    programs::Program as AyaProgram,
};
use aya_log::EbpfLogger;
use mpm_observer_common::{
    ConnState, FailureSource, MAX_CONNS, MAX_TASKS, Mappings, Offsets, RING_BYTES, Settings,
    TaskFlags, TaskRecord, TaskState, TraceWindow,
};

use super::{
    Counters, KernelError, KernelTypes, Missed, PROBES, Ports, ProgramRuns, Reaped, Record, Tier,
    counters::Received,
    error::with_causes,
    links::{self, Linked},
    reap::Suspects,
    syscalls::{call_watches, syscall_kinds},
};
use crate::privileges::may_load_programs;

static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/mpm-observer.bpf.o"));

/// So many slots of the table of tasks in a row that were never used: there are no others behind
/// them. More than CPUs can have taken and not yet filled.
const NEVER_USED: u32 = 1_024;

/// What to watch.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The server's ports.
    pub ports: Ports,
    /// The number of the network namespace that they are in ([`network_of`](super::network_of));
    /// 0: any.
    pub network: u32,
    /// Size of the ring buffer in bytes, a power of two of at least a page.
    pub ring_bytes: u32,
    /// Most connections followed at once.
    pub max_conns: u32,
    /// Most tasks followed at once, [`MAX_TASKS`] or fewer.
    pub max_tasks: u32,
    /// Whether events can be traced ([`Watch::trace`]); costs more even while none is.
    pub tracing: bool,
    /// Programs that are left out, by name, to measure what each costs. What they would tell is
    /// missing from the records.
    pub without: &'static [&'static str],
}

impl Options {
    /// A server on one port or several, with a ring buffer of the default size.
    #[must_use]
    pub fn for_port(ports: impl Into<Ports>) -> Self {
        Self {
            ports: ports.into(),
            network: 0,
            ring_bytes: RING_BYTES,
            max_conns: MAX_CONNS,
            max_tasks: MAX_TASKS,
            tracing: false,
            without: &[],
        }
    }
}

/// What the loader knows of the running kernel. Reading it takes a while and lasts until the
/// machine is restarted, so it is read once.
pub struct Kernel {
    btf: Btf,
    offsets: Offsets,
    listen_overflow: Option<u32>,
}

impl Kernel {
    /// Reads the types of the running kernel.
    ///
    /// # Errors
    /// Without root or its capabilities, without BTF, or when the kernel lacks a field.
    pub fn read() -> Result<Self, KernelError> {
        if !may_load_programs() {
            return Err(KernelError::NotRoot);
        }
        // The types are let go before the next reader takes memory for its own.
        let types = KernelTypes::of_running_kernel()?;
        let offsets = types.offsets().map_err(KernelError::or_too_old)?;
        let listen_overflow = types.listen_overflow();
        drop(types);
        Ok(Self {
            offsets,
            listen_overflow,
            btf: Btf::from_sys_fs().map_err(|error| KernelError::NoBtf(error.to_string()))?,
        })
    }

    /// Its types, for loading.
    pub(super) fn types(&self) -> &Btf {
        &self.btf
    }
}

/// The attached programs. Dropping it detaches them.
pub struct Watch {
    ebpf: Ebpf,
    records: RingBuf<MapData>,
    counters: PerCpuArray<MapData, u64>,
    pub(super) tasks: Array<MapData, TaskState>,
    pub(super) slot_of_pid: Array<MapData, u32>,
    pub(super) free_slots: Stack<MapData, u32>,
    pub(super) connections: HashMap<MapData, u64, ConnState>,
    /// As many as they may be at once.
    pub(super) max_conns: u32,
    mappings: Array<MapData, Mappings>,
    trace_window: Array<MapData, TraceWindow>,
    warnings: EbpfLogger<&'static dyn log::Log>,
    received: Received,
    pub(super) linked: Vec<Linked>,
    absent: Vec<&'static str>,
    tracing: bool,
    /// Connections that had no socket when it was looked last.
    pub(super) suspects: Suspects,
    pub(super) reaped: Reaped,
    /// Tasks that were there before the watch and for which there was no room.
    pub(super) unadopted: u64,
}

impl Watch {
    /// Loads and attaches all probes; nothing is recorded until [`Watch::follow`].
    ///
    /// # Errors
    /// When a probe of the base tier cannot be attached, or the highest process id cannot be read.
    pub fn start(kernel: &Kernel, options: Options) -> Result<Self, KernelError> {
        if OBJECT.is_empty() {
            return Err(KernelError::NoPrograms);
        }
        let settings = Settings {
            ports: options.ports.list(),
            network: options.network,
            tracing: options.tracing.into(),
            // No packet is dropped for no reason.
            listen_overflow: kernel.listen_overflow.unwrap_or(0),
            syscalls: syscall_kinds(),
            calls: call_watches(),
            reserved: 0,
        };
        let mut ebpf = EbpfLoader::new()
            .btf(Some(&kernel.btf))
            .override_global("OFFSETS", &kernel.offsets, true)
            .override_global("SETTINGS", &settings, true)
            // It may have been raised since the last watch.
            .map_max_entries("SLOT_OF_PID", pid_max()?)
            .map_max_entries("RECORDS", options.ring_bytes)
            .map_max_entries("CONNS", options.max_conns)
            .load(OBJECT)?;

        let mut free_slots: Stack<_, u32> = Stack::try_from(take_map(&mut ebpf, "FREE_SLOTS"))?;
        for slot in (1..=options.max_tasks.min(MAX_TASKS)).rev() {
            free_slots.push(slot, 0)?;
        }
        let warnings = EbpfLogger::init_with_logger(&mut ebpf, log::logger()).map_err(|error| {
            KernelError::Attach {
                probe: "log",
                hook: "AYA_LOGS".into(),
                reason: error.to_string(),
            }
        })?;
        let mut watch = Self {
            records: RingBuf::try_from(take_map(&mut ebpf, "RECORDS"))?,
            counters: PerCpuArray::try_from(take_map(&mut ebpf, "COUNTERS"))?,
            tasks: Array::try_from(take_map(&mut ebpf, "TASKS"))?,
            slot_of_pid: Array::try_from(take_map(&mut ebpf, "SLOT_OF_PID"))?,
            free_slots,
            connections: HashMap::try_from(take_map(&mut ebpf, "CONNS"))?,
            max_conns: options.max_conns,
            mappings: Array::try_from(take_map(&mut ebpf, "MAPPINGS"))?,
            trace_window: Array::try_from(take_map(&mut ebpf, "TRACE_WINDOW"))?,
            warnings,
            received: Received::default(),
            linked: Vec::new(),
            absent: Vec::new(),
            tracing: options.tracing,
            suspects: Suspects::new(),
            reaped: Reaped::default(),
            unadopted: 0,
            ebpf,
        };
        watch.attach(&kernel.btf, options)?;
        return_freed_memory();
        Ok(watch)
    }

    fn attach(&mut self, btf: &Btf, options: Options) -> Result<(), KernelError> {
        for probe in PROBES {
            for program in probe.programs {
                if program.tier == Tier::Live
                    || (program.tier == Tier::Trace && !options.tracing)
                    || options.without.contains(&program.name)
                {
                    continue;
                }
                let loaded = self.program(program.name)?;
                let link =
                    links::load(loaded, program.hook, btf).and_then(|()| links::attach(loaded));
                match (link, program.tier) {
                    (Ok(link), _) => self.linked.push(Linked {
                        probe: probe.name,
                        program,
                        link: Some(link),
                    }),
                    (Err(_), Tier::Optional) => self.absent.push(program.name),
                    (Err(error), Tier::Base | Tier::Trace | Tier::Live) => {
                        let refused = KernelError::Attach {
                            probe: probe.name,
                            hook: program.hook.to_string(),
                            reason: with_causes(&error),
                        };
                        return Err(refused.or_too_old());
                    }
                }
            }
        }
        Ok(())
    }

    pub(super) fn program(&mut self, name: &str) -> Result<&mut AyaProgram, KernelError> {
        self.ebpf.program_mut(name).ok_or(KernelError::NoPrograms)
    }

    /// Loads, attaches and detaches all programs, and runs those that run once; returns those of
    /// the optional tier that this kernel refuses.
    ///
    /// # Errors
    /// As [`Watch::start`].
    pub fn check(kernel: &Kernel) -> Result<Vec<&'static str>, KernelError> {
        let own_pid = std::process::id();
        let own_network = super::network_of(own_pid).unwrap_or(0);
        let mut absent = Vec::new();
        // The verifier sees other instructions where the network matters.
        for network in [0, own_network] {
            // Port 0 belongs to no socket.
            let options = Options {
                tracing: true,
                network,
                ..Options::for_port(0)
            };
            let mut watch = Self::start(kernel, options)?;
            watch.follow_standing(kernel, own_pid)?;
            absent.extend(watch.absent);
        }
        absent.sort_unstable();
        absent.dedup();
        Ok(absent)
    }

    /// Programs of the optional tier that this kernel refused.
    #[must_use]
    pub fn absent(&self) -> &[&'static str] {
        &self.absent
    }

    /// Follows the task `pid`, which must be blocked and must not have children yet, and from
    /// then on every task that it makes.
    ///
    /// # Errors
    /// When a map cannot be written.
    pub fn follow(&mut self, pid: u32) -> Result<(), KernelError> {
        self.enter(TaskRecord {
            flags: TaskFlags::FIRST,
            pid,
            tgid: pid,
            parent_tgid: std::process::id(),
            ..TaskRecord::default()
        })?;
        Ok(())
    }

    /// Gives a task that exists already a slot, as one that has been blocked since now. Returns
    /// the slot, or `None` if none is free.
    pub(super) fn enter(&mut self, task: TaskRecord) -> Result<Option<u32>, KernelError> {
        let slot = match self.free_slots.pop(0) {
            Ok(slot) => slot,
            Err(MapError::ElementNotFound) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let now_ns = loadgen::clock::monotonic_ns();
        let mut state = TaskState::begin(now_ns);
        state.record = TaskRecord {
            kind: state.record.kind,
            flags: task.flags | TaskFlags::BASE_WANTED,
            created_ns: now_ns,
            ..task
        };
        self.tasks.set(slot, state, 0)?;
        self.mappings.set(slot, Mappings::default(), 0)?;
        self.slot_of_pid.set(task.pid, slot, 0)?;
        Ok(Some(slot))
    }

    /// Whether events can be traced.
    #[must_use]
    pub const fn is_tracing(&self) -> bool {
        self.tracing
    }

    /// Traces events from `from_ns` to `until_ns`; needs [`Options::tracing`].
    ///
    /// # Errors
    /// When the map cannot be written.
    pub fn trace(&mut self, from_ns: u64, until_ns: u64) -> Result<(), KernelError> {
        let window = TraceWindow { from_ns, until_ns };
        Ok(self.trace_window.set(0, window, 0)?)
    }

    /// Hands all records that have arrived to `sink` and passes the programs' warnings on to the
    /// log. Returns how many records there were.
    pub fn drain(&mut self, mut sink: impl FnMut(Record)) -> usize {
        let mut records = 0;
        while let Some(entry) = self.records.next() {
            records += 1;
            let record = Record::from_bytes(&entry);
            self.received.count(record.as_ref());
            if let Some(record) = record {
                sink(record);
            }
        }
        self.warnings.flush();
        records
    }

    /// The records of the tasks that are still alive, as they are now.
    ///
    /// # Errors
    /// When a map cannot be read.
    pub fn live_tasks(&self) -> Result<Vec<TaskRecord>, KernelError> {
        let mut tasks = Vec::new();
        // Slots are given out from the lowest; those in use carry their record's kind.
        for slot in 1..=MAX_TASKS {
            let mut record = self.tasks.get(&slot, 0)?.record;
            if record.kind != 0 {
                record.flags |= TaskFlags::ALIVE;
                tasks.push(record);
            }
        }
        Ok(tasks)
    }

    /// The states of the tasks that are still alive, as their last switch left them.
    ///
    /// # Errors
    /// When a map cannot be read.
    pub fn task_states(&self) -> Result<Vec<TaskState>, KernelError> {
        let mut states = Vec::new();
        let mut unused = 0;
        for slot in 1..=MAX_TASKS {
            let state = self.tasks.get(&slot, 0)?;
            if state.record.kind != 0 {
                states.push(state);
            }
            // Slots that were never used are given out from the lowest, so behind these there are
            // none but such that other CPUs have just taken.
            unused = match state.record.created_ns {
                0 => unused + 1,
                _ => 0,
            };
            if unused == NEVER_USED {
                break;
            }
        }
        Ok(states)
    }

    /// The books so far.
    ///
    /// # Errors
    /// When a map cannot be read.
    pub fn counters(&self) -> Result<Counters, KernelError> {
        let mut values = [0; FailureSource::COUNTERS as usize];
        for (index, value) in (0..).zip(&mut values) {
            *value = self.counters.get(&index, 0)?.iter().sum();
        }
        let mut counters = self.received.books(|index| values[index as usize]);
        counters.conns_reaped = self.reaped.conns;
        counters.tasks_reaped = self.reaped.tasks;
        counters.tasks_unfollowed += self.unadopted;
        counters.missed = self
            .program_runs()
            .into_iter()
            .filter(|runs| runs.missed > 0)
            .map(|runs| Missed {
                program: runs.program,
                runs: runs.missed,
            })
            .collect();
        Ok(counters)
    }

    /// What the kernel knows of each attached program's runs.
    #[must_use]
    pub fn program_runs(&self) -> Vec<ProgramRuns> {
        let attached = self.ebpf.programs();
        attached
            .filter_map(|(name, program)| ProgramRuns::of(name, program))
            .collect()
    }
}

fn take_map(ebpf: &mut Ebpf, name: &str) -> aya::maps::Map {
    ebpf.take_map(name)
        .unwrap_or_else(|| unreachable!("the object file defines the map {name}"))
}

/// Gives memory that was freed back to the system. Loading frees some 12 MB, which the thread
/// that reads the records would not use again: glibc gives each thread memory of its own.
fn return_freed_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it touches free memory only.
    unsafe {
        nix::libc::malloc_trim(0);
    }
}

fn pid_max() -> Result<u32, KernelError> {
    let path = "/proc/sys/kernel/pid_max";
    let failed = |source| KernelError::File {
        path: path.into(),
        source,
    };
    fs::read_to_string(path)
        .map_err(failed)?
        .trim()
        .parse()
        .map_err(|error| failed(std::io::Error::new(std::io::ErrorKind::InvalidData, error)))
}
